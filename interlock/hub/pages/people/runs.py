"""A training for several people goes in; its attendance list comes out, and from it everybody's authorisation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import ConfigError, InterlockError
from interlock.hub import days
from interlock.hub.domain import training_runs
from interlock.hub.domain.trainings import DURATION_MIN_MAX
from interlock.hub.models import Authorisation, Member, Training, TrainingRun
from interlock.hub.pages import formats, rights
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.people.trainings import grantable, training_of
from interlock.hub.permissions import Permission
from interlock.hub.spreadsheets import plain

CANDIDATES_MAX = 60
"""Newcomers without the training, to be ticked; everybody else is written or found by name."""
_MAY_RUN = (Permission.GRANT_ANY, Permission.GRANT_OWN)


class RunForm(Form):
    """When a training is held, how long it takes, and who comes."""

    day = forms.DateField(label=gettext_lazy("Day"), widget=DATE_WIDGET, validators=days.VALIDATORS)
    begins = forms.TimeField(
        label=gettext_lazy("Begins at"), widget=forms.TimeInput({"type": "time"}, "%H:%M")
    )
    duration_min = forms.IntegerField(
        min_value=1, max_value=DURATION_MIN_MAX, label=gettext_lazy("Minutes")
    )
    people = forms.CharField(
        required=False,
        max_length=20_000,
        label=gettext_lazy("Who comes"),
        help_text=gettext_lazy(
            "Names or e-mails, one on each line, as your sign-up sheet has them."
        ),
        widget=forms.Textarea(attrs={"rows": 8}),
    )

    def starts_at(self, viewer: Viewer) -> datetime:
        """The moment it begins, in the lab."""
        given = self.cleaned_data
        return datetime.combine(given["day"], given["begins"], viewer.zone)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member who might come."""

    public_id: str
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the list: what they hold, and what stands in the way."""

    number: int
    public_id: str
    name: str
    address: str
    holds: str
    hindrance: str
    present: bool | None
    level: str


@require_http_methods(["GET", "POST"])
@page(*_MAY_RUN)
def hold(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """A list of attendance is made."""
    training = _held_training(viewer, slug)
    now = viewer.now.astimezone(viewer.zone)
    begin = {
        "day": now.date(),
        "begins": time(now.hour),
        "duration_min": training.duration_min or training_runs.DURATION_MIN,
    }
    form = RunForm(request.POST if request.method == "POST" else None, initial=begin)
    if form.is_bound and form.is_valid():
        try:
            people = _people(viewer, form.cleaned_data["people"], request.POST.getlist("member"))
            run = training_runs.hold_training(
                viewer.actor,
                viewer.lab,
                training,
                form.starts_at(viewer),
                people,
                duration_min=form.cleaned_data["duration_min"],
            )
        except InterlockError as error:
            form.add_error("people", sentence(error))
        else:
            return redirect("training-run", run.pk)
    context = {
        "form": form,
        "training": training,
        "candidates": _candidates(viewer, training),
        "ticked": request.POST.getlist("member"),
    }
    return render(request, "hub/people/run_new.html", context)


@require_http_methods(["GET", "POST"])
@page(*_MAY_RUN)
def run(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The list: who was there, at which level; sent, everybody ticked is authorised."""
    found = _run_of(viewer, number)
    if request.method == "POST":
        levels = {
            int(key.removeprefix("present-")): request.POST.get(
                f"level-{key.removeprefix('present-')}", Authorisation.Level.ALONE.value
            )
            for key in request.POST
            if key.startswith("present-") and key.removeprefix("present-").isdigit()
        }
        try:
            granted = training_runs.close_run(viewer.actor, found, levels)
        except InterlockError as error:
            messages.error(request, sentence(error))
        else:
            said = ngettext(
                "%(n)s person holds “%(training)s”. Each machine knows it as soon as its node confirms.",
                "%(n)s people hold “%(training)s”. Each machine knows it as soon as its node confirms.",
                granted,
            )
            messages.success(request, said % {"n": granted, "training": found.training.name})
            return redirect("training-run", number)
    return render(request, "hub/people/run.html", _context(viewer, found, request))


