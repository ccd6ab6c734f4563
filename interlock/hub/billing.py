"""Stored sessions to stored lines: what depends on each other is priced again whenever one changes.

That is a payer's day; their month, where the lab's prices count by the month; and everything that is not
closed yet, where they hold passes. A line that stands on a statement is never touched: a session whose
month was closed before it arrived is billed in the open one, with its own date and tariff version.
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from interlock.hub import bill_inputs, closed_use, credit, pricing
from interlock.hub.alarms import ask_to_check
from interlock.hub.bill_inputs import (
    Row,
    Span,
    Versions,
    day_span,
    month_of,
    month_span,
    terms_of,
    use_of,
    version_for,
    versions_of,
)
from interlock.hub.models import Lab, Line, LineKind, Node, PassUse, Session, TariffVersion
from interlock.hub.pricing import Before, Fund, Priced, Terms
from interlock.hub.timeline import moment

Day = tuple[int, date]
"""(payer, the lab's calendar day): the least that is priced together."""


def day_of(lab: Lab, at: datetime) -> date:
    """The lab's calendar day of an instant."""
    return at.astimezone(zoneinfo.ZoneInfo(lab.time_zone)).date()


def billable_day(lab: Lab, session: Session) -> Day | None:
    """Where `session` is billed; None for one that runs, was voided, or has nobody to pay."""
    if session.payer_id is None or session.voided or not session.how or session.ended_at is None:
        return None
    return (session.payer_id, day_of(lab, session.ended_at))


def reprice(lab: Lab, days: Iterable[Day], at: datetime) -> None:
    """The open lines of those days, and of what depends on them, are what their sessions cost; lines
    without a session to bill are gone. Accounts say what is left of them.

    Call it in the transaction that changed the sessions. The number of queries is constant.
    """
    wanted = set(days)
    if not wanted:
        return
    fresh, by_month = bill_inputs.lab_to_bill(lab)
    funds, prepaying = bill_inputs.purses_of(payer for payer, _ in wanted)
    scope: dict[Span, set[int]] = defaultdict(set)
    for payer, day in wanted:
        scope[month_span(day.replace(day=1)) if by_month else day_span(day)].add(payer)
    for payer, theirs in funds.items():
        first = min(day for known, day in wanted if known == payer)
        scope[_span_of(theirs, first)].add(payer)
    _price(_Books(fresh, funds, prepaying, at), scope)
    _ask_about_changed(fresh, wanted, at)


def reprice_since(lab: Lab, payers: Iterable[int], begin: date, at: datetime) -> None:
    """The same for everything of those payers from the month of `begin` on, or from their first pass on."""
    asked = set(payers)
    if asked:
        fresh = Lab.objects.get(pk=lab.pk)
        funds, prepaying = bill_inputs.purses_of(asked)
        scope: dict[Span, set[int]] = defaultdict(set)
        for payer in asked:
            scope[_span_of(funds.get(payer, ()), begin)].add(payer)
        _price(_Books(fresh, funds, prepaying, at), scope)


def reprice_late(lab: Lab, payers: Iterable[int], day: date, at: datetime) -> None:
    """The open lines of those payers that came too late for the closed month of `day` cost what it leaves them,
    as it stands now: call it when one of its sessions was corrected or moved."""
    span = month_span(month_of(day))
    came_late = Line.objects.filter(
        *(Q(day__gte=span.begin), Q(day__lt=span.end)),
        lab=lab,
        kind=LineKind.SESSION,
        late=True,
        statement__isnull=True,
        payer__in=set(payers),
    )
    reprice(lab, came_late.values_list("payer", "day"), at)


@dataclass(frozen=True, slots=True)
class _Books:
    """What one round of pricing works with."""

    lab: Lab
    funds: Mapping[int, list[Fund]]
    prepaying: set[int]
    at: datetime

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.lab.time_zone)

    def billed_in(self, day: date) -> date:
        """The month in which something of that day is billed: the open one, if its own is closed."""
        return max(month_of(day), self.lab.open_month or date.min)


def _price(books: _Books, scope: Mapping[Span, set[int]]) -> None:
    rows = _open_rows(books, scope)
    versions = versions_of(row.tariff_id for row in rows if row.tariff_id)
    before = _before(books, rows)
    of_payer: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        of_payer[row.payer_id].append(row)
    lines: dict[int, Line] = {}
    taken: dict[int, tuple[pricing.Taken, ...]] = {}
    terms: dict[int, Terms] = {}
    for payer, theirs in of_payer.items():
        by_key = {row.use_key: row for row in theirs}
        chosen = {row.pk: version_for(versions, *_priced_by(row)) for row in theirs}
        for version in chosen.values():
            if version is not None and version.pk not in terms:
                terms[version.pk] = terms_of(version)
        uses = (
            use_of(
                row,
                row.ended_at.astimezone(books.zone).date(),
                terms[version.pk] if version else None,
            )
            for row in theirs
            for version in (chosen[row.pk],)
        )
        for priced in pricing.price(uses, books.funds.get(payer, ()), before.get(payer)):
            row = by_key[priced.use.order]
            lines[row.pk] = _line(books, row, priced, chosen[row.pk])
            taken[row.pk] = priced.taken
    rewritten, corrected = _store(scope, lines)
    if books.funds:
        _store_taken(lines, taken)
    _ask_about_corrected(corrected, books.at)
    _ask_about_early([row for row in rows if row.pk in rewritten], lines, versions, books.at)
    if books.prepaying:
        credit.recount(books.lab, books.prepaying, books.at)


