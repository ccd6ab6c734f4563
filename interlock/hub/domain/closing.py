"""A month of the lab to numbered statements that nothing changes any more, one a payer.

First everything is priced again, a few payers at a time, so that nodes and pages are not kept waiting;
then the lines as they stand are put on statements in one transaction. What arrives later is billed in the
month that is open (hub/ledger_triggers.py keeps what is closed).
"""

from __future__ import annotations

import secrets
import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from interlock.errors import ConfigError, StoreError
from interlock.hub import bill_inputs, ledger, vat
from interlock.hub.bill_inputs import billable, in_span, month_of, month_span, next_month
from interlock.hub.billing import day_of, reprice
from interlock.hub.changes import SALT_BYTES, log_deed
from interlock.hub.models import AccountEntry, Lab, Line, Payer, Period, Statement, Topic
from interlock.hub.open_months import accounts_left, carried, open_lines, open_month
from interlock.hub.permissions import Actor, Permission, require

CHUNK_PAYERS = 100
"""Payers priced in one transaction: short enough that nodes are never kept waiting."""

Progress = Callable[[int, int], None]
"""Called with steps done, and steps in all; a payer is two: priced again, and put on a statement."""


def close(
    actor: Actor, lab: Lab, month: date, progress: Progress = lambda _done, _total: None
) -> Period:
    """The month is closed and its statements issued. Raises ConfigError: it is not over, an earlier one is
    open, or it is closed already; then nothing changed."""
    require(actor, lab, Permission.CLOSE_PERIODS)
    require_closable(lab, month, actor.now())
    payers = payers_of(lab, month)
    total = 2 * len(payers)
    for first in range(0, len(payers), CHUNK_PAYERS):
        chunk = payers[first : first + CHUNK_PAYERS]
        with transaction.atomic():
            _price_again(lab, month, chunk, actor.now())
        progress(first + len(chunk), total)
    with transaction.atomic():
        locked = Lab.objects.select_for_update().get(pk=lab.pk)
        require_closable(locked, month, actor.now())
        closing = _Closing(locked, month, actor.now())
        period = closing.run(lambda done: progress(min(total, len(payers) + done), total))
        log_deed(actor, lab, Topic.OTHER, "month_closed", str(period), after=_described(period))
    return period


def require_closable(lab: Lab, month: date, at: datetime) -> None:
    """Return when the month can be closed. Raises ConfigError."""
    named = f"{month:%Y-%m}"
    if month != month_of(month):
        raise ConfigError(_("a month is named by its first day"), where=month.isoformat())
    if next_month(month) > day_of(lab, at):
        raise ConfigError(
            _("this month is not over"),
            where=named,
            remedy=_("Close it on the first day of the next one or later"),
        )
    if Period.objects.filter(lab=lab, month__gte=month, closed_at__isnull=False).exists():
        raise ConfigError(_("this month is closed already"), where=named)
    first = open_month(lab, at)
    if month > first:
        raise ConfigError(
            _("an earlier month is still open"),
            where=f"{first:%Y-%m}",
            remedy=_("Close the months one after the other"),
        )


def payers_of(lab: Lab, month: date) -> list[int]:
    """Whoever has a session or a line in that month, by their numbers."""
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    used = billable().filter(in_span(month_span(month), zone), lab=lab)
    billed = open_lines(lab).filter(month=month)
    ids = {*used.values_list("payer", flat=True), *billed.values_list("payer", flat=True)}
    return sorted(ids)


