"""A plan in, a verdict out: the full stack, every rule of the machine at every act, and what the hub made of it all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from interlock.sim.simulator.fitting import fitting
from interlock.sim.simulator.full.entropy import seeded
from interlock.sim.simulator.full.hub import RealHub
from interlock.sim.simulator.full.hub_folder import MEMORY
from interlock.sim.simulator.full.judge import Judge
from interlock.sim.simulator.full.pi import FullParts, FullPi
from interlock.sim.simulator.happenings import Happening, Kind, Plan
from interlock.sim.simulator.hub_model import HubModel
from interlock.sim.simulator.liveness import Liveness
from interlock.sim.simulator.people import Person
from interlock.sim.simulator.pi import Parts, Pi
from interlock.sim.simulator.replayed import disagreements
from interlock.sim.simulator.run import Broken, Run, Verdict, Violation
from interlock.sim.simulator.schedule import Act

HEAL_US = 150_000_000
"""The network is well: whoever paused, backed off or waited in a dead call has come round."""
DRAIN_US = 100_000_000
LOGGERS = ("interlock", "django", "asyncio")


class FullRun(Run):
    """One run of the full stack."""

    def __init__(self, plan: Plan, parts: FullParts, folder: Path) -> None:
        self._full_parts, self._folder = parts, folder
        self._full: list[FullPi] = []
        super().__init__(plan, parts.machine)
        granted: set[str] = set()
        for pi in self._full:
            # A training granted at one machine is one at all of them.
            pi.witness.granted = granted
        self._judge = Judge(self._real_hub, self._full)

    def verdict(self) -> Verdict:
        with ExitStack() as stack:
            stack.enter_context(_silence())
            for pi in self._full:
                stack.enter_context(pi.box.sd.mounted())
            stack.callback(self._end)
            return super().verdict()

    def _mended(self) -> None:
        for pi in self._full:
            pi.heal()
        self._real_hub.office("start")
        self._note_hub()
        self._live(self._schedule.now_us + HEAL_US)
        Liveness(self._pis, self._hub, self._schedule).begin()
        self._live(self._schedule.now_us + Liveness.LENGTH_US)

    def _at_the_end(self) -> None:
        super()._at_the_end()
        for pi in self._full:
            # Also what stood on cards that were taken out.
            for said in disagreements(pi.mirror.ever.values()):
                raise Broken(Violation("A10", pi.card.node, self._schedule.now_us, said))
        self._live(self._schedule.now_us + DRAIN_US)
        found = self._judge.at_the_end()
        if found is not None:
            node, rule, what = found
            raise Broken(Violation(rule, node, self._schedule.now_us, what))

    def _look(self, pi: Pi) -> None:
        super()._look(pi)
        assert isinstance(pi, FullPi)
        found = self._judge.look(pi)
        if found is not None:
            raise Broken(Violation(found[0], pi.card.node, self._schedule.now_us, found[1]))

    def _new_hub(self, people: Mapping[str, Person]) -> HubModel:
        fits = [fitting(self._plan.seed, node) for node in range(self._plan.nodes)]
        self._real_hub = RealHub(people, self._schedule, fits)
        return self._real_hub

    def _new_pi(self, node: int, parts: Parts) -> Pi:
        pi = FullPi(
            node,
            self._plan.seed,
            self._real_hub,
            self._schedule,
            self._full_parts,
            self._folder / str(node),
        )
        self._full.append(pi)
        pi.original = self._full[0]
        return pi

    def _befalling(self, happening: Happening) -> Act:
        if happening.kind is not Kind.OFFICE:
            return super()._befalling(happening)

        def befall() -> None:
            self._full[happening.node].witness.tell(f"the hub: {happening.value}")
            era = self._real_hub.era
            self._real_hub.office(happening.value)
            self._note_hub()
            if self._real_hub.era != era:
                self._judge.restored()

        return befall

    def _note_hub(self) -> None:
        for pi in self._full:
            pi.witness.lane("hub", not self._real_hub.is_down)

    def _end(self) -> None:
        for pi in self._full:
            pi.stop()
        self._real_hub.close()


def run_full(plan: Plan, parts: FullParts | None = None) -> Verdict:
    """What became of `plan`; the same plan and the same code, the same verdict to the last bit."""
    place = MEMORY if MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="il-full-", dir=place) as folder,
        seeded(plan.seed),
    ):
        return FullRun(plan, parts or FullParts(), Path(folder)).verdict()


@contextmanager
def _silence() -> Iterator[None]:
    """What node, sync and hub would log is not of interest here: every fault is ours."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
