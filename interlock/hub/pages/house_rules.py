"""What the hub asks of people at one machine: a form goes in, the machine asks for that from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from interlock.core.model import Needs
from interlock.errors import InterlockError
from interlock.hub.domain import limits
from interlock.hub.domain import machines as deeds
from interlock.hub.domain.machines import HouseRules
from interlock.hub.models import Machine, Training
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.permissions import Permission


class RulesForm(Form):
    """Everything the hub may ask for; the node's own file may ask for more."""

    trainings = forms.ModelMultipleChoiceField(
        Training.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Trainings asked for"),
        widget=forms.CheckboxSelectMultiple,
    )
    needs = forms.ChoiceField(
        choices=Machine.Needs.choices,
        label=gettext_lazy("Of these, people need"),
        widget=forms.RadioSelect,
    )
    second_person = forms.BooleanField(
        required=False, label=gettext_lazy("A second person has to be there")
    )
    within_hours = forms.BooleanField(
        required=False, label=gettext_lazy("Only during opening hours")
    )
    daily_limit_min = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=limits.DAY_S // formats.MINUTE_S,
        label=gettext_lazy("At most so many minutes a day for each member"),
        help_text=gettext_lazy(
            "The next start is refused then; nobody is cut off. Empty: no limit."
        ),
    )
    max_offline_h = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=limits.OFFLINE_S_MAX // formats.HOUR_S,
        label=gettext_lazy("Works without the hub for so many hours"),
        help_text=gettext_lazy(
            "The node's own file has a limit too, and the shorter one counts. Empty: as that file says."
        ),
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trainings = self.fields["trainings"]
        if isinstance(trainings, forms.ModelMultipleChoiceField):
            trainings.queryset = Training.objects.filter(lab=viewer.lab)

    def rules(self) -> HouseRules:
        """The rules besides the trainings."""
        wanted = self.cleaned_data
        minutes, hours = wanted["daily_limit_min"], wanted["max_offline_h"]
        return HouseRules(
            second_person=wanted["second_person"],
            within_hours=wanted["within_hours"],
            daily_limit_s=None if minutes is None else minutes * formats.MINUTE_S,
            max_offline_s=None if hours is None else hours * formats.HOUR_S,
        )


@dataclass(frozen=True, slots=True)
class Changed:
    """What a form asks of a machine, done in one transaction: all of it or nothing."""

    viewer: Viewer
    machine: Machine
    form: RulesForm

    @transaction.atomic
    def __call__(self) -> None:
        """Raises ConfigError: then nothing was changed."""
        wanted = self.form.cleaned_data
        needs = Needs(wanted["needs"])
        deeds.set_demands(self.viewer.actor, self.machine, list(wanted["trainings"]), needs)
        deeds.set_rules(self.viewer.actor, self.machine, self.form.rules())


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MACHINES)
def rules(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The machine's rules, to be changed."""
    found = machine_of(viewer, slug)
    form = RulesForm(
        viewer, request.POST if request.method == "POST" else None, initial=_now(found)
    )
    if form.is_bound and form.is_valid():
        try:
            Changed(viewer, found, form)()
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            said = gettext("The rules of %(machine)s count as soon as its node confirms them.")
            messages.success(request, said % {"machine": found.name})
            return redirect("machine", slug)
    context = {"machine": found, "form": form, "hours": bool(viewer.lab.hours)}
    return render(request, "hub/house_rules.html", context)


def _now(found: Machine) -> dict[str, Any]:
    limit_s, offline_s = found.daily_limit_s, found.max_offline_s
    return {
        "trainings": [training.slug for training in found.trainings.all()],
        "needs": found.needs,
        "second_person": found.second_person,
        "within_hours": found.within_hours,
        # A limit that is no whole number of minutes was made by a program; it is shown no laxer.
        "daily_limit_min": None if limit_s is None else max(1, limit_s // formats.MINUTE_S),
        "max_offline_h": None if offline_s is None else max(1, offline_s // formats.HOUR_S),
    }
