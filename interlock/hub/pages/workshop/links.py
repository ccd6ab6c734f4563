"""A machine goes in; its label with the QR code, and its calendar for other programs, come out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import segno
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from interlock.hub import calendars, days
from interlock.hub.calendars import Slot
from interlock.hub.domain import machine_links
from interlock.hub.domain.maintenance import is_overdue
from interlock.hub.models import Machine, MachineLink, MaintenancePlan, Reservation, Session
from interlock.hub.pages.access import Viewer, hub_now, page, public
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.permissions import Permission

Purpose = MachineLink.Purpose
QR_SCALE = 8
QR_BORDER = 4
"""The quiet zone of ISO/IEC 18004."""
PAST = timedelta(days=30)
AHEAD = timedelta(days=365)
SLOTS_MAX = 2_000
"""A month of sessions and a year of reservations of a machine that is never free."""


@require_GET
@page(Permission.EDIT_MACHINES, Permission.MAINTAIN)
def label(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """A label to print: name, QR code, and what it is for, in both languages."""
    found = machine_of(viewer, slug)
    link = machine_links.link_of(viewer.actor, found, Purpose.PROBLEM)
    address = request.build_absolute_uri(reverse("report-problem", args=[link.token]))
    code = segno.make(address, error="m", micro=False)
    context = {
        "machine": found,
        "address": address,
        "code": code.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff"),
        "calls": [(language, _call(language)) for language in ("fr", "en")],
        "only_here": _only_here(request),
        "may_renew": viewer.may(Permission.EDIT_MACHINES),
    }
    return render(request, "hub/workshop/label.html", context)


@require_POST
@page(Permission.EDIT_MACHINES)
def renew_label(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Labels printed before reach nothing any more."""
    machine_links.renew(viewer.actor, machine_of(viewer, slug), Purpose.PROBLEM)
    messages.success(request, gettext("There is a new code. Print the label again."))
    return redirect("machine-label", slug)


@require_POST
@page(Permission.EDIT_MACHINES)
def renew_feed(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Programs that subscribed before read nothing any more."""
    machine_links.renew(viewer.actor, machine_of(viewer, slug), Purpose.CALENDAR)
    messages.success(
        request, gettext("There is a new address. The old one shows nothing any more.")
    )
    return redirect("machine-calendar", slug)


@require_GET
@public
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """When the machine is in use, reserved and due for maintenance, naming nobody."""
    found = machine_links.machine_behind(token, Purpose.CALENDAR)
    if found is None:
        raise Http404(gettext("There is no such calendar."))
    now = hub_now()
    with translation.override(found.lab.language):
        slots = sorted(_slots(found, now), key=lambda one: (one.from_at, one.uid))
        content = calendars.feed(found.name, slots, now)
    answer = HttpResponse(content, content_type="text/calendar; charset=utf-8")
    name = re.sub(r"[^\w-]", "-", found.slug)
    answer["Content-Disposition"] = f'inline; filename="{name}.ics"'
    answer["Cache-Control"] = "private, max-age=300"
    return answer


def _slots(found: Machine, now: datetime) -> Iterator[Slot]:
    begun = Session.objects.filter(machine=found, started_at__gt=now - PAST, voided=False)
    for one in begun.order_by("-started_at")[:SLOTS_MAX]:
        until_at = max(one.ended_at or now, one.started_at + timedelta(minutes=1))
        yield Slot(f"session-{one.pk}@{found.slug}", one.started_at, until_at, gettext("in use"))
    kept = Reservation.objects.filter(
        machine=found, until_at__gt=now - PAST, from_at__lt=now + AHEAD
    )
    for booked in kept[:SLOTS_MAX]:
        uid = f"reservation-{booked.pk}@{found.slug}"
        yield Slot(uid, booked.from_at, booked.until_at, gettext("reserved"))
    zone = ZoneInfo(found.lab.time_zone)
    for plan in MaintenancePlan.objects.filter(machine=found, retired_at=None):
        at = now if is_overdue(plan, now) else plan.due_at
        if at is not None:
            day = at.astimezone(zone).date()
            uid, words = f"plan-{plan.pk}@{found.slug}", gettext("maintenance: %(task)s")
            begin = days.begin_of(day, zone)
            end = begin + timedelta(days=1)
            yield Slot(uid, begin, end, words % {"task": plan.task}, whole_day=True)


def _call(language: str) -> str:
    with translation.override(language):
        return gettext("A problem? Scan")


def _only_here(request: HttpRequest) -> bool:
    """Whether the address in the code works on this computer alone: a phone would reach nothing."""
    return request.get_host().partition(":")[0] in ("localhost", "127.0.0.1", "[")
