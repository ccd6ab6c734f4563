"""Badges with keys on the chip model: cards are laid down, what the reader worker told of them comes out."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from interlock.core.events import BadgeArrived, Event
from interlock.core.model import Assurance, Entry, Presented, Reason
from interlock.node.reader_worker import CacheKeys, ReaderWork
from interlock.node.snapshot_builder import build
from interlock.protocol.card_keys import CardSlot, Scheme, WrappedKey, public_half, seal, wrap
from interlock.protocol.snapshots import entry_lines, signed_snapshot
from interlock.protocol.tags import badge_tag
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.card_blocks import Ats, BlockCard, Habits, Reply
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522
from interlock.sim.rc522_air import POWER_UP_US, AirCard
from interlock.sim.spi_inprocess import InProcessSpi
from tests.node.signed_snapshots import HUB, SIGNED_KEYS, entry, header, order

UID = bytes.fromhex("04112233445566")
OTHER_UID = bytes.fromhex("04aabbccddeeff")
KEY, WRONG_KEY = bytes(range(16)), bytes(range(1, 17))
AID = bytes.fromhex("010af5")
DESFIRE = CardSlot(Scheme.DESFIRE_AES, AID, 1)
NTAG = CardSlot(Scheme.NTAG424_AES, bytes(3), 0)
WRAPPING_KEY = b"w" * 32
TAG = badge_tag(SIGNED_KEYS.badge_key, UID)
MEMBER = entry(1, tag=TAG)
GAP_MS, POLL_MS = 300, 50
TRANSFER_US = 30
GAP_POLLS = GAP_MS // POLL_MS + 2


def desfire(
    key: bytes = KEY, *, uid: bytes = UID, habits: Habits | None = None, ats: Ats | None = None
) -> BlockCard:
    """A personalised DESFire; key 1 opens machines."""
    application = Application(AID, (DesfireKey(b"m" * 16), DesfireKey(key)))
    draw = random.Random(7).randbytes
    return desfire_card(uid, draw, (FACTORY_MASTER, application), habits=habits, ats=ats)


def ntag(key: bytes = KEY) -> BlockCard:
    """A personalised NTAG 424 DNA."""
    return ntag424_card(UID, random.Random(7).randbytes, (NtagKey(key),) * 5)


def snapshot(folder: Path, slot: CardSlot = DESFIRE, member: Entry = MEMBER) -> Path:
    """A cache with one member, whose badge has `KEY` in `slot`."""
    key = wrap(WRAPPING_KEY, KEY, node=SIGNED_KEYS.node, tag=TAG, slot=slot)
    return written(folder, member, key, seal(public_half(SIGNED_KEYS.decryption_key), WRAPPING_KEY))


def written(folder: Path, member: Entry, key: WrappedKey, wrapping_key: bytes | None) -> Path:
    lines = entry_lines([member], {member.tag: key})
    spool = folder / "spool"
    head = header(lines, wrapping_key=wrapping_key)
    spool.write_bytes(signed_snapshot(HUB, head, lines))
    build(order(spool, folder))
    return folder / "auth-1-1.db"


class Bench:
    """The reader worker's step over the real reader on the chip model; time moves with transfers and polls."""

    def __init__(
        self, cache: Path, *, decryption_key: bytes | None = SIGNED_KEYS.decryption_key
    ) -> None:
        keys = SIGNED_KEYS
        self.clock = VirtualClock()
        self.chip = Rc522(self.clock.now_us)
        self.reader = Mfrc522Reader(self._open_spi, self.clock)
        self.work = ReaderWork(
            self.reader,
            CacheKeys(keys.badge_key, HUB.public_key(), keys.lab, keys.node, decryption_key),
            self.clock,
            lambda version: 0,
            GAP_MS,
        )
        self.told: list[Event] = []
        self.longest_ms = 0
        self.work.switch(cache)
        self.polls(GAP_POLLS + 1)

    def polls(self, count: int = 1) -> None:
        """So many turns of the worker, one poll period apart."""
        for _ in range(count):
            began_ms = self.clock.boot_ms()
            self.told += self.work.turn()
            self.longest_ms = max(self.longest_ms, self.clock.boot_ms() - began_ms)
            self.clock.advance_us(POLL_MS * 1_000)

    def lay(self, card: AirCard, polls: int = 3) -> None:
        """`card` lies there too, and has powered up before the next poll."""
        self.chip.place(card)
        self.clock.advance_us(POWER_UP_US)
        self.polls(polls)

    def lift(self, polls: int = GAP_POLLS) -> None:
        self.chip.clear()
        self.polls(polls)

    def swap(self, card: AirCard) -> None:
        """`card` lies there instead of all others, between two polls."""
        self.chip.clear()
        self.lay(card, polls=0)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]

    def badges(self) -> list[Presented]:
        return [event.badge for event in self.told if isinstance(event, BadgeArrived)]

    def outcomes(self) -> list[tuple[Assurance, Reason | None]]:
        return [(badge.assurance, badge.trouble) for badge in self.badges()]

    def _open_spi(self) -> InProcessSpi:
        return InProcessSpi(self.chip, clock=self.clock, transfer_us=TRANSFER_US)


GENUINE = (Assurance.AES, None)
NOT_GENUINE = (Assurance.UID, Reason.BADGE_NOT_GENUINE)
PRESENT_AGAIN = (Assurance.UID, Reason.PRESENT_AGAIN)


def slow(card: BlockCard, work_us: float) -> None:
    """Every command takes the card so long, and it does not ask for the time."""
    quick = card.software.answer
    card.habits = Habits(asks_for_time=False)

    def answer(command: bytes) -> Reply | None:
        reply = quick(command)
        return None if reply is None else replace(reply, work_us=work_us)

    setattr(card.software, "answer", answer)  # noqa: B010 - the model's own method, made slower


def counted(card: BlockCard) -> list[int]:
    """The codes of the commands the card is given from here on."""
    codes: list[int] = []
    plain = card.software.answer

    def answer(command: bytes) -> Reply | None:
        codes.append(command[0])
        return plain(command)

    setattr(card.software, "answer", answer)  # noqa: B010 - the model's own method, listened to
    return codes
