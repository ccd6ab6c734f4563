"""Members and their badges: who they are, whether they may, which cards are theirs."""

from __future__ import annotations

import secrets
from collections.abc import Container
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError, ProtocolError
from interlock.hub import credit as accounts
from interlock.hub.changes import log_deed
from interlock.hub.domain import badges, limits, unknown
from interlock.hub.models import (
    Badge,
    BadgeCondition,
    Group,
    Lab,
    Member,
    Payer,
    PayerKind,
    Purpose,
    Role,
    Topic,
)
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.standing import remember, standing_of
from interlock.protocol.tags import UID_LENGTHS, badge_tag

PUBLIC_ID_BYTES = 8
"""64 random bits: never two alike in a lab, and nothing about the person."""


@transaction.atomic
def create_member(
    actor: Actor,
    lab: Lab,
    name: str,
    *,
    email: str = "",
    language: str = "",
    group: Group | None = None,
    payer: Payer | None = None,
    joined_on: date | None = None,
    until_at: datetime | None = None,
    technician: bool = False,
    minor: bool = False,
    consent_on: date | None = None,
    consent_by: str = "",
) -> Member:
    """A new member; without `payer` they pay for themselves. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_MEMBERS)
    language = language or lab.language
    _check_person(lab, name, email, language, known=None)
    _check_consent(consent_on, consent_by)
    member = Member.objects.create(
        lab=lab,
        public_id=secrets.token_hex(PUBLIC_ID_BYTES),
        name=name.strip(),
        email=email.strip(),
        language=language,
        group=group,
        payer=payer or _own_payer(lab, name.strip()),
        joined_on=joined_on or actor.now().date(),
        until_at=until_at,
        technician=technician,
        minor=minor,
        consent_on=consent_on,
        consent_by=consent_by.strip(),
    )
    log_deed(actor, lab, Topic.RIGHTS, "member_created", member.public_id, after=described(member))
    return member


@transaction.atomic
def change_member(actor: Actor, member: Member, **changes: Any) -> None:
    """The named fields (those of `create_member`) are as given; nothing is logged when they were so.

    Raises ConfigError. Sessions that have arrived keep the payer and group they arrived with.
    """
    require(actor, member.lab, Permission.EDIT_MEMBERS)
    unknown = set(changes) - _CHANGEABLE
    if unknown:
        raise ConfigError(_("this cannot be changed"), where=", ".join(sorted(unknown)))
    before, stood = described(member), standing_of(member)
    for name, value in changes.items():
        setattr(member, name, value)
    _check_person(member.lab, member.name, member.email, member.language, known=member)
    _check_consent(member.consent_on, member.consent_by)
    _check_firm(member)
    member.save(update_fields=sorted(changes))
    if described(member) == before:
        return
    if remember(member, stood, actor.now()):
        accounts.follow(member, stood.pays(), actor.now())
    log_deed(
        actor,
        member.lab,
        Topic.RIGHTS,
        "member_changed",
        member.public_id,
        before=before,
        after=described(member),
    )


@transaction.atomic
def suspend_member(actor: Actor, member: Member, why: str) -> None:
    """The member starts nothing any more, on every machine that hears of it."""
    _set_status(actor, member, Member.Status.SUSPENDED, "member_suspended", why)


@transaction.atomic
def reinstate_member(actor: Actor, member: Member, why: str = "") -> None:
    """A suspended member is active again."""
    _set_status(actor, member, Member.Status.ACTIVE, "member_reinstated", why)


@transaction.atomic
def set_credit(actor: Actor, member: Member, credit: str, why: str) -> None:
    """What the member may still use, by hand. Raises ConfigError where an account counts it."""
    require(actor, member.lab, Permission.EDIT_MEMBERS)
    if credit not in Member.Credit.values:
        raise ConfigError(_("choose enough, low or used up"), where=member.name)
    if accounts.is_counted(member):
        raise ConfigError(
            _("the account counts it"),
            where=member.name,
            remedy=_("Write an entitlement to the account, or let the payer pay afterwards"),
        )
    before, member.credit = member.credit, credit
    member.save(update_fields=["credit"])
    log_deed(
        actor,
        member.lab,
        Topic.RIGHTS,
        "credit_set",
        member.public_id,
        before={"credit": str(before)},
        after={"credit": str(credit)},
        why=why,
    )


@transaction.atomic
def assign_badge(actor: Actor, member: Member, uid: bytes, label: str = "") -> Badge:
    """The card with that UID is the member's. Only its tag is stored. Raises ConfigError when the
    UID is impossible or the card belongs to somebody already."""
    try:
        tag = badge_tag(settings.HUB.badge_key(), uid)
    except ProtocolError as error:
        lengths = ", ".join(str(length) for length in UID_LENGTHS)
        raise ConfigError(
            _("a badge's UID has %(lengths)s bytes") % {"lengths": lengths}, where="uid"
        ) from error
    badges.check_uid(uid)
    return assign_tag(actor, member, tag, label)


@transaction.atomic
def assign_tag(actor: Actor, member: Member, tag: bytes, label: str = "") -> Badge:
    """The card with that tag (a refused tap told it) is the member's. Raises ConfigError."""
    require(actor, member.lab, Permission.EDIT_BADGES)
    if label.strip():
        limits.check_name(label, "label", limits.LABEL_LENGTH_MAX)
    if tag == badges.random_tag():
        badges.check_uid(badges.RANDOM_UID)
    known = Badge.objects.filter(lab=member.lab, tag=tag).select_related("member").first()
    if known is not None:
        raise ConfigError(
            _("this badge belongs to %(name)s") % {"name": known.member.name},
            where=tag[:4].hex(),
            remedy=_("Give out another badge, or take this one back first"),
        )
    badge = Badge.objects.create(
        lab=member.lab, member=member, tag=tag, label=label.strip(), given_at=actor.now()
    )
    log_deed(
        actor,
        member.lab,
        Topic.RIGHTS,
        "badge_given",
        _name(badge),
        after={"member": member.public_id, "label": badge.label},
    )
    badges.retire_oldest_enrol_again(actor, member)
    unknown.forget(member.lab, tag)
    return badge


