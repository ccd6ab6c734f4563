"""What people say about who pays goes in: name, SIREN, VAT number, address; mistakes are named beside the field."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, gettext_lazy

from interlock.hub import days
from interlock.hub.models import Group, Machine, PassKind, Payer, PayerKind, Sponsorship
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.billing.fields import EurosField, HoursField, WhyField
from interlock.hub.pages.formats import HOUR_S
from interlock.hub.pages.formfields import DATE_WIDGET, Form

SIREN_DIGITS = 9
SIRET_DIGITS = 14
_VAT = re.compile(r"[A-Z]{2}[0-9A-Z]{2,13}$")
_FRENCH_VAT = re.compile(r"FR(\d{2})(\d{9})$")
_FRENCH_KEY_MODULUS = 97


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the one that Luhn's sum asks for (INSEE: SIREN and SIRET)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        double = int(digit) * 2 if place % 2 else int(digit)
        total += double - 9 if double > 9 else double
    return total % 10 == 0


def siren_of(text: str) -> str:
    """The nine digits of a SIREN, or the fourteen of a SIRET. Raises ValidationError."""
    digits = re.sub(r"[\s.\u00a0\u202f]", "", text)
    if not digits:
        return ""
    if not digits.isdecimal() or len(digits) not in (SIREN_DIGITS, SIRET_DIGITS):
        raise ValidationError(gettext("A SIREN has nine digits, a SIRET fourteen."))
    if not is_luhn(digits):
        raise ValidationError(gettext("One digit is wrong: the number does not check."))
    return digits


def vat_number_of(text: str) -> str:
    """A VAT number of the European Union, without spaces. Raises ValidationError."""
    number = re.sub(r"[\s.\-\u00a0\u202f]", "", text).upper()
    if not number:
        return ""
    if not _VAT.match(number):
        raise ValidationError(
            gettext("A VAT number begins with two letters, like FR40 303 265 045.")
        )
    french = _FRENCH_VAT.match(number)
    if french is not None:
        key, siren = int(french[1]), french[2]
        # CGI, annexe: key = (12 + 3 × (SIREN mod 97)) mod 97.
        right = (12 + 3 * (int(siren) % _FRENCH_KEY_MODULUS)) % _FRENCH_KEY_MODULUS
        if key != right:
            raise ValidationError(gettext("One digit is wrong: the number does not check."))
    return number


class PayerForm(Form):
    """Who pays, and what their statements have to bear."""

    name = forms.CharField(max_length=150, label=gettext_lazy("Name"))
    kind = forms.ChoiceField(
        choices=PayerKind.choices, label=gettext_lazy("This is a"), widget=forms.RadioSelect
    )
    email = forms.EmailField(
        required=False,
        label=gettext_lazy("E-mail for statements"),
        help_text=gettext_lazy("Empty for a person: the statement goes to their own address."),
    )
    address = forms.CharField(
        required=False,
        max_length=500,
        label=gettext_lazy("Address"),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    siren = forms.CharField(required=False, max_length=20, label="SIREN")
    vat_number = forms.CharField(required=False, max_length=24, label=gettext_lazy("VAT number"))
    order_reference = forms.CharField(
        required=False,
        max_length=64,
        label=gettext_lazy("Order reference"),
        help_text=gettext_lazy("What their accountant wants to find on the statement."),
    )

    def clean_siren(self) -> str:
        """Nine digits that check."""
        return siren_of(self.cleaned_data["siren"])

    def clean_vat_number(self) -> str:
        """Letters and digits that check where the country's rule is known."""
        return vat_number_of(self.cleaned_data["vat_number"])


FIELDS = ("name", "kind", "email", "address", "siren", "vat_number", "order_reference")


def shown(payer: Payer) -> dict[str, Any]:
    """What the form begins with."""
    return {name: getattr(payer, name) for name in FIELDS}


class EntitlementForm(Form):
    """Euros to use, by a receipt that another till issued."""

    euros = EurosField(label=gettext_lazy("Euros"), least=1)
    receipt = forms.CharField(
        max_length=64,
        label=gettext_lazy("Number of the receipt"),
        help_text=gettext_lazy(
            "From your till or bookkeeping: the hub itself takes no money and writes no receipt."
        ),
    )
    remark = forms.CharField(required=False, max_length=200, label=gettext_lazy("Remark"))


