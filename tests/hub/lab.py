"""A small lab, made with the hub's own domain functions: what most of the hub's tests begin with."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from interlock.hub.directory import HubConfig
from interlock.hub.domain import labs, machines, members, nodes, tariffs, trainings
from interlock.hub.domain.nodes import Enrolled
from interlock.hub.models import Badge, Lab, Machine, Member, Tariff, Training
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal

__all__ = ["Journal", "SmallLab", "console", "small_lab"]

LAB_BEGAN_MS = 1_700_000_000_000
HUB_URL = "http://127.0.0.1:1"
UID = bytes.fromhex("04a1b2c3d4e5f6")


@dataclass
class SmallLab:
    """One machine with its node, one trained member with a badge, one tariff of 12 € an hour."""

    lab: Lab
    machine: Machine
    member: Member
    badge: Badge
    training: Training
    tariff: Tariff
    enrolled: Enrolled


def small_lab(prices: tariffs.Prices | None = None, slug: str = "lab") -> SmallLab:
    """Made with the hub's own domain functions, long before anything a test reports happened."""
    actor = Actor(VirtualClock(wall_ms=LAB_BEGAN_MS))
    lab = labs.create_lab(
        actor, slug, HubConfig(name="Test lab", time_zone="Europe/Paris", language="en")
    )
    training = trainings.create_training(actor, lab, "saw-basics", "Table saw")
    tariff = tariffs.create_tariff(
        actor, lab, "wood", "Wood", prices or tariffs.Prices(cents_per_hour=1_200, forgive_s=0)
    )
    machine = machines.create_machine(
        actor,
        lab,
        "saw",
        "Table saw",
        trainings=[training],
        has_current_sensor=True,
        tariff=tariff,
    )
    member = members.create_member(actor, lab, "Ada Martin", email="ada@example.org")
    badge = members.assign_badge(actor, member, UID, "blue key ring")
    trainings.grant_training(actor, member, training)
    return SmallLab(
        lab, machine, member, badge, training, tariff, nodes.enrol_node(actor, machine, HUB_URL)
    )


def console() -> Actor:
    """Whoever sits at the hub's console."""
    return Actor(settings.HUB_CLOCK)
