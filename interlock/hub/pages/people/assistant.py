"""A lab that has just been installed goes in; named, filled from a profile and with its first machine it comes out.

Four steps, each a page of its own that says what is so already: it can be left at any of them, and the board's
list "To do" leads back to the first that is not done. Nothing here is special: each step calls what other
pages call too.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import lab_profiles, labs, limits
from interlock.hub.domain.lab_profiles import KIND_WORDS, Kind
from interlock.hub.models import Lab, Machine, Member
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.context import LANGUAGE_NAMES
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.navigation import address_of
from interlock.hub.pages.waiting import Waiting
from interlock.hub.permissions import Permission

LAB, PROFILE, MACHINE, NEXT = "lab", "profile", "machine", "next"
_STEPS: tuple[tuple[str, str | Promise], ...] = (
    (LAB, gettext_lazy("Your lab")),
    (PROFILE, gettext_lazy("What kind of lab")),
    (MACHINE, gettext_lazy("The first machine")),
    (NEXT, gettext_lazy("What comes next")),
)
NEAR_ZONES = (
    *("Europe/Paris", "Europe/Brussels", "Europe/Zurich", "Europe/Luxembourg"),
    *("America/Guadeloupe", "America/Martinique", "America/Cayenne", "Indian/Reunion"),
    *("Indian/Mayotte", "Pacific/Noumea", "Pacific/Tahiti", "Africa/Dakar", "Africa/Tunis"),
    *("America/Montreal", "Europe/London", "UTC"),
)
"""Where the hub's two languages are spoken; they stand before all the others."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the row above the page."""

    address: str
    words: str
    done: bool
    here: bool


