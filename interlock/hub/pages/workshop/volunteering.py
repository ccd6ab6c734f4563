"""Volunteer time as forms go in; its list, totals, confirmations and the member's own page come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.hub import days
from interlock.hub.domain import volunteering as deeds
from interlock.hub.models import Member, VolunteerTime
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.workshop.activities import period_of
from interlock.hub.pages.workshop.parts import (
    WHY_LENGTH_MAX,
    FormPage,
    MemberSearch,
    form_page,
    one_of,
    page_of,
    posted,
    why_field,
)
from interlock.hub.pages.workshop.words import Total, hours_field, local_day
from interlock.hub.permissions import Permission

OWN_SHOWN = 20
State = VolunteerTime.State
_COLOURS = {State.DECLARED: "ending", State.CONFIRMED: "free", State.REJECTED: "offline"}


@dataclass(frozen=True, slots=True)
class Row:
    """One entry in words."""

    number: int
    member: str
    day: str
    duration: str
    task: str
    state: str
    colour: str
    waits: bool
    counts: bool


class TimeForm(Form):
    """When, how long, what."""

    done_on = forms.DateField(
        label=gettext_lazy("Day"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    task = forms.CharField(
        max_length=deeds.TASK_LENGTH_MAX,
        label=gettext_lazy("Task"),
        help_text=gettext_lazy("“Serviced the laser”, “Helped at the repair café”."),
    )

    def __init__(self, *args: Any, correcting: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["minutes"] = hours_field(deeds.MINUTES_MAX)
        if correcting:
            self.fields["why"] = why_field()


class StaffTimeForm(MemberSearch):
    """The same, of whoever it was."""

    done_on = TimeForm.base_fields["done_on"]
    task = TimeForm.base_fields["task"]

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(viewer, *args, **kwargs)
        self.fields["minutes"] = hours_field(deeds.MINUTES_MAX)
        self.fields["who"].required = True


@require_GET
@page(Permission.RUN_ACTIVITIES)
def volunteering(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is to be confirmed, then everything of a period, with totals."""
    form, first, last = period_of(request, viewer)
    mine = VolunteerTime.objects.filter(lab=viewer.lab).select_related("member")
    shown = page_of(request, mine.filter(done_on__gte=first, done_on__lte=last))
    waiting = mine.filter(state=State.DECLARED).order_by("done_on", "pk")[:OWN_SHOWN]
    sums = deeds.totals(viewer.lab, first, last)
    context = {
        "form": form,
        "page": shown,
        "rows": [_row(one) for one in shown],
        "waiting": [_row(one) for one in waiting],
        "totals": [
            Total(gettext("confirmed"), formats.duration(sums.minutes * formats.MINUTE_S)),
            Total(ngettext("volunteer", "volunteers", sums.people), str(sums.people)),
        ],
        "query": f"from_day={first}&to_day={last}",
    }
    return render(request, "hub/workshop/volunteering.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.RUN_ACTIVITIES)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Time that staff enters for somebody: it counts at once."""
    form = StaffTimeForm(viewer, posted(request), initial={"done_on": _today(viewer)})
    words = FormPage(
        gettext("Enter volunteer time"),
        gettext("Enter it"),
        (reverse("volunteering"), gettext("Volunteer time")),
        gettext("The time counts."),
    )

    def deed(given: dict[str, Any]) -> None:
        member: Member = given["who"]
        deeds.enter(viewer.actor, member, given["done_on"], given["minutes"], given["task"])

    return form_page(
        request, words, form, deed, order=["who", "pick", "done_on", "minutes", "task"]
    )


@require_http_methods(["GET", "POST"])
@page(Permission.RUN_ACTIVITIES)
def entry(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One entry, to be corrected."""
    found = _found(viewer, number)
    initial = {"done_on": found.done_on, "minutes": found.minutes, "task": found.task}
    form = TimeForm(posted(request), initial=initial, correcting=True)
    words = FormPage(
        gettext("Correct volunteer time"),
        gettext("Correct it"),
        (reverse("volunteering"), gettext("Volunteer time")),
        gettext("The time is corrected."),
        found.member.name if found.member else "",
    )

    def deed(given: dict[str, Any]) -> None:
        when: date = given["done_on"]
        deeds.correct(viewer.actor, found, when, given["minutes"], given["task"], given["why"])

    return form_page(request, words, form, deed, order=["done_on", "minutes", "task", "why"])


@require_POST
@page(Permission.RUN_ACTIVITIES)
def confirm(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It counts."""
    found = _found(viewer, number)
    attempt(request, lambda: deeds.confirm(viewer.actor, found), gettext("The time counts."))
    return redirect("volunteering")


@require_POST
@page(Permission.RUN_ACTIVITIES)
def reject(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It does not count."""
    found = _found(viewer, number)
    why = request.POST.get("why", "").strip()[:WHY_LENGTH_MAX]
    done = gettext("The time does not count. You can still confirm it later.")
    attempt(request, lambda: deeds.reject(viewer.actor, found, why), done)
    return redirect("volunteering")


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_OWN)
def mine(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the member did for the lab, and a form for more."""
    member = Member.objects.filter(lab=viewer.lab, roles__user=viewer.user).first()
    form = TimeForm(posted(request), initial={"done_on": _today(viewer)})
    if member is None:
        return render(request, "hub/no_member.html")
    words = FormPage(
        gettext("My volunteer time"),
        gettext("Declare it"),
        (reverse("my-volunteering"), ""),
        gettext("Thank you. It counts as soon as somebody of the lab has confirmed it."),
    )
    own = VolunteerTime.objects.filter(member=member).select_related("member")[:OWN_SHOWN]

    def deed(given: dict[str, Any]) -> None:
        deeds.declare(viewer.actor, member, given["done_on"], given["minutes"], given["task"])

    more: dict[str, Any] = {
        "template": "hub/workshop/my_time.html",
        "rows": [_row(one) for one in own],
    }
    return form_page(request, words, form, deed, order=["done_on", "minutes", "task"], **more)


def _today(viewer: Viewer) -> date:
    return viewer.now.astimezone(viewer.zone).date()


def _found(viewer: Viewer, number: int) -> VolunteerTime:
    mine = VolunteerTime.objects.filter(lab=viewer.lab, pk=number)
    return one_of(mine.select_related("lab", "member"))


def _row(one: VolunteerTime) -> Row:
    return Row(
        number=one.pk,
        member=one.member.name if one.member else gettext("erased"),
        day=local_day(one.done_on),
        duration=formats.duration(one.minutes * formats.MINUTE_S),
        task=one.task,
        state=one.get_state_display(),
        colour=_COLOURS[State(one.state)],
        waits=one.state == State.DECLARED,
        counts=one.state == State.CONFIRMED,
    )
