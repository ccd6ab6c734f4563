"""A search goes in; the lab's members that match come out, with their status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET

from interlock.hub.models import Badge, Group, Member
from interlock.hub.pages import sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.long_list import in_order
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a member may use anything at all. `state` is the colour, empty when all is well."""

    state: str
    icon: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """One member as the list shows them."""

    address: str
    name: str
    email: str
    group: str
    trainings: int
    badges: int
    status: Status


class Search(Form):
    """Which members to show; empty fields ask nothing."""

    STATUSES = (
        ("", gettext_lazy("Any status")),
        ("active", gettext_lazy("Active")),
        ("suspended", gettext_lazy("Suspended")),
        ("ended", gettext_lazy("Membership ended")),
        ("consent", gettext_lazy("Consent missing")),
    )

    q = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Name or e-mail"),
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    group = forms.ModelChoiceField(
        Group.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Group"),
        empty_label=gettext_lazy("All groups"),
    )
    status = forms.ChoiceField(choices=STATUSES, required=False, label=gettext_lazy("Status"))

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        group = self.fields["group"]
        if isinstance(group, forms.ModelChoiceField):
            group.queryset = Group.objects.filter(lab=viewer.lab)

    def apply(self, members: QuerySet[Member]) -> QuerySet[Member]:
        """The members that match."""
        if not self.is_valid():
            return members.none()
        wanted = self.cleaned_data
        if wanted["q"]:
            members = members.filter(
                Q(name__icontains=wanted["q"]) | Q(email__icontains=wanted["q"])
            )
        if wanted["group"]:
            members = members.filter(group=wanted["group"])
        ended = Q(until_at__lte=self.viewer.now)
        if wanted["status"] == "ended":
            members = members.filter(ended)
        elif wanted["status"] == "active":
            members = members.filter(status=Member.Status.ACTIVE).exclude(ended)
        elif wanted["status"] == "consent":
            members = members.filter(minor=True, consent_on=None)
        elif wanted["status"] == "suspended":
            members = members.filter(status=Member.Status.SUSPENDED)
        return members


@require_GET
@page(Permission.VIEW_MEMBERS)
def members(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab's members by name."""
    form = Search(viewer, request.GET or None)
    found = Member.objects.filter(lab=viewer.lab)
    if form.is_bound:
        found = form.apply(found)
    # Trainings and badges are counted for those who are shown, not for everybody.
    keys = found.order_by("name", "pk").values_list("pk", flat=True)
    shown = Paginator(keys, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    rows = in_order(_with_counts(Member.objects.all(), viewer.now), list(shown.object_list))
    context = {
        "form": form,
        "page": shown,
        "rows": [_row(one, viewer) for one in rows],
        "filtered": form.is_bound and any(request.GET.get(name) for name in form.fields),
        "query": sessions.query_without_page(request),
        "may_edit": viewer.may(Permission.EDIT_MEMBERS),
    }
    return render(request, "hub/members.html", context)


def status_of(found: Member, now: datetime) -> Status:
    """Whether they may use anything, before any training is looked at."""
    if found.status == Member.Status.SUSPENDED:
        return Status("locked-out", "locked-out", gettext("Suspended"))
    if found.until_at is not None and found.until_at <= now:
        return Status("offline", "cross", gettext("Membership ended"))
    return Status("", "", gettext("Active"))


def _with_counts(found: QuerySet[Member], now: datetime) -> QuerySet[Member]:
    """Each member with the number of their live trainings and badges: one query for all."""
    live = Q(authorisations__revoked_at=None) & (
        Q(authorisations__until_at=None) | Q(authorisations__until_at__gt=now)
    )
    return found.select_related("group").annotate(
        trainings_held=Count(
            "authorisations",
            filter=live & Q(authorisations__isnull=False),
            distinct=True,
        ),
        badges_held=Count(
            "badges", filter=Q(badges__condition=Badge.Condition.ACTIVE), distinct=True
        ),
    )


def _row(found: Member, viewer: Viewer) -> Row:
    return Row(
        address=reverse("member", args=[found.public_id]),
        name=found.name,
        email=found.email,
        group=found.group.name if found.group else "",
        trainings=getattr(found, "trainings_held", 0),
        badges=getattr(found, "badges_held", 0),
        status=status_of(found, viewer.now),
    )