@require_POST
@page(*_MAY_RUN)
def add(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Somebody else came."""
    found = _run_of(viewer, number)
    try:
        people = _people(viewer, request.POST.get("people", ""), [])
        training_runs.add_people(viewer.actor, found, people)
    except InterlockError as error:
        messages.error(request, sentence(error))
    return redirect("training-run", number)


@require_POST
@page(*_MAY_RUN)
def call_off(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It is not held."""
    found = _run_of(viewer, number)
    try:
        training_runs.call_off(viewer.actor, found)
    except InterlockError as error:
        messages.error(request, sentence(error))
        return redirect("training-run", number)
    messages.success(request, gettext("The training is called off; nobody was authorised."))
    return redirect("trainings")


def _held_training(viewer: Viewer, slug: str) -> Training:
    found = training_of(viewer, slug)
    if found not in grantable(viewer):
        raise Http404(gettext("You hold only the trainings that you teach."))
    return found


def _run_of(viewer: Viewer, number: int) -> TrainingRun:
    found = (
        TrainingRun.objects.filter(lab=viewer.lab, pk=number)
        .select_related("lab", "training__prerequisite", "trainer")
        .first()
    )
    if found is None or found.training not in grantable(viewer):
        raise Http404(gettext("There is no such training in this lab."))
    return found


def _people(viewer: Viewer, written: str, ticked: list[str]) -> list[Member]:
    """The members that were written or ticked. Raises ConfigError: nobody, or not who you think."""
    members = Member.objects.filter(lab=viewer.lab)
    chosen = list(members.filter(public_id__in=ticked))
    words = [line.strip(" \t,;") for line in written.splitlines() if line.strip(" \t,;")]
    if words:
        by_word: dict[str, list[Member]] = {}
        for member in members:
            for word in {plain(member.name), plain(member.email)} - {""}:
                by_word.setdefault(word, []).append(member)
        for word in words:
            chosen.append(_only(word, by_word.get(plain(word), [])))
    if not chosen:
        raise ConfigError(gettext("write or tick at least one person"))
    return list(dict.fromkeys(chosen))


def _only(word: str, found: list[Member]) -> Member:
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            gettext("there is no member called “%(name)s”") % {"name": word},
            remedy=gettext("Write the e-mail or the whole name, as the list of members has it"),
        )
    raise ConfigError(
        gettext("%(count)d members are called “%(name)s”") % {"count": len(found), "name": word},
        remedy=gettext("Write the e-mail instead"),
    )


def _candidates(viewer: Viewer, training: Training) -> list[Candidate]:
    """Members who do not hold it and may be taught it, the newest first."""
    found: QuerySet[Member] = Member.objects.filter(
        lab=viewer.lab, status=Member.Status.ACTIVE
    ).select_related("group")
    holds = Authorisation.objects.filter(training=training, revoked_at=None)
    found = found.exclude(pk__in=holds.values("member"))
    if training.prerequisite is not None:
        first = Authorisation.objects.filter(training=training.prerequisite, revoked_at=None)
        found = found.filter(pk__in=first.values("member"))
    return [
        Candidate(one.public_id, one.name, one.group.name if one.group else "")
        for one in found.order_by("-joined_on", "name", "pk")[:CANDIDATES_MAX]
    ]


def _context(viewer: Viewer, found: TrainingRun, request: HttpRequest) -> dict[str, Any]:
    rows = list(found.attendances.select_related("member").order_by("member__name", "pk"))
    members = [row.member for row in rows if row.member is not None]
    held = {
        one.member_id: one
        for one in Authorisation.objects.filter(
            member__in=members, training=found.training, revoked_at=None
        )
    }
    first = set()
    if found.training.prerequisite_id is not None:
        first = set(
            Authorisation.objects.filter(
                member__in=members, training=found.training.prerequisite_id, revoked_at=None
            ).values_list("member_id", flat=True)
        )
    people = []
    for row in rows:
        member = row.member
        if member is None:
            people.append(
                Person(0, "", gettext("(deleted)"), "", "", "", row.present, _level(row.level))
            )
            continue
        own = held.get(member.pk)
        people.append(
            Person(
                number=member.pk,
                public_id=member.public_id,
                name=member.name,
                address=reverse("member", args=[member.public_id]),
                holds=_level(own.level) if own else "",
                hindrance=_hindrance(viewer, member, found.training, first),
                present=(f"present-{member.pk}" in request.POST) or row.present,
                level=_level(row.level),
            )
        )
    levels = [one for one in Authorisation.Level.values if one != Authorisation.Level.TRAINER]
    return {
        "run": found,
        "when": formats.moment(found.starts_at, viewer.zone, viewer.now),
        "trainer": found.trainer.name if found.trainer else "",
        "people": people,
        "closed": found.closed_at is not None,
        "levels": [(one, _level(one), one == Authorisation.Level.ALONE.value) for one in levels],
    }


def _hindrance(viewer: Viewer, member: Member, training: Training, first: set[int]) -> str:
    """What has to be mended before they can be authorised, without a query for each."""
    needed = training.prerequisite
    if needed is not None and member.pk not in first:
        return gettext("“%(training)s” has to come first") % {"training": needed.name}
    if member.minor and member.consent_on is None and viewer.lab.asks_consent:
        return gettext("under 18, without a guardian's consent")
    return ""


def _level(level: str) -> str:
    return str(rights.level_words(level))
