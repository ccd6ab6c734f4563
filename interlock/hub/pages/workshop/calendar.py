"""A machine's calendars as a page: the one that goes out, the booking tool's that comes in, what it could not mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import outgoing
from interlock.hub.domain import bookings as deeds
from interlock.hub.domain import machine_links
from interlock.hub.models import CalendarEvent, CalendarSource, MachineLink
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.pages.workshop.parts import one_of, posted
from interlock.hub.permissions import Permission

UNMATCHED_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Unmatched:
    """One booking that reserves nothing, in words."""

    when: str
    title: str
    why: str


class SourceForm(Form):
    """Where the bookings are read."""

    address = forms.CharField(
        max_length=outgoing.ADDRESS_LENGTH_MAX,
        label=gettext_lazy("Address of the calendar"),
        help_text=gettext_lazy(
            "Your booking tool calls it iCal or ICS address. Whoever knows it can read the bookings:"
            " treat it like a password."
        ),
        widget=forms.TextInput(attrs={"type": "url", "autocomplete": "off"}),
    )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MACHINES)
def calendar(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Both calendars of one machine."""
    found = machine_of(viewer, slug)
    source = CalendarSource.objects.filter(machine=found).first()
    initial: dict[str, Any] = {"address": source.address} if source else {}
    form = SourceForm(posted(request), initial=initial)
    if form.is_bound and form.is_valid():
        try:
            deeds.set_source(viewer.actor, found, form.cleaned_data["address"], _allowed())
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("The calendar is read within a quarter of an hour."))
            return redirect("machine-calendar", slug)
    link = machine_links.link_of(viewer.actor, found, MachineLink.Purpose.CALENDAR)
    context = {
        "machine": found,
        "form": form,
        "source": source,
        "tried": _when(source, viewer),
        "feed": request.build_absolute_uri(reverse("machine-feed", args=[link.token])),
        "unmatched": _unmatched(source, viewer) if source else [],
    }
    return render(request, "hub/workshop/calendar.html", context)


@require_POST
@page(Permission.EDIT_MACHINES)
def read_now(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The booking calendar is read at once."""
    source = _source(viewer, slug)
    if deeds.read(viewer.actor, source, _allowed()):
        messages.success(request, gettext("The calendar was read."))
    else:
        source.refresh_from_db()
        said = gettext("It could not be read: %(why)s. No reservation was changed.")
        messages.error(request, said % {"why": source.trouble})
    return redirect("machine-calendar", slug)


@require_POST
@page(Permission.EDIT_MACHINES)
def remove(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The booking calendar is read no more."""
    source = _source(viewer, slug)
    done = gettext("The calendar is read no more, and what came from it reserves nothing.")
    attempt(request, lambda: deeds.remove_source(viewer.actor, source), done)
    return redirect("machine-calendar", slug)


def _source(viewer: Viewer, slug: str) -> CalendarSource:
    mine = CalendarSource.objects.filter(lab=viewer.lab, machine__slug=slug)
    return one_of(mine.select_related("lab", "machine__lab"))


def _unmatched(source: CalendarSource, viewer: Viewer) -> list[Unmatched]:
    ahead = CalendarEvent.objects.filter(source=source, reservation=None, until_at__gt=viewer.now)
    return [
        Unmatched(
            formats.moment(one.from_at, viewer.zone, viewer.now), one.title, one.get_why_display()
        )
        for one in ahead[:UNMATCHED_SHOWN]
    ]


def _when(source: CalendarSource | None, viewer: Viewer) -> str:
    if source is None or source.tried_at is None:
        return ""
    return formats.moment(source.tried_at, viewer.zone, viewer.now)


def _allowed() -> tuple[str, ...]:
    servers: tuple[str, ...] = settings.HUB.config().lan_servers
    return servers
