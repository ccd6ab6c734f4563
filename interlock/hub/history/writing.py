"""A lab and sizes go in; its invented past stands in the tables, priced as real use is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import accumulate, groupby

from django.db import transaction

from interlock.errors import ConfigError
from interlock.hub import billing, rollup
from interlock.hub.changes import log_deed
from interlock.hub.history import EPOCH_OF_HISTORY, community, courses
from interlock.hub.history.days import USUAL_HOURS, OpenDay, open_days
from interlock.hub.history.kinds import TRAININGS
from interlock.hub.history.machines import Station, break_down, stations_of
from interlock.hub.history.people import ROWS, Person, people_of
from interlock.hub.history.plan import Plan, Progress, Sizes
from interlock.hub.history.uses import of_a_day
from interlock.hub.models import Lab, Purpose, Session, Topic
from interlock.hub.permissions import Actor, Permission, require

BOOT_OF_HISTORY = "history"

Say = Callable[[str], None]


def make_history(
    actor: Actor, lab: Lab, sizes: Sizes, *, say: Say, progress: Progress = lambda done, total: None
) -> int:
    """Years of use lie behind the lab; the number of sessions written. The same sizes and seed make the same
    past. Raises ConfigError where there is one already."""
    require(actor, lab, Permission.EDIT_LAB)
    if Session.objects.filter(lab=lab).exists():
        raise ConfigError(
            "machines of this lab were used already",
            where=lab.slug,
            remedy="A past is only invented for a lab that has none: make a new hub",
        )
    plan = Plan(lab, sizes, actor.now(), random.Random(sizes.seed))
    if not lab.hours:
        lab.hours = [list(span) for span in USUAL_HOURS]
        lab.save(update_fields=["hours"])
    days = list(open_days(lab.hours, plan.first, plan.last))
    with transaction.atomic():
        say("Machines, members and trainings …")
        stations = stations_of(plan)
        people = people_of(plan)
        courses.train(plan, people, days)
    say("Sessions and their prices …")
    written = 0
    for rows in _by_month(_sessions(plan, stations, people, days)):
        with transaction.atomic():
            Session.objects.bulk_create(rows, ROWS)
            _price(lab, rows, actor.now())
            rollup.mark_sessions(lab, rows)
        written += len(rows)
        rollup.refresh(lab)
        progress(written, sizes.sessions)
    with transaction.atomic():
        say("Activities, volunteers, maintenance …")
        courses.note_practice(people)
        break_down(plan, stations)
        community.hold_activities(plan, days)
        community.volunteer(plan, people, days)
        community.maintain(plan, stations)
        community.refuse(plan, stations, days)
        after = {"sessions": written, "years": sizes.years, "seed": sizes.seed}
        log_deed(actor, lab, Topic.RIGHTS, "history_made", lab.slug, after=after)
    return written


def _by_month(sessions: Iterator[Session]) -> Iterator[list[Session]]:
    def month(session: Session) -> date:
        return session.started_at.date().replace(day=1)

    for _, rows in groupby(sessions, month):
        yield list(rows)


def _sessions(
    plan: Plan, stations: list[Station], people: list[Person], days: list[OpenDay]
) -> Iterator[Session]:
    """Every session, day by day: as many of a day as its share of the whole says."""
    whole = sum(day.share for day in days)
    wanted = [round(plan.sizes.sessions * at / whole) for at in accumulate(d.share for d in days)]
    pools: dict[str, tuple[list[Person], list[float]]] = {}
    month = (0, 0)
    for index, day in enumerate(days):
        if (day.day.year, day.day.month) != month:
            month = (day.day.year, day.day.month)
            pools = _pools(people, day.day)
        number = wanted[index] - (wanted[index - 1] if index else 0)
        open_now = [one for one in stations if one.since <= index / len(days)]
        weights = [one.kind.popularity for one in open_now]
        drawn = Counter(plan.chance.choices(range(len(open_now)), weights, k=number))
        made = []
        for which in sorted(drawn):
            made += _at_one(plan, open_now[which], day, drawn[which], pools)
        yield from sorted(made, key=lambda one: (one.started_at, one.node_id))


def _at_one(
    plan: Plan,
    station: Station,
    day: OpenDay,
    number: int,
    pools: dict[str, tuple[list[Person], list[float]]],
) -> list[Session]:
    pool, weights = pools.get(station.kind.training, ([], []))
    if not pool:
        return []
    uses = list(of_a_day(plan.chance, day, station.kind, number, plan.zone))
    chosen = plan.chance.choices(pool, cum_weights=weights, k=len(uses))
    sessions = []
    for use, one in zip(uses, chosen, strict=True):
        station.seq += 1
        one.practised[station.kind.training] = use.ended_at
        sessions.append(
            Session(
                lab_id=plan.lab.pk,
                machine_id=station.machine.pk,
                node_id=station.node.pk,
                epoch=EPOCH_OF_HISTORY,
                seq=station.seq,
                member_id=one.member.pk,
                payer_id=one.member.payer_id,
                group_id=one.member.group_id,
                tariff_id=station.machine.tariff_id,
                purpose=_purpose(plan, one),
                started_at=use.started_at,
                ended_at=use.ended_at,
                start_boot_id=BOOT_OF_HISTORY,
                start_boot_ms=0,
                end_boot_id=BOOT_OF_HISTORY,
                end_boot_ms=use.enabled_ms,
                enabled_ms=use.enabled_ms,
                busy_ms=use.busy_ms,
                idle_ms=use.idle_ms,
                how=use.how,
                estimated=use.how == "power_lost",
            )
        )
    return sessions


def _pools(people: list[Person], day: date) -> dict[str, tuple[list[Person], list[float]]]:
    """By training: who may use such a machine this month, with running sums of how often they come."""
    pools: dict[str, tuple[list[Person], list[float]]] = {}
    here = [one for one in people if one.is_here(day)]
    for slug in TRAININGS:
        able = [one for one in here if slug in one.held and one.held[slug] < day]
        pools[slug] = (able, list(accumulate(one.eagerness for one in able)))
    return pools


def _purpose(plan: Plan, one: Person) -> str:
    slug = one.member.group.slug if one.member.group else ""
    if slug == "company":
        return Purpose.COMPANY
    drawn = plan.chance.random()
    if slug == "staff":
        return Purpose.MAINTENANCE if drawn < 0.4 else Purpose.TRAINING
    if slug == "volunteer" and drawn < 0.35:
        return Purpose.VOLUNTEERING
    return Purpose.OWN


def _price(lab: Lab, rows: list[Session], at: datetime) -> None:
    """Every session has the line that real use would have."""
    days = (billing.billable_day(lab, row) for row in rows)
    billing.reprice(lab, {day for day in days if day is not None}, at)
