"""A filter goes in; the sessions it matches come out, with duration, ending and price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext
from django.views.decorators.http import require_GET

from interlock.hub import days
from interlock.hub.domain import looks
from interlock.hub.models import Line, Machine, Member, NodeRecord, Payer, Purpose, Session
from interlock.hub.pages import formats, words
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.long_list import COUNTED_MAX, LongPaginator, in_order
from interlock.hub.pages.prices import PriceStep, price_steps
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50
"""What fits a scroll; the rest is one click away."""

FEW_PEOPLE = 100
"""The use of so few is found by who they are; of more, by going back in time until a page is full."""

EVER = datetime.min.replace(tzinfo=UTC)

LATE_AFTER_S = 300
"""A record that took longer than five minutes to arrive came from a node that was cut off."""


_DASH = f"{formats.SPACE}–\u2060{formats.SPACE}"
"""With a word joiner: browsers break a line behind a dash even before a space that does not break."""


@dataclass(frozen=True, slots=True)
class Row:
    """One session as a table shows it; `marks` are (state colour, words) that qualify it."""

    address: str
    day: str
    hours: str
    machine: str
    member: str
    member_address: str
    duration: str
    how: str
    price: str
    marks: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was there too, in which role; `address` is empty for who may not see members."""

    role: str
    name: str
    address: str


