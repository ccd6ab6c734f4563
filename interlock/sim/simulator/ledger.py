"""Whom a machine may power now, told from the hub's truth and from who presented what: a second opinion.

Written from 2-machine.md, without the core's policy: what the core reads in entries and evidence is read here in
the plain facts of `people.Person`.
"""

from __future__ import annotations

from interlock.core.model import Assurance, Level
from interlock.protocol.records import RecordType
from interlock.sim.simulator.people import DAY_S, Card, Person
from interlock.sim.simulator.schedule import BEGUN_MS
from interlock.sim.simulator.witness import Placing, Witness

SLACK_US = 3_000_000
"""Seconds are rounded, answers travel: nobody is accused for this much."""

RULE_OF = {
    "no snapshot": "A6",
    "stale snapshot": "A1",
    "right ended": "A5",
    "short right, clock untrusted": "A11",
    "hour of day, clock untrusted": "A11",
}
"""Which rule a reason belongs to; every other one is S1's."""


def why_not(witness: Witness, placing: Placing, level_needed: bool = True) -> str | None:
    """Why this badge may not be let in alone, by the snapshot that reached the machine; None when it may."""
    fit, snapshot, card = witness.fit, witness.snapshot, placing.card
    person = None if snapshot is None else snapshot.person_of(card.person)
    if person is not None and person.blocked:
        return "badge blocked"
    if person is not None and person.aes and not card.genuine:
        return "a copy"
    if fit.warns_only:
        return "locked out at the hub" if _locked_out(witness) else None
    if snapshot is None:
        return "no snapshot"
    if age_us(witness) > fit.rules.max_offline_s * 1_000_000 + SLACK_US:
        return "stale snapshot"
    if person is None:
        return "unknown badge"
    if fit.rules.min_assurance is Assurance.AES and not person.aes:
        return "badge not secure enough"
    if person.suspended:
        return "suspended"
    if not level_needed:
        return None
    if _locked_out(witness):
        return "locked out at the hub"
    return _right_missing(witness, person) or _not_now(witness, person, placing.at_us)


def needs_company(witness: Witness, card: Card) -> str | None:
    """`trainer`, `second` or None: whom this badge's holder has to bring along."""
    person = None if witness.snapshot is None else witness.snapshot.person_of(card.person)
    if witness.fit.warns_only or person is None:
        return None
    if person.level is Level.SUPERVISED and person.name not in witness.granted:
        return "trainer"
    return "second" if witness.fit.rules.second_person else None


def is_company(witness: Witness, needed: str, holder: Card, placing: Placing) -> bool:
    """Whether whoever was presented there is the company that `holder` needs."""
    other = placing.card
    if other.person == holder.person or why_not(witness, placing, level_needed=False) is not None:
        return False
    if needed == "second":
        return True
    person = None if witness.snapshot is None else witness.snapshot.person_of(other.person)
    return person is not None and person.level is Level.TRAINER


def is_trainer(witness: Witness, card: Card) -> bool:
    """Whether this is a trainer of the machine with a badge of their own."""
    person = None if witness.snapshot is None else witness.snapshot.person_of(card.person)
    return person is not None and person.level is Level.TRAINER and card.genuine


def age_us(witness: Witness) -> int:
    """How old the snapshot is at least: powered time that is surely remembered, or true time once it is told."""
    if witness.confirmed_us is None:
        return 0
    if witness.trusted:
        return witness.now_us - witness.confirmed_us
    return witness.aged_us + witness.now_us - max(witness.boot_us, witness.confirmed_us)


def floor_at(witness: Witness) -> int | None:
    """The UTC second that it is at least, as far as this Pi can know; None: it was never told."""
    if witness.told_us is None:
        return None
    passed_us = witness.now_us - max(witness.boot_us, witness.told_us) + witness.aged_us
    return BEGUN_MS // 1_000 + (witness.told_us + passed_us - SLACK_US) // 1_000_000


def _right_missing(witness: Witness, person: Person) -> str | None:
    if person.level is None and person.name not in witness.granted:
        return "not trained"
    if person.name in witness.granted:
        return None
    floor = floor_at(witness)
    if person.until_at is not None and floor is not None and floor >= person.until_at:
        return "right ended"
    is_short = person.until_at is not None and person.since_at is not None
    if is_short and _span_s(person) < 2 * DAY_S and not witness.trusted:
        return "short right, clock untrusted"
    return None


def _not_now(witness: Witness, person: Person, placed_us: int) -> str | None:
    """What hour, reservation, account or limit say; an edge that lies between badge and relay accuses nobody."""
    if person.spent:
        return "nothing left on the account"
    house, name = witness.fit.house, person.name
    by_hours = house.within_hours and not person.any_time
    if by_hours or any(one.member != name for one in house.booked):
        if not witness.trusted:
            return "hour of day, clock untrusted"
        instants = (placed_us - SLACK_US, placed_us, witness.now_us, witness.now_us + SLACK_US)
        seconds = [at_us // 1_000_000 for at_us in instants]
        if by_hours and not any(house.is_open(one) for one in seconds):
            return "outside opening hours"
        if all(house.is_kept_from(name, one) for one in seconds):
            return "reserved for somebody else"
    limit_s = house.daily_limit_s
    spent = limit_s is not None and _used_ms(witness, f"m-{name}") >= limit_s * 1_000
    return "the day's limit is used up" if spent else None


def _used_ms(witness: Witness, member: str) -> int:
    """What the card says they had here, in sessions whose day was surely known (every run lies in one day)."""
    theirs: set[str] = set()
    used_ms = 0
    for one in witness.platter.records:
        body = one.body or {}
        if one.header.type is RecordType.SESSION_STARTED and one.header.wall_trusted:
            theirs |= {one.id} if body.get("member") == member else set()
        elif one.header.type is RecordType.SESSION_ENDED and body.get("session") in theirs:
            used_ms += int(body["enabled_ms"])
    return used_ms


def _span_s(person: Person) -> int:
    return (person.until_at or 0) - (person.since_at or 0)


def _locked_out(witness: Witness) -> bool:
    return witness.snapshot is not None and witness.identity in witness.snapshot.locked_out
