"""Cards of the model on the desk's reader, bare or through the RC522 and the air; what was said to them comes out."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interlock.cards.exchange import Transceive
from interlock.cli.desk_desfire import DesfireChip
from interlock.desk.chips import APPLICATION_MASTER, CARD_AID, CARD_MASTER, Chip, Kind, kind_of
from interlock.desk.ledger import Ledger
from interlock.desk.ntag424_keys import Ntag424Chip
from interlock.desk.personalising import Workbench, prove
from interlock.desk.site_keys import FACTORY, Place, SiteKeys
from interlock.errors import CardError
from interlock.protocol.card_keys import CardSlot
from interlock.readers import CardSeen
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_crypto import KeyKind
from interlock.sim.card_desfire import Desfire, desfire_card
from interlock.sim.card_ntag424 import Ntag424, ntag424_card
from interlock.sim.spi_inprocess import InProcessSpi
from tests.readers.rig import TRANSFER_US, Rig

UID = bytes.fromhex("04782e21801d80")
AID = bytes.fromhex("0110f5")
SITE_ID = "test lab"
DESK_MS_MAX = 10_000
OLD, NEW = bytes(range(16)), bytes(range(16, 32))
ONE = SiteKeys(SITE_ID, {1: OLD})
TWO = SiteKeys(SITE_ID, {1: OLD, 2: NEW})

Kept = dict[Place, tuple[bytes, bool]]
"""What a card holds: the key at each place, and whether it is of AES."""


def fresh_desfire() -> BlockCard:
    return desfire_card(UID, random.Random(1).randbytes)


def fresh_ntag424() -> BlockCard:
    return ntag424_card(UID, random.Random(1).randbytes)


FRESH: dict[str, Callable[[], BlockCard]] = {"DESFire": fresh_desfire, "NTAG 424": fresh_ntag424}


def kept(card: BlockCard) -> Kept:
    """The memory of the model, read past all its protection."""
    software = card.software
    if isinstance(software, Ntag424):
        return {Place(CARD_AID, n): (key.content, True) for n, key in enumerate(software.keys)}
    assert isinstance(software, Desfire)
    held: Kept = {}
    for application in software.memory:
        for number, key in enumerate(application.keys):
            place = Place(application.aid, number)
            if application.aid == CARD_AID:
                place = Place(CARD_AID, CARD_MASTER)
            held[place] = (key.content, key.kind is KeyKind.AES_128)
    return held


def key_of(keys: SiteKeys, generation: int, place: Place) -> tuple[bytes, bool]:
    """What a card holds at `place` in that generation."""
    if generation == FACTORY:
        return bytes(16), place.number != CARD_MASTER
    return keys.card_key(generation, UID, place), True


def generations(card: BlockCard, keys: SiteKeys) -> dict[Place, int | None]:
    """Which generation the card holds at each place; None for a key that nobody can derive."""
    return {
        place: next(
            (g for g in (FACTORY, *keys.generations) if key_of(keys, g, place) == held), None
        )
        for place, held in kept(card).items()
    }


@dataclass
class Line:
    """Commands straight to the software of a card, which leaves at command `leaves_at`.

    `heard`: the command still reached the card, only its answer is lost.
    """

    card: BlockCard
    leaves_at: int | None = None
    heard: bool = False
    commands: list[bytes] = field(default_factory=list)
    before: Callable[[bytes], object] = lambda command: None

    def __post_init__(self) -> None:
        self.card.software.power_on()

    def __call__(self, command: bytes) -> bytes:
        self.before(command)
        number = len(self.commands)
        self.commands.append(command)
        if self.leaves_at is not None and number >= self.leaves_at:
            if number == self.leaves_at and self.heard:
                self.card.software.answer(command)
            raise CardError("it left", where="card")
        reply = self.card.software.answer(command)
        assert reply is not None
        return reply.content


class Disk:
    """A ledger's file, and what of it would survive a power cut at this moment."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"
        self.safe = b""
        self.syncs = 0

    def open(self) -> Ledger:
        """A ledger on what survived."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(descriptor, self.safe)
        os.close(descriptor)
        return Ledger(self.path, self.sync)

    def sync(self, _descriptor: int) -> None:
        self.safe = self.path.read_bytes()
        self.syncs += 1


def chip_on(transceive: Transceive, *, looks_after_card: bool = True) -> Chip:
    """As the desk chooses it."""
    if kind_of(transceive) is Kind.NTAG424:
        return Ntag424Chip(transceive, random.Random(2).randbytes)
    return DesfireChip(transceive, AID, looks_after_card=looks_after_card)


def tap(
    transceive: Transceive, keys: SiteKeys, ledger: Ledger, keep: Sequence[int] = (), slot: int = 1
) -> None:
    """One whole tap: planned, carried out, proved. Raises CardError when the card leaves."""
    chip = chip_on(transceive)
    bench = Workbench(chip, UID, keys, ledger)
    bench.carry_out(bench.plan(keep))
    place = Place(chip.aid, slot)
    key = keys.card_key(keys.newest, UID, place)
    prove(transceive, CardSlot(chip.scheme, chip.aid, slot), key)


def reader_line(card: object) -> tuple[Transceive, Rig]:
    """The line to `card` through our reader, the chip model and the air."""
    rig = Rig()
    rig.reader = Mfrc522Reader(
        lambda: InProcessSpi(rig.chip, clock=rig.clock, transfer_us=TRANSFER_US),
        rig.clock,
        attempt_ms_max=DESK_MS_MAX,
    )
    rig.opened().place(card)  # type: ignore[arg-type] # any card of the air
    seen = rig.reader.poll()
    assert isinstance(seen, CardSeen)
    assert seen.transceive is not None
    return seen.transceive, rig


def wanted(card: BlockCard, generation: int, but: dict[int, int] | None = None) -> dict[Place, int]:
    """Every place of the card at `generation`, but some numbers of the application."""
    return {
        place: (but or {}).get(place.number, generation)
        for place in kept(card)
        if place.number >= APPLICATION_MASTER
    }
