"""The closed ledger to SQL triggers that keep it: no page, call, command or ORM update gets past them.

A line belongs to the ledger once it stands on a statement; a statement and an account entry always do; a
month once it has its closing time. Erasing a person may still take their name off a line (`member`,
`used_in` become empty): who used something is not what was owed.
"""

from __future__ import annotations

from django.db import connection

_LINE_COLUMNS = (
    *("id", "lab_id", "kind", "payer_id", "session_id", "tariff_version_id", "material_id"),
    *("corrects_id", "day", "month", "late", "price_cents", "cents", "included_s", "enabled_ms"),
    *("busy_ms", "steps", "is_net", "vat_bp", "notice", "account", "analytic", "words", "why"),
    *("priced_at", "statement_id"),
)
"""Every column of a line but `member_id` and `used_in_id`."""

_KEPT = {
    "hub_line": ("statement_id IS NOT NULL", ("id",), ("session_id",)),
    "hub_statement": ("TRUE", ("id",), ("lab_id", "number"), ("period_id", "payer_id")),
    "hub_period": ("closed_at IS NOT NULL", ("id",), ("lab_id", "month")),
    "hub_accountentry": ("TRUE", ("id",), ("takes_back_id",)),
    "hub_passuse": (
        "line_id IN (SELECT id FROM hub_line WHERE statement_id IS NOT NULL)",
        ("id",),
        ("used_id", "line_id"),
    ),
    "hub_tariffversion": (
        "id IN (SELECT tariff_version_id FROM hub_line WHERE statement_id IS NOT NULL)",
        ("id",),
        ("tariff_id", "group_id", "starts_at"),
    ),
}
"""By table: which rows are kept, and its unique columns. INSERT OR REPLACE removes a row that has them without
a word to the triggers for DELETE."""

_CLOSED_PERIOD = (
    "EXISTS (SELECT 1 FROM hub_period p JOIN hub_statement s ON s.period_id = p.id"
    " WHERE s.id = NEW.statement_id AND p.closed_at IS NOT NULL)"
)
_SAYS = "SELECT RAISE(ABORT, 'the ledger is closed: correct it with a new line')"


def _trigger(name: str, event: str, table: str, when: str = "") -> tuple[str, str]:
    condition = f" WHEN {when}" if when else ""
    return name, f"CREATE TRIGGER {name} BEFORE {event} ON {table}{condition} BEGIN {_SAYS}; END"


def _not_replaced(table: str) -> tuple[str, str]:
    kept, *unique = _KEPT[table]
    same = " OR ".join(
        f"({' AND '.join(f'{column} = NEW.{column}' for column in columns)})" for columns in unique
    )
    there = f"EXISTS (SELECT 1 FROM {table} WHERE ({same}) AND {kept})"
    return _trigger(f"ledger_not_replaced_{table}", "INSERT", table, there)


TRIGGERS: dict[str, str] = dict(
    (
        *(_not_replaced(table) for table in _KEPT),
        _trigger(
            "ledger_line_kept",
            f"UPDATE OF {', '.join(_LINE_COLUMNS)}",
            "hub_line",
            "OLD.statement_id IS NOT NULL",
        ),
        _trigger(
            "ledger_line_person_kept",
            "UPDATE OF member_id, used_in_id",
            "hub_line",
            "OLD.statement_id IS NOT NULL AND (COALESCE(NEW.member_id, OLD.member_id, 0)"
            " IS NOT COALESCE(OLD.member_id, 0) OR COALESCE(NEW.used_in_id, OLD.used_in_id, 0)"
            " IS NOT COALESCE(OLD.used_in_id, 0))",
        ),
        _trigger("ledger_line_stays", "DELETE", "hub_line", "OLD.statement_id IS NOT NULL"),
        _trigger("ledger_line_added", "INSERT", "hub_line", "NEW.statement_id IS NOT NULL"),
        _trigger("ledger_line_attached", "UPDATE OF statement_id", "hub_line", _CLOSED_PERIOD),
        _trigger("ledger_statement_kept", "UPDATE", "hub_statement"),
        _trigger("ledger_statement_stays", "DELETE", "hub_statement"),
        _trigger(
            "ledger_statement_added",
            "INSERT",
            "hub_statement",
            "EXISTS (SELECT 1 FROM hub_period WHERE id = NEW.period_id AND closed_at IS NOT NULL)",
        ),
        _trigger("ledger_period_kept", "UPDATE", "hub_period", "OLD.closed_at IS NOT NULL"),
        _trigger("ledger_period_stays", "DELETE", "hub_period", "OLD.closed_at IS NOT NULL"),
        _trigger("ledger_account_kept", "UPDATE", "hub_accountentry"),
        _trigger("ledger_account_stays", "DELETE", "hub_accountentry"),
        *(
            _trigger(
                f"ledger_pass_use_{name}",
                event,
                "hub_passuse",
                "EXISTS (SELECT 1 FROM hub_line"
                f" WHERE id = {row}.line_id AND statement_id IS NOT NULL)",
            )
            for name, event, row in (
                ("kept", "UPDATE", "OLD"),
                ("moved", "UPDATE", "NEW"),
                ("stays", "DELETE", "OLD"),
                ("added", "INSERT", "NEW"),
            )
        ),
        *(
            _trigger(
                f"ledger_prices_{name}",
                event,
                "hub_tariffversion",
                "EXISTS (SELECT 1 FROM hub_line"
                " WHERE tariff_version_id = OLD.id AND statement_id IS NOT NULL)",
            )
            for name, event in (("kept", "UPDATE"), ("stays", "DELETE"))
        ),
    )
)
"""By name. A migration that makes one of these tables anew has to call `install` afterwards: SQLite drops
a table's triggers with it."""


def install() -> None:
    """All triggers are there, as they stand here."""
    with connection.cursor() as cursor:
        for name, sql in TRIGGERS.items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(sql)


def remove() -> None:
    """None of them is there: only for taking a migration back."""
    with connection.cursor() as cursor:
        for name in TRIGGERS:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def missing() -> list[str]:
    """Names of triggers that are not there, or say something else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        stored = dict(cursor.fetchall())
    return [name for name, sql in TRIGGERS.items() if stored.get(name) != sql]
