"""A person's own sign-in as a page: their telephone as a second factor, set up, counted and taken away; the
browsers they are signed in with, and an end to the others; for owners also whether the lab demands it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import segno
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import second_factor as deeds
from interlock.hub.domain import sign_ins
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission

QR_SCALE, QR_BORDER = 6, 4
"""ISO/IEC 18004 asks for four light modules around; six pixels each are read from a hand's breadth."""


@dataclass(frozen=True, slots=True)
class LoginRow:
    """One browser in which they are signed in."""

    agent: str
    began: str
    used: str
    is_this: bool


class FirstCode(Form):
    """The first code that the telephone shows."""

    code = forms.RegexField(
        r"^\s*[0-9]{3}\s?[0-9]{3}\s*$",
        label=gettext_lazy("The six digits that it shows now"),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_OWN)
@proven
def my_sign_in(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Whether a code is asked after the password; the steps to have it so, or no longer."""
    context: dict[str, Any] = {}
    if request.method == "POST" and "take-away" in request.POST:
        attempt(
            request,
            lambda: deeds.remove(viewer.actor, viewer.user),
            gettext("Your password alone signs you in from now on."),
        )
        return redirect("my-sign-in")
    if request.method == "POST" and "end-others" in request.POST:
        ended = sign_ins.end_others(viewer.actor, request.session.session_key)
        said = ngettext("%(n)d other login is over.", "%(n)d other logins are over.", ended)
        messages.success(request, said % {"n": ended})
        return redirect("my-sign-in")
    if request.method == "POST":
        context = _set_up(request, viewer)
    logins = _logins(request, viewer)
    return render(
        request, "hub/my_sign_in.html", {**_standing(viewer), **context, "logins": logins}
    )


@require_POST
@page(Permission.EDIT_ROLES)
@proven
def demand_second_factor(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab demands it of its owners and accountants, or no longer."""
    on = request.POST.get("on") == "yes"
    said = (
        gettext("Owners and accountants are asked for a second factor at their next click.")
        if on
        else gettext("A second factor is everybody's own choice again.")
    )
    attempt(request, lambda: deeds.demand(viewer.actor, viewer.lab, on=on), said)
    return redirect("my-sign-in")


def _set_up(request: HttpRequest, viewer: Viewer) -> dict[str, Any]:
    """The key to scan; after the first right code, the recovery codes instead."""
    form = FirstCode(request.POST if "code" in request.POST else None)
    try:
        if form.is_bound and form.is_valid():
            return {"codes": deeds.confirm(viewer.actor, form.cleaned_data["code"])} | _standing(
                viewer
            )
    except InterlockError as error:
        form.add_error(None, sentence(error))
    try:
        offer = deeds.begin(viewer.actor, viewer.lab.name)
    except InterlockError as error:
        messages.error(request, sentence(error))
        return {}
    drawn = segno.make(offer.address, error="m", micro=False)
    return {
        "form": form,
        "key": " ".join(offer.key[at : at + 4] for at in range(0, len(offer.key), 4)),
        "qr": drawn.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff"),
    }


def _logins(request: HttpRequest, viewer: Viewer) -> list[LoginRow]:
    """Where they are signed in, in words; this browser first."""
    found = sign_ins.own_logins(viewer.user, request.session.session_key, viewer.now)
    rows = []
    for one in found:
        seen_s = int((viewer.now - one.seen_at).total_seconds())
        began = gettext("since %(moment)s") % {
            "moment": formats.moment(one.began_at, viewer.zone, viewer.now)
        }
        used = gettext("last used: %(when)s") % {"when": formats.ago(max(0, seen_s))}
        rows.append(LoginRow(one.agent or gettext("a browser"), began, used, one.is_this))
    return rows


def _standing(viewer: Viewer) -> dict[str, Any]:
    return {
        "is_set": deeds.is_set(viewer.user),
        "is_missing": deeds.is_missing(viewer.user, viewer.lab),
        "codes_left": deeds.codes_left(viewer.user),
        "may_demand": viewer.may(Permission.EDIT_ROLES),
        "is_demanded": viewer.lab.asks_second_factor,
    }