class PassForm(Form):
    """Hours or euros that were bought in advance."""

    kind = forms.ChoiceField(
        choices=PassKind.choices, label=gettext_lazy("A pass of"), widget=forms.RadioSelect
    )
    name = forms.CharField(
        max_length=100, label=gettext_lazy("Name"), help_text=gettext_lazy("“10 hours of laser”")
    )
    hours = HoursField(required=False, label=gettext_lazy("Hours"))
    euros = EurosField(required=False, label=gettext_lazy("Euros"))
    until_day = forms.DateField(
        required=False,
        label=gettext_lazy("Until"),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
        help_text=gettext_lazy("Empty: without an end."),
    )
    machines = forms.ModelMultipleChoiceField(
        Machine.objects.none(),
        required=False,
        label=gettext_lazy("Only for"),
        widget=forms.CheckboxSelectMultiple,
    )
    receipt = forms.CharField(max_length=64, label=gettext_lazy("Number of the receipt"))

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_machines(self, viewer)

    def clean(self) -> dict[str, Any]:
        """The amount that its kind asks for."""
        wanted: dict[str, Any] = super().clean() or {}
        asks_amount(self, wanted)
        return wanted


class TimeCreditForm(Form):
    """Hours that the lab gives."""

    hours = HoursField(label=gettext_lazy("Hours"))
    until_day = forms.DateField(
        required=False, label=gettext_lazy("Until"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    why = WhyField()


class SponsorshipForm(Form):
    """Who pays for whom, on which machines, how much of it and until when."""

    sponsor = forms.ModelChoiceField(
        Payer.objects.none(), label=gettext_lazy("Sponsor"), empty_label=None
    )
    name = forms.CharField(max_length=100, label=gettext_lazy("Name"))
    reference = forms.CharField(
        required=False, max_length=64, label=gettext_lazy("Reference of the agreement")
    )
    kind = forms.ChoiceField(
        choices=PassKind.choices, label=gettext_lazy("It gives"), widget=forms.RadioSelect
    )
    hours = HoursField(required=False, label=gettext_lazy("Hours in all"))
    euros = EurosField(required=False, label=gettext_lazy("Euros in all"))
    share = forms.IntegerField(
        min_value=1,
        max_value=100,
        initial=100,
        label=gettext_lazy("Percent of each session that the sponsor pays"),
    )
    until_day = forms.DateField(
        required=False, label=gettext_lazy("Until"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    machines = forms.ModelMultipleChoiceField(
        Machine.objects.none(),
        required=False,
        label=gettext_lazy("Only for the machines"),
        widget=forms.CheckboxSelectMultiple,
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.none(),
        required=False,
        label=gettext_lazy("Only for the groups"),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_machines(self, viewer)
        organisations = Payer.objects.filter(lab=viewer.lab, kind=PayerKind.ORGANISATION)
        _offer(self, "sponsor", organisations.order_by("name"))
        _offer(self, "groups", Group.objects.filter(lab=viewer.lab))

    def clean(self) -> dict[str, Any]:
        """The amount that its kind asks for."""
        wanted: dict[str, Any] = super().clean() or {}
        asks_amount(self, wanted)
        return wanted


class AllotForm(Form):
    """A part of a sponsorship for one payer, in its own measure."""

    sponsorship = forms.ModelChoiceField(
        Sponsorship.objects.none(), label=gettext_lazy("Sponsored by"), empty_label=None
    )
    amount = EurosField(
        label=gettext_lazy("How much"),
        least=1,
        help_text=gettext_lazy("Hours or euros, as the sponsorship gives them."),
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _offer(self, "sponsorship", running_sponsorships(viewer))

    def whole_amount(self) -> int:
        """Seconds or cents."""
        hundredths = int(self.cleaned_data["amount"])
        if self.cleaned_data["sponsorship"].kind == PassKind.TIME:
            return hundredths * HOUR_S // 100
        return hundredths


def running_sponsorships(viewer: Viewer) -> QuerySet[Sponsorship]:
    """Those that are not over."""
    live = Q(expires_at=None) | Q(expires_at__gt=viewer.now)
    return Sponsorship.objects.filter(live, lab=viewer.lab)


def offer_machines(form: forms.Form, viewer: Viewer) -> None:
    """The lab's machines, to be ticked."""
    _offer(form, "machines", Machine.objects.filter(lab=viewer.lab).order_by("name"))


def asks_amount(form: forms.Form, wanted: dict[str, Any]) -> None:
    """Hours for a pass of time, euros for one of money: an error where that one is empty."""
    field = "hours" if wanted.get("kind") == PassKind.TIME else "euros"
    if not wanted.get(field) and not form.errors.get(field):
        form.add_error(field, gettext("How much?"))
    wanted["amount"] = wanted.get(field) or 0


def _offer(form: forms.Form, name: str, choices: Any) -> None:
    field = form.fields[name]
    if isinstance(field, forms.ModelChoiceField | forms.ModelMultipleChoiceField):
        field.queryset = choices