@transaction.atomic
def block_badge(actor: Actor, badge: Badge, condition: BadgeCondition, why: str = "") -> None:
    """The badge is lost, stolen or retired: it opens nothing any more."""
    require(actor, badge.lab, Permission.EDIT_BADGES)
    if condition in (BadgeCondition.ACTIVE, BadgeCondition.ENROL_AGAIN):
        raise ConfigError(_("say whether it is lost, stolen or retired"), where=_name(badge))
    _set_condition(actor, badge, condition, "badge_blocked", why)


@transaction.atomic
def block_own_badge(actor: Actor, badge: Badge, condition: BadgeCondition) -> None:
    """The member says that their badge is lost or stolen: it opens nothing any more, until staff say otherwise.
    Raises ConfigError, and PermissionDenied when it is somebody else's."""
    require(actor, badge.lab, Permission.VIEW_OWN)
    theirs = Role.objects.filter(user=actor.user, lab=badge.lab, member=badge.member)
    if actor.user is None or not theirs.exists():
        raise PermissionDenied(_("Everybody blocks their own badge."))
    badge.refresh_from_db(fields=["condition"], from_queryset=Badge.objects.select_for_update())
    if badge.condition != BadgeCondition.ACTIVE:
        raise ConfigError(_("this badge opens nothing any more"), where=str(badge))
    if condition not in (BadgeCondition.LOST, BadgeCondition.STOLEN):
        raise ConfigError(_("say whether it is lost or stolen"), where=str(badge))
    _set_condition(actor, badge, condition, "own_badge_blocked", "")


@transaction.atomic
def unblock_badge(actor: Actor, badge: Badge, why: str = "") -> None:
    """The badge was found again and opens what its member may use. Raises ConfigError for what only
    stands for an old id."""
    require(actor, badge.lab, Permission.EDIT_BADGES)
    if badge.condition == BadgeCondition.ENROL_AGAIN:
        raise ConfigError(
            _("this old id says nothing of the card"),
            where=_name(badge),
            remedy=_("Hold the card to a reader and give it to the member anew"),
        )
    _set_condition(actor, badge, BadgeCondition.ACTIVE, "badge_unblocked", why)


