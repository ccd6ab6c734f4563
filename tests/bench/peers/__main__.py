"""`python -m tests.bench.peers --peers DIR`: peers that are installed and our node in one run in, one table out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from tests.bench import badge, decision
from tests.bench.peers import fabomatic, mac, nemo
from tests.bench.peers.peer import MEMBERS, Measured
from tests.bench.row import percentile, percentiles
from tests.bench.table import this_machine

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: python -m tests.bench.peers --write -->", "<!-- end of figures -->"
PEERS: tuple[Callable[[Path, Path, int], Measured], ...] = (
    mac.measure,
    fabomatic.measure,
    nemo.measure,
)
OURS = "Interlock"


@click.command()
@click.option("--peers", type=click.Path(path_type=Path), default=Path("/tmp/interlock-peers"))
@click.option("--requests", type=click.IntRange(5), default=200, show_default=True)
@click.option("--write", "to_readme", is_flag=True, help="Also write tests/bench/peers/README.md.")
def main(peers: Path, requests: int, to_readme: bool) -> None:
    """One table: what a peer's server needs for a badge, and what our node needs."""
    lines = list(table(others(peers, requests), _decided_ms(), _relay_ms()))
    click.echo("\n".join(lines))
    if to_readme:
        head, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        _, _, tail = rest.partition(END)
        README.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{tail}", "utf-8")


def others(peers: Path, requests: int) -> list[Measured]:
    """Every peer, one after the other, each in a folder of its own; one that fails says how."""
    found = []
    for measure in PEERS:
        folder = Path(tempfile.mkdtemp(prefix="il-"))
        try:
            found.append(measure(peers, folder, requests))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return found


def table(
    measured: Sequence[Measured], decided_ms: Sequence[float], relay_ms: Sequence[float]
) -> Iterator[str]:
    """The peers, our rows, and how our medians compare with each peer's."""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    yield f"{MEMBERS} members at each peer. {this_machine().sentence()}; load {load} at the end."
    yield ""
    yield "| who | from → to | measured | our badge → relay is | … without the disk | leaves out |"
    yield "|---|---|---|---|---|---|"
    for one in measured:
        if one.why_not:
            yield f"| {one.peer} | {one.seam} | {one.why_not} | | | {one.leaves_out} |"
            continue
        theirs_ms = percentile(one.ms, 50)
        said = " | ".join(
            _compared(theirs_ms, percentile(ours, 50)) for ours in (relay_ms, decided_ms)
        )
        yield f"| {one.peer} | {one.seam} | {percentiles(one.ms)} | {said} | {one.leaves_out} |"
    for what, ours_ms, left_out in (
        (
            "UID known → lookup, decision, start record flushed to the disk, pin",
            relay_ms,
            "reader and air; GPIO and SD card of a Pi; there is no network in it",
        ),
        (
            f"badge event → effects, {decision.BADGES:,} badges in the cache, lookup included",
            decided_ms,
            "queue between reader and loop, disk, pin; the file is in the page cache; one badge in eleven is unknown",
        ),
    ):
        yield f"| {OURS} | {what} | {percentiles(ours_ms)} | | | {left_out} |"


def _compared(theirs_ms: float, ours_ms: float) -> str:
    times = theirs_ms / ours_ms
    return f"{times:.1f} times as fast" if times >= 1 else f"{1 / times:.1f} times as slow"


def _decided_ms() -> list[float]:
    return decision.decisions_ms(decision.BADGES)[0]


def _relay_ms() -> list[float]:
    return [(one.relay_us - one.read_us) / 1_000 for one in badge.measure()]


if __name__ == "__main__":
    main()
