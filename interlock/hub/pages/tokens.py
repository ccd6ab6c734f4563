"""Tokens of the API: made, shown this once, and revoked, by those who may."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import limits
from interlock.hub.domain import tokens as deeds
from interlock.hub.domain.tokens import Scope
from interlock.hub.models import ApiToken
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission

SCOPES = (
    (Scope.MEMBERS_READ.value, gettext_lazy("find members")),
    (Scope.BADGES_READ.value, gettext_lazy("read whose badge is whose")),
    (Scope.BADGES_WRITE.value, gettext_lazy("give out and block badges")),
    (Scope.CARD_KEYS_WRITE.value, gettext_lazy("store the keys of genuine badges")),
    (Scope.MEMBERS_WRITE.value, gettext_lazy("create, change and suspend members")),
    (Scope.MEMBERS_ERASE.value, gettext_lazy("hand out and erase all that is kept of a member")),
    (Scope.MACHINES_READ.value, gettext_lazy("read the machines and their state")),
    (Scope.LOCK_OUTS_WRITE.value, gettext_lazy("lock machines out and release them")),
    (Scope.TRAININGS_READ.value, gettext_lazy("read who holds which training")),
    (Scope.AUTHORISATIONS_WRITE.value, gettext_lazy("grant and revoke trainings")),
    (Scope.SESSIONS_READ.value, gettext_lazy("read who used what")),
    (Scope.BILLS_READ.value, gettext_lazy("read lines and statements")),
    (Scope.LINES_WRITE.value, gettext_lazy("write lines: materials, adjustments, corrections")),
    (
        Scope.METRICS_READ.value,
        gettext_lazy("read the hub's figures for a monitor; they name nobody"),
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One live token, in words."""

    number: int
    name: str
    scopes: str
    until: str
    used: str
    expired: bool


class NewToken(Form):
    """What a token is called and what it may do."""

    name = forms.CharField(
        max_length=limits.LABEL_LENGTH_MAX,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy(
            "Where it is used, for example “front desk”. The audit log shows it."
        ),
    )
    scopes = forms.MultipleChoiceField(
        choices=SCOPES,
        label=gettext_lazy("It may"),
        widget=forms.CheckboxSelectMultiple,
        initial=[scope.value for scope in deeds.OF_THE_DESK],
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=deeds.DAYS_MAX,
        initial=deeds.DAYS_DEFAULT,
        label=gettext_lazy("Days until it ends"),
    )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TOKENS)
@proven
def tokens(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab's live tokens, and a form for another; its secret is on the answer, and nowhere else."""
    form = NewToken(request.POST if request.method == "POST" else None)
    made: deeds.NewToken | None = None
    if form.is_bound and form.is_valid():
        wanted = form.cleaned_data
        try:
            made = deeds.create_token(
                viewer.actor, viewer.lab, wanted["name"], wanted["scopes"], wanted["days"]
            )
            form = NewToken()
        except InterlockError as error:
            form.add_error(None, sentence(error))
    live = ApiToken.objects.filter(lab=viewer.lab, revoked_at=None).order_by("name")
    context = {"form": form, "made": made, "rows": [_row(one, viewer) for one in live]}
    return render(request, "hub/tokens.html", context)


@require_POST
@page(Permission.EDIT_TOKENS)
def revoke(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The token is nobody's any more."""
    found = ApiToken.objects.filter(lab=viewer.lab, pk=number).select_related("lab").first()
    if found is None:
        raise Http404(gettext("There is no such token in this lab."))
    attempt(
        request,
        lambda: deeds.revoke_token(viewer.actor, found),
        gettext("“%(name)s” is revoked, from its next request on.") % {"name": found.name},
    )
    return redirect("tokens")


def _row(token: ApiToken, viewer: Viewer) -> Row:
    words = dict(SCOPES)
    used = gettext("never used")
    if token.last_used_at is not None:
        ago = formats.ago(int((viewer.now - token.last_used_at).total_seconds()))
        used = gettext("last used: %(when)s") % {"when": ago}
    return Row(
        number=token.pk,
        name=token.name,
        scopes=", ".join(str(words.get(scope, scope)) for scope in token.scopes),
        until=formats.day(token.expires_at, viewer.zone),
        used=used,
        expired=token.expires_at <= viewer.now,
    )
