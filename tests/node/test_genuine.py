"""Only a badge that knows its key arrives as itself, within 600 ms, whatever lies on the antenna."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.core.model import Assurance, BadgeState
from interlock.node.genuine import TRANSACTION_MS_MAX
from interlock.node.reader_worker import ReaderWork
from interlock.node.snapshot_builder import build
from interlock.protocol.card_keys import public_half, seal, wrap
from interlock.protocol.snapshots import entry_lines, signed_snapshot
from interlock.protocol.tags import CODE_ALPHABET, CODE_LENGTH, badge_tag, short_code
from interlock.sim.card_blocks import ENDLESS, Ats, Habits
from interlock.sim.card_desfire import desfire_card
from interlock.sim.cards import Card, Phone
from interlock.sim.rc522_faults import AnswersLost, BitsFlipped, CardsRemoved, WeakField
from tests.node.genuine_rig import (
    DESFIRE,
    GAP_POLLS,
    GENUINE,
    KEY,
    MEMBER,
    NOT_GENUINE,
    NTAG,
    OTHER_UID,
    PRESENT_AGAIN,
    TAG,
    UID,
    WRAPPING_KEY,
    WRONG_KEY,
    Bench,
    desfire,
    ntag,
    slow,
    snapshot,
    written,
)
from tests.node.signed_snapshots import HUB, SIGNED_KEYS, header, order

pytestmark = pytest.mark.fast


@pytest.fixture(name="folder", scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("genuine")


@pytest.fixture(name="cache", scope="module")
def desfire_cache(folder: Path) -> Path:
    return snapshot(folder)


@pytest.fixture(name="bench")
def new_bench(cache: Path) -> Iterator[Bench]:
    bench = Bench(cache)
    yield bench
    bench.work.close()


@pytest.fixture
def until_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


FRAMES_OF_A_SELECTION = GAP_POLLS + 1 + 5
"""One for each empty poll before, and WUPA and two levels (the first turn opens the reader and polls, too)."""

# ------------------------------------------------------------------------------------ on arrival


def test_a_badge_that_knows_its_key_arrives_as_genuine(bench: Bench) -> None:
    bench.lay(desfire(), polls=5)
    bench.lift()
    assert bench.kinds() == ["BadgeArrived", "BadgeRemoved"]
    (badge,) = bench.badges()
    assert (badge.tag, badge.entry, badge.code) == (TAG, MEMBER, None)
    assert bench.outcomes() == [GENUINE]


def test_an_ntag_424_that_knows_its_key_arrives_as_genuine(
    until_end: ExitStack, tmp_path: Path
) -> None:
    bench = Bench(snapshot(tmp_path, NTAG))
    until_end.callback(bench.work.close)
    bench.lay(ntag())
    bench.lift()
    bench.lay(ntag(WRONG_KEY))
    assert bench.outcomes() == [GENUINE, NOT_GENUINE]


@pytest.mark.parametrize(
    "clone",
    [
        desfire(WRONG_KEY),
        desfire_card(UID, random.Random(1).randbytes),
        ntag(),
        Card(UID, sak=0x00),
        Card(UID, sak=0x08),
    ],
    ids=[
        "wrong key",
        "no application",
        "another kind",
        "no 14443-4: type 2",
        "no 14443-4: classic",
    ],
)
def test_a_badge_with_a_cloned_uid_is_never_its_member(bench: Bench, clone: Card) -> None:
    bench.lay(clone, polls=30)
    assert bench.outcomes() == [NOT_GENUINE]
    assert bench.kinds() == ["BadgeArrived"]


def test_a_clone_that_only_claims_to_speak_iso_14443_4_opens_nothing(bench: Bench) -> None:
    bench.lay(Card(UID, sak=0x20), polls=30)
    assert bench.outcomes() == [PRESENT_AGAIN]


def test_without_the_rule_that_a_key_must_be_proved_a_clone_would_be_its_member(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate break: a badge that cannot prove itself falls back to its UID."""
    monkeypatch.setattr(ReaderWork, "_arrived", lambda self, card, entry, claim: None)
    bench.lay(Card(UID, sak=0x00))
    assert bench.outcomes() == [(Assurance.UID, None)]


def test_a_member_without_a_key_is_asked_for_nothing_and_counts_as_uid(
    until_end: ExitStack, tmp_path: Path
) -> None:
    lines = entry_lines([MEMBER])
    (tmp_path / "spool").write_bytes(signed_snapshot(HUB, header(lines), lines))
    build(order(tmp_path / "spool", tmp_path))
    bench = Bench(tmp_path / "auth-1-1.db")
    until_end.callback(bench.work.close)
    bench.lay(desfire(), polls=1)
    frames = bench.chip.air.frames
    assert bench.outcomes() == [(Assurance.UID, None)]
    assert frames == FRAMES_OF_A_SELECTION


