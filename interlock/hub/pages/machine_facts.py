"""One machine as stored goes in; what its page says comes out: rules, reservations, commissioning, bypass key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext, ngettext

from interlock.core.model import BadgeUse
from interlock.hub.models import Commissioning, Machine, Node, Reservation, UnmeteredUse
from interlock.hub.pages import formats, words
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.tiles import machines_of

USES_SHOWN = 5
"""The last few times the key was on; the sum counts every one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a list of facts; `state` colours it where it needs attention."""

    name: str
    value: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation in words; `who` is empty for those who may not know names."""

    number: int
    when: str
    who: str
    note: str
    imported: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One step of a commissioning: what it found, and the numbers it measured."""

    name: str
    state: str
    words: str
    measured: str


@dataclass(frozen=True, slots=True)
class Commissioned:
    """When somebody last walked through the machine, who, and whether it still is that machine."""

    when: str
    by: str
    rewired: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Unmetered:
    """How long the bypass key was on, in all and each of the last times."""

    total: str
    uses: tuple[Fact, ...]


def machine_of(viewer: Viewer, slug: str) -> Machine:
    """The machine of this lab. Raises Http404."""
    wanted = machines_of(viewer.lab, retired=True).select_related("live_session__member", "tariff")
    found = wanted.prefetch_related("trainings").filter(slug=slug).first()
    if found is None:
        raise Http404(gettext("There is no such machine in this lab."))
    return found


def trainings_words(found: Machine) -> str:
    """What the machine asks people to have learnt."""
    names = [training.name for training in found.trainings.all()]
    if not names:
        return gettext("none")
    if len(names) > 1 and found.needs == Machine.Needs.ANY:
        return gettext("one of: %(names)s") % {"names": ", ".join(names)}
    return ", ".join(names)


def rules(found: Machine) -> list[Fact]:
    """What is asked of people, in words."""
    tariff = found.tariff.name if found.tariff else gettext("free of charge")
    sensor = (
        gettext("yes") if found.has_current_sensor else gettext("no: only enabled time is known")
    )
    return [
        Fact(gettext("Badge"), str(words.BADGE_USES[BadgeUse(found.badge_use)])),
        Fact(gettext("Trainings asked for"), trainings_words(found)),
        *_asked(found),
        Fact(gettext("Works without the hub for"), _offline(found)),
        Fact(gettext("Knows whether it works"), sensor),
        Fact(gettext("Tariff"), tariff),
        *_paid_by(found),
    ]


def _paid_by(found: Machine) -> list[Fact]:
    """The grant that paid for it, where one did."""
    said = " · ".join(filter(None, (found.grant_name, found.grant_reference)))
    return [Fact(gettext("Paid by the grant"), said)] if said else []


def _asked(found: Machine) -> list[Fact]:
    """Only what is asked for: most machines ask for none of it."""
    asked = []
    if found.second_person:
        asked.append(Fact(gettext("Second person"), gettext("has to be there")))
    if found.within_hours:
        asked.append(Fact(gettext("Hours"), gettext("only during opening hours")))
    if found.daily_limit_s is not None:
        limit = formats.duration(found.daily_limit_s)
        asked.append(
            Fact(gettext("Limit"), gettext("%(time)s a day for each member") % {"time": limit})
        )
    return asked


def _offline(found: Machine) -> str:
    if found.max_offline_s is None:
        return gettext("as the node's own file says")
    days, rest_s = divmod(found.max_offline_s, 24 * formats.HOUR_S)
    if rest_s:
        return formats.duration(found.max_offline_s)
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


def reserved(found: Machine, viewer: Viewer, most: int | None = None) -> list[Reserved]:
    """The reservations of `found` that are not over, the nearest first."""
    ahead = Reservation.objects.filter(machine=found, until_at__gt=viewer.now)
    read = ahead.select_related("member", "imported_from")
    return [_row(one, viewer) for one in read[:most]]


def commissioning(node: Node, viewer: Viewer) -> Commissioned | None:
    """The latest walk through the machine with this node; None: never."""
    last = node.commissionings.first()
    if last is None:
        return None
    return Commissioned(
        when=formats.moment(last.done_at, viewer.zone, viewer.now),
        by=last.by,
        rewired=is_rewired(node, last),
        findings=tuple(_finding(one) for one in last.findings),
    )


def is_rewired(node: Node, last: Commissioning) -> bool:
    """Whether the node runs by another file than the one that was tried at its commissioning."""
    return bool(node.config_digest) and node.config_digest != last.config_digest


def unmetered(found: Machine, viewer: Viewer) -> Unmetered | None:
    """The uses that nobody metered; None: there was none."""
    uses = list(UnmeteredUse.objects.filter(machine=found).order_by("-began_at"))
    if not uses:
        return None
    whole_s = sum((use.duration_ms or 0) for use in uses) // 1_000
    shown = tuple(_use(use, found, viewer) for use in uses[:USES_SHOWN])
    return Unmetered(formats.duration(whole_s), shown)


def _use(use: UnmeteredUse, found: Machine, viewer: Viewer) -> Fact:
    begun = formats.moment(use.began_at, viewer.zone, viewer.now)
    if use.duration_ms is not None:
        return Fact(begun, formats.duration(use.duration_ms // 1_000))
    if use.began_at == found.live_bypass_at:
        return Fact(begun, gettext("the key is on"), "ending")
    return Fact(begun, gettext("nobody knows how long: the power was cut"))


def _finding(one: dict[str, Any]) -> Finding:
    state, said = _VERDICTS[one["good"]]
    step, _, part = str(one["name"]).partition(": ")
    name = str(words.COMMISSIONING.get(step, step))
    return Finding(
        name=f"{name} ({part.replace('_', ' ')})" if part else name,
        state=state,
        words=str(said),
        measured=", ".join(_number(name, value) for name, value in one["measured"].items()),
    )


def _number(name: str, value: int) -> str:
    """A measured value as its name says it: `close_ms` 35 is "close 35 ms"."""
    stem, _, unit = name.rpartition("_")
    if unit not in _UNITS:
        return f"{name.replace('_', ' ')} {value}"
    return f"{stem.replace('_', ' ')} {value}{formats.SPACE}{_UNITS[unit]}"


_UNITS = {"ms": "ms", "s": "s", "ma": "mA"}


_VERDICTS: dict[bool | None, tuple[str, words.Words]] = {
    True: ("free", words.GOOD),
    False: ("fault", words.NOT_GOOD),
    None: ("offline", words.NOT_TESTED),
}


def _row(one: Reservation, viewer: Viewer) -> Reserved:
    begins = formats.moment(one.from_at, viewer.zone, viewer.now)
    # On another day the end says which.
    ends = formats.moment(one.until_at, viewer.zone, one.from_at)
    who = gettext("nobody") if one.member is None else one.member.name
    return Reserved(
        number=one.pk,
        when=f"{begins} – {ends}",
        who=who if viewer.sees_names else "",
        note=one.note if viewer.sees_names else "",
        imported=hasattr(one, "imported_from"),
    )
