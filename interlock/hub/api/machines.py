"""Machines: what they do now, and whether the hub has locked them out."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Path, Query, Router

from interlock.hub.api import machine_shapes, shapes
from interlock.hub.api.access import BearerToken, Caller, caller_of
from interlock.hub.api.badges import WRITTEN
from interlock.hub.api.people import ASKED, FOUND
from interlock.hub.api.repeats import once
from interlock.hub.domain import machines as deeds
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import Machine, Node

router = Router(tags=["machines"])
MachineSlug = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@router.get(
    "/machines",
    response={200: machine_shapes.MachinePage, **ASKED},
    auth=BearerToken(Scope.MACHINES_READ),
)
def machines(
    request: HttpRequest,
    locked_out: Annotated[bool | None, Query()] = None,
    retired: bool = False,
    page: shapes.Page = 1,
    size: shapes.Size = shapes.SIZE,
) -> dict[str, Any]:
    """The lab's machines by name; `locked_out` those that the hub has locked out, or has not."""
    caller = caller_of(request)
    found = _machines(caller).filter(retired_at__isnull=not retired)
    if locked_out is not None:
        found = found.filter(locked_out_at__isnull=not locked_out)
    return shapes.page_of(found.order_by("name", "pk"), page, size, _teller(caller.actor.now()))


@router.get(
    "/machines/{slug}",
    response={200: machine_shapes.MachineOut, **FOUND},
    auth=BearerToken(Scope.MACHINES_READ),
)
def machine(request: HttpRequest, slug: MachineSlug) -> dict[str, Any]:
    """One machine."""
    return _told(caller_of(request), slug)


@router.put(
    "/machines/{slug}/lock-out",
    response={200: machine_shapes.MachineOut, **WRITTEN},
    auth=BearerToken(Scope.LOCK_OUTS_WRITE),
)
def lock_out(
    request: HttpRequest, slug: MachineSlug, body: machine_shapes.LockOutBody
) -> HttpResponse:
    """Nobody starts a session there any more; one that runs goes on."""
    caller = caller_of(request)
    found = _machine_of(caller, slug)

    def deed() -> dict[str, Any]:
        if found.locked_out_at is None or found.locked_out_why != body.why.strip():
            deeds.lock_out(caller.actor, found, body.why)
        return _told(caller, slug)

    return once(request, caller, 200, deed)


@router.delete(
    "/machines/{slug}/lock-out",
    response={200: machine_shapes.MachineOut, **WRITTEN},
    auth=BearerToken(Scope.LOCK_OUTS_WRITE),
)
def release(request: HttpRequest, slug: MachineSlug) -> HttpResponse:
    """The hub's lock-out is over; one set at the machine itself stays."""
    caller = caller_of(request)
    found = _machine_of(caller, slug)

    def deed() -> dict[str, Any]:
        if found.locked_out_at is not None:
            deeds.clear_lock_out(caller.actor, found)
        return _told(caller, slug)

    return once(request, caller, 200, deed)


def _told(caller: Caller, slug: str) -> dict[str, Any]:
    return machine_shapes.machine_told(_machine_of(caller, slug), caller.actor.now())


def _teller(now: datetime) -> Any:
    return partial(machine_shapes.machine_told, now=now)


def _machines(caller: Caller) -> QuerySet[Machine]:
    in_service = Prefetch("nodes", Node.objects.filter(revoked_at=None))
    found = Machine.objects.filter(lab=caller.lab).select_related("lab", "tariff")
    return found.prefetch_related("trainings", in_service)


def _machine_of(caller: Caller, slug: str) -> Machine:
    found = _machines(caller).filter(slug=slug).first()
    if found is None:
        raise Http404(_("There is no such machine in this lab."))
    return found
