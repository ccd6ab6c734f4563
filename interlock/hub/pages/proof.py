"""A change that matters goes in; it is done when its author has typed their password within ten minutes.

Somebody who finds a browser signed in, or steals its cookie, does not thereby make themselves owner, change
prices or take a token along. What was typed is not lost: the page that asks carries it, and sends it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, hub_clock
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.throttle import Throttle

P = ParamSpec("P")
Guarded = Callable[Concatenate[HttpRequest, Viewer, P], HttpResponse]

FRESH_S = 600
"""Long enough for one errand in the settings, shorter than a coffee away from the desk."""
FIELD = "proof_password"
"""No other form has a field of that name."""
PROVED_AT = "proved_s"
BEGAN_AT = "began_s"
"""A login begins with the password (middleware.SessionLimits notes when)."""


class ProofForm(Form):
    """The password of whoever is signed in, once more."""

    proof_password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, request: HttpRequest, viewer: Viewer, *args: Any) -> None:
        super().__init__(*args)
        self.request, self.viewer = request, viewer

    def clean_proof_password(self) -> str:
        """It is theirs; wrong ones are counted with those of the door."""
        given: str = self.cleaned_data["proof_password"]
        name, address = self.viewer.user.email, self.request.META.get("REMOTE_ADDR", "")
        wait_s = sign_in_throttle().begin(name, address)
        if wait_s:
            raise forms.ValidationError(too_many(wait_s))
        if not self.viewer.user.check_password(given):
            raise forms.ValidationError(gettext("This is not your password."))
        sign_in_throttle().succeeded(name, address)
        return given


def proven(view: Guarded[P]) -> Guarded[P]:
    """The view's changes are for people who have just proved themselves; looking needs no proof."""

    @sensitive_post_parameters(FIELD)
    @functools.wraps(view)
    def guarded(
        request: HttpRequest, viewer: Viewer, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        if request.method in ("GET", "HEAD"):
            return view(request, viewer, *args, **kwargs)
        form = ProofForm(request, viewer, request.POST if FIELD in request.POST else None)
        if form.is_bound and form.is_valid():
            request.session[PROVED_AT] = _now_s()
        elif form.is_bound or not _is_fresh(request):
            return _ask(request, form)
        rest = request.POST.copy()
        rest.pop(FIELD, None)
        request.POST = rest  # type: ignore[assignment]  # Django's own setter takes any QueryDict
        return view(request, viewer, *args, **kwargs)

    guarded.needs_proof = True  # type: ignore[attr-defined]
    return cast("Guarded[P]", guarded)


@functools.cache
def sign_in_throttle() -> Throttle:
    """The one of this process, for everything that takes a password."""
    return Throttle(hub_clock())


def too_many(wait_s: int) -> str:
    """What somebody reads who has to wait."""
    message = gettext("Too many wrong tries. The next one is possible in %(time)s.")
    return message % {"time": formats.duration(wait_s)}


def _ask(request: HttpRequest, form: ProofForm) -> HttpResponse:
    carried = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in (FIELD, "csrfmiddlewaretoken")
    ]
    return render(request, "hub/proof.html", {"form": form, "carried": carried})


def _is_fresh(request: HttpRequest) -> bool:
    proved_s = request.session.get(PROVED_AT, request.session.get(BEGAN_AT, 0))
    return bool(0 <= _now_s() - proved_s < FRESH_S)


def _now_s() -> int:
    return hub_clock().wall_ms() // 1_000
