"""A machine's card as a form goes in; the machine is added, changed, or the lab no longer has it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.core.model import BadgeUse
from interlock.hub.domain import limits, machine_editing
from interlock.hub.domain import machines as deeds
from interlock.hub.models import Machine, Tariff
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.pages.workshop.parts import WHY_LENGTH_MAX, FormPage, form_page, posted
from interlock.hub.permissions import Permission

ADDRESS_TAKEN = frozenset({"new"})
"""What stands in an address where a machine's short name would stand."""


class CardForm(Form):
    """Name, place, how its node is built, who paid for it, what it costs."""

    name = forms.CharField(max_length=limits.NAME_LENGTH_MAX, label=gettext_lazy("Name"))
    slug = forms.CharField(
        required=False,
        max_length=limits.SLUG_LENGTH_MAX - limits.NODE_NUMBER_LENGTH,
        label=gettext_lazy("Short name"),
        help_text=gettext_lazy(
            "For addresses and files: a to z, 0 to 9 and hyphens. It never changes. Empty: made from"
            " the name."
        ),
    )
    location = forms.CharField(
        required=False, max_length=limits.NAME_LENGTH_MAX, label=gettext_lazy("Place")
    )
    badge_use = forms.ChoiceField(
        choices=Machine.BadgeUse.choices,
        label=gettext_lazy("Badge"),
        widget=forms.RadioSelect,
        help_text=gettext_lazy("As its node is built: the node's own file decides."),
    )
    has_current_sensor = forms.BooleanField(
        required=False,
        label=gettext_lazy("It has a current sensor"),
        help_text=gettext_lazy("Then it is known when it really works, and that can be billed."),
    )
    tariff = forms.ModelChoiceField(
        Tariff.objects.none(),
        required=False,
        label=gettext_lazy("Tariff"),
        empty_label=gettext_lazy("free of charge"),
    )
    grant_name = forms.CharField(
        required=False,
        max_length=limits.NAME_LENGTH_MAX,
        label=gettext_lazy("Grant that paid for it"),
        help_text=gettext_lazy("Reports show how much it is used, grant by grant."),
    )
    grant_reference = forms.CharField(
        required=False,
        max_length=machine_editing.REFERENCE_LENGTH_MAX,
        label=gettext_lazy("Reference of the grant"),
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not viewer.may(Permission.EDIT_TARIFFS):
            del self.fields["tariff"]
            return
        tariff = self.fields["tariff"]
        assert isinstance(tariff, forms.ModelChoiceField)
        tariff.queryset = Tariff.objects.filter(lab=viewer.lab)

    def clean_slug(self) -> str:
        """The short name, or one made from the name."""
        typed = str(self.cleaned_data["slug"]).strip()
        made = typed or slugify(str(self.cleaned_data.get("name", "")))[
            : limits.SLUG_LENGTH_MAX - limits.NODE_NUMBER_LENGTH
        ].strip("-")
        if made in ADDRESS_TAKEN or not made:
            raise forms.ValidationError(gettext("Choose another short name."))
        return made

    def card(self) -> machine_editing.Card:
        """What the form says."""
        given = self.cleaned_data
        return machine_editing.Card(
            given["name"],
            given["location"],
            given["badge_use"],
            given["has_current_sensor"],
            given["grant_name"],
            given["grant_reference"],
        )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MACHINES)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Another machine; its rules and its node come next."""
    form = CardForm(viewer, posted(request), initial={"badge_use": BadgeUse.TAP.value})
    words = FormPage(
        gettext("Add a machine"),
        gettext("Add it"),
        (reverse("machines"), gettext("Machines")),
        gettext("The machine is there. Next: its rules, and the computer that switches it."),
    )

    @transaction.atomic
    def deed(given: dict[str, Any]) -> None:
        card = form.card()
        made = deeds.create_machine(
            viewer.actor,
            viewer.lab,
            given["slug"],
            card.name,
            location=card.location,
            badge_use=BadgeUse(card.badge_use),
            has_current_sensor=card.has_current_sensor,
            tariff=given.get("tariff"),
        )
        machine_editing.edit(viewer.actor, made, card)

    return form_page(request, words, form, deed)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MACHINES)
def edit(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """One machine's card, to be changed."""
    found = machine_of(viewer, slug)
    card = machine_editing.card_of(found)
    initial = {name: getattr(card, name) for name in card.__dataclass_fields__}
    form = CardForm(viewer, posted(request), initial={**initial, "tariff": found.tariff_id})
    del form.fields["slug"]
    words = FormPage(
        gettext("Change %(machine)s") % {"machine": found.name},
        gettext("Keep it"),
        (reverse("machine", args=[slug]), found.name),
        gettext("It is kept."),
        gettext(
            "Which pins, times and safety minimums hold is written in the file on the machine's own"
            " computer, and only there."
        ),
    )

    @transaction.atomic
    def deed(given: dict[str, Any]) -> None:
        card = form.card()
        tariff = given.get("tariff", found.tariff)
        # Busy time is billed only where a sensor tells it: the sensor comes first and goes last.
        if card.has_current_sensor:
            machine_editing.edit(viewer.actor, found, card)
        if tariff != found.tariff:
            deeds.set_tariff(viewer.actor, found, tariff)
        if not card.has_current_sensor:
            machine_editing.edit(viewer.actor, found, card)

    more: dict[str, Any] = {"template": "hub/workshop/machine_end.html", "machine": found}
    return form_page(request, words, form, deed, **more)


@require_POST
@page(Permission.EDIT_MACHINES)
def retire(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The lab no longer has it, or has it again."""
    found = machine_of(viewer, slug)
    if found.retired_at is not None:
        done = gettext("%(machine)s is back in the lists.") % {"machine": found.name}
        attempt(request, lambda: machine_editing.take_up(viewer.actor, found), done)
        return redirect("machine", slug)
    why = request.POST.get("why", "").strip()[:WHY_LENGTH_MAX]
    done = gettext("%(machine)s is out of the lists. Its sessions and costs stay.")
    attempt(
        request,
        lambda: machine_editing.retire(viewer.actor, found, why),
        done % {"machine": found.name},
    )
    return redirect("machines")
