"""Who uses which machine now, and who did; that somebody looked is noted, as on the pages."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from ninja import Router

from interlock.hub import days
from interlock.hub.api import machine_shapes, shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.people import ASKED, FOUND
from interlock.hub.changes import log_deed
from interlock.hub.domain import looks
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import AuditRow, Member, Session, Topic

router = Router(tags=["sessions"])
LOOKED = "usage_read"
"""The audit log's word for a program of the console's that reads who used what."""


@router.get(
    "/use",
    response={200: machine_shapes.SessionPage, **ASKED},
    auth=BearerToken(Scope.SESSIONS_READ),
)
def use(
    request: HttpRequest, page: shapes.Page = 1, size: shapes.Size = shapes.SIZE
) -> dict[str, Any]:
    """Who uses what now: the sessions that run, the longest first."""
    caller = caller_of(request)
    running = _sessions(caller).filter(how="", voided=False)
    return _page(caller, running.order_by("started_at", "pk"), page, size)


@router.get(
    "/sessions",
    response={200: machine_shapes.SessionPage, **ASKED},
    auth=BearerToken(Scope.SESSIONS_READ),
)
def sessions(
    request: HttpRequest,
    machine: shapes.WhichSlug = "",
    member: shapes.WhichSlug = "",
    from_day: shapes.WhichDay = None,
    to_day: shapes.WhichDay = None,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's sessions, the newest first; those that touch the days from `from_day` to `to_day`."""
    caller = caller_of(request)
    found, zone = _sessions(caller), zoneinfo.ZoneInfo(caller.lab.time_zone)
    if machine:
        found = found.filter(machine__slug=machine)
    if member:
        found = found.filter(member__public_id=member)
    if from_day is not None:
        begin = days.begin_of(from_day, zone)
        found = found.filter(Q(ended_at=None) | Q(ended_at__gte=begin))
    if to_day is not None:
        found = found.filter(started_at__lt=days.end_of(to_day, zone))
    return _page(caller, found.order_by("-started_at", "-pk"), page, size)


@router.get(
    "/sessions/{number}",
    response={200: machine_shapes.SessionOut, **FOUND},
    auth=BearerToken(Scope.SESSIONS_READ),
)
def session(request: HttpRequest, number: shapes.RowNumber) -> dict[str, Any]:
    """One session."""
    caller = caller_of(request)
    found = _sessions(caller).filter(pk=number).first()
    if found is None:
        raise Http404(_("There is no such session in this lab."))
    note_look(caller, [found.member])
    return machine_shapes.session_told(found)


def note_look(caller: Caller, members: list[Member | None]) -> None:
    """That the program looked at their usage is kept: as a look of its maker, once a day for each member;
    of one that was made at the console the audit log says so once a day."""
    if not any(members):
        return
    lab, now = caller.lab, caller.actor.now()
    today = now.astimezone(zoneinfo.ZoneInfo(lab.time_zone)).date()
    if caller.actor.user is not None:
        looks.note(caller.actor.user, lab, members, today)
        return
    # Newest first along the chain's own index: the last one is a day's deeds away at most.
    said = AuditRow.objects.filter(lab=lab, action=LOOKED, subject=caller.token.name)
    last = said.order_by("-seq").first()
    begin = days.begin_of(today, zoneinfo.ZoneInfo(lab.time_zone))
    if last is None or last.done_at < begin:
        with transaction.atomic():
            log_deed(caller.actor, lab, Topic.OTHER, LOOKED, caller.token.name)


def _page(caller: Caller, found: QuerySet[Session], page: int, size: int) -> dict[str, Any]:
    shown: list[Member | None] = []

    def told(one: Session) -> dict[str, Any]:
        shown.append(one.member)
        return machine_shapes.session_told(one)

    answer = shapes.page_of(found, page, size, told)
    note_look(caller, shown)
    return answer


def _sessions(caller: Caller) -> QuerySet[Session]:
    return Session.objects.filter(lab=caller.lab).select_related("machine", "member", "group")
