"""The lab's opening hours and its groups' own, as forms go in; the settings page comes out.

A day has two spans. One that ends before it begins runs past midnight; 00:00 as an end is midnight itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import time
from typing import Any

from django import forms
from django.contrib import messages
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import hours as deeds
from interlock.hub.domain.hours import DAY_MINUTES, SPANS_PER_DAY_MAX, WEEK_DAYS, Span
from interlock.hub.models import Group, Machine
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.words import WEEKDAYS
from interlock.hub.permissions import Permission

TIME_WIDGET = forms.TimeInput(format="%H:%M", attrs={"type": "time"})


@dataclass(frozen=True, slots=True)
class Day:
    """One weekday and its fields: (from, to) twice."""

    name: str
    spans: tuple[tuple[BoundField, BoundField], ...]


@dataclass(frozen=True, slots=True)
class GroupHours:
    """One group and the form that says which hours its members keep."""

    group: Group
    form: WeekForm


class WeekForm(Form):
    """Two spans of time for each day of a week; empty ones ask nothing."""

    def __init__(self, spans: Iterable[Iterable[int]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = _times(spans)
        for day in range(WEEK_DAYS):
            for number in range(SPANS_PER_DAY_MAX):
                first, last = shown.get((day, number), (None, None))
                named = {"day": WEEKDAYS[day], "number": number + 1}
                self.fields[f"from-{day}-{number}"] = _time_field(
                    gettext("%(day)s, from (%(number)d)") % named, first
                )
                self.fields[f"to-{day}-{number}"] = _time_field(
                    gettext("%(day)s, to (%(number)d)") % named, last
                )

    @property
    def days(self) -> list[Day]:
        """The fields as a week shows them."""
        return [
            Day(
                str(WEEKDAYS[day]),
                tuple(
                    (self[f"from-{day}-{number}"], self[f"to-{day}-{number}"])
                    for number in range(SPANS_PER_DAY_MAX)
                ),
            )
            for day in range(WEEK_DAYS)
        ]

    def clean(self) -> dict[str, Any]:
        """Half a span is said beside its day."""
        given = self.cleaned_data
        for day in range(WEEK_DAYS):
            for number in range(SPANS_PER_DAY_MAX):
                first, last = (given.get(f"{end}-{day}-{number}") for end in ("from", "to"))
                if (first is None) is not (last is None):
                    end = "from" if first is None else "to"
                    self.add_error(f"{end}-{day}-{number}", gettext("Write both times, or none."))
        return given

    def spans(self) -> Iterator[Span]:
        """What was written, as the domain keeps it."""
        for day in range(WEEK_DAYS):
            for number in range(SPANS_PER_DAY_MAX):
                first = self.cleaned_data[f"from-{day}-{number}"]
                last = self.cleaned_data[f"to-{day}-{number}"]
                if first is not None and last is not None:
                    begin, end = _minute(first), _minute(last)
                    yield day, begin, end if end > begin else end + DAY_MINUTES


class GroupForm(WeekForm):
    """Which hours a group keeps, and its own where it keeps its own."""

    keeps = forms.ChoiceField(
        choices=Group.Keeps.choices,
        label=gettext_lazy("Its members keep"),
        widget=forms.RadioSelect,
    )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_LAB)
def settings(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """When the lab is open, and who keeps other hours."""
    lab = viewer.lab
    form = WeekForm(lab.hours, request.POST if request.method == "POST" else None)
    said = gettext(
        "The opening hours are kept. Each machine knows them as soon as its node confirms."
    )
    if _done(
        request, form, lambda: deeds.set_lab_hours(viewer.actor, lab, list(form.spans())), said
    ):
        return redirect("settings")
    return _page(request, viewer, form, None)


@require_POST
@page(Permission.EDIT_LAB)
def group_hours(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The group keeps the hours that the form says."""
    group = Group.objects.filter(lab=viewer.lab, pk=number).select_related("lab").first()
    if group is None:
        raise Http404(gettext("There is no such group in this lab."))
    form = _group_form(group, request)
    said = gettext("The hours of “%(group)s” are kept.") % {"group": group.name}

    def deed() -> None:
        keeps = form.cleaned_data["keeps"]
        deeds.set_group_hours(viewer.actor, group, keeps, list(form.spans()))

    if _done(request, form, deed, said):
        return redirect("settings")
    return _page(request, viewer, WeekForm(viewer.lab.hours), GroupHours(group, form))


def _done(request: HttpRequest, form: WeekForm, deed: Callable[[], object], said: str) -> bool:
    """Whether the form was sent, made sense and was kept; what the domain refuses stands above it."""
    if not form.is_bound or not form.is_valid():
        return False
    try:
        deed()
    except InterlockError as error:
        form.add_error(None, sentence(error))
        return False
    messages.success(request, said)
    return True


def _page(
    request: HttpRequest, viewer: Viewer, form: WeekForm, tried: GroupHours | None
) -> HttpResponse:
    groups = [
        tried
        if tried is not None and tried.group == group
        else GroupHours(group, _group_form(group))
        for group in Group.objects.filter(lab=viewer.lab)
    ]
    context = {
        "form": form,
        "groups": groups,
        "tried": tried,
        "machines": Machine.objects.filter(lab=viewer.lab, within_hours=True),
    }
    return render(request, "hub/settings.html", context)


def _group_form(group: Group, request: HttpRequest | None = None) -> GroupForm:
    return GroupForm(
        group.hours,
        None if request is None else request.POST,
        initial={"keeps": group.keeps},
        prefix=f"group-{group.pk}",
    )


def _times(spans: Iterable[Iterable[int]]) -> dict[tuple[int, int], tuple[time, time]]:
    """(weekday, number of the span in that day) to its two times."""
    shown: dict[tuple[int, int], tuple[time, time]] = {}
    for day, first, last in sorted(tuple(span) for span in spans):
        number = 0 if (day, 0) not in shown else 1
        shown[day, number] = (_time(first), _time(last))
    return shown


def _time_field(label: str, initial: time | None) -> forms.TimeField:
    return forms.TimeField(
        required=False, label=label, widget=TIME_WIDGET, initial=initial, input_formats=["%H:%M"]
    )


def _minute(of_day: time) -> int:
    return of_day.hour * 60 + of_day.minute


def _time(minute: int) -> time:
    return time(minute % DAY_MINUTES // 60, minute % 60)
