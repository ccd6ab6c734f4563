"""A figure at one size and at ten times that size goes in, the exponent by which it grows comes out.

What takes `a` at N and `b` at 10 N grows as N^k with k = log10(b / a): 0 stays as it is, 1 grows in step, 2 would end
a lab that grows. Medians, since a tail says more of the computer than of the size.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from interlock.protocol.snapshots import entry_lines
from tests.bench.closing import close_month
from tests.bench.decision import decisions_ms
from tests.bench.fan_out import refused_ms
from tests.bench.ingest import take_in
from tests.bench.journal import openings_ms
from tests.bench.lists import Changed, changed_ms, loaded_ms, made, timed_ms
from tests.bench.process import node_folder, run_node
from tests.bench.row import Row, percentile
from tests.node.signed_snapshots import entry

TIMES = 10
REPEATS = 3
BADGES = 10_000
RECORDS = 100_000
CLIENTS = 50
PAYERS = 1_000
SESSIONS = 1_000


@dataclass(frozen=True)
class Grown:
    """One thing that could grow: `measure` gives samples, in `unit`, at a size."""

    what: str
    of: str
    size: int
    measure: Callable[[int], list[float]]
    expected: str
    unit: str = "ms"


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


def change_of(badges: int) -> Changed:
    """One badge of a list is blocked."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        spool, state = Path(name) / "spool", Path(name) / "state"
        old = made(entry_lines([entry(n) for n in range(badges)]), (1, 1))
        spool.write_bytes(old.file)
        loaded_ms(spool, state)
        return changed_ms(old, state, Path(name) / "delta", REPEATS)


def change_applied_ms(badges: int) -> list[float]:
    """The node applies the delta, verifies the whole result and has it on the disk."""
    return change_of(badges).applied_ms


def change_bytes(badges: int) -> list[float]:
    """The delta of one badge."""
    return [float(size) for size in change_of(badges).sizes]


def journal_opened_ms(records: int) -> list[float]:
    """A journal of so many unsent records is opened, until the next record is durable."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        return openings_ms(Path(name), records)


def node_ready_ms(records: int) -> list[float]:
    """A node's process with few badges and so many unsent records starts."""
    return [float(run["ready_ms"]) for run in _node_runs(badges=10, records=records)]


def node_resident_kib(badges: int) -> list[float]:
    """A node's process with so many badges, settled, above its bare imports."""
    runs = _node_runs(badges=badges, records=0)
    return [float(run["settled_kib"] - run["bare_kib"]) for run in runs]


def _node_runs(badges: int, records: int) -> list[dict[str, int]]:
    folder = node_folder(badges=badges, records=records)
    try:
        return [run_node(folder) for _ in range(REPEATS)]
    finally:
        shutil.rmtree(folder)


def backlog_taken_ms(sessions: int) -> list[float]:
    """The hub takes in all that one node recorded while it was away."""
    return [take_in(sessions).took_s * MS_PER_S]


def month_closed_ms(payers: int) -> list[float]:
    """A month is closed by its page."""
    return [close_month(payers).watched.took_s * MS_PER_S]


MS_PER_S = 1_000
IN_STEP = "in step, at most: each badge is read once"
TAIL_FIRST = "stays: its tail is verified first, the rest beside the work"
GROWN = (
    Grown(
        "badge event → effects, lookup included", "badges", BADGES, decided_ms, "stays (a B-tree)"
    ),
    Grown("the hub makes and signs a list", "badges", BADGES, list_made_ms, IN_STEP),
    Grown("the node puts a list in place", "badges", BADGES, list_loaded_ms, IN_STEP),
    Grown("the node applies a change to one badge", "badges", BADGES, change_applied_ms, IN_STEP),
    Grown("a change to one badge, its delta", "badges", BADGES, change_bytes, "stays", "bytes"),
    Grown(
        "a node's memory above its bare imports",
        "badges",
        BADGES,
        node_resident_kib,
        "stays",
        "KiB",
    ),
    Grown(
        "a journal is opened, until the next record is durable",
        "unsent records",
        RECORDS,
        journal_opened_ms,
        TAIL_FIRST,
    ),
    Grown("a node starts, until it is ready", "unsent records", RECORDS, node_ready_ms, TAIL_FIRST),
    Grown(
        "a change at the hub → protocol clients refuse",
        "clients",
        CLIENTS,
        refused_ms,
        "in step, at most: each is told once, by one process",
    ),
    Grown(
        "a node's backlog is taken in",
        "sessions of ten records",
        SESSIONS,
        backlog_taken_ms,
        "in step: each record is verified once",
    ),
    Grown(
        "a month is closed by its page",
        "payers with 5.5 sessions each",
        PAYERS,
        month_closed_ms,
        "in step: each has a statement",
    ),
)


def rows() -> Iterator[Row]:
    """One row for each thing that could grow."""
    for one in GROWN:
        small, large = (percentile(one.measure(one.size * by), 50) for by in (1, TIMES))
        yield Row(
            f"growth: {one.what}, {one.size:,} → {one.size * TIMES:,} {one.of}",
            f"p50 {_said(small)} → {_said(large)} {one.unit}, exponent {math.log10(large / small):.2f}",
            one.expected,
            "two points are no curve; one process, the disk of this machine",
        )


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= TIMES else f"{value:.3f}"
