"""A member's badges and trainings go in; for every machine: may they use it, and what is missing.

It asks `core.policy.decide`, the very function that decides at the machine, with a fresh list, a trusted
clock and a badge that works: what a machine would say if nothing but the member's rights counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse

from interlock.core.model import (
    Assurance,
    BadgeUse,
    Cache,
    Credit,
    Demands,
    Entry,
    Granted,
    Level,
    MemberStatus,
    Needs,
    Now,
    Reason,
    Rules,
)
from interlock.core.policy import decide
from interlock.hub.entries import right_of, second
from interlock.hub.models import Authorisation, Badge, Machine, Member
from interlock.hub.pages import words
from interlock.hub.pages.access import Viewer
from interlock.hub.permissions import Permission

KNOWN_NOW = Cache(version=(1, 1))
"""The hub's own tables are what every list of rights is made from: never stale."""


@dataclass(frozen=True, slots=True)
class MachineRight:
    """Whether the member may use one machine; `missing` says what stands in the way, nearest first."""

    machine: str
    address: str
    granted: bool
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rights:
    """All machines, and what keeps the member from every one of them (no working badge, suspended …)."""

    machines: tuple[MachineRight, ...]
    hindrance: str


def of_member(
    member: Member, held: Sequence[Authorisation], badges: Sequence[Badge], viewer: Viewer
) -> Rights:
    """What `member` may use in the lab: two queries, whatever the number of machines."""
    entry = snapshot_entry(member, held)
    now = Now(boot_ms=0, wall_at=int(viewer.now.timestamp()), wall_trusted=True)
    machines = Machine.objects.filter(lab=viewer.lab).prefetch_related("trainings")
    opens = viewer.may(Permission.VIEW_MACHINES)
    hindrance = _hindrance(entry, badges, now)
    rights = [_right(machine, entry, now, opens=opens) for machine in machines]
    return Rights(tuple(_without(right, hindrance) for right in rights), hindrance)


def of_many(
    members: Sequence[Member], held: Mapping[int, Sequence[Authorisation]], viewer: Viewer
) -> tuple[list[Machine], dict[int, frozenset[int]]]:
    """The lab's machines, and for each member those they may use with a badge that works: two queries."""
    machines = list(Machine.objects.filter(lab=viewer.lab).prefetch_related("trainings"))
    rules = [(machine.pk, _rules(machine)) for machine in machines]
    now = Now(boot_ms=0, wall_at=int(viewer.now.timestamp()), wall_trusted=True)
    may_use = {}
    for member in members:
        entry = snapshot_entry(member, held.get(member.pk, ()))
        may_use[member.pk] = frozenset(
            key
            for key, asked in rules
            if isinstance(decide(entry, asked, now, KNOWN_NOW, Assurance.UID), Granted)
        )
    return machines, may_use


def level_words(level: str) -> words.Words:
    """What a training of this level entitles to."""
    return words.LEVELS[Level(level)]


def _right(machine: Machine, entry: Entry, now: Now, *, opens: bool) -> MachineRight:
    rules = _rules(machine)
    names = {training.slug: training.name for training in machine.trainings.all()}
    granted = isinstance(decide(entry, rules, now, KNOWN_NOW, Assurance.UID), Granted)
    return MachineRight(
        machine=machine.name,
        address=reverse("machine", args=[machine.slug]) if opens else "",
        granted=granted,
        missing=() if granted else _missing(entry, rules, now, names),
    )


def _without(right: MachineRight, hindrance: str) -> MachineRight:
    """What is said once above all machines is not said again beside each."""
    missing = tuple(one for one in right.missing if one != hindrance)
    return dataclasses.replace(right, missing=missing)


def _missing(entry: Entry, rules: Rules, now: Now, names: Mapping[str, str]) -> tuple[str, ...]:
    """Every training that is missing, each judged by the same function as if it were the only one."""
    alone = [
        decide(entry, _only(rules, training), now, KNOWN_NOW, Assurance.UID)
        for training in rules.demands.trainings
    ] or [decide(entry, rules, now, KNOWN_NOW, Assurance.UID)]
    said = [
        words.refusal(one, names.get(one.training or ""))
        for one in alone
        if not isinstance(one, Granted)
    ]
    # Somebody suspended is told so once, not once for each training.
    return tuple(dict.fromkeys(said))


def _only(rules: Rules, training: str) -> Rules:
    demands = dataclasses.replace(rules.demands, trainings=(training,), needs=Needs.ALL)
    return dataclasses.replace(rules, demands=demands)


def _hindrance(entry: Entry, badges: Sequence[Badge], now: Now) -> str:
    """What keeps them from every machine, whatever it asks for."""
    general = decide(entry, Rules(), now, KNOWN_NOW, Assurance.UID)
    if not isinstance(general, Granted):
        return words.refusal(general, None)
    if not any(badge.condition == Badge.Condition.ACTIVE for badge in badges):
        blocked = Reason.BADGE_BLOCKED if badges else Reason.UNKNOWN_BADGE
        return str(words.REASONS[blocked])
    return ""


def snapshot_entry(member: Member, held: Sequence[Authorisation]) -> Entry:
    """What a list of rights says of `member`, with a badge that works."""
    return Entry(
        tag=bytes(16),
        member=member.public_id,
        language=member.language,
        status=MemberStatus(member.status),
        member_until_at=second(member.until_at),
        rights=tuple(right_of(one) for one in held),
        technician=member.technician,
        credit=Credit(member.credit),
    )


def _rules(machine: Machine) -> Rules:
    trainings = tuple(training.slug for training in machine.trainings.all())
    demands = Demands(trainings, Needs(machine.needs))
    return Rules(badge_use=BadgeUse(machine.badge_use), demands=demands)
