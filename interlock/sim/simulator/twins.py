"""A plan with one fault in, two lives out that differ in nothing else: what it added, or changed where it may not.

S13: adding one fault to a run never adds powered time for somebody not entitled. Nobody asks the other rules here, and
the lists are read anew from the hub's own words, so that this is a second opinion on them. Three things are compared:

- For how long the coil had current with nobody's session open, for somebody whom no list of the last `max_offline`
  lets in, or where another machine's contact was not known to be closed at its begin. The fault may not add to it.
- At a machine whose own parts are well, and at one that only lost its hub: every edge of relay, coil, contacts, motor
  and extraction and every decision, to the microsecond. A machine without its hub may go another way only once the
  hub's words, the age of its list or a missing word of another machine's contact could say so.
- At a machine whose journal's disk is sick: whoever works when it falls sick is switched off no later for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from random import Random

from interlock.sim.simulator import ledger, next_door
from interlock.sim.simulator.fitting import fitting
from interlock.sim.simulator.happenings import ELSEWHERE, FAULTS, Kind, Plan
from interlock.sim.simulator.hub_model import Snapshot
from interlock.sim.simulator.invariants import Invariant
from interlock.sim.simulator.life_of_a_lab import fault_of, plan_of
from interlock.sim.simulator.people import Person
from interlock.sim.simulator.pi import Parts, Pi
from interlock.sim.simulator.run import Run, Verdict, Violation
from interlock.sim.simulator.schedule import BEGUN_MS
from interlock.sim.simulator.witness import LOOK_US, Witness

S = 1_000_000
RECENT_US = 20 * S
"""A badge that was put down so long ago may still be what a relay closes for: two people, a pre-run, a slow disk."""
FAULT_FROM_MS = 45_000
"""By then a node was greeted by its hub and knows the time: what it misses from here on is the fault's doing."""
NEWS_US = 5 * S
"""What was said at the hub so long before it went away has arrived."""
WORD_US = next_door.KEPT_US - next_door.ASK_US - 10 * S
"""A word that was asked for before the link went is good for so long at least."""
WORDS_US = next_door.KEPT_US + next_door.ASK_US + next_door.AGAIN_US
"""What befell the words of another machine's contact so long before may still show."""
PARTS = ("relay", "coil", "contacts", "motor", "fan")
DECIDED = ("record ", "refused ")


@dataclass(frozen=True, slots=True)
class Known:
    """One machine in the moment before the fault: how old its list is, and since when whose session is open."""

    list_age_us: int
    trusted: bool
    session_us: int | None


@dataclass(slots=True)
class Powered:
    """What was powered for somebody not entitled: for how long, when it began first, and for whom."""

    us: int = 0
    since_us: int | None = None
    whose: str = ""


@dataclass(slots=True)
class Watched:
    """One machine of a life that nobody judges."""

    stolen: Powered = field(default_factory=Powered)
    unentitled: str | None = None
    """Whose session it is that nobody may have."""
    taken_since_us: int | None = None
    known: Known | None = None


