"""How the lab sends e-mail, what became of each, and what each person wants, as forms go in and pages come out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import mail, smtp
from interlock.hub.domain import post
from interlock.hub.models import MailKind, MailSettings, Member, OutboxMail, User
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import proven
from interlock.hub.pages.workshop.parts import FormPage, form_page, one_of, page_of, posted
from interlock.hub.permissions import Permission

State = OutboxMail.State
_COLOURS = {
    State.WAITING: "ending",
    State.SENDING: "in-use",
    State.SENT: "free",
    State.UNCERTAIN: "ending",
    State.GIVEN_UP: "fault",
}
AGAIN = (State.UNCERTAIN, State.GIVEN_UP)
PASSWORD_LENGTH_MAX = 256


@dataclass(frozen=True, slots=True)
class Row:
    """One e-mail in words."""

    number: int
    subject: str
    to: str
    kind: str
    when: str
    state: str
    colour: str
    trouble: str


class WayForm(Form):
    """How e-mails leave."""

    backend = forms.ChoiceField(
        choices=MailSettings.Backend.choices,
        label=gettext_lazy("E-mails go"),
        widget=forms.RadioSelect,
    )
    host = forms.CharField(
        required=False,
        max_length=post.HOST_LENGTH_MAX,
        label=gettext_lazy("Mail server"),
        help_text=gettext_lazy("Your provider calls it SMTP server, like smtp.example.org."),
    )
    security = forms.ChoiceField(
        choices=MailSettings.Security.choices, label=gettext_lazy("Protected by")
    )
    port = forms.IntegerField(min_value=1, max_value=post.PORT_MAX, label=gettext_lazy("Port"))
    username = forms.CharField(
        required=False,
        max_length=254,
        label=gettext_lazy("User name"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=PASSWORD_LENGTH_MAX,
        label=gettext_lazy("Password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "Empty: it stays as it is. Another server, port or user name needs it once more."
        ),
    )
    sender = forms.EmailField(
        required=False,
        label=gettext_lazy("Sent from"),
        help_text=gettext_lazy("The address that people see and may answer to."),
    )

    def way(self) -> post.Way:
        """What the form says."""
        given = self.cleaned_data
        return post.Way(
            given["backend"],
            given["host"].strip(),
            given["port"],
            given["security"],
            given["username"].strip(),
            given["sender"],
        )


class KindsForm(Form):
    """Which kinds are sent."""

    kinds = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("E-mails about"),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, offered: tuple[MailKind, ...], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = self.fields["kinds"]
        assert isinstance(kinds, forms.MultipleChoiceField)
        kinds.choices = [(kind.value, kind.label) for kind in offered]

    def wanted(self) -> list[MailKind]:
        """The kinds that are ticked."""
        return [MailKind(kind) for kind in self.cleaned_data["kinds"]]


@require_GET
@page(Permission.EDIT_LAB)
def outbox(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every e-mail of the last 90 days, the newest first."""
    shown = page_of(request, OutboxMail.objects.filter(lab=viewer.lab).defer("text"))
    kept = post.settings_of(viewer.lab)
    context = {
        "page": shown,
        "rows": [_row(one, viewer) for one in shown],
        "is_off": kept.backend == MailSettings.Backend.OFF,
        "is_mailbox": kept.backend == MailSettings.Backend.MAILBOX,
    }
    return render(request, "hub/workshop/mail.html", context)


