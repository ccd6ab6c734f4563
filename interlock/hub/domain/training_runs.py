"""A training as it is held: announced with a list of people, then closed once, for everybody who was there.

Closing grants to all of them or to nobody, in one transaction; the hours of those present are what reports
count. A closed run is a fact: it is changed no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.domain.trainings import DURATION_MIN_MAX, grant_training
from interlock.hub.models import (
    Attendance,
    Authorisation,
    Lab,
    Member,
    Topic,
    Training,
    TrainingRun,
)
from interlock.hub.permissions import Actor, require_grant

PEOPLE_MAX = 200
"""More than any room of machines holds."""
DURATION_MIN = 120
"""What a run begins with where its training says nothing."""


@transaction.atomic
def hold_training(
    actor: Actor,
    lab: Lab,
    training: Training,
    starts_at: datetime,
    members: Sequence[Member],
    *,
    duration_min: int | None = None,
    note: str = "",
) -> TrainingRun:
    """A run of `training` with those people on its list. Raises ConfigError, and PermissionDenied for
    whoever may not grant it."""
    require_grant(actor, lab, training)
    if training.lab_id != lab.pk:
        raise ConfigError(_("this training belongs to another lab"), where=training.name)
    minutes = duration_min or training.duration_min or DURATION_MIN
    limits.check_number(minutes, DURATION_MIN_MAX, "duration_min")
    run = TrainingRun.objects.create(
        lab=lab,
        training=training,
        trainer=actor.user,
        starts_at=starts_at,
        duration_min=minutes,
        note=note.strip()[:200],
    )
    add_people(actor, run, members)
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "training_announced",
        f"{training.slug} {run.pk}",
        after={"starts_at": int(starts_at.timestamp()), "people": len(members)},
    )
    return run


@transaction.atomic
def add_people(actor: Actor, run: TrainingRun, members: Sequence[Member]) -> int:
    """They are on the list too; returns how many were not. Raises ConfigError: closed, or too many."""
    _require_open(actor, run)
    there = set(run.attendances.values_list("member_id", flat=True))
    new = [member for member in members if member.pk not in there]
    if any(member.lab_id != run.lab_id for member in new):
        raise ConfigError(_("somebody on the list is in another lab"), where=str(run))
    if len(there) + len(new) > PEOPLE_MAX:
        raise ConfigError(
            _("a list holds at most %(most)d people") % {"most": PEOPLE_MAX}, where=str(run)
        )
    Attendance.objects.bulk_create(Attendance(run=run, member=member) for member in new)
    return len(new)


@transaction.atomic
def remove_person(actor: Actor, run: TrainingRun, member: Member) -> None:
    """They are not on the list. Raises ConfigError: it is closed."""
    _require_open(actor, run)
    run.attendances.filter(member=member).delete()


@transaction.atomic
def close_run(
    actor: Actor,
    run: TrainingRun,
    levels: Mapping[int, str],
    *,
    starts_at: datetime | None = None,
    duration_min: int | None = None,
) -> int:
    """Whoever is in `levels` (member's row to level) was there and holds the training; the others on the
    list were not. All of them or nobody. Returns how many hold it now. Raises ConfigError: nobody was
    there, closed before, a prerequisite or a consent is missing.

    Somebody who holds more already (alone, a trainer) keeps it: a course takes nothing away.
    """
    _require_open(actor, run)
    rows = list(run.attendances.select_related("member__lab").exclude(member=None))
    if not any(row.member_id in levels for row in rows):
        raise ConfigError(_("nobody was there"), where=run.training.name)
    minutes = duration_min or run.duration_min
    limits.check_number(minutes, DURATION_MIN_MAX, "duration_min")
    evidence = _("attendance list %(number)d") % {"number": run.pk}
    granted = 0
    for row in rows:
        member, level = row.member, levels.get(row.member_id or 0)
        row.present = level is not None
        if member is not None and level is not None:
            row.level = level
            row.authorisation = _granted(actor, member, run.training, level, evidence)
            granted += 1
    Attendance.objects.bulk_update(rows, ["present", "level", "authorisation"])
    run.closed_at, run.duration_min = actor.now(), minutes
    run.starts_at = starts_at or run.starts_at
    run.save(update_fields=["closed_at", "duration_min", "starts_at"])
    log_deed(
        actor,
        run.lab,
        Topic.OTHER,
        "training_held",
        f"{run.training.slug} {run.pk}",
        after={"present": granted, "absent": len(rows) - granted, "minutes": minutes},
    )
    return granted


@transaction.atomic
def call_off(actor: Actor, run: TrainingRun) -> None:
    """The run is not held; its list is gone. Raises ConfigError: it was held."""
    _require_open(actor, run)
    log_deed(actor, run.lab, Topic.OTHER, "training_called_off", f"{run.training.slug} {run.pk}")
    run.delete()


_RANK = {level: rank for rank, level in enumerate(Authorisation.Level.values)}
"""Supervised, alone, trainer: what somebody holds is never made less by a course."""


def _granted(
    actor: Actor, member: Member, training: Training, level: str, evidence: str
) -> Authorisation:
    held = Authorisation.objects.filter(member=member, training=training, revoked_at=None).first()
    kept = level
    if held is not None and _RANK[held.level] > _RANK.get(level, 0):
        if held.level == Authorisation.Level.TRAINER:
            return held
        kept = held.level
    return grant_training(actor, member, training, kept, evidence=evidence)


def _require_open(actor: Actor, run: TrainingRun) -> None:
    require_grant(actor, run.lab, run.training)
    fresh = TrainingRun.objects.select_for_update().get(pk=run.pk)
    if fresh.closed_at is not None:
        raise ConfigError(
            _("this training was held and its list is closed"),
            where=str(run),
            remedy=_("Grant or revoke the training on the member's own page"),
        )
