"""Stored sessions to stored lines: whole days of a payer are priced again whenever one changes."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from interlock.hub import pricing
from interlock.hub.models import Basis, Lab, Line, Rounding, Session, TariffVersion
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
    """The prices in force at `at`: the group's own if it has any by then, else everybody's."""
    in_force = [v for v in versions.get(tariff_id or 0, ()) if v.starts_at <= at]
    own = [v for v in in_force if group_id is not None and v.group_id == group_id]
    everybody = [v for v in in_force if v.group_id is None]
    return next(iter(own or everybody), None)


def reprice(lab: Lab, days: Iterable[Day], at: datetime) -> None:
    """The lines of those days are what their sessions cost; lines without a session to bill are gone.

    Call it in the transaction that changed the sessions. The number of queries is constant.
    """
    wanted = set(days)
    if not wanted:
        return
    sessions = _sessions(lab, wanted)
    versions = _versions({session.tariff_id for session in sessions if session.tariff_id})
    chosen = {
        session.pk: version_for(versions, session.tariff_id, session.group_id, session.started_at)
        for session in sessions
    }
    of_payer: dict[int, list[Session]] = defaultdict(list)
    for session in sessions:
        if session.payer_id is not None:
            of_payer[session.payer_id].append(session)
    lines: list[Line] = []
    for payer_id, theirs in of_payer.items():
        by_order = {_order(session): session for session in theirs}
        for priced in pricing.price(_use(lab, session, chosen) for session in theirs):
            session = by_order[priced.use.order]
            lines.append(_line(lab, payer_id, session, priced, chosen[session.pk], at))
    _store(wanted, lines)


def _sessions(lab: Lab, wanted: set[Day]) -> list[Session]:
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    first = min(day for _, day in wanted)
    last = max(day for _, day in wanted)
    found = Session.objects.filter(
        lab=lab,
        payer__in={payer for payer, _ in wanted},
        voided=False,
        ended_at__gte=datetime.combine(first, time(), zone),
        ended_at__lt=datetime.combine(last + timedelta(days=1), time(), zone),
    ).exclude(how="")
    return [
        session for session in found.select_related("node") if billable_day(lab, session) in wanted
    ]


def _versions(tariffs: set[int]) -> Versions:
    versions: dict[int, list[TariffVersion]] = defaultdict(list)
    if tariffs:
        found = TariffVersion.objects.filter(tariff__in=tariffs).order_by("-starts_at", "-pk")
        for version in found:
            versions[version.tariff_id].append(version)
    return versions


def _use(lab: Lab, session: Session, chosen: Mapping[int, TariffVersion | None]) -> Use:
    version = chosen[session.pk]
    ended_ms, node, epoch, seq = _order(session)
    return Use(
        ended_ms=ended_ms,
        node=node,
        epoch=epoch,
        seq=seq,
        day=day_of(lab, session.ended_at or session.started_at),
        enabled_ms=session.enabled_ms,
        busy_ms=session.busy_ms,
        terms=terms_of(version) if version else None,
    )


def _order(session: Session) -> tuple[int, str, int, int]:
    ended_at = session.ended_at or session.started_at
    elapsed = ended_at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed // timedelta(milliseconds=1), session.node.slug, session.epoch, session.seq)


def _line(
    lab: Lab,
    payer_id: int,
    session: Session,
    priced: Priced,
    version: TariffVersion | None,
    at: datetime,
) -> Line:
    return Line(
        lab=lab,
        payer_id=payer_id,
        session=session,
        tariff_version=version,
        day=priced.use.day,
        cents=priced.cents,
        steps=[step.to_json() for step in priced.steps],
        priced_at=at,
    )


_PRICED_ANEW = ("payer", "tariff_version", "day", "cents", "steps", "priced_at")


def _store(wanted: set[Day], lines: list[Line]) -> None:
    """Lines of `wanted` days become `lines`; an unchanged one keeps its row and its time."""
    in_days = Line.objects.filter(
        payer__in={payer for payer, _ in wanted}, day__in={day for _, day in wanted}
    )
    of_sessions = Line.objects.filter(session__in=[line.session_id for line in lines])
    stored = {line.session_id: line for line in in_days | of_sessions}
    new, changed = [], []
    for line in lines:
        old = stored.pop(line.session_id, None)
        if old is None:
            new.append(line)
        elif any(getattr(old, name) != getattr(line, name) for name in _COMPARED):
            line.pk = old.pk
            changed.append(line)
    gone = [line.pk for line in stored.values() if (line.payer_id, line.day) in wanted]
    if gone:
        Line.objects.filter(pk__in=gone).delete()
    if changed:
        Line.objects.bulk_update(changed, _PRICED_ANEW)
    if new:
        Line.objects.bulk_create(new)


_COMPARED = ("payer_id", "tariff_version_id", "day", "cents", "steps")
