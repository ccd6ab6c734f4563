"""Plans and interventions: what comes round by the machine's hours or by the calendar, and what was done.

A plan counts from `since_at`: its last intervention, or its beginning. Hours are those the machine worked,
where a current sensor tells; elsewhere those it was enabled (the pages say which). Counting reads sessions, so
a job does it every few minutes (`recount`), and every change of a plan at once; what is due by date is known
without counting.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum
from django.utils import translation
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits, machines
from interlock.hub.models import (
    Intervention,
    Lab,
    Machine,
    MaintenancePlan,
    Session,
    Topic,
    User,
)
from interlock.hub.permissions import Actor, Permission, require

HOURS_MAX = 100_000
"""Eleven years without a pause."""
MINUTES_MAX = 100_000
COST_CENTS_MAX = 100_000_000
TEXT_LENGTH_MAX = 500
COMPANY_LENGTH_MAX = 100
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Round:
    """What a plan asks for: a task, after so many hours or days, whichever is first."""

    task: str
    every_hours: int | None = None
    every_days: int | None = None
    locks_out: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What was done: by somebody of the lab (`by`), by a company, or both."""

    what: str
    done_at: datetime
    by: User | None = None
    company: str = ""
    minutes: int = 0
    parts: str = ""
    cost_cents: int = 0


@transaction.atomic
def plan(
    actor: Actor, machine: Machine, wanted: Round, since: datetime | None = None
) -> MaintenancePlan:
    """The task comes round from `since` on (None: from now on). Raises ConfigError."""
    require(actor, machine.lab, Permission.MAINTAIN)
    _check_round(actor, machine, wanted)
    begins_at = since or actor.now()
    if begins_at > actor.now():
        raise ConfigError(_("it was last done in the past, or never"), where=_("date"))
    made = MaintenancePlan.objects.create(
        lab=machine.lab,
        machine=machine,
        task=wanted.task.strip(),
        every_hours=wanted.every_hours,
        every_days=wanted.every_days,
        locks_out=wanted.locks_out,
        begins_at=begins_at,
        since_at=begins_at,
    )
    _count(actor, made)
    _log_plan(actor, made, "plan_made")
    return made


@transaction.atomic
def change_plan(actor: Actor, found: MaintenancePlan, wanted: Round) -> None:
    """The plan asks for that instead; what counts since stays. Raises ConfigError."""
    require(actor, found.lab, Permission.MAINTAIN)
    _check_round(actor, found.machine, wanted)
    before = _described(found)
    found.task, found.locks_out = wanted.task.strip(), wanted.locks_out
    found.every_hours, found.every_days = wanted.every_hours, wanted.every_days
    found.save(update_fields=["task", "locks_out", "every_hours", "every_days"])
    _count(actor, found)
    _log_plan(actor, found, "plan_changed", before)


@transaction.atomic
def retire_plan(actor: Actor, found: MaintenancePlan, *, retired: bool = True) -> None:
    """The task comes round no more, or again; its interventions stay."""
    require(actor, found.lab, Permission.MAINTAIN)
    before, found.retired_at = _described(found), actor.now() if retired else None
    found.save(update_fields=["retired_at"])
    _log_plan(actor, found, "plan_retired" if retired else "plan_taken_up", before)


@transaction.atomic
def intervene(
    actor: Actor, machine: Machine, work: Work, found: MaintenancePlan | None = None
) -> Intervention:
    """It was done; the plan's hours and days begin anew. A lock-out stays until somebody gives the machine
    back. Raises ConfigError."""
    require(actor, machine.lab, Permission.MAINTAIN)
    _check_work(actor, work)
    if found is not None and found.machine_id != machine.pk:
        raise ConfigError(_("this plan is another machine's"), where=found.task)
    made = Intervention.objects.create(
        lab=machine.lab,
        machine=machine,
        plan=found,
        done_at=work.done_at,
        what=work.what.strip(),
        by=work.by,
        company=work.company.strip(),
        minutes=work.minutes,
        parts=work.parts.strip(),
        cost_cents=work.cost_cents,
        entered_at=actor.now(),
    )
    _begin_anew(actor, found)
    _log_work(actor, made, "intervention_entered")
    return made


@transaction.atomic
def correct(actor: Actor, made: Intervention, work: Work, why: str) -> None:
    """It was so instead; the audit log keeps what was said before. Raises ConfigError."""
    require(actor, made.lab, Permission.MAINTAIN)
    _check_work(actor, work)
    before = _worked(made)
    made.what, made.done_at, made.by = work.what.strip(), work.done_at, work.by
    made.company, made.minutes = work.company.strip(), work.minutes
    made.parts, made.cost_cents = work.parts.strip(), work.cost_cents
    made.save()
    _begin_anew(actor, made.plan)
    _log_work(actor, made, "intervention_corrected", before, why)


@transaction.atomic
def withdraw(actor: Actor, made: Intervention, *, withdrawn: bool = True, why: str = "") -> None:
    """It did not happen (or did all the same): its plan counts as if it was never entered."""
    require(actor, made.lab, Permission.MAINTAIN)
    before, made.withdrawn_at = _worked(made), actor.now() if withdrawn else None
    made.save(update_fields=["withdrawn_at"])
    _begin_anew(actor, made.plan)
    action = "intervention_withdrawn" if withdrawn else "intervention_taken_up"
    _log_work(actor, made, action, before, why)


def live_plans(lab: Lab) -> QuerySet[MaintenancePlan]:
    """The plans that come round, of machines the lab still has."""
    return MaintenancePlan.objects.filter(
        lab=lab, retired_at=None, machine__retired_at=None
    ).select_related("machine", "lab")


