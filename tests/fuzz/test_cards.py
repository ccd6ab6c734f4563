"""Whatever a card sends, or a reader chip tells of it: no badge, an unreadable one, and nobody's key proved."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given

from interlock.cards import aes
from interlock.cards.authentication import Proof, authenticate
from interlock.errors import CardError
from interlock.readers import pn532
from interlock.sim.cards import append_crc
from tests.cards.application_card import DesfireApplication, NtagApplication, counted
from tests.cards.fuzz import SEEDS, filled, mutated
from tests.cards.fuzz import run as over_blocks
from tests.fuzz import rogue_cards
from tests.fuzz.bending import SEEDED
from tests.fuzz.kept import BreachError, Surface, examples
from tests.fuzz.rogue_cards import (
    KEY,
    OTHER_KEY,
    SLOTS,
    Door,
    bent_script,
    kinds,
    on_bent_line,
    on_mfrc522,
    on_pn532,
)

pytestmark = pytest.mark.fast

LOOK_MS_MAX = 600
"""3-cards.md: two attempts at a badge's key; one look with one attempt is half of that."""
SILENCE_MS_MAX = 2_000
"""After so long without a word the node takes its reader for dead: no card may bring that about."""


def blocks(case: bytes) -> str:
    """Blocks of ISO 14443-4 under an authentication (tests/cards/fuzz.py says what a case is)."""
    return over_blocks(case.decode("ascii")).words


def answers(case: bytes) -> str:
    """Whole answers to the three commands of an authentication, in hexadecimal; `-`: the card is gone."""
    kind, *said = case.decode("ascii").split()
    waiting, asked = iter(said), 0

    def transceive(command: bytes) -> bytes:
        nonlocal asked
        asked += 1
        word = next(waiting, "-").lstrip(">")
        if word in ("-", "!", ""):
            raise CardError("it left", where="card")
        return bytes.fromhex(word)

    try:
        proof = authenticate(transceive, SLOTS[kind], KEY, lambda length: counted(0x55)[:length])
    except CardError as error:
        return f"card: {error.what.partition(' (')[0]}, {asked} asked"
    if proof is Proof.GENUINE:
        raise BreachError("an answer that nobody with the key made is genuine")
    return f"{proof.name.lower()}, {asked} asked"


def recorded(kind: str, key: bytes, drawn: int) -> str:
    """What a card with `key` answered a reader that knew it."""
    card = {"desfire": DesfireApplication, "ntag": NtagApplication}[kind](key)
    if isinstance(card, DesfireApplication):
        card.aid = SLOTS["desfire"].aid
    heard: list[str] = [kind]

    def listening(command: bytes) -> bytes:
        heard.append(card(command).hex())
        return bytes.fromhex(heard[-1])

    proof = authenticate(listening, SLOTS[kind], key, lambda length: counted(drawn)[:length])
    assert proof is Proof.GENUINE
    return " ".join(heard)


RECORDED = [
    recorded(kind, key, drawn)
    for kind in SLOTS
    for key, drawn in ((KEY, 0x33), (OTHER_KEY, 0x33), (OTHER_KEY, 0x55))
]
"""Played back with the lab's own key, and with another's: the last with the very numbers that the reader draws."""

RC522, PN532 = Door(on_mfrc522, LOOK_MS_MAX), Door(on_pn532, SILENCE_MS_MAX)
LINE = Door(on_bent_line, SILENCE_MS_MAX, may_fail=True)


def close_to(good: list[str]) -> Callable[[Random], bytes]:
    return lambda draw: mutated(draw.choice(good), draw).encode()


def bent(surface: Surface) -> Callable[[Random], bytes]:
    """Near one of the kinds of card, or near a case that was kept."""
    good = [*kinds(), *(case for _, case in surface.kept())]
    return lambda draw: bent_script(draw, draw.choice(good))


BLOCKS, ANSWERS = Surface("card_blocks", blocks), Surface("card_answers", answers)
ON_RC522, ON_PN532 = Surface("cards_mfrc522", RC522.run), Surface("cards_pn532", PN532.run)
ON_LINE = Surface("line_pn532", LINE.run)
DOORS: dict[str, tuple[Surface, Callable[[Random], bytes], int]] = {
    "blocks": (BLOCKS, close_to([filled(seed) for seed in SEEDS]), 150),
    "answers": (ANSWERS, close_to(RECORDED), 150),
    "cards before an RC522": (ON_RC522, bent(ON_RC522), 15),
    "cards before a PN532": (ON_PN532, bent(ON_PN532), 15),
    "what a PN532 says": (ON_LINE, bent(ON_LINE), 15),
}
"""Each door, what is sent through it, and how many of that in every run."""


@pytest.mark.parametrize("door", DOORS)
def test_no_card_is_genuine_without_its_key_nor_stops_the_reader(door: str) -> None:
    surface, case, few = DOORS[door]

    @examples(few)
    @given(SEEDED)
    def send(draw: Random) -> None:
        surface.outcome(case(draw))

    try:
        send()
    finally:
        surface.keep()


@pytest.mark.parametrize("door", DOORS)
def test_a_kept_card_ends_as_it_did(door: str) -> None:
    surface, _, _ = DOORS[door]
    kept = list(surface.kept())
    assert len(kept) > 5, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


def test_cards_that_keep_the_rules_are_what_they_are() -> None:
    """A door at which every card is unreadable would pass every test above."""
    assert [ON_RC522.outcome(kind) for kind in kinds()] == [
        *("forged", "forged", "uid of 4", "uid of 7", "uid of 10"),
    ]
    assert [ON_PN532.outcome(kind) for kind in kinds()] == [
        *("forged", "forged", "uid of 4", "uid of 7", "uid of 10"),
    ]
    assert [ON_LINE.outcome(kind) for kind in kinds()] == [
        *("forged", "forged", "uid of 4", "uid of 7", "uid of 10"),
    ]
    assert {ANSWERS.outcome(case.encode()) for case in RECORDED} == {"forged, 3 asked"}


def test_an_answer_that_gets_through_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deliberate break: proofs are not compared."""
    monkeypatch.setattr(aes, "same", lambda one, other: True)
    with pytest.raises(BreachError, match="genuine"):
        ANSWERS.outcome(RECORDED[0].encode())


@pytest.mark.parametrize("surface", [ON_RC522, ON_PN532, ON_LINE], ids=lambda one: str(one.name))
def test_a_card_that_gets_through_would_be_noticed(
    surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness itself: the card that must not be genuine has the key."""
    monkeypatch.setattr(rogue_cards, "OTHER_KEY", KEY)
    with pytest.raises(BreachError, match="genuine"):
        surface.outcome(b"ntag")


def test_a_card_that_could_break_the_reader_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deliberate break: what no card may carry counts as a fault of the reader."""
    monkeypatch.setattr(pn532, "UID_SIZES", (4,))
    with pytest.raises(BreachError, match="breaks the reader"):
        ON_PN532.outcome(b"seven")


MORE_TIME = append_crc(bytes.fromhex("f23b")).hex()
ENDLESS = " ".join(["desfire", *(f"{number}={MORE_TIME}" for number in range(6, 90))]).encode()


def test_a_card_that_asks_for_time_without_end_gets_little_and_more_would_be_noticed() -> None:
    assert "more time" in ON_RC522.outcome(ENDLESS)
    assert ON_PN532.outcome(ENDLESS) == "none"
    with pytest.raises(BreachError, match="one look took"):
        Door(on_mfrc522, look_ms_max=20).run(ENDLESS)
