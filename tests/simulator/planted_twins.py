"""Deliberate mistakes that only a fault brings out: found where a life with it lies beside one without it (S13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from interlock.core import machine
from interlock.core.events import BadgeArrived, Event
from interlock.core.model import Now
from interlock.core.outcomes import with_session
from interlock.core.states import EnabledFacts, MachineState
from interlock.sim.simulator.happenings import Plan, plan_from_text
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import Violation
from interlock.sim.simulator.twins import run_twins, twin_plan_of
from tests.simulator.planted_interlocks import never_grows_old
from tests.simulator.planted_life import HOURS, TAPPED, TRAINED
from tests.simulator.planted_steps import Outcome
from tests.simulator.planted_world import FloatsHigh

OLD_S = 45
"""A list is as old as that only where the hub was not heard for a while: nodes greet it every 30 s."""


@dataclass(frozen=True)
class PlantedTwins:
    """A mistake, and a seed whose pair of lives shows it."""

    name: str
    parts: Callable[[], Parts]
    seed: int
    words: str
    """What the violation says among other things: each comparison finds its own."""
    acts: tuple[str, ...] = ()
    """What happens instead of the seed's own life."""
    end_ms: int = 120_000
    """How long that takes."""

    def life(self) -> Plan:
        """The life with its fault."""
        if not self.acts:
            return twin_plan_of(self.seed, HOURS, 1)
        return plan_from_text([f"seed {self.seed} nodes 1 end_ms {self.end_ms}", *self.acts])

    def found(self) -> Violation | None:
        """How the rule breaks there."""
        return run_twins(self.life(), self.parts).violation


def _old_lists_let_everybody_in(state: MachineState, event: Event, now: Now) -> Outcome:
    """With the hub away everybody whom the list names counts as trained."""
    if isinstance(event, BadgeArrived) and event.badge.entry is not None:
        badge = event.badge
        if (badge.cache.age_s or 0) >= OLD_S:
            event = BadgeArrived(replace(badge, entry=replace(event.badge.entry, rights=TRAINED)))
    return machine.step(state, event, now)


def _no_idle_time_without_a_journal(state: MachineState, event: Event, now: Now) -> Outcome:
    """While the card does not answer nothing may end that would have to be written down."""
    if state.journal_trouble is not None and isinstance(state.facts, EnabledFacts):
        state = with_session(state, replace(state.facts.session, idle_since_ms=now.boot_ms))
    return machine.step(state, event, now)


def _old_lists_let_nobody_in(state: MachineState, event: Event, now: Now) -> Outcome:
    """With the hub away for a while nobody is known any more, long before the list is too old."""
    if isinstance(event, BadgeArrived) and (event.badge.cache.age_s or 0) >= OLD_S:
        event = BadgeArrived(replace(event.badge, entry=None))
    return machine.step(state, event, now)


WAITING = 3
"""Its machine waits for a contact at another one, and is tapped at."""
AWAY = ("50000 0 link down",)
STALLED = ("51500 0 disk stalled",)

PLANTED: tuple[PlantedTwins, ...] = (
    PlantedTwins(
        "with the hub away everybody on the list is let in",
        lambda: Parts(step=_old_lists_let_everybody_in),
        TAPPED,
        "powered for m-new",
        (*AWAY, "100000 0 lay new", "100500 0 lift new"),
    ),
    PlantedTwins(
        "with the hub away nobody is known",
        lambda: Parts(step=_old_lists_let_nobody_in),
        TAPPED,
        "without it: record session_started",
        (*AWAY, "100000 0 lay eve", "100500 0 lift eve"),
    ),
    PlantedTwins(
        "with the hub away another machine's word never grows old",
        lambda: Parts(step=never_grows_old),
        WAITING,
        "powered for m-eve",
        (*AWAY, "60000 0 next_door open", "170000 0 lay eve", "170500 0 lift eve"),
        end_ms=200_000,
    ),
    PlantedTwins(
        "with the card away the idle time does not run",
        lambda: Parts(step=_no_idle_time_without_a_journal),
        TAPPED,
        "switched off never",
        (*STALLED, "50000 0 lay eve", "50500 0 lift eve"),
    ),
    PlantedTwins(
        "the relay's line floats high while the Pi boots",
        lambda: Parts(bench=FloatsHigh),
        2,
        "powered for nobody",
    ),
)