class Filter(Form):
    """Which sessions to show; empty fields ask nothing."""

    machine = forms.ModelChoiceField(
        Machine.objects.none(),
        to_field_name="slug",
        required=False,
        label=gettext_lazy("Machine"),
        empty_label=gettext_lazy("All machines"),
    )
    member = forms.CharField(required=False, max_length=100, label=gettext_lazy("Member"))
    payer = forms.CharField(required=False, max_length=150, label=gettext_lazy("Paid by"))
    purpose = forms.ChoiceField(
        choices=(("", gettext_lazy("anything")), *Purpose.choices),
        required=False,
        label=gettext_lazy("Used for"),
    )
    from_day = forms.DateField(
        required=False, label=gettext_lazy("From"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    to_day = forms.DateField(
        required=False, label=gettext_lazy("To"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.viewer = viewer
        machine = self.fields["machine"]
        if isinstance(machine, forms.ModelChoiceField):
            machine.queryset = Machine.objects.filter(lab=viewer.lab)
        if not viewer.may(Permission.VIEW_PRICES):
            del self.fields["payer"]

    def found(self) -> QuerySet[Session]:
        """The lab's sessions that match; days begin and end where the lab is.

        Whoever names a machine or few people is answered along their index, which a condition on the lab would
        hide from the database: they are of the lab themselves.
        """
        if not self.is_valid():
            return Session.objects.none()
        wanted = self.cleaned_data
        named = self._people()
        if wanted["machine"]:
            named.append((Q(machine=wanted["machine"]), True))
        is_narrow = any(is_few for _, is_few in named)
        found = Session.objects.filter(*(condition for condition, _ in named))
        if not is_narrow:
            found = found.filter(lab=self.viewer.lab)
        if wanted["purpose"]:
            found = found.filter(purpose=wanted["purpose"])
        if wanted["from_day"]:
            begin = days.begin_of(wanted["from_day"], self.viewer.zone)
            found = found.filter(Q(ended_at=None) | Q(ended_at__gte=begin), self._since(begin))
        if wanted["to_day"]:
            end = days.end_of(wanted["to_day"], self.viewer.zone)
            found = found.filter(started_at__lt=end)
        return found

    def _people(self) -> list[tuple[Q, bool]]:
        """Of each name asked for: the condition, and whether those who match are few."""
        wanted = self.cleaned_data
        asked = (
            ("member", Member.objects.all(), wanted["member"]),
            ("payer", Payer.objects.all(), wanted.get("payer")),
        )
        conditions = []
        for name, everybody, part in asked:
            if not part:
                continue
            matching = everybody.filter(lab=self.viewer.lab, name__icontains=part)
            keys = list(matching.values_list("pk", flat=True)[: FEW_PEOPLE + 1])
            if len(keys) <= FEW_PEOPLE:
                conditions.append((Q(**{f"{name}__in": keys}), True))
            else:
                conditions.append((Q(**{f"{name}__name__icontains": part}), False))
        return conditions

    def _since(self, begin: datetime) -> Q:
        """When the first of those sessions began that had not ended at `begin`: nothing before it has to be gone
        through. Where they are too many to look, any time: said all the same, since a condition on the start
        keeps the database in the order of the list."""
        mine = Session.objects.filter(lab=self.viewer.lab).order_by()
        columns = (
            "started_at",
            "seq",
        )  # one that is in no index: else the wrong one is read to its end
        running = list(mine.filter(ended_at=None).values_list(*columns)[: COUNTED_MAX + 1])
        over = mine.filter(ended_at__gte=begin).values("started_at")[: COUNTED_MAX + 1]
        seen = over.aggregate(first=Min("started_at"), rows=Count("*"))
        if len(running) + seen["rows"] > COUNTED_MAX:
            return Q(started_at__gte=EVER)
        firsts = [at for at, _ in running] + ([seen["first"]] if seen["rows"] else [])
        return Q(started_at__gte=min(firsts)) if firsts else Q(pk=None)


@require_GET
@page(Permission.VIEW_SESSIONS)
def sessions(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The lab's sessions, newest first."""
    form = Filter(viewer, request.GET or None)
    found = form.found() if form.is_bound else Session.objects.filter(lab=viewer.lab)
    shown = LongPaginator(keys(found), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "page": shown,
        "rows": rows(in_order(of_lab(viewer), list(shown.object_list)), viewer),
        "filtered": form.is_bound and any(request.GET.get(name) for name in form.fields),
        "shows_prices": viewer.may(Permission.VIEW_PRICES),
        "query": query_without_page(request),
    }
    return render(request, "hub/sessions.html", context)


@require_GET
@page(Permission.VIEW_SESSIONS)
def session(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One session: what was used, how it ended and why it costs what it costs."""
    found = of_lab(viewer).filter(pk=number).first()
    if found is None:
        raise Http404(gettext("There is no such session in this lab."))
    [shown] = rows([found], viewer)
    line = line_of(found)
    shows_prices = viewer.may(Permission.VIEW_PRICES)
    steps: list[PriceStep] = price_steps(line) if line is not None and shows_prices else []
    context = {
        "session": found,
        "row": shown,
        "times": _times(found),
        "people": _people(found, viewer),
        "course": _course(found),
        "line": line,
        "steps": steps,
        "shows_prices": shows_prices,
        "corrections": _corrections(line) if shows_prices else [],
        "may_correct": viewer.may(Permission.CORRECT_USE) and found.ended_at is not None,
    }
    return render(request, "hub/session.html", context)


def of_lab(viewer: Viewer) -> QuerySet[Session]:
    """The lab's sessions with everything a row needs: one query, whatever their number."""
    arrival = NodeRecord.objects.filter(
        node=OuterRef("node"), epoch=OuterRef("epoch"), seq=OuterRef("seq")
    ).values("received_at")[:1]
    return (
        Session.objects.filter(lab=viewer.lab)
        .select_related("machine", "member", "supervisor", "second", "payer", "line", "line__payer")
        .annotate(arrived_at=Subquery(arrival))
    )


def keys(found: QuerySet[Session]) -> QuerySet[Session, int]:
    """The keys of sessions, newest first."""
    return found.order_by("-started_at", "-pk").values_list("pk", flat=True)


def last_of(found: QuerySet[Session], number: int, viewer: Viewer) -> list[Session]:
    """The newest `number` of those sessions, with everything a row needs: two queries."""
    return in_order(of_lab(viewer), list(keys(found)[:number]))


def rows(found: Iterable[Session], viewer: Viewer) -> list[Row]:
    """The rows of a table of sessions; that somebody looked at them is noted."""
    shown = list(found)
    looks.note(
        viewer.user,
        viewer.lab,
        (one.member for one in shown),
        viewer.now.astimezone(viewer.zone).date(),
    )
    return [row(one, viewer) for one in shown]


def row(found: Session, viewer: Viewer) -> Row:
    """One session in words."""
    line = line_of(found)
    opens_members = viewer.may(Permission.VIEW_MEMBERS) and found.member is not None
    return Row(
        address=reverse("session", args=[found.pk]),
        day=formats.day(found.started_at, viewer.zone),
        hours=_hours(found, viewer),
        machine=found.machine.name,
        member=found.member.name if found.member else gettext("nobody the hub knows"),
        member_address=(
            reverse("member", args=[found.member.public_id])
            if opens_members and found.member
            else ""
        ),
        duration=formats.duration(found.enabled_ms // 1_000),
        how=ending_words(found),
        price=formats.euros(line.cents) if line is not None and not found.voided else "",
        marks=tuple(_marks(found)),
    )


def ending_words(found: Session) -> str:
    """How the session ended, or that it runs."""
    if found.voided:
        return _with_names(gettext("Never began: the machine was not switched on"), found)
    if found.ended_at is None:
        return gettext("Running")
    known = {ending.value: text for ending, text in words.ENDINGS.items()}
    return _with_names(str(known.get(found.how, found.how)), found)


def line_of(found: Session) -> Line | None:
    """Its priced line; None where nothing is billed. No query for a session of `of_lab`."""
    try:
        return found.line
    except Line.DoesNotExist:
        return None


def query_without_page(request: HttpRequest) -> str:
    """The filter of this address, for the links to other pages of the same list."""
    query = request.GET.copy()
    query.pop("page", None)
    return query.urlencode()


def _corrections(line: Line | None) -> list[tuple[str, str, str]]:
    """Of each correction: its amount, its reason, and the page it stands on."""
    if line is None:
        return []
    found = Line.objects.filter(corrects=line).order_by("pk")
    return [
        (formats.euros(one.cents), one.why, reverse("billing-line", args=[one.pk])) for one in found
    ]


def _hours(found: Session, viewer: Viewer) -> str:
    began = formats.time_of_day(found.started_at, viewer.zone)
    if found.ended_at is None:
        return gettext("since %(moment)s") % {"moment": began}
    # On another day the end says which: 17:05 – 22 Nov 2026, 08:34.
    ended = formats.moment(found.ended_at, viewer.zone, found.started_at)
    return f"{began}{formats.SPACE}– {ended}" if "," in ended else f"{began}{_DASH}{ended}"


def _with_names(said: str, found: Session) -> str:
    """The ending, and the interlocks that made it, by the names the lab gave them."""
    return f"{said} ({', '.join(found.interlocks)})" if found.interlocks else said


def _people(found: Session, viewer: Viewer) -> list[Person]:
    """Who was there besides the member who pays."""
    there = [
        (gettext("Supervised by"), found.supervisor),
        (gettext("Second person"), found.second),
    ]
    opens = viewer.may(Permission.VIEW_MEMBERS)
    return [
        Person(role, one.name, reverse("member", args=[one.public_id]) if opens else "")
        for role, one in there
        if one is not None
    ]


def _course(found: Session) -> list[tuple[str, str]]:
    """What else happened, for those sessions to which it did."""
    course = []
    if found.confirmations:
        times = ngettext("%(n)s time", "%(n)s times", found.confirmations)
        course.append((gettext("Supervision confirmed"), times % {"n": found.confirmations}))
    if found.long_job:
        course.append((gettext("Long job"), gettext("declared: it went on without the badge")))
    if found.would_refuse:
        course.append((gettext("Would have been refused"), _why_refused(found.would_refuse)))
    return course


def _why_refused(code: str) -> str:
    """The reason in words; the training it may speak of is not kept."""
    known = {reason.value: text for reason, text in words.REASONS.items()}
    said = str(known.get(code, code))
    return gettext("A training is missing or over.") if "%(training)s" in said else said


def _marks(found: Session) -> Iterable[tuple[str, str]]:
    if found.purpose != Purpose.OWN:
        yield "idle", str(Purpose(found.purpose).label)
    if found.voided:
        yield "offline", gettext("not billed")
    if found.would_refuse:
        yield "fault", gettext("would have been refused")
    if found.estimated:
        yield "ending", gettext("end estimated")
    if found.provisional:
        yield "ending", gettext("time not certain yet")
    arrived_at: datetime | None = getattr(found, "arrived_at", None)
    if arrived_at and arrived_at - found.started_at > timedelta(seconds=LATE_AFTER_S):
        yield "offline", gettext("arrived late")


def _times(found: Session) -> list[tuple[str, str]]:
    measured = [
        (gettext("Machine enabled"), found.enabled_ms),
        (gettext("of which working"), found.busy_ms),
        (gettext("of which idle"), found.idle_ms),
        (gettext("of which not measured"), found.unknown_ms),
    ]
    return [(name, formats.exact_duration(ms // 1_000)) for name, ms in measured]
