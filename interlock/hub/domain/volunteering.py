"""Volunteer time: declared by members or entered by staff, counted once confirmed; summed by period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import days
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import Lab, Member, Role, Topic, VolunteerTime
from interlock.hub.permissions import Actor, Permission, require

MINUTES_MAX = 24 * 60
"""Entered day by day: the time sheet behind accounts 86/87 shows days."""
TASK_LENGTH_MAX = 200

State = VolunteerTime.State


@dataclass(frozen=True, slots=True)
class Volunteered:
    """Confirmed volunteer time of a period."""

    minutes: int
    entries: int
    people: int


@transaction.atomic
def enter(actor: Actor, member: Member, done_on: date, minutes: int, task: str) -> VolunteerTime:
    """Staff enters it: it counts at once. Raises ConfigError."""
    require(actor, member.lab, Permission.RUN_ACTIVITIES)
    made = _made(actor, member, done_on, minutes, task)
    _decide(actor, made, State.CONFIRMED)
    _log(actor, made, "volunteer_time_entered")
    return made


@transaction.atomic
def declare(actor: Actor, member: Member, done_on: date, minutes: int, task: str) -> VolunteerTime:
    """The member says so of themselves; it counts once somebody of the staff has confirmed it. Raises
    ConfigError, and PermissionDenied when it is somebody else's page."""
    require(actor, member.lab, Permission.VIEW_OWN)
    if actor.user is not None and not Role.objects.filter(user=actor.user, member=member).exists():
        raise PermissionDenied(_("Everybody declares their own time."))
    made = _made(actor, member, done_on, minutes, task)
    _log(actor, made, "volunteer_time_declared")
    return made


@transaction.atomic
def confirm(actor: Actor, found: VolunteerTime) -> None:
    """It counts."""
    require(actor, found.lab, Permission.RUN_ACTIVITIES)
    before = _described(found)
    _decide(actor, found, State.CONFIRMED)
    _log(actor, found, "volunteer_time_confirmed", before)


@transaction.atomic
def reject(actor: Actor, found: VolunteerTime, why: str) -> None:
    """It does not count (any more). It can be confirmed all the same later."""
    require(actor, found.lab, Permission.RUN_ACTIVITIES)
    before = _described(found)
    _decide(actor, found, State.REJECTED)
    _log(actor, found, "volunteer_time_rejected", before, why)


@transaction.atomic
def correct(
    actor: Actor, found: VolunteerTime, done_on: date, minutes: int, task: str, why: str
) -> None:
    """It was so instead; the audit log keeps what was said before. Raises ConfigError."""
    require(actor, found.lab, Permission.RUN_ACTIVITIES)
    _check(actor, done_on, minutes, task)
    before = _described(found)
    found.done_on, found.minutes, found.task = done_on, minutes, task.strip()
    found.save(update_fields=["done_on", "minutes", "task"])
    _log(actor, found, "volunteer_time_corrected", before, why)


def totals(lab: Lab, first: date, last: date) -> Volunteered:
    """Confirmed time from `first` to `last`, both included: one query. Erased members' time counts; they
    count as nobody."""
    found = VolunteerTime.objects.filter(
        lab=lab, state=State.CONFIRMED, done_on__gte=first, done_on__lte=last
    ).aggregate(m=Sum("minutes"), n=Count("pk"), p=Count("member", distinct=True))
    return Volunteered(found["m"] or 0, found["n"], found["p"])


def _made(actor: Actor, member: Member, done_on: date, minutes: int, task: str) -> VolunteerTime:
    _check(actor, done_on, minutes, task)
    return VolunteerTime.objects.create(
        lab=member.lab,
        member=member,
        done_on=done_on,
        minutes=minutes,
        task=task.strip(),
        declared_at=actor.now(),
    )


def _decide(actor: Actor, found: VolunteerTime, state: VolunteerTime.State) -> None:
    found.state, found.decided_at, found.decided_by = state, actor.now(), actor.user
    found.save(update_fields=["state", "decided_at", "decided_by"])


def _check(actor: Actor, done_on: date, minutes: int, task: str) -> None:
    limits.check_name(task, _("task"), TASK_LENGTH_MAX)
    limits.check_number(minutes, MINUTES_MAX, _("minutes"))
    # A day's grace: the lab's date may be ahead of UTC's.
    if not done_on >= days.FIRST or (done_on - actor.now().date()).days > 1:
        raise ConfigError(_("time that is still to come does not count yet"), where=_("date"))


def _log(
    actor: Actor,
    found: VolunteerTime,
    action: str,
    before: dict[str, Any] | None = None,
    why: str = "",
) -> None:
    log_deed(
        actor,
        found.lab,
        Topic.OTHER,
        action,
        str(found.pk),
        before=before,
        after=_described(found),
        why=why,
    )


def _described(found: VolunteerTime) -> dict[str, Any]:
    return {
        "member": found.member.public_id if found.member else None,
        "done_on": found.done_on.isoformat(),
        "minutes": found.minutes,
        "task": found.task,
        "state": str(found.state),
    }
