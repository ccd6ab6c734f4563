"""The planted bugs and a campaign's folder in, docs/proof.md out: `python -m tests.simulator.proof [CAMPAIGN]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from interlock.sim.simulator.campaign import commit_of_this_tree, finished_runs, totals_of
from interlock.sim.simulator.fitting import fitting
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.run import run
from tests.simulator.planted import HOURS, PLANTED, Planted

PROOF = Path(__file__).parents[2] / "docs" / "proof.md"
SEEDS_MAX = 80
BEGIN, END = "<!-- figures: python -m tests.simulator.proof -->", "<!-- end of figures -->"


def seed_needed(planted: Planted) -> int | None:
    """The first seed whose life breaks this rule; seeds whose machine lacks what it is about are not run."""
    for seed in range(SEEDS_MAX):
        if not planted.fits(fitting(seed, 0)):
            continue
        found = run(plan_of(seed, HOURS, 1), planted.parts()).violation
        if found is not None and found.rule == planted.rule:
            return seed
    return None


def table() -> Iterator[str]:
    """One row for each planted bug."""
    yield "| rule | planted bug | seeds needed |"
    yield "|---|---|---|"
    for planted in PLANTED:
        seed = seed_needed(planted)
        yield f"| {planted.rule} | {planted.name} | {'not found' if seed is None else seed + 1} |"


def ran(directory: Path) -> Iterator[str]:
    """What the campaign in `directory` really ran."""
    totals = totals_of(directory)
    commits = sorted({one.commit for one in finished_runs(directory)})
    broken = [one for one in finished_runs(directory) if one.violation is not None]
    rate = totals.events / totals.seconds if totals.seconds else 0.0
    yield f"- {totals.runs} runs, {totals.node_hours:.1f} node-hours, {totals.sessions} sessions"
    yield f"- {totals.events} events, {totals.steps} of them steps of the core"
    yield f"- {rate:.0f} events a second of wall time on one core at nice 19, beside other work"
    yield f"- commits {', '.join(commits)}"
    yield f"- violations: {len(broken)}"
    for one in broken:
        yield f"  - seed {one.seed}: {one.violation}"


def write(directory: Path | None) -> None:
    """The figures in docs/proof.md are those of now; its words stay."""
    lines = ["", f"Commit {commit_of_this_tree()}, lives of {HOURS:g} virtual hours.", "", *table()]
    if directory is not None:
        lines += ["", "What was really run in the last campaign:", "", *ran(directory)]
    head, _, rest = PROOF.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    PROOF.write_text(head + BEGIN + "\n".join(lines) + "\n\n" + END + tail, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
