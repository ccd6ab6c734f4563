"""Wrong lines and sessions to what puts them right: a new line with a reason, never an edit.

A correction of an open line stands beside it in the same month; one of a closed line lands in the month
that is open. What was corrected before counts: correcting to the same amount twice changes nothing twice.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import date

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import bill_inputs, closed_use, credit, pricing, rollup
from interlock.hub.bill_inputs import month_span, terms_of, use_of, version_for, versions_of
from interlock.hub.billing import billable_day, day_of, reprice, reprice_late
from interlock.hub.changes import log_deed
from interlock.hub.closed_use import MOVED_TO
from interlock.hub.domain import limits
from interlock.hub.domain.moved_sessions import Cost, cost_elsewhere
from interlock.hub.domain.tariffs import CENTS_MAX, SECONDS_MAX, check_vat
from interlock.hub.models import Lab, Line, LineKind, Payer, Purpose, Session, Topic
from interlock.hub.open_months import month_for_today, open_month
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.standing import Standings

WHY_LENGTH_MAX = 500
WORDS_LENGTH_MAX = 200


def owed_cents(line: Line) -> int:
    """What is owed for a line with everything that corrected it."""
    corrected = Line.objects.filter(corrects=line).aggregate(total=Sum("cents"))["total"] or 0
    return line.cents + int(corrected)


@transaction.atomic
def correct_line(actor: Actor, line: Line, cents: int, why: str) -> Line:
    """The line should have been `cents`: the difference is a new line. Raises ConfigError."""
    require(actor, line.lab, Permission.CORRECT_USE)
    if line.corrects_id is not None:
        raise ConfigError(
            _("this line corrects another one"),
            where=str(line),
            remedy=_("Correct the line it speaks of"),
        )
    _check_cents(cents)
    step = {"kind": "correction", "was_cents": owed_cents(line), "should_cents": cents}
    return _correct(actor, line, cents - owed_cents(line), why, step)


@transaction.atomic
def correct_session(
    actor: Actor, session: Session, *, enabled_s: int, busy_s: int | None = None, why: str
) -> Line:
    """The session should have been that long: what that changes for its payer, caps of the day and month
    included, is a new line. Passes get nothing back: give time for that. Raises ConfigError."""
    require(actor, session.lab, Permission.CORRECT_USE)
    line = _line_of(session)
    was, should = owed_cents(line), should_cost(session, enabled_s=enabled_s, busy_s=busy_s)
    step = {
        "kind": "correction",
        "was_cents": was,
        "should_cents": should,
        "enabled_s": enabled_s,
        "busy_s": _busy_s(session, enabled_s, busy_s),
    }
    return _correct(actor, line, should - was, why, step)


def should_cost(session: Session, *, enabled_s: int, busy_s: int | None = None) -> int:
    """What the session should have cost with those times, by the prices that were in force. Raises ConfigError."""
    line, busy = _line_of(session), _busy_s(session, enabled_s, busy_s)
    if not 0 <= busy <= enabled_s <= 31 * SECONDS_MAX:
        raise ConfigError(_("nothing works longer than it is enabled"), where="enabled_s")
    as_is = _month_cents(line, session, session.enabled_ms, session.busy_ms)
    other = _month_cents(line, session, enabled_s * 1_000, busy * 1_000)
    return max(0, line.cents + other - as_is)


@transaction.atomic
def reassign(
    actor: Actor,
    session: Session,
    *,
    payer: Payer | None = None,
    purpose: str | None = None,
    why: str,
) -> list[Line]:
    """Another payer pays, or it was for another purpose (which says who pays, where `payer` is None). In an
    open month both are priced again; in a closed one the old payer gets it back and the new one owes it:
    those two lines. Raises ConfigError."""
    require(actor, session.lab, Permission.CORRECT_USE)
    _check_why(why)
    purpose = str(session.purpose) if purpose is None else purpose
    if purpose not in Purpose.values:
        raise ConfigError(_("choose what the machine was used for"), where="purpose")
    payer = payer or _payer_for(session, purpose)
    if payer is None or payer.lab_id != session.lab_id:
        raise ConfigError(_("say who pays"), where="payer")
    before = {"payer": session.payer_id, "purpose": str(session.purpose)}
    line = Line.objects.filter(session=session, statement__isnull=False).first()
    if line is None:
        lines = _reassign_open(actor, session, payer, purpose)
    else:
        lines = _reassign_closed(actor, line, payer, purpose, why)
    log_deed(
        actor,
        session.lab,
        Topic.USE,
        "session_reassigned",
        str(session.pk),
        before=before,
        after={"payer": payer.pk, "purpose": purpose, "lines": [one.pk for one in lines]},
        why=why,
    )
    return lines


@transaction.atomic
def adjust(
    actor: Actor,
    payer: Payer,
    cents: int,
    words: str,
    why: str,
    *,
    vat_bp: int = 0,
    is_net: bool = False,
    notice: str = "",
    account: str = "",
    analytic: str = "",
) -> Line:
    """`payer` owes `cents` more (below zero: less) for `words`, in the month that is running. Raises ConfigError."""
    require(actor, payer.lab, Permission.EDIT_ACCOUNTS)
    limits.check_name(words, "words", WORDS_LENGTH_MAX)
    check_vat("adjustment", vat_bp, notice, account, analytic)
    _check_cents(abs(cents))
    if not cents:
        raise ConfigError(_("nothing would change"), where="cents")
    day = day_of(payer.lab, actor.now())
    line = Line(
        lab=payer.lab,
        kind=LineKind.ADJUSTMENT,
        payer=payer,
        day=day,
        month=month_for_today(payer.lab, day),
        is_net=is_net,
        vat_bp=vat_bp,
        notice=notice,
        account=account,
        analytic=analytic,
        words=words.strip(),
    )
    return _write(actor, line, cents, why, {"kind": "adjustment"})


def _reassign_open(actor: Actor, session: Session, payer: Payer, purpose: str) -> list[Line]:
    """The session is the other payer's; both are priced again."""
    lab, days = session.lab, {billable_day(session.lab, session)}
    session.payer, session.purpose, session.reassigned = payer, purpose, True
    session.save(update_fields=["payer", "purpose", "reassigned"])
    days.add(billable_day(lab, session))
    reprice(lab, {day for day in days if day is not None}, actor.now())
    rollup.mark_sessions(lab, [session])
    return []


