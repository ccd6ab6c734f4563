"""Genuine badges in the running demo: they work, their copy does not, and no node stores a site key."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.config.secret_files import read_node_keys
from interlock.protocol.tags import badge_tag
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_desfire import Desfire
from interlock.sim.card_faults import desfire_of
from interlock.sim.card_ntag424 import Ntag424
from interlock.sim.card_tray import CARD_MASTER, CardKind, machines_key_of, site_key
from interlock.sim.cards import Card
from interlock.sim.lab import TRAY, card_box
from tests.sim.demos import RunningDemo
from tests.waiting import wait_until

GENUINE, COPY = (next(one for one in TRAY if one.key == key) for key in ("genuine", "copy"))
KEYED = [one for one in TRAY if one.kind in (CardKind.DESFIRE, CardKind.NTAG424)]


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        running = RunningDemo(Path(path))
        yield running
        running.end()


@pytest.mark.real
def test_a_genuine_badge_works_its_copy_does_not_and_no_node_stores_a_site_key(
    demo: RunningDemo,
) -> None:
    demo.machine("saw").use("genuine")
    assert heard(demo, "saw", "known, genuine")
    demo.machine("saw").tap("copy")
    wait_until(lambda: heard(demo, "saw", "refused BADGE_NOT_GENUINE"), 10, "the copy is refused")
    assert not demo.machine("saw").world()["relay"]
    demo.machine("printer").tap("ntag424")
    wait_until(lambda: demo.machine("printer").world()["relay"], 10, "the printer has power")
    assert heard(demo, "printer", "known, genuine")

    secrets = {f"site key {number}": site_key(number) for number in range(CARD_MASTER + 1)}
    for badge in KEYED:
        key = machines_key_of(badge.uid, badge.kind)
        assert key is not None
        secrets[f"key of {badge.key}"] = key
    assert {name for name, secret in secrets.items() if stored(demo.folder, secret)} == set()
    # The control: the search finds what a node does store, in its database and in its key file.
    machine = demo.machine("saw").folder
    keys = read_node_keys(machine.node_keys)
    assert stored(machine.state, badge_tag(keys.badge_key, GENUINE.uid))
    assert stored(machine.path, keys.decryption_key)


@pytest.mark.fast
def test_a_badge_is_the_same_card_each_time_and_its_copy_another_with_the_same_number() -> None:
    box = card_box()
    genuine, copy = box.card(GENUINE.printed, GENUINE.uid), box.card(COPY.printed, COPY.uid)
    assert genuine is box.card(GENUINE.key, GENUINE.uid)
    assert genuine is box.card("Two at once", GENUINE.uid), (
        "the original where the print says nothing"
    )
    assert copy is box.card(COPY.key, COPY.uid)
    assert copy is not genuine
    assert (copy.uid, copy.atqa, copy.sak) == (genuine.uid, genuine.atqa, genuine.sak)


@pytest.mark.fast
def test_the_copy_looks_like_the_original_and_knows_none_of_its_keys() -> None:
    box = card_box()
    genuine = desfire_of(as_blocks(box.card(GENUINE.key, GENUINE.uid))).memory[1]
    copy = desfire_of(as_blocks(box.card(COPY.key, COPY.uid))).memory[1]
    assert (copy.aid, copy.settings, len(copy.keys)) == (
        genuine.aid,
        genuine.settings,
        len(genuine.keys),
    )
    assert not {one.content for one in genuine.keys} & {one.content for one in copy.keys}


@pytest.mark.fast
def test_every_key_of_every_badge_is_its_own() -> None:
    box = card_box()
    keys: list[bytes] = [site_key(number) for number in range(CARD_MASTER + 1)]
    for badge in KEYED:
        software = as_blocks(box.card(badge.key, badge.uid)).software
        if isinstance(software, Desfire):
            keys += [key.content for level in software.memory for key in level.keys]
        elif isinstance(software, Ntag424):
            keys += [key.content for key in software.keys]
    desfire = [one for one in KEYED if one.kind is CardKind.DESFIRE]
    assert len(desfire) == 3
    assert len(keys) == len(set(keys)) == CARD_MASTER + 1 + 6 * len(desfire) + 5


@pytest.mark.fast
def test_a_badge_nobody_made_is_a_cheap_card() -> None:
    card = card_box().card("Bob", bytes.fromhex("01020304"))
    assert not isinstance(card, BlockCard)
    assert card.uid.hex() == "01020304"


def as_blocks(card: Card) -> BlockCard:
    assert isinstance(card, BlockCard)
    return card


def heard(demo: RunningDemo, machine: str, words: str) -> bool:
    """Whether the node's log says so."""
    logs = (demo.folder / "run" / "logs").glob(f"{machine}-node*")
    return any(words in one.read_text(encoding="utf-8") for one in logs)


def stored(folder: Path, secret: bytes) -> bool:
    """Whether any file below `folder` has `secret` in it, as bytes or in hex."""
    spellings = (secret, secret.hex().encode(), secret.hex().upper().encode())
    files = [one for one in folder.rglob("*") if one.is_file()]
    assert files, "nothing was searched"
    return any(spelling in one.read_bytes() for one in files for spelling in spellings)