_CHANGEABLE = frozenset(
    {"name", "email", "language", "group", "payer", "joined_on", "until_at", "technician"}
    | {"minor", "consent_on", "consent_by", "firm", "purpose"}
)


def _check_firm(member: Member) -> None:
    if member.purpose not in Purpose.values:
        raise ConfigError(_("choose what the machines are used for"), where="purpose")
    if member.purpose == Purpose.COMPANY and member.firm is None:
        raise ConfigError(_("say which company pays for it"), where="firm")


def _check_consent(consent_on: date | None, consent_by: str) -> None:
    if (consent_on is None) is not (not consent_by.strip()):
        raise ConfigError(_("a consent has a day and the name of who gave it"), where="consent_by")
    if consent_by.strip():
        limits.check_name(consent_by, "consent_by", limits.PERSON_LENGTH_MAX)


def _check_person(lab: Lab, name: str, email: str, language: str, known: Member | None) -> None:
    if not name.strip():
        raise ConfigError(_("a member needs a name"), where="name")
    limits.check_name(name, "name", limits.PERSON_LENGTH_MAX)
    limits.check_language(language)
    others = Member.objects.filter(lab=lab, email__iexact=email.strip())
    if known is not None:
        others = others.exclude(pk=known.pk)
    if email.strip() and others.exists():
        raise ConfigError(_("a member with this e-mail exists already"), where=email)


def _own_payer(lab: Lab, name: str) -> Payer:
    """A payer for one person; namesakes get a number, so that nobody pays for another."""
    taken = set(
        Payer.objects.filter(lab=lab, name__startswith=name[:_NUMBERED]).values_list(
            "name", flat=True
        )
    )
    return Payer.objects.create(lab=lab, name=spare_payer_name(name, taken), kind=PayerKind.PERSON)


def spare_payer_name(name: str, taken: Container[str]) -> str:
    """`name`, or with the first number that nobody has."""
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        suffix = f" ({number})"
        candidate = name[: limits.PERSON_LENGTH_MAX - len(suffix)] + suffix
    return candidate


_NUMBERED = limits.PERSON_LENGTH_MAX - len(" (99999)")
"""What namesakes of the longest names have in common."""


def _set_status(actor: Actor, member: Member, status: Member.Status, action: str, why: str) -> None:
    require(actor, member.lab, Permission.EDIT_MEMBERS)
    before, member.status = member.status, status
    member.save(update_fields=["status"])
    log_deed(
        actor,
        member.lab,
        Topic.RIGHTS,
        action,
        member.public_id,
        before={"status": str(before)},
        after={"status": status.value},
        why=why,
    )


def _set_condition(
    actor: Actor, badge: Badge, condition: BadgeCondition, action: str, why: str
) -> None:
    before, badge.condition = badge.condition, condition
    badge.save(update_fields=["condition"])
    log_deed(
        actor,
        badge.lab,
        Topic.RIGHTS,
        action,
        _name(badge),
        before={"condition": str(before)},
        after={"condition": condition.value},
        why=why,
    )


def described(member: Member) -> dict[str, Any]:
    """What the audit log keeps of a member."""
    return {
        "name": member.name,
        "email": member.email,
        "language": member.language,
        "group": member.group.slug if member.group else None,
        "payer": member.payer_id,
        "firm": member.firm_id,
        "purpose": str(member.purpose),
        "until_at": None if member.until_at is None else int(member.until_at.timestamp()),
        "technician": member.technician,
        "joined_on": None if member.joined_on is None else member.joined_on.isoformat(),
        "minor": member.minor,
        "consent_on": None if member.consent_on is None else member.consent_on.isoformat(),
        "consent_by": member.consent_by,
    }


def _name(badge: Badge) -> str:
    return bytes(badge.tag)[:4].hex()
