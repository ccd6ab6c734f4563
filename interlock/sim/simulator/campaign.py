"""A folder and a number of hours in, seed after seed out, until the hours are lived or a rule breaks.

The folder keeps one line for every run that was finished, so that a campaign goes on where it was interrupted and
its totals add up: what was interrupted in mid-run was not counted and is run again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from interlock.clock import perf_us
from interlock.errors import StoreError
from interlock.sim.simulator.happenings import Plan
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import Verdict, Violation, run
from interlock.sim.simulator.shrink import Shrinking
from interlock.sim.simulator.trace import write_artefacts

RUN_HOURS = 0.25
RUNS_FILE = "runs.jsonl"
FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of a campaign."""

    seed: int
    commit: str
    node_hours: float
    events: int
    steps: int
    sessions: int
    seconds: float
    violation: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a campaign really ran, all its sittings together."""

    runs: int = 0
    node_hours: float = 0.0
    events: int = 0
    steps: int = 0
    sessions: int = 0
    seconds: float = 0.0

    def grown(self, one: Finished) -> Totals:
        """These totals and one more run."""
        return Totals(
            self.runs + 1,
            self.node_hours + one.node_hours,
            self.events + one.events,
            self.steps + one.steps,
            self.sessions + one.sessions,
            self.seconds + one.seconds,
        )


def commit_of_this_tree() -> str:
    """The commit that runs, with a + where the tree differs from it; `unknown` without git."""
    root = Path(__file__).resolve().parents[3]
    try:
        said = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said.stdout.strip()


def finished_runs(directory: Path) -> Iterator[Finished]:
    """The runs the folder knows, oldest first; a last line cut short by a crash is left out. Raises StoreError."""
    path = directory / RUNS_FILE
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        try:
            yield Finished(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines) - 1:
                return
            raise StoreError(
                "this line is no run", where=f"{path}:{number + 1}", remedy="Begin another folder"
            ) from error


def totals_of(directory: Path) -> Totals:
    """What all sittings in this folder ran together."""
    totals = Totals()
    for one in finished_runs(directory):
        totals = totals.grown(one)
    return totals


def campaign(
    directory: Path,
    hours: float,
    *,
    nodes: int = 1,
    parts: Parts | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Violation | None:
    """`hours` of node time are lived in all, this sitting's and those before it, or a rule broke and this is how."""
    directory.mkdir(parents=True, exist_ok=True)
    commit = commit_of_this_tree()
    known = list(finished_runs(directory))
    _write(directory, known)
    totals = totals_of(directory)
    seed = max((one.seed for one in known), default=-1) + 1
    while totals.node_hours < hours - 1e-9:
        plan = plan_of(seed, RUN_HOURS, nodes)
        begun_us = perf_us()
        verdict = run(plan, parts)
        one = _finished(plan, verdict, commit, (perf_us() - begun_us) / 1e6)
        _write(directory, [one], mode="a")
        totals = totals.grown(one)
        say(f"seed {seed}: {totals.node_hours:g} of {hours:g} node-hours, {totals.events} events")
        if verdict.violation is not None:
            examine(plan, verdict, directory / f"{FAILURE}-{seed}", commit, parts)
            return verdict.violation
        seed += 1
    return None


def examine(
    plan: Plan, verdict: Verdict, directory: Path, commit: str, parts: Parts | None = None
) -> Plan:
    """The failed run shrunk, with its artefacts in `directory`."""
    assert verdict.violation is not None
    write_artefacts(directory / "whole", plan, verdict, commit)
    shrinking = Shrinking(lambda smaller: run(smaller, parts).violation, verdict.violation)
    smallest = shrinking.smallest(plan)
    write_artefacts(directory, smallest, run(smallest, parts), commit)
    return smallest


def _finished(plan: Plan, verdict: Verdict, commit: str, seconds: float) -> Finished:
    tally = verdict.tally
    lived_ms = plan.end_ms if verdict.violation is None else verdict.violation.at_us // 1_000
    return Finished(
        seed=plan.seed,
        commit=commit,
        node_hours=plan.nodes * min(lived_ms, plan.end_ms) / 3_600_000,
        events=tally.events,
        steps=tally.steps,
        sessions=tally.sessions,
        seconds=round(seconds, 3),
        violation=None if verdict.violation is None else str(verdict.violation),
    )


def _write(directory: Path, runs: list[Finished], mode: str = "w") -> None:
    with (directory / RUNS_FILE).open(mode, encoding="utf-8") as file:
        for one in runs:
            file.write(json.dumps(asdict(one)) + "\n")
