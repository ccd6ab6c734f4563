"""One member goes in; what is kept of them, all of it as an archive, or nobody comes out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub import retention, takeout
from interlock.hub.domain import looks
from interlock.hub.domain.erasure import erase_member
from interlock.hub.models import Member
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.member import member_of
from interlock.hub.pages.proof import proven
from interlock.hub.permissions import Permission


class Erase(Form):
    """The member's name, typed once more, and why they are erased."""

    name = forms.CharField(
        label=gettext_lazy("Their name, as it stands above"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    why = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=200,
        help_text=gettext_lazy("For the audit log. Do not name anybody here."),
    )

    def __init__(self, member: Member, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.member = member

    def clean_name(self) -> str:
        """The right name."""
        name: str = self.cleaned_data["name"]
        if name.strip().casefold() != self.member.name.casefold():
            raise forms.ValidationError(gettext("This is not their name."))
        return name


@require_http_methods(["GET", "POST"])
@page(Permission.ERASE_MEMBERS)
@proven
def member_file(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """What is kept of a member; with the form, they are erased."""
    found = member_of(viewer, public_id)
    form = Erase(found, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            kept = erase_member(viewer.actor, found, form.cleaned_data["why"])
        except InterlockError as error:
            messages.error(request, sentence(error))
            return redirect("member-data", public_id)
        messages.success(request, _erased(kept=bool(kept)))
        return redirect("erasures")
    return render(request, "hub/privacy/member_data.html", _context(found) | {"form": form})


@require_GET
@page(Permission.ERASE_MEMBERS)
def member_export(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """Everything that names a member, as a ZIP."""
    found = member_of(viewer, public_id)
    # All of their usage is in it: that somebody looked is noted as on every other page.
    today = viewer.now.astimezone(viewer.zone).date()
    looks.note(viewer.user, viewer.lab, [found], today)
    return _archive(viewer, found)


@require_GET
@page(Permission.VIEW_OWN)
def my_data(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is kept of whoever looks."""
    return render(request, "hub/privacy/my_data.html", _context(_own(viewer)))


@require_GET
@page(Permission.VIEW_OWN)
def my_export(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Everything that names whoever asks, as a ZIP."""
    return _archive(viewer, _own(viewer))


def _own(viewer: Viewer) -> Member:
    found = Member.objects.filter(roles__user=viewer.user, lab=viewer.lab).first()
    if found is None:
        raise Http404(gettext("This account belongs to no member of this lab."))
    return found


def _archive(viewer: Viewer, member: Member) -> HttpResponse:
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        path = Path(folder) / "data.zip"
        takeout.export_member(viewer.actor, member, path)
        content = path.read_bytes()
    return HttpResponse(
        content,
        content_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="data.zip"'},
    )


def _context(member: Member) -> dict[str, object]:
    return {
        "member": member,
        "refusal_days": retention.REFUSAL_DAYS,
        "session_months": retention.SESSION_MONTHS,
        "audit_months": retention.AUDIT_MONTHS,
        "line_years": retention.LINE_YEARS,
    }


def _erased(*, kept: bool) -> str:
    said = gettext(
        "They are erased. Below stands which machines have forgotten them; back-ups do within 90 days."
    )
    if kept:
        said += " " + gettext("What was billed keeps the payer's name: the law asks for ten years.")
    return said
