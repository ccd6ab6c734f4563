"""An open day, a machine and a number go in; that many sessions come out, none of them over another."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from interlock.core.model import Ending
from interlock.hub.history.days import OpenDay
from interlock.hub.history.kinds import Kind

SHORTEST_MIN, LONGEST_MIN = 1.5, 330.0
SPREAD = 0.75
"""Of the logarithm of durations: most sessions are near the median, a few take the afternoon."""
FULL = 0.85
"""A machine is never in use for more than this part of the opening hours: people change over."""
EAGER = 1.6
"""How much longer the gaps before the first half of the day's sessions are: evenings are fuller."""

_ENDINGS = (
    (Ending.TAP_OFF, 0.86),
    (Ending.IDLE_TIMEOUT, 0.08),
    (Ending.STOP_BUTTON, 0.045),
    (Ending.HANDED_OVER, 0.01),
    (Ending.POWER_LOST, 0.005),
)
_ENDING = [ending.value for ending, _ in _ENDINGS]
_ENDING_SHARE = [share for _, share in _ENDINGS]


@dataclass(frozen=True, slots=True)
class Use:
    """One session as a node would have measured it."""

    started_at: datetime
    ended_at: datetime
    enabled_ms: int
    busy_ms: int
    idle_ms: int
    how: str


def of_a_day(
    chance: random.Random, day: OpenDay, kind: Kind, number: int, zone: ZoneInfo
) -> Iterator[Use]:
    """`number` sessions at one machine, in their order; fewer where the day is too short for them."""
    open_min = float(day.open_min)
    most = max(1, int(open_min * FULL / (2 * SHORTEST_MIN)))
    lengths = [_length(chance, kind) for _ in range(min(number, most))]
    whole = sum(lengths)
    if whole > FULL * open_min:
        lengths = [max(SHORTEST_MIN, one * FULL * open_min / whole) for one in lengths]
        whole = min(sum(lengths), open_min)
    gaps = [
        chance.expovariate(1.0) * (EAGER if 2 * index < len(lengths) else 1.0)
        for index in range(len(lengths) + 1)
    ]
    stretch = (open_min - whole) / sum(gaps)
    gone = 0.0
    for length, gap in zip(lengths, gaps, strict=False):
        gone += gap * stretch
        yield _use(chance, kind, day.at(day.minute_at(gone), zone), length)
        gone += length


def _length(chance: random.Random, kind: Kind) -> float:
    drawn = kind.median_min * chance.lognormvariate(0.0, SPREAD)
    return min(LONGEST_MIN, max(SHORTEST_MIN, drawn))


def _use(chance: random.Random, kind: Kind, at: datetime, length_min: float) -> Use:
    enabled_ms = int(length_min * 60_000) - chance.randrange(1_000)
    busy_ms = idle_ms = 0
    if kind.has_current_sensor:
        share = min(0.98, max(0.05, chance.gauss(kind.busy_share, 0.15)))
        busy_ms = int(enabled_ms * share)
        idle_ms = enabled_ms - busy_ms
    how = chance.choices(_ENDING, _ENDING_SHARE)[0]
    ended_at = at + timedelta(milliseconds=enabled_ms)
    return Use(at, ended_at, enabled_ms, busy_ms, idle_ms, how)
