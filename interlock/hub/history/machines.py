"""A plan goes in; tariffs with old prices, machines and their nodes stand in the tables."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from interlock.core.model import Needs
from interlock.hub.history.courses import trainings_of
from interlock.hub.history.kinds import GRANTS, KINDS, TARIFFS, Kind
from interlock.hub.history.plan import Plan
from interlock.hub.models import Downtime, Machine, Node, Tariff, TariffVersion

OLDER_PERCENT = 90
"""What the same hour cost until last January, of what it costs now."""
OLDER_S = 3_600
"""Prices and nodes were there an hour before the first session."""
SINCE_THE_BEGINNING = 0.7
"""Of the machines; the others came over the years."""
_KEY_BYTES = 32


@dataclass(slots=True)
class Station:
    """A machine, its node and its kind; `since` which share of the past it is there; `seq` its last session."""

    machine: Machine
    node: Node
    kind: Kind
    since: float
    seq: int = 0


def price(plan: Plan) -> dict[str, Tariff]:
    """The tariffs by id, those that were missing made; each has cost something since the beginning."""
    known = {one.slug: one for one in Tariff.objects.filter(lab=plan.lab)}
    began_at = plan.midnight(plan.first) - timedelta(seconds=OLDER_S)
    raised_at = plan.midnight(plan.last.replace(month=1, day=1))
    for slug, (english, french, prices) in TARIFFS.items():
        if slug in known:
            continue
        known[slug] = Tariff.objects.create(
            lab=plan.lab, slug=slug, name=plan.word((english, french))
        )
        TariffVersion.objects.create(tariff=known[slug], starts_at=raised_at, **asdict(prices))
    for version in TariffVersion.objects.filter(tariff__lab=plan.lab, starts_at__gte=raised_at):
        older = TariffVersion.objects.get(pk=version.pk)
        older.pk, older.starts_at = None, began_at
        older._state.adding = True
        older.cents_per_hour = version.cents_per_hour * OLDER_PERCENT // 100
        if version.starts_at > raised_at:
            version.starts_at = raised_at
            version.save(update_fields=["starts_at"])
        older.save()
    return known


def stations_of(plan: Plan) -> list[Station]:
    """Every machine with its node: those that were there, and as many more as the plan asks for."""
    tariffs, trainings = price(plan), trainings_of(plan)
    there = list(Machine.objects.filter(lab=plan.lab).order_by("pk"))
    kinds = {kind.slug: kind for kind in KINDS}
    taken = {machine.slug for machine in there}
    stations = []
    for index in range(max(plan.sizes.machines, len(there))):
        if index < len(there):
            machine = there[index]
            kind = kinds.get(machine.slug, KINDS[index % len(KINDS)])
        else:
            kind = KINDS[index % len(KINDS)]
            number, slug = 1, kind.slug
            while slug in taken:
                number += 1
                slug = f"{kind.slug}-{number}"
            taken.add(slug)
            machine = Machine.objects.create(
                lab=plan.lab,
                slug=slug,
                name=plan.word(kind.names) + (f" {number}" if number > 1 else ""),
                location=plan.word((f"Room {index % 7 + 1}", f"Salle {index % 7 + 1}")),
                badge_use=kind.badge_use,
                needs=Needs.ALL.value,
                has_current_sensor=kind.has_current_sensor,
                tariff=tariffs[kind.tariff],
            )
            machine.trainings.set([trainings[kind.training]])
        _paid_for(machine, index)
        since = 0.0
        if index >= plan.sizes.machines * SINCE_THE_BEGINNING:
            since = plan.chance.random() * 0.6
        stations.append(Station(machine, _node(plan, machine), kind, since))
    return stations


def break_down(plan: Plan, stations: list[Station]) -> None:
    """Every machine was locked out now and then, for a day or a week."""
    days = (plan.last - plan.first).days
    rows = []
    for one in stations:
        for _ in range(plan.chance.randrange(0, 3 * plan.sizes.years + 1)):
            begin = plan.midnight(plan.first) + timedelta(
                days=plan.chance.uniform(days * one.since, days - 15)
            )
            end = begin + timedelta(days=min(14.0, plan.chance.expovariate(0.4) + 0.1))
            rows.append(Downtime(lab=plan.lab, machine=one.machine, from_at=begin, until_at=end))
    Downtime.objects.bulk_create(rows)


def _paid_for(machine: Machine, index: int) -> None:
    name, reference = GRANTS[index % len(GRANTS)]
    if name and not machine.grant_name:
        machine.grant_name, machine.grant_reference = name, reference
        machine.save(update_fields=["grant_name", "grant_reference"])


def _node(plan: Plan, machine: Machine) -> Node:
    """The node in service, or one that nobody can speak for: its credential was never written down."""
    node = Node.objects.filter(machine=machine, revoked_at=None).first()
    if node is not None:
        return node
    began_at = plan.midnight(plan.first) - timedelta(seconds=OLDER_S)
    return Node.objects.create(
        lab=plan.lab,
        slug=machine.slug,
        machine=machine,
        credential_hash=secrets.token_bytes(_KEY_BYTES),
        chain_key=secrets.token_bytes(_KEY_BYTES),
        enrolled_at=began_at,
        last_seen_at=plan.now,
        software="0.1.0",
        mode="locked",
    )
