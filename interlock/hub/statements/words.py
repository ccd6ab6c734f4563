"""A stored statement goes in; its sheet comes out, in the language that is switched on."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from interlock.hub import ledger
from interlock.hub.models import Line, LineKind, Statement
from interlock.hub.pages import formats
from interlock.hub.pages.billing.words import day_words, last_day, month_words, vat_words
from interlock.hub.pages.prices import price_steps
from interlock.hub.statements.sheet import Chapter, Entry, Sheet, Vat
from interlock.hub.vat import totals_from_json


def sheet_of(statement: Statement) -> Sheet:
    """What the statement says; three queries, however many lines it has."""
    lab, zone = statement.lab, ZoneInfo(statement.lab.time_zone)
    return Sheet(
        number=str(statement),
        title=gettext("Statement for %(month)s") % {"month": month_words(statement.period.month)},
        lab=lab.name,
        lab_lines=tuple(lab.statement_head.splitlines()),
        payer=statement.name,
        payer_lines=_payer_lines(statement),
        facts=_facts(statement, zone),
        chapters=chapters_of(ledger.lines_of(statement), zone),
        vat=tuple(
            Vat(
                vat_words(rate.vat_bp, rate.notice),
                formats.euros(rate.net_cents),
                formats.euros(rate.vat_cents),
                formats.euros(rate.gross_cents),
            )
            for rate in totals_from_json(statement.totals).rates
        ),
        sums=_sums(statement),
        notes=(gettext("This is a statement of use, not an invoice and not a receipt."),),
        seal=ledger.printed(statement),
        made_at=statement.issued_at,
    )


def chapters_of(lines: Iterable[Line], zone: ZoneInfo) -> tuple[Chapter, ...]:
    """The lines by machine, then what is no use of a machine; each in the order it was given."""
    sorted_in: dict[tuple[int, str], list[Line]] = {}
    for line in lines:
        sorted_in.setdefault(_chapter_of(line), []).append(line)
    return tuple(
        Chapter(
            name,
            tuple(_entry(line, zone) for line in found),
            *_amounts(found),
        )
        for (_, name), found in sorted(sorted_in.items())
    )


def _amounts(lines: list[Line]) -> tuple[str, str]:
    """What the amounts are, and their sum; none where prices changed from net to gross in between."""
    if len({line.is_net for line in lines}) > 1:
        return gettext("Amount"), ""
    total = formats.euros(sum(line.cents for line in lines))
    return (gettext("Before VAT") if lines[0].is_net else gettext("With VAT")), total


def what(line: Line) -> str:
    """What a line is about, without its machine: whom and how long, or its own words."""
    if line.session is None:
        return " · ".join(part for part in (line.words, _name(line)) if part) or str(
            line.get_kind_display()
        )
    parts = [_name(line), formats.duration(line.enabled_ms // 1_000)]
    if line.late:
        parts.append(gettext("arrived after its month was closed"))
    return " · ".join(part for part in parts if part)


def when(line: Line, zone: ZoneInfo) -> str:
    """The day, and the hours of a session."""
    session = line.session
    if session is None or session.ended_at is None:
        return day_words(line.day)
    began = formats.time_of_day(session.started_at, zone)
    ended = formats.time_of_day(session.ended_at, zone)
    return f"{day_words(line.day)}\n{began}{formats.SPACE}–{formats.SPACE}{ended}"


_ORDER = {LineKind.SESSION: 0, LineKind.MATERIAL: 1, LineKind.ADJUSTMENT: 2, LineKind.CORRECTION: 3}


def _chapter_of(line: Line) -> tuple[int, str]:
    kind = LineKind(line.kind)
    if line.session is not None:
        return (0, line.session.machine.name)
    names = {
        LineKind.MATERIAL: gettext("Materials"),
        LineKind.ADJUSTMENT: gettext("Adjustments"),
        LineKind.CORRECTION: gettext("Corrections"),
    }
    return (_ORDER[kind], names.get(kind, str(kind.label)))


def _entry(line: Line, zone: ZoneInfo) -> Entry:
    why = tuple(
        f"{step.words} ({step.amount})" if step.amount else step.words for step in price_steps(line)
    )
    said = (line.why,) if line.why and line.kind != LineKind.SESSION else ()
    return Entry(when(line, zone), what(line), formats.euros(line.cents), why + said)


def _name(line: Line) -> str:
    member = line.session.member if line.session is not None else line.member
    return member.name if member is not None else ""


def _payer_lines(statement: Statement) -> tuple[str, ...]:
    lines = statement.address.splitlines()
    if statement.siren:
        lines.append(gettext("SIREN %(number)s") % {"number": statement.siren})
    if statement.vat_number:
        lines.append(gettext("VAT number %(number)s") % {"number": statement.vat_number})
    return tuple(lines)


def _facts(statement: Statement, zone: ZoneInfo) -> tuple[tuple[str, str], ...]:
    month = statement.period.month
    facts = [
        (gettext("Period"), f"{day_words(month)} – {day_words(last_day(month))}"),
        (gettext("Issued on"), formats.day(statement.issued_at, zone)),
    ]
    if statement.order_reference:
        facts.append((gettext("Your reference"), statement.order_reference))
    return tuple(facts)


def _sums(statement: Statement) -> tuple[tuple[str, str], ...]:
    """What is printed large at the end; the last one counts."""
    total = (gettext("Total with VAT"), formats.euros(statement.gross_cents))
    if not statement.from_account_cents:
        return (total,)
    return (
        total,
        (gettext("From your account in the lab"), formats.euros(-statement.from_account_cents)),
        (gettext("Left to settle"), formats.euros(statement.due_cents)),
    )
