"""Workshops and visits, counted without names: entered, corrected, withdrawn; summed by period and public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Sum
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import days
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import Activity, Headcount, Lab, Public, Topic
from interlock.hub.permissions import Actor, Permission, require

MINUTES_MAX = 7 * 24 * 60
"""A week of holiday camp; longer ones are entered week by week."""
PEOPLE_MAX = 10_000
"""A fair's worth of visitors."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is said of an activity; `people` counts by public, without names."""

    title: str
    held_on: date
    minutes: int
    kind: str = Activity.Kind.WORKSHOP
    people: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a period. `person_minutes` is each activity's length times everybody who came."""

    activities: int
    minutes: int
    people: int
    person_minutes: int
    by_kind: Mapping[str, int]
    by_public: Mapping[str, int]


@transaction.atomic
def enter(actor: Actor, lab: Lab, held: Held) -> Activity:
    """The activity counts. Raises ConfigError."""
    require(actor, lab, Permission.RUN_ACTIVITIES)
    _check(held)
    made = Activity.objects.create(
        lab=lab,
        kind=held.kind,
        title=held.title.strip(),
        held_on=held.held_on,
        minutes=held.minutes,
        entered_at=actor.now(),
    )
    _count(made, held)
    log_deed(actor, lab, Topic.OTHER, "activity_entered", str(made.pk), after=_described(made))
    return made


@transaction.atomic
def correct(actor: Actor, activity: Activity, held: Held, why: str) -> None:
    """It was so instead; the audit log keeps what was said before, and why. Raises ConfigError."""
    require(actor, activity.lab, Permission.RUN_ACTIVITIES)
    _check(held)
    before = _described(activity)
    activity.kind, activity.title = held.kind, held.title.strip()
    activity.held_on, activity.minutes = held.held_on, held.minutes
    activity.save(update_fields=["kind", "title", "held_on", "minutes"])
    activity.headcounts.all().delete()
    _count(activity, held)
    _log(actor, activity, "activity_corrected", before, why)


@transaction.atomic
def withdraw(actor: Actor, activity: Activity, why: str = "") -> None:
    """It counts no more: it was entered by mistake. It can be taken up again."""
    require(actor, activity.lab, Permission.RUN_ACTIVITIES)
    before, activity.withdrawn_at = _described(activity), actor.now()
    activity.save(update_fields=["withdrawn_at"])
    _log(actor, activity, "activity_withdrawn", before, why)


@transaction.atomic
def take_up(actor: Actor, activity: Activity) -> None:
    """It counts again."""
    require(actor, activity.lab, Permission.RUN_ACTIVITIES)
    before, activity.withdrawn_at = _described(activity), None
    activity.save(update_fields=["withdrawn_at"])
    _log(actor, activity, "activity_taken_up", before, "")


def totals(lab: Lab, first: date, last: date) -> Totals:
    """What was held from `first` to `last`, both included: three queries."""
    counted = Activity.objects.filter(
        lab=lab, withdrawn_at=None, held_on__gte=first, held_on__lte=last
    )
    heads = Headcount.objects.filter(activity__in=counted)
    by_kind = counted.order_by().values("kind").annotate(n=Count("pk"), m=Sum("minutes"))
    publics = heads.values("public").annotate(n=Sum("people")).values_list("public", "n")
    kinds = {row["kind"]: row for row in by_kind}
    by_public = dict(publics)
    spent = heads.aggregate(all=Sum(F("people") * F("activity__minutes")))["all"]
    return Totals(
        activities=sum(row["n"] for row in kinds.values()),
        minutes=sum(row["m"] for row in kinds.values()),
        people=sum(by_public.values()),
        person_minutes=spent or 0,
        by_kind={kind: kinds[kind]["n"] for kind in Activity.Kind.values if kind in kinds},
        by_public={public: by_public.get(public, 0) for public in Public.values},
    )


def _check(held: Held) -> None:
    limits.check_name(held.title, _("what it was"))
    if held.kind not in Activity.Kind.values:
        raise ConfigError(_("choose workshop or visit"), where=_("activity"))
    if not days.FIRST <= held.held_on <= days.LAST:
        raise ConfigError(_("this is no day the lab deals with"), where=_("date"))
    limits.check_number(held.minutes, MINUTES_MAX, _("minutes"))
    for public, people in held.people.items():
        if public not in Public.values:
            raise ConfigError(_("this public is not counted"), where=public)
        if not 0 <= people <= PEOPLE_MAX:
            limits.check_number(people, PEOPLE_MAX, _("people"))
    if not sum(held.people.values()):
        raise ConfigError(_("say how many people came"), where=_("people"))


def _count(activity: Activity, held: Held) -> None:
    Headcount.objects.bulk_create(
        Headcount(activity=activity, public=public, people=people)
        for public, people in held.people.items()
        if people
    )


def _log(actor: Actor, activity: Activity, action: str, before: dict[str, Any], why: str) -> None:
    log_deed(
        actor,
        activity.lab,
        Topic.OTHER,
        action,
        str(activity.pk),
        before=before,
        after=_described(activity),
        why=why,
    )


def _described(activity: Activity) -> dict[str, Any]:
    counted = Headcount.objects.filter(activity=activity).order_by("public")
    return {
        "kind": str(activity.kind),
        "title": activity.title,
        "held_on": activity.held_on.isoformat(),
        "minutes": activity.minutes,
        "people": dict(counted.values_list("public", "people")),
        "counts": activity.withdrawn_at is None,
    }
