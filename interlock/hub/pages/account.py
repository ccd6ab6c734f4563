"""The door: sign in, sign out, and the one-time link that lets somebody choose their own password."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import authenticate, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import accounts, sign_ins
from interlock.hub.models import OneTimeLink, User
from interlock.hub.pages.access import hub_clock, public
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.people.assistant import wants_setup
from interlock.hub.pages.proof import sign_in_throttle, too_many
from interlock.hub.pages.second_step import enter
from interlock.hub.pages.throttle import household_of

_NEW_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})
_EMAIL = forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})


class SignIn(Form):
    """E-mail and password; a wrong pair says nothing about which of the two was wrong."""

    email = forms.EmailField(label=gettext_lazy("E-mail"), widget=_EMAIL)
    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.user: User | None = None

    def clean(self) -> dict[str, Any]:
        """The form is valid only for a user who may sign in."""
        given = super().clean() or {}
        if "email" in given and "password" in given:
            self.user = _authenticated(self.request, given["email"], given["password"])
        return given


class ChoosePassword(Form):
    """A password, typed twice."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        help_text=gettext_lazy("At least 10 characters. Three or four words are easy to keep."),
        strip=False,
        widget=_NEW_PASSWORD,
    )
    again = forms.CharField(
        label=gettext_lazy("Password, once more"), strip=False, widget=_NEW_PASSWORD
    )

    def clean(self) -> dict[str, Any]:
        """Both are the same."""
        given = super().clean() or {}
        if given.get("password") != given.get("again"):
            self.add_error("again", gettext("The two passwords differ."))
        return given


class FirstOwner(ChoosePassword):
    """Who the first owner is, and the password they choose."""

    name = forms.CharField(
        label=gettext_lazy("Your name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )
    email = forms.EmailField(
        label=gettext_lazy("E-mail"), widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    field_order = ["name", "email", "password", "again"]


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@public
def sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page; afterwards the page that was asked for."""
    target = _safe_target(request)
    if request.user.is_authenticated:
        return redirect(target)
    form = SignIn(request, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and form.user is not None:
        return enter(request, form.user, target)
    return render(request, "hub/login.html", {"form": form, "next": target})


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
@public
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """The page of a one-time link; looking at it does not use it up, only choosing a password does."""
    link = accounts.find_link(token, hub_clock())
    if link is None:
        return render(request, "hub/link_spent.html", status=HTTPStatus.GONE)
    first = link.purpose == OneTimeLink.Purpose.FIRST_OWNER
    given = request.POST if request.method == "POST" else None
    form = FirstOwner(given) if first else ChoosePassword(given)
    if form.is_bound and form.is_valid():
        user = _accepted(link, form)
        if user is not None:
            fresh = first and wants_setup(link.lab)
            return enter(request, user, resolve_url("assistant" if fresh else "board"))
    return render(request, "hub/first_password.html", {"form": form, "first": first})


@require_POST
@public
def sign_out(request: HttpRequest) -> HttpResponse:
    """The session is gone; back to the door."""
    logout(request)
    return redirect("login")


def _authenticated(request: HttpRequest, email: str, password: str) -> User:
    """The user of that e-mail and password. Raises ValidationError, the same for every reason."""
    throttle, address = sign_in_throttle(), request.META.get("REMOTE_ADDR", "")
    wait_s = throttle.begin(email, address)
    if wait_s:
        raise forms.ValidationError(too_many(wait_s))
    found = authenticate(request, username=email, password=password)
    if not isinstance(found, User):
        named = User.objects.filter(email__iexact=email.strip()).first()
        sign_ins.note_failure(hub_clock(), named, household_of(address), "password")
        raise forms.ValidationError(
            gettext("This e-mail and this password do not belong together.")
        )
    throttle.succeeded(email, address)
    return found


def _accepted(link: OneTimeLink, form: ChoosePassword) -> User | None:
    """The user whose password is set now; None when it was refused, and the form says why."""
    given = form.cleaned_data
    try:
        if isinstance(form, FirstOwner):
            return accounts.accept_first_owner(
                link,
                hub_clock(),
                email=given["email"],
                name=given["name"],
                password=given["password"],
            )
        return accounts.accept_password(link, hub_clock(), password=given["password"])
    except InterlockError as error:
        form.add_error(None, sentence(error))
        return None


def _safe_target(request: HttpRequest) -> str:
    """Where to go after sign-in: only ever a page of this hub."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(asked, {request.get_host()}, request.is_secure()):
        return asked
    return resolve_url(settings.LOGIN_REDIRECT_URL)
