"""Months to statements: numbers, totals, the chain, and what nothing can change any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import ProtectedError

from interlock.errors import ConfigError, StoreError
from interlock.hub import ingest, ledger, ledger_triggers
from interlock.hub.billing import reprice
from interlock.hub.domain.corrections import adjust, correct_line, correct_session, reassign
from interlock.hub.domain.entitlements import credit_account
from interlock.hub.domain.labs import create_group, create_payer
from interlock.hub.domain.materials import MaterialPrice, add_material, create_material
from interlock.hub.domain.members import change_member
from interlock.hub.domain.passes import sell_pass
from interlock.hub.domain.payers import change_payer
from interlock.hub.domain.periods import (
    CHECK_WORDS,
    CheckReason,
    close,
    count_to_check,
    months,
    open_month,
    preview,
    preview_of,
    to_check,
)
from interlock.hub.domain.tariffs import Prices, set_prices
from interlock.hub.models import (
    AccountEntry,
    Alarm,
    Line,
    LineKind,
    PassKind,
    PassUse,
    PayerKind,
    Period,
    Session,
    Statement,
    TariffVersion,
)
from interlock.hub.permissions import Actor
from interlock.protocol.records import RecordType
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOVEMBER = date(2023, 11, 1)
"""The lab of the tests began on 14 November 2023, 23:13 in Paris."""
DECEMBER = date(2023, 12, 1)


def on(days: float) -> Actor:
    """The console, that many days after the lab began."""
    return Actor(VirtualClock(wall_ms=LAB_BEGAN_MS + round(days * DAY_MS)))


def used(lab: SmallLab, journal: Journal, day: float, seconds: int) -> None:
    """A session that begins that many days after the lab, reported at once."""
    known = len(journal.records)
    journal.reboot(f"boot-{known}")
    journal.anchor(LAB_BEGAN_MS + round(day * DAY_MS))
    journal.session(lab, seconds)
    ingest.take(lab.enrolled.node, journal.wires(known), settings.HUB_CLOCK)
    lab.enrolled.node.refresh_from_db()


def november(prices: Prices | None = None) -> tuple[SmallLab, Journal]:
    """Two sessions in November, an hour and a half hour."""
    lab = small_lab(prices or Prices(cents_per_hour=1_200, forgive_s=0, vat_bp=2_000))
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 1, 3_600)
    used(lab, journal, 3, 1_800)
    return lab, journal


def test_a_closed_month_stands_on_numbered_statements_that_add_up() -> None:
    lab, journal = november()
    used(lab, journal, 20, 3_600)
    steps: list[tuple[int, int]] = []
    period = close(on(17), lab.lab, NOVEMBER, lambda done, total: steps.append((done, total)))
    statement = Statement.objects.get()
    assert (str(statement), statement.payer, statement.name) == (
        "000001",
        lab.member.payer,
        "Ada Martin",
    )
    assert statement.totals == [
        {"vat_bp": 2_000, "notice": "", "net_cents": 1_500, "vat_cents": 300, "gross_cents": 1_800}
    ]
    assert [line.cents for line in ledger.lines_of(statement)] == [1_200, 600]
    assert (period.gross_cents, period.lines_count, period.statements_count) == (1_800, 2, 1)
    assert steps == [(1, 2), (2, 2)]
    close(on(50), lab.lab, DECEMBER)
    assert [str(one) for one in Statement.objects.order_by("number")] == ["000001", "000002"]
    assert ledger.verify_ledger(lab.lab) == 2
    assert [(row.month, row.state) for row in months(lab.lab, on(50).now())] == [
        (DECEMBER, "closed"),
        (NOVEMBER, "closed"),
    ]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_closing_that_is_stopped_at_any_step_closed_nothing(step: int) -> None:
    lab, _ = november()
    other = create_payer(on(3), lab.lab, "Other", PayerKind.PERSON)
    adjust(on(3), other, 500, "A day at the fair", "promised")
    before = everything()
    heads = (lab.lab.statement_seq, bytes(lab.lab.ledger_head))
    seen = 0

    def stop(_done: int, _total: int) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        close(on(17), lab.lab, NOVEMBER, stop)
    lab.lab.refresh_from_db()
    assert everything() == before
    assert (lab.lab.statement_seq, bytes(lab.lab.ledger_head)) == heads
    assert close(on(17), lab.lab, NOVEMBER).statements_count == 2
    assert ledger.verify_ledger(lab.lab) == 2


def closed_november() -> tuple[SmallLab, Journal, Statement]:
    """November closed, with a pass that carried some of it, a material and an account."""
    lab, journal = november()
    payer = lab.member.payer
    assert payer is not None
    credit_account(on(3), payer, 5_000, "R-1")
    sell_pass(on(3), payer, PassKind.MONEY, "Ten euros", 100, starts_at=on(0).now())
    plywood = create_material(on(3), lab.lab, "Plywood", "sheet", MaterialPrice(1_250))
    add_material(on(3), plywood, Decimal(2), payer, member=lab.member)
    close(on(17), lab.lab, NOVEMBER)
    return lab, journal, Statement.objects.get()


def everything() -> list[list[tuple[Any, ...]]]:
    """Every row of the ledger, word for word."""
    tables = (Line, Statement, Period, AccountEntry, PassUse, TariffVersion)
    return [list(table.objects.order_by("pk").values_list()) for table in tables]


def _save(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def _sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _replace(table: str, _lab: SmallLab, _statement: Statement) -> None:
    _sql(f"INSERT OR REPLACE INTO hub_{table} SELECT * FROM hub_{table}")


ATTEMPTS: dict[str, Callable[[SmallLab, Statement], object]] = {
    "line saved": lambda _, one: _save(one.lines.first(), cents=1),
    "line saved as it is": lambda _, one: _save(one.lines.first()),
    "lines updated": lambda _, one: one.lines.update(cents=1),
    "lines bulk-updated": lambda _, one: Line.objects.bulk_update(list(one.lines.all()), ["cents"]),
    "line deleted": lambda _, one: one.lines.filter(kind=LineKind.MATERIAL).delete(),
    "lines taken off": lambda _, one: one.lines.update(statement=None),
    "line given to another payer": lambda _, one: one.lines.update(payer=one.payer_id + 1),
    "line given another member": lambda lab, one: one.lines.filter(member=None).update(
        member=lab.member
    ),
    "line added": lambda _, one: Line.objects.create(
        lab=one.lab,
        payer=one.payer,
        kind=LineKind.ADJUSTMENT,
        day=NOVEMBER,
        month=NOVEMBER,
        cents=-100,
        steps=[],
        priced_at=one.issued_at,
        statement=one,
    ),
    "open line put on it": lambda _, one: Line.objects.filter(statement=None).update(statement=one),
    "statement saved": lambda _, one: _save(one, gross_cents=1),
    "statement updated": lambda _, one: Statement.objects.update(name="Somebody else"),
    "statement deleted": lambda _, one: _sql("DELETE FROM hub_statement"),
    "statement added": lambda _, one: _save(one, pk=None, number=2, payer=one.lab.payers.last()),
    "month opened": lambda _, one: Period.objects.update(closed_at=None),
    "month deleted": lambda _, one: _sql("DELETE FROM hub_period"),
    "account changed": lambda _, one: AccountEntry.objects.update(cents=1),
    "account entry deleted": lambda _, one: AccountEntry.objects.all().delete(),
    "pass given back": lambda _, one: PassUse.objects.all().delete(),
    "pass use changed": lambda _, one: PassUse.objects.update(cents=0),
    "prices changed": lambda _, one: TariffVersion.objects.update(cents_per_hour=1),
    "prices deleted": lambda _, one: _sql("DELETE FROM hub_tariffversion"),
    "by SQL": lambda _, one: _sql("UPDATE hub_line SET cents = 0"),
    **{
        f"{table} replaced": partial(_replace, table)
        for table in ("line", "statement", "period", "accountentry", "passuse", "tariffversion")
    },
}


def test_nothing_changes_a_closed_month_by_any_way_there_is() -> None:
    lab, journal, _ = closed_november()
    create_payer(on(18), lab.lab, "Zora")
    used(lab, journal, 20, 3_600)
    before = everything()
    got_through = []
    for name, attempt in ATTEMPTS.items():
        try:
            with transaction.atomic():
                attempt(lab, Statement.objects.get())
                got_through.append(name)
                transaction.set_rollback(True)
        except (DatabaseError, ProtectedError):
            continue
    assert got_through == []
    assert everything() == before
    assert ledger.verify_ledger(lab.lab) == 1


def test_every_domain_function_leaves_a_closed_month_as_it_is() -> None:
    lab, journal, statement = closed_november()
    before = everything()
    line, other_line = statement.lines.filter(kind=LineKind.SESSION).order_by("pk")
    assert line.session is not None
    assert other_line.session is not None
    other = create_payer(on(18), lab.lab, "Zora")
    correct_line(on(18), line, 1_000, "wrong")
    correct_session(on(18), line.session, enabled_s=60, why="forgot to tap off")
    reassign(on(18), other_line.session, payer=other, why="was hers")
    change_payer(on(18), statement.payer, name="Ada Lovelace", address="1 rue X")
    set_prices(on(18), lab.tariff, Prices(cents_per_hour=9_900))
    create_group(on(18), lab.lab, "staff", "Staff")
    change_member(on(18), lab.member, payer=other)
    used(lab, journal, 3, 1_800)
    reprice(lab.lab, [(statement.payer_id, line.day)], on(18).now())
    kept = {row[0]: row for table in before for row in table if table is before[0]}
    now = {row[0]: row for row in everything()[0]}
    assert {pk: now[pk] for pk in kept} == kept
    assert everything()[1:3] == before[1:3]
    assert ledger.verify_ledger(lab.lab) == 1


def test_a_session_that_arrives_after_closing_is_billed_in_the_open_month_by_its_own_prices() -> (
    None
):
    lab, journal = november(Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0))
    close(on(17), lab.lab, NOVEMBER)
    set_prices(on(18), lab.tariff, Prices(cents_per_hour=9_000, forgive_s=0))
    # The same day as the first one: what is left of its cap are three euros.
    used(lab, journal, 1.1, 3_600)
    line = Line.objects.get(statement=None)
    assert (line.day, line.month, line.late) == (date(2023, 11, 16), DECEMBER, True)
    assert (line.cents, line.steps[-1]["kind"]) == (300, "daily_cap")
    close(on(50), lab.lab, DECEMBER)
    assert [one.gross_cents for one in Statement.objects.order_by("number")] == [1_800, 300]


def test_a_session_that_turns_out_longer_after_closing_is_put_up_for_a_check() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(LAB_BEGAN_MS + DAY_MS)
    session = journal.start(lab)
    journal.progress(session, 600)
    journal.reboot("boot-2")
    journal.write(RecordType.BOOT)
    ingest.take(lab.enrolled.node, journal.wires(), settings.HUB_CLOCK)
    close(on(17), lab.lab, NOVEMBER)
    Alarm.objects.all().delete()
    known = len(journal.records)
    lab.enrolled.node.refresh_from_db()
    journal.end(session, 3_600, estimated=True)
    ingest.take(lab.enrolled.node, journal.wires(known), settings.HUB_CLOCK)
    assert Session.objects.get().enabled_ms == 3_600_000
    assert [line.cents for line in Line.objects.all()] == [200]
    assert "changed after its month was closed" in Alarm.objects.get().detail


@pytest.mark.parametrize(
    ("month", "day", "says"),
    [
        (NOVEMBER, 16, "not over"),
        (DECEMBER, 50, "earlier month"),
        (date(2023, 11, 2), 50, "first day"),
    ],
)
def test_a_month_is_closed_when_it_is_over_and_in_order(month: date, day: float, says: str) -> None:
    lab, _ = november()
    with pytest.raises(ConfigError, match=says):
        close(on(day), lab.lab, month)
    assert not Period.objects.exists()
    close(on(50), lab.lab, NOVEMBER)
    with pytest.raises(ConfigError, match="closed already"):
        close(on(50), lab.lab, NOVEMBER)
    assert open_month(lab.lab, on(50).now()) == DECEMBER


def test_the_preview_is_what_closing_issues() -> None:
    lab, _ = november()
    payer = lab.member.payer
    assert payer is not None
    credit_account(on(3), payer, 1_000, "R-1")
    (told,) = preview(lab.lab, NOVEMBER)
    assert preview_of(payer, NOVEMBER) == told
    close(on(17), lab.lab, NOVEMBER)
    statement = Statement.objects.get()
    assert (told.lines, told.totals.to_json(), told.from_account_cents) == (
        statement.lines_count,
        statement.totals,
        statement.from_account_cents,
    )
    assert (statement.from_account_cents, statement.due_cents) == (1_000, 800)
    assert [entry.cents for entry in payer.account_entries.order_by("pk")] == [1_000, -1_000]


def test_a_forger_with_the_database_in_hand_is_found_out() -> None:
    lab, _, _ = closed_november()
    forgeries = {
        "UPDATE hub_line SET cents = cents - 1": "was altered",
        "UPDATE hub_statement SET name = 'X'": "was altered",
        "UPDATE hub_period SET gross_cents = 0": "sum of its statements",
        "UPDATE hub_lab SET ledger_head = zeroblob(32)": "missing",
        "DELETE FROM hub_accountentry WHERE kind = 'statement'": "account",
        "UPDATE hub_accountentry SET cents = -1 WHERE kind = 'statement'": "account",
    }
    for forgery, says in forgeries.items():
        with transaction.atomic():
            ledger_triggers.remove()
            _sql(forgery)
            ledger_triggers.install()
            with pytest.raises(StoreError, match=says):
                ledger.verify_ledger(lab.lab)
            transaction.set_rollback(True)
    assert ledger.verify_ledger(lab.lab) == 1
    with transaction.atomic():
        _sql("DROP TRIGGER ledger_line_kept")
        with pytest.raises(StoreError, match="ledger_line_kept"):
            ledger.verify_ledger(lab.lab)
        transaction.set_rollback(True)


def test_erasing_somebody_takes_them_off_a_closed_line_and_the_chain_still_holds() -> None:
    lab, _, statement = closed_november()
    assert statement.lines.filter(member=lab.member).update(member=None) == 1
    assert ledger.verify_ledger(lab.lab) == 1


def test_the_list_of_sessions_to_check_names_each_with_its_reason() -> None:
    lab, journal = november()
    Session.objects.filter(seq=2).update(estimated=True)
    used(lab, journal, 5, 13 * 3_600)
    assert [(one.session.enabled_ms // 1_000, one.why) for one in to_check(lab.lab, NOVEMBER)] == [
        (3_600, CheckReason.ESTIMATED),
        (13 * 3_600, CheckReason.LONG),
    ]
    assert count_to_check(lab.lab, NOVEMBER) == 2
    assert set(CHECK_WORDS) == set(CheckReason)


def test_closing_again_prices_nothing_anew() -> None:
    lab, _ = november()
    before = list(Line.objects.order_by("pk").values("pk", "cents", "steps", "priced_at"))
    close(on(17), lab.lab, NOVEMBER)
    assert list(Line.objects.order_by("pk").values("pk", "cents", "steps", "priced_at")) == before
