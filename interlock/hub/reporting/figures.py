"""One period of a lab goes in; the bare numbers of every indicator come out, by key, with the persons behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Min, Q, Sum

from interlock.hub import rollup
from interlock.hub.models import (
    Activity,
    Attendance,
    Downtime,
    Headcount,
    Lab,
    Machine,
    MachineDay,
    MemberMonth,
    PassUse,
    Profile,
    RefusalCount,
    TrainingRun,
    UseHour,
    VolunteerTime,
)
from interlock.hub.reporting import indicators as of
from interlock.hub.reporting.opening import offered, open_within
from interlock.hub.reporting.periods import Period
from interlock.hub.rollup import Part

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
NOBODY = ""
"""The key of what no group, answer or grant is known of."""

Values = dict[str, int]


@dataclass(slots=True)
class Figures:
    """By indicator id: the values by key, the persons behind them, the totals where they are no sums, and
    the names of keys that only the lab knows."""

    values: dict[str, Values] = field(default_factory=dict)
    persons: dict[str, Values] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)


def figures_of(lab: Lab, period: Period, today: date, *, cents_per_hour: int) -> Figures:
    """Everything that is counted of the lab in that period. The number of queries is constant."""
    counted = Figures()
    seen = _seen(lab, period, today)
    machines = list(Machine.objects.filter(lab=lab).order_by("name"))
    _machines(counted, lab, period, machines, seen)
    _members(counted, lab, period)
    _hours(counted, lab, period, machines, seen)
    _trainings(counted, lab, period)
    _activities(counted, lab, period)
    _sponsors(counted, lab, period)
    _volunteers(counted, lab, period, cents_per_hour)
    _refusals(counted, lab, period)
    return counted


def parts_in(lab: Lab, period: Period) -> list[Part]:
    """What members did: whole months from their sums, the days at both ends from the sessions."""
    first = period.first if period.first.day == 1 else rollup.next_month(period.first)
    end = period.end.replace(day=1)
    if first >= end:
        return rollup.parts_of(lab, period.first, period.end)
    parts = []
    if period.first < first:
        parts += rollup.parts_of(lab, period.first, first)
    if end < period.end:
        parts += rollup.parts_of(lab, end, period.end)
    kept = MemberMonth.objects.filter(lab=lab, month__gte=first, month__lt=end)
    columns = ("member", "group", "payer", "purpose")
    rows = kept.values_list(*columns).annotate(Sum("sessions"), Sum("enabled_ms")).order_by()
    return [*parts, *(Part(*row) for row in rows)]


def _seen(lab: Lab, period: Period, today: date) -> Period | None:
    """The part of the period in which the lab was at work: from its first use on, up to today."""
    first = MachineDay.objects.filter(lab=lab).aggregate(first=Min("day"))["first"]
    if first is None:
        return None
    clipped = Period(max(period.first, first), min(period.last, today))
    return clipped if clipped.first <= clipped.last else None


def _machines(
    counted: Figures, lab: Lab, period: Period, machines: list[Machine], seen: Period | None
) -> None:
    rows = MachineDay.objects.filter(lab=lab, day__gte=period.first, day__lt=period.end)
    used: Counter[int] = Counter()
    sessions = 0
    for machine, enabled_ms, count in (
        rows.values_list("machine").annotate(Sum("enabled_ms"), Sum("sessions")).order_by()
    ):
        used[machine] += enabled_ms
        sessions += count
    counted.values[of.USE_BY_MACHINE.id] = {m.slug: used[m.pk] for m in machines if used[m.pk]}
    counted.names[of.USE_BY_MACHINE.id] = {one.slug: one.name for one in machines}
    counted.values[of.SESSIONS.id] = {}
    counted.totals[of.SESSIONS.id] = sessions
    by_month: Counter[str] = Counter()
    for day, enabled_ms in rows.values_list("day").annotate(Sum("enabled_ms")).order_by():
        by_month[f"{day:%Y-%m}"] += enabled_ms
    counted.values[of.USE_BY_MONTH.id] = dict(by_month)
    grants: Counter[str] = Counter()
    for machine_row in machines:
        if machine_row.grant_name:
            grants[machine_row.grant_name] += used[machine_row.pk]
    counted.values[of.USE_BY_GRANT.id] = dict(grants)
    counted.values[of.AVAILABLE.id] = _available(lab, machines, seen)
    counted.names[of.AVAILABLE.id] = counted.names[of.USE_BY_MACHINE.id]


def _available(lab: Lab, machines: list[Machine], seen: Period | None) -> Values:
    if seen is None or not lab.hours:
        return {}
    zone = ZoneInfo(lab.time_zone)
    begin, end = (datetime.combine(day, time(), zone) for day in (seen.first, seen.end))
    down: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    rows = Downtime.objects.filter(lab=lab, from_at__lt=end)
    for one in rows.filter(Q(until_at=None) | Q(until_at__gt=begin)):
        down[one.machine_id].append((max(begin, one.from_at), min(end, one.until_at or end)))
    whole = sum(offered(lab.hours, seen).values())
    return {m.slug: whole - open_within(lab.hours, down[m.pk], zone) for m in machines}


def _members(counted: Figures, lab: Lab, period: Period) -> None:
    parts = parts_in(lab, period)
    groups = {one.pk: one for one in lab.groups.all()}
    slug = {pk: one.slug for pk, one in groups.items()}
    known = {part.member for part in parts if part.member is not None}
    told = {
        row[0]: row[1:]
        for row in Profile.objects.filter(member__lab=lab).values_list(
            "member", "age_band", "gender", "occupation"
        )
    }
    nothing = ("", "", "")
    keyed = {
        of.USE_BY_GROUP.id: [slug.get(part.group or 0, NOBODY) for part in parts],
        of.USE_BY_PURPOSE.id: [part.purpose for part in parts],
        of.USE_BY_AGE.id: [told.get(part.member or 0, nothing)[0] for part in parts],
    }
    for name, keys in keyed.items():
        counted.values[name] = _summed(
            (key, part.enabled_ms) for key, part in zip(keys, parts, strict=True)
        )
        counted.persons[name] = _different(
            (key, part.member) for key, part in zip(keys, parts, strict=True)
        )
    people = {
        of.PEOPLE_BY_GROUP.id: counted.persons[of.USE_BY_GROUP.id],
        of.PEOPLE_BY_AGE.id: _different((told.get(one, nothing)[0], one) for one in known),
        of.PEOPLE_BY_GENDER.id: _different((told.get(one, nothing)[1], one) for one in known),
        of.PEOPLE_BY_OCCUPATION.id: _different((told.get(one, nothing)[2], one) for one in known),
    }
    for name, values in people.items():
        counted.values[name] = counted.persons[name] = values
        counted.totals[name] = len(known)
    names = {one.slug: one.name for one in groups.values()}
    counted.names[of.USE_BY_GROUP.id] = counted.names[of.PEOPLE_BY_GROUP.id] = names
    counted.values[of.NEW_PEOPLE.id] = {}
    counted.totals[of.NEW_PEOPLE.id] = len(_new(lab, period, known))
    counted.persons[of.NEW_PEOPLE.id] = {}
    counted.values[of.ORGANISATIONS.id] = {}
    counted.totals[of.ORGANISATIONS.id] = len({part.payer for part in parts} - {None})


def _new(lab: Lab, period: Period, known: set[int]) -> set[int]:
    """Those of `known` whom no session before the period names."""
    month = period.first.replace(day=1)
    earlier = MemberMonth.objects.filter(lab=lab, month__lt=month, member__isnull=False)
    before = set(earlier.values_list("member", flat=True).distinct())
    if month < period.first:
        parts = rollup.parts_of(lab, month, period.first)
        before |= {part.member for part in parts if part.member is not None}
    return known - before


def _hours(
    counted: Figures, lab: Lab, period: Period, machines: list[Machine], seen: Period | None
) -> None:
    rows = UseHour.objects.filter(lab=lab, hour_day__gte=period.first, hour_day__lt=period.end)
    used: Counter[str] = Counter()
    for day, hour, enabled_ms in rows.values_list("hour_day", "hour", "enabled_ms"):
        used[f"{day.weekday()}-{hour:02}"] += enabled_ms
    counted.values[of.OCCUPIED.id] = dict(used)
    slots = offered(lab.hours, seen) if seen is not None else {}
    counted.values[of.OPEN.id] = {
        f"{weekday}-{hour:02}": ms * len(machines) for (weekday, hour), ms in slots.items()
    }


def _trainings(counted: Figures, lab: Lab, period: Period) -> None:
    zone = ZoneInfo(lab.time_zone)
    begin, end = (datetime.combine(day, time(), zone) for day in (period.first, period.end))
    runs = TrainingRun.objects.filter(
        lab=lab, starts_at__gte=begin, starts_at__lt=end, closed_at__isnull=False
    )
    rows = runs.values_list("training__slug", "training__name").annotate(Count("pk")).order_by()
    counted.values[of.TRAININGS.id] = {slug: count for slug, _, count in rows}
    names = {slug: name for slug, name, _ in rows}
    there = Attendance.objects.filter(run__in=runs, present=True)
    places = (
        there.values_list("run__training__slug")
        .annotate(Count("pk"), Sum(F("run__duration_min")))
        .order_by()
    )
    counted.values[of.TRAINED.id] = {slug: people for slug, people, _ in places}
    counted.values[of.TRAINING_TIME.id] = {slug: (m or 0) * MINUTE_MS for slug, _, m in places}
    for one in (of.TRAINED, of.TRAINING_TIME):
        counted.persons[one.id] = counted.values[of.TRAINED.id]
    for one in (of.TRAININGS, of.TRAINED, of.TRAINING_TIME):
        counted.names[one.id] = names


def _activities(counted: Figures, lab: Lab, period: Period) -> None:
    held = Activity.objects.filter(
        lab=lab, held_on__gte=period.first, held_on__lt=period.end, withdrawn_at=None
    )
    kinds = held.values_list("kind").annotate(Count("pk")).order_by()
    counted.values[of.ACTIVITIES.id] = dict(kinds)
    heads = Headcount.objects.filter(activity__in=held).values_list("public")
    counted.values[of.VISITORS.id] = dict(heads.annotate(Sum("people")).order_by())
    counted.persons[of.VISITORS.id] = counted.values[of.VISITORS.id]


def _sponsors(counted: Figures, lab: Lab, period: Period) -> None:
    # From the few sponsored passes to their lines, not through every line of the lab.
    uses = PassUse.objects.filter(
        used__sponsorship__lab=lab, line__day__gte=period.first, line__day__lt=period.end
    )
    rows = (
        uses.values_list("used__sponsorship__sponsor__name")
        .annotate(Sum("seconds"), Sum("cents"))
        .order_by()
    )
    counted.values[of.SPONSORED_TIME.id] = {name: s * 1_000 for name, s, _ in rows if s}
    counted.values[of.SPONSORED_MONEY.id] = {name: cents for name, _, cents in rows if cents}


def _volunteers(counted: Figures, lab: Lab, period: Period, cents_per_hour: int) -> None:
    given = VolunteerTime.objects.filter(
        lab=lab,
        done_on__gte=period.first,
        done_on__lt=period.end,
        state=VolunteerTime.State.CONFIRMED,
    )
    minutes = given.aggregate(all=Sum("minutes"))["all"] or 0
    counted.values[of.VOLUNTEER_TIME.id] = {}
    counted.totals[of.VOLUNTEER_TIME.id] = minutes * MINUTE_MS
    counted.values[of.VOLUNTEER_VALUE.id] = {}
    # Half up, as everywhere that cents are made of time.
    counted.totals[of.VOLUNTEER_VALUE.id] = (2 * minutes * cents_per_hour + 60) // 120


def _refusals(counted: Figures, lab: Lab, period: Period) -> None:
    rows = RefusalCount.objects.filter(lab=lab, day__gte=period.first, day__lt=period.end)
    by_reason = rows.values_list("reason").annotate(Sum("count")).order_by()
    counted.values[of.REFUSALS.id] = dict(by_reason)


def _summed(pairs: Iterable[tuple[str, int]]) -> Values:
    total: Counter[str] = Counter()
    for key, value in pairs:
        total[key] += value
    return dict(total)


def _different(pairs: Iterable[tuple[str, int | None]]) -> Values:
    """How many different people are behind each key; those whom nobody knows any more count as nobody."""
    people: Mapping[str, set[int]] = defaultdict(set)
    for key, member in pairs:
        if member is not None:
            people[key].add(member)
    return {key: len(members) for key, members in people.items()}
