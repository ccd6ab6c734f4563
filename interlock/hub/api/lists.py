"""Old ids of another system, a list at a time."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from interlock.hub.api import shapes
from interlock.hub.api.access import BearerToken, caller_of
from interlock.hub.api.badges import WRITTEN
from interlock.hub.api.repeats import once
from interlock.hub.domain.tokens import Scope
from interlock.hub.importing_badges import BadgeLine, import_badges

router = Router(tags=["badges"])


@router.post(
    "/old-ids",
    response={200: shapes.OldIdsOut, **WRITTEN},
    auth=BearerToken(Scope.BADGES_WRITE),
)
def old_ids(request: HttpRequest, body: shapes.OldIdsBody) -> HttpResponse:
    """The badges behind those ids are their members', or would be (`dry_run`)."""
    caller = caller_of(request)
    lines = [
        BadgeLine(number, line.member, old_id=str(line.old_id), label=line.label)
        for number, line in enumerate(body.lines, start=1)
    ]

    def deed() -> dict[str, Any]:
        done = import_badges(
            caller.actor, caller.lab, lines, dry_run=body.dry_run, partial=body.partial
        )
        return {
            "taken": done.given,
            "enrol_again": done.enrol_again,
            "unchanged": done.unchanged,
            "bad": [{"line": bad.number, "reason": bad.reason} for bad in done.bad],
            "total": done.total,
            "dry_run": body.dry_run,
        }

    return once(request, caller, 200, deed)