def overdue(lab: Lab, now: datetime) -> QuerySet[MaintenancePlan]:
    """The plans that are due: by date now, by hours as last counted."""
    return live_plans(lab).filter(Q(hours_over=True) | Q(due_at__lte=now))


def is_overdue(found: MaintenancePlan, now: datetime) -> bool:
    """Whether it is due."""
    return found.hours_over or (found.due_at is not None and found.due_at <= now)


def recount(actor: Actor, lab: Lab) -> tuple[int, int]:
    """Every plan's hours are counted anew and machines are locked out where a plan says so; (plans that are
    due, machines locked out by this)."""
    due = locked = 0
    for number in list(live_plans(lab).values_list("pk", flat=True)):
        with transaction.atomic():
            found = live_plans(lab).filter(pk=number).first()
            if found is None:
                continue
            _count(actor, found)
            due += is_overdue(found, actor.now())
            locked += _lock_out_when_due(actor, found)
    return due, locked


def worked_ms(machine: Machine, since: datetime) -> int:
    """What the machine worked in sessions that began since then: busy time where it has a current sensor,
    else enabled time."""
    which = "busy_ms" if machine.has_current_sensor else "enabled_ms"
    sessions = Session.objects.filter(machine=machine, started_at__gte=since, voided=False)
    return sessions.aggregate(all=Sum(which))["all"] or 0


def _begin_anew(actor: Actor, found: MaintenancePlan | None) -> None:
    """The plan counts from its last intervention that stands."""
    if found is None:
        return
    kept = found.interventions.filter(withdrawn_at=None)
    last = kept.aggregate(last=Max("done_at"))["last"]
    since = max(found.begins_at, last) if last else found.begins_at
    if since != found.since_at:
        found.since_at, found.locked_out_at = since, None
        found.save(update_fields=["since_at", "locked_out_at"])
    _count(actor, found)


def _count(actor: Actor, found: MaintenancePlan) -> None:
    hours, every_days = found.every_hours, found.every_days
    found.due_at = found.since_at + timedelta(days=every_days) if every_days else None
    found.used_ms = worked_ms(found.machine, found.since_at)
    found.hours_over = hours is not None and found.used_ms >= hours * HOUR_MS
    found.counted_at = actor.now()
    found.save(update_fields=["due_at", "used_ms", "hours_over", "counted_at"])


def _lock_out_when_due(actor: Actor, found: MaintenancePlan) -> bool:
    """Once a round: who gives the machine back all the same has decided."""
    wanted = found.locks_out and is_overdue(found, actor.now()) and found.locked_out_at is None
    if not wanted:
        return False
    found.locked_out_at = actor.now()
    found.save(update_fields=["locked_out_at"])
    if found.machine.locked_out_at is not None:
        return False
    with translation.override(found.lab.language):
        why = _("Maintenance is due: %(task)s") % {"task": found.task}
    machines.lock_out(actor, found.machine, why)
    return True


def _check_round(actor: Actor, machine: Machine, wanted: Round) -> None:
    limits.check_name(wanted.task, _("task"))
    limits.check_number(wanted.every_hours, HOURS_MAX, _("hours"))
    limits.check_number(wanted.every_days, limits.DAYS_MAX, _("days"))
    if wanted.every_hours is None and wanted.every_days is None:
        raise ConfigError(_("say after how many hours or days it comes round"), where=wanted.task)
    if wanted.locks_out:
        require(actor, machine.lab, Permission.LOCK_OUT)


def _check_work(actor: Actor, work: Work) -> None:
    limits.check_name(work.what, _("what was done"), TEXT_LENGTH_MAX)
    if work.done_at > actor.now():
        raise ConfigError(_("it lies in the future"), where=_("date"))
    for text, most, where in (
        (work.parts, TEXT_LENGTH_MAX, _("parts")),
        (work.company, COMPANY_LENGTH_MAX, _("company")),
    ):
        if text:
            limits.check_name(text, where, most)
    for value, most, where in (
        (work.minutes, MINUTES_MAX, _("minutes")),
        (work.cost_cents, COST_CENTS_MAX, _("cost")),
    ):
        limits.check_number(value or None, most, where)


def _log_plan(
    actor: Actor, found: MaintenancePlan, action: str, before: dict[str, Any] | None = None
) -> None:
    log_deed(
        actor,
        found.lab,
        Topic.OTHER,
        action,
        f"{found.machine.slug} {found.pk}",
        before=before,
        after=_described(found),
    )


def _log_work(
    actor: Actor,
    made: Intervention,
    action: str,
    before: dict[str, Any] | None = None,
    why: str = "",
) -> None:
    log_deed(
        actor,
        made.lab,
        Topic.OTHER,
        action,
        f"{made.machine.slug} {made.pk}",
        before=before,
        after=_worked(made),
        why=why,
    )


def _described(found: MaintenancePlan) -> dict[str, Any]:
    return {
        "task": found.task,
        "every_hours": found.every_hours,
        "every_days": found.every_days,
        "locks_out": found.locks_out,
        "since_at": int(found.since_at.timestamp()),
        "comes_round": found.retired_at is None,
    }


def _worked(made: Intervention) -> dict[str, Any]:
    return {
        "what": made.what,
        "done_at": int(made.done_at.timestamp()),
        "by": made.by.name if made.by else None,
        "company": made.company,
        "minutes": made.minutes,
        "parts": made.parts,
        "cost_cents": made.cost_cents,
        "counts": made.withdrawn_at is None,
    }
