"""What holds in the whole lab, as small forms go in, one at a time: its name, its members' year, its money.

Each form is sent by its own button; `part` says which. Whoever may change accounts but not the lab (the
accountant) sees the part about accounts alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dates import MONTHS
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from interlock.errors import InterlockError
from interlock.hub.domain import labs, payers
from interlock.hub.models import Lab
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.fields import EurosField, MinutesField
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.people.assistant import LabForm
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission

MONTH_DAYS_MAX = 31


class NamesForm(Form):
    """Whether names leave the hub."""

    sends_names = forms.BooleanField(
        required=False, label=gettext_lazy("Machines greet members by their name")
    )


class MembershipForm(Form):
    """When a membership year ends, and what a minor needs."""

    month = forms.TypedChoiceField(
        coerce=int,
        required=False,
        label=gettext_lazy("The membership year ends in"),
        help_text=gettext_lazy("It is proposed for each new member; nobody's membership changes."),
    )
    day = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MONTH_DAYS_MAX,
        label=gettext_lazy("On which day of the month"),
    )
    asks_consent = forms.BooleanField(
        required=False,
        label=gettext_lazy("Minors get no training before a guardian has consented"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        month = self.fields["month"]
        assert isinstance(month, forms.TypedChoiceField)
        none = gettext("no month: a year after somebody joined")
        month.choices = [("", none), *((number, str(name)) for number, name in MONTHS.items())]

    def clean(self) -> dict[str, Any]:
        """A month has its day."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("month") and not given.get("day") and not self.errors.get("day"):
            self.add_error("day", gettext("Write the last day that counts, like 31."))
        return given

    def season_ends(self) -> str:
        """MM-DD, or empty."""
        given = self.cleaned_data
        return f"{given['month']:02}-{given['day']:02}" if given["month"] else ""


class CreditForm(Form):
    """Below what an account is low."""

    low_cents = EurosField(label=gettext_lazy("Less than so many euros on the account"))
    low_s = MinutesField(
        label=gettext_lazy("and less than so many minutes of passes"),
        help_text=gettext_lazy(
            "Machines then warn those who pay in advance. With nothing left the next start is refused; a "
            "session that runs is never cut."
        ),
    )


class VolunteerForm(Form):
    """What an hour of volunteers is worth on paper."""

    value = EurosField(
        label=gettext_lazy("Value of an hour of volunteer time, in euros"),
        help_text=gettext_lazy(
            "Set your own: it values volunteer hours in the report and in accounts 86 and 87. Ask your "
            "accountant or the funder which rate they accept."
        ),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One form of the page: who may send it, what it begins with, and what it does."""

    name: str
    title: Words
    allowed: Permission
    form: Callable[..., Form]
    known: Callable[[Lab], dict[str, Any]]
    deed: Callable[[Viewer, Any], object]


@dataclass(frozen=True, slots=True)
class Shown:
    """A part as the page shows it."""

    name: str
    title: str
    form: Form


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_LAB, Permission.EDIT_ACCOUNTS)
def lab_rules(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Everything that holds in the whole lab."""
    sent = request.POST.get("part", "")
    shown = []
    for part in PARTS:
        if not viewer.may(part.allowed):
            if part.name == sent:
                raise PermissionDenied(gettext("Your role in this lab does not allow this."))
            continue
        posted = request.POST if part.name == sent else None
        form = part.form(posted, initial=part.known(viewer.lab), prefix=part.name)
        if posted is not None and form.is_valid() and _done(viewer, part, form):
            messages.success(request, gettext("Kept."))
            return redirect("lab-rules")
        shown.append(Shown(part.name, str(part.title), form))
    context = {"parts": shown, "opens_settings": viewer.may(Permission.EDIT_LAB)}
    return render(request, "hub/lab_rules.html", context)


def _done(viewer: Viewer, part: Part, form: Form) -> bool:
    """Whether the domain kept it; what it refuses stands above the form."""
    try:
        part.deed(viewer, form)
    except InterlockError as error:
        form.add_error(None, sentence(error))
        return False
    return True


def _season(lab: Lab) -> dict[str, Any]:
    month, _, day = lab.season_ends.partition("-")
    season = {"month": int(month), "day": int(day)} if lab.season_ends else {}
    return {**season, "asks_consent": lab.asks_consent}


def _describe(viewer: Viewer, form: LabForm) -> None:
    given = form.cleaned_data
    labs.describe_lab(
        viewer.actor, viewer.lab, given["name"], given["language"], given["time_zone"]
    )


def _greet(viewer: Viewer, form: NamesForm) -> None:
    labs.send_names(viewer.actor, viewer.lab, on=form.cleaned_data["sends_names"])


def _remember_season(viewer: Viewer, form: MembershipForm) -> None:
    consent = form.cleaned_data["asks_consent"]
    labs.set_memberships(viewer.actor, viewer.lab, form.season_ends(), asks_consent=consent)


def _limit(viewer: Viewer, form: CreditForm) -> None:
    given = form.cleaned_data
    payers.set_credit_limits(viewer.actor, viewer.lab, given["low_cents"], given["low_s"])


def _value(viewer: Viewer, form: VolunteerForm) -> None:
    labs.set_volunteer_value(viewer.actor, viewer.lab, form.cleaned_data["value"])


PARTS: tuple[Part, ...] = (
    Part(
        "lab",
        gettext_lazy("The lab"),
        Permission.EDIT_LAB,
        LabForm,
        lambda lab: {"name": lab.name, "language": lab.language, "time_zone": lab.time_zone},
        _describe,
    ),
    Part(
        "memberships",
        gettext_lazy("Memberships"),
        Permission.EDIT_LAB,
        MembershipForm,
        _season,
        _remember_season,
    ),
    Part(
        "accounts",
        gettext_lazy("When an account is low"),
        Permission.EDIT_ACCOUNTS,
        CreditForm,
        lambda lab: {"low_cents": lab.credit_low_cents, "low_s": lab.credit_low_s},
        _limit,
    ),
    Part(
        "volunteers",
        gettext_lazy("Volunteers"),
        Permission.EDIT_LAB,
        VolunteerForm,
        lambda lab: {"value": lab.volunteer_cents_per_hour},
        _value,
    ),
    Part(
        "names",
        gettext_lazy("Names at the machines"),
        Permission.EDIT_LAB,
        NamesForm,
        lambda lab: {"sends_names": lab.sends_names},
        _greet,
    ),
)
