"""A plan that fails goes in, a small one that fails by the same rule comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from interlock.sim.simulator.happenings import Happening, Plan
from interlock.sim.simulator.run import Violation

RUNS_MAX = 400
"""Shrinking ends here at the latest: what is left is small enough to read."""

Try = Callable[[Plan], Violation | None]


class Shrinking:
    """Leaves happenings out, half of them first, then fewer, as long as the same rule breaks at the same machine."""

    def __init__(self, attempt: Try, violation: Violation, runs_max: int = RUNS_MAX) -> None:
        """`attempt` runs a plan and says how it broke."""
        self._attempt, self._violation = attempt, violation
        self.runs, self._runs_max = 0, runs_max

    def smallest(self, plan: Plan) -> Plan:
        """The plan with everything left out that the violation does without."""
        first_ms = self._violation.at_us // 1_000
        early = tuple(one for one in plan.happenings if one.at_ms <= first_ms)
        shorter = replace(plan, happenings=early, end_ms=min(plan.end_ms, first_ms + 1))
        plan = shorter if self._fails(shorter) else plan
        alone = tuple(one for one in plan.happenings if one.node == self._violation.node)
        plan = self._kept(plan, alone) or plan
        size = max(1, len(plan.happenings) // 2)
        while size >= 1 and self.runs < self._runs_max:
            plan, removed = self._without_runs_of(plan, size)
            if size == 1 and not removed:
                break
            size = max(1, size // 2) if size > 1 else (1 if removed else 0)
        return plan

    def _without_runs_of(self, plan: Plan, size: int) -> tuple[Plan, bool]:
        removed = False
        start = 0
        while start < len(plan.happenings) and self.runs < self._runs_max:
            rest = plan.happenings[:start] + plan.happenings[start + size :]
            smaller = self._kept(plan, rest)
            if smaller is None:
                start += size
            else:
                plan, removed = smaller, True
        return plan, removed

    def _kept(self, plan: Plan, happenings: tuple[Happening, ...]) -> Plan | None:
        if happenings == plan.happenings:
            return None
        smaller = replace(plan, happenings=happenings)
        return smaller if self._fails(smaller) else None

    def _fails(self, plan: Plan) -> bool:
        self.runs += 1
        found = self._attempt(plan)
        return (
            found is not None
            and found.rule == self._violation.rule
            and found.node == self._violation.node
        )
