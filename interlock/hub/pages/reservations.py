"""A machine's reservations: a form in the lab's own time goes in, the list of those ahead comes out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import days
from interlock.hub.domain import reservations as deeds
from interlock.hub.models import Reservation
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import DATE_WIDGET
from interlock.hub.pages.hours import TIME_WIDGET
from interlock.hub.pages.machine_facts import machine_of, reserved
from interlock.hub.pages.workshop.parts import MemberSearch
from interlock.hub.permissions import Permission


class ReservationForm(MemberSearch):
    """When, and for whom: one member, or nobody."""

    day = forms.DateField(label=gettext_lazy("Day"), widget=DATE_WIDGET, validators=days.VALIDATORS)
    begins = forms.TimeField(label=gettext_lazy("Begins at"), widget=TIME_WIDGET)
    until_day = forms.DateField(
        required=False,
        label=gettext_lazy("Until (another day)"),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
        help_text=gettext_lazy("Empty: the same day."),
    )
    ends = forms.TimeField(label=gettext_lazy("Ends at"), widget=TIME_WIDGET)
    note = forms.CharField(
        required=False, max_length=deeds.NOTE_LENGTH_MAX, label=gettext_lazy("Note")
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(viewer, *args, **kwargs)
        self.zone = viewer.zone
        who = self.fields["who"]
        who.label = gettext("For")
        who.help_text = gettext(
            "A part of a member's name, or their e-mail address. Empty: the machine starts for no one."
        )
        self.order_fields(["who", "pick", "day", "begins", "until_day", "ends", "note"])

    def clean(self) -> dict[str, Any]:
        """Both times exist on the lab's clock; the domain asks for the rest."""
        given = self.cleaned_data
        for name, day, clock in (
            ("begins", given.get("day"), given.get("begins")),
            ("ends", given.get("until_day") or given.get("day"), given.get("ends")),
        ):
            if day is None or clock is None:
                continue
            at = instant(datetime.combine(day, clock), self.zone)
            if at is None:
                self.add_error(
                    name, gettext("The clocks go forward then: that time does not exist.")
                )
            given[f"{name}_at"] = at
        return given


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MACHINES)
def reservations(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The machine's reservations ahead, and a form for another."""
    found = machine_of(viewer, slug)
    form = ReservationForm(viewer, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            deeds.reserve(
                viewer.actor,
                found,
                wanted["who"],
                wanted["begins_at"],
                wanted["ends_at"],
                wanted["note"],
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(
                request, gettext("It is reserved. The machine knows as soon as its node confirms.")
            )
            return redirect("reservations", slug)
    context = {"machine": found, "form": form, "rows": reserved(found, viewer)}
    return render(request, "hub/reservations.html", context)


@require_POST
@page(Permission.EDIT_MACHINES)
def take_back(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The machine is not kept for anybody then."""
    found = (
        Reservation.objects.filter(lab=viewer.lab, pk=number)
        .select_related("lab", "machine", "member")
        .first()
    )
    if found is None:
        raise Http404(gettext("There is no such reservation in this lab."))
    slug = found.machine.slug
    attempt(
        request,
        lambda: deeds.take_back(viewer.actor, found),
        gettext("The reservation is taken back."),
    )
    return redirect("reservations", slug)


def instant(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant the lab's clock shows `local`, the first of two in an autumn night; None: it never does."""
    at = local.replace(tzinfo=zone).astimezone(UTC)
    return at if at.astimezone(zone).replace(tzinfo=None) == local else None
