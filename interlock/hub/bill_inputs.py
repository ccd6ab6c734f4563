"""Stored sessions, prices, passes and closed lines to what pricing.py asks for: few queries, plain rows."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum

from interlock.hub.models import (
    Basis,
    Lab,
    Pass,
    PassKind,
    PassUse,
    Payer,
    Rounding,
    Session,
    TariffVersion,
)
from interlock.hub.pricing import PERCENT, SECONDS_PER_MINUTE, Fund, Terms, Use

Versions = Mapping[int, list[TariffVersion]]
"""By tariff, latest first."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Span(NamedTuple):
    """Calendar days of the lab from `begin` on and before `end`; None: for ever."""

    begin: date
    end: date | None

    def holds(self, day: date) -> bool:
        """Whether that day lies in it."""
        return self.begin <= day and (self.end is None or day < self.end)

    def instants(self, zone: zoneinfo.ZoneInfo) -> tuple[datetime, datetime | None]:
        """From midnight to midnight on the lab's own clock: also where a day has 23 or 25 hours."""
        begin = datetime.combine(self.begin, time(), zone)
        return begin, None if self.end is None else datetime.combine(self.end, time(), zone)


def day_span(day: date) -> Span:
    """That day alone."""
    return Span(day, day + timedelta(days=1))


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def month_span(month: date) -> Span:
    """That month alone."""
    return Span(month, next_month(month))


class Row(NamedTuple):
    """What pricing needs of a session: a day of a busy payer is read again with each arrival, and
    whole models would take most of that time."""

    pk: int
    payer_id: int
    tariff_id: int | None
    group_id: int | None
    machine_id: int
    purpose: str
    node_id: int
    node: str
    epoch: int
    seq: int
    started_at: datetime
    ended_at: datetime
    enabled_ms: int
    busy_ms: int

    @property
    def use_key(self) -> tuple[int, str, int, int]:
        """`pricing.Use.order` of this session."""
        return (milliseconds(self.ended_at), self.node, self.epoch, self.seq)


_COLUMNS = (
    *("pk", "payer_id", "tariff_id", "group_id", "machine_id", "purpose"),
    *("node_id", "node__slug", "epoch", "seq"),
    *("started_at", "ended_at", "enabled_ms", "busy_ms"),
)


