"""A lab's people and its trainings, or machines, go in; one table of who holds or may use what comes out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET

from interlock.core.model import Right
from interlock.hub.entries import right_of
from interlock.hub.models import Authorisation, Group, Member, Training
from interlock.hub.pages import rights, sessions
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.people.trainings import SOON
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 100
"""A screen's worth of scrolling; the names and headings stay in sight."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One member and one training or machine: a colour, a sign and the words behind it."""

    state: str
    icon: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """One member's line."""

    name: str
    address: str
    cells: tuple[Cell, ...]


class Filter(Form):
    """Who and what the table shows."""

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
    training = forms.ModelChoiceField(
        Training.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Who holds"),
        empty_label=gettext_lazy("Anything or nothing"),
    )
    show = forms.ChoiceField(
        choices=(("trainings", gettext_lazy("Trainings")), ("machines", gettext_lazy("Machines"))),
        required=False,
        label=gettext_lazy("Columns"),
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (("group", Group), ("training", Training)):
            field = self.fields[name]
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = rows.objects.filter(lab=viewer.lab)


_NOTHING = Cell("", "", "")
_EXPIRED = ("fault", "cross", gettext_lazy("expired"))
_ENDING = ("ending", "ending", gettext_lazy("ends soon"))


@require_GET
@page(Permission.VIEW_MEMBERS)
def matrix(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The table: a line for each member, a column for each training or machine."""
    form = Filter(viewer, request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    found = Member.objects.filter(lab=viewer.lab).order_by("name", "pk")
    if wanted.get("q"):
        found = found.filter(name__icontains=wanted["q"]) | found.filter(
            email__icontains=wanted["q"]
        )
    if wanted.get("group"):
        found = found.filter(group=wanted["group"])
    if wanted.get("training"):
        found = found.filter(
            authorisations__training=wanted["training"], authorisations__revoked_at=None
        )
    shown = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    members = list(shown.object_list)
    held = _held(members)
    by_machine = wanted.get("show") == "machines"
    columns, rows = (_machines if by_machine else _trainings)(members, held, viewer)
    context = {
        "form": form,
        "page": shown,
        "query": sessions.query_without_page(request),
        "columns": columns,
        "rows": rows,
        "filtered": any(request.GET.get(name) for name in ("q", "group", "training")),
    }
    return render(request, "hub/people/matrix.html", context)


def _held(members: list[Member]) -> dict[int, list[Authorisation]]:
    held: dict[int, list[Authorisation]] = defaultdict(list)
    live = Authorisation.objects.filter(member__in=members, revoked_at=None)
    for one in live.select_related("training"):
        held[one.member_id].append(one)
    return held


def _trainings(
    members: list[Member], held: dict[int, list[Authorisation]], viewer: Viewer
) -> tuple[list[tuple[str, str]], list[Row]]:
    columns = list(Training.objects.filter(lab=viewer.lab))
    rows = []
    for member in members:
        own = {one.training_id: one for one in held.get(member.pk, ())}
        cells = tuple(_cell(own.get(training.pk), viewer) for training in columns)
        rows.append(Row(member.name, reverse("member", args=[member.public_id]), cells))
    return [(one.name, reverse("training", args=[one.slug])) for one in columns], rows


def _machines(
    members: list[Member], held: dict[int, list[Authorisation]], viewer: Viewer
) -> tuple[list[tuple[str, str]], list[Row]]:
    columns, may_use = rights.of_many(members, held, viewer)
    yes = Cell("free", "free", gettext("May use it."))
    opens = viewer.may(Permission.VIEW_MACHINES)
    rows = [
        Row(
            member.name,
            reverse("member", args=[member.public_id]),
            tuple(yes if one.pk in may_use[member.pk] else _NOTHING for one in columns),
        )
        for member in members
    ]
    heads = [(one.name, reverse("machine", args=[one.slug]) if opens else "") for one in columns]
    return heads, rows


def _cell(held: Authorisation | None, viewer: Viewer) -> Cell:
    if held is None:
        return _NOTHING
    end = _end(right_of(held))
    level = str(rights.level_words(held.level))
    now = int(viewer.now.timestamp())
    if end is not None and end <= now:
        state, icon, word = _EXPIRED
        return Cell(state, icon, f"{level}, {word}")
    if end is not None and end <= now + SOON.total_seconds():
        state, icon, word = _ENDING
        return Cell(state, icon, f"{level}, {word}")
    if held.level == Authorisation.Level.SUPERVISED:
        return Cell("idle", "person", level)
    if held.level == Authorisation.Level.TRAINER:
        return Cell("in-use", "training", level)
    return Cell("free", "free", level)


def _end(right: Right) -> int | None:
    return min((end for end in (right.until_at, right.lapses_at) if end is not None), default=None)
