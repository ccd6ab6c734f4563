"""The prices of a tariff as a form in the words of a workshop; what was typed comes out as `Prices`."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from interlock.hub import days
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Basis, Group, Purpose, Rounding
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.billing.fields import EurosField, HoursField, MinutesField, PercentField
from interlock.hub.pages.formfields import DATE_WIDGET, Form

ROUNDINGS_MIN = (5, 10, 15, 30, 60)
"""Started blocks that labs use; another one, set by a program, is offered beside them."""
FORGIVE_S_MAX = 3_600
"""Longer than an hour is no wrong tap."""


class PriceForm(Form):
    """One version of a tariff; `tried` says for which prices last month was shown."""

    group = forms.ModelChoiceField(
        Group.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("For whom"),
        empty_label=gettext_lazy("everybody without prices of their own"),
    )
    starts_on = forms.DateField(
        required=False,
        label=gettext_lazy("From which day on"),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
        help_text=gettext_lazy("Empty: at once. What was used before costs what it cost."),
    )
    hour = EurosField(label=gettext_lazy("An hour costs, in euros"))
    basis = forms.ChoiceField(
        choices=Basis.choices, label=gettext_lazy("What counts"), widget=forms.RadioSelect
    )
    rounding = forms.ChoiceField(label=gettext_lazy("Time is counted"))
    setup = EurosField(
        required=False, label=gettext_lazy("Fee at the start of each session, in euros")
    )
    minimum = EurosField(required=False, label=gettext_lazy("A session costs at least, in euros"))
    free = MinutesField(
        required=False, label=gettext_lazy("Free minutes at the start of a session")
    )
    forgive = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=FORGIVE_S_MAX,
        label=gettext_lazy("Shorter than so many seconds costs nothing"),
        help_text=gettext_lazy("A wrong tap is no use. Empty: every second counts."),
    )
    daily_cap = EurosField(required=False, label=gettext_lazy("At most a day, in euros"))
    monthly_cap = EurosField(required=False, label=gettext_lazy("At most a month, in euros"))
    included = HoursField(required=False, label=gettext_lazy("Hours a month that are included"))
    free_purposes = forms.MultipleChoiceField(
        choices=Purpose.choices,
        required=False,
        label=gettext_lazy("Costs nothing when used for"),
        widget=forms.CheckboxSelectMultiple,
    )
    is_net = forms.ChoiceField(
        choices=(("", gettext_lazy("with VAT")), ("yes", gettext_lazy("before VAT"))),
        required=False,
        label=gettext_lazy("These prices are"),
        widget=forms.RadioSelect,
    )
    vat = PercentField(
        required=False,
        label=gettext_lazy("VAT in percent"),
        help_text=gettext_lazy("Empty: no VAT."),
    )
    notice = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Why there is no VAT"),
        help_text=gettext_lazy("As your accountant wants to read it on statements."),
    )
    account = forms.CharField(required=False, max_length=20, label=gettext_lazy("Account"))
    analytic = forms.CharField(required=False, max_length=20, label=gettext_lazy("Analytic code"))
    tried = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, viewer: Viewer, old: Prices, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {}).update(_shown(old))
        super().__init__(*args, **kwargs)
        self.viewer, self.old = viewer, old
        group, rounding = self.fields["group"], self.fields["rounding"]
        if isinstance(group, forms.ModelChoiceField):
            group.queryset = Group.objects.filter(lab=viewer.lab)
        if isinstance(rounding, forms.ChoiceField):
            rounding.choices = _rounding_choices(old)

    def clean(self) -> dict[str, Any]:
        """A price without VAT says why, and a price before VAT has a rate."""
        wanted: dict[str, Any] = super().clean() or {}
        if wanted.get("is_net") and not wanted.get("vat"):
            self.add_error("vat", gettext("Prices before VAT need a rate."))
        return wanted

    def prices(self) -> Prices:
        """What was typed."""
        wanted = self.cleaned_data
        kind, _, minutes = wanted["rounding"].partition(":")
        return Prices(
            cents_per_hour=wanted["hour"],
            basis=Basis(wanted["basis"]),
            rounding=Rounding(kind),
            rounding_min=int(minutes or 1),
            setup_cents=wanted["setup"] or 0,
            minimum_cents=wanted["minimum"] or 0,
            free_s=wanted["free"] or 0,
            daily_cap_cents=wanted["daily_cap"],
            forgive_s=wanted["forgive"] or 0,
            monthly_cap_cents=wanted["monthly_cap"],
            included_s=wanted["included"] or 0,
            free_purposes=tuple(wanted["free_purposes"]),
            is_net=bool(wanted["is_net"]),
            vat_bp=wanted["vat"] or 0,
            notice="" if wanted["vat"] else wanted["notice"],
            account=wanted["account"],
            analytic=wanted["analytic"],
        )

    def starts_at(self) -> datetime | None:
        """The midnight from which they hold; None: now."""
        day = self.cleaned_data["starts_on"]
        return days.begin_of(day, self.viewer.zone) if day else None

    def fingerprint(self) -> str:
        """Names what was typed: whoever saves has seen what these very prices do."""
        said = {name: str(value) for name, value in self.cleaned_data.items() if name != "tried"}
        raw = json.dumps(said, sort_keys=True).encode()
        return hashlib.blake2b(raw, digest_size=8).hexdigest()

    @property
    def was_tried(self) -> bool:
        """Whether the page that was sent back showed exactly these prices."""
        return bool(self.cleaned_data["tried"] == self.fingerprint())

    @property
    def has_more(self) -> bool:
        """Whether one of the rules that are folded away is in use, or wrong."""
        names = ("free", "daily_cap", "monthly_cap", "included", "free_purposes")
        return any(self[name].value() or self[name].errors for name in names)


def _rounding_choices(old: Prices) -> list[tuple[str, str]]:
    minutes = sorted({*ROUNDINGS_MIN, *([old.rounding_min] if old.rounding_min > 1 else [])})
    blocks = [
        (
            f"{Rounding.MINUTES.value}:{number}",
            gettext("in started blocks of %(n)d minutes") % {"n": number},
        )
        for number in minutes
    ]
    return [
        (Rounding.EXACT.value, gettext("exact to the second")),
        (Rounding.MINUTE.value, gettext("in started minutes")),
        *blocks,
    ]


def _shown(old: Prices) -> dict[str, Any]:
    rounding = str(Rounding(old.rounding).value)
    if old.rounding == Rounding.MINUTES:
        rounding = f"{rounding}:{old.rounding_min}"
    return {
        "hour": old.cents_per_hour,
        "basis": str(Basis(old.basis).value),
        "rounding": rounding,
        "setup": old.setup_cents or None,
        "minimum": old.minimum_cents or None,
        "free": old.free_s or None,
        "forgive": old.forgive_s or None,
        "daily_cap": old.daily_cap_cents,
        "monthly_cap": old.monthly_cap_cents,
        "included": old.included_s or None,
        "free_purposes": list(old.free_purposes),
        "is_net": "yes" if old.is_net else "",
        "vat": old.vat_bp or None,
        "notice": old.notice,
        "account": old.account,
        "analytic": old.analytic,
    }
