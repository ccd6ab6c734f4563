"""Machines: what they ask of people, what they cost, whether the hub has locked them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.core import model as core
from interlock.errors import ConfigError
from interlock.hub import downtime, live
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.domain.tariffs import check_basis
from interlock.hub.models import Lab, Machine, MachineTariff, Tariff, Topic, Training
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.timeline import moment
from interlock.protocol.snapshots import RIGHTS_MAX


@transaction.atomic
def create_machine(
    actor: Actor,
    lab: Lab,
    slug: str,
    name: str,
    *,
    location: str = "",
    badge_use: core.BadgeUse = core.BadgeUse.TAP,
    trainings: Sequence[Training] = (),
    needs: core.Needs = core.Needs.ALL,
    has_current_sensor: bool = False,
    tariff: Tariff | None = None,
    max_offline_s: int | None = None,
) -> Machine:
    """A machine people can be trained for. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_MACHINES)
    if Machine.objects.filter(lab=lab, slug=slug).exists():
        raise ConfigError(_("a machine of that name exists already"), where=slug)
    limits.check_slug(slug, limits.SLUG_LENGTH_MAX - limits.NODE_NUMBER_LENGTH)
    limits.check_name(name, "name")
    limits.check_number(max_offline_s, limits.OFFLINE_S_MAX, "max_offline_s")
    check_basis(tariff, has_current_sensor=has_current_sensor)
    _check_demands(trainings, needs)
    machine = Machine.objects.create(
        lab=lab,
        slug=slug,
        name=name,
        location=location,
        badge_use=badge_use.value,
        needs=needs.value,
        has_current_sensor=has_current_sensor,
        tariff=tariff,
        max_offline_s=max_offline_s,
    )
    machine.trainings.set(trainings)
    log_deed(actor, lab, Topic.RIGHTS, "machine_created", slug, after=described(machine))
    return machine


@transaction.atomic
def set_demands(
    actor: Actor, machine: Machine, trainings: Sequence[Training], needs: core.Needs
) -> None:
    """The machine asks for all, or any, of those trainings. Raises ConfigError."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    _check_demands(trainings, needs)
    before = described(machine)
    machine.needs = needs.value
    machine.save(update_fields=["needs"])
    machine.trainings.set(trainings)
    after = described(machine)
    if before != after:
        log_deed(
            actor,
            machine.lab,
            Topic.RIGHTS,
            "demands_changed",
            machine.slug,
            before=before,
            after=after,
        )


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What the hub asks of people besides trainings; the node's own file may be stricter, never laxer."""

    second_person: bool = False
    daily_limit_s: int | None = None
    within_hours: bool = False
    max_offline_s: int | None = None


@transaction.atomic
def set_rules(actor: Actor, machine: Machine, rules: HouseRules) -> None:
    """The machine asks for those. Raises ConfigError: out of bounds, or hours that the lab does not keep."""
    require(actor, machine.lab, Permission.EDIT_MACHINES)
    limits.check_number(rules.max_offline_s, limits.OFFLINE_S_MAX, "max_offline_s")
    limits.check_number(rules.daily_limit_s, limits.DAY_S, "daily_limit_s")
    lab = Lab.objects.get(pk=machine.lab_id)
    if rules.within_hours and not lab.hours:
        raise ConfigError(
            _("the lab keeps no opening hours"),
            where=machine.name,
            remedy=_("Write them in the settings first"),
        )
    before = described(machine)
    changed = asdict(rules)
    for name, value in changed.items():
        setattr(machine, name, value)
    machine.save(update_fields=list(changed))
    after = described(machine)
    if before != after:
        log_deed(
            actor,
            machine.lab,
            Topic.RIGHTS,
            "rules_changed",
            machine.slug,
            before=before,
            after=after,
        )


@transaction.atomic
def set_tariff(actor: Actor, machine: Machine, tariff: Tariff | None) -> None:
    """Sessions that begin from now on cost by `tariff`, whenever they arrive. Raises ConfigError when it
    bills busy time and the machine has no current sensor to tell it."""
    require(actor, machine.lab, Permission.EDIT_TARIFFS)
    check_basis(tariff, has_current_sensor=machine.has_current_sensor)
    before, machine.tariff = machine.tariff, tariff
    machine.save(update_fields=["tariff"])
    if not machine.tariff_history.exists():
        MachineTariff.objects.create(machine=machine, tariff=before, starts_at=moment(0))
    MachineTariff.objects.create(machine=machine, tariff=tariff, starts_at=actor.now())
    log_deed(
        actor,
        machine.lab,
        Topic.OTHER,
        "machine_tariff_changed",
        machine.slug,
        before={"tariff": before.slug if before else None},
        after={"tariff": tariff.slug if tariff else None},
    )


@transaction.atomic
def lock_out(actor: Actor, machine: Machine, why: str) -> None:
    """Nobody starts a session there any more, from the node's next snapshot on; one that runs goes
    on. Raises ConfigError without a reason."""
    require(actor, machine.lab, Permission.LOCK_OUT)
    if not why.strip():
        raise ConfigError(_("say why, for those who stand in front of it"), where=machine.name)
    machine.locked_out_at, machine.locked_out_why = actor.now(), why.strip()
    _save_lock_out(actor, machine, "locked_out", why)


@transaction.atomic
def clear_lock_out(actor: Actor, machine: Machine, why: str = "") -> None:
    """The hub's lock-out is over; one set at the machine itself stays."""
    require(actor, machine.lab, Permission.LOCK_OUT)
    machine.locked_out_at, machine.locked_out_why = None, ""
    _save_lock_out(actor, machine, "lock_out_cleared", why)


def _save_lock_out(actor: Actor, machine: Machine, action: str, why: str) -> None:
    # The board may have moved since the caller read the machine: only these fields are written.
    fresh = Machine.objects.select_for_update().get(pk=machine.pk)
    fresh.locked_out_at, fresh.locked_out_why = machine.locked_out_at, machine.locked_out_why
    live.settle(fresh, actor.now())
    fresh.save(update_fields=["locked_out_at", "locked_out_why", "live_state", "live_since_at"])
    downtime.follow(fresh, actor.now())
    log_deed(actor, machine.lab, Topic.RIGHTS, action, machine.slug, why=why)


def _check_demands(trainings: Sequence[Training], needs: core.Needs) -> None:
    if len(trainings) > RIGHTS_MAX:
        raise ConfigError(
            _("a machine asks for at most %(most)d trainings") % {"most": RIGHTS_MAX},
            where="trainings",
        )
    if needs is core.Needs.ANY and not trainings:
        # "Any of none" would shut out everybody without a word why.
        raise ConfigError(_("choose at least one training"), where="trainings")


def described(machine: Machine) -> dict[str, Any]:
    """What the audit log keeps of what a machine asks for."""
    return {
        "name": machine.name,
        "needs": machine.needs,
        "trainings": sorted(machine.trainings.values_list("slug", flat=True)),
        "tariff": machine.tariff.slug if machine.tariff else None,
        "has_current_sensor": machine.has_current_sensor,
        "second_person": machine.second_person,
        "daily_limit_s": machine.daily_limit_s,
        "within_hours": machine.within_hours,
        "max_offline_s": machine.max_offline_s,
    }
