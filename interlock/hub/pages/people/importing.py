"""A file somebody sends goes in; its lines with what would become of each come out, then the members.

Three pages: send it, look at it, done. What was chosen stands in the address, so that looking again is a
reload, and nothing is kept but the list itself (hub.uploads).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.db.models import Count
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub import importing, uploads
from interlock.hub.domain import intake
from interlock.hub.importing_columns import WORDS, Field, guess, is_helloasso, names_people
from interlock.hub.importing_lines import MAKE, NONE, Choices, Kind, Known, Outcome, Until
from interlock.hub.models import Group, MemberImport
from interlock.hub.pages import formats, sessions
from interlock.hub.pages.access import Viewer, hub_clock, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.permissions import Permission
from interlock.hub.spreadsheets import FILE_BYTES_MAX, Sheet, plain, read_sheet
from interlock.hub.uploads import Upload

ROWS_PER_PAGE = 50
LAST_IMPORTS = 5
SAMPLE = 3
"""Cells of a column that are shown beside its heading."""
_FIRST = {Kind.BAD: 0, Kind.SKIPPED: 1, Kind.CHANGED: 2, Kind.NEW: 3}
_SHOWN = {
    Kind.BAD: ("fault", "fault", gettext_lazy("Problem")),
    Kind.SKIPPED: ("offline", "cross", gettext_lazy("Left out")),
    Kind.CHANGED: ("in-use", "person", gettext_lazy("Updated")),
    Kind.NEW: ("free", "free", gettext_lazy("New")),
}
"""State, icon and word of each."""


class SendForm(Form):
    """One file."""

    file = forms.FileField(
        label=gettext_lazy("Your list"),
        help_text=gettext_lazy(
            "CSV or XLSX, as Excel, LibreOffice or HelloAsso write it; 7 MB and 20,000 lines at most."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
    )


class LookForm(Form):
    """What each column holds, and what becomes of people who are here already."""

    known = forms.ChoiceField(
        choices=(
            (Known.UPDATE.value, gettext_lazy("update them (group, end of membership)")),
            (Known.SKIP.value, gettext_lazy("leave them as they are")),
        ),
        label=gettext_lazy("Who is a member already"),
    )
    until = forms.ChoiceField(
        choices=(
            (Until.YEAR.value, gettext_lazy("a year after joining")),
            (Until.SEASON.value, gettext_lazy("at the end of the season")),
            (Until.ALWAYS.value, gettext_lazy("no end")),
        ),
        label=gettext_lazy("Membership ends, where the list does not say"),
    )
    season_ends = forms.RegexField(
        r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
        label=gettext_lazy("Last day of the season"),
        help_text=gettext_lazy("Month and day, like 08-31."),
        widget=forms.TextInput(attrs={"placeholder": "08-31"}),
    )

    def __init__(self, viewer: Viewer, sheet: Sheet, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sheet = sheet
        fields = [("", gettext("— leave out —")), *((one.value, WORDS[one]) for one in Field)]
        for place, heading in enumerate(sheet.heading):
            label = heading or gettext("Column %(number)d") % {"number": place + 1}
            self.fields[f"c{place}"] = forms.ChoiceField(
                choices=fields, required=False, label=label
            )
        self.groups = list(Group.objects.filter(lab=viewer.lab))

    @property
    def columns(self) -> list[Column]:
        """Each column's field beside the first cells of the column."""
        return [
            Column(self[f"c{place}"], _sample(self.sheet, place))
            for place in range(len(self.sheet.heading))
        ]

    def clean(self) -> dict[str, Any]:
        """Every field is one column's at most, and somebody has a name."""
        given = self.cleaned_data
        chosen = [one for one in self._chosen() if one is not None]
        for one in dict.fromkeys(chosen):
            if chosen.count(one) > 1:
                self.add_error(None, gettext("Two columns are “%(name)s”.") % {"name": WORDS[one]})
        if not names_people(chosen):
            self.add_error(None, gettext("Say which column holds the name, or the last name."))
        return given

    def mapping(self) -> tuple[Field | None, ...]:
        """What each column holds."""
        return tuple(self._chosen())

    def _chosen(self) -> list[Field | None]:
        given = (self.cleaned_data.get(f"c{place}") for place in range(len(self.sheet.heading)))
        return [Field(one) if one else None for one in given]


