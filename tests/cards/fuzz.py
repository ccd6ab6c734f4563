"""Frames no card should send go in; what the reader's side made of them comes out, and must be right every time.

A case is what a card answers, frame after frame: bytes (a right CRC is added), `-` for silence, `!` for a spoiled
frame, `>` for bytes without their CRC. Cases that make the reader's side do something new are worth keeping:
`corpus.txt` holds them, each with its outcome, and `test_fuzz.py` replays them in every run.

    python -m tests.cards.fuzz --cases 200000 --seed 1 --keep
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from interlock.cards.authentication import authenticate
from interlock.cards.iso14443_4 import ATTEMPT_MS_MAX, FRAME_BYTES_MAX, Link, Medium
from interlock.cards.iso14443a import Answer, Trouble, with_crc
from interlock.errors import CardError
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.sim.clocks import VirtualClock

CORPUS = Path(__file__).with_name("corpus.txt")
KEY = bytes(range(0xA0, 0xB0))
SLOTS = {
    "desfire": CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("010af5"), 1),
    "ntag": CardSlot(Scheme.NTAG424_AES, bytes(3), 0),
}
FRAMES_MAX = 400
"""Three commands, each with its blocks, repetitions and extensions, need fewer; an endless exchange needs more."""
AIR_US = 300
SEEDS = (
    "desfire 067577810280 0200 03af{16} 0200{16}",
    "desfire 0205 02a0",
    "desfire 067577810280 f201 f23b 0200 a3 03ae",
    "ntag 067777710280 029000 03{16}91af 02{32}9100",
    "ntag 0205 026a82",
    "desfire 0205 1200 13 12af 03af{16} 0200{16}",
    "desfire 03258e",
    "desfire 3f75{61}",
    "desfire 0205 {chain}",
    "desfire 03250e f201 f201 f201 f201 f201 f201 f201 f201 f201 f201 f201 f201 f201 f201",
    "ntag - 0205 ! 0290 >0290 0300",
)
PIECES = (
    "02",
    "03",
    "12",
    "13",
    "a2",
    "a3",
    "b2",
    "b3",
    "c2",
    "f201",
    "f23b",
    "f200",
    "e050",
    "0a00",
    "06",
)


@dataclass(frozen=True)
class Outcome:
    """What a case came to: in words, after so many frames."""

    words: str
    frames: int

    def __str__(self) -> str:
        return f"{self.words} @{self.frames}"


class BreachError(AssertionError):
    """The reader's side did what it must never do."""


def run(case: str) -> Outcome:
    """The outcome of a case. Raises BreachError, or whatever else came out that should not have."""
    kind, *answers = case.split()
    clock, frames = VirtualClock(), 0
    waiting = iter(answers)

    def exchange(frame: bytes, wait_us: int) -> Answer | Trouble:
        nonlocal frames
        frames += 1
        if len(frame) > FRAME_BYTES_MAX or frames > FRAMES_MAX:
            raise BreachError(f"frame {frames} of {len(frame)} bytes")
        clock.advance_us(AIR_US)
        said = next(waiting, "-")
        if said in "-!":
            clock.advance_us(wait_us if said == "-" else 0)
            return Trouble.SILENCE if said == "-" else Trouble.SPOILED
        content = bytes.fromhex(said.removeprefix(">"))
        return Answer(content if said.startswith(">") else with_crc(content))

    medium = Medium(exchange, clock.boot_ms, lambda us: clock.advance_us(round(us)))
    link = Link(medium)
    try:
        proof = authenticate(link.transceive, SLOTS[kind], KEY, lambda length: bytes(range(length)))
        words = proof.name.lower()
    except CardError as error:
        words = error.what.partition(" (")[0]
    if clock.boot_ms() > ATTEMPT_MS_MAX + 2:
        raise BreachError(f"{clock.boot_ms()} ms")
    if words == "genuine":
        raise BreachError("a card without the key is genuine")
    return Outcome(words, frames)


def corpus() -> Iterator[tuple[str, str]]:
    """The kept cases, each with its outcome in words."""
    for line in CORPUS.read_text(encoding="ascii").splitlines():
        outcome, _, case = line.partition(" | ")
        yield case, outcome


def filled(seed: str) -> str:
    """A seed with its `{n}` replaced by n bytes, and `{chain}` by an answer without end."""
    for size in (16, 32, 61):
        seed = seed.replace(f"{{{size}}}", bytes(range(size)).hex())
    return seed.replace("{chain}", " ".join(("1200", "1300") * 17))


def mutated(case: str, draw: random.Random) -> str:
    """A case close to `case`."""
    kind, *answers = case.split()
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(answers) + 1)
        fresh = draw.choice((*PIECES, "-", "!", draw.randbytes(draw.randint(1, 66)).hex()))
        if place == len(answers) or draw.random() < 0.3:
            answers.insert(place, fresh)
        elif draw.random() < 0.2 and len(answers) > 1:
            del answers[place]
        elif answers[place] in "-!" or draw.random() < 0.3:
            answers[place] = fresh
        else:
            answers[place] = _bent(answers[place], draw)
    return " ".join((kind, *answers[:60]))


def _bent(said: str, draw: random.Random) -> str:
    mark, content = (">", said[1:]) if said.startswith(">") else ("", said)
    octets = bytearray.fromhex(content)
    match draw.randrange(5):
        case 0 if octets:
            octets[draw.randrange(len(octets))] ^= 1 << draw.randrange(8)
        case 1 if octets:
            del octets[draw.randrange(len(octets)) :]
        case 2:
            octets += draw.randbytes(draw.randint(1, 8))
        case 3:
            octets[0:0] = bytes.fromhex(draw.choice(PIECES))
        case _:
            mark = "" if mark else ">"
    return mark + octets.hex() if octets else "-"


@click.command(epilog="Example: python -m tests.cards.fuzz --cases 200000 --seed 1")
@click.option("--cases", default=100_000, help="How many cases to run.")
@click.option("--seed", default=1, help="Where the randomness begins.")
@click.option("--keep", is_flag=True, help="Write what was new into corpus.txt.")
def main(cases: int, seed: int, keep: bool) -> None:
    """Run mutated cases; every outcome seen for the first time becomes a new starting point."""
    draw = random.Random(seed)
    known = {str(run(case)): case for case in map(filled, SEEDS)}
    if CORPUS.exists():
        known |= {str(run(case)): case for case, _ in corpus()}
    began = len(known)
    for _ in range(cases):
        case = mutated(draw.choice(list(known.values())), draw)
        found = str(run(case))
        if len(case) < len(known.get(found, case + " ")):
            known[found] = case
    click.echo(f"{cases} cases, seed {seed}: no breach; {len(known) - began} outcomes were new")
    if keep:
        lines = sorted(f"{outcome} | {case}" for outcome, case in known.items())
        CORPUS.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
