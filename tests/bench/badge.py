"""Badge in the field → relay commanded, on the whole node in one process: rows with the parts of the time.

The real reader on the register-level chip in real time, 30 µs per SPI call, the real cache, core, journal on
this disk, and gpiozero's mock pins; only the processes around the node are left out.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from interlock.clock import SystemClock, perf_us
from interlock.core.model import Demands, Entry, Level, Right
from interlock.node.loop import Loop, Pins
from interlock.protocol.card_keys import CardSlot, Scheme, public_half, seal, wrap
from interlock.protocol.control import Op
from interlock.protocol.snapshots import SnapshotHeader, digest_lines, entry_lines, signed_snapshot
from interlock.protocol.tags import badge_tag
from interlock.readers import CardSeen, Sight
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.cards import Card
from interlock.sim.rc522 import Rc522
from interlock.sim.spi_inprocess import InProcessSpi
from tests.bench.row import Row, percentiles
from tests.node.node_rig import HUB, KEYS, HandReader, NodeBench
from tests.node.pin_contract import MIRROR
from tests.waiting import wait_until

TRANSFER_US = 30
"""What one `xfer2` of a few bytes costs on a Pi at 1 MHz (7-targets.md)."""

ROUNDS = 150
SEED = 5
UID = bytes.fromhex("04112233445566")
MEMBER = Entry(badge_tag(KEYS.badge_key, UID), "m-1", rights=(Right("saw", Level.ALONE),))
GENUINE_UID = bytes.fromhex("04665544332211")
GENUINE_MEMBER = Entry(
    badge_tag(KEYS.badge_key, GENUINE_UID), "m-2", rights=(Right("saw", Level.ALONE),)
)
AID, KEY, WRAPPING_KEY = bytes.fromhex("010af5"), bytes(range(16)), b"w" * 32
DESFIRE_SLOT = CardSlot(Scheme.DESFIRE_AES, AID, 1)
BETWEEN_S = 0.5
"""Longer than the arrival gap and two polls, so that the next badge is an arrival."""


class SlowSpi(InProcessSpi):
    """Every transfer takes `TRANSFER_US` of real time."""

    def xfer2(self, values: Sequence[int]) -> list[int]:
        end_us = perf_us() + TRANSFER_US
        answer = super().xfer2(values)
        while perf_us() < end_us:
            pass
        return answer


@dataclass
class Marks:
    """When things happened in one round, in microseconds of the same clock."""

    placed_us: int = 0
    polled_us: int = 0
    read_us: int = 0
    relay_us: int = 0


@dataclass
class TimedReader:
    """The real reader, its first poll that sees the badge noted."""

    inner: Mfrc522Reader
    marks: Marks = field(default_factory=Marks)

    def begin_anew(self) -> None:
        """A hand's field is emptied before a start; the chip's is empty already."""

    def open(self) -> None:
        self.inner.open()

    def poll(self) -> Sight | None:
        start_us = perf_us()
        sight = self.inner.poll()
        if sight is not None and not self.marks.read_us:
            self.marks.polled_us, self.marks.read_us = start_us, perf_us()
        return sight

    def wake(self, card: CardSeen) -> CardSeen | None:
        return self.inner.wake(card)

    def close(self) -> None:
        self.inner.close()


class TimedPins:
    """The real pins, the first closing of the relay noted."""

    def __init__(self, inner: Pins, marks: Marks) -> None:
        self._inner = inner
        self._marks = marks

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def relay(self, on: bool) -> None:
        self._inner.relay(on)
        if on and not self._marks.relay_us:
            self._marks.relay_us = perf_us()


def rows() -> Iterator[Row]:
    """The whole way, then its parts."""
    rounds = measure()
    parts = {
        "badge in the field → relay commanded (7-byte UID)": [
            m.relay_us - m.placed_us for m in rounds
        ],
        "… of which waiting for the poll": [m.polled_us - m.placed_us for m in rounds],
        "… air and SPI: poll begun → UID known": [m.read_us - m.polled_us for m in rounds],
        "… lookup, decision, durable record, pin": [m.relay_us - m.read_us for m in rounds],
    }
    target, left_out = "p50 ≤ 45 ms, p99 ≤ 90 ms", "GPIO of a Pi, an SD card's fsync, the contactor"
    for what, samples in parts.items():
        yield Row(what, percentiles([us / 1_000 for us in samples]), target, left_out)
        target = "part of the first row"


def measure() -> list[Marks]:
    """One `Marks` for each session that was started by putting a UID badge into the field."""
    with _node() as (bench, chip, reader):
        bench.install(entries=[MEMBER])
        chance = random.Random(SEED)
        return [_round(bench, chip, reader, Card(UID), chance) for _ in range(ROUNDS)]


def measure_both() -> tuple[list[Marks], list[Marks]]:
    """UID badges and genuine DESFires, taking turns in one node."""
    with _node() as (bench, chip, reader):
        _install_keyed(bench)
        chance = random.Random(SEED)
        rounds = [
            _round(bench, chip, reader, card, chance)
            for _ in range(ROUNDS)
            for card in (Card(UID), genuine_desfire(GENUINE_UID))
        ]
    return rounds[::2], rounds[1::2]


def genuine_desfire(uid: bytes) -> BlockCard:
    """A DESFire as the desk makes it: key 1 opens machines."""
    memory = (FACTORY_MASTER, Application(AID, (DesfireKey(), DesfireKey(KEY))))
    return desfire_card(uid, random.Random(SEED).randbytes, memory)


def _install_keyed(bench: NodeBench) -> None:
    """Both members have rights; the second one's badge has a key."""
    wrapped = wrap(WRAPPING_KEY, KEY, node=KEYS.node, tag=GENUINE_MEMBER.tag, slot=DESFIRE_SLOT)
    lines = entry_lines([MEMBER, GENUINE_MEMBER], {GENUINE_MEMBER.tag: wrapped})
    header = SnapshotHeader(
        lab=KEYS.lab,
        node=KEYS.node,
        version=(1, 1),
        issued_at=SystemClock().wall_ms() // 1_000,
        machine_name="Table saw",
        demands=Demands(("saw",)),
        entries=len(lines),
        digest=digest_lines(lines),
        wrapping_key=seal(public_half(KEYS.decryption_key), WRAPPING_KEY),
    )
    file = bench.config.paths.spool_dir / "full.snapshot"
    file.write_bytes(signed_snapshot(HUB, header, lines))
    bench.ask(Op.SNAPSHOT, file=file.name)
    wait_until(lambda: bench.ask(Op.HELLO)["version"] == [1, 1], 15, "the switch")