class WatchedRun(Run):
    """A life in which every rule may break: it is compared with another."""

    def __init__(self, plan: Plan, parts: Parts, fault_us: int) -> None:
        super().__init__(plan, parts)
        self.machines = [Watched() for _ in self._pis]
        self._schedule.at(fault_us - 1, self._know)

    def _know(self) -> None:
        for pi, watched in zip(self._pis, self.machines, strict=True):
            session, witness = pi.witness.session, pi.witness
            since_us = None if session is None else session.closed_us
            watched.known = Known(ledger.age_us(witness), witness.trusted, since_us)

    def _look(self, pi: Pi) -> None:
        witness, watched = pi.witness, self.machines[pi.witness.node]
        whose = _taken(witness, watched)
        if watched.taken_since_us is not None:
            watched.stolen.us += witness.now_us - watched.taken_since_us
        watched.taken_since_us = None if whose is None else witness.now_us
        if whose is not None and watched.stolen.since_us is None:
            watched.stolen.since_us, watched.stolen.whose = witness.now_us, whose

    def _ask(self, rules: tuple[Invariant, ...], witness: Witness) -> None:
        """Nobody judges."""

    def _relay_of(self, pi: Pi) -> Callable[[bool], None]:
        told = super()._relay_of(pi)

        def changed(on: bool) -> None:
            told(on)
            session = pi.witness.session
            if on and session is not None and session.closed_us == pi.witness.now_us:
                entitled = self._is_entitled(pi.witness, session.member)
                entitled = entitled and not _is_unheard_of(pi.witness)
                self.machines[pi.witness.node].unentitled = None if entitled else session.member

        return changed

    def _mended(self) -> None:
        """What comes after the plan is the same in both lives."""

    def _at_the_end(self) -> None:
        """Nobody judges."""

    def _is_entitled(self, witness: Witness, member: str | None) -> bool:
        """Whether any list of the hub's that may still be in use lets in whoever was there."""
        if witness.fit.warns_only:
            return True
        now_us = witness.now_us
        from_us = now_us - witness.fit.rules.max_offline_s * S - RECENT_US
        lists = self._hub.snapshots
        ends = [one.issued_us for one in lists[1:]] + [now_us + 1]
        usable = [one for one, end_us in zip(lists, ends, strict=True) if end_us > from_us]
        recent = [one.card for one in witness.placings if one.at_us > now_us - RECENT_US]
        return any(
            f"m-{card.person}" == member and _lets_in(one, card.person, card.genuine, from_us)
            for card in recent
            for one in usable
        ) or (member is not None and member.removeprefix("m-") in witness.granted)


def twin_plan_of(seed: int, hours: float, nodes: int) -> Plan:
    """The life of that seed with one fault of one machine instead of its own faults.

    Where the link goes down, nothing is said at the hub from then on: what did not arrive would be a difference.
    """
    people = without_faults(plan_of(seed, hours, nodes))
    chance = Random(f"twins {seed}")
    node = chance.randrange(nodes)
    at_ms = chance.randrange(FAULT_FROM_MS, max(FAULT_FROM_MS + 1, people.end_ms - FAULT_FROM_MS))
    kind = chance.choice(sorted(FAULTS))
    happenings = list(people.happenings)
    if kind is Kind.LINK:
        said_ms = at_ms - 2 * NEWS_US // 1_000
        happenings = [one for one in happenings if one.kind is not Kind.HUB or one.at_ms < said_ms]
    happenings += fault_of(kind, at_ms, node, chance)
    return replace(people, happenings=tuple(sorted(happenings)))


def without_faults(plan: Plan) -> Plan:
    """The same people and operators, and nothing breaks."""
    kept = tuple(one for one in plan.happenings if one.kind not in FAULTS)
    return replace(plan, happenings=kept)


def run_twins(plan: Plan, parts: Callable[[], Parts] = Parts) -> Verdict:
    """Both lives; `parts` makes those of each. The verdict tells of the life with the fault, the sums are of both."""
    fault_us = min((one.at_ms for one in plan.happenings if one.kind in FAULTS), default=1) * 1_000
    runs = [WatchedRun(one, parts(), fault_us) for one in (plan, without_faults(plan))]
    faulty, plain = (one.verdict() for one in runs)
    found = faulty.violation or plain.violation or next(_broken(plan, runs, fault_us), None)
    tally = faulty.tally.plus(plain.tally)
    return Verdict(found, faulty.digest + plain.digest, tally, faulty.witnesses)


# ------------------------------------------------------------------------------------------ inside


def _broken(plan: Plan, runs: list[WatchedRun], fault_us: int) -> Iterator[Violation]:
    """What the fault added or changed at each machine."""
    faulty, plain = runs
    for node in range(plan.nodes):
        with_it, without = faulty.machines[node], plain.machines[node]
        witnesses = faulty.witnesses[node], plain.witnesses[node]
        if with_it.stolen.us > without.stolen.us:
            added_ms = (with_it.stolen.us - without.stolen.us) // 1_000
            at_us = with_it.stolen.since_us or 0
            yield _violation(node, at_us, f"powered for {with_it.stolen.whose}, {added_ms} ms more")
        until_us = _alike_until_us(plan, node, with_it.known, fault_us)
        if until_us is not None:
            yield from _unlike(node, *witnesses, until_us)
        if _kinds(plan, node) == {Kind.DISK}:
            yield from _later(node, *witnesses, with_it.known, fault_us)


