"""Statements and their lines to a chain of hashes, and back: whether anybody altered what is closed.

commit = BLAKE2b-256(salt ‖ canonical JSON of the statement and its lines), hash = BLAKE2b-256(prev ‖ commit), in the
order of the numbers, which have no gaps. The hash is printed on the statement: who holds one paper can
prove what every earlier one said. What a payer's account carried stands in the statement too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.db.models import QuerySet, Sum

from interlock.errors import StoreError
from interlock.hub import ledger_triggers, vat
from interlock.hub.models import AccountEntry, Lab, Line, Period, Statement
from interlock.protocol import canonical

HASH_BYTES = 32
PRINTED_DIGITS = 16
"""64 bits of the hash: nobody finds another statement with the same ones, and people can compare them."""
CHUNK = 500
"""Statements that are verified together: their lines are one query."""

LINE_FACTS = (
    *(
        "id",
        "kind",
        "session_id",
        "tariff_version_id",
        "material_id",
        "corrects_id",
        "day",
        "month",
    ),
    *("late", "price_cents", "cents", "included_s", "enabled_ms", "busy_ms", "steps", "is_net"),
    *("vat_bp", "notice", "account", "analytic", "words", "why"),
)
"""What of a line is committed to; not who used something: that is forgotten before the ledger is."""

LineFacts = Sequence[Any]
"""Values of LINE_FACTS."""


def printed(statement: Statement) -> str:
    """What a statement prints of its hash, in groups that people can read out."""
    digits = bytes(statement.hash).hex()[:PRINTED_DIGITS]
    return " ".join(digits[first : first + 4] for first in range(0, PRINTED_DIGITS, 4))


def lines_of(statement: Statement) -> QuerySet[Line]:
    """The lines of a statement in its order, with what a page says of them."""
    return (
        statement.lines.select_related(
            *("session__machine", "session__member", "tariff_version__tariff"),
            *("material", "member", "corrects__session__machine"),
        )
        .prefetch_related("pass_uses")
        .order_by("day", "pk")
    )


def amount_of(facts: LineFacts) -> vat.Amount:
    """What a line adds to its statement."""
    return vat.Amount(
        facts[_AT["cents"]], facts[_AT["is_net"]], facts[_AT["vat_bp"]], facts[_AT["notice"]]
    )


def commitment(statement: Statement, month: str, lines: Iterable[LineFacts]) -> bytes:
    """The commit of `statement` (of `month`, YYYY-MM-DD) with those lines in its order."""
    said = {
        "number": statement.number,
        "month": month,
        "payer": statement.payer_id,
        "issued_at": _second(statement.issued_at),
        **{name: getattr(statement, name) for name in _SAID},
        "lines": [[_plain(value) for value in facts] for facts in lines],
    }
    salt = bytes(statement.salt or b"")
    return blake2b(salt + canonical.dumps(said), digest_size=HASH_BYTES).digest()


def link(prev: bytes, commit: bytes) -> bytes:
    """The hash after a statement."""
    return blake2b(prev + commit, digest_size=HASH_BYTES).digest()


def verify_ledger(lab: Lab) -> int:
    """The number of statements: every one linked, unaltered, the sum of its lines, on its payer's account, and
    kept by every trigger. Raises StoreError that names the first that is not."""
    missing = ledger_triggers.missing()
    if missing:
        raise _altered(lab, f"{', '.join(missing)}: nothing keeps the ledger from being changed")
    prev, count = bytes(HASH_BYTES), 0
    for statement, lines in _statements(lab):
        count += 1
        prev = _verify(lab, statement, lines, count, prev)
    fresh = Lab.objects.get(pk=lab.pk)
    if bytes(fresh.ledger_head) != prev or fresh.statement_seq != count:
        raise _altered(lab, "its last statements are missing")
    _verify_periods(fresh)
    return count


_AT = {name: index for index, name in enumerate(LINE_FACTS)}
_SAID = (
    *("name", "address", "siren", "vat_number", "order_reference", "lines_count", "totals"),
    *("net_cents", "vat_cents", "gross_cents", "from_account_cents"),
)


def _statements(lab: Lab) -> Iterator[tuple[Statement, list[LineFacts]]]:
    done = 0
    while True:
        found = Statement.objects.filter(lab=lab, number__gt=done).select_related("period")
        chunk = list(found.order_by("number")[:CHUNK])
        lines: dict[int, list[LineFacts]] = defaultdict(list)
        rows = Line.objects.filter(statement__in=chunk).order_by("day", "pk")
        for statement_id, *facts in rows.values_list("statement_id", *LINE_FACTS):
            lines[statement_id].append(facts)
        for statement in chunk:
            yield statement, lines[statement.pk]
        if len(chunk) < CHUNK:
            return
        done = chunk[-1].number


def _verify(
    lab: Lab, statement: Statement, lines: list[LineFacts], number: int, prev: bytes
) -> bytes:
    """The hash after `statement`. Raises StoreError."""
    where = f"statement {statement}"
    if statement.number != number:
        raise _altered(lab, f"statement {number:06} is missing")
    commit = commitment(statement, statement.period.month.isoformat(), lines)
    whole = statement.salt is not None and commit == bytes(statement.commit)
    linked = link(prev, bytes(statement.commit))
    if not whole or bytes(statement.prev) != prev or bytes(statement.hash) != linked:
        raise _altered(lab, f"{where} was altered, or its lines, or one before it")
    totals = vat.totals(amount_of(facts) for facts in lines)
    if totals.to_json() != statement.totals or totals.gross_cents != statement.gross_cents:
        raise _altered(lab, f"{where} is not the sum of its lines")
    return linked


def _verify_periods(lab: Lab) -> None:
    """Months, their statements, lines and accounts agree. Raises StoreError."""
    sums = Statement.objects.filter(lab=lab).order_by().values("period")
    found = {
        row["period"]: (row["net"], row["tax"], row["gross"], row["written"])
        for row in sums.annotate(
            net=Sum("net_cents"),
            tax=Sum("vat_cents"),
            gross=Sum("gross_cents"),
            written=Sum("lines_count"),
        )
    }
    for period in Period.objects.filter(lab=lab):
        told = (period.net_cents, period.vat_cents, period.gross_cents, period.lines_count)
        if found.get(period.pk, (0, 0, 0, 0)) != told:
            raise _altered(lab, f"{period} is not the sum of its statements")
    entries = AccountEntry.objects.filter(lab=lab, kind=AccountEntry.Kind.STATEMENT)
    booked = dict(entries.order_by().values_list("statement").annotate(total=Sum("cents")))
    carried = Statement.objects.filter(lab=lab).exclude(from_account_cents=0)
    for pk, number, cents in carried.values_list("pk", "number", "from_account_cents"):
        if booked.pop(pk, 0) != -cents:
            raise _altered(lab, f"the account does not say what statement {number:06} took of it")
    if booked:
        raise _altered(lab, "an account says that a statement took what none did")


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _second(at: datetime) -> int:
    return int(at.timestamp())


def _altered(lab: Lab, what: str) -> StoreError:
    return StoreError(
        what,
        where=f"ledger of {lab.slug}",
        remedy="Compare with a back-up: somebody wrote into the database by hand",
    )
