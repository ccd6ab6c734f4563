"""A wrong session goes in with a reason; its correction, another payer or another purpose comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from interlock.errors import ConfigError, InterlockError
from interlock.hub.domain import corrections
from interlock.hub.models import Line, Payer, Purpose, Session
from interlock.hub.pages import formats, sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.billing.fields import EurosField, MinutesField, WhyField
from interlock.hub.pages.billing.lines import corrected_words
from interlock.hub.pages.formfields import Form
from interlock.hub.permissions import Permission


class TimeForm(Form):
    """How long it really was."""

    minutes = MinutesField(label=gettext_lazy("The machine was really used for, in minutes"))
    why = WhyField()


class PriceForm(Form):
    """What it really should have cost."""

    euros = EurosField(label=gettext_lazy("It should have cost, in euros"))
    why = WhyField()


class OtherForm(Form):
    """Whose it is, or what for."""

    payer = forms.CharField(
        max_length=150,
        label=gettext_lazy("Paid by"),
        help_text=gettext_lazy("The payer's name as on the list of payers."),
        widget=forms.TextInput(attrs={"list": "payers", "autocomplete": "off"}),
    )
    purpose = forms.ChoiceField(choices=Purpose.choices, label=gettext_lazy("Used for"))
    why = WhyField()


@require_http_methods(["GET", "POST"])
@page(Permission.CORRECT_USE)
def correct(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Three ways to put a session right; what was measured is never overwritten."""
    found = sessions.of_lab(viewer).filter(pk=number).first()
    if found is None:
        raise Http404(gettext("There is no such session in this lab."))
    what = request.POST.get("what", "") if request.method == "POST" else ""
    forms_of: dict[str, Form] = {
        "time": TimeForm(
            request.POST if what == "time" else None,
            prefix="time",
            initial={"minutes": found.enabled_ms // 1_000},
        ),
        "price": PriceForm(request.POST if what == "price" else None, prefix="price"),
        "other": OtherForm(
            request.POST if what == "other" else None, prefix="other", initial=_whose(found)
        ),
    }
    form = forms_of.get(what)
    if form is not None and form.is_valid():
        try:
            said = _DEEDS[what](viewer, found, form.cleaned_data)
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, said)
            return redirect("session", number)
    line = sessions.line_of(found)
    context = {
        "session": found,
        "row": sessions.row(found, viewer),
        "address": reverse("session", args=[number]),
        "has_line": line is not None,
        "time": forms_of["time"],
        "price": forms_of["price"],
        "other": forms_of["other"],
        "payers": _likely_payers(found),
        "opened": what,
    }
    return render(request, "hub/billing/correct.html", context)


def _time(viewer: Viewer, found: Session, wanted: dict[str, Any]) -> str:
    done = corrections.correct_session(
        viewer.actor, found, enabled_s=wanted["minutes"], why=wanted["why"]
    )
    return corrected_words(done)


def _price(viewer: Viewer, found: Session, wanted: dict[str, Any]) -> str:
    line = sessions.line_of(found)
    if line is None:
        return gettext("This session has no price to correct.")
    return corrected_words(
        corrections.correct_line(viewer.actor, line, wanted["euros"], wanted["why"])
    )


def _other(viewer: Viewer, found: Session, wanted: dict[str, Any]) -> str:
    payer = Payer.objects.filter(lab=viewer.lab, name__iexact=wanted["payer"].strip()).first()
    if payer is None:
        raise ConfigError(
            gettext("there is no payer of that name"),
            where=wanted["payer"],
            remedy=gettext("Look at the list of payers, or make a new one there"),
        )
    lines = corrections.reassign(
        viewer.actor,
        found,
        payer=None if payer.pk == found.payer_id else payer,
        purpose=None if wanted["purpose"] == found.purpose else Purpose(wanted["purpose"]),
        why=wanted["why"],
    )
    if not lines:
        return gettext("Put right: the session is priced again.")
    total = sum(line.cents for line in lines if line.cents > 0)
    return gettext(
        "Its month is closed, so nothing in it changes: %(amount)s go back to one payer and are due by the other."
    ) % {"amount": formats.euros(total)}


_DEEDS = {"time": _time, "price": _price, "other": _other}


def _whose(found: Session) -> dict[str, Any]:
    return {"payer": found.payer.name if found.payer else "", "purpose": found.purpose}


def _likely_payers(found: Session) -> list[str]:
    """The member's own payers: what is meant nine times out of ten."""
    member = found.member
    if member is None:
        return []
    known = [member.payer_id, member.firm_id, *_before(found)]
    names = Payer.objects.filter(pk__in=[one for one in known if one]).values_list(
        "name", flat=True
    )
    return sorted(set(names))


def _before(found: Session) -> list[int]:
    """Who paid for this member before."""
    lines = Line.objects.filter(session__member=found.member).values_list("payer_id", flat=True)
    return list(lines.distinct()[:10])
