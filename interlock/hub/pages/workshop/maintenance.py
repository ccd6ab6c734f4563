"""Plans and interventions as forms go in; what is due, and what was done to a machine, comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.hub import days
from interlock.hub.domain import limits
from interlock.hub.domain import maintenance as deeds
from interlock.hub.models import Intervention, Machine, MaintenancePlan, User
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.pages.workshop.parts import (
    FormPage,
    form_page,
    one_of,
    page_of,
    posted,
    why_field,
)
from interlock.hub.pages.workshop.words import hours_field, instant_of, local_day
from interlock.hub.permissions import Permission

SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan in words; `colour` says whether it is due."""

    number: int
    machine: str
    machine_slug: str
    task: str
    rhythm: str
    counted: str
    next: str
    colour: str
    locks_out: bool
    retired: bool


@dataclass(frozen=True, slots=True)
class WorkRow:
    """One intervention in words."""

    number: int
    what: str
    when: str
    who: str
    spent: str
    parts: str
    plan: str
    withdrawn: bool


class PlanForm(Form):
    """What comes round, and how often."""

    task = forms.CharField(
        max_length=limits.NAME_LENGTH_MAX,
        label=gettext_lazy("What is to be done"),
        help_text=gettext_lazy("“Clean the lens”, “Change the belt”."),
    )
    every_hours = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=deeds.HOURS_MAX,
        label=gettext_lazy("Every so many hours of the machine"),
    )
    every_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=limits.DAYS_MAX,
        label=gettext_lazy("Every so many days"),
        help_text=gettext_lazy("With both, whichever is first."),
    )
    last_on = forms.DateField(
        required=False,
        label=gettext_lazy("Last done on"),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
        help_text=gettext_lazy("Empty: it counts from now on."),
    )
    locks_out = forms.BooleanField(
        required=False,
        label=gettext_lazy("Lock the machine out when it is due"),
        help_text=gettext_lazy(
            "Nobody starts it then until somebody gives it back. A session that runs goes on."
        ),
    )

    def wanted(self) -> deeds.Round:
        """What the form says."""
        given = self.cleaned_data
        return deeds.Round(
            given["task"], given["every_hours"], given["every_days"], given["locks_out"]
        )


