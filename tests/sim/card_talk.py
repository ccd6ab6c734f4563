"""Frames and commands for card models: hex goes in, what the card said comes out as hex."""

from __future__ import annotations

from collections.abc import Callable

from interlock.sim.card_blocks import BlockCard, Software
from interlock.sim.cards import Card, CardState, append_crc, cascade_levels, has_crc
from interlock.sim.rc522_air import Bits, CardAnswer, bits_of, bytes_of, with_parity

UID = bytes.fromhex("04782e21801d80")
RATS = "e050"
ATS_DESFIRE = "067577810280"


def drawn(*values: str) -> Callable[[int], bytes]:
    """Randomness that is known: these values, in this order, each of the length asked for."""
    left = [bytes.fromhex(value) for value in values]

    def draw(length: int) -> bytes:
        value = left.pop(0)
        assert len(value) == length
        return value

    return draw


def counted() -> Callable[[int], bytes]:
    """Other bytes at every draw, the same in every run."""
    calls = iter(range(1, 256))
    return lambda length: bytes((next(calls),)) * length


def framed(content: str) -> Bits:
    """A frame as the reader sends it: CRC and parity."""
    return with_parity(bits_of(append_crc(bytes.fromhex(content))))


def heard(card: Card, content: str) -> CardAnswer | None:
    """The card's answer to a frame, with its timing."""
    return card.hear(framed(content))


def said(card: Card, *contents: str) -> list[str | None]:
    """What the card answers to each frame, CRC checked and taken off; None for silence."""
    answers: list[str | None] = []
    for content in contents:
        answer = heard(card, content)
        if answer is None:
            answers.append(None)
            continue
        frame = bytes_of(answer.bits)
        assert has_crc(frame)
        answers.append(frame[:-2].hex())
    return answers


def select(card: Card) -> None:
    """The card is powered and ACTIVE."""
    card.power_on()
    card.hear(bits_of([0x52])[:7])
    for code, part in zip((0x93, 0x95, 0x97), cascade_levels(card.uid), strict=False):
        card.hear(framed(bytes((code, 0x70)).hex() + part.hex()))
    assert card.state is CardState.ACTIVE


def activated(card: BlockCard) -> BlockCard:
    """The card is in PROTOCOL, for a reader of 64-byte frames."""
    select(card)
    assert card.hear(framed(RATS)) is not None
    assert card.state is CardState.PROTOCOL
    return card


def told(software: Software, *commands: str) -> list[str]:
    """What the software of a card answers to each command, without any reader."""
    answers = []
    for command in commands:
        reply = software.answer(bytes.fromhex(command))
        assert reply is not None
        answers.append(reply.content.hex())
    return answers