def _reassign_closed(actor: Actor, line: Line, payer: Payer, purpose: str, why: str) -> list[Line]:
    was = owed_cents(line)
    if line.payer_id == payer.pk and line.session and line.session.purpose == purpose:
        raise ConfigError(_("nothing would change"), where=payer.name)
    if not was:
        raise ConfigError(_("nothing is owed for it any more"), where=str(line))
    session = line.session
    cost = cost_elsewhere(line, session, payer, purpose, was) if session else Cost(was, 0)
    step = {"kind": "correction", "was_cents": was, "should_cents": 0, MOVED_TO: payer.pk}
    back = _correct(actor, line, -was, why, step)
    due = _line_like(line, LineKind.ADJUSTMENT, payer, actor)
    due.used_in, due.member = session, session.member if session else None
    due.words, due.included_s = _words(line), cost.included_s
    lines = [back]
    if cost.cents or cost.included_s:
        # Also for nothing: it has used up what a later one no longer has.
        step = {"kind": "reassigned", "of_cents": was}
        lines.append(_write(actor, due, cost.cents, why, step))
    reprice_late(line.lab, [payer.pk], line.day, actor.now())
    return lines


def _correct(actor: Actor, line: Line, cents: int, why: str, step: Mapping[str, object]) -> Line:
    if not cents:
        raise ConfigError(_("nothing would change"), where=_words(line))
    correction = _line_like(line, LineKind.CORRECTION, line.payer, actor)
    correction.corrects, correction.words = line, _words(line)
    correction.tariff_version, correction.material = line.tariff_version, line.material
    written = _write(actor, correction, cents, why, step)
    used = line.session if line.session and not line.provisional else line.used_in
    if used is not None and used.ended_at is not None:
        # What came late for that month has more left of its caps now, or less.
        day = line.day if line.session else day_of(line.lab, used.ended_at)
        reprice_late(line.lab, [line.payer_id], day, actor.now())
    return written