class WorkForm(Form):
    """What was done, by whom, with what."""

    plan = forms.ModelChoiceField(
        MaintenancePlan.objects.none(),
        required=False,
        label=gettext_lazy("Which plan begins anew"),
        empty_label=gettext_lazy("none: a repair in between"),
    )
    what = forms.CharField(
        max_length=deeds.TEXT_LENGTH_MAX,
        label=gettext_lazy("What was done"),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    done_on = forms.DateField(
        label=gettext_lazy("Day"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    by = forms.ModelChoiceField(
        User.objects.none(),
        required=False,
        label=gettext_lazy("By"),
        empty_label=gettext_lazy("nobody of the lab"),
    )
    company = forms.CharField(
        required=False, max_length=deeds.COMPANY_LENGTH_MAX, label=gettext_lazy("Company")
    )
    parts = forms.CharField(
        required=False, max_length=deeds.TEXT_LENGTH_MAX, label=gettext_lazy("Parts")
    )
    cost = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=deeds.COST_CENTS_MAX // 100,
        decimal_places=2,
        localize=True,
        label=gettext_lazy("Cost in euros"),
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
    )

    def __init__(self, viewer: Viewer, machine: Machine, *args: Any, **kwargs: Any) -> None:
        correcting = kwargs.pop("correcting", False)
        super().__init__(*args, **kwargs)
        self.fields["minutes"] = hours_field(deeds.MINUTES_MAX, required=False)
        plan, by = self.fields["plan"], self.fields["by"]
        assert isinstance(plan, forms.ModelChoiceField)
        assert isinstance(by, forms.ModelChoiceField)
        plan.queryset = MaintenancePlan.objects.filter(machine=machine, retired_at=None)
        by.queryset = (
            User.objects.filter(roles__lab=viewer.lab, is_active=True)
            .exclude(roles__name="member")
            .distinct()
            .order_by("name")
        )
        if correcting:
            del self.fields["plan"]
            self.fields["why"] = why_field()

    def work(self, viewer: Viewer) -> deeds.Work:
        """What the form says."""
        given = self.cleaned_data
        return deeds.Work(
            what=given["what"],
            done_at=instant_of(given["done_on"], viewer.now, viewer.zone),
            by=given["by"],
            company=given["company"],
            minutes=given["minutes"] or 0,
            parts=given["parts"],
            cost_cents=int((given["cost"] or 0) * 100),
        )


@require_GET
@page(Permission.MAINTAIN)
def maintenance(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every plan of the lab, what is due first."""
    plans = deeds.live_plans(viewer.lab).order_by(
        "-hours_over", F("due_at").asc(nulls_last=True), "machine__name", "task"
    )
    shown = page_of(request, plans)
    context = {
        "page": shown,
        "rows": [plan_row(one, viewer) for one in shown],
        "due": deeds.overdue(viewer.lab, viewer.now).count(),
        "machines": Machine.objects.filter(lab=viewer.lab, retired_at=None),
    }
    return render(request, "hub/workshop/maintenance.html", context)


@require_GET
@page(Permission.MAINTAIN)
def machine(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One machine's plans and what was done to it."""
    found = machine_of(viewer, slug)
    plans = MaintenancePlan.objects.filter(machine=found).select_related("machine")
    work = Intervention.objects.filter(machine=found).select_related("by", "plan")
    shown = page_of(request, work)
    rows = [plan_row(one, viewer) for one in plans]
    context = {
        "machine": found,
        "plans": [row for row in rows if not row.retired],
        "retired": [row for row in rows if row.retired],
        "page": shown,
        "rows": [_work_row(one, viewer) for one in shown],
        "basis": basis_words(found),
    }
    return render(request, "hub/workshop/machine_maintenance.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.MAINTAIN)
def new_plan(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Another task that comes round."""
    found = machine_of(viewer, slug)
    form = PlanForm(posted(request))
    words = FormPage(
        gettext("Plan maintenance"),
        gettext("Plan it"),
        _back(found),
        gettext("The plan is made."),
        basis_words(found),
    )

    def deed(given: dict[str, Any]) -> None:
        last = given["last_on"]
        since = None if last is None else instant_of(last, viewer.now, viewer.zone)
        deeds.plan(viewer.actor, found, form.wanted(), since)

    return form_page(request, words, form, deed)


@require_http_methods(["GET", "POST"])
@page(Permission.MAINTAIN)
def plan(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One plan, to be changed or given up."""
    found = _plan(viewer, number)
    initial = {
        name: getattr(found, name) for name in ("task", "every_hours", "every_days", "locks_out")
    }
    form = PlanForm(posted(request), initial=initial)
    del form.fields["last_on"]
    words = FormPage(
        found.task,
        gettext("Keep it"),
        _back(found.machine),
        gettext("The plan is changed."),
        basis_words(found.machine),
    )
    more: dict[str, Any] = {"template": "hub/workshop/plan_end.html", "plan": found}
    return form_page(
        request,
        words,
        form,
        lambda _given: deeds.change_plan(viewer.actor, found, form.wanted()),
        **more,
    )


@require_POST
@page(Permission.MAINTAIN)
def retire(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The plan comes round no more, or again."""
    found = _plan(viewer, number)
    retired = found.retired_at is None
    said = gettext("The plan is given up.") if retired else gettext("The plan comes round again.")
    attempt(request, lambda: deeds.retire_plan(viewer.actor, found, retired=retired), said)
    return redirect("machine-maintenance", found.machine.slug)


@require_http_methods(["GET", "POST"])
@page(Permission.MAINTAIN)
def new_work(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Something was done to the machine."""
    found = machine_of(viewer, slug)
    asked = request.GET.get("plan", "")
    initial = {
        "done_on": viewer.now.astimezone(viewer.zone).date(),
        "by": viewer.user,
        "plan": asked if asked.isdecimal() else None,
    }
    if asked.isdecimal():
        chosen = MaintenancePlan.objects.filter(machine=found, pk=int(asked)).first()
        initial["what"] = chosen.task if chosen else ""
    form = WorkForm(viewer, found, posted(request), initial=initial)
    words = FormPage(
        gettext("Enter an intervention"),
        gettext("Enter it"),
        _back(found),
        gettext("It is noted. A lock-out stays until you give the machine back."),
    )

    def deed(given: dict[str, Any]) -> None:
        deeds.intervene(viewer.actor, found, form.work(viewer), given["plan"])

    return form_page(request, words, form, deed, order=_WORK_ORDER)


@require_http_methods(["GET", "POST"])
@page(Permission.MAINTAIN)
def work(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One intervention, to be corrected or withdrawn."""
    found = _work(viewer, number)
    initial = {
        **{name: getattr(found, name) for name in ("what", "by", "company", "parts")},
        "done_on": found.done_at.astimezone(viewer.zone).date(),
        "minutes": found.minutes or None,
        "cost": found.cost_cents / 100 if found.cost_cents else None,
    }
    form = WorkForm(viewer, found.machine, posted(request), initial=initial, correcting=True)
    words = FormPage(
        gettext("Correct an intervention"),
        gettext("Correct it"),
        _back(found.machine),
        gettext("The intervention is corrected."),
        gettext("What was said before stays in the audit log."),
    )

    def deed(given: dict[str, Any]) -> None:
        deeds.correct(viewer.actor, found, form.work(viewer), given["why"])

    more: dict[str, Any] = {"template": "hub/workshop/work_end.html", "work": found}
    return form_page(request, words, form, deed, order=[*_WORK_ORDER, "why"], **more)


@require_POST
@page(Permission.MAINTAIN)
def withdraw(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It did not happen, or did all the same."""
    found = _work(viewer, number)
    gone = found.withdrawn_at is None
    said = gettext("The intervention counts no more.") if gone else gettext("It counts again.")
    attempt(request, lambda: deeds.withdraw(viewer.actor, found, withdrawn=gone), said)
    return redirect("machine-maintenance", found.machine.slug)


def plan_row(one: MaintenancePlan, viewer: Viewer) -> PlanRow:
    """One plan as lists show it."""
    due = deeds.is_overdue(one, viewer.now)
    soon = one.due_at is not None and one.due_at <= viewer.now + SOON
    return PlanRow(
        number=one.pk,
        machine=one.machine.name,
        machine_slug=one.machine.slug,
        task=one.task,
        rhythm=_rhythm(one),
        counted=_counted(one),
        next=gettext("due") if due else _next(one, viewer),
        colour="fault" if due else "ending" if soon else "free",
        locks_out=one.locks_out,
        retired=one.retired_at is not None,
    )


def basis_words(found: Machine) -> str:
    """Which hours count for this machine."""
    if found.has_current_sensor:
        return gettext("Counted are the hours in which the machine really worked.")
    return gettext(
        "This machine has no current sensor: counted are the hours in which it was switched on."
    )


def _rhythm(one: MaintenancePlan) -> str:
    parts = []
    if one.every_hours:
        parts.append(
            ngettext("every hour of work", "every %(n)s hours of work", one.every_hours)
            % {"n": one.every_hours}
        )
    if one.every_days:
        parts.append(
            ngettext("every day", "every %(n)s days", one.every_days) % {"n": one.every_days}
        )
    return gettext(" or ").join(parts)


def _counted(one: MaintenancePlan) -> str:
    worked = formats.duration(one.used_ms // 1_000)
    if one.every_hours:
        return gettext("%(worked)s of %(hours)s h") % {"worked": worked, "hours": one.every_hours}
    return worked


def _next(one: MaintenancePlan, viewer: Viewer) -> str:
    said = []
    if one.every_hours:
        left_s = max(0, one.every_hours * formats.HOUR_S - one.used_ms // 1_000)
        said.append(gettext("in %(time)s of work") % {"time": formats.duration(left_s)})
    if one.due_at is not None:
        day = local_day(one.due_at.astimezone(viewer.zone).date())
        said.append(gettext("on %(day)s") % {"day": day})
    return gettext(" or ").join(said)


def _work_row(one: Intervention, viewer: Viewer) -> WorkRow:
    spent = [formats.duration(one.minutes * formats.MINUTE_S)] if one.minutes else []
    spent += [formats.euros(one.cost_cents)] if one.cost_cents else []
    return WorkRow(
        number=one.pk,
        what=one.what,
        when=local_day(one.done_at.astimezone(viewer.zone).date()),
        who=", ".join(filter(None, [one.by.name if one.by else "", one.company])),
        spent=" · ".join(spent),
        parts=one.parts,
        plan=one.plan.task if one.plan else "",
        withdrawn=one.withdrawn_at is not None,
    )


def _back(found: Machine) -> tuple[str, str]:
    words = gettext("Maintenance of %(machine)s") % {"machine": found.name}
    return reverse("machine-maintenance", args=[found.slug]), words


def _plan(viewer: Viewer, number: int) -> MaintenancePlan:
    mine = MaintenancePlan.objects.filter(lab=viewer.lab, pk=number)
    return one_of(mine.select_related("lab", "machine__lab"))


def _work(viewer: Viewer, number: int) -> Intervention:
    mine = Intervention.objects.filter(lab=viewer.lab, pk=number)
    return one_of(mine.select_related("lab", "machine__lab", "plan__machine__lab", "by"))


_WORK_ORDER = ["plan", "what", "done_on", "minutes", "by", "company", "parts", "cost"]
