"""Who asks, and which members there are: what a desk reads before it gives anything away."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja import Router

from interlock import __version__
from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import Badge, Member

router = Router(tags=["people"])
REFUSED = {401: shapes.Problem, 403: shapes.Problem, 429: shapes.Problem}
"""Every operation may answer so."""
ASKED = {**REFUSED, 422: shapes.Problem}
FOUND = {**ASKED, 404: shapes.Problem}


@router.get("/me", response={200: shapes.MeOut, **REFUSED}, auth=BearerToken())
def me(request: HttpRequest) -> dict[str, Any]:
    """The token that asks, and its lab."""
    caller = caller_of(request)
    return {
        "lab": {
            "slug": caller.lab.slug,
            "name": caller.lab.name,
            "language": caller.lab.language,
        },
        "token": {
            "name": caller.token.name,
            "scopes": caller.token.scopes,
            "expires_at": shapes.second(caller.token.expires_at),
        },
        "version": __version__,
    }


@router.get(
    "/members",
    response={200: shapes.MemberPage, **ASKED},
    auth=BearerToken(Scope.MEMBERS_READ),
)
def members(
    request: HttpRequest,
    q: shapes.SearchText = "",
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's members by name; `q` is a part of the name or of the e-mail."""
    found = _with_badges(caller_of(request))
    if q.strip():
        found = found.filter(Q(name__icontains=q.strip()) | Q(email__icontains=q.strip()))
    return shapes.page_of(found.order_by("name", "pk"), page, size, shapes.member_told)


@router.get(
    "/members/{member_id}",
    response={200: shapes.MemberOut, **FOUND},
    auth=BearerToken(Scope.MEMBERS_READ),
)
def member(request: HttpRequest, member_id: str) -> dict[str, Any]:
    """One member."""
    return shapes.member_told(member_of(caller_of(request), member_id))


def member_of(caller: Caller, public_id: str) -> Member:
    """The member of the token's lab. Raises Http404."""
    found = _with_badges(caller).filter(public_id=public_id).first()
    if found is None:
        raise Http404(_("There is no such member in this lab."))
    return found


def _with_badges(caller: Caller) -> QuerySet[Member]:
    active = Q(badges__condition=Badge.Condition.ACTIVE)
    held = Count("badges", filter=active)
    return Member.objects.filter(lab=caller.lab).annotate(badges_held=held)
