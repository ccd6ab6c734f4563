"""Trainings and who holds them: read, granted, revoked."""

from __future__ import annotations

from typing import Any, Literal

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Router, Schema

from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.badges import WRITTEN
from interlock.hub.api.people import ASKED, FOUND, member_of
from interlock.hub.api.repeats import once
from interlock.hub.domain import trainings as deeds
from interlock.hub.domain.tokens import Scope
from interlock.hub.entries import right_of
from interlock.hub.models import Authorisation, Training

router = Router(tags=["trainings"])


class TrainingOut(Schema):
    """A training; `prerequisite` has to be held first."""

    slug: str
    name: str
    validity_days: int | None
    lapse_days: int | None
    duration_min: int | None
    prerequisite: str | None


class TrainingPage(Schema):
    """Some of the trainings."""

    items: list[TrainingOut]
    page: int
    pages: int
    total: int


class AuthorisationOut(Schema):
    """A training that a member holds, or held until `revoked_at`. It counts until the first of `until_at`
    and `lapses_at`, where there is one."""

    number: int
    member: shapes.Named
    training: str
    level: str
    granted_at: int
    until_at: int | None
    lapses_at: int | None
    revoked_at: int | None


class AuthorisationPage(Schema):
    """Some of the authorisations."""

    items: list[AuthorisationOut]
    page: int
    pages: int
    total: int


class GrantBody(shapes.Asked):
    """Which training; without `until_at` it ends when the training's validity says."""

    training: shapes.Slug
    level: Literal["supervised", "alone", "trainer"] = "alone"
    until_at: shapes.Second | None = None
    evidence: shapes.LongWhy = ""


class RevocationBody(shapes.Asked):
    """Why it is taken away."""

    why: shapes.Why = ""


@router.get(
    "/trainings",
    response={200: TrainingPage, **ASKED},
    auth=BearerToken(Scope.TRAININGS_READ),
)
def trainings(
    request: HttpRequest, page: shapes.Page = 1, size: shapes.Size = shapes.SIZE
) -> dict[str, Any]:
    """The lab's trainings by name."""
    found = Training.objects.filter(lab=caller_of(request).lab).select_related("prerequisite")
    return shapes.page_of(found.order_by("name", "pk"), page, size, _training_told)


@router.get(
    "/authorisations",
    response={200: AuthorisationPage, **ASKED},
    auth=BearerToken(Scope.TRAININGS_READ),
)
def authorisations(
    request: HttpRequest,
    member: shapes.WhichSlug = "",
    training: shapes.WhichSlug = "",
    revoked: bool = False,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """Who holds what, the newest first; with `revoked` what was taken away instead."""
    found = _authorisations(caller_of(request)).filter(revoked_at__isnull=not revoked)
    if member:
        found = found.filter(member__public_id=member)
    if training:
        found = found.filter(training__slug=training)
    return shapes.page_of(found.order_by("-granted_at", "-pk"), page, size, _told)


@router.get(
    "/authorisations/{number}",
    response={200: AuthorisationOut, **FOUND},
    auth=BearerToken(Scope.TRAININGS_READ),
)
def authorisation(request: HttpRequest, number: shapes.RowNumber) -> dict[str, Any]:
    """One authorisation."""
    return _told(_authorisation_of(caller_of(request), number))


@router.post(
    "/members/{member_id}/authorisations",
    response={201: AuthorisationOut, **WRITTEN},
    auth=BearerToken(Scope.AUTHORISATIONS_WRITE),
)
def grant(request: HttpRequest, member_id: str, body: GrantBody) -> HttpResponse:
    """The member holds the training from now on, in place of what they held of it."""
    caller = caller_of(request)
    member = member_of(caller, member_id)
    training = Training.objects.filter(lab=caller.lab, slug=body.training).first()
    if training is None:
        raise Http404(_("There is no such training in this lab."))

    def deed() -> dict[str, Any]:
        granted = deeds.grant_training(
            caller.actor,
            member,
            training,
            body.level,
            until_at=shapes.instant(body.until_at),
            evidence=body.evidence,
        )
        return _told(granted)

    return once(request, caller, 201, deed)


@router.put(
    "/authorisations/{number}/revocation",
    response={200: AuthorisationOut, **WRITTEN},
    auth=BearerToken(Scope.AUTHORISATIONS_WRITE),
)
def revoke(request: HttpRequest, number: shapes.RowNumber, body: RevocationBody) -> HttpResponse:
    """The member no longer holds it; one that was revoked before stays as it was."""
    caller = caller_of(request)
    found = _authorisation_of(caller, number)

    def deed() -> dict[str, Any]:
        if found.revoked_at is None:
            deeds.revoke_training(caller.actor, found, body.why)
        return _told(found)

    return once(request, caller, 200, deed)


def _authorisations(caller: Caller) -> QuerySet[Authorisation]:
    found = Authorisation.objects.filter(lab=caller.lab)
    return found.select_related("lab", "member", "training")


def _authorisation_of(caller: Caller, number: int) -> Authorisation:
    found = _authorisations(caller).filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no such authorisation in this lab."))
    return found


def _training_told(training: Training) -> dict[str, Any]:
    before = training.prerequisite
    return {
        "slug": training.slug,
        "name": training.name,
        "validity_days": training.validity_days,
        "lapse_days": training.lapse_days,
        "duration_min": training.duration_min,
        "prerequisite": None if before is None else before.slug,
    }


def _told(found: Authorisation) -> dict[str, Any]:
    return {
        "number": found.pk,
        "member": shapes.named(found.member),
        "training": found.training.slug,
        "level": found.level,
        "granted_at": shapes.second(found.granted_at),
        "until_at": shapes.second(found.until_at),
        "lapses_at": right_of(found).lapses_at,
        "revoked_at": shapes.second(found.revoked_at),
    }