@dataclass(frozen=True, slots=True)
class Column:
    """One column on screen."""

    field: BoundField
    sample: str


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group of the list that the lab does not have: the field's name and what can be chosen."""

    name: str
    key: str
    choices: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list on screen."""

    number: int
    name: str
    email: str
    group: str
    until: str
    state: str
    icon: str
    kind: str
    words: str


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def send(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A list is sent; the next page shows what is in it."""
    form = SendForm(None, None)
    if request.method == "POST":
        form = SendForm(request.POST, request.FILES)
        if form.is_valid():
            try:
                token = _received(viewer, form.cleaned_data["file"])
            except InterlockError as error:
                form.add_error("file", sentence(error))
            else:
                return redirect("import-look", token)
    last = MemberImport.objects.filter(lab=viewer.lab).select_related("user")
    last = last.annotate(still_here=Count("members"))[:LAST_IMPORTS]
    context = {
        "form": form,
        "imports": [(one, formats.moment(one.done_at, viewer.zone, viewer.now)) for one in last],
    }
    return render(request, "hub/people/import.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_MEMBERS)
def look(request: HttpRequest, viewer: Viewer, token: str) -> HttpResponse:
    """What would become of each line; and, when it is sent, it does."""
    upload = _found(viewer, token)
    form = _look_form(request, viewer, upload)
    choices = _choices(request, form)
    columns = form.mapping() if form.is_valid() else guess(upload.sheet.heading)
    if request.method == "POST" and form.is_valid():
        done = _taken(request, viewer, upload, columns, choices)
        if done is not None:
            return done
    plan = None
    if form.is_valid():
        today = viewer.now.astimezone(viewer.zone).date()
        plan = importing.look(viewer.lab, upload.sheet, columns, choices, today)
    context = _context(request, viewer, upload, form, choices, plan)
    return render(request, "hub/people/import_look.html", context)


@require_POST
@page(Permission.EDIT_MEMBERS)
def forget(request: HttpRequest, viewer: Viewer, token: str) -> HttpResponse:
    """The list is not wanted: it is deleted at once."""
    uploads.drop(_found(viewer, token).token)
    messages.success(request, gettext("The list is deleted. Nobody was imported."))
    return redirect("import")


@require_POST
@page(Permission.EDIT_MEMBERS)
def take_back(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Whoever came with that list and has done nothing since is gone again."""
    found = MemberImport.objects.filter(lab=viewer.lab, pk=number).select_related("lab").first()
    if found is None:
        raise Http404(gettext("There is no such import in this lab."))

    def deed() -> None:
        gone, stay = intake.take_back(viewer.actor, found)
        if stay:
            messages.warning(
                request,
                ngettext(
                    "%(n)s member stays: they have done something here since.",
                    "%(n)s members stay: they have done something here since.",
                    stay,
                )
                % {"n": stay},
            )
        said.append(gone)

    said: list[int] = []
    attempt(request, deed, gettext("The import is taken back."))
    return redirect("import")


def _received(viewer: Viewer, sent: UploadedFile[bytes]) -> str:
    # One byte more than allowed tells that there is more, without reading it.
    raw = sent.read(FILE_BYTES_MAX + 1)
    name = (sent.name or "")[:100]
    sheet = read_sheet(raw, name)
    return uploads.keep(hub_clock(), viewer.lab, viewer.user, name, sheet)


def _found(viewer: Viewer, token: str) -> Upload:
    found = uploads.find(hub_clock(), viewer.lab, viewer.user, token)
    if found is None:
        raise Http404(
            gettext("This list is no longer here: it is kept for an hour. Send it again.")
        )
    return found


def _look_form(request: HttpRequest, viewer: Viewer, upload: Upload) -> LookForm:
    """Bound in any case: at first to what is most likely."""
    asked = request.GET.copy()
    for place, one in enumerate(guess(upload.sheet.heading)):
        asked.setdefault(f"c{place}", one.value if one else "")
    asked.setdefault("known", Known.UPDATE.value)
    season = viewer.lab.season_ends
    asked.setdefault("until", Until.SEASON.value if season else Until.YEAR.value)
    asked.setdefault("season_ends", season or "08-31")
    return LookForm(viewer, upload.sheet, asked)


def _choices(request: HttpRequest, form: LookForm) -> Choices:
    given = form.cleaned_data if form.is_valid() else {}
    return Choices(
        known=Known(given.get("known", Known.UPDATE)),
        repeats=True,
        groups={key[2:]: str(value) for key, value in request.GET.items() if key.startswith("g-")},
        makes_groups=True,
        until=Until(given.get("until", Until.YEAR)),
        season_ends=given.get("season_ends", "08-31"),
    )


def _taken(
    request: HttpRequest,
    viewer: Viewer,
    upload: Upload,
    columns: tuple[Field | None, ...],
    choices: Choices,
) -> HttpResponse | None:
    """The page after the import; None when nothing was taken."""
    leave_out = request.POST.get("leave_out") == "yes"
    try:
        done = importing.take(
            viewer.actor,
            viewer.lab,
            upload.sheet,
            columns,
            choices,
            file_name=upload.file_name,
            leave_out_bad=leave_out,
        )
    except InterlockError as error:
        messages.error(request, sentence(error))
        return None
    if done.source is None:
        messages.error(request, gettext("Nothing was imported."))
        return None
    uploads.drop(upload.token)
    said = ngettext("%(n)s member imported.", "%(n)s members imported.", done.created)
    if done.updated:
        said += " " + ngettext("%(n)s updated.", "%(n)s updated.", done.updated)
        messages.success(request, said.replace("%(n)s", str(done.created), 1) % {"n": done.updated})
    else:
        messages.success(request, said % {"n": done.created})
    return redirect("import")


def _context(
    request: HttpRequest,
    viewer: Viewer,
    upload: Upload,
    form: LookForm,
    choices: Choices,
    plan: importing.Plan | None,
) -> dict[str, Any]:
    outcomes = (
        sorted(plan.outcomes, key=lambda one: (_FIRST[one.kind], not one.words)) if plan else []
    )
    shown = Paginator(outcomes, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    counts = {kind: plan.count(kind) if plan else 0 for kind in Kind}
    return {
        "upload": upload,
        "form": form,
        "columns": form.columns,
        "helloasso": is_helloasso(upload.sheet.heading),
        "plan": plan,
        "page": shown,
        "lines": [_line(one, viewer) for one in shown.object_list],
        "query": sessions.query_without_page(request),
        "new_groups": _new_groups(form, choices, plan),
        "total": len(upload.sheet.rows),
        "taken": counts[Kind.NEW] + counts[Kind.CHANGED],
        "bad": counts[Kind.BAD],
        "counts": [
            (state, icon, word, counts[kind])
            for kind, (state, icon, word) in reversed(_SHOWN.items())
            if counts[kind]
        ],
        "address": reverse("import-look", args=[upload.token]),
    }


def _new_groups(form: LookForm, choices: Choices, plan: importing.Plan | None) -> list[NewGroup]:
    """The groups to decide on: those to be made, and those decided otherwise before."""
    if plan is None:
        return []
    words = {**dict.fromkeys(choices.groups), **{plain(one): one for one in plan.new_groups}}
    place = form.mapping().index(Field.GROUP) if Field.GROUP in form.mapping() else None
    names: dict[str, str] = {}
    for row in form.sheet.rows if place is not None else ():
        if place is not None and place < len(row.cells):
            names.setdefault(plain(row.cells[place]), row.cells[place])
    return [
        NewGroup(
            name=names.get(key, key),
            key=f"g-{key}",
            choices=tuple(
                (value, word, choices.groups.get(key, MAKE) == value)
                for value, word in (
                    (MAKE, gettext("make this group")),
                    (NONE, gettext("no group")),
                    *((group.slug, group.name) for group in form.groups),
                )
            ),
        )
        for key in words
    ]


def _line(one: Outcome, viewer: Viewer) -> Line:
    state, icon, word = _SHOWN[one.kind]
    return Line(
        number=one.number,
        name=one.name or "—",
        email=one.email,
        group=one.group,
        until=formats.day(one.until_at, viewer.zone) if one.until_at else "",
        state=state,
        icon=icon,
        kind=str(word),
        words=one.words,
    )


def _sample(sheet: Sheet, place: int) -> str:
    cells = (row.cells[place] for row in sheet.rows if place < len(row.cells))
    return " · ".join([cell[:40] for cell in cells if cell][:SAMPLE])
