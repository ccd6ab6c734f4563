"""A figure at one size and at ten times that size goes in, the exponent by which it grows comes out.

What takes `a` at N and `b` at 10 N grows as N^k with k = log10(b / a): 0 stays as it is, 1 grows in step, 2 would end
a lab that grows. Medians, since a tail says more of the computer than of the size.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from interlock.protocol.snapshots import entry_lines
from tests.bench.decision import decisions_ms
from tests.bench.journal import openings_ms
from tests.bench.lists import loaded_ms, made, timed_ms
from tests.bench.row import Row, percentile
from tests.node.signed_snapshots import entry

TIMES = 10
REPEATS = 3
BADGES = 10_000
RECORDS = 100_000


@dataclass(frozen=True)
class Grown:
    """One thing that could grow: `measure` gives samples in milliseconds at a size."""

    what: str
    of: str
    size: int
    measure: Callable[[int], list[float]]
    expected: str


def decided_ms(badges: int) -> list[float]:
    """Lookup and decision."""
    return decisions_ms(badges)[0]


def list_made_ms(badges: int) -> list[float]:
    """The hub spells and signs a list."""
    entries = [entry(number) for number in range(badges)]
    return [timed_ms(lambda: made(entry_lines(entries), (1, 1)).file) for _ in range(REPEATS)]


def list_loaded_ms(badges: int) -> list[float]:
    """The node verifies a list and puts it in place."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        spool = Path(name) / "spool"
        spool.write_bytes(made(entry_lines([entry(n) for n in range(badges)]), (1, 1)).file)
        return [loaded_ms(spool, Path(name) / f"state-{turn}") for turn in range(REPEATS)]


def journal_opened_ms(records: int) -> list[float]:
    """A journal of so many unsent records is opened, until the next record is durable."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        return openings_ms(Path(name), records)


IN_STEP = "in step, at most: each badge is read once"
GROWN = (
    Grown(
        "badge event → effects, lookup included", "badges", BADGES, decided_ms, "stays (a B-tree)"
    ),
    Grown("the hub makes and signs a list", "badges", BADGES, list_made_ms, IN_STEP),
    Grown("the node puts a list in place", "badges", BADGES, list_loaded_ms, IN_STEP),
    Grown(
        "a journal is opened, until the next record is durable",
        "unsent records",
        RECORDS,
        journal_opened_ms,
        "stays: its tail is verified first, the rest beside the work",
    ),
)


def rows() -> Iterator[Row]:
    """One row for each thing that could grow."""
    for one in GROWN:
        small, large = (percentile(one.measure(one.size * by), 50) for by in (1, TIMES))
        yield Row(
            f"growth: {one.what}, {one.size:,} → {one.size * TIMES:,} {one.of}",
            f"p50 {_ms(small)} → {_ms(large)}, exponent {math.log10(large / small):.2f}",
            one.expected,
            "two points are no curve; one process, the disk of this machine",
        )


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= TIMES else f"{value:.3f} ms"
