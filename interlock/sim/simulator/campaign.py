"""A folder and a number of hours in, seed after seed out, until the hours are lived or a rule breaks.

The folder keeps one line for every run that was finished, so that a campaign goes on where it was interrupted and
its totals add up: what was interrupted in mid-run was not counted and is run again.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from interlock.clock import perf_us
from interlock.errors import StoreError
from interlock.sim.simulator.happenings import ELSEWHERE, FAULTS, OUTSIDE, Happening, Kind, Plan
from interlock.sim.simulator.life_of_a_lab import full_plan_of, plan_of
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import Verdict, Violation, run
from interlock.sim.simulator.shrink import Shrinking
from interlock.sim.simulator.trace import write_artefacts
from interlock.sim.simulator.twins import run_twins, twin_plan_of

RUN_HOURS, FULL_RUN_HOURS = 0.25, 0.1
"""Long enough for everything to happen twice, short enough that a failure is found on the same evening."""
QUICK, FULL, TWINS = "core + physics", "full stack", "two lives, one fault"
RUNS_FILE = "runs.jsonl"
FAILURE = "failure"
TOLD_APART = OUTSIDE | ELSEWHERE | {Kind.DISK, Kind.READER}
ENDS = frozenset({"ok", "up", "back", "fixed", "copy", "start", "backup", "price", "+0"})
"""What ends a fault, or prepares one, is none; nor is an operator's everyday work."""


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
    speed: str = QUICK
    faults: Mapping[str, int] = field(default_factory=dict)
    """By kind: how often it befell a machine of this run."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a campaign really ran, all its sittings together."""

    runs: int = 0
    node_hours: float = 0.0
    events: int = 0
    steps: int = 0
    sessions: int = 0
    seconds: float = 0.0
    faults: Mapping[str, int] = field(default_factory=dict)

    def grown(self, one: Finished) -> Totals:
        """These totals and one more run."""
        return Totals(
            self.runs + 1,
            self.node_hours + one.node_hours,
            self.events + one.events,
            self.steps + one.steps,
            self.sessions + one.sessions,
            self.seconds + one.seconds,
            dict(Counter(self.faults) + Counter(one.faults)),
        )


@dataclass(frozen=True, slots=True)
class Speed:
    """How a seed is lived: what befalls, and what judges it."""

    name: str
    plan: Callable[[int, float, int], Plan]
    run: Callable[[Plan], Verdict]
    hours: float
    lives: int = 1
    """How often a plan is lived."""


def speed_of(name: str | None = None, parts: Parts | None = None) -> Speed:
    """The quick speed, with `parts`; `twins`: pairs of its lives; `full`: the full stack."""
    if name == "twins":
        return Speed(TWINS, twin_plan_of, run_twins, RUN_HOURS, lives=2)
    if name != "full":
        return Speed(QUICK, plan_of, lambda plan: run(plan, parts), RUN_HOURS)
    # Needs Django and the hub's libraries, which a Pi has not.
    from interlock.sim.simulator.full.run import run_full

    return Speed(FULL, full_plan_of, run_full, FULL_RUN_HOURS)


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
    speed: Speed | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Violation | None:
    """`hours` of node time are lived in all, this sitting's and those before it, or a rule broke and this is how."""
    directory.mkdir(parents=True, exist_ok=True)
    speed = speed or speed_of()
    commit = commit_of_this_tree()
    known = list(finished_runs(directory))
    if any(one.speed != speed.name for one in known):
        raise StoreError(
            "it is a campaign of the other speed",
            where=str(directory),
            remedy="Begin another folder",
        )
    _write(directory, known)
    totals = totals_of(directory)
    seed = max((one.seed for one in known), default=-1) + 1
    while totals.node_hours < hours - 1e-9:
        plan = speed.plan(seed, speed.hours, nodes)
        begun_us = perf_us()
        verdict = speed.run(plan)
        seconds = (perf_us() - begun_us) / 1e6
        one = _finished(plan, verdict, commit, seconds, speed)
        _write(directory, [one], mode="a")
        totals = totals.grown(one)
        say(f"seed {seed}: {totals.node_hours:g} of {hours:g} node-hours, {totals.events} events")
        if verdict.violation is not None:
            examine(plan, verdict, directory / f"{FAILURE}-{seed}", commit, speed.run)
            return verdict.violation
        seed += 1
    return None


def examine(
    plan: Plan,
    verdict: Verdict,
    directory: Path,
    commit: str,
    live: Callable[[Plan], Verdict] = run,
) -> Plan:
    """The failed run shrunk, with its artefacts in `directory`."""
    assert verdict.violation is not None
    write_artefacts(directory / "whole", plan, verdict, commit)
    shrinking = Shrinking(lambda smaller: live(smaller).violation, verdict.violation)
    smallest = shrinking.smallest(plan)
    write_artefacts(directory, smallest, live(smallest), commit)
    return smallest


def _finished(plan: Plan, verdict: Verdict, commit: str, seconds: float, speed: Speed) -> Finished:
    tally = verdict.tally
    lived_ms = plan.end_ms if verdict.violation is None else verdict.violation.at_us // 1_000
    return Finished(
        seed=plan.seed,
        commit=commit,
        node_hours=speed.lives * plan.nodes * min(lived_ms, plan.end_ms) / 3_600_000,
        events=tally.events,
        steps=tally.steps,
        sessions=tally.sessions,
        seconds=round(seconds, 3),
        violation=None if verdict.violation is None else str(verdict.violation),
        speed=speed.name,
        faults=dict(Counter(_named(one) for one in plan.happenings if _counts(one, lived_ms))),
    )


def _counts(one: Happening, lived_ms: int) -> bool:
    ends = one.value.split(" ")[0] in ENDS | {"on" if one.kind is Kind.MAINS else "off"}
    return one.kind in FAULTS | ELSEWHERE | OUTSIDE and not ends and one.at_ms <= lived_ms


def _named(one: Happening) -> str:
    return f"{one.kind.value} {one.value}" if one.kind in TOLD_APART else one.kind.value


def _write(directory: Path, runs: list[Finished], mode: str = "w") -> None:
    with (directory / RUNS_FILE).open(mode, encoding="utf-8") as file:
        for one in runs:
            file.write(json.dumps(asdict(one)) + "\n")
