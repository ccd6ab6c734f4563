"""Somebody whose password was right goes in; they are signed in at once, or after a code of their telephone."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from interlock.hub.domain import second_factor, sign_ins
from interlock.hub.models import User
from interlock.hub.pages.access import hub_clock, public
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import sign_in_throttle, too_many
from interlock.hub.pages.throttle import household_of
from interlock.hub.permissions import Actor

HALF_WAY = "half_way"
"""Where a session keeps whose password was right, when, and where they want to go: that is no login."""
HALF_WAY_S_MAX = 300
"""To find the telephone; then the password is asked again."""
CODE_LENGTH_MAX = 32
THROTTLED = "code of "
"""Wrong codes are counted apart from wrong passwords: a right password must not forget them."""


class CodeForm(Form):
    """Six digits of a telephone, or a recovery code."""

    code = forms.CharField(
        max_length=CODE_LENGTH_MAX,
        label=gettext_lazy("Code"),
        help_text=gettext_lazy("Six digits from the app on your telephone, or a recovery code."),
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}
        ),
    )

    def __init__(self, request: HttpRequest, user: User, *args: Any) -> None:
        super().__init__(*args)
        self.request, self.user = request, user

    def clean_code(self) -> str:
        """It is theirs, and used up; wrong ones are counted."""
        code: str = self.cleaned_data["code"]
        name, address = THROTTLED + self.user.email, self.request.META.get("REMOTE_ADDR", "")
        wait_s = sign_in_throttle().begin(name, address)
        if wait_s:
            raise forms.ValidationError(too_many(wait_s))
        if not second_factor.proves(self.user, code, Actor(hub_clock(), self.user)):
            sign_ins.note_failure(hub_clock(), self.user, household_of(address), "code")
            raise forms.ValidationError(gettext("This code is wrong, or was used before."))
        sign_in_throttle().succeeded(name, address)
        return code


def enter(request: HttpRequest, user: User, target: str) -> HttpResponse:
    """On to `target`, signed in; or to the page that asks for a code, not signed in yet."""
    if not second_factor.is_set(user):
        _sign_in(request, user)
        return redirect(target)
    # A new session: nobody who knew the old one's key is half way in.
    request.session.flush()
    request.session[HALF_WAY] = [user.pk, hub_clock().wall_ms() // 1_000, target]
    return redirect("second-step")


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@public
def second_step(request: HttpRequest) -> HttpResponse:
    """The page that asks for the code."""
    user, target = _half_way(request)
    if user is None:
        return redirect("login")
    form = CodeForm(request, user, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        del request.session[HALF_WAY]
        _sign_in(request, user)
        return redirect(target)
    return render(request, "hub/second_step.html", {"form": form})


def _sign_in(request: HttpRequest, user: User) -> None:
    """They are signed in, in a browser that they will know again in their list."""
    login(request, user)
    request.session["agent"] = sign_ins.agent_of(request.headers.get("User-Agent", ""))


def _half_way(request: HttpRequest) -> tuple[User | None, str]:
    number, began_s, target = request.session.get(HALF_WAY, [0, 0, ""])
    age_s = hub_clock().wall_ms() // 1_000 - began_s
    if not 0 <= age_s <= HALF_WAY_S_MAX:
        return None, ""
    return User.objects.filter(pk=number, is_active=True).first(), target
