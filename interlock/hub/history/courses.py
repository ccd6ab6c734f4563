"""Members and open days go in; trainings that were held, and who holds them since, stand in the tables.

Who was a member before the past begins was taught before it: a lab that opens its doors on the first day of its
books has machines that nobody may use yet.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta

from interlock.core.model import Level
from interlock.hub.history.days import OpenDay
from interlock.hub.history.kinds import TRAINING_MIN, TRAINING_MIN_USUAL, TRAININGS
from interlock.hub.history.people import ROWS, SETTLED_DAYS, Person
from interlock.hub.history.plan import Plan
from interlock.hub.models import Attendance, Authorisation, Training, TrainingRun

SEATS = 8
"""People of one course: as many as see the trainer's hands."""
ABSENT = 0.06
WANTED = 0.55
"""How likely somebody wants the next training once they hold one."""
LASTS = {"laser-cutter": timedelta(days=730)}
"""Trainings that end by date; the others lapse, or last."""
EVENING_MIN = 18 * 60
WEEK = timedelta(days=7)


def trainings_of(plan: Plan) -> dict[str, Training]:
    """The trainings by id, those that were missing made."""
    known = {one.slug: one for one in Training.objects.filter(lab=plan.lab)}
    for slug, names in TRAININGS.items():
        if slug not in known:
            known[slug] = Training.objects.create(lab=plan.lab, slug=slug, name=plan.word(names))
    return known


def train(plan: Plan, people: list[Person], days: list[OpenDay]) -> None:
    """Everybody has been taught what they wanted, in courses on open days after they came."""
    trainings = trainings_of(plan)
    _keep(plan, people)
    by_month: dict[tuple[int, int], list[OpenDay]] = defaultdict(list)
    for day in days:
        by_month[day.day.year, day.day.month].append(day)
    months = sorted(by_month)
    waiting: dict[tuple[tuple[int, int], str], list[Person]] = defaultdict(list)
    runs: list[TrainingRun] = []
    lists: list[Attendance] = []
    granted: list[Authorisation] = []
    for one in people:
        if one.joined < plan.first:
            granted += _taught_before(plan, one, trainings)
            continue
        for delay, slug in enumerate(_wishes(plan, one)):
            wanted = [m for m in months if m >= (one.joined.year, one.joined.month)]
            if delay < len(wanted):
                waiting[wanted[delay], slug].append(one)
    for (month, slug), pupils in sorted(waiting.items(), key=lambda item: item[0]):
        for first in range(0, len(pupils), SEATS):
            day = plan.chance.choice(by_month[month])
            run = _run(plan, trainings[slug], day)
            runs.append(run)
            for one in pupils[first : first + SEATS]:
                line, right = _attended(plan, run, one, day.day)
                lists.append(line)
                if right is not None:
                    granted.append(right)
    TrainingRun.objects.bulk_create(runs, ROWS)
    Authorisation.objects.bulk_create(granted, ROWS)
    Attendance.objects.bulk_create(lists, ROWS)


def note_practice(people: list[Person]) -> None:
    """Each training was last practised on the day of its last session."""
    last = {
        (one.member.pk, slug): at for one in people for slug, at in one.practised.items() if slug
    }
    held = Authorisation.objects.filter(revoked_at=None, member__in={pk for pk, _ in last})
    changed = []
    for right in held.select_related("training").iterator():
        at = last.get((right.member_id, right.training.slug))
        if at is not None:
            right.practised_at = at.replace(hour=0, minute=0, second=0, microsecond=0)
            changed.append(right)
    Authorisation.objects.bulk_update(changed, ["practised_at"], ROWS)


def _keep(plan: Plan, people: list[Person]) -> None:
    """What the sample lab's people were granted at its making they have held since their first weeks."""
    members = {one.member.pk: one for one in people}
    held = Authorisation.objects.filter(lab=plan.lab, revoked_at=None, until_at=None)
    for right in held.select_related("training"):
        one = members.get(right.member_id)
        if one is None:
            continue
        since = one.joined + timedelta(days=plan.chance.randrange(7, SETTLED_DAYS))
        right.granted_at = plan.midnight(since) + timedelta(hours=20)
        right.save(update_fields=["granted_at"])
        if right.level == Authorisation.Level.ALONE:
            one.held[right.training.slug] = since


def _taught_before(plan: Plan, one: Person, trainings: dict[str, Training]) -> list[Authorisation]:
    """What they learned in their first weeks, one evening a week; a training that ends was renewed in time."""
    rights = []
    for week, slug in enumerate(_wishes(plan, one), start=1):
        one.held[slug] = day = one.joined + WEEK * week
        lasts = LASTS.get(slug)
        while lasts is not None and day + lasts <= min(plan.last, one.leaves):
            day += lasts
        granted_at = plan.midnight(day) + timedelta(minutes=EVENING_MIN)
        rights.append(
            Authorisation(
                lab=plan.lab,
                member=one.member,
                training=trainings[slug],
                level=Level.ALONE.value,
                granted_at=granted_at,
                until_at=None if lasts is None else granted_at + lasts,
                evidence="",
            )
        )
    return rights


def _wishes(plan: Plan, one: Person) -> list[str]:
    """What somebody learns, in order: safety first, then what draws them."""
    if one.held:
        return []
    wishes = ["safety"]
    others = ["printer-3d", "laser-cutter", "table-saw", "cnc-router", "soldering"]
    plan.chance.shuffle(others)
    for slug in others:
        if plan.chance.random() > WANTED and len(wishes) > 1:
            break
        wishes.append(slug)
    return wishes


def _run(plan: Plan, training: Training, day: OpenDay) -> TrainingRun:
    first = day.spans[-1][0]
    minute = max(first, EVENING_MIN) if plan.chance.random() < 0.6 else first
    starts_at = day.at(minute, plan.zone)
    minutes = TRAINING_MIN.get(training.slug, TRAINING_MIN_USUAL)
    return TrainingRun(
        lab=plan.lab,
        training=training,
        starts_at=starts_at,
        duration_min=minutes,
        closed_at=starts_at + timedelta(minutes=minutes),
    )


def _attended(
    plan: Plan, run: TrainingRun, one: Person, day: date
) -> tuple[Attendance, Authorisation | None]:
    slug = run.training.slug
    if plan.chance.random() < ABSENT or slug in one.held:
        return Attendance(run=run, member=one.member, present=False), None
    one.held[slug] = day
    ended_at: datetime = run.starts_at + timedelta(minutes=run.duration_min)
    lasts = LASTS.get(slug)
    right = Authorisation(
        lab=plan.lab,
        member=one.member,
        training=run.training,
        level=Level.ALONE.value,
        granted_at=ended_at,
        until_at=None if lasts is None else ended_at + lasts,
        evidence="",
    )
    return Attendance(run=run, member=one.member, present=True, authorisation=right), right
