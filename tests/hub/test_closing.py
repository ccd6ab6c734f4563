"""Months to statements: numbers, totals, the chain, and what nothing can change any more."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from interlock.errors import ConfigError, StoreError
from interlock.hub import ingest, ledger, ledger_triggers
from interlock.hub.domain.periods import close, months, open_month, preview, to_check
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import (
    AccountEntry,
    Lab,
    Line,
    PassUse,
    Period,
    Statement,
    TariffVersion,
)
from interlock.hub.permissions import Actor
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
    used(lab, journal, 2, 1_800)
    return lab, journal


def test_a_closed_month_stands_on_numbered_statements_that_add_up() -> None:
    lab, journal = november()
    used(lab, journal, 20, 3_600)
    steps: list[tuple[int, int]] = []
    period = close(on(17), lab.lab, NOVEMBER, lambda done, total: steps.append((done, total)))
    statement = Statement.objects.get()
    assert (str(statement), statement.payer, statement.name) == ("000001", lab.member.payer, "Ada Martin")
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
