"""Cards taken away at every command and at every frame: no key is ever unknown, and the next tap finishes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.cli.desk_desfire import DesfireChip
from interlock.desk.chips import CARD_AID, CARD_MASTER
from interlock.desk.ledger import Ledger
from interlock.desk.personalising import Workbench
from interlock.desk.site_keys import Place, SiteKeys
from interlock.errors import CardError
from interlock.readers import CardSeen
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_crypto import KeyKind, crc32_nxp
from interlock.sim.card_desfire import Application, Desfire, DesfireKey, desfire_card
from interlock.sim.card_faults import Leaves
from interlock.sim.card_ntag424 import FACTORY_KEYS, NtagKey, ntag424_card
from tests.desk.card_rig import (
    AID,
    FRESH,
    ONE,
    TWO,
    UID,
    Disk,
    Line,
    chip_on,
    fresh_desfire,
    generations,
    kept,
    key_of,
    reader_line,
    tap,
    wanted,
)
from tests.readers.pn532_rig import POWER_UP_US, Pn532Rig

pytestmark = pytest.mark.fast

both_kinds = pytest.mark.parametrize("kind", sorted(FRESH))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@both_kinds
def test_a_fresh_card_gets_every_key_of_its_own(kind: str, disk: Disk) -> None:
    card = FRESH[kind]()
    ledger = disk.open()
    tap(Line(card), ONE, ledger)
    assert generations(card, ONE) == wanted(card, 1)
    contents = [content for content, _is_aes in kept(card).values()]
    assert len(set(contents)) == len(contents) == {"DESFire": 15, "NTAG 424": 5}[kind]
    assert ledger.unfinished() == 0


@both_kinds
def test_a_card_that_is_done_hears_nothing_that_changes_it(kind: str, disk: Disk) -> None:
    card = FRESH[kind]()
    ledger = disk.open()
    tap(Line(card), ONE, ledger)
    again = Line(card)
    tap(again, ONE, ledger)
    assert not [command for command in again.commands if changes_something(command)]


def changes_something(command: bytes) -> bool:
    code = command[1] if command[0] == 0x90 else command[0]
    return code in (0xC4, 0xCA, 0xDA, 0xFC, 0x54)


# ---------------------------------------------------------------------------- taken away at a command


def commands_of(make: Callable[[], BlockCard], keys: SiteKeys, folder: Path) -> int:
    line = Line(make())
    ledger = Disk(folder).open()
    tap(line, keys, ledger)
    ledger.close()
    return len(line.commands)


def rotated(kind: str) -> BlockCard:
    """A card of the first generation, to be brought to the second."""
    card = FRESH[kind]()
    software = card.software
    if isinstance(software, Desfire):
        places = [Place(AID, n) for n in range(14)]
        master = DesfireKey(key_of(ONE, 1, Place(CARD_AID, CARD_MASTER))[0], KeyKind.AES_128, 1)
        keys = tuple(DesfireKey(key_of(ONE, 1, place)[0], version=1) for place in places)
        software.memory = (
            Application(CARD_AID, (master,)),
            Application(AID, keys, 0x0B),
        )
        return card
    made = (NtagKey(key_of(ONE, 1, Place(CARD_AID, n))[0], 1) for n in range(5))
    return ntag424_card(UID, lambda count: bytes(range(count)), tuple(made))


BEGINNINGS: dict[str, tuple[Callable[[], BlockCard], SiteKeys]] = {
    "fresh DESFire": (FRESH["DESFire"], ONE),
    "fresh NTAG 424": (FRESH["NTAG 424"], ONE),
    "older DESFire": (lambda: rotated("DESFire"), TWO),
    "older NTAG 424": (lambda: rotated("NTAG 424"), TWO),
}


def is_known_to(ledger: Ledger, card: BlockCard, keys: SiteKeys) -> list[str]:
    """Places whose key is not among those the ledger says it may be (or, untouched, what it was before)."""
    lost = []
    for place, generation in generations(card, keys).items():
        may = ledger.may_hold(keys.card_tag(UID), place)
        untouched = (0,) if keys is ONE else (1,)
        if generation is None or generation not in (may or untouched):
            lost.append(f"{place}: holds {generation}, ledger says {may}")
    return lost


def interrupted_everywhere(
    beginning: str, folder: Path, open_ledger: Callable[[Disk], Ledger]
) -> list[str]:
    """Every command twice, unheard and heard: what was lost, and the cards that were not finished later."""
    make, keys = BEGINNINGS[beginning]
    trouble = []
    for at in range(commands_of(make, keys, folder)):
        for heard in (False, True):
            disk, card = Disk(folder), make()
            ledger = open_ledger(disk)
            with pytest.raises(CardError):
                tap(Line(card, leaves_at=at, heard=heard), keys, ledger)
            ledger.close()
            # The desk computer loses its power in the same moment.
            ledger = disk.open()
            trouble += [f"command {at}: {text}" for text in is_known_to(ledger, card, keys)]
            tap(Line(card), keys, ledger)
            if generations(card, keys) != wanted(card, keys.newest) or ledger.unfinished():
                trouble.append(f"command {at}: not finished by the second tap")
            ledger.close()
    return trouble


@pytest.mark.parametrize("beginning", sorted(BEGINNINGS))
def test_a_card_taken_away_at_any_command_has_no_unknown_key_and_the_next_tap_finishes(
    beginning: str, tmp_path: Path
) -> None:
    assert interrupted_everywhere(beginning, tmp_path, Disk.open) == []


class WrittenAfter(Ledger):
    """The planted mistake: the ledger is written when the card has answered, not before it is asked."""

    def intend(self, card: str, place: Place, old: int, new: int) -> None:
        """Later."""


def written_after(disk: Disk) -> Ledger:
    disk.open().close()
    return WrittenAfter(disk.path, disk.sync)


def not_on_the_disk(disk: Disk) -> Ledger:
    """The planted mistake: what is written reaches the disk some time or other."""
    disk.open().close()
    return Ledger(disk.path, lambda _: None)


@pytest.mark.parametrize("beginning", sorted(BEGINNINGS))
@pytest.mark.parametrize("open_ledger", [written_after, not_on_the_disk])
def test_a_ledger_that_is_late_is_noticed(
    beginning: str, open_ledger: Callable[[Disk], Ledger], tmp_path: Path
) -> None:
    assert interrupted_everywhere(beginning, tmp_path, open_ledger) != []


@both_kinds
def test_before_each_command_that_changes_a_key_the_disk_has_both_keys(
    kind: str, disk: Disk
) -> None:
    card = FRESH[kind]()
    line = Line(card)
    told: list[tuple[int, bytes]] = []
    line.before = lambda command: (
        told.append((disk.syncs, disk.safe.splitlines()[-1]))
        if changes_something(command) and 0xC4 in command[:2]
        else None
    )
    tap(line, ONE, disk.open())
    assert len(told) == {"DESFire": 15, "NTAG 424": 5}[kind]
    assert all(b'"may":[0,1]' in last for _syncs, last in told)
    assert len({last for _syncs, last in told}) == len(told)


# ------------------------------------------------------------------------------ taken away at a frame


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
@both_kinds
def test_a_card_taken_away_at_any_frame_of_the_air_is_finished_later(
    kind: str, heard: bool, tmp_path: Path
) -> None:
    whole = Leaves(FRESH[kind](), at_frame=-1)
    line, _rig = reader_line(whole)
    ledger = Disk(tmp_path).open()
    tap(line, ONE, ledger)
    ledger.close()
    first = 8
    """Frames before that select the card; nothing can happen to it there."""
    assert whole.frames > 35
    for at in range(first, whole.frames):
        disk, card = Disk(tmp_path), FRESH[kind]()
        ledger = disk.open()
        leaving = Leaves(card, at_frame=at, heard=heard)
        line, rig = reader_line(leaving)
        with pytest.raises(CardError):
            tap(line, ONE, ledger)
        ledger.close()
        ledger = disk.open()
        assert is_known_to(ledger, card, ONE) == [], f"frame {at}"
        leaving.brought_back()
        rig.reader.poll()
        line, _rig = reader_line(card)
        tap(line, ONE, ledger)
        assert generations(card, ONE) == wanted(card, 1), f"frame {at}"
        ledger.close()


@both_kinds
def test_a_pn532_makes_cards_genuine_too(kind: str, disk: Disk) -> None:
    rig, card = Pn532Rig().opened(), FRESH[kind]()
    rig.chip.place(card)
    rig.clock.advance_us(POWER_UP_US)
    seen = rig.reader.poll()
    assert isinstance(seen, CardSeen)
    assert seen.transceive is not None
    tap(seen.transceive, ONE, disk.open())
    assert generations(card, ONE) == wanted(card, 1)


# -------------------------------------------------------------------------------------- many returns


@both_kinds
def test_a_card_that_leaves_again_and_again_is_finished_in_the_end(kind: str, disk: Disk) -> None:
    """Three commands more each time, the last of them heard without an answer."""
    card = FRESH[kind]()
    ledger = disk.open()
    taps = 0
    for taps in range(1, 60):
        try:
            tap(Line(card, leaves_at=8 + 6 * taps, heard=True), ONE, ledger)
        except CardError:
            assert is_known_to(ledger, card, ONE) == []
            continue
        break
    assert 1 < taps < 59
    assert generations(card, ONE) == wanted(card, 1)


@both_kinds
def test_without_its_ledger_a_desk_finishes_a_card_by_the_versions_on_it(
    kind: str, tmp_path: Path
) -> None:
    """A desk computer that burned down: site keys restored from paper, ledger gone."""
    commands = commands_of(FRESH[kind], ONE, tmp_path)
    for at in range(commands):
        card = FRESH[kind]()
        ledger = Disk(tmp_path).open()
        with pytest.raises(CardError):
            tap(Line(card, leaves_at=at, heard=True), ONE, ledger)
        ledger.close()
        ledger = Disk(tmp_path).open()
        tap(Line(card), ONE, ledger)
        assert generations(card, ONE) == wanted(card, 1)
        ledger.close()


# --------------------------------------------------------------------------------- rotation and policy


@both_kinds
def test_the_key_that_machines_ask_for_is_kept_while_the_others_become_new(
    kind: str, disk: Disk
) -> None:
    card = rotated(kind)
    tap(Line(card), TWO, disk.open(), keep=[1], slot=3)
    assert generations(card, TWO) == wanted(card, 2, {1: 1})


def test_a_card_whose_master_key_is_left_to_its_issuer_keeps_it(disk: Disk) -> None:
    card = fresh_desfire()
    chip = DesfireChip(Line(card), AID, looks_after_card=False)
    bench = Workbench(chip, UID, ONE, disk.open())
    bench.carry_out(bench.plan())
    assert generations(card, ONE) == {**wanted(card, 1), Place(CARD_AID, CARD_MASTER): 0}


def test_a_card_whose_issuer_lets_nobody_in_is_refused_unchanged(disk: Disk) -> None:
    issuers = DesfireKey(b"i" * 16, KeyKind.AES_128, 0)
    card = desfire_card(UID, bytes, (Application(CARD_AID, (issuers,), 0x09),))
    before = kept(card)
    chip = DesfireChip(Line(card), AID, looks_after_card=False)
    bench = Workbench(chip, UID, ONE, disk.open())
    with pytest.raises(CardError, match="issuer"):
        bench.carry_out(bench.plan())
    assert kept(card) == before
    assert disk.safe == b""


@both_kinds
def test_a_card_of_another_lab_is_refused_unchanged(kind: str, disk: Disk) -> None:
    card = rotated(kind)
    before = kept(card)
    line = Line(card)
    with pytest.raises(CardError, match="belongs to somebody else"):
        tap(line, SiteKeys("test lab", {1: b"another lab's key"[:16]}), disk.open())
    assert kept(card) == before
    assert not [command for command in line.commands if changes_something(command)]
    assert len([command for command in line.commands if 0xAF in command[:2]]) < 10


def test_an_application_of_the_same_number_with_other_keys_is_refused_unchanged(
    disk: Disk,
) -> None:
    des = DesfireKey(kind=KeyKind.TWO_KEY_3DES)
    other = Application(AID, (des, des))
    card = desfire_card(UID, bytes, (Application(CARD_AID, (des,)), other))
    before = kept(card)
    with pytest.raises(CardError, match="F51001 is not the lab's"):
        tap(Line(card), ONE, disk.open())
    assert kept(card) == before


@both_kinds
def test_a_card_that_says_another_number_than_the_reader_saw_is_refused_unchanged(
    kind: str, disk: Disk
) -> None:
    """Keys derived from a misread UID would be lost with it."""
    card = FRESH[kind]()
    card.software.uid = bytes(7)  # type: ignore[attr-defined] # the model's software keeps its own
    before = kept(card)
    with pytest.raises(CardError, match="another card answers"):
        tap(Line(card), ONE, disk.open())
    assert kept(card) == before


def test_a_card_whose_number_has_a_crc_that_ends_in_zero_is_personalised_like_any_other(
    disk: Disk,
) -> None:
    """The library takes that zero for padding (its get_real_uid fails on one card of 256, for ever)."""
    uid = next(
        uid
        for uid in (bytes.fromhex("04") + n.to_bytes(6, "big") for n in range(10_000))
        if crc32_nxp(uid + b"\x00")[-1] == 0
    )
    card = desfire_card(uid, lambda count: bytes(range(1, count + 1)))
    chip = DesfireChip(Line(card), AID, looks_after_card=True)
    bench = Workbench(chip, uid, ONE, disk.open())
    bench.carry_out(bench.plan())
    assert kept(card)[Place(AID, 1)] == (ONE.card_key(1, uid, Place(AID, 1)), True)


# ----------------------------------------------------------------------------------------- dry, secret


@both_kinds
def test_a_plan_alone_changes_neither_card_nor_ledger(kind: str, disk: Disk) -> None:
    card = FRESH[kind]()
    before = kept(card)
    line = Line(card)
    ledger = disk.open()
    plan = Workbench(chip_on(line), UID, ONE, ledger).plan()
    assert plan.steps == {"DESFire": 16, "NTAG 424": 5}[kind]
    assert kept(card) == before
    assert disk.path.read_bytes() == b""


@both_kinds
def test_no_key_is_logged_and_none_is_in_the_ledger(
    kind: str, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    card = FRESH[kind]()
    tap(Line(card), ONE, disk.open())
    secrets = [content for content, _ in kept(card).values()] + [ONE.generations[1], UID]
    told = caplog.text.lower().replace(" ", "") + disk.safe.decode().lower()
    assert told
    assert not [secret for secret in secrets if secret.hex() in told]


def test_the_factory_keys_of_the_model_are_those_the_desk_expects() -> None:
    assert {key.content for key in FACTORY_KEYS} == {bytes(16)}
