"""Lists of rights of three sizes: spelled and signed as the hub does, verified and put in place by the node's.

And one changed badge in such a list: its bytes, and what verifying and applying it costs. No socket, no second
process: each figure is the work of one side.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.clock import perf_us
from interlock.core.model import BadgeState
from interlock.node.snapshot_builder import build
from interlock.protocol import canonical
from interlock.protocol.deltas import open_delta, signed_delta
from interlock.protocol.snapshots import SnapshotVersion, entry_line, entry_lines, signed_head
from tests.bench.row import Row, percentiles
from tests.node.journals import KEYS
from tests.node.signed_snapshots import HUB, entry, header, order, tag

BADGES = (2_000, 10_000, 100_000)
DELTAS = 20
DELTAS_OF_THE_LARGEST = 3
REPEATS = {2_000: 5, 10_000: 3, 100_000: 1}
"""The largest is read once: it takes as long as all the others."""
OUR_OWN = "one process, no socket; badges without card keys; disk of this machine"


@dataclass(frozen=True)
class Made:
    """A list as the hub makes it."""

    lines: list[bytes]
    first: bytes
    head: dict[str, Any]

    @property
    def file(self) -> bytes:
        return self.first + b"".join(self.lines)


def made(lines: list[bytes], version: SnapshotVersion) -> Made:
    """`lines`, which are in order, as a signed list."""
    first, head = signed_head(HUB, header(lines, version))
    return Made(lines, first, head)


def timed_ms(work: Callable[[], object]) -> float:
    began_us = perf_us()
    work()
    return (perf_us() - began_us) / 1_000


def rows() -> Iterator[Row]:
    """Build, load, change and verification at each size."""
    for badges in BADGES:
        with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
            yield from _rows_of(badges, Path(name))


def _rows_of(badges: int, folder: Path) -> Iterator[Row]:
    entries = [entry(number) for number in range(badges)]
    old = made(entry_lines(entries), (1, 1))
    build_ms = [
        timed_ms(lambda: made(entry_lines(entries), (1, 1)).file) for _ in range(REPEATS[badges])
    ]
    yield Row(
        what=f"the hub makes and signs a list of {badges:,} badges",
        figures=f"{percentiles(build_ms, digits=0)}; {len(old.file) / badges:.0f} bytes a badge",
        target="none of its own: made once for all machines that ask for the same",
        leaves_out=f"reading people and rights from the database; {OUR_OWN}",
    )
    spool = folder / "spool"
    spool.write_bytes(old.file)
    load_ms = [loaded_ms(spool, folder / f"state-{n}") for n in range(REPEATS[badges])]
    yield Row(
        what=f"the node verifies {badges:,} badges and puts them in place",
        figures=percentiles(load_ms, digits=0),
        target="it is read beside the loop, which goes on (see the loop's row)",
        leaves_out=f"starting the builder's process, the download; {OUR_OWN}",
    )
    yield _row_of_a_change(old, folder)


def _row_of_a_change(old: Made, folder: Path) -> Row:
    times = DELTAS if len(old.lines) < BADGES[-1] else DELTAS_OF_THE_LARGEST
    changed = changed_ms(old, folder / "state-0", folder / "delta", times)
    return Row(
        what=f"one badge blocked in a list of {len(old.lines):,}: the node's delta",
        figures=(
            f"{max(changed.sizes):,} bytes; signed {percentiles(changed.made_ms)}; signatures and "
            f"lines verified {percentiles(changed.verified_ms)}; applied, the whole result "
            f"verified, on disk {percentiles(changed.applied_ms, digits=0)}"
        ),
        target="≤ 2 kB a change to one node",
        leaves_out=OUR_OWN,
    )


@dataclass(frozen=True)
class Changed:
    """What one change after the other cost, and the bytes of its delta."""

    made_ms: list[float] = field(default_factory=list)
    verified_ms: list[float] = field(default_factory=list)
    applied_ms: list[float] = field(default_factory=list)
    sizes: set[int] = field(default_factory=set)


def changed_ms(old: Made, state: Path, delta_file: Path, times: int) -> Changed:
    """So many badges of the list that stands in `state` blocked, each in a delta of its own to the same list."""
    key = HUB.public_key()
    found = Changed()
    by_tag = {tag(number): number for number in range(len(old.lines))}
    order_of = sorted(by_tag)
    for place in range(times):
        lines = list(old.lines)
        blocked = entry(by_tag[order_of[place]], badge=BadgeState.BLOCKED)
        lines[place] = entry_line(blocked)
        new = made(lines, (1, 2))
        changed = [lines[place]]
        found.made_ms.append(timed_ms(lambda: signed_delta(HUB, old.head, new.head, changed)))  # noqa: B023
        delta = signed_delta(HUB, old.head, new.head, changed)
        base = canonical.loads(old.first, where="bench")
        found.verified_ms.append(
            timed_ms(lambda: open_delta(delta, base, key, lab=KEYS.lab, node=KEYS.node))  # noqa: B023
        )
        delta_file.write_bytes(delta)
        found.applied_ms.append(timed_ms(lambda: build(order(delta_file, state, mark=(1, 1)))))
        found.sizes.add(len(delta))
    return found


def loaded_ms(spool: Path, state: Path) -> float:
    """What verifying the list in `spool` and putting it in place took."""
    state.mkdir()
    return timed_ms(lambda: build(order(spool, state)))
