"""Lines of closed months, and what was done about them since, to what their payers have used up there.

A closed line never changes; a correction beside it does, and so does a session that somebody else should have
paid. Whatever is priced after closing finds the month as it stands then: each line with everything that
corrected it, nothing of a session that was moved away, all of one that was moved here. Passes keep what they
carried: a correction gives none back.
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from interlock.hub.bill_inputs import Span, month_of
from interlock.hub.models import Lab, Line, LineKind, Session
from interlock.hub.pricing import Before

MOVED_TO = "moved_to"
"""In the step of the correction that gives a moved session back: the payer who owes it since."""


def used_up(
    lab: Lab, payers: Iterable[int], span: Span, *, but: int | None = None, late: bool = False
) -> dict[int, Before]:
    """By payer: what the sessions of those days that are closed and theirs have used of caps and included time,
    but for the session `but`; with `late` also those that came after closing. Two queries."""
    wanted = set(payers)
    lines = _session_lines(lab, wanted, span).exclude(session=but)
    if not late:
        lines = lines.filter(statement__isnull=False)
    before = _came_to(lab, wanted, span, but)
    columns = ("payer_id", "net_cents", "included_s", "tariff_version__tariff_id", "day")
    theirs = _corrected(lines.exclude(_moved_away()))
    for payer, cents, included_s, tariff, day in theirs.values_list(*columns):
        _count(before[payer], tariff, day, cents, included_s)
    return before


def came_to(lab: Lab, payer: int, span: Span) -> Before:
    """What sessions of those days that were moved to that payer have used up. One query."""
    return _came_to(lab, {payer}, span, None)[payer]


def still_theirs(lab: Lab, payer: int, span: Span) -> QuerySet[Session]:
    """The sessions of those days on that payer's closed lines, without those that were moved away."""
    lines = _session_lines(lab, {payer}, span).filter(statement__isnull=False)
    return Session.objects.filter(line__in=lines.exclude(_moved_away()))


def _session_lines(lab: Lab, payers: set[int], span: Span) -> QuerySet[Line]:
    lines = Line.objects.filter(
        lab=lab, kind=LineKind.SESSION, payer__in=payers, day__gte=span.begin
    )
    return lines if span.end is None else lines.filter(day__lt=span.end)


def _moved_away() -> Q:
    """Whether the session of a line is owed by somebody else since, or for another purpose."""
    given_back = Line.objects.filter(
        corrects=OuterRef("pk"), **{f"steps__0__{MOVED_TO}__isnull": False}
    )
    owed_since = Line.objects.filter(kind=LineKind.ADJUSTMENT, used_in=OuterRef("session"))
    return Q(Exists(given_back)) | Q(Exists(owed_since))


def _came_to(lab: Lab, payers: set[int], span: Span, but: int | None) -> dict[int, Before]:
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    begin, end = span.instants(zone)
    moved = Line.objects.filter(
        lab=lab, kind=LineKind.ADJUSTMENT, payer__in=payers, used_in__ended_at__gte=begin
    ).exclude(used_in=but)
    if end is not None:
        moved = moved.filter(used_in__ended_at__lt=end)
    before: dict[int, Before] = defaultdict(Before)
    columns = ("payer_id", "net_cents", "included_s", "used_in__tariff_id", "used_in__ended_at")
    for payer, cents, included_s, tariff, ended_at in _corrected(moved).values_list(*columns):
        _count(before[payer], tariff, ended_at.astimezone(zone).date(), cents, included_s)
    return before


def _corrected(lines: QuerySet[Line]) -> QuerySet[Line]:
    """Each with `net_cents`: its price, and everything that corrected it since."""
    corrections = Coalesce(Sum("corrections__cents"), 0)
    return lines.order_by().annotate(net_cents=F("price_cents") + corrections)


def _count(spent: Before, tariff: int | None, day: date, cents: int, included_s: int) -> None:
    if tariff is None:
        return
    for counted, key, amount in (
        (spent.daily_cents, (tariff, day), max(0, cents)),
        (spent.monthly_cents, (tariff, month_of(day)), max(0, cents)),
        (spent.included_s, (tariff, month_of(day)), included_s),
    ):
        counted[key] = counted.get(key, 0) + amount
