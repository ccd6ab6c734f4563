"""A refusal in, whether its reason is so out: nobody is sent away for what only the software believes.

A trained member can work whatever else is broken: a machine that refuses has to name something that anybody with
instruments finds, or found a moment ago.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interlock.core.model import Assurance, Level
from interlock.sim.simulator.people import Person
from interlock.sim.simulator.witness import Witness

S = 1_000_000
MOMENT_US = S // 4
"""A level that changed so long ago may be what was decided on: a few ticks, debounced toward permitting (200 ms)."""
READ_US = 3 * S
"""A badge may have been looked up in the list of before, and its start waits at most this long for the card."""
WAIT_US = 8 * S
"""So long somebody's badge occupies the machine before its relay closes: a second person, a pre-run, a coast-down."""
DISK_US = 60 * S
"""So long a card that works again may still be doubted: retries come at growing pauses."""


def is_true(witness: Witness, body: Mapping[str, Any]) -> bool:
    """Whether that can be why the badge was refused."""
    reason, tag = str(body["reason"]), body.get("tag")
    if reason in OF_THE_MACHINE:
        return OF_THE_MACHINE[reason](witness)
    if reason not in OF_THE_LIST or witness.now_us - witness.switched_us < READ_US:
        return True
    people = {} if witness.snapshot is None else witness.snapshot.people
    person = next((one for one in people.values() if one.tag.hex() == tag), None)
    if person is None:
        return reason == "UNKNOWN_BADGE"
    return OF_THE_LIST[reason](witness, person)


def _in_use(w: Witness) -> bool:
    badges = {one.card.label for one in w.placings if w.now_us - one.at_us < WAIT_US}
    return w.session is not None or w.given.bypass_on or w.relay or len(badges) > 1


def _locked_out(w: Witness) -> bool:
    asked = w.snapshot is not None and w.identity in w.snapshot.locked_out
    return asked or w.locked_out or w.platter.facts.locked_out or _recent(w, w.switched_us, READ_US)


def _faulty(w: Witness) -> bool:
    closed = w.contacts_since_us is not None or _recent(w, w.relay_since_us, 2 * S)
    return closed or w.fault_known or bool(w.platter.facts.faults)


def _interlock_open(w: Witness) -> bool:
    if _unheard_of(w):
        return True
    names = () if w.facts is None else w.facts.open_interlocks
    opened = bool(names) or w.given.extraction_broken
    # A stop button that is held counts as one: no start may begin under somebody's hand.
    held = w.stopped_since_us is not None or w.since_hazard_us("stop") < MOMENT_US
    return opened or held or w.since_hazard_us("interlock") < 2 * S or _recent(w, w.ready_us, S)


def _unheard_of(w: Witness) -> bool:
    """The contact at another machine is not known to be closed, or was not a moment ago."""
    if not w.fit.waits_for_another:
        return False
    hearsay = w.hearsay
    heard_again = hearsay.was_unknown and _recent(w, hearsay.heard_us, MOMENT_US)
    lost_us = hearsay.lost_since_us(w.now_us + MOMENT_US + hearsay.doubt_us)
    return lost_us is not None or heard_again


def _switched_on(w: Witness) -> bool:
    on = w.facts is not None and (w.facts.switch_on or w.facts.busy)
    return on or _recent(w, w.start_touched_us, S) or _recent(w, w.idle_since_us, MOMENT_US)


def _stopped(w: Witness) -> bool:
    return w.emergency_since_us is not None or w.since_hazard_us("emergency") < MOMENT_US


def _stale(w: Witness) -> bool:
    if w.confirmed_us is None or w.snapshot is None:
        return True
    since_us = min(w.confirmed_us, w.snapshot.issued_us)
    return _disk_doubted(w) or w.now_us - since_us > w.fit.rules.max_offline_s * S - READ_US


def _disk_doubted(w: Witness) -> bool:
    return w.disk_well_us is None or _recent(w, w.disk_well_us, DISK_US)


def _recent(w: Witness, at_us: int | None, within_us: int) -> bool:
    return at_us is not None and w.now_us - at_us < within_us


OF_THE_MACHINE: Mapping[str, Callable[[Witness], bool]] = {
    "MACHINE_IN_USE": _in_use,
    "MACHINE_LOCKED_OUT": _locked_out,
    "MACHINE_FAULT": _faulty,
    "MACHINE_SWITCH_ON": _switched_on,
    "INTERLOCK_OPEN": _interlock_open,
    "EMERGENCY_STOP": _stopped,
    "CACHE_STALE": _stale,
    "NO_CACHE": lambda w: w.snapshot is None or _recent(w, w.switched_us, READ_US),
    "CLOCK_UNTRUSTED": lambda w: not w.trusted or _recent(w, w.told_us, READ_US),
    "CANNOT_RECORD": _disk_doubted,
    "BADGE_NOT_GENUINE": lambda w: not w.placings[-1].card.genuine,
}

OF_THE_LIST: Mapping[str, Callable[[Witness, Person], bool]] = {
    "UNKNOWN_BADGE": lambda w, person: False,
    "BADGE_BLOCKED": lambda w, person: person.blocked,
    "BADGE_NOT_SECURE_ENOUGH": lambda w, person: (
        w.fit.rules.min_assurance is Assurance.AES and not person.aes
    ),
    "MEMBER_SUSPENDED": lambda w, person: person.suspended,
    "MEMBERSHIP_EXPIRED": lambda w, person: False,
    "NOT_TRAINED": lambda w, person: person.level is None and person.name not in w.granted,
    "TRAINING_EXPIRED": lambda w, person: person.until_at is not None,
    "TRAINING_LAPSED": lambda w, person: False,
    "NEEDS_SUPERVISOR": lambda w, person: person.level is Level.SUPERVISED,
    "NEEDS_SECOND_PERSON": lambda w, person: w.fit.rules.second_person,
    "OUTSIDE_HOURS": lambda w, person: w.fit.house.within_hours and not person.any_time,
    "RESERVED": lambda w, person: bool(w.fit.house.booked),
    "NO_CREDIT": lambda w, person: person.spent,
    "DAILY_LIMIT": lambda w, person: w.fit.house.daily_limit_s is not None,
}
"""What the hub holds of people and asks of the machine; nobody's membership ends here, and no training lapses."""
