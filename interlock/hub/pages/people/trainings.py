"""Trainings go in; who holds them, what they open and when they end come out, and forms to change that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from interlock.core.model import Needs
from interlock.errors import InterlockError
from interlock.hub.domain import limits, machines, trainings
from interlock.hub.domain.trainings import DURATION_MIN_MAX
from interlock.hub.entries import right_of
from interlock.hub.models import Authorisation, Machine, Member, Training, TrainingRun
from interlock.hub.pages import formats, rights
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.permissions import Permission, trainings_as_trainer

ROWS_PER_PAGE = 50
RUNS_SHOWN = 6
SOON = timedelta(days=60)
"""Two months: time to plan a refresher."""
_NEEDS_NOT = "no"


@dataclass(frozen=True, slots=True)
class Row:
    """One training of the list."""

    training: Training
    machines: str
    holders: int
    terms: str
    may_hold: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One training that is held, as lists show it."""

    address: str
    name: str
    when: str
    people: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who holds a training, in words; `state` is empty while all is well."""

    member: Member
    training: str
    level: str
    granted: str
    ends: str
    state: str


class TrainingForm(Form):
    """What a training is, and which machines ask for it."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=limits.NAME_LENGTH_MAX)
    duration_min = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=DURATION_MIN_MAX,
        label=gettext_lazy("It takes, in minutes"),
    )
    validity_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=limits.DAYS_MAX,
        label=gettext_lazy("Valid for so many days"),
        help_text=gettext_lazy(
            "Empty: for ever. Whoever holds it already keeps the end they have."
        ),
    )
    lapse_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=limits.DAYS_MAX,
        label=gettext_lazy("Lapses after so many days without practice"),
        help_text=gettext_lazy("Empty: never. It counts at once, for everybody who holds it."),
    )
    prerequisite = forms.ModelChoiceField(
        Training.objects.none(),
        required=False,
        to_field_name="slug",
        label=gettext_lazy("What has to come first"),
        empty_label=gettext_lazy("Nothing"),
    )

    def __init__(
        self, viewer: Viewer, training: Training | None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.training = training
        others = Training.objects.filter(lab=viewer.lab)
        first = self.fields["prerequisite"]
        if isinstance(first, forms.ModelChoiceField):
            first.queryset = others.exclude(pk=training.pk) if training else others
        self.asking = list(Machine.objects.filter(lab=viewer.lab).prefetch_related("trainings"))
        for machine in self.asking:
            asked = training is not None and training in machine.trainings.all()
            self.fields[f"machine-{machine.pk}"] = forms.ChoiceField(
                label=machine.name,
                choices=(
                    (_NEEDS_NOT, gettext("does not ask for it")),
                    (Needs.ALL.value, gettext("asks for it, and for its other trainings")),
                    (Needs.ANY.value, gettext("asks for it, or for one of its other trainings")),
                ),
                initial=machine.needs if asked else _NEEDS_NOT,
            )

    @property
    def machine_fields(self) -> list[forms.BoundField]:
        """One for each machine."""
        return [self[f"machine-{machine.pk}"] for machine in self.asking]

    @transaction.atomic
    def keep(self, viewer: Viewer) -> Training:
        """The training is, and the machines ask, as the form says. Raises ConfigError: then nothing is."""
        given = self.cleaned_data
        terms = {
            name: given[name]
            for name in ("name", "duration_min", "validity_days", "lapse_days", "prerequisite")
        }
        training = self.training
        if training is None:
            slug = spare_slug(viewer, given["name"])
            training = trainings.create_training(viewer.actor, viewer.lab, slug, **terms)
        else:
            trainings.change_training(viewer.actor, training, **terms)
        for machine in self.asking:
            _ask(viewer, machine, training, given[f"machine-{machine.pk}"])
        return training


@require_GET
@page(Permission.VIEW_MEMBERS)
def trainings_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab's trainings, and the ones that are held soon or were last."""
    found = (
        Training.objects.filter(lab=viewer.lab)
        .select_related("prerequisite")
        .prefetch_related("machines")
        .annotate(holders=Count("authorisations", filter=_live(viewer.now, "authorisations__")))
    )
    mine = grantable(viewer)
    context = {
        "rows": [_row(one, mine) for one in found],
        "runs": runs_of(viewer, RUNS_SHOWN),
        "soon": ending(viewer).count(),
        "may_edit": viewer.may(Permission.EDIT_TRAININGS),
    }
    return render(request, "hub/people/trainings.html", context)


@require_GET
@page(Permission.VIEW_MEMBERS)
def training(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One training: what it opens, and who holds it."""
    found = training_of(viewer, slug)
    held = _holders(viewer).filter(training=found)
    shown = Paginator(held, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "training": found,
        "terms": _terms(found),
        "machines": list(found.machines.all()),
        "page": shown,
        "holders": [_holder(one, viewer) for one in shown.object_list],
        "may_edit": viewer.may(Permission.EDIT_TRAININGS),
        "may_hold": found in grantable(viewer),
    }
    return render(request, "hub/people/training.html", context)


@require_GET
@page(Permission.VIEW_MEMBERS)
def soon(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Whose training ends, or lapses for want of practice, within two months."""
    shown = Paginator(ending(viewer), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": shown,
        "holders": [_holder(one, viewer) for one in shown.object_list],
        "days": SOON.days,
    }
    return render(request, "hub/people/trainings_soon.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TRAININGS)
def edit(request: HttpRequest, viewer: Viewer, slug: str = "") -> HttpResponse:
    """A training is made, or changed."""
    found = training_of(viewer, slug) if slug else None
    given = request.POST if request.method == "POST" else None
    form = TrainingForm(viewer, found, given, initial=_now(found))
    if form.is_bound and form.is_valid():
        try:
            kept = form.keep(viewer)
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            said = gettext(
                "“%(training)s” is kept. Each machine knows as soon as its node confirms."
            )
            messages.success(request, said % {"training": kept.name})
            return redirect("training", kept.slug)
    return render(request, "hub/people/training_edit.html", {"form": form, "training": found})


def training_of(viewer: Viewer, slug: str) -> Training:
    """The training of this lab. Raises Http404."""
    found = Training.objects.filter(lab=viewer.lab, slug=slug).select_related("prerequisite")
    one = found.first()
    if one is None:
        raise Http404(gettext("There is no such training in this lab."))
    return one


def grantable(viewer: Viewer) -> list[Training]:
    """The trainings that the viewer may grant, by name."""
    if viewer.may(Permission.GRANT_ANY):
        return list(Training.objects.filter(lab=viewer.lab))
    if viewer.may(Permission.GRANT_OWN):
        return trainings_as_trainer(viewer.user, viewer.lab, viewer.now)
    return []


def runs_of(viewer: Viewer, most: int, training: Training | None = None) -> list[RunRow]:
    """Trainings that are held, those that are open first."""
    found = TrainingRun.objects.filter(lab=viewer.lab).select_related("training")
    if training is not None:
        found = found.filter(training=training)
    counted = found.annotate(
        people=Count("attendances", filter=~Q(attendances__present=False))
    ).order_by("-closed_at", "-starts_at")
    ordered = sorted(counted[:most], key=lambda run: run.closed_at is not None)
    return [
        RunRow(
            address=reverse("training-run", args=[run.pk]),
            name=run.training.name,
            when=formats.moment(run.starts_at, viewer.zone, viewer.now),
            people=run.people,
            closed=run.closed_at is not None,
        )
        for run in ordered
    ]


def spare_slug(viewer: Viewer, name: str) -> str:
    """A short word that no training of the lab has."""
    stem = slugify(name)[: limits.SLUG_LENGTH_MAX - limits.NODE_NUMBER_LENGTH] or "training"
    taken = set(Training.objects.filter(lab=viewer.lab).values_list("slug", flat=True))
    number, slug = 1, stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug


def ending(viewer: Viewer) -> QuerySet[Authorisation]:
    """What ends or lapses within two months, of members who may use anything at all; the next first."""
    now, until = viewer.now, viewer.now + SOON
    ends = Q(until_at__gt=now, until_at__lte=until)
    for pk, days in Training.objects.filter(lab=viewer.lab).values_list("pk", "lapse_days"):
        if days is not None:
            # Lapsing counts from the last practice, or from the day it was granted.
            last = now - timedelta(days=days)
            fresh = Q(practised_at__gt=last + SOON) | Q(granted_at__gt=last + SOON)
            over = Q(granted_at__lte=last) & (Q(practised_at=None) | Q(practised_at__lte=last))
            ends |= Q(training=pk) & ~fresh & ~over
    return _holders(viewer).filter(
        ends,
        Q(until_at=None) | Q(until_at__gt=now),
        Q(member__until_at=None) | Q(member__until_at__gt=now),
        member__status=Member.Status.ACTIVE,
    )


def _holders(viewer: Viewer) -> QuerySet[Authorisation]:
    held = Authorisation.objects.filter(lab=viewer.lab, revoked_at=None)
    return held.select_related("member", "training").order_by("member__name", "pk")


def _live(now: datetime, prefix: str) -> Q:
    held = Q(**{f"{prefix}revoked_at": None})
    ends = Q(**{f"{prefix}until_at": None}) | Q(**{f"{prefix}until_at__gt": now})
    return held & ends & Q(**{f"{prefix}pk__isnull": False})


def _row(one: Training, mine: Iterable[Training]) -> Row:
    return Row(
        training=one,
        machines=", ".join(machine.name for machine in one.machines.all()),
        holders=getattr(one, "holders", 0),
        terms=_terms(one),
        may_hold=one in mine,
    )


def _terms(one: Training) -> str:
    """Validity, lapse and prerequisite, in a line."""
    said = []
    if one.validity_days is not None:
        valid = ngettext("valid for %(n)d day", "valid for %(n)d days", one.validity_days)
        said.append(valid % {"n": one.validity_days})
    if one.lapse_days is not None:
        lapses = ngettext(
            "lapses after %(n)d day without practice",
            "lapses after %(n)d days without practice",
            one.lapse_days,
        )
        said.append(lapses % {"n": one.lapse_days})
    if one.prerequisite is not None:
        said.append(gettext("after “%(training)s”") % {"training": one.prerequisite.name})
    return " · ".join(said)


def _holder(one: Authorisation, viewer: Viewer) -> Holder:
    right = right_of(one)
    ends = [second for second in (right.until_at, right.lapses_at) if second is not None]
    end_at = formats.from_wall_ms(1_000 * min(ends)) if ends else None
    state, words = "", ""
    if end_at is not None:
        day = formats.day(end_at, viewer.zone)
        lapses = right.lapses_at is not None and right.lapses_at == min(ends)
        if end_at <= viewer.now:
            state = "fault"
            words = gettext("lapsed on %(day)s") if lapses else gettext("expired on %(day)s")
        else:
            state = "ending" if end_at <= viewer.now + SOON else ""
            words = gettext("lapses on %(day)s") if lapses else gettext("until %(day)s")
        words = words % {"day": day}
    return Holder(
        member=one.member,
        training=one.training.name,
        level=str(rights.level_words(one.level)),
        granted=formats.day(one.granted_at, viewer.zone),
        ends=words,
        state=state,
    )


def _now(found: Training | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "name": found.name,
        "duration_min": found.duration_min,
        "validity_days": found.validity_days,
        "lapse_days": found.lapse_days,
        "prerequisite": found.prerequisite.slug if found.prerequisite else None,
    }


def _ask(viewer: Viewer, machine: Machine, training: Training, wanted: str) -> None:
    """The machine asks for `training` in that way, besides what it asks for already."""
    asked = [one for one in machine.trainings.all() if one.pk != training.pk]
    if wanted != _NEEDS_NOT:
        asked.append(training)
    needs = Needs(machine.needs) if wanted == _NEEDS_NOT else Needs(wanted)
    # "Any of none" is no rule: a machine that asks for nothing asks for all of it.
    machines.set_demands(viewer.actor, machine, asked, needs if asked else Needs.ALL)
