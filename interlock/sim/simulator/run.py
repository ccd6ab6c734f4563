"""A plan in, a verdict out: every act in the order of time, every invariant after each of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import blake2b

from interlock.errors import InterlockError
from interlock.sim.simulator import invariants
from interlock.sim.simulator.happenings import Happening, Kind, Plan
from interlock.sim.simulator.hub_model import HubModel
from interlock.sim.simulator.invariants import Invariant, rule_of
from interlock.sim.simulator.liveness import Liveness
from interlock.sim.simulator.people import Person, members
from interlock.sim.simulator.pi import Parts, Pi
from interlock.sim.simulator.replayed import disagreements
from interlock.sim.simulator.schedule import BEGUN_MS, Act, Schedule
from interlock.sim.simulator.witness import LOOK_US, Witness

US_PER_MS = 1_000
CRASHES = (AssertionError, AttributeError, InterlockError, LookupError, TypeError, ValueError)
"""What a mistake of ours raises: the process would die of it, and with it the relay."""


@dataclass(frozen=True, slots=True)
class Violation:
    """The first broken rule of a run."""

    rule: str
    node: int
    at_us: int
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at machine {self.node}, {self.at_us / 1e6:.3f} s: {self.what}"


class Broken(Exception):
    """Ends a run at its first violation."""

    def __init__(self, violation: Violation) -> None:
        self.violation = violation
        super().__init__(str(violation))


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run really did."""

    steps: int = 0
    edges: int = 0
    changes: int = 0
    polls: int = 0
    sessions: int = 0
    records: int = 0
    decisions: int = 0

    @property
    def events(self) -> int:
        """Steps of the core, edges of the dynamic enable, changes of the machine and polls of the reader."""
        return self.steps + self.edges + self.changes + self.polls

    def plus(self, other: Tally) -> Tally:
        """What both did together."""
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended; `digest` is over everything that any witness saw."""

    violation: Violation | None
    digest: str
    tally: Tally
    witnesses: tuple[Witness, ...]


class Run:
    """One run under virtual time."""

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._plan = plan
        self._schedule = Schedule()
        self._hub = self._new_hub(members(BEGUN_MS // 1_000, plan.end_ms // 1_000))
        self._pis = [self._new_pi(node, parts) for node in range(plan.nodes)]
        self._sessions = 0
        for pi in self._pis:
            pi.on_relay = self._relay_of(pi)
            pi.on_ready = self._ready_of(pi)
        for happening in plan.happenings:
            self._schedule.at(happening.at_ms * US_PER_MS, self._befalling(happening))

    def verdict(self) -> Verdict:
        """The whole run, or as much of it as kept the rules."""
        violation = None
        try:
            with _quiet():
                self._live(self._plan.end_ms * US_PER_MS)
                self._mended()
                self._at_the_end()
        except Broken as broken:
            violation = broken.violation
        return Verdict(violation, _digest(self.witnesses), self._tally(), self.witnesses)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """Who watched each machine."""
        return tuple(pi.witness for pi in self._pis)

    def _mended(self) -> None:
        Liveness(self._pis, self._hub, self._schedule).begin()
        self._live(self._schedule.now_us + Liveness.LENGTH_US)

    def _new_hub(self, people: Mapping[str, Person]) -> HubModel:
        return HubModel(people)

    def _new_pi(self, node: int, parts: Parts) -> Pi:
        return Pi(node, self._plan.seed, self._hub, self._schedule, parts)

    def _look(self, pi: Pi) -> None:
        self._ask(invariants.EVERY_STEP, pi.witness)
        if pi.witness.ended is not None:
            self._ask(invariants.AT_RECORD, pi.witness)
            pi.witness.ended = None
        if pi.witness.refused is not None:
            self._ask(invariants.AT_REFUSAL, pi.witness)
            pi.witness.refused = None

    def _live(self, until_us: int) -> None:
        schedule, pis = self._schedule, self._pis
        while True:
            try:
                owner = schedule.turn(until_us)
            except CRASHES as error:
                said = f"the process died of itself: {error!r}"
                raise Broken(Violation("CRASH", schedule.owner, schedule.now_us, said)) from error
            if owner is None:
                return
            for pi in pis if owner < 0 else (pis[owner],):
                self._look(pi)

    def _ask(self, rules: tuple[Invariant, ...], witness: Witness) -> None:
        for rule in rules:
            what = rule(witness)
            if what is not None:
                raise Broken(Violation(rule_of(rule), witness.node, witness.now_us, what))

    def _relay_of(self, pi: Pi) -> Callable[[bool], None]:
        witness = pi.witness

        def changed(on: bool) -> None:
            if on and not witness.alive:
                # No process drives it: S13 says what that means for the coil.
                return
            if on:
                self._sessions += 1
                self._ask(invariants.AT_CLOSING, witness)
                witness.closed(invariants.READ_US)
                return
            witness.opened()
            self._ask(invariants.AT_OPENING, witness)
            clean = witness.ticking_since_us is not None
            if clean and witness.since_hazard_us("stop", "emergency", "interlock") > 300_000:
                run_on_us = witness.fit.rules.run_on_s * 1_000_000
                witness.owes_air_until_us = witness.now_us + run_on_us - LOOK_US

        return changed

    def _ready_of(self, pi: Pi) -> Act:
        def ready() -> None:
            pi.witness.recovered()
            self._ask(invariants.AT_READY, pi.witness)

        return ready

    def _befalling(self, happening: Happening) -> Act:
        def befall() -> None:
            self._pis[happening.node].befall(happening)
            if happening.kind is Kind.HUB and happening.value != "replay":
                for pi in self._pis:
                    pi.hub_changed()

        return befall

    def _at_the_end(self) -> None:
        for pi in self._pis:
            witness = pi.witness
            self._ask(invariants.AT_READY, witness)
            for said in disagreements(witness.platter.records):
                raise Broken(Violation("A10", witness.node, witness.now_us, said))
            stuck = Liveness.failed(pi)
            if stuck is not None:
                raise Broken(Violation("L1", witness.node, witness.now_us, stuck))

    def _tally(self) -> Tally:
        cards = [pi.card for pi in self._pis]
        lives = [pi.life.loop for pi in self._pis if pi.life is not None]
        return Tally(
            steps=sum(card.steps for card in cards) + sum(loop.steps for loop in lives),
            edges=sum(card.turns for card in cards) + sum(loop.enable_turns for loop in lives),
            changes=sum(card.bench.changes for card in cards),
            polls=sum(card.polls for card in cards),
            sessions=self._sessions,
            records=sum(len(card.platter.records) for card in cards),
        )


def run(plan: Plan, parts: Parts | None = None) -> Verdict:
    """What became of `plan`; the same plan and the same code, the same verdict to the last bit."""
    return Run(plan, parts or Parts()).verdict()


def _digest(witnesses: tuple[Witness, ...]) -> str:
    sum_ = blake2b(digest_size=16)
    for witness in witnesses:
        for lane in witness.lanes:
            sum_.update(repr(lane).encode())
        for line in witness.tale:
            sum_.update(repr(line).encode())
        for record in witness.platter.records:
            sum_.update(repr((record.header, record.body)).encode())
    return sum_.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """What the node would log is not of interest here: every fault is ours."""
    logger = logging.getLogger("interlock.node")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)
