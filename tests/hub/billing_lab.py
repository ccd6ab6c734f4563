"""A lab with two months of use goes in the database: a payer of every kind, a month to close, one that runs.

The hub's clock is real, so months are counted back from today: `last` is over, `now` runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from interlock.hub import billing
from interlock.hub.domain import labs, members, tariffs
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import (
    Group,
    Lab,
    Line,
    Member,
    Node,
    Payer,
    PayerKind,
    Purpose,
    Session,
)
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

ZONE = ZoneInfo("Europe/Paris")
WITH_VAT = Prices(cents_per_hour=1_200, forgive_s=0, vat_bp=2_000, account="7083", analytic="BOIS")


@dataclass
class BillingLab:
    """The page lab, a company with a price of its own, and the month that can be closed."""

    pages: PageLab
    group: Group
    firm: Payer
    last: date

    @property
    def lab(self) -> Lab:
        return self.pages.small.lab

    @property
    def ada(self) -> Member:
        return self.pages.small.member


def month_before(day: date) -> date:
    """The first day of the month before the one of `day`."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def billing_lab(sessions: int = 2) -> BillingLab:
    """Ada worked for herself `sessions` times last month, and once for her firm."""
    pages = page_lab()
    actor, small = console(), pages.small
    group = labs.create_group(actor, small.lab, "firms", "Companies")
    firm = labs.create_payer(actor, small.lab, "Ébénisterie Łukasz & Fils", PayerKind.ORGANISATION)
    last = month_before(actor.now().astimezone(ZONE).date())
    version = small.tariff.versions.get()
    for name in ("vat_bp", "account", "analytic"):
        setattr(version, name, getattr(WITH_VAT, name))
    version.save()
    made = BillingLab(pages, group, firm, last)
    for number in range(sessions):
        worked(made, last + timedelta(days=number % 27), 90)
    worked(made, last + timedelta(days=27), 60, payer=firm, purpose=Purpose.COMPANY)
    return made


def worked(
    made: BillingLab,
    day: date,
    minutes: int,
    *,
    payer: Payer | None = None,
    purpose: Purpose = Purpose.OWN,
    member: Member | None = None,
) -> Session:
    """A session that ended on that day at noon, priced as the ingest prices it."""
    small, who = made.pages.small, member or made.ada
    ended = datetime(day.year, day.month, day.day, 12, tzinfo=ZONE).astimezone(UTC)
    number = Session.objects.count() + 1
    session = Session.objects.create(
        lab=small.lab,
        machine=small.machine,
        node=Node.objects.get(pk=small.enrolled.node.pk),
        member=who,
        payer=payer or who.payer,
        group=who.group,
        tariff=small.tariff,
        purpose=purpose,
        epoch=9,
        seq=number,
        start_boot_id="b",
        start_boot_ms=0,
        started_at=ended - timedelta(minutes=minutes),
        ended_at=ended,
        enabled_ms=minutes * 60_000,
        busy_ms=minutes * 30_000,
        idle_ms=minutes * 30_000,
        how="tap_off",
    )
    day_billed = billing.billable_day(small.lab, session)
    assert day_billed is not None
    billing.reprice(small.lab, [day_billed], console().now())
    return session


def line_of(session: Session) -> Line:
    """Its line as it stands now."""
    return Line.objects.get(session=session)


def payers(made: BillingLab, number: int, first: int = 0) -> list[Payer]:
    """So many members who pay for themselves, each with one session last month."""
    found = []
    for index in range(first, first + number):
        member = members.create_member(console(), made.lab, f"Payer {index:03d}")
        worked(made, made.last, 30, member=member)
        assert member.payer is not None
        found.append(member.payer)
    return found


__all__ = ["BillingLab", "billing_lab", "line_of", "payers", "tariffs", "worked"]
