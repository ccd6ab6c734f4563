"""Closed statements go in; what an accountant enters comes out: one entry per statement, account and VAT rate.

VAT is rounded once per rate and statement (vat.py), so the entries of a rate share that sum: each gets the
whole cents of its exact part, and the cents that are left go to the largest fractions (Hare's method, as in
seats of a parliament). Net and VAT of the entries add up to the statement, to the cent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from django.utils.translation import gettext as _

from interlock.hub.models import Line, Period, Statement
from interlock.hub.tables import BASIS_POINTS, Column, Kind, Table
from interlock.hub.vat import RateTotal, totals_from_json

STATEMENTS_AT_ONCE = 500
"""Memory stays small, and a month of 10,000 payers is twenty queries."""

Key = tuple[str, str]
"""(account, analytic code)"""


@dataclass(frozen=True, slots=True)
class Share:
    """What one account gets of a statement's rate."""

    account: str
    analytic: str
    net_cents: int
    vat_cents: int

    @property
    def gross_cents(self) -> int:
        """Both together."""
        return self.net_cents + self.vat_cents


def shares(rate: RateTotal, parts: Mapping[Key, tuple[int, int]]) -> list[Share]:
    """The rate's net and VAT, given to the accounts by what each holds: (net cents, gross cents) of its
    lines priced before VAT and with VAT. In the order of account and code."""
    keys = sorted(parts)
    whole = BASIS_POINTS + rate.vat_bp
    nets = [Fraction(parts[key][0]) + Fraction(parts[key][1] * BASIS_POINTS, whole) for key in keys]
    net = _dealt(rate.net_cents, nets)
    vat = _dealt(rate.vat_cents, [one * rate.vat_bp / BASIS_POINTS for one in nets])
    return [
        Share(*key, net_cents, vat_cents)
        for key, net_cents, vat_cents in zip(keys, net, vat, strict=True)
    ]


def entries_of(period: Period) -> Table:
    """The file for the accountant."""
    columns = (
        Column(_("Statement")),
        Column(_("Issued on"), Kind.DAY),
        Column(_("Month")),
        Column(_("Payer")),
        Column("SIREN"),
        Column(_("VAT number")),
        Column(_("Order reference")),
        Column(_("Account")),
        Column(_("Analytic code")),
        Column(_("VAT rate"), Kind.PERCENT),
        Column(_("Notice")),
        Column(_("Net"), Kind.EUROS),
        Column(_("VAT amount"), Kind.EUROS),
        Column(_("Gross"), Kind.EUROS),
    )
    title = _("Entries %(month)s") % {"month": f"{period.month:%Y-%m}"}
    return Table(title, columns, _entry_rows(period))


def statements_of(period: Period) -> Table:
    """The list of the month's statements, with what accounts in the lab carried of them."""
    columns = (
        Column(_("Statement")),
        Column(_("Issued on"), Kind.DAY),
        Column(_("Payer")),
        Column(_("Lines"), Kind.NUMBER),
        Column(_("Net"), Kind.EUROS),
        Column(_("VAT amount"), Kind.EUROS),
        Column(_("Gross"), Kind.EUROS),
        Column(_("From the account"), Kind.EUROS),
        Column(_("Left to settle"), Kind.EUROS),
    )
    found = Statement.objects.filter(period=period).order_by("number").select_related("lab")
    rows = (
        (
            str(one),
            _issued_on(one),
            one.name,
            one.lines_count,
            one.net_cents,
            one.vat_cents,
            one.gross_cents,
            one.from_account_cents,
            one.due_cents,
        )
        for one in found.iterator(STATEMENTS_AT_ONCE)
    )
    title = _("Statements %(month)s") % {"month": f"{period.month:%Y-%m}"}
    return Table(title, columns, rows)


def _entry_rows(period: Period) -> Iterator[tuple[str | int | date, ...]]:
    found = Statement.objects.filter(period=period).order_by("number").select_related("lab")
    batch: list[Statement] = []
    for statement in found.iterator(STATEMENTS_AT_ONCE):
        batch.append(statement)
        if len(batch) == STATEMENTS_AT_ONCE:
            yield from _rows_of(batch, period)
            batch = []
    yield from _rows_of(batch, period)


def _rows_of(batch: list[Statement], period: Period) -> Iterator[tuple[str | int | date, ...]]:
    held = _held(batch)
    for statement in batch:
        for rate in totals_from_json(statement.totals).rates:
            parts = held[statement.pk, rate.vat_bp, rate.notice]
            for share in shares(rate, parts):
                yield (
                    str(statement),
                    _issued_on(statement),
                    f"{period.month:%Y-%m}",
                    statement.name,
                    statement.siren,
                    statement.vat_number,
                    statement.order_reference,
                    share.account,
                    share.analytic,
                    rate.vat_bp,
                    rate.notice,
                    share.net_cents,
                    share.vat_cents,
                    share.gross_cents,
                )


def _held(batch: Iterable[Statement]) -> dict[tuple[int, int, str], dict[Key, tuple[int, int]]]:
    """By statement, rate and notice: what each account holds."""
    held: dict[tuple[int, int, str], dict[Key, tuple[int, int]]] = defaultdict(dict)
    lines = Line.objects.filter(statement__in=[one.pk for one in batch]).values_list(
        *("statement_id", "vat_bp", "notice", "account", "analytic", "is_net", "cents")
    )
    for statement, vat_bp, notice, account, analytic, is_net, cents in lines.iterator():
        parts = held[statement or 0, vat_bp, notice]
        net, gross = parts.get((account, analytic), (0, 0))
        more = (net + cents, gross) if is_net else (net, gross + cents)
        parts[account, analytic] = more
    return held


def _dealt(total: int, exact: list[Fraction]) -> list[int]:
    """Whole numbers near the exact ones that add up to `total`; who loses most by cutting gets first."""
    cut = [int(one // 1) for one in exact]
    left = total - sum(cut)
    by_rest = sorted(range(len(exact)), key=lambda i: (cut[i] - exact[i], i))
    step = 1 if left > 0 else -1
    # What is left is at most one for each, and rounding of the whole: once round is enough.
    for number in range(abs(left)):
        cut[by_rest[number % len(cut)]] += step
    return cut


def _issued_on(statement: Statement) -> date:
    from interlock.hub.billing import day_of

    return day_of(statement.lab, statement.issued_at)