def test_an_unknown_badge_is_asked_for_nothing_and_gets_a_code(bench: Bench) -> None:
    bench.lay(desfire(uid=OTHER_UID), polls=1)
    (badge,) = bench.badges()
    assert bench.chip.air.frames == FRAMES_OF_A_SELECTION
    assert (badge.entry, badge.assurance, badge.trouble) == (None, Assurance.UID, None)
    assert badge.code == short_code(badge_tag(SIGNED_KEYS.badge_key, OTHER_UID))


def test_a_blocked_badge_is_asked_for_nothing(until_end: ExitStack, tmp_path: Path) -> None:
    bench = Bench(snapshot(tmp_path, member=replace(MEMBER, badge=BadgeState.BLOCKED)))
    until_end.callback(bench.work.close)
    bench.lay(desfire(), polls=1)
    assert bench.chip.air.frames == FRAMES_OF_A_SELECTION
    assert bench.outcomes() == [(Assurance.UID, None)]


def test_a_phone_is_asked_for_nothing_and_has_no_code(bench: Bench) -> None:
    bench.lay(Phone(random.Random(4)), polls=1)
    (badge,) = bench.badges()
    assert (badge.entry, badge.code, badge.trouble) == (None, None, None)


@pytest.mark.parametrize("lack", ["node key", "wrapping key", "another node's", "another badge's"])
def test_a_key_that_cannot_be_opened_lets_nobody_in_and_is_logged(
    until_end: ExitStack, tmp_path: Path, caplog: pytest.LogCaptureFixture, lack: str
) -> None:
    node = "laser" if lack == "another node's" else SIGNED_KEYS.node
    tag = bytes(16) if lack == "another badge's" else TAG
    key = wrap(WRAPPING_KEY, KEY, node=node, tag=tag, slot=DESFIRE)
    sealed = seal(public_half(SIGNED_KEYS.decryption_key), WRAPPING_KEY)
    path = written(tmp_path, MEMBER, key, None if lack == "wrapping key" else sealed)
    own = None if lack == "node key" else SIGNED_KEYS.decryption_key
    bench = Bench(path, decryption_key=own)
    until_end.callback(bench.work.close)
    bench.lay(desfire())
    assert bench.outcomes() == [PRESENT_AGAIN]
    assert "cannot be opened" in caplog.text


def test_no_key_is_printed_or_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.lay(desfire())
    bench.lift()
    bench.lay(desfire(WRONG_KEY))
    shown = caplog.text + repr(bench.work)
    for secret in (KEY, WRAPPING_KEY, SIGNED_KEYS.decryption_key, SIGNED_KEYS.badge_key):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


# ------------------------------------------------------------------------------- trouble on the way

FRAMES_OF_AN_ARRIVAL = 5 + 4
"""WUPA and two levels, RATS, and three commands."""


@pytest.mark.parametrize("frame", range(FRAMES_OF_AN_ARRIVAL))
def test_a_badge_removed_before_any_frame_has_to_be_presented_again(
    bench: Bench, frame: int
) -> None:
    bench.chip.air.faults.append(CardsRemoved(bench.chip.air.frames + frame))
    bench.lay(desfire(), polls=20)
    assert bench.outcomes() == ([PRESENT_AGAIN] if frame >= 5 else [])
    assert bench.longest_ms <= TRANSACTION_MS_MAX
    bench.chip.air.faults.clear()
    bench.lay(desfire())
    assert bench.outcomes()[-1] == GENUINE


@pytest.mark.parametrize("frame", range(FRAMES_OF_AN_ARRIVAL))
@pytest.mark.parametrize("loss", ["answer", "flip"])
def test_one_spoiled_answer_costs_nobody_anything(bench: Bench, frame: int, loss: str) -> None:
    number = bench.chip.air.frames + frame
    fault = (
        AnswersLost(frozenset({number}))
        if loss == "answer"
        else BitsFlipped(in_answers={number: frozenset({3})})
    )
    bench.chip.air.faults.append(fault)
    bench.lay(desfire(), polls=10)
    assert bench.outcomes() == [GENUINE]