@require_GET
@page(Permission.EDIT_LAB)
def letter(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One e-mail as it is read."""
    mine = OutboxMail.objects.filter(lab=viewer.lab, pk=number)
    found = one_of(mine.prefetch_related("attachments"))
    # A link opens a login: only who may give roles reads one, as on the page that made it.
    is_secret = found.kind == MailKind.LINK and not viewer.may(Permission.EDIT_ROLES)
    context = {
        "mail": found,
        "is_secret": is_secret,
        "row": _row(found, viewer),
        "attachments": [one.name for one in found.attachments.all()],
        "may_try_again": found.state in AGAIN,
        "is_uncertain": found.state == State.UNCERTAIN,
        "tries": found.tries,
    }
    return render(request, "hub/workshop/letter.html", context)


@require_POST
@page(Permission.EDIT_LAB)
def again(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It is tried once more."""
    found = one_of(OutboxMail.objects.filter(lab=viewer.lab, pk=number).select_related("lab"))
    done = gettext("It is tried again within a minute or two.")
    attempt(request, lambda: post.send_again(viewer.actor, found), done)
    return redirect("mail")


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_LAB)
@proven
def settings(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How e-mails leave, and which."""
    kept = post.settings_of(viewer.lab)
    form = WayForm(posted(request), initial=asdict(_way_of(kept)))
    if form.is_bound and form.is_valid():
        try:
            post.set_way(
                viewer.actor, viewer.lab, form.way(), form.cleaned_data["password"] or None
            )
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(
                request, gettext("The mail settings are kept. Send a test to be sure.")
            )
            return redirect("mail-settings")
    on = [kind.value for kind in mail.SWITCHES if kind not in kept.off]
    context = {
        "form": form,
        "kinds": KindsForm(mail.SWITCHES, initial={"kinds": on}),
        "is_on": kept.backend != MailSettings.Backend.OFF,
        "address": viewer.user.email,
        "has_password": bool(kept.sealed_password),
    }
    return render(request, "hub/workshop/mail_settings.html", context)


@require_POST
@page(Permission.EDIT_LAB)
def kinds(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab sends the kinds that are ticked."""
    form = KindsForm(mail.SWITCHES, request.POST)
    if form.is_valid():
        done = gettext("The lab sends these e-mails, to those who want them.")
        attempt(request, lambda: post.set_kinds(viewer.actor, viewer.lab, form.wanted()), done)
    return redirect("mail-settings")


@require_POST
@page(Permission.EDIT_LAB)
def test(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A mail to whoever asks, now: it has gone, or why not is said."""
    kept = post.settings_of(viewer.lab)
    now = viewer.now
    made = OutboxMail(
        lab=viewer.lab,
        kind=MailKind.TEST,
        to=viewer.user.email,
        user=viewer.user,
        language=viewer.user.language or viewer.lab.language,
        subject=gettext("Test of %(lab)s") % {"lab": viewer.lab.name},
        text=gettext("This is a test: e-mails of the hub arrive."),
        message_id=f"<test.{int(now.timestamp() * 1_000)}@interlock.invalid>",
        queued_at=now,
        next_try_at=now,
    )
    try:
        if kept.backend == MailSettings.Backend.SMTP:
            smtp.send(kept, made)
    except InterlockError as error:
        messages.error(request, gettext("It did not go: %(why)s") % {"why": sentence(error)})
        return redirect("mail-settings")
    made.state, made.done_at, made.tries = State.SENT, now, 1
    made.save()
    messages.success(request, gettext("The test has gone to %(to)s.") % {"to": made.to})
    return redirect("mail-settings")


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_OWN)
def mine(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Which e-mails the person who looks wants: as one of the staff, and as a member."""
    member = Member.objects.filter(lab=viewer.lab, roles__user=viewer.user).first()
    staff = viewer.may(Permission.VIEW_MACHINES)
    offered = tuple(
        kind
        for kind in mail.SWITCHES
        if (kind in mail.TO_MEMBERS and member is not None)
        or (kind not in mail.TO_MEMBERS and staff)
    )
    people: list[User | Member] = [viewer.user, *([member] if member else [])]
    on = [kind.value for kind in offered if all(_wants(viewer, kind, one) for one in people)]
    form = KindsForm(offered, posted(request), initial={"kinds": on})
    words = FormPage(
        gettext("My e-mails"),
        gettext("Keep it"),
        (reverse("my-mail"), ""),
        gettext("You get these e-mails."),
        gettext("What you switch off here is not sent to you; everybody else still gets theirs."),
    )

    def deed(_given: dict[str, Any]) -> None:
        for one in people:
            mail.set_wanted(viewer.actor, viewer.lab, one, form.wanted())

    return form_page(request, words, form, deed)


def _wants(viewer: Viewer, kind: MailKind, one: User | Member) -> bool:
    return not one.mail_switches.filter(lab=viewer.lab, kind=kind).exists()


def _way_of(kept: MailSettings) -> post.Way:
    return post.Way(
        str(kept.backend), kept.host, kept.port, str(kept.security), kept.username, kept.sender
    )


def _row(one: OutboxMail, viewer: Viewer) -> Row:
    return Row(
        number=one.pk,
        subject=one.subject,
        to=one.to,
        kind=one.get_kind_display(),
        when=formats.moment(one.queued_at, viewer.zone, viewer.now),
        state=one.get_state_display(),
        colour=_COLOURS[State(one.state)],
        trouble=one.trouble,
    )
