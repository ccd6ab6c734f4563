"""Stored sessions to stored lines: whole days of a payer are priced again whenever one changes."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import Q

from interlock.hub import pricing
from interlock.hub.alarms import ask_to_check
from interlock.hub.models import (
    Basis,
    Lab,
    Line,
    Node,
    Rounding,
    Session,
    TariffVersion,
)
from interlock.hub.pricing import SECONDS_PER_MINUTE, Priced, Terms, Use

Day = tuple[int, date]
"""(payer, the lab's calendar day): what is priced together."""

Versions = Mapping[int, list[TariffVersion]]
"""By tariff, latest first."""


def day_of(lab: Lab, at: datetime) -> date:
    """The lab's calendar day of an instant."""
    return at.astimezone(zoneinfo.ZoneInfo(lab.time_zone)).date()


def billable_day(lab: Lab, session: Session) -> Day | None:
    """Where `session` is billed; None for one that runs, was voided, or has nobody to pay."""
    if session.payer_id is None or session.voided or not session.how or session.ended_at is None:
        return None
    return (session.payer_id, day_of(lab, session.ended_at))


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
    )


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


def reprice(lab: Lab, days: Iterable[Day], at: datetime) -> None:
    """The lines of those days are what their sessions cost; lines without a session to bill are gone.

    Call it in the transaction that changed the sessions. The number of queries is constant.
    """
    wanted = set(days)
    if not wanted:
        return
    billed = _billed(lab, wanted)
    versions = _versions({row.tariff_id for row in billed if row.tariff_id})
    of_payer: dict[int, list[_Billed]] = defaultdict(list)
    for row in billed:
        of_payer[row.payer_id].append(row)
    lines: list[Line] = []
    for theirs in of_payer.values():
        chosen = {
            row.use_key: version_for(versions, row.tariff_id, row.group_id, row.started_at)
            for row in theirs
        }
        rows = {row.use_key: row for row in theirs}
        for priced in pricing.price(_use(lab, row, chosen[row.use_key]) for row in theirs):
            row = rows[priced.use.order]
            lines.append(_line(lab, row, priced, chosen[row.use_key], at))
    rewritten = _store(wanted, lines)
    _ask_about_early([row for row in billed if row.pk in rewritten], lines, versions, at)


def _ask_about_early(
    rows: list[_Billed], lines: list[Line], versions: Versions, at: datetime
) -> None:
    """An alarm names the sessions that were priced by prices which came only after them."""
    starts = {version.pk: version.starts_at for known in versions.values() for version in known}
    priced_by = {line.session_id: line.tariff_version_id for line in lines}
    early: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        version = priced_by[row.pk]
        if version is not None and row.started_at < starts[version]:
            early[row.node_id].append(f"{row.epoch}.{row.seq}")
    for node in Node.objects.filter(pk__in=early) if early else ():
        ask_to_check(node, early[node.pk], "begun before its tariff had any price", at)


class _Billed(NamedTuple):
    """What pricing needs of a session: a day of a busy payer is read again with each arrival, and
    whole models would take most of that time."""

    pk: int
    payer_id: int
    tariff_id: int | None
    group_id: int | None
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
        return ((self.ended_at - _EPOCH) // _MS, self.node, self.epoch, self.seq)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_COLUMNS = (
    *("pk", "payer_id", "tariff_id", "group_id", "node_id", "node__slug", "epoch", "seq"),
    *("started_at", "ended_at", "enabled_ms", "busy_ms"),
)


def _billed(lab: Lab, wanted: set[Day]) -> list[_Billed]:
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    in_days = Q()
    for day in {day for _, day in wanted}:
        # A day of 23 or 25 hours too: from midnight to midnight on the lab's own clock.
        begin, end = (datetime.combine(d, time(), zone) for d in (day, day + timedelta(days=1)))
        in_days |= Q(ended_at__gte=begin, ended_at__lt=end)
    found = Session.objects.filter(
        in_days, lab=lab, payer__in={payer for payer, _ in wanted}, voided=False
    ).exclude(how="")
    rows = map(_Billed._make, found.values_list(*_COLUMNS))
    return [row for row in rows if (row.payer_id, day_of(lab, row.ended_at)) in wanted]


def _versions(tariffs: set[int]) -> Versions:
    versions: dict[int, list[TariffVersion]] = defaultdict(list)
    if tariffs:
        found = TariffVersion.objects.filter(tariff__in=tariffs).order_by("-starts_at", "-pk")
        for version in found:
            versions[version.tariff_id].append(version)
    return versions


def _use(lab: Lab, row: _Billed, version: TariffVersion | None) -> Use:
    ended_ms, node, epoch, seq = row.use_key
    return Use(
        ended_ms=ended_ms,
        node=node,
        epoch=epoch,
        seq=seq,
        day=day_of(lab, row.ended_at),
        enabled_ms=row.enabled_ms,
        busy_ms=row.busy_ms,
        terms=terms_of(version) if version else None,
    )


def _line(
    lab: Lab, row: _Billed, priced: Priced, version: TariffVersion | None, at: datetime
) -> Line:
    return Line(
        lab_id=lab.pk,
        payer_id=row.payer_id,
        session_id=row.pk,
        tariff_version_id=version.pk if version else None,
        day=priced.use.day,
        cents=priced.cents,
        steps=[step.to_json() for step in priced.steps],
        priced_at=at,
    )


_PRICED_ANEW = ("payer", "tariff_version", "day", "cents", "steps", "priced_at")
_COMPARED = ("payer_id", "tariff_version_id", "day", "cents", "steps")


def _store(wanted: set[Day], lines: list[Line]) -> set[int]:
    """Lines of `wanted` days become `lines`; an unchanged one keeps its row and its time. Returns the
    sessions whose line is new or another."""
    in_days = Q(payer__in={payer for payer, _ in wanted}, day__in={day for _, day in wanted})
    of_sessions = Q(session__in=[line.session_id for line in lines])
    found = Line.objects.filter(in_days | of_sessions)
    stored = {
        session: (pk, tuple(compared))
        for pk, session, *compared in found.values_list("pk", "session_id", *_COMPARED)
    }
    new, changed = [], []
    for line in lines:
        pk, old = stored.pop(line.session_id, (None, ()))
        if pk is None:
            new.append(line)
        elif old != tuple(getattr(line, name) for name in _COMPARED):
            line.pk = pk
            changed.append(line)
    gone = [pk for pk, (payer, _, day, *_) in stored.values() if (payer, day) in wanted]
    if gone:
        Line.objects.filter(pk__in=gone).delete()
    if changed:
        Line.objects.bulk_update(changed, _PRICED_ANEW)
    if new:
        Line.objects.bulk_create(new)
    return {line.session_id for line in [*new, *changed]}
