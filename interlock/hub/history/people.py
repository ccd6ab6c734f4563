"""A plan goes in; groups, organisations and members who come and go stand in the tables."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from interlock.hub.history.kinds import GROUPS, ORGANISED
from interlock.hub.history.names import Names, address
from interlock.hub.history.plan import Plan
from interlock.hub.models import Badge, Group, Member, Payer, PayerKind, Profile, Purpose
from interlock.protocol.tags import TAG_BYTES

ROWS = 1_000
"""Rows of one INSERT."""
MEMBERS_PER_ORGANISATION = 4
RENEWS = 0.72
"""How many members stay for another year."""
STUDENTS_LEAVE = 0.5
YEAR = timedelta(days=365)
SETTLED_DAYS = 60
"""Whoever was there before the past begins came at least so long before: time for every course."""


@dataclass(slots=True)
class Person:
    """A member, when they came and went, how often they come, and since when they hold which training."""

    member: Member
    joined: date
    leaves: date
    eagerness: float
    organised: bool
    held: dict[str, date] = field(default_factory=dict)
    practised: dict[str, datetime] = field(default_factory=dict)

    def is_here(self, day: date) -> bool:
        """Whether they are a member then."""
        return self.joined <= day < self.leaves


def groups_of(plan: Plan) -> dict[str, Group]:
    """The groups by id, those that were missing made."""
    known = {group.slug: group for group in Group.objects.filter(lab=plan.lab)}
    for slug, (english, french, _) in GROUPS.items():
        if slug not in known:
            name = plan.word((english, french))
            known[slug] = Group.objects.create(lab=plan.lab, slug=slug, name=name)
    return known


def people_of(plan: Plan) -> list[Person]:
    """Everybody who ever was a member, the earlier ones first: those that were there, and the invented."""
    groups = groups_of(plan)
    there = list(Member.objects.filter(lab=plan.lab).select_related("group", "payer"))
    people = [_settled(plan, member) for member in there]
    missing = max(0, plan.sizes.members - len(there))
    taken = set(Payer.objects.filter(lab=plan.lab).values_list("name", flat=True))
    names = Names(plan.chance, taken | {member.name for member in there})
    invented = _invented(plan, missing, groups, names)
    _write(plan, invented)
    return sorted([*people, *invented], key=lambda one: (one.joined, one.member.pk))


def _settled(plan: Plan, member: Member) -> Person:
    """Somebody of the sample lab: a member before the past begins, who stays."""
    joined = _before(plan)
    Member.objects.filter(pk=member.pk).update(joined_on=joined)
    organised = member.payer is not None and member.payer.kind == PayerKind.ORGANISATION
    return Person(member, joined, date.max, 6.0, organised)


def _invented(plan: Plan, number: int, groups: dict[str, Group], names: Names) -> list[Person]:
    chance = plan.chance
    slugs, shares = list(GROUPS), [share for _, _, share in GROUPS.values()]
    chosen = chance.choices(slugs, shares, k=number)
    organisations = _organisations(plan, chosen, names)
    people = []
    for index, slug in enumerate(chosen):
        name = names.person()
        joined = _joined(plan)
        leaves = _leaves(chance, joined, slug)
        is_gone = leaves <= plan.last
        until = plan.midnight(leaves if is_gone else plan.last + _rest(chance))
        member = Member(
            lab=plan.lab,
            public_id=f"{chance.getrandbits(64):016x}",
            name=name,
            email=address(name, index),
            language="fr" if chance.random() < 0.9 else "en",
            group=groups[slug],
            payer=chance.choice(organisations[slug]) if slug in ORGANISED else None,
            joined_on=joined,
            until_at=until,
            purpose=Purpose.COMPANY if slug == "company" else Purpose.OWN,
        )
        eagerness = chance.paretovariate(1.3)
        people.append(Person(member, joined, leaves, min(eagerness, 40.0), slug in ORGANISED))
    return people


def _joined(plan: Plan) -> date:
    """A third were there before, the others came in growing numbers."""
    days = (plan.last - plan.first).days
    if plan.chance.random() < 0.33:
        return _before(plan)
    return plan.first + timedelta(days=int(days * math.sqrt(plan.chance.random()) * 0.98))


def _before(plan: Plan) -> date:
    """A day of the year before the past begins, early enough to have been taught by then."""
    return plan.first - timedelta(days=plan.chance.randrange(SETTLED_DAYS, YEAR.days))


def _leaves(chance: random.Random, joined: date, slug: str) -> date:
    stays, leaves = STUDENTS_LEAVE if slug == "student" else RENEWS, joined + YEAR
    while chance.random() < stays:
        leaves += YEAR
    return leaves


def _rest(chance: random.Random) -> timedelta:
    return timedelta(days=chance.randrange(2, 364))


def _organisations(plan: Plan, chosen: list[str], names: Names) -> dict[str, list[Payer]]:
    made: dict[str, list[Payer]] = {}
    for slug in ORGANISED:
        number = max(1, chosen.count(slug) // MEMBERS_PER_ORGANISATION)
        made[slug] = [
            Payer(
                lab=plan.lab,
                name=names.organisation(plan.chance, company=slug == "company"),
                kind=PayerKind.ORGANISATION,
                siren=f"{plan.chance.randrange(300_000_000, 999_999_999)}",
                email="",
            )
            for _ in range(number)
        ]
        Payer.objects.bulk_create(made[slug], ROWS)
    return made


def _write(plan: Plan, people: list[Person]) -> None:
    own = [one for one in people if one.member.payer is None]
    payers = [Payer(lab=plan.lab, name=one.member.name, kind=PayerKind.PERSON) for one in own]
    Payer.objects.bulk_create(payers, ROWS)
    for one, payer in zip(own, payers, strict=True):
        one.member.payer = payer
    Member.objects.bulk_create([one.member for one in people], ROWS)
    Badge.objects.bulk_create([_badge(plan, one) for one in people], ROWS)
    told = [one for one in people if plan.chance.random() < 0.7]
    Profile.objects.bulk_create([_profile(plan, one) for one in told], ROWS)


def _badge(plan: Plan, one: Person) -> Badge:
    return Badge(
        lab=plan.lab,
        member=one.member,
        # No card has it: what cards have is made with the lab's key (protocol.tags).
        tag=plan.chance.randbytes(TAG_BYTES),
        label="",
        given_at=plan.midnight(one.joined) + timedelta(hours=18),
    )


def _profile(plan: Plan, one: Person) -> Profile:
    chance = plan.chance
    slug = one.member.group.slug if one.member.group else ""
    age = {"student": ("18-25",), "staff": ("26-59",)}.get(slug)
    bands, weights = ("12-17", "18-25", "26-59", "60", "unsaid"), (4, 14, 60, 17, 5)
    occupations = ("employed", "self_employed", "seeking", "retired", "unsaid")
    occupation = chance.choices(occupations, (48, 16, 14, 16, 6))[0]
    return Profile(
        member=one.member,
        age_band=age[0] if age else chance.choices(bands, weights)[0],
        gender=chance.choices(("woman", "man", "other", "unsaid"), (38, 54, 2, 6))[0],
        occupation="student" if slug == "student" else occupation,
        commune=chance.choice(("Rivebourg", "Saint-Ouen-les-Prés", "Montclair", "")),
        declared_at=plan.midnight(one.joined) + timedelta(hours=18),
    )