def milliseconds(at: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (at - _EPOCH) // _MS


def billable() -> QuerySet[Session]:
    """Sessions that are over, happened, and have somebody to pay."""
    return Session.objects.filter(payer__isnull=False, voided=False).exclude(how="")


def in_span(span: Span, zone: zoneinfo.ZoneInfo) -> Q:
    """Sessions that ended in it."""
    begin, end = span.instants(zone)
    wanted = Q(ended_at__gte=begin)
    return wanted if end is None else wanted & Q(ended_at__lt=end)


def rows_of(found: QuerySet[Session]) -> list[Row]:
    """Plain rows of those sessions: one query."""
    return [Row._make(values) for values in found.values_list(*_COLUMNS)]


def versions_of(tariffs: Iterable[int]) -> Versions:
    """All versions of those tariffs: one query, none for none."""
    wanted = set(tariffs)
    versions: dict[int, list[TariffVersion]] = defaultdict(list)
    if wanted:
        found = TariffVersion.objects.filter(tariff__in=wanted).order_by("-starts_at", "-pk")
        for version in found:
            versions[version.tariff_id].append(version)
    return versions


def version_for(
    versions: Versions, tariff_id: int | None, group_id: int | None, at: datetime
) -> TariffVersion | None:
    """The prices in force at `at`: the group's own if it has any by then, else everybody's.

    Before any price the earliest ones count: a use that happened is not free because a clock or a
    price list was late; `reprice` asks somebody to check it. None: the tariff has no prices at all.
    """
    known = versions.get(tariff_id or 0, ())
    own = [v for v in known if group_id is not None and v.group_id == group_id]
    everybody = [v for v in known if v.group_id is None]
    for theirs in (own, everybody):
        in_force = next((v for v in theirs if v.starts_at <= at), None)
        if in_force is not None:
            return in_force
    return next(iter((everybody or own)[-1:]), None)


def terms_of(version: TariffVersion) -> Terms:
    """A stored tariff version as the pricing rules want it."""
    unit_s = {
        Rounding.EXACT: 1,
        Rounding.MINUTE: SECONDS_PER_MINUTE,
        Rounding.MINUTES: SECONDS_PER_MINUTE * version.rounding_min,
    }[Rounding(version.rounding)]
    return Terms(
        tariff=version.tariff_id,
        busy_only=version.basis == Basis.BUSY,
        cents_per_hour=version.cents_per_hour,
        unit_s=unit_s,
        setup_cents=version.setup_cents,
        minimum_cents=version.minimum_cents,
        free_s=version.free_s,
        daily_cap_cents=version.daily_cap_cents,
        forgive_s=version.forgive_s,
        monthly_cap_cents=version.monthly_cap_cents,
        included_s=version.included_s,
        free_purposes=frozenset(version.free_purposes),
    )


def use_of(row: Row, day: date, terms: Terms | None) -> Use:
    """A session as the pricing rules want it."""
    ended_ms, node, epoch, seq = row.use_key
    return Use(
        ended_ms=ended_ms,
        node=node,
        epoch=epoch,
        seq=seq,
        day=day,
        enabled_ms=row.enabled_ms,
        busy_ms=row.busy_ms,
        terms=terms,
        started_ms=milliseconds(row.started_at),
        purpose=row.purpose,
        machine=row.machine_id,
        group=row.group_id,
    )


def funds_of(payers: Iterable[int]) -> dict[int, list[Fund]]:
    """The passes of those payers with what closed lines have left of them. One query where there are none."""
    passes = list(
        Pass.objects.filter(payer__in=set(payers))
        .select_related("sponsorship")
        .prefetch_related("machines", "sponsorship__machines", "sponsorship__groups")
    )
    if not passes:
        return {}
    used = _used_up(passes)
    funds: dict[int, list[Fund]] = defaultdict(list)
    for one in passes:
        left = one.amount - used.get(one.pk, 0)
        if left > 0:
            funds[one.payer_id].append(_fund(one, left))
    return funds


def lab_to_bill(lab: Lab) -> tuple[Lab, bool]:
    """The lab as it stands, and whether any of its prices has a monthly cap or included time: then days depend
    on each other. One query."""
    by_month = Q(monthly_cap_cents__isnull=False) | Q(included_s__gt=0)
    versions = TariffVersion.objects.filter(by_month, tariff__lab=OuterRef("pk"))
    fresh = Lab.objects.annotate(counts_by_month=Exists(versions)).get(pk=lab.pk)
    return fresh, fresh.counts_by_month


def purses_of(payers: Iterable[int]) -> tuple[dict[int, list[Fund]], set[int]]:
    """The passes of those payers, and which of them pay in advance. One query where nobody has any."""
    held = Pass.objects.filter(payer=OuterRef("pk"))
    found = Payer.objects.filter(pk__in=set(payers)).filter(Q(prepays=True) | Exists(held))
    rows = list(found.order_by().values_list("pk", "prepays"))
    return funds_of(pk for pk, _ in rows) if rows else {}, {pk for pk, prepays in rows if prepays}


def _used_up(passes: list[Pass]) -> dict[int, int]:
    used = (
        PassUse.objects.filter(used__in=passes, line__statement__isnull=False)
        .values("used", "used__kind")
        .annotate(seconds=Sum("seconds"), cents=Sum("cents"))
    )
    return {
        row["used"]: row["seconds"] if row["used__kind"] == PassKind.TIME else row["cents"]
        for row in used
    }


def _fund(one: Pass, left: int) -> Fund:
    sponsorship = one.sponsorship
    asked = sponsorship or one
    return Fund(
        number=one.pk,
        kind=one.kind,
        origin=one.origin,
        left=left,
        starts_ms=milliseconds(one.starts_at),
        expires_ms=None if one.expires_at is None else milliseconds(one.expires_at),
        share_percent=PERCENT if sponsorship is None else sponsorship.share_percent,
        machines=frozenset(machine.pk for machine in asked.machines.all()),
        groups=frozenset()
        if sponsorship is None
        else frozenset(group.pk for group in sponsorship.groups.all()),
    )