@contextmanager
def _node() -> Iterator[tuple[NodeBench, Rc522, TimedReader]]:
    """A running node with the real reader on the chip model in real time."""
    chip = Rc522(perf_us)
    chip_reader = Mfrc522Reader(lambda: SlowSpi(chip), SystemClock())
    reader = TimedReader(chip_reader)
    bench = NodeBench(folder=Path(tempfile.mkdtemp(prefix="il-")), reader=cast(HandReader, reader))
    bench.start()
    try:
        wait_until(lambda: bench.loop is not None)
        yield bench, chip, reader
    finally:
        bench.close()


def _round(
    bench: NodeBench, chip: Rc522, reader: TimedReader, card: Card, chance: random.Random
) -> Marks:
    clock = SystemClock()
    loop = cast(Loop, bench.loop)
    marks = reader.marks = Marks()
    plain = loop._pins
    loop._pins = cast(Pins, TimedPins(plain, marks))
    clock.sleep(BETWEEN_S + chance.random() * 0.05)
    marks.placed_us = perf_us()
    chip.place(card)
    wait_until(lambda: marks.relay_us, 5, "the relay")
    bench.outside.conduct(MIRROR, False)
    clock.sleep(0.05)
    bench.press()
    wait_until(lambda: not bench.relay_on, 5, "the stop")
    bench.outside.conduct(MIRROR, True)
    bench.release()
    chip.remove(card)
    loop._pins = plain
    wait_until(lambda: bench.ask(Op.STATUS)["state"] == "locked", 5, "idle again")
    return marks