def _priced_by(row: Row) -> tuple[int | None, int | None, datetime]:
    return (row.tariff_id, row.group_id, row.started_at)


def _open_rows(books: _Books, scope: Mapping[Span, set[int]]) -> list[Row]:
    """The sessions of `scope` that stand on no statement."""
    wanted = Q()
    for span, payers in scope.items():
        wanted |= Q(payer__in=payers) & bill_inputs.in_span(span, books.zone)
    found = bill_inputs.billable().filter(wanted, lab=books.lab, line__statement__isnull=True)
    return bill_inputs.rows_of(found)


def _before(books: _Books, rows: list[Row]) -> dict[int, Before]:
    """What closed lines have used up, for sessions of closed months: open ones have none before them."""
    closed_until = books.lab.open_month
    if closed_until is None:
        return {}
    days = {(row.payer_id, row.ended_at.astimezone(books.zone).date()) for row in rows}
    late = {(payer, day) for payer, day in days if day < closed_until}
    if not late:
        return {}
    first = month_of(min(day for _, day in late))
    span = Span(first, closed_until)
    return closed_use.used_up(books.lab, {payer for payer, _ in late}, span)


def _line(books: _Books, row: Row, priced: Priced, version: TariffVersion | None) -> Line:
    day = priced.use.day
    month = books.billed_in(day)
    line = Line(
        lab_id=books.lab.pk,
        kind=LineKind.SESSION,
        payer_id=row.payer_id,
        session_id=row.pk,
        tariff_version_id=version.pk if version else None,
        day=day,
        month=month,
        late=month > day,
        price_cents=priced.price_cents,
        cents=priced.cents,
        included_s=priced.included_s,
        enabled_ms=row.enabled_ms,
        busy_ms=row.busy_ms,
        steps=[step.to_json() for step in priced.steps],
        priced_at=books.at,
    )
    if version is not None:
        line.is_net, line.vat_bp, line.notice = version.is_net, version.vat_bp, version.notice
        line.account, line.analytic = version.account, version.analytic
    return line


_FROM_VERSION = ("is_net", "vat_bp", "notice", "account", "analytic")
_FROM_STEPS = ("price_cents", "cents", "included_s")
_COMPARED = ("payer_id", "tariff_version_id", "day", "month", "enabled_ms", "busy_ms", "steps")
_PRICED_ANEW = (
    *("payer", "tariff_version", "day", "month", "late", "enabled_ms", "busy_ms", "steps"),
    *("priced_at", *_FROM_STEPS, *_FROM_VERSION),
)


def _store(scope: Mapping[Span, set[int]], lines: Mapping[int, Line]) -> tuple[set[int], set[int]]:
    """The open lines of `scope` become `lines`; an unchanged one keeps its row and its time. Returns the
    sessions whose line is new or another, and those that somebody had corrected before it changed."""
    in_scope = Q()
    for span, payers in scope.items():
        days = (
            Q(day__gte=span.begin) if span.end is None else Q(day__gte=span.begin, day__lt=span.end)
        )
        in_scope |= Q(payer__in=payers) & days
    open_ = Q(kind=LineKind.SESSION, statement__isnull=True)
    found = Line.objects.filter(open_ & (in_scope | Q(session__in=list(lines))))
    is_corrected = Exists(Line.objects.filter(corrects=OuterRef("pk")))
    stored = {
        session: (pk, corrected, tuple(compared))
        for pk, session, corrected, *compared in found.annotate(
            is_corrected=is_corrected
        ).values_list("pk", "session_id", "is_corrected", *_COMPARED)
    }
    new, changed, corrected_ = [], [], set()
    for session, line in lines.items():
        pk, corrected, old = stored.pop(session, (None, False, ()))
        line.pk = pk
        if pk is None:
            new.append(line)
        elif old != tuple(getattr(line, name) for name in _COMPARED):
            changed.append(line)
            corrected_ |= {session} if corrected else set()
    gone = {
        session: pk
        for session, (pk, _, (payer, _, day, *_)) in stored.items()
        if _in(scope, payer, day)
    }
    corrected_ |= {session for session in gone if stored[session][1]}
    if changed:
        Line.objects.bulk_update(changed, _PRICED_ANEW)
    if corrected_:
        _take_corrections_along([line for line in changed if line.session_id in corrected_], gone)
    if gone:
        Line.objects.filter(pk__in=gone.values()).delete()
    if new:
        Line.objects.bulk_create(new)
    rewritten = {line.session_id for line in [*new, *changed] if line.session_id is not None}
    return rewritten, corrected_


