"""What a deliberate mistake is, and the ways to bend what the core is told and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from interlock.core import machine
from interlock.core.effects import Effect
from interlock.core.events import BadgeArrived, Event, InputsSampled
from interlock.core.model import Demands, Inputs, Level, Now, Right, Rules
from interlock.core.states import MachineState
from interlock.node.flight import Step
from interlock.sim.simulator.fitting import TRAINING, Fitting, fitting
from interlock.sim.simulator.happenings import Plan, plan_from_text
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import run
from tests.simulator.planted_steps import Outcome

HOURS = 0.1
SEEDS_MAX = 80
"""No mistake may need more."""
ACTS_END_MS = 165_000
TAPPED = 120
"""Its machine is tapped at, senses its current, and nothing but a training is asked there."""
TRAINED = (Right(TRAINING, Level.ALONE),)


@dataclass(frozen=True)
class Planted:
    """A mistake, the rule it breaks, and the first seed (of 0, 1, 2 …) whose life of `HOURS` shows it."""

    rule: str
    name: str
    parts: Callable[[], Parts]
    seed: int
    fits: Callable[[Fitting], bool] = lambda fit: True
    """Whether this machine has what the mistake is about; a seed with another one is counted and not run."""
    acts: tuple[str, ...] = ()
    """What happens instead of the seed's own life, for a mistake that lives show too rarely."""

    def life(self, seed: int) -> Plan:
        """The life of that seed, or the acts at its machine."""
        if not self.acts:
            return plan_of(seed, HOURS, 1)
        return plan_from_text([f"seed {seed} nodes 1 end_ms {ACTS_END_MS}", *self.acts])

    def seeds(self) -> Iterator[int]:
        """The seed that is known to show it, then every other one below `SEEDS_MAX`: lives change as people do."""
        yield self.seed
        if not self.acts:
            yield from (
                one for one in range(SEEDS_MAX) if one != self.seed and self.fits(fitting(one, 0))
            )

    def first(self) -> int | None:
        """The first of `seeds` in which this mistake breaks its rule."""
        for seed in self.seeds():
            found = run(self.life(seed), self.parts()).violation
            if found is not None and found.rule == self.rule:
                return seed
        return None


def bent(before: Callable[[MachineState, Event, Now], tuple[MachineState, Event, Now]]) -> Step:
    """The core's step with what it is told bent beforehand."""

    def step(state: MachineState, event: Event, now: Now) -> Outcome:
        return machine.step(*before(state, event, now))

    return step


def with_inputs(bend: Callable[[Inputs], Inputs]) -> Callable[[], Parts]:
    """Other levels than those at the pins."""

    def before(state: MachineState, event: Event, now: Now) -> tuple[MachineState, Event, Now]:
        if isinstance(event, InputsSampled):
            event = InputsSampled(bend(event.inputs))
        return state, event, now

    return lambda: Parts(step=bent(before))


def with_rules(bend: Callable[[Rules], Rules]) -> Callable[[], Parts]:
    """Other rules than those that were declared."""

    def before(state: MachineState, event: Event, now: Now) -> tuple[MachineState, Event, Now]:
        rules = bend(state.rules)
        return replace(state, rules=rules, base_rules=bend(state.base_rules)), event, now

    return lambda: Parts(step=bent(before))


def with_now(bend: Callable[[Now], Now]) -> Callable[[], Parts]:
    """Another time."""
    return lambda: Parts(step=bent(lambda state, event, now: (state, event, bend(now))))


def with_badges(bend: Callable[[MachineState, BadgeArrived], BadgeArrived]) -> Callable[[], Parts]:
    """Another badge than the one that was presented."""

    def before(state: MachineState, event: Event, now: Now) -> tuple[MachineState, Event, Now]:
        return state, bend(state, event) if isinstance(event, BadgeArrived) else event, now

    return lambda: Parts(step=bent(before))


def with_effects(bend: Callable[[Effect], Effect | None]) -> Callable[[], Parts]:
    """Other effects than those that the core asks for; None: not at all."""

    def step(state: MachineState, event: Event, now: Now) -> Outcome:
        state, effects = machine.step(state, event, now)
        others = (bend(one) for one in effects)
        return state, tuple(one for one in others if one is not None)

    return lambda: Parts(step=step)


def with_demands(bend: Callable[[Demands], Demands]) -> Callable[[], Parts]:
    """Other demands than the hub's."""
    return with_rules(lambda rules: replace(rules, demands=bend(rules.demands)))


def of(step: Step) -> Callable[[], Parts]:
    """A step in place of the core's, which remembers nothing between two runs."""
    return lambda: Parts(step=step)


def visit(at_ms: int) -> tuple[str, str]:
    """Eve, who may work everywhere, taps once."""
    return f"{at_ms} 0 lay eve", f"{at_ms + 500} 0 lift eve"
