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
from tests.bench.row import Row, percentile, percentiles
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
    lines = list(table(others(peers, requests), list(decision.rows())[:1], _relay_ms()))
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
    measured: Sequence[Measured], decided: Sequence[Row], relay_ms: Sequence[float]
) -> Iterator[str]:
    """The peers, our rows, and how our median compares with each peer's."""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    yield f"{MEMBERS} members at each peer. {this_machine().sentence()}; load {load} at the end."
    yield ""
    yield "| who | from → to | measured | our badge → relay (median) is | leaves out |"
    yield "|---|---|---|---|---|"
    ours_ms = percentile(relay_ms, 50)
    for one in measured:
        if one.why_not:
            yield f"| {one.peer} | {one.seam} | {one.why_not} | | {one.leaves_out} |"
            continue
        times = percentile(one.ms, 50) / ours_ms
        said = f"{times:.1f} times as fast" if times >= 1 else f"{1 / times:.1f} times as slow"
        yield f"| {one.peer} | {one.seam} | {percentiles(one.ms)} | {said} | {one.leaves_out} |"
    said = "UID known → lookup, decision, start record flushed to the disk, pin"
    left = "reader and air; GPIO and SD card of a Pi; there is no network in it"
    yield f"| {OURS} | {said} | {percentiles(relay_ms)} | | {left} |"
    for row in decided:
        yield f"| {OURS} | {row.what} | {row.figures} | | {row.leaves_out} |"


def _relay_ms() -> list[float]:
    return [(one.relay_us - one.read_us) / 1_000 for one in badge.measure()]


if __name__ == "__main__":
    main()
