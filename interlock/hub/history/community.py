"""Open days and people go in; activities, volunteer time, maintenance, problems and refusals stand in the tables."""

from __future__ import annotations

from datetime import timedelta

from interlock.core.model import Reason
from interlock.hub.history.days import OpenDay
from interlock.hub.history.machines import Station
from interlock.hub.history.people import ROWS, Person
from interlock.hub.history.plan import Plan
from interlock.hub.models import (
    Activity,
    Headcount,
    Intervention,
    MaintenancePlan,
    Problem,
    Public,
    RefusalCount,
    VolunteerTime,
)

ACTIVITIES_A_DAY = 0.32
IN_HOLIDAYS = 2.2
VOLUNTEERED_A_DAY = 0.9
REFUSED_A_DAY = 0.35
"""Refusals of one machine on an open day, for each of the reasons below and its weight."""

_WORKSHOPS = (
    (("First steps in 3D printing", "Premiers pas en impression 3D"), 120),
    (("Repair café", "Repair café"), 180),
    (("Laser engraving for beginners", "Gravure laser pour débutants"), 150),
    (("Open evening", "Soirée portes ouvertes"), 180),
    (("Make your own lamp", "Fabriquez votre lampe"), 240),
)
_FOR_CHILDREN = (
    (("Little inventors", "Petits inventeurs"), 120),
    (("Robots of cardboard", "Robots en carton"), 150),
)
_VISITS = ((("School visit", "Visite d’une classe"), 90), (("Company visit", "Visite"), 60))

_TASKS = (
    ("Looking after the workshop", "Permanence d’atelier"),
    ("Maintenance of machines", "Entretien des machines"),
    ("Preparing a workshop", "Préparation d’un atelier"),
    ("Bookkeeping", "Comptabilité"),
)

_REASONS = (
    (Reason.NOT_TRAINED, 5.0),
    (Reason.UNKNOWN_BADGE, 2.0),
    (Reason.TRAINING_EXPIRED, 1.2),
    (Reason.MEMBERSHIP_EXPIRED, 0.8),
    (Reason.MACHINE_LOCKED_OUT, 0.5),
)


def hold_activities(plan: Plan, days: list[OpenDay]) -> None:
    """Workshops and visits, with the people who came."""
    held, counts = [], []
    for day in days:
        if plan.chance.random() > ACTIVITIES_A_DAY * (IN_HOLIDAYS if day.holidays else 1.0):
            continue
        kind, (names, minutes), publics = _activity(plan, day)
        activity = Activity(
            lab=plan.lab,
            kind=kind,
            title=plan.word(names),
            held_on=day.day,
            minutes=minutes,
            entered_at=plan.midnight(day.day) + timedelta(hours=20),
        )
        held.append(activity)
        for public, most in publics:
            people = plan.chance.randrange(1, most + 1)
            counts.append(Headcount(activity=activity, public=public, people=people))
    Activity.objects.bulk_create(held, ROWS)
    Headcount.objects.bulk_create(counts, ROWS)


def volunteer(plan: Plan, people: list[Person], days: list[OpenDay]) -> None:
    """Some members gave their time; the latest of it waits to be confirmed."""
    willing = [one for one in people if one.member.group and one.member.group.slug == "volunteer"]
    willing = willing or people[:3]
    rows = []
    for day in days:
        if plan.chance.random() > VOLUNTEERED_A_DAY:
            continue
        one = plan.chance.choice(willing)
        if not one.is_here(day.day):
            continue
        waits = (plan.last - day.day).days < 6
        at = plan.midnight(day.day) + timedelta(hours=22)
        rows.append(
            VolunteerTime(
                lab=plan.lab,
                member=one.member,
                done_on=day.day,
                minutes=30 * plan.chance.randrange(2, 9),
                task=plan.word(plan.chance.choice(_TASKS)),
                state=VolunteerTime.State.DECLARED if waits else VolunteerTime.State.CONFIRMED,
                declared_at=at,
                decided_at=None if waits else at + timedelta(days=2),
            )
        )
    VolunteerTime.objects.bulk_create(rows, ROWS)


def maintain(plan: Plan, stations: list[Station]) -> None:
    """Each machine has a plan, was looked after by it, and two have a problem nobody answered yet."""
    for index, one in enumerate(stations):
        every = (60, 120, 180)[index % 3]
        since = plan.midnight(plan.last) - timedelta(days=plan.chance.randrange(5, every))
        kept = MaintenancePlan.objects.create(
            lab=plan.lab,
            machine=one.machine,
            task=plan.word(("Cleaning and check", "Nettoyage et contrôle")),
            every_days=every,
            begins_at=plan.midnight(plan.first),
            since_at=since,
            due_at=since + timedelta(days=every),
        )
        _interventions(plan, kept, every)
    for one in stations[:2]:
        Problem.objects.create(
            lab=plan.lab,
            machine=one.machine,
            text=plan.word(("The extraction is noisy.", "L’aspiration fait du bruit.")),
            reported_at=plan.now - timedelta(days=plan.chance.randrange(1, 5)),
        )


def refuse(plan: Plan, stations: list[Station], days: list[OpenDay]) -> None:
    """How often each machine refused somebody, by day and reason."""
    reasons, weights = [one for one, _ in _REASONS], [weight for _, weight in _REASONS]
    rows = []
    for day in days:
        for one in stations:
            if plan.chance.random() > REFUSED_A_DAY:
                continue
            reason = plan.chance.choices(reasons, weights)[0]
            count = plan.chance.randrange(1, 4)
            rows.append(
                RefusalCount(
                    lab=plan.lab, machine=one.machine, day=day.day, reason=reason, count=count
                )
            )
    RefusalCount.objects.bulk_create(rows, ROWS)


def _activity(
    plan: Plan, day: OpenDay
) -> tuple[str, tuple[tuple[str, str], int], list[tuple[Public, int]]]:
    drawn = plan.chance.random()
    if day.holidays:
        children = [(Public.CHILDREN, 9), (Public.TEENAGERS, 5)]
        return Activity.Kind.WORKSHOP, plan.chance.choice(_FOR_CHILDREN), children
    if drawn < 0.25:
        visitors = [(Public.TEENAGERS, 28), (Public.ADULTS, 3)]
        return Activity.Kind.VISIT, plan.chance.choice(_VISITS), visitors
    publics = [(Public.ADULTS, 9), (Public.SENIORS, 4)]
    if drawn < 0.5:
        publics.append((Public.JOBSEEKERS, 3))
    return Activity.Kind.WORKSHOP, plan.chance.choice(_WORKSHOPS), publics


def _interventions(plan: Plan, kept: MaintenancePlan, every_days: int) -> None:
    done_at = kept.since_at
    while done_at > kept.begins_at:
        Intervention.objects.create(
            lab=plan.lab,
            machine=kept.machine,
            plan=kept,
            done_at=done_at,
            what=kept.task,
            minutes=15 * plan.chance.randrange(1, 6),
            cost_cents=plan.chance.choice((0, 0, 1_250, 4_800)),
            entered_at=done_at,
        )
        done_at -= timedelta(days=every_days)