def _alike_until_us(plan: Plan, node: int, known: Known | None, fault_us: int) -> int | None:
    """Until when nothing may differ at this machine; None: its own part is what broke."""
    kinds = _kinds(plan, node)
    if not kinds:
        return plan.end_ms * 1_000
    if kinds != {Kind.LINK} or known is None or not known.trusted:
        return None
    rules = fitting(plan.seed, node).rules
    fresh_us = fault_us + rules.max_offline_s * S - known.list_age_us - ledger.SLACK_US
    said = [one.at_ms * 1_000 for one in plan.happenings if one.kind is Kind.HUB]
    news = [at_us for at_us in said if at_us >= fault_us - NEWS_US]
    if fitting(plan.seed, node).waits_for_another:
        fresh_us = min(fresh_us, fault_us + WORD_US)
        words = [one for one in plan.happenings if one.kind in ELSEWHERE | {Kind.NEXT_DOOR}]
        news += [one.at_ms * 1_000 for one in words if one.at_ms * 1_000 > fault_us - WORDS_US]
    return min([plan.end_ms * 1_000, fresh_us, *(max(fault_us, at_us) for at_us in news)])


def _unlike(node: int, one: Witness, other: Witness, until_us: int) -> Iterator[Violation]:
    """The first thing that happened at the machine in one life only."""
    for mine, theirs in zip_longest(_history(one, until_us), _history(other, until_us)):
        if mine != theirs:
            at_us = min(been[0] for been in (mine, theirs) if been is not None)
            told = [_told(been) for been in (mine, theirs)]
            yield _violation(node, at_us, f"{told[0]}; without it: {told[1]}")
            return


def _later(
    node: int, one: Witness, other: Witness, known: Known | None, fault_us: int
) -> Iterator[Violation]:
    """Whoever worked when it began is switched off later for it."""
    if known is None or known.session_us is None:
        return
    mine, theirs = _off_us(one, fault_us), _off_us(other, fault_us)
    if theirs is not None and (mine is None or mine > theirs):
        when = "never" if mine is None else f"{(mine - theirs) // 1_000} ms later"
        yield _violation(node, theirs, f"the running session is switched off {when}")


def _violation(node: int, at_us: int, what: str) -> Violation:
    return Violation("S13", node, at_us, f"with the fault {what}")


def _is_unheard_of(witness: Witness) -> bool:
    lost_us = witness.hearsay.lost_since_us(witness.now_us)
    is_lost = lost_us is not None and witness.now_us - lost_us > LOOK_US
    return is_lost and witness.fit.waits_for_another


def _taken(witness: Witness, watched: Watched) -> str | None:
    """For whom the coil has current now who may not have it."""
    if witness.facts is None or not witness.facts.coil or witness.given.bypass_on:
        return None
    return "nobody" if witness.session is None else watched.unentitled


def _lets_in(known: Snapshot, name: str | None, genuine: bool, from_us: int) -> bool:
    person: Person | None = known.person_of(name)
    if person is None or (person.aes and not genuine):
        return False
    ended = person.until_at is not None and person.until_at <= BEGUN_MS // 1_000 + from_us // S
    barred = person.blocked or person.suspended or person.spent
    return person.level is not None and not barred and not ended


def _kinds(plan: Plan, node: int) -> set[Kind]:
    return {one.kind for one in plan.happenings if one.kind in FAULTS and one.node == node}


def _history(witness: Witness, until_us: int) -> list[tuple[int, str]]:
    """Every edge of the machine's parts and every decision of its node, oldest first."""
    edges = [
        (at, f"{name} {'on' if on else 'off'}") for at, name, on in witness.lanes if name in PARTS
    ]
    decided = [one for one in witness.tale if one[1].startswith(DECIDED)]
    return sorted(one for one in edges + decided if one[0] < until_us)


def _told(been: tuple[int, str] | None) -> str:
    return "nothing" if been is None else f"{been[1]} at {been[0] / S:.6f} s"


def _off_us(witness: Witness, since_us: int) -> int | None:
    return next(
        (at for at, name, on in witness.lanes if name == "relay" and not on and at >= since_us),
        None,
    )
