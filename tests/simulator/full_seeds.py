"""Seeds of the full stack, lived in a process of their own: `python -m tests.simulator.full_seeds TASK…` prints JSON.

TASK is `seed:HOURS:NODES:SEED`, `twice:…` (lived twice), `planted:NUMBER` (the mistake in its seed, then the clean
tree in it), or `plan:FILE`. Django's settings are the run's own, and not those of the tests around it.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from interlock.sim.simulator.full.run import run_full
from interlock.sim.simulator.happenings import Plan, plan_from_text
from interlock.sim.simulator.life_of_a_lab import full_plan_of
from tests.simulator.planted_full import PLANTED

DECIDED = ("refused ", "record session_started ")


def lived(task: str) -> dict[str, Any]:
    """What became of it."""
    kind, *rest = task.split(":")
    match kind:
        case "planted":
            return planted(int(rest[0]))
        case "plan":
            lines = Path(rest[0]).read_text(encoding="utf-8").splitlines()
            return told(plan_from_text(lines))
        case _:
            hours, nodes, seed = rest
            plan = full_plan_of(int(seed), float(hours), int(nodes))
            return told(plan) if kind == "seed" else {"runs": [told(plan), told(plan)]}


def told(plan: Plan) -> dict[str, Any]:
    """One run."""
    verdict = run_full(plan)
    said = None if verdict.violation is None else str(verdict.violation)
    tally = verdict.tally
    return {
        "violation": said,
        "digest": verdict.digest,
        "sessions": tally.sessions,
        "records": tally.records,
        "decided": [words for _, words in verdict.witnesses[0].tale if words.startswith(DECIDED)],
    }


def planted(number: int) -> dict[str, Any]:
    """The first rule that the mistake breaks in its seed, and what the clean tree does there."""
    one = PLANTED[number]
    plan = one.life()
    # First: some mistakes are made in the hub's modules, which only a run of it can load.
    kept = clean(plan)
    with one.mistake():
        found = run_full(plan, one.parts()).violation
    return {
        "found": None if found is None else found.rule,
        "said": str(found),
        "clean": kept,
    }


@cache
def clean(plan: Plan) -> Any:
    """What the clean tree does in the lives in which mistakes are made; mistakes may share a seed."""
    return told(plan)["violation"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps({task: lived(task) for task in sys.argv[1:]}) + "\n")
