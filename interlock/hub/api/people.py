"""Who asks, and whom: the token and its lab, and a member found by their id."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja import Router

from interlock import __version__
from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
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


def member_of(caller: Caller, public_id: str) -> Member:
    """The member of the token's lab. Raises Http404."""
    # PostgreSQL takes no text with a zero in it, not even to look for it.
    found = None
    if public_id.isprintable():
        found = with_badges(caller).filter(public_id=public_id).first()
    if found is None:
        raise Http404(_("There is no such member in this lab."))
    return found


def with_badges(caller: Caller) -> QuerySet[Member]:
    """The lab's members as `shapes.member_told` tells them."""
    active = Q(badges__condition=Badge.Condition.ACTIVE)
    held = Count("badges", filter=active)
    found = Member.objects.filter(lab=caller.lab).select_related("lab", "group", "payer")
    return found.annotate(badges_held=held)
