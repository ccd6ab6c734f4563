"""A member's facts as a form goes in; the member is as it says. Also: what they say of themselves, and their login."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import days, links, mail
from interlock.hub.domain import accounts, limits, profiles
from interlock.hub.domain import members as deeds
from interlock.hub.importing_cells import season_end, year_after
from interlock.hub.models import (
    Group,
    Lab,
    MailKind,
    Member,
    OneTimeLink,
    Payer,
    Profile,
    Role,
    RoleName,
    User,
)
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.context import LANGUAGE_NAMES
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.member import member_of
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission

NAME_MAX = limits.PERSON_LENGTH_MAX


class MemberForm(Form):
    """Everything the lab keeps of a member by name."""

    name = forms.CharField(label=gettext_lazy("First and last name"), max_length=NAME_MAX)
    email = forms.EmailField(
        required=False,
        label=gettext_lazy("E-mail"),
        help_text=gettext_lazy("Optional: for statements, and for a login of their own."),
    )
    language = forms.ChoiceField(
        choices=tuple(LANGUAGE_NAMES.items()),
        label=gettext_lazy("Language"),
        help_text=gettext_lazy("In which machines and e-mails speak to them."),
    )
    group = forms.ModelChoiceField(
        Group.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Group"),
        empty_label=gettext_lazy("None"),
    )
    joined_on = forms.DateField(
        label=gettext_lazy("Member since"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    until_on = forms.DateField(
        required=False,
        label=gettext_lazy("Member until"),
        help_text=gettext_lazy("The last day that counts. Empty: no end."),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
    )
    payer = forms.CharField(
        required=False,
        max_length=NAME_MAX,
        label=gettext_lazy("Who pays"),
        help_text=gettext_lazy(
            "The name of a payer, as the billing pages have it. Empty: themselves."
        ),
    )
    technician = forms.BooleanField(
        required=False,
        label=gettext_lazy("Technician: may put machines into service and clear faults there"),
    )
    minor = forms.BooleanField(required=False, label=gettext_lazy("Under 18"))
    consent_on = forms.DateField(
        required=False,
        label=gettext_lazy("A guardian consented on"),
        widget=DATE_WIDGET,
        validators=days.VALIDATORS,
    )
    consent_by = forms.CharField(
        required=False, max_length=NAME_MAX, label=gettext_lazy("Name of the guardian")
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        group = self.fields["group"]
        if isinstance(group, forms.ModelChoiceField):
            group.queryset = Group.objects.filter(lab=viewer.lab)

    def clean_payer(self) -> Payer | None:
        """The payer of that name."""
        name = self.cleaned_data["payer"].strip()
        if not name:
            return None
        found = Payer.objects.filter(lab=self.viewer.lab, name__iexact=name).first()
        if found is None:
            raise forms.ValidationError(
                gettext("There is no payer called “%(name)s”.") % {"name": name}
            )
        return found

    def facts(self) -> dict[str, Any]:
        """As the domain takes them; who pays stays as it is where the field is empty."""
        given = dict(self.cleaned_data)
        until_on = given.pop("until_on")
        given["until_at"] = (
            None if until_on is None else days.last_moment_of(until_on, self.viewer.zone)
        )
        if given["payer"] is None:
            del given["payer"]
        return given


class ProfileForm(Form):
    """What somebody may say of themselves, and need not."""

    age_band = forms.ChoiceField(
        choices=(("", "—"), *Profile.AgeBand.choices), required=False, label=gettext_lazy("Age")
    )
    gender = forms.ChoiceField(
        choices=(("", "—"), *Profile.Gender.choices), required=False, label=gettext_lazy("Gender")
    )
    occupation = forms.ChoiceField(
        choices=(("", "—"), *Profile.Occupation.choices),
        required=False,
        label=gettext_lazy("Occupation"),
    )
    commune = forms.CharField(required=False, max_length=100, label=gettext_lazy("Town"))


class LoginForm(Form):
    """Somebody's login: its e-mail and what they are in the lab."""

    email = forms.EmailField(label=gettext_lazy("E-mail"))
    role = forms.ChoiceField(choices=RoleName.choices, label=gettext_lazy("Role"))


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A member is made."""
    today = viewer.now.astimezone(viewer.zone).date()
    begin = {
        "language": viewer.lab.language,
        "joined_on": today,
        "until_on": _usual_end(viewer.lab, today),
    }
    form = MemberForm(viewer, request.POST if request.method == "POST" else None, initial=begin)
    if form.is_bound and form.is_valid():
        try:
            made = deeds.create_member(viewer.actor, viewer.lab, **form.facts())
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("%(name)s is a member.") % {"name": made.name})
            return redirect("member", made.public_id)
    return render(request, "hub/people/member_edit.html", {"form": form, "member": None})


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def edit(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """A member's facts are changed."""
    found = member_of(viewer, public_id)
    form = MemberForm(
        viewer,
        request.POST if request.method == "POST" else None,
        initial=_facts(found, viewer.zone),
    )
    if form.is_bound and form.is_valid():
        try:
            deeds.change_member(viewer.actor, found, **form.facts())
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            said = gettext("The changes are kept. Each machine knows as soon as its node confirms.")
            messages.success(request, said)
            return redirect("member", public_id)
    context = {"form": form, "member": member_of(viewer, public_id)}
    return render(request, "hub/people/member_edit.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS, Permission.VIEW_OWN)
def profile(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """What a member says of themselves: for themselves, and for the desk that writes it down."""
    found = member_of(viewer, public_id)
    if not profiles.may_declare(viewer.actor, found):
        raise Http404(gettext("There is no such member in this lab."))
    known = Profile.objects.filter(member=found).first()
    said = {name: getattr(known, name) for name in profiles.FIELDS} if known else {}
    form = ProfileForm(request.POST if request.method == "POST" else None, initial=said)
    if form.is_bound and form.is_valid():
        attempt(
            request,
            lambda: profiles.declare(viewer.actor, found, **form.cleaned_data),
            gettext("Thank you. It is only counted, never shown with a name."),
        )
        own = not viewer.may(Permission.VIEW_MEMBERS)
        return redirect("me") if own else redirect("member", public_id)
    return render(request, "hub/people/profile.html", {"form": form, "member": found})


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_ROLES)
@proven
def login(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """A member's login: what they are in the lab, and the link by which they choose a password."""
    found = member_of(viewer, public_id)
    roles = list(Role.objects.filter(lab=viewer.lab, member=found).select_related("user"))
    begin = {
        "email": roles[0].user.email if roles else found.email,
        "role": RoleName.MEMBER.value,
    }
    form = LoginForm(request.POST if request.method == "POST" else None, initial=begin)
    link, is_sent = "", False
    if form.is_bound and form.is_valid():
        try:
            given = form.cleaned_data
            link, is_sent = _invited(
                viewer, found, given["email"], RoleName(given["role"]), request
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        roles = list(Role.objects.filter(lab=viewer.lab, member=found).select_related("user"))
    context = {"member": found, "roles": roles, "form": form, "link": link, "is_sent": is_sent}
    return render(request, "hub/people/login.html", context)


@require_POST
@page(Permission.EDIT_ROLES)
@proven
def take_role(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Somebody no longer is that in the lab."""
    role = (
        Role.objects.filter(lab=viewer.lab, pk=number)
        .exclude(member=None)
        .select_related("lab", "user", "member")
        .first()
    )
    if role is None or role.member is None:
        raise Http404(gettext("There is no such role in this lab."))
    found, chosen = role.member, role
    why = request.POST.get("why", "").strip()[:200]
    attempt(
        request,
        lambda: accounts.take_role(viewer.actor, chosen, why),
        gettext("The role is taken away; it counts from the next click on."),
    )
    return redirect("member-login", found.public_id)


@transaction.atomic
def _invited(
    viewer: Viewer, found: Member, email: str, role: RoleName, request: HttpRequest
) -> tuple[str, bool]:
    """The member has a login with that role; the link that sets its password, and whether it goes by e-mail."""
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        user = accounts.create_user(email, found.name)
    if not Role.objects.filter(lab=viewer.lab, user=user, name=role).exists():
        accounts.give_role(viewer.actor, viewer.lab, user, role, found)
    token = accounts.create_link(viewer.actor, viewer.lab, OneTimeLink.Purpose.SET_PASSWORD, user)
    address = reverse("welcome", args=[token])
    # By the name the hub has outside, if it has one: the mail is read elsewhere.
    link = links.to_page(address) or request.build_absolute_uri(address)
    return link, _sent(viewer.lab, user, found, link)


def _sent(lab: Lab, user: User, found: Member, link: str) -> bool:
    """Whether the link is on its way to the login's own address."""
    language = user.language or found.language
    with translation.override(language):
        named = {"lab": lab.name, "name": user.name, "link": link}
        subject = gettext("Your login at %(lab)s") % named
        text = (
            gettext(
                "Hello %(name)s,\n\n%(lab)s has made you a login. This link works once and for a day; it lets you"
                " choose your password:\n\n%(link)s\n\nIf you did not expect it, do nothing."
            )
            % named
        )
    return mail.queue(lab, MailKind.LINK, user, language, subject, text) is not None


def _facts(found: Member, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "name": found.name,
        "email": found.email,
        "language": found.language,
        "group": found.group.slug if found.group else None,
        "joined_on": found.joined_on,
        "until_on": found.until_at.astimezone(zone).date() if found.until_at else None,
        "payer": found.payer.name if found.payer else "",
        "technician": found.technician,
        "minor": found.minor,
        "consent_on": found.consent_on,
        "consent_by": found.consent_by,
    }


def _usual_end(lab: Lab, today: date) -> date:
    """The end of the season, or a year from today."""
    return season_end(today, lab.season_ends) if lab.season_ends else year_after(today)