class _Closing:
    """One month's lines on their way to statements, all in one transaction."""

    def __init__(self, lab: Lab, month: date, at: datetime) -> None:
        self._lab, self._month, self._at = lab, month, at
        self._number, self._head = lab.statement_seq, bytes(lab.ledger_head)

    def run(self, progress: Callable[[int], None]) -> Period:
        """The statements are issued and the month is closed."""
        period = Period.objects.create(lab=self._lab, month=self._month)
        by_payer, left = _lines_by_payer(self._lab, self._month), accounts_left(self._lab)
        statements = []
        for payer in Payer.objects.filter(lab=self._lab).order_by("name", "pk"):
            if payer.pk in by_payer:
                lines = by_payer[payer.pk]
                statements.append(self._statement(period, payer, lines, left.get(payer.pk)))
                progress(len(statements))
        Statement.objects.bulk_create(statements)
        theirs = Statement.objects.filter(period=period, payer=OuterRef("payer")).values("pk")
        open_lines(self._lab).filter(month=self._month).update(statement=Subquery(theirs[:1]))
        AccountEntry.objects.bulk_create(_booked(statements, self._at))
        return self._finish(period, statements)

    def _statement(
        self, period: Period, payer: Payer, lines: list[ledger.LineFacts], left: int | None
    ) -> Statement:
        totals = vat.totals(map(ledger.amount_of, lines))
        self._number += 1
        statement = Statement(
            lab=self._lab,
            period=period,
            number=self._number,
            payer=payer,
            issued_at=self._at,
            name=payer.name,
            address=payer.address,
            siren=payer.siren,
            vat_number=payer.vat_number,
            order_reference=payer.order_reference,
            lines_count=len(lines),
            totals=totals.to_json(),
            net_cents=totals.net_cents,
            vat_cents=totals.vat_cents,
            gross_cents=totals.gross_cents,
            from_account_cents=carried(totals.gross_cents, left),
            salt=secrets.token_bytes(SALT_BYTES),
            prev=self._head,
        )
        statement.commit = ledger.commitment(statement, self._month.isoformat(), lines)
        statement.hash = self._head = ledger.link(self._head, statement.commit)
        return statement

    def _finish(self, period: Period, statements: list[Statement]) -> Period:
        period.statements_count = len(statements)
        period.lines_count = sum(one.lines_count for one in statements)
        for name in ("net_cents", "vat_cents", "gross_cents"):
            setattr(period, name, sum(getattr(one, name) for one in statements))
        period.head, period.closed_at = self._head, self._at
        attached = Line.objects.filter(statement__period=period).count()
        if attached != period.lines_count:
            raise StoreError(
                f"{attached} lines stand on statements that speak of {period.lines_count}",
                where=f"closing {period}",
                remedy="Nothing was closed; look for a second program that writes to the hub's file",
            )
        period.save()
        Lab.objects.filter(pk=self._lab.pk).update(
            open_month=next_month(self._month), statement_seq=self._number, ledger_head=self._head
        )
        return period


def _price_again(lab: Lab, month: date, payers: Iterable[int], at: datetime) -> None:
    """Whatever those payers have in that month costs what its sessions cost as they stand."""
    zone, asked = zoneinfo.ZoneInfo(lab.time_zone), list(payers)
    used = billable().filter(in_span(month_span(month), zone), lab=lab, payer__in=asked)
    ended = bill_inputs.rows_of(used.filter(line__statement__isnull=True))
    billed = open_lines(lab).filter(month=month, payer__in=asked, session__isnull=False)
    days = {(row.payer_id, row.ended_at.astimezone(zone).date()) for row in ended}
    reprice(lab, days | set(billed.values_list("payer", "day")), at)


def _lines_by_payer(lab: Lab, month: date) -> dict[int, list[ledger.LineFacts]]:
    found = open_lines(lab).filter(month=month).order_by("payer", "day", "pk")
    by_payer: dict[int, list[ledger.LineFacts]] = defaultdict(list)
    for payer, *facts in found.values_list("payer_id", *ledger.LINE_FACTS):
        by_payer[payer].append(facts)
    return by_payer


def _booked(statements: Iterable[Statement], at: datetime) -> list[AccountEntry]:
    """What the accounts carried, as entries of theirs."""
    return [
        AccountEntry(
            lab_id=statement.lab_id,
            payer_id=statement.payer_id,
            kind=AccountEntry.Kind.STATEMENT,
            cents=-statement.from_account_cents,
            statement=statement,
            written_at=at,
        )
        for statement in statements
        if statement.from_account_cents
    ]


def _described(period: Period) -> dict[str, int | str]:
    """What the audit log keeps of a closing."""
    return {
        "statements": period.statements_count,
        "lines": period.lines_count,
        "gross_cents": period.gross_cents,
        "head": bytes(period.head).hex(),
    }
