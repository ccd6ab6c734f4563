"""Trainings and who holds them: granted, extended, revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import Authorisation, Lab, Member, Topic, Training
from interlock.hub.permissions import Actor, Permission, require, require_grant


@transaction.atomic
def create_training(
    actor: Actor,
    lab: Lab,
    slug: str,
    name: str,
    *,
    validity_days: int | None = None,
    lapse_days: int | None = None,
    duration_min: int | None = None,
    prerequisite: Training | None = None,
) -> Training:
    """A training people can hold. Raises ConfigError when `slug` is taken or a value is unusable."""
    require(actor, lab, Permission.EDIT_TRAININGS)
    if Training.objects.filter(lab=lab, slug=slug).exists():
        raise ConfigError(_("a training of that name exists already"), where=slug)
    limits.check_slug(slug)
    training = Training(
        lab=lab,
        slug=slug,
        name=name.strip(),
        validity_days=validity_days,
        lapse_days=lapse_days,
        duration_min=duration_min,
        prerequisite=prerequisite,
    )
    _check_training(training)
    training.save(force_insert=True)
    log_deed(actor, lab, Topic.RIGHTS, "training_created", slug, after=_terms(training))
    return training


@transaction.atomic
def change_training(actor: Actor, training: Training, **changes: Any) -> None:
    """The named fields (name, validity_days, lapse_days, duration_min, prerequisite) are as given. Whoever
    holds it keeps the end they were given; lapsing counts anew at once. Raises ConfigError."""
    require(actor, training.lab, Permission.EDIT_TRAININGS)
    unknown = set(changes) - _CHANGEABLE
    if unknown:
        raise ConfigError(_("this cannot be changed"), where=", ".join(sorted(unknown)))
    before = _terms(training)
    for name, value in changes.items():
        setattr(training, name, value)
    _check_training(training)
    if _terms(training) == before:
        return
    training.save(update_fields=sorted(changes))
    log_deed(
        actor,
        training.lab,
        Topic.RIGHTS,
        "training_changed",
        training.slug,
        before=before,
        after=_terms(training),
    )


_CHANGEABLE = frozenset({"name", "validity_days", "lapse_days", "duration_min", "prerequisite"})
DURATION_MIN_MAX = 7 * 24 * 60
"""A week: a course of several days is held in several parts."""


def _check_training(training: Training) -> None:
    limits.check_name(training.name, "name")
    limits.check_number(training.validity_days, limits.DAYS_MAX, "validity_days")
    limits.check_number(training.lapse_days, limits.DAYS_MAX, "lapse_days")
    limits.check_number(training.duration_min, DURATION_MIN_MAX, "duration_min")
    seen, needed = {training.pk}, training.prerequisite
    while needed is not None:
        if needed.pk in seen or needed.lab_id != training.lab_id:
            raise ConfigError(
                _("it cannot come before itself"),
                where=training.name,
                remedy=_("Choose another training that has to come first"),
            )
        seen.add(needed.pk)
        needed = needed.prerequisite


def _terms(training: Training) -> dict[str, Any]:
    return {
        "name": training.name,
        "validity_days": training.validity_days,
        "lapse_days": training.lapse_days,
        "duration_min": training.duration_min,
        "prerequisite": training.prerequisite.slug if training.prerequisite else None,
    }


@transaction.atomic
def grant_training(
    actor: Actor,
    member: Member,
    training: Training,
    level: str = Authorisation.Level.ALONE,
    *,
    until_at: datetime | None = None,
    evidence: str = "",
) -> Authorisation:
    """The member holds the training from now on; one they hold already is replaced, not doubled.

    Without `until_at` it ends when the training's validity says. Raises ConfigError: another lab's
    training, a missing prerequisite, an end in the past, an unknown level.
    """
    require_grant(actor, member.lab, training)
    old = held_of(member, training)
    _require_for_trainers(actor, member.lab, level, *([old.level] if old else []))
    now = actor.now()
    _check_grant(member, training, level, until_at, now)
    return hold(actor, member, training, level, until_at=until_at, evidence=evidence)


def hold(
    actor: Actor,
    member: Member,
    training: Training,
    level: str,
    *,
    until_at: datetime | None = None,
    evidence: str = "",
    trainer: Member | None = None,
) -> Authorisation:
    """The member holds the training in place of what they held, whoever may say so: the caller has asked.
    `trainer` is who granted it at a machine. Call it in a transaction."""
    old, now = held_of(member, training), actor.now()
    until_at = until_at or end_of_training(training, now)
    if old is not None:
        _revoke(actor, old)
    granted = Authorisation.objects.create(
        lab=member.lab,
        member=member,
        training=training,
        level=level,
        granted_by=actor.user,
        granted_by_member=trainer,
        granted_at=now,
        until_at=until_at,
        evidence=evidence,
    )
    log_deed(
        actor,
        member.lab,
        Topic.RIGHTS,
        "training_granted",
        f"{member.public_id} {training.slug}",
        before=None if old is None else described(old),
        after=described(granted),
        why=evidence,
    )
    return granted


def end_of_training(training: Training, now: datetime) -> datetime | None:
    """When a training granted now ends by itself; None: never."""
    days = training.validity_days
    return None if days is None else now + timedelta(days=days)


@transaction.atomic
def grant_to_all(actor: Actor, members: Iterable[Member], training: Training) -> int:
    """An attendance list: everybody on it holds the training; all of them or nobody."""
    return len([grant_training(actor, member, training) for member in members])


@transaction.atomic
def revoke_training(actor: Actor, authorisation: Authorisation, why: str = "") -> None:
    """The member no longer holds it. Raises ConfigError when that was so already."""
    require_grant(actor, authorisation.lab, authorisation.training)
    _require_for_trainers(actor, authorisation.lab, authorisation.level)
    if authorisation.revoked_at is not None:
        raise ConfigError(_("this authorisation was revoked before"), where=str(authorisation))
    before = described(authorisation)
    _revoke(actor, authorisation)
    log_deed(
        actor,
        authorisation.lab,
        Topic.RIGHTS,
        "training_revoked",
        f"{authorisation.member.public_id} {authorisation.training.slug}",
        before=before,
        why=why,
    )


def _require_for_trainers(actor: Actor, lab: Lab, *levels: str) -> None:
    """Trainers make and unmake no trainers: one who could would hand out the lab, or be alone in it."""
    if Authorisation.Level.TRAINER in levels:
        require(actor, lab, Permission.GRANT_ANY)


def _check_grant(
    member: Member, training: Training, level: str, until_at: datetime | None, now: datetime
) -> None:
    if training.lab_id != member.lab_id:
        raise ConfigError(_("this training belongs to another lab"), where=training.name)
    if level not in Authorisation.Level.values:
        raise ConfigError(_("there is no such level"), where=str(level))
    if until_at is not None and until_at <= now:
        raise ConfigError(_("its end lies in the past"), where=training.name)
    check_prerequisite(member, training)


def check_prerequisite(member: Member, training: Training) -> None:
    """Return when nothing stands between `member` and `training`: what has to come before it, and a
    guardian's consent where the lab asks for it. Raises ConfigError."""
    if lacks_consent(member):
        raise ConfigError(
            _("%(name)s is under 18, and no guardian has consented yet") % {"name": member.name},
            where=training.name,
            remedy=_("Note the consent on the member's page first"),
        )
    needed = training.prerequisite
    if needed is not None and held_of(member, needed) is None:
        raise ConfigError(
            _("%(name)s has to be trained for “%(training)s” first")
            % {"name": member.name, "training": needed.name},
            where=training.name,
        )


def lacks_consent(member: Member) -> bool:
    """Whether a consent is missing that the lab asks for before any training."""
    return member.minor and member.consent_on is None and member.lab.asks_consent


def held_of(member: Member, training: Training) -> Authorisation | None:
    """What `member` holds of `training` now."""
    return Authorisation.objects.filter(member=member, training=training, revoked_at=None).first()


def _revoke(actor: Actor, authorisation: Authorisation) -> None:
    authorisation.revoked_at, authorisation.revoked_by = actor.now(), actor.user
    authorisation.save(update_fields=["revoked_at", "revoked_by"])


def described(authorisation: Authorisation) -> dict[str, Any]:
    """What the audit log keeps of a right."""
    until_at = authorisation.until_at
    return {
        "level": str(authorisation.level),
        "until_at": None if until_at is None else int(until_at.timestamp()),
    }
