"""Prices nobody has saved yet, and a month that was, to what that month would have cost: read-only.

Passes are left out on both sides: they say who pays in advance, not what things cost.
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from interlock.hub import bill_inputs, pricing, vat
from interlock.hub.bill_inputs import (
    Row,
    Versions,
    month_of,
    month_span,
    terms_of,
    use_of,
    version_for,
    versions_of,
)
from interlock.hub.billing import day_of
from interlock.hub.domain.tariffs import Prices, check_prices, draft_version
from interlock.hub.models import Group, Lab, Machine, Payer, Tariff
from interlock.hub.timeline import moment


@dataclass(frozen=True, slots=True)
class Draft:
    """Prices of a tariff as they might be, for one group or (None) for all without prices of their own."""

    tariff: Tariff
    prices: Prices
    group: Group | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a payer, group or machine cost, and would have cost, with VAT."""

    name: str
    before_cents: int
    after_cents: int
    sessions: int

    @property
    def cents(self) -> int:
        """How much more (below zero: less) it would have been."""
        return self.after_cents - self.before_cents


@dataclass(frozen=True, slots=True)
class Comparison:
    """A month's sessions on one tariff, by the prices they had and by the draft's; biggest change first."""

    month: date
    sessions: int
    payers: tuple[Change, ...]
    groups: tuple[Change, ...]
    machines: tuple[Change, ...]

    @property
    def before_cents(self) -> int:
        """What all of it cost."""
        return sum(one.before_cents for one in self.payers)

    @property
    def after_cents(self) -> int:
        """What all of it would have cost."""
        return sum(one.after_cents for one in self.payers)


def last_month(lab: Lab, at: datetime) -> date:
    """The first day of the month before the one of `at`."""
    return month_of(month_of(day_of(lab, at)) - timedelta(days=1))


def what_if(lab: Lab, draft: Draft, month: date) -> Comparison:
    """That month's sessions on the draft's tariff, priced both ways; nothing is written. Raises ConfigError
    for prices that could not be saved."""
    check_prices(draft.tariff, draft.prices)
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    found = bill_inputs.billable().filter(
        bill_inputs.in_span(month_span(month), zone), lab=lab, tariff=draft.tariff
    )
    rows = bill_inputs.rows_of(found)
    now = versions_of([draft.tariff.pk])
    before, after = _priced(rows, now, zone), _priced(rows, _with(now, draft), zone)

    def changes(key: Callable[[Row], int | None], names: dict[int, str]) -> tuple[Change, ...]:
        return _changes(rows, key, names, before, after)

    ids = {row.payer_id for row in rows}
    return Comparison(
        month,
        len(rows),
        changes(
            lambda row: row.payer_id,
            {one.pk: one.name for one in Payer.objects.filter(lab=lab) if one.pk in ids},
        ),
        changes(
            lambda row: row.group_id, {one.pk: one.name for one in Group.objects.filter(lab=lab)}
        ),
        changes(
            lambda row: row.machine_id,
            {one.pk: one.name for one in Machine.objects.filter(lab=lab)},
        ),
    )


def _with(versions: Versions, draft: Draft) -> Versions:
    """The same, with the draft in place of every version for its group."""
    group_id = None if draft.group is None else draft.group.pk
    others = [one for one in versions.get(draft.tariff.pk, ()) if one.group_id != group_id]
    version = draft_version(draft.tariff, draft.prices, draft.group, moment(0))
    return {draft.tariff.pk: [*others, version]}


def _priced(rows: list[Row], versions: Versions, zone: zoneinfo.ZoneInfo) -> dict[int, vat.Amount]:
    """What each session costs by those prices, by its number."""
    of_payer: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        of_payer[row.payer_id].append(row)
    amounts = {}
    for theirs in of_payer.values():
        by_key = {row.use_key: row for row in theirs}
        chosen = {
            row.use_key: version_for(versions, row.tariff_id, row.group_id, row.started_at)
            for row in theirs
        }
        uses = [
            use_of(
                row, row.ended_at.astimezone(zone).date(), terms_of(version) if version else None
            )
            for row in theirs
            for version in (chosen[row.use_key],)
        ]
        for priced in pricing.price(uses):
            key = priced.use.order
            version = chosen[key]
            is_net = version is not None and version.is_net
            vat_bp = version.vat_bp if version is not None else 0
            amounts[by_key[key].pk] = vat.Amount(priced.price_cents, is_net, vat_bp)
    return amounts


def _changes(
    rows: list[Row],
    key: Callable[[Row], int | None],
    names: dict[int, str],
    before: dict[int, vat.Amount],
    after: dict[int, vat.Amount],
) -> tuple[Change, ...]:
    together: dict[int | None, list[int]] = defaultdict(list)
    for row in rows:
        together[key(row)].append(row.pk)
    found = [
        Change(
            "" if number is None else names.get(number, ""),
            vat.totals(before[pk] for pk in pks).gross_cents,
            vat.totals(after[pk] for pk in pks).gross_cents,
            len(pks),
        )
        for number, pks in together.items()
    ]
    return tuple(sorted(found, key=lambda one: (-abs(one.cents), one.name)))