def _take_corrections_along(changed: Iterable[Line], gone: Mapping[int, int]) -> None:
    """Corrections of open lines are owed by the same payer in the same month, and go when the line goes:
    so they are open as long as it is, and nobody gets back what they do not owe."""
    for line in changed:
        Line.objects.filter(corrects=line).update(payer=line.payer_id, month=line.month)
    Line.objects.filter(corrects__in=gone.values()).delete()


def _in(scope: Mapping[Span, set[int]], payer: int, day: date) -> bool:
    return any(payer in payers and span.holds(day) for span, payers in scope.items())


def _store_taken(lines: Mapping[int, Line], taken: Mapping[int, tuple[pricing.Taken, ...]]) -> None:
    """What those lines took of passes, and nothing else of theirs, is stored."""
    wanted = {
        (lines[session].pk, one.fund): (one.seconds, one.cents)
        for session, passes in taken.items()
        for one in passes
    }
    stored = PassUse.objects.filter(line__in=[line.pk for line in lines.values()])
    stale = []
    for pk, line, used, seconds, cents in stored.values_list(
        "pk", "line_id", "used_id", "seconds", "cents"
    ):
        if wanted.get((line, used)) == (seconds, cents):
            del wanted[line, used]
        else:
            stale.append(pk)
    if stale:
        PassUse.objects.filter(pk__in=stale).delete()
    PassUse.objects.bulk_create(
        PassUse(line_id=line, used_id=used, seconds=seconds, cents=cents)
        for (line, used), (seconds, cents) in wanted.items()
    )


def _ask_about_early(
    rows: list[Row], lines: Mapping[int, Line], versions: Versions, at: datetime
) -> None:
    """An alarm names the sessions that were priced by prices which came only after them."""
    starts = {version.pk: version.starts_at for known in versions.values() for version in known}
    early: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        version = lines[row.pk].tariff_version_id
        if version is not None and row.started_at < starts[version]:
            early[row.node_id].append(f"{row.epoch}.{row.seq}")
    _ask(early, "begun before its tariff had any price", at)


def _ask_about_corrected(sessions: set[int], at: datetime) -> None:
    """An alarm names corrected sessions that cost something else now: their correction was for another price."""
    changed: dict[int, list[str]] = defaultdict(list)
    found = Session.objects.filter(pk__in=sessions) if sessions else Session.objects.none()
    for node, epoch, seq in found.order_by("pk").values_list("node_id", "epoch", "seq"):
        changed[node].append(f"{epoch}.{seq}")
    _ask(changed, "priced again after somebody corrected it", at)


def _ask_about_changed(lab: Lab, days: set[Day], at: datetime) -> None:
    """An alarm names sessions that turned out to be others than their closed line says: somebody has to
    correct what cannot change any more."""
    closed_until = lab.open_month
    if closed_until is None or all(day >= closed_until for _, day in days):
        return
    found = Line.objects.filter(
        kind=LineKind.SESSION,
        statement__isnull=False,
        payer__in={payer for payer, _ in days},
        day__in={day for _, day in days},
    ).values_list(
        *("payer_id", "day", "enabled_ms", "busy_ms"),
        *("session__payer_id", "session__ended_at", "session__enabled_ms", "session__busy_ms"),
        *("session__voided", "session__node_id", "session__epoch", "session__seq"),
    )
    changed: dict[int, list[str]] = defaultdict(list)
    for (
        payer,
        day,
        *was,
        payer_now,
        ended_at,
        enabled_now,
        busy_now,
        voided,
        node,
        epoch,
        seq,
    ) in found:
        now = (payer_now, day_of(lab, ended_at), enabled_now, busy_now)
        if (payer, day) in days and (voided or (payer, day, *was) != now):
            changed[node].append(f"{epoch}.{seq}")
    _ask(changed, "changed after its month was closed", at)


def _ask(sessions: Mapping[int, list[str]], why: str, at: datetime) -> None:
    for node in Node.objects.filter(pk__in=sessions) if sessions else ():
        ask_to_check(node, sessions[node.pk], why, at)


def _span_of(funds: Iterable[Fund], first: date) -> Span:
    """From the month of `first` on, and of the first pass: passes carry from one open month into the next,
    in order, so nothing before is left out."""
    return Span(month_of(min([first, *(_day_of_ms(fund.starts_ms) for fund in funds)])), None)


def _day_of_ms(wall_ms: int) -> date:
    """A day no later than that instant's, whatever the zone: a span may begin too soon, never too late."""
    return (moment(wall_ms) - timedelta(days=1)).date()
