"""Tariffs and their dated versions; one that bills what nobody measures is refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import (
    Basis,
    Group,
    Lab,
    Rounding,
    Tariff,
    TariffVersion,
    Topic,
)
from interlock.hub.permissions import Actor, Permission, require

ROUNDING_MIN_MAX = 24 * 60
CENTS_MAX = 100_000_00
"""A hundred thousand euros an hour: more is a slip of the finger."""
SECONDS_MAX = 86_400


@dataclass(frozen=True, slots=True)
class Prices:
    """What a tariff version says; pricing.py has the rules."""

    cents_per_hour: int = 0
    basis: Basis = Basis.ENABLED
    rounding: Rounding = Rounding.EXACT
    rounding_min: int = 1
    setup_cents: int = 0
    minimum_cents: int = 0
    free_s: int = 0
    daily_cap_cents: int | None = None
    forgive_s: int = 10


@transaction.atomic
def create_tariff(actor: Actor, lab: Lab, slug: str, name: str, prices: Prices) -> Tariff:
    """A tariff with its first prices, for everybody, in force at once. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_TARIFFS)
    if Tariff.objects.filter(lab=lab, slug=slug).exists():
        raise ConfigError(_("a tariff of that name exists already"), where=slug)
    limits.check_slug(slug)
    limits.check_name(name, "name")
    tariff = Tariff.objects.create(lab=lab, slug=slug, name=name)
    set_prices(actor, tariff, prices)
    return tariff


@transaction.atomic
def set_prices(
    actor: Actor,
    tariff: Tariff,
    prices: Prices,
    *,
    group: Group | None = None,
    starts_at: datetime | None = None,
) -> TariffVersion:
    """`prices` hold from `starts_at` (now when None) on, for `group` or for everybody without prices
    of their own. What was used before costs what it cost. Raises ConfigError."""
    require(actor, tariff.lab, Permission.EDIT_TARIFFS)
    now = actor.now()
    starts_at = starts_at or now
    _check_prices(tariff, prices)
    if starts_at < now:
        raise ConfigError(_("prices cannot change for what was used already"), where=tariff.name)
    busy = prices.basis == Basis.BUSY
    blind = tariff.machines.filter(has_current_sensor=False).first() if busy else None
    if blind is not None:
        raise _no_sensor(blind.name)
    old = TariffVersion.objects.filter(tariff=tariff, group=group, starts_at__lte=starts_at)
    before = old.order_by("-starts_at").first()
    if TariffVersion.objects.filter(tariff=tariff, group=group, starts_at=starts_at).exists():
        raise ConfigError(_("prices for that moment exist already"), where=tariff.name)
    version = TariffVersion.objects.create(
        tariff=tariff, group=group, starts_at=starts_at, **asdict(prices)
    )
    log_deed(
        actor,
        tariff.lab,
        Topic.OTHER,
        "prices_changed",
        f"{tariff.slug} {group.slug if group else '*'}",
        before=None if before is None else _described(before),
        after=_described(version),
    )
    return version


def check_basis(tariff: Tariff | None, *, has_current_sensor: bool) -> None:
    """Return when a machine with or without a sensor can be billed so. Raises ConfigError."""
    if tariff is None or has_current_sensor:
        return
    if tariff.versions.filter(basis=Basis.BUSY).exists():
        raise _no_sensor(tariff.name)


def _no_sensor(where: str) -> ConfigError:
    return ConfigError(
        _("busy time cannot be billed where no current sensor measures it"),
        where=where,
        remedy=_("Bill enabled time, or fit a current sensor and say so on the machine's page"),
    )


def _check_prices(tariff: Tariff, prices: Prices) -> None:
    limits = {
        "cents_per_hour": CENTS_MAX,
        "setup_cents": CENTS_MAX,
        "minimum_cents": CENTS_MAX,
        "daily_cap_cents": CENTS_MAX,
        "free_s": SECONDS_MAX,
        "forgive_s": SECONDS_MAX,
        "rounding_min": ROUNDING_MIN_MAX,
    }
    for name, most in limits.items():
        value, least = getattr(prices, name), 1 if name == "rounding_min" else 0
        if value is not None and not least <= value <= most:
            raise ConfigError(
                _("must lie between %(least)d and %(most)d") % {"least": least, "most": most},
                where=f"{tariff.name}: {name}",
            )


def _described(version: TariffVersion) -> dict[str, Any]:
    names = asdict(Prices())
    values = {name: getattr(version, name) for name in names}
    values["basis"], values["rounding"] = str(version.basis), str(version.rounding)
    return {**values, "starts_at": int(version.starts_at.timestamp())}