@pytest.mark.parametrize(
    "habits",
    [
        Habits(wtx_requests=ENDLESS),
        Habits(wtx_requests=ENDLESS, wtxm=59),
        Habits(ats=bytes(64)),
        Habits(ats=bytes((63, 0x75)) + bytes(61)),
        Habits(ats=bytes((200, 0x75)) + bytes(198)),
        Habits(ats=b""),
        Habits(ats=b"\x06\x75\x77\xee\x02\x80"),
    ],
    ids=[
        "endless",
        "endless and long",
        "zeros",
        "one byte too long",
        "far too long",
        "empty",
        "guard time of 5 s",
    ],
)
def test_a_card_with_bad_manners_is_refused_in_time_and_gone_when_it_leaves(
    bench: Bench, habits: Habits
) -> None:
    bench.lay(desfire(habits=habits), polls=20)
    assert bench.outcomes() == [PRESENT_AGAIN]
    assert bench.kinds() == ["BadgeArrived"], "it lies there still"
    assert bench.longest_ms <= TRANSACTION_MS_MAX
    bench.lift()
    bench.lay(desfire())
    assert bench.kinds() == ["BadgeArrived", "BadgeRemoved", "BadgeArrived"]
    assert bench.outcomes()[-1] == GENUINE


@pytest.mark.parametrize("requests", [1, 3, 5])
def test_a_card_that_needs_a_little_more_time_gets_it(bench: Bench, requests: int) -> None:
    bench.lay(desfire(habits=Habits(wtx_requests=requests)))
    assert bench.outcomes() == [GENUINE]


def test_a_card_too_slow_to_be_believed_is_asked_again(bench: Bench) -> None:
    card = desfire(ats=Ats(fwi=11))
    slow(card, 300_000)
    bench.lay(card, polls=20)
    assert bench.outcomes() == [PRESENT_AGAIN]
    assert bench.longest_ms <= TRANSACTION_MS_MAX


@pytest.mark.parametrize("carried", range(1, 14))
def test_a_weak_field_ends_in_the_right_badge_or_none(bench: Bench, carried: int) -> None:
    bench.chip.air.faults.append(WeakField(carried))
    bench.lay(desfire(), polls=30)
    assert set(bench.outcomes()) <= {GENUINE, PRESENT_AGAIN}
    assert bench.longest_ms <= TRANSACTION_MS_MAX
    bench.chip.air.faults.clear()
    bench.lift()
    bench.lay(desfire())
    assert bench.outcomes()[-1] == GENUINE


def test_a_reader_that_dies_while_it_asks_is_a_fault_and_the_badge_opens_nothing(
    bench: Bench,
) -> None:
    frames = bench.chip.air.frames

    def dying(driven: list[int]) -> list[int]:
        return [0] * len(driven) if bench.chip.air.frames > frames + 6 else driven

    bench.chip.miso = dying
    bench.lay(desfire(), polls=40)
    assert bench.kinds() == ["ReaderFailed"]
    bench.chip.miso = lambda driven: driven
    bench.polls(120)
    assert bench.kinds() == ["ReaderFailed", "ReaderRecovered", "BadgeFound"]


def test_an_arrival_whose_proof_the_reader_lost_has_to_be_presented_again(bench: Bench) -> None:
    frames = bench.chip.air.frames

    def deaf(driven: list[int]) -> list[int]:
        return [0] * len(driven) if bench.chip.air.frames > frames + 6 else driven

    bench.chip.miso = deaf
    bench.lay(desfire(), polls=1)
    bench.chip.miso = lambda driven: driven
    bench.polls(10)
    assert bench.kinds() == ["BadgeFound"]


FLIPS = st.dictionaries(
    st.integers(0, 40), st.frozensets(st.integers(0, 200), min_size=1, max_size=4), max_size=10
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FLIPS, FLIPS, st.booleans())
def test_noise_makes_no_forged_badge_genuine_and_no_genuine_badge_forged(
    cache: Path,
    frames: dict[int, frozenset[int]],
    answers: dict[int, frozenset[int]],
    genuine: bool,
) -> None:
    bench = Bench(cache)
    start = bench.chip.air.frames
    fault = BitsFlipped(
        {start + number: places for number, places in frames.items()},
        {start + number: places for number, places in answers.items()},
    )
    bench.chip.air.faults.append(fault)
    bench.lay(desfire(KEY if genuine else WRONG_KEY), polls=15)
    assert set(bench.outcomes()) <= {GENUINE if genuine else NOT_GENUINE, PRESENT_AGAIN}
    assert bench.longest_ms <= TRANSACTION_MS_MAX
    bench.work.close()


# ------------------------------------------------------------------------------------ short codes


@given(st.binary(min_size=16, max_size=16))
def test_a_short_code_follows_from_the_tag_and_can_be_read_aloud(tag: bytes) -> None:
    code = short_code(tag)
    assert code == short_code(tag)
    assert len(code) == CODE_LENGTH
    assert set(code) <= set(CODE_ALPHABET)
    assert not set(CODE_ALPHABET) & set("AEIOUYBGLQSZ015")


def test_short_codes_of_a_lab_s_strangers_hardly_ever_meet() -> None:
    codes = {short_code(number.to_bytes(16, "big")) for number in range(1_000)}
    assert len(codes) >= 999