def _line_like(line: Line, kind: str, payer: Payer, actor: Actor) -> Line:
    """A new line with the VAT and codes of another, in its month if that is open, else in the one that is."""
    lab = Lab.objects.get(pk=line.lab_id)
    return Line(
        lab=lab,
        kind=kind,
        payer=payer,
        day=day_of(lab, actor.now()),
        month=line.month if line.provisional else open_month(lab, actor.now()),
        is_net=line.is_net,
        vat_bp=line.vat_bp,
        notice=line.notice,
        account=line.account,
        analytic=line.analytic,
    )


def _write(actor: Actor, line: Line, cents: int, why: str, step: Mapping[str, object]) -> Line:
    _check_why(why)
    line.cents = line.price_cents = cents
    line.steps = [{**step, "seconds": 0, "cents": cents}]
    line.why, line.priced_at = why.strip(), actor.now()
    line.save(force_insert=True)
    log_deed(
        actor,
        line.lab,
        Topic.USE,
        f"line_{line.kind}",
        str(line.pk),
        after={"payer": line.payer_id, "cents": cents, "corrects": line.corrects_id},
        why=why,
    )
    credit.recount(line.lab, [line.payer_id], actor.now())
    return line


def _line_of(session: Session) -> Line:
    line = Line.objects.filter(session=session).select_related("lab", "payer").first()
    if line is None:
        raise ConfigError(
            _("this session has no price"),
            where=str(session),
            remedy=_("It runs, was voided, or nobody pays for it"),
        )
    return line


def _month_cents(line: Line, session: Session, enabled_ms: int, busy_ms: int) -> int:
    """What the payer's sessions of that calendar month cost by their prices, `session` with those times. If it
    is closed: the closed ones, beside what was moved to them; if not: the open ones beside what those used."""
    lab, payer = line.lab, line.payer_id
    zone, span = zoneinfo.ZoneInfo(lab.time_zone), month_span(line.day.replace(day=1))
    if line.provisional:
        found = bill_inputs.billable().filter(
            bill_inputs.in_span(span, zone), lab=lab, payer=payer, line__statement__isnull=True
        )
        before = closed_use.used_up(lab, [payer], span)[payer]
    else:
        found = closed_use.still_theirs(lab, payer, span)
        before = closed_use.came_to(lab, payer, span)
    rows = [
        row._replace(enabled_ms=enabled_ms, busy_ms=busy_ms) if row.pk == session.pk else row
        for row in bill_inputs.rows_of(found)
    ]
    versions = versions_of(row.tariff_id for row in rows if row.tariff_id)
    uses = []
    for row in rows:
        version = version_for(versions, row.tariff_id, row.group_id, row.started_at)
        day: date = row.ended_at.astimezone(zone).date()
        uses.append(use_of(row, day, terms_of(version) if version else None))
    return sum(priced.price_cents for priced in pricing.price(uses, before=before))


def _payer_for(session: Session, purpose: str) -> Payer | None:
    """Who pays for that purpose, by what held for the member when the session began."""
    if session.member is None:
        return session.payer
    standings = Standings()
    standings.load([session.member.pk])
    pk = standings.of(session.member, session.started_at).payer_for(purpose)
    return Payer.objects.filter(pk=pk or 0).first()


def _words(line: Line) -> str:
    if line.words:
        return line.words
    return "" if line.session is None else line.session.machine.name


def _busy_s(session: Session, enabled_s: int, busy_s: int | None) -> int:
    return min(session.busy_ms // 1_000, enabled_s) if busy_s is None else busy_s


def _check_why(why: str) -> None:
    if not 0 < len(why.strip()) <= WHY_LENGTH_MAX:
        raise ConfigError(_("say why"), where="why")


def _check_cents(cents: int) -> None:
    if not 0 <= cents <= CENTS_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 0, "most": CENTS_MAX},
            where="cents",
        )