class LabForm(Form):
    """How the lab is called, what it speaks and what its clocks show."""

    name = forms.CharField(label=gettext_lazy("Name of the lab"), max_length=limits.NAME_LENGTH_MAX)
    language = forms.ChoiceField(
        choices=tuple(LANGUAGE_NAMES.items()),
        label=gettext_lazy("Language"),
        help_text=gettext_lazy(
            "Of the screens at the machines, of e-mails and statements. Each member may have another."
        ),
    )
    time_zone = forms.ChoiceField(label=gettext_lazy("Time zone"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = sorted(zoneinfo.available_timezones() - set(NEAR_ZONES))
        zones = [one for one in NEAR_ZONES if one in zoneinfo.available_timezones()] + others
        field = self.fields["time_zone"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(one, one.replace("_", " ")) for one in zones]


class MachineForm(Form):
    """The first machine: what it is called, and what it is."""

    name = forms.CharField(
        label=gettext_lazy("Name of the machine"), max_length=limits.NAME_LENGTH_MAX
    )
    kind = forms.ChoiceField(
        choices=tuple((one.value, words) for one, words in KIND_WORDS.items()),
        label=gettext_lazy("What it is"),
        help_text=gettext_lazy(
            "It gets the rules, the training and the tariff that your kind of lab has for such a machine. "
            "Everything can be changed on its page."
        ),
    )


@require_GET
@page(Permission.EDIT_LAB)
def assistant(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """To the first step that is not done."""
    return redirect("assistant-step", first_open_step(viewer.lab))


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_LAB)
def step(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    """One step: what is so, and what can be said."""
    pages = {LAB: _lab, PROFILE: _profile, MACHINE: _machine, NEXT: _next}
    if name not in pages:
        raise Http404(gettext("The assistant has no such step."))
    return pages[name](request, viewer)


@require_POST
@page(Permission.EDIT_LAB)
def finish(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The assistant is no longer offered."""
    labs.finish_setup(viewer.actor, viewer.lab)
    messages.success(
        request, gettext("The lab is set up. Everything can be changed in the settings.")
    )
    return redirect("board")


def first_open_step(lab: Lab) -> str:
    """The first step that nobody has done."""
    if lab.described_at is None:
        return LAB
    if not lab.profile:
        return PROFILE
    if not Machine.objects.filter(lab=lab).exists():
        return MACHINE
    return NEXT


def wants_setup(lab: Lab) -> bool:
    """Whether the assistant is still worth offering: nobody finished it, and there is no machine of a lab
    that was made otherwise."""
    if lab.set_up_at is not None:
        return False
    return lab.described_at is not None or not Machine.objects.filter(lab=lab).exists()


def to_set_up(viewer: Viewer) -> Iterable[Waiting]:
    """The assistant, for whoever may use it and as long as it is not finished."""
    if viewer.may(Permission.EDIT_LAB) and wants_setup(viewer.lab):
        yield Waiting(
            "in-use", "settings", gettext("Finish setting up the lab"), reverse("assistant")
        )


def _lab(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    lab = viewer.lab
    said = {"name": lab.name, "language": lab.language, "time_zone": lab.time_zone}
    form = LabForm(request.POST if request.method == "POST" else None, initial=said)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        try:
            labs.describe_lab(
                viewer.actor, lab, given["name"], given["language"], given["time_zone"]
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            return redirect("assistant-step", PROFILE)
    return _shown(request, viewer, LAB, {"form": form})


def _profile(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    error = ""
    if request.method == "POST":
        chosen = request.POST.get("profile", "")
        try:
            lab_profiles.apply_profile(viewer.actor, viewer.lab, chosen)
        except InterlockError:
            error = gettext("Choose one of them.")
        else:
            return redirect("assistant-step", MACHINE)
    language = translation.get_language() or viewer.lab.language
    code = language.split("-")[0]
    offered = [
        (one.slug, one.name[code], one.about[code], one.slug == viewer.lab.profile)
        for one in map(lab_profiles.profile, lab_profiles.NAMES)
    ]
    return _shown(request, viewer, PROFILE, {"profiles": offered, "error": error})


def _machine(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    form = MachineForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        name, kind = form.cleaned_data["name"], Kind(form.cleaned_data["kind"])
        try:
            lab_profiles.add_machine(
                viewer.actor, viewer.lab, _spare_slug(viewer.lab, name), name, kind
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            return redirect("assistant-step", NEXT)
    there = list(Machine.objects.filter(lab=viewer.lab).values_list("name", flat=True)[:10])
    return _shown(request, viewer, MACHINE, {"form": form, "there": there})


def _next(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    machine = Machine.objects.filter(lab=viewer.lab).order_by("pk").first()
    asked = list(machine.trainings.values_list("name", flat=True)) if machine else []
    return _shown(
        request,
        viewer,
        NEXT,
        {
            "machine": machine,
            "asked": asked,
            "nodes_address": address_of("nodes"),
            "members": Member.objects.filter(lab=viewer.lab).count(),
            "hours": bool(viewer.lab.hours),
        },
    )


def _shown(
    request: HttpRequest, viewer: Viewer, here: str, context: dict[str, Any]
) -> HttpResponse:
    names = [name for name, _words in _STEPS]
    reached = names.index(first_open_step(viewer.lab))
    steps = [
        Step(reverse("assistant-step", args=[name]), str(words), place < reached, name == here)
        for place, (name, words) in enumerate(_STEPS)
    ]
    place = names.index(here)
    back = reverse("assistant-step", args=[names[place - 1]]) if place else ""
    values = {"steps": steps, "here": here, "back": back, "title": steps[place].words, **context}
    return render(request, "hub/people/assistant.html", values)


def _spare_slug(lab: Lab, name: str) -> str:
    """A short word for the machine's node and addresses, that no other machine has."""
    stem = slugify(name)[: limits.SLUG_LENGTH_MAX - 2 * limits.NODE_NUMBER_LENGTH] or "machine"
    taken = set(Machine.objects.filter(lab=lab).values_list("slug", flat=True))
    number, slug = 1, stem
    while slug in taken:
        number += 1
        slug = f"{stem}-{number}"
    return slug
