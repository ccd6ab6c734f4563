"""A failed run in, what a person needs to understand it out: a trace in words and a timeline as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interlock.sim.simulator.happenings import Plan
from interlock.sim.simulator.picture import timeline
from interlock.sim.simulator.run import Verdict

LINES_MAX = 400
DULL = "record session_progress"


def trace(plan: Plan, verdict: Verdict, commit: str) -> str:
    """Seed, commit, machine and everything that happened there, oldest first, the violation last."""
    violation = verdict.violation
    witness = verdict.witnesses[0 if violation is None else max(0, violation.node)]
    lines = _without_dull(witness.tale)
    lines += [(at, f"    {name} {'on' if on else 'off'}") for at, name, on in witness.lanes]
    told = sorted(enumerate(lines), key=lambda item: (item[1][0], item[0]))[-LINES_MAX:]
    head = [
        f"seed {plan.seed}, commit {commit}, machine {witness.node}: {witness.fit.told()}",
        f"{len(plan.happenings)} happenings in {plan.end_ms / 1_000:g} s",
        "",
    ]
    body = [f"{at / 1e6:12.3f} s  {words}" for _, (at, words) in told]
    return "\n".join([*head, *body, "", f"VIOLATION {violation}"]) + "\n"


def write_artefacts(directory: Path, plan: Plan, verdict: Verdict, commit: str) -> None:
    """`plan.txt` (to run it again), `trace.txt` and `timeline.svg` are in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.txt").write_text(plan.to_text(), encoding="utf-8")
    (directory / "trace.txt").write_text(trace(plan, verdict, commit), encoding="utf-8")
    violation = verdict.violation
    witness = verdict.witnesses[0 if violation is None else max(0, violation.node)]
    picture = timeline(plan, witness, violation, _without_dull(witness.tale))
    (directory / "timeline.svg").write_text(picture, encoding="utf-8")


def _without_dull(tale: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines, without those of a session's progress but the last of each row of them."""
    following = [words for _, words in tale[1:]] + [""]
    return [
        one
        for one, after in zip(tale, following, strict=True)
        if not (one[1].startswith(DULL) and after.startswith(DULL))
    ]
