"""A card that breaks the rules at chosen frames goes before a real reader on its chip's model; its answers come out.

A case is a kind of card and what becomes of the frames it sends, counted from 0:

    desfire 3=0102 5- 7^12 9+90000 11=08.5      other bytes · silence · that bit flipped · so many µs late · 5 bits less
    desfire 4^77.1                              on the line: that bit flipped, and the frame's sum made right again

Two readers are fuzzed with the same cards: the RC522, whose frames our own code reads bit by bit, and the PN532, whose
firmware reads them and tells of cards; of that one the bytes on its serial line too.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from interlock.cards.authentication import Proof, authenticate
from interlock.errors import CardError, ReaderError
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen, Reader, SeveralCards
from interlock.readers.pn532_frames import START
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.cards import SAK_TYPE_2, Card
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522_air import BYTE_BITS, AirCard, Bits, CardAnswer, bits_of
from tests.fuzz.kept import BreachError
from tests.readers.pn532_rig import POWER_UP_US, Pn532Rig
from tests.readers.rig import Rig

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))
AID = bytes.fromhex("0110f5")
FOUR, SEVEN, TEN = (
    bytes.fromhex(uid) for uid in ("deadbeef", "04112233445566", "04112233445566778899")
)
SLOTS = {
    "desfire": CardSlot(Scheme.DESFIRE_AES, AID, 1),
    "ntag": CardSlot(Scheme.NTAG424_AES, bytes(3), 0),
}
POLLS = 3
POLL_INTERVAL_US = 50_000
UID_BYTES = (4, 7, 10)
_WORD = re.compile(r"(\d{1,3})([-^+=])([0-9a-f]{0,600})(?:\.([0-7]))?")


def card(kind: str, key: bytes) -> Card:
    """A card of that kind; what it keeps is sealed with `key`."""
    draw = random.Random(7).randbytes
    match kind:
        case "desfire":
            held = Application(AID, (DesfireKey(), DesfireKey(key)))
            return desfire_card(SEVEN, draw, (FACTORY_MASTER, held))
        case "ntag":
            return ntag424_card(SEVEN, draw, (NtagKey(key),) * 5)
        case "four":
            return Card(FOUR)
        case "ten":
            return Card(TEN, sak=SAK_TYPE_2)
        case _:
            return Card(SEVEN, sak=SAK_TYPE_2)


@dataclass(frozen=True)
class Bend:
    """What becomes of one thing that was said: `what` is one of the signs of a case's words."""

    what: str
    said: str
    less: int

    @property
    def number(self) -> int:
        """A place or a time."""
        return int(self.said) if self.said.isdecimal() else 0

    @property
    def octets(self) -> bytes:
        """Other bytes."""
        return bytes.fromhex(self.said[: len(self.said) // 2 * 2])

    def of_answer(self, answer: CardAnswer | None) -> CardAnswer | None:
        """What the air carries instead of `answer`."""
        if self.what == "=":
            bits = bits_of(self.octets)[: max(0, BYTE_BITS * len(self.octets) - self.less)]
            return CardAnswer(bits) if bits else None
        if answer is None or self.what == "-":
            return None
        if self.what == "+":
            return replace(answer, delay_us=float(self.number))
        at = self.number % max(1, len(answer.bits))
        return replace(
            answer, bits=(*answer.bits[:at], answer.bits[at] ^ 1, *answer.bits[at + 1 :])
        )

    def of_line(self, heard: bytes) -> bytes:
        """What the host hears instead of `heard`; late is doubled there, for the line has no time of its own."""
        if self.what == "=":
            return self.octets
        if self.what == "+":
            return heard + heard
        if not heard or self.what == "-":
            return b""
        bent = bytearray(heard)
        bent[self.number // BYTE_BITS % len(bent)] ^= 1 << self.number % BYTE_BITS
        return _summed_again(bent) if self.less else bytes(bent)


def _summed_again(bent: bytearray) -> bytes:
    """The last frame of these adds up, whatever it says now."""
    begin = bent.rfind(START) + len(START)
    length = bent[begin] if 0 < begin < len(bent) else 0
    end = begin + 2 + length
    if length and end < len(bent):
        bent[begin + 1] = -length & 0xFF
        bent[end] = -sum(bent[begin + 2 : end]) & 0xFF
    return bytes(bent)


def words_of(case: bytes) -> tuple[str, dict[int, Bend]]:
    """The kind of card, and what becomes of which of its frames; words that are none are left out."""
    kind, *words = case.decode("ascii", "replace").split() or ["seven"]
    script = {}
    for found in filter(None, map(_WORD.fullmatch, words)):
        number, what, said, less = found.groups()
        script[int(number)] = Bend(what, said, int(less or 0))
    return kind, script


class Rogue:
    """An `AirCard` that keeps the rules but for the frames of a script."""

    def __init__(self, case: bytes) -> None:
        kind, self._script = words_of(case)
        self._card = card(kind, OTHER_KEY)
        self._heard = 0

    def hear(self, frame: Bits) -> CardAnswer | None:
        """What the card answers, or what the script says instead."""
        answer, bend = self._card.hear(frame), self._script.get(self._heard)
        self._heard += 1
        return answer if bend is None else bend.of_answer(answer)

    def power_on(self) -> None:
        """The field reached it."""
        self._card.power_on()

    def power_off(self) -> None:
        """The field is gone."""
        self._card.power_off()


class Chip(Protocol):
    """A reader chip's model, as hands know it."""

    def place(self, card: AirCard) -> object:
        """It lies there."""

    def remove(self, card: AirCard) -> object:
        """It is gone."""


@dataclass(frozen=True)
class Bench:
    """A reader on its chip's model, under virtual time."""

    reader: Reader
    chip: Chip
    clock: VirtualClock


@dataclass
class Door:
    """What one reader makes of a case, poll by poll; `may_fail`: its chip itself is lied about."""

    bench: Callable[[bytes], tuple[Bench, AirCard]]
    look_ms_max: int
    may_fail: bool = False
    slowest_ms: int = 0

    def run(self, case: bytes) -> str:
        """In words what the polls saw; then a genuine badge is found by the same reader. Raises BreachError."""
        bench, laid = self.bench(case)
        kind = case.decode("ascii", "replace").partition(" ")[0]
        bench.chip.place(laid)
        bench.clock.advance_us(POWER_UP_US)
        seen = [self._looked(bench, kind) for _ in range(POLLS)]
        bench.chip.remove(laid)
        self._works_again(bench)
        return "; ".join(dict.fromkeys(seen))

    def _looked(self, bench: Bench, kind: str) -> str:
        begun_ms = bench.clock.boot_ms()
        try:
            words = self._said(bench.reader.poll(), kind)
        except ReaderError as error:
            if not self.may_fail:
                raise BreachError(f"a card breaks the reader: {error}") from error
            words = f"reader: {error.what.partition(' (')[0]}"
        took_ms = bench.clock.boot_ms() - begun_ms
        self.slowest_ms = max(self.slowest_ms, took_ms)
        if took_ms > self.look_ms_max:
            raise BreachError(f"one look took {took_ms} ms")
        if words.startswith("reader"):
            # As the node's worker does; it may fail again.
            with suppress(ReaderError):
                bench.reader.open()
        bench.clock.advance_us(POLL_INTERVAL_US)
        return words

    def _said(self, sight: object, kind: str) -> str:
        if sight is None or isinstance(sight, SeveralCards):
            return "none" if sight is None else "several"
        assert isinstance(sight, CardSeen)
        if len(sight.uid) not in UID_BYTES or not 0 <= sight.sak <= 0xFF or len(sight.atqa) != 2:
            raise BreachError(f"a card that cannot be: {sight}")
        if sight.transceive is None:
            return f"uid of {len(sight.uid)}"
        try:
            slot = SLOTS["ntag" if kind == "ntag" else "desfire"]
            proof = authenticate(sight.transceive, slot, KEY, _counted)
        except CardError as error:
            return f"card: {error.what.partition(' (')[0]}"
        if proof is Proof.GENUINE:
            raise BreachError("a card without the key is genuine")
        return proof.name.lower()

    def _works_again(self, bench: Bench) -> None:
        """Whatever lay there: the badge after it is read, and its key proved, within three looks."""
        if self.may_fail:
            bench.reader.open()
        bench.chip.place(card("desfire", KEY))
        for _ in range(POLLS):
            bench.clock.advance_us(POLL_INTERVAL_US)
            sight = bench.reader.poll()
            if isinstance(sight, CardSeen) and self._proves(sight):
                return
        raise BreachError("the badge after it is not read any more")

    @staticmethod
    def _proves(sight: CardSeen) -> bool:
        if sight.transceive is None:
            return False
        return authenticate(sight.transceive, SLOTS["desfire"], KEY, _counted) is Proof.GENUINE


def on_mfrc522(case: bytes) -> tuple[Bench, AirCard]:
    """The case's card and an RC522 whose field is on."""
    rig = Rig().opened()
    return Bench(rig.reader, rig.chip, rig.clock), Rogue(case)


def on_pn532(case: bytes) -> tuple[Bench, AirCard]:
    """The case's card and a PN532 whose field is on."""
    rig = Pn532Rig().opened()
    return Bench(rig.reader, rig.chip, rig.clock), Rogue(case)


def on_bent_line(case: bytes) -> tuple[Bench, AirCard]:
    """A card that keeps the rules without the key, and a PN532 of which the host hears what the case says."""
    kind, script = words_of(case)
    rig = Pn532Rig().opened()
    wire = rig.wires[-1]
    hear, counted = wire.read, itertools.count()

    def read(timeout_s: float) -> bytes:
        heard = hear(timeout_s)
        bend = script.get(next(counted)) if heard else None
        return heard if bend is None else bend.of_line(heard)

    wire.read = read  # type: ignore[method-assign]  # the line is the model's; what is on it is the case's
    return Bench(rig.reader, rig.chip, rig.clock), card(kind, OTHER_KEY)


def _counted(length: int) -> bytes:
    return bytes(range(length))


def kinds() -> Iterator[bytes]:
    """Each kind of card as it is, without the key."""
    yield from (b"desfire", b"ntag", b"four", b"seven", b"ten")


def bent_script(draw: random.Random, good: bytes) -> bytes:
    """`good` with one to three more frames bent, or fewer."""
    kind, *words = good.decode("ascii", "replace").split()
    if words and draw.random() < 0.3:
        del words[draw.randrange(len(words))]
    if draw.random() < 0.1:
        kind = draw.choice(list(kinds())).decode()
    for _ in range(draw.randint(1, 3)):
        number = int(draw.paretovariate(0.7)) - 1 if draw.random() < 0.5 else draw.randrange(60)
        words.append(f"{number % 400}{_bent(draw)}")
    return " ".join([kind, *words[-30:]]).encode()


def _bent(draw: random.Random) -> str:
    match draw.randrange(6):
        case 0:
            return "-"
        case 1:
            return f"+{draw.choice((100, 4_000, 30_000, 90_000, 800_000, 6_000_000))}"
        case 2:
            return f"={draw.randbytes(draw.choice((1, 2, 3, 5, 5, 18, 64, 70))).hex()}.{draw.randrange(8)}"
        case 3:
            return f"={draw.choice(PIECES)}"
        case _:
            return f"^{draw.randrange(400)}{draw.choice(('', '.1'))}"


PIECES = (
    *("4400", "0403", "0400", "8804112231", "8888888800", "0000000000", "deadbeef22", "ffffffff00"),
    *(
        "0400ad",
        "24d836",
        "20fc70",
        "08b6dd",
        "067577810280",
        "0200",
        "03af",
        "f201",
        "f23b",
        "12",
        "1302",
    ),
)
"""ATQAs, UIDs with their check byte, SAKs with their CRC, an ATS, and blocks (whose CRC is wrong)."""
