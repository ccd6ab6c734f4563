"""Campaigns and the tools' own results in, the figures of docs/proof.md out: `python -m tests.simulator.proof`.

    --campaign DIR   of `interlock sim campaign`, once for each
    --disk DIR       of `python -m tests.disk.campaign`
    --coverage FILE  of `coverage json`, for core and protocol
    --mutation FILE  of tests/mutation/run.sh
    --soak FILE      of `python -m tests.real.soak --series`
    --planted        plants every bug in the seed that is known to show it, and lives the clean tree in it too
    --search         with it: looks for the first such seed of the quick speed; an hour beside other work

What is not given stays as it stands. The words between the figures are written by people.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from interlock.sim.simulator.campaign import commit_of_this_tree, finished_runs, totals_of
from interlock.sim.simulator.fitting import fitting
from interlock.sim.simulator.run import run
from interlock.sim.simulator.twins import run_twins
from tests.disk.campaign import KINDS, runs, total
from tests.disk.histories import SEQUENCES
from tests.mutation.score import counts
from tests.real.soak import MEASURES, Held, growth
from tests.simulator import planted_full, planted_twins
from tests.simulator.planted import PLANTED
from tests.simulator.planted_life import HOURS, SEEDS_MAX, Planted
from tests.simulator.rules import ELSEWHERE

PROOF = Path(__file__).parents[2] / "docs" / "proof.md"
HOURS_PER_YEAR = 8_766
ROOMS = ("interlock/core/", "interlock/protocol/")


def seed_needed(planted: Planted) -> int | None:
    """The first seed whose life breaks this rule; seeds whose machine lacks what it is about are not run."""
    for seed in range(SEEDS_MAX):
        if not planted.fits(fitting(seed, 0)):
            continue
        found = run(planted.life(seed), planted.parts()).violation
        if found is not None and found.rule == planted.rule:
            return seed
    return None


def shown_at(planted: Planted) -> int | None:
    """The seed that is known to show it, if it still does and the clean tree keeps every rule there."""
    seed = planted.first()
    return seed if seed is not None and run(planted.life(seed)).violation is None else None


def full_shown() -> Iterator[tuple[str, str, str]]:
    """Rules, mistake and seeds needed for each mistake of the full stack, lived in a process of their own."""
    tasks = [f"planted:{number}" for number in range(len(planted_full.PLANTED))]
    said = subprocess.run(
        [sys.executable, "-m", "tests.simulator.full_seeds", *tasks],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROOF.parents[1],
    )
    became = json.loads(said.stdout)
    for task, one in zip(tasks, planted_full.PLANTED, strict=True):
        shows = became[task]["found"] in one.rules and became[task]["clean"] is None
        needed = "by a plan" if one.acts else str(one.seed + 1)
        yield ", ".join(sorted(one.rules)), one.name, needed if shows else "not found"


def planted_table(find: Callable[[Planted], int | None]) -> Iterator[str]:
    """One row for each planted bug, then those that other tests hold."""
    yield (
        f"Commit {commit_of_this_tree()}, lives of {HOURS:g} virtual hours at the quick speed and "
        f"{planted_full.HOURS:g} of the full stack."
    )
    yield ""
    yield "| rule | planted bug | speed | seeds needed |"
    yield "|---|---|---|---|"
    for planted in PLANTED:
        seeds = "by a plan" if planted.acts else _count(find(planted))
        yield f"| {planted.rule} | {planted.name} | quick | {seeds} |"
    for pair in planted_twins.PLANTED:
        shows = pair.found() is not None and run_twins(pair.life()).violation is None
        needed = "by a plan" if pair.acts else str(pair.seed + 1)
        yield f"| S13 | {pair.name} | pairs | {needed if shows else 'not found'} |"
    for rules, name, needed in full_shown():
        yield f"| {rules} | {name} | full | {needed} |"
    for rule, (fault, file, _) in ELSEWHERE.items():
        yield f"| {rule} | {fault} | tests/{file} | – |"


def _count(seed: int | None) -> str:
    return "not found" if seed is None else str(seed + 1)


def campaigns_table(directories: Sequence[Path]) -> Iterator[str]:
    """What each campaign really ran, the faults in all of them, and what broke."""
    yield "| speed | runs | node-hours | node-years | sessions | events | of them core steps | events/s | commits |"
    yield "|---|---|---|---|---|---|---|---|---|"
    faults: Counter[str] = Counter()
    broken: list[str] = []
    for directory in directories:
        totals, done = totals_of(directory), list(finished_runs(directory))
        faults.update(totals.faults)
        rate = totals.events / totals.seconds if totals.seconds else 0.0
        commits = ", ".join(sorted({one.commit for one in done}))
        speeds = " and ".join(sorted({one.speed for one in done}))
        broken += [f"{speeds}, seed {one.seed}: {one.violation}" for one in done if one.violation]
        yield (
            f"| {speeds} | {totals.runs:,} | {totals.node_hours:,.1f} | "
            f"{totals.node_hours / HOURS_PER_YEAR:.4f} | {totals.sessions:,} | {totals.events:,} | "
            f"{totals.steps:,} | {rate:,.0f} | {commits} |"
        )
    yield ""
    yield "Events a second are of wall time, on cores shared with other work; of a pair both lives count."
    yield ""
    yield f"Rules broken: {len(broken) or 'none'}."
    yield from (f"- {one}" for one in broken)
    if faults:
        yield ""
        yield "| fault | how often |"
        yield "|---|---|"
        yield from (f"| {name} | {count:,} |" for name, count in faults.most_common())


def disk_table(folder: Path) -> Iterator[str]:
    """What the campaign on the simulated disk really ran."""
    yield "| campaign | done | lives | cuts | of them in a recovery | faults of the disk | broken |"
    yield "|---|---|---|---|---|---|---|"
    cuts = 0
    for kind in sorted(KINDS):
        whole = total(runs(folder, kind))
        tried = whole.tried
        cuts += tried.cuts
        done = f"{whole.end:,}" + (
            f" of {SEQUENCES:,} sequences" if kind == "exhaustive" else " seeds"
        )
        yield (
            f"| {kind} | {done} | {tried.lives:,} | {tried.cuts:,} | {tried.recoveries_cut:,} | "
            f"{tried.faults.total():,} | {len(whole.broken)} |"
        )
    yield ""
    yield f"{cuts:,} cuts; the suite makes 5,000 more with every run. docs/proof-disk.md says what a cut is."


def coverage_table(report: Path) -> Iterator[str]:
    """Lines and branches of core and protocol that the suite ran."""
    files: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))["files"]
    yield "| room | statements run | branches run |"
    yield "|---|---|---|"
    for room in ROOMS:
        found = [one["summary"] for name, one in files.items() if name.startswith(room)]
        shares = []
        for covered, whole in (
            ("covered_lines", "num_statements"),
            ("covered_branches", "num_branches"),
        ):
            done, there = sum(one[covered] for one in found), sum(one[whole] for one in found)
            shares.append(f"{done:,} of {there:,} ({100 * done / max(1, there):.1f} %)")
        yield f"| {room} | {' | '.join(shares)} |"


def mutation_table(results: Path) -> Iterator[str]:
    """Of the mistakes that mutmut made, how many a test noticed."""
    modules = counts(results.read_text(encoding="utf-8").splitlines())
    whole: Counter[str] = sum(modules.values(), Counter())
    yield "| module | mutants | noticed | survived | not asked |"
    yield "|---|---|---|---|---|"
    for name, found in [*sorted(modules.items()), ("all", whole)]:
        columns = (found[one] for one in ("mutants", "noticed", "survived", "not asked"))
        yield f"| {name} | {' | '.join(f'{one:,}' for one in columns)} |"


def soak_table(series: Path) -> Iterator[str]:
    """What each process held at the first and last sample, and what the line through all says."""
    held = {
        name: [Held(**one) for one in seen]
        for name, seen in json.loads(series.read_text(encoding="utf-8")).items()
    }
    yield "| process | measure | samples | over minutes | first | last | grown, by the line |"
    yield "|---|---|---|---|---|---|---|"
    for name, seen in held.items():
        minutes = (seen[-1].at_s - seen[0].at_s) / 60
        for measure, of in MEASURES.items():
            grown = growth([(one.at_s, of(one)) for one in seen])
            yield (
                f"| {name} | {measure} | {len(seen):,} | {minutes:.0f} | {of(seen[0]):g} | "
                f"{of(seen[-1]):g} | {grown:+.1f} |"
            )


def with_section(page: str, name: str, lines: Iterator[str]) -> str:
    """The page with new figures in the section of this name. Raises ValueError: it has none."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end of {name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{PROOF} has no section {begin}")
    head, _, rest = page.partition(begin)
    _, _, tail = rest.partition(end)
    return head + begin + "\n" + "\n".join(lines) + "\n\n" + end + tail


def main(arguments: Sequence[str] | None = None) -> None:
    """The figures in docs/proof.md are those that were given; its words stay."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.proof", description=__doc__)
    parser.add_argument("--campaign", type=Path, action="append", default=[])
    for name in ("disk", "coverage", "mutation", "soak"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--search", action="store_true")
    given = parser.parse_args(arguments)
    page = PROOF.read_text(encoding="utf-8")
    tables = {"disk": disk_table, "coverage": coverage_table}
    tables |= {"mutation": mutation_table, "soak": soak_table}
    for name, table in tables.items():
        if (path := getattr(given, name)) is not None:
            page = with_section(page, name, table(path))
    if given.campaign:
        page = with_section(page, "campaigns", campaigns_table(given.campaign))
    if given.planted:
        page = with_section(
            page, "planted bugs", planted_table(seed_needed if given.search else shown_at)
        )
    PROOF.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
