"""The card and reader path: polls on the chip model go in, transfers, time and CPU come out.

Counts and virtual times are exact and the same on every machine; only the CPU rows are measured,
and they include the chip model's own work, which on a Pi is done by hardware.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from interlock.readers import CardSeen
from interlock.sim.cards import Card
from interlock.sim.rc522_air import DELAY_AFTER_0_US, DELAY_AFTER_1_US, POWER_UP_US, duration_us
from tests.bench.row import Row, percentiles
from tests.readers.rig import POLL_INTERVAL_US, TRANSFER_US, Rig

UIDS: dict[str, bytes | None] = {
    "no card": None,
    "4-byte UID": bytes.fromhex("deadbeef"),
    "7-byte UID": bytes.fromhex("04112233445566"),
    "10-byte UID": bytes.fromhex("04112233445566778899"),
}
BUDGETS = {"no card": 16, "4-byte UID": 70, "7-byte UID": 100}
POLLS = 2_000
TAPS = 500
SEED = 1
POLLS_PER_S = 1_000_000 // POLL_INTERVAL_US


def rows() -> Iterator[Row]:
    """Every row of this file."""
    yield transfers_per_poll()
    yield from uid_read_times()
    yield field_to_uid()
    yield idle_polling(None, "an empty field")
    yield idle_polling(UIDS["7-byte UID"], "a 7-byte card lying still")


def transfers_per_poll() -> Row:
    """SPI transfers of one poll: exact counts, asserted in tests/readers/test_mfrc522.py too."""
    counts = []
    for name, uid in UIDS.items():
        rig = _rig_with(uid)
        costs = {rig.poll().transfers for _ in range(20)}
        counts.append(f"{name} {'/'.join(str(count) for count in sorted(costs))}")
    return Row(
        "SPI transfers per poll",
        ", ".join(counts),
        ", ".join(f"{name} ≤ {most}" for name, most in BUDGETS.items()),
        "a poll that finds a card gone, or noise, reads a second time",
    )


def uid_read_times() -> Iterator[Row]:
    """Time of one whole poll in virtual time, next to what the air alone needs."""
    for levels, (name, uid) in enumerate(list(UIDS.items())[1:], start=1):
        rig = _rig_with(uid)
        cost = rig.poll()
        assert isinstance(cost.sight, CardSeen)
        floor_ms = _air_floor_us(levels) / 1000
        yield Row(
            f"UID read, {name}",
            f"{cost.us / 1000:.2f} ms ({cost.us / 1000 / floor_ms:.1f} × the air alone)",
            f"air-time floor {floor_ms:.1f} ms",
            f"virtual time, {TRANSFER_US} µs per SPI call; every later poll begins with HLTA and its "
            "1 ms of silence, a real sleep wakes later",
        )


def field_to_uid() -> Row:
    """From a badge reaching the field, at any moment between polls, until its UID is known."""
    draw = random.Random(SEED)
    samples_ms = []
    for _ in range(TAPS):
        rig = _rig_with(None)
        rig.clock.advance_us(draw.randrange(POLL_INTERVAL_US))
        rig.chip.place(Card(bytes.fromhex("04112233445566")))
        arrived_us = rig.clock.now_us()
        next_poll_us = arrived_us + draw.randrange(POLL_INTERVAL_US)
        rig.clock.advance_us(next_poll_us - arrived_us)
        while (cost := rig.poll()).sight is None:
            pass
        seen_us = rig.clock.now_us() - POLL_INTERVAL_US
        assert isinstance(cost.sight, CardSeen)
        samples_ms.append((seen_us - arrived_us) / 1000)
    return Row(
        f"badge in the field → UID known, 7 bytes, {POLLS_PER_S} polls a second",
        percentiles(samples_ms),
        "part of badge → relay: p50 ≤ 45 ms, p99 ≤ 90 ms",
        f"virtual time; the card takes its whole {POWER_UP_US // 1000} ms to power up, "
        "lookup, decision, record and pin come on top",
    )


def idle_polling(uid: bytes | None, what: str) -> Row:
    """CPU time of polling, as a share of one core; the sleeps are virtual and cost nothing."""
    rig = _rig_with(uid)
    began_ns = time.process_time_ns()
    for _ in range(POLLS):
        rig.poll()
    cpu_us = (time.process_time_ns() - began_ns) / 1000 / POLLS
    return Row(
        f"idle polling, {what}, {POLLS_PER_S} polls a second",
        f"{cpu_us * POLLS_PER_S / 10_000:.2f} % of one core ({cpu_us:.0f} µs CPU a poll)",
        "≤ 3 % of one core",
        "CPU time on the in-process model, the model's own work included; no real SPI call "
        "and no real sleep",
    )


def _rig_with(uid: bytes | None) -> Rig:
    rig = Rig().opened()
    if uid is not None:
        rig.place(Card(uid))
    return rig


def _air_floor_us(levels: int) -> float:
    """WUPA and ATQA, then per level anticollision and SELECT with their answers, nothing else."""
    wake_up_us = duration_us(7) + DELAY_AFTER_1_US + duration_us(2 * 9)
    frames_us = duration_us(2 * 9) + duration_us(5 * 9) + duration_us(9 * 9) + duration_us(3 * 9)
    return wake_up_us + levels * (frames_us + 2 * DELAY_AFTER_0_US)
