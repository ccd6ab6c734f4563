"""Faults end and people do what the screen says: within a minute a trained member works at every machine."""

from __future__ import annotations

from interlock.core.model import BadgeUse
from interlock.sim.simulator.happenings import Happening, Kind
from interlock.sim.simulator.hub_model import HubModel
from interlock.sim.simulator.pi import Pi
from interlock.sim.simulator.schedule import Act, Schedule

S = 1_000_000
MEND_S = 100
"""What was broken comes back: a boot, two greetings of the hub half a minute apart, a card that writes again."""
TAP_S = 1
MEMBER, FRESH, SECOND, TECHNICIAN = "eve", "fin", "tom", "tec"
"""All with badges that cannot be cloned: they serve machines of every kind."""


class Liveness:
    """What is done at the end of a run; `failed` says what is left broken."""

    LENGTH_US = (MEND_S + 60) * S

    def __init__(self, pis: list[Pi], hub: HubModel, schedule: Schedule) -> None:
        self._pis, self._hub, self._schedule = pis, hub, schedule

    def begin(self) -> None:
        """Everything is mended now; technicians and members come later."""
        now_us = self._schedule.now_us
        for pi in self._pis:
            second = pi.fit.rules.second_person
            pi.mend()
            self._befall(pi, Kind.HUB, "release")
            for words in ("unblock", "reinstate", "train", "top_up"):
                self._befall(pi, Kind.HUB, f"{words} {MEMBER}")
            for words in ("unblock", "reinstate"):
                self._befall(pi, Kind.HUB, f"{words} {SECOND}")
                self._befall(pi, Kind.HUB, f"{words} {TECHNICIAN}")
            pi.hub_changed()
            self._later(now_us + 20 * S, pi, Kind.COMMAND, "cut")
            for tap in range(2):
                at_us = now_us + (MEND_S + 3 * tap) * S
                self._schedule.at(at_us, self._technician(pi), pi.card.node)
            self._tap(now_us + (MEND_S + 10) * S, pi, _worker(pi), lifts=not _holds(pi) or second)
            if second:
                self._tap(now_us + (MEND_S + 13) * S, pi, SECOND, lifts=not _holds(pi))

    @staticmethod
    def failed(pi: Pi) -> str | None:
        """L1: when faults stop and people do what the screen says, a trained member works within N s."""
        begun_us = pi.witness.now_us - Liveness.LENGTH_US
        member = _worker(pi)
        if any(at >= begun_us and who == f"m-{member}" for at, who in pi.witness.worked):
            return None
        life = pi.life
        screen = "nobody serves it" if life is None else life.loop.shown.message.value
        return (
            f"{member} cannot work although nothing is broken any more; the screen says: {screen}"
        )

    def _technician(self, pi: Pi) -> Act:
        def come() -> None:
            facts = pi.card.platter.facts
            if facts.faults or facts.locked_out:
                self._tap(self._schedule.now_us, pi, TECHNICIAN, lifts=True)

        return come

    def _tap(self, at_us: int, pi: Pi, who: str, *, lifts: bool) -> None:
        self._later(at_us, pi, Kind.LAY, who)
        if lifts:
            self._later(at_us + TAP_S * S, pi, Kind.LIFT, who)

    def _later(self, at_us: int, pi: Pi, kind: Kind, value: str) -> None:
        self._schedule.at(at_us, lambda: self._befall(pi, kind, value), pi.card.node)

    def _befall(self, pi: Pi, kind: Kind, value: str) -> None:
        at_ms = self._schedule.now_us // 1_000
        pi.befall(Happening(at_ms, pi.card.node, kind, value))


def _worker(pi: Pi) -> str:
    """Where a day's use is limited, somebody who has had none of it."""
    return MEMBER if pi.fit.house.daily_limit_s is None else FRESH


def _holds(pi: Pi) -> bool:
    return pi.fit.rules.badge_use is BadgeUse.HOLD
