"""Workshops and visits as forms go in; their list, totals and corrections come out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext, npgettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.hub import days
from interlock.hub.domain import activities as deeds
from interlock.hub.domain import limits
from interlock.hub.models import Activity, Public
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.workshop.parts import (
    FormPage,
    form_page,
    one_of,
    page_of,
    posted,
    why_field,
)
from interlock.hub.pages.workshop.words import Total, hours_field, local_day
from interlock.hub.permissions import Permission

PUBLIC_PREFIX = "public-"


class Period(Form):
    """From one day to another, both included; empty: this calendar year."""

    from_day = forms.DateField(
        required=False, label=gettext_lazy("From"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    to_day = forms.DateField(
        required=False, label=gettext_lazy("To"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One activity in words."""

    number: int
    title: str
    kind: str
    day: str
    duration: str
    people: str
    total: int
    withdrawn: bool


class ActivityForm(Form):
    """What was held, when, for how long, and how many came of each public."""

    title = forms.CharField(
        max_length=limits.NAME_LENGTH_MAX,
        label=gettext_lazy("What it was"),
        help_text=gettext_lazy("“Laser for beginners”, “Visit of a school”. No names of people."),
    )
    kind = forms.ChoiceField(
        choices=Activity.Kind.choices, label=gettext_lazy("Kind"), widget=forms.RadioSelect
    )
    held_on = forms.DateField(
        label=gettext_lazy("Day"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )

    def __init__(self, *args: Any, correcting: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["minutes"] = hours_field(deeds.MINUTES_MAX)
        for public in Public:
            self.fields[PUBLIC_PREFIX + public.value] = forms.IntegerField(
                required=False, min_value=0, max_value=deeds.PEOPLE_MAX, label=public.label
            )
        if correcting:
            self.fields["why"] = why_field()

    @property
    def publics(self) -> list[forms.BoundField]:
        """The fields that count people."""
        return [self[PUBLIC_PREFIX + public.value] for public in Public]

    @property
    def others(self) -> list[forms.BoundField]:
        """The fields before and after them, but for the kind."""
        return [self[name] for name in ("title", "held_on", "minutes")]

    def held(self) -> deeds.Held:
        """What the form says."""
        given = self.cleaned_data
        return deeds.Held(
            title=given["title"],
            held_on=given["held_on"],
            minutes=given["minutes"],
            kind=given["kind"],
            people={one.value: given[PUBLIC_PREFIX + one.value] or 0 for one in Public},
        )


@require_GET
@page(Permission.RUN_ACTIVITIES)
def activities(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What was held in a period, newest first, with totals."""
    form, first, last = period_of(request, viewer)
    found = Activity.objects.filter(lab=viewer.lab, held_on__gte=first, held_on__lte=last)
    shown = page_of(request, found.prefetch_related("headcounts"))
    context = {
        "form": form,
        "page": shown,
        "rows": [_row(one, viewer) for one in shown],
        "totals": _totals(deeds.totals(viewer.lab, first, last)),
        "query": f"from_day={first}&to_day={last}",
        "any": bool(shown) or Activity.objects.filter(lab=viewer.lab).exists(),
    }
    return render(request, "hub/workshop/activities.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.RUN_ACTIVITIES)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Another activity."""
    today = viewer.now.astimezone(viewer.zone).date()
    form = ActivityForm(posted(request), initial={"kind": "workshop", "held_on": today})
    words = FormPage(
        gettext("Enter an activity"),
        gettext("Enter it"),
        (reverse("activities"), gettext("Activities")),
        gettext("The activity counts."),
        gettext("Only numbers are kept, never who came."),
    )
    return _form(request, words, form, lambda: deeds.enter(viewer.actor, viewer.lab, form.held()))


@require_http_methods(["GET", "POST"])
@page(Permission.RUN_ACTIVITIES)
def activity(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One activity, to be corrected or withdrawn."""
    found = _found(viewer, number)
    initial = {
        "title": found.title,
        "kind": found.kind,
        "held_on": found.held_on,
        "minutes": found.minutes,
        **{PUBLIC_PREFIX + one.public: one.people for one in found.headcounts.all()},
    }
    form = ActivityForm(posted(request), initial=initial, correcting=True)
    words = FormPage(
        gettext("Correct an activity"),
        gettext("Correct it"),
        (reverse("activities"), gettext("Activities")),
        gettext("The activity is corrected."),
        gettext("What was said before stays in the audit log."),
    )

    def deed() -> None:
        deeds.correct(viewer.actor, found, form.held(), form.cleaned_data["why"])

    return _form(request, words, form, deed, found=found)


@require_POST
@page(Permission.RUN_ACTIVITIES)
def withdraw(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It counts no more."""
    found = _found(viewer, number)
    done = gettext("“%(title)s” counts no more. You can take it up again on its page.")
    deed = lambda: deeds.withdraw(viewer.actor, found)  # noqa: E731
    attempt(request, deed, done % {"title": found.title})
    return redirect("activities")


@require_POST
@page(Permission.RUN_ACTIVITIES)
def take_up(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It counts again."""
    found = _found(viewer, number)
    done = gettext("“%(title)s” counts again.") % {"title": found.title}
    attempt(request, lambda: deeds.take_up(viewer.actor, found), done)
    return redirect("activities")


def period_of(request: HttpRequest, viewer: Viewer) -> tuple[Period, date, date]:
    """The form of a period, and what it says: this calendar year where it says nothing."""
    today = viewer.now.astimezone(viewer.zone).date()
    first, last = today.replace(month=1, day=1), today.replace(month=12, day=31)
    asked = {name: request.GET[name] for name in ("from_day", "to_day") if request.GET.get(name)}
    form = Period({"from_day": first, "to_day": last, **asked})
    if form.is_valid():
        first = form.cleaned_data["from_day"] or first
        last = form.cleaned_data["to_day"] or last
    return form, first, max(first, last)


def came(public: Public, n: int) -> str:
    """`1 adult`, `12 children (under 12)`."""
    words = {
        Public.CHILDREN: ngettext("%(n)d child (under 12)", "%(n)d children (under 12)", n),
        Public.TEENAGERS: ngettext("%(n)d teenager (12 to 17)", "%(n)d teenagers (12 to 17)", n),
        Public.STUDENTS: ngettext(
            "%(n)d student or apprentice", "%(n)d students and apprentices", n
        ),
        Public.ADULTS: ngettext("%(n)d adult", "%(n)d adults", n),
        Public.SENIORS: ngettext("%(n)d senior (over 60)", "%(n)d seniors (over 60)", n),
        Public.JOBSEEKERS: ngettext("%(n)d job seeker", "%(n)d job seekers", n),
        Public.PROFESSIONALS: ngettext("%(n)d person of a company", "%(n)d people of companies", n),
    }
    return words[public] % {"n": n}


def _form(
    request: HttpRequest,
    words: FormPage,
    form: ActivityForm,
    deed: Any,
    found: Activity | None = None,
) -> HttpResponse:
    template: dict[str, Any] = {"template": "hub/workshop/activity_fields.html", "activity": found}
    return form_page(request, words, form, lambda _given: deed(), **template)


def _found(viewer: Viewer, number: int) -> Activity:
    mine = Activity.objects.filter(lab=viewer.lab, pk=number)
    return one_of(mine.select_related("lab").prefetch_related("headcounts"))


def _row(one: Activity, viewer: Viewer) -> Row:
    counted = {head.public: head.people for head in one.headcounts.all()}
    said = [came(public, counted[public.value]) for public in Public if public in counted]
    return Row(
        number=one.pk,
        title=one.title,
        kind=one.get_kind_display(),
        day=local_day(one.held_on),
        duration=formats.duration(one.minutes * formats.MINUTE_S),
        people=", ".join(said),
        total=sum(counted.values()),
        withdrawn=one.withdrawn_at is not None,
    )


def _totals(sums: deeds.Totals) -> list[Total]:
    return [
        Total(npgettext("total", "activity", "activities", sums.activities), str(sums.activities)),
        Total(npgettext("total", "person", "people", sums.people), str(sums.people)),
        Total(gettext("hours held"), formats.duration(sums.minutes * formats.MINUTE_S)),
        Total(
            gettext("hours × people"),
            formats.duration(sums.person_minutes * formats.MINUTE_S),
        ),
    ]
