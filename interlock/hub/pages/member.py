"""One member goes in; their page comes out: rights and what is missing, badges, trainings, last sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.models import Authorisation, Badge, BadgeCondition, CardKey, Member, Training
from interlock.hub.pages import alarms, formats, grants, rights, sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.confirmations import unconfirmed
from interlock.hub.pages.members import status_of
from interlock.hub.permissions import Permission, trainings_as_trainer

BADGE_ENDS = [
    (one.value, one.label)
    for one in (BadgeCondition.LOST, BadgeCondition.STOLEN, BadgeCondition.RETIRED)
]
LAST_SESSIONS = 8
"""Enough to see what somebody works on; the rest is behind the link to all of them."""


@dataclass(frozen=True, slots=True)
class TrainingHeld:
    """One training of a member, in words."""

    slug: str
    name: str
    level: str
    granted: str
    until: str
    expired: bool
    may_revoke: bool


@dataclass(frozen=True, slots=True)
class BadgeHeld:
    """One badge of a member, in words."""

    number: int
    label: str
    given: str
    active: bool
    condition: str
    waits: bool
    genuine: str


@require_GET
@page(Permission.VIEW_MEMBERS)
def member(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """One member: what they may use and what they miss, badges, trainings, last sessions."""
    return render(request, "hub/member.html", member_context(member_of(viewer, public_id), viewer))


def member_context(found: Member, viewer: Viewer) -> dict[str, Any]:
    """Everything the page of one member shows; the same number of queries for everybody."""
    held = list(
        found.authorisations.filter(revoked_at=None)
        .select_related("training", "granted_by", "granted_by_member")
        .order_by("training__name")
    )
    badges = list(found.badges.select_related("card_key").order_by("-given_at", "pk"))
    may_grant = _may_grant(viewer)
    own = found.roles.filter(user=viewer.user).exists()
    shows_sessions = own or viewer.may(Permission.VIEW_SESSIONS)
    last = sessions.last_of(found.sessions.all(), LAST_SESSIONS, viewer) if shows_sessions else []
    return {
        "member": found,
        "status": status_of(found, viewer.now),
        "until": formats.day(found.until_at, viewer.zone) if found.until_at else "",
        "rights": rights.of_member(found, held, badges, viewer),
        "trainings": [_training(one, viewer, may_grant) for one in held],
        "badges": [_badge(one, viewer) for one in badges],
        "shows_sessions": shows_sessions,
        "shows_prices": own or viewer.may(Permission.VIEW_PRICES),
        "opens_sessions": viewer.may(Permission.VIEW_SESSIONS),
        "sessions": sessions.rows(last, viewer),
        "sessions_address": f"{reverse('sessions')}?{urlencode({'member': found.name})}",
        "opens_members": viewer.may(Permission.VIEW_MEMBERS),
        "unconfirmed": unconfirmed(viewer) if viewer.may(Permission.VIEW_MEMBERS) else [],
        "grantable": [one for one in may_grant if one.pk not in {a.training_id for a in held}],
        "may_block": viewer.may(Permission.EDIT_BADGES),
        "badge_ends": BADGE_ENDS,
        "clones": alarms.of_member(found, viewer),
        "may_suspend": viewer.may(Permission.EDIT_MEMBERS),
        "suspended": found.status == Member.Status.SUSPENDED,
        "credit": found.get_credit_display(),
        "credits": [one for one in Member.Credit.choices if one[0] != found.credit],
        "grants": grants.about(found, viewer),
        "consent_missing": found.minor and found.consent_on is None,
        "may_edit_roles": viewer.may(Permission.EDIT_ROLES),
        "may_erase": viewer.may(Permission.ERASE_MEMBERS),
        "may_declare": own or viewer.may(Permission.EDIT_MEMBERS),
    }


def member_of(viewer: Viewer, public_id: str) -> Member:
    """The member of this lab. Raises Http404."""
    found = of_lab(viewer).filter(public_id=public_id).first()
    if found is None:
        raise Http404(gettext("There is no such member in this lab."))
    return found


def _may_grant(viewer: Viewer) -> list[Training]:
    """The trainings that the viewer may grant and revoke, by name."""
    if viewer.may(Permission.GRANT_ANY):
        return list(Training.objects.filter(lab=viewer.lab))
    if viewer.may(Permission.GRANT_OWN):
        return trainings_as_trainer(viewer.user, viewer.lab, viewer.now)
    return []


def of_lab(viewer: Viewer) -> QuerySet[Member]:
    """The members of the lab, with what their pages name."""
    return Member.objects.filter(lab=viewer.lab).select_related("group", "payer")


def _training(held: Authorisation, viewer: Viewer, may_grant: Sequence[Training]) -> TrainingHeld:
    granted_by = held.granted_by_member or held.granted_by
    by = granted_by.name if granted_by else ""
    day = formats.day(held.granted_at, viewer.zone)
    return TrainingHeld(
        slug=held.training.slug,
        name=held.training.name,
        level=str(rights.level_words(held.level)),
        granted=(gettext("%(day)s, by %(name)s") % {"day": day, "name": by} if by else day),
        until=formats.day(held.until_at, viewer.zone) if held.until_at else "",
        expired=held.until_at is not None and held.until_at <= viewer.now,
        may_revoke=held.training in may_grant
        and (held.level != Authorisation.Level.TRAINER or viewer.may(Permission.GRANT_ANY)),
    )


def _badge(badge: Badge, viewer: Viewer) -> BadgeHeld:
    return BadgeHeld(
        number=badge.pk,
        label=str(badge),
        given=formats.day(badge.given_at, viewer.zone),
        active=badge.condition == Badge.Condition.ACTIVE,
        condition=badge.get_condition_display(),
        waits=badge.condition == BadgeCondition.ENROL_AGAIN,
        genuine=_genuine(badge),
    )


def _genuine(badge: Badge) -> str:
    """How the badge proves itself, empty for one that is known by its number alone."""
    try:
        return gettext("genuine: %(card)s") % {"card": badge.card_key.get_scheme_display()}
    except CardKey.DoesNotExist:
        return ""
