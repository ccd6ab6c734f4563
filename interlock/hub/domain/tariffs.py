"""Tariffs and their dated versions; one that bills what nobody measures is refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
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
    Purpose,
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
INCLUDED_S_MAX = 31 * SECONDS_MAX
"""No month is longer."""
VAT_BP_MAX = 10_000
"""A hundred per cent."""
NOTICE_LENGTH_MAX = 200
CODE_LENGTH_MAX = 20
"""Account and analytic codes: the longest an accounting program is known to take is 17."""


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
    monthly_cap_cents: int | None = None
    included_s: int = 0
    free_purposes: tuple[str, ...] = ()
    is_net: bool = False
    vat_bp: int = 0
    notice: str = ""
    account: str = ""
    analytic: str = ""


def prices_of(version: TariffVersion) -> Prices:
    """What a stored version says."""
    values = {one.name: getattr(version, one.name) for one in fields(Prices)}
    return Prices(**{**values, "free_purposes": tuple(version.free_purposes)})


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
    check_prices(tariff, prices)
    if starts_at < now:
        raise ConfigError(_("prices cannot change for what was used already"), where=tariff.name)
    old = TariffVersion.objects.filter(tariff=tariff, group=group, starts_at__lte=starts_at)
    before = old.order_by("-starts_at").first()
    if TariffVersion.objects.filter(tariff=tariff, group=group, starts_at=starts_at).exists():
        raise ConfigError(_("prices for that moment exist already"), where=tariff.name)
    version = draft_version(tariff, prices, group, starts_at)
    version.save(force_insert=True)
    log_deed(
        actor,
        tariff.lab,
        Topic.OTHER,
        "prices_changed",
        f"{tariff.slug} {group.slug if group else '*'}",
        before=None if before is None else described(before),
        after=described(version),
    )
    return version


def draft_version(
    tariff: Tariff, prices: Prices, group: Group | None, starts_at: datetime
) -> TariffVersion:
    """A version as it would be stored."""
    values = {**asdict(prices), "free_purposes": sorted(prices.free_purposes)}
    return TariffVersion(tariff=tariff, group=group, starts_at=starts_at, **values)


def check_prices(tariff: Tariff, prices: Prices) -> None:
    """Return when those can be the tariff's prices. Raises ConfigError."""
    _check_numbers(tariff, prices)
    check_vat(tariff.name, prices.vat_bp, prices.notice, prices.account, prices.analytic)
    unknown = set(prices.free_purposes) - set(Purpose.values)
    if unknown:
        raise ConfigError(
            _("there is no %(name)s") % {"name": ", ".join(sorted(unknown))},
            where=f"{tariff.name}: free_purposes",
        )
    busy = prices.basis == Basis.BUSY
    blind = tariff.machines.filter(has_current_sensor=False).first() if busy else None
    if blind is not None:
        raise _no_sensor(blind.name)


def check_vat(where: str, vat_bp: int, notice: str, account: str = "", analytic: str = "") -> None:
    """Return when a rate, its notice and the codes of an accountant can be stored. Raises ConfigError."""
    if not 0 <= vat_bp <= VAT_BP_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 0, "most": VAT_BP_MAX},
            where=f"{where}: vat_bp",
        )
    if vat_bp and notice.strip():
        raise ConfigError(
            _("a notice says why there is no VAT, and here there is"), where=f"{where}: notice"
        )
    for name, text, most in (
        ("notice", notice, NOTICE_LENGTH_MAX),
        ("account", account, CODE_LENGTH_MAX),
        ("analytic", analytic, CODE_LENGTH_MAX),
    ):
        if len(text) > most:
            raise ConfigError(
                _("must have at most %(most)d characters") % {"most": most},
                where=f"{where}: {name}",
            )


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


def _check_numbers(tariff: Tariff, prices: Prices) -> None:
    bounds = {
        "cents_per_hour": CENTS_MAX,
        "setup_cents": CENTS_MAX,
        "minimum_cents": CENTS_MAX,
        "daily_cap_cents": CENTS_MAX,
        "monthly_cap_cents": CENTS_MAX,
        "included_s": INCLUDED_S_MAX,
        "free_s": SECONDS_MAX,
        "forgive_s": SECONDS_MAX,
        "rounding_min": ROUNDING_MIN_MAX,
    }
    for name, most in bounds.items():
        value, least = getattr(prices, name), 1 if name == "rounding_min" else 0
        if value is not None and not least <= value <= most:
            raise ConfigError(
                _("must lie between %(least)d and %(most)d") % {"least": least, "most": most},
                where=f"{tariff.name}: {name}",
            )


def described(version: TariffVersion) -> dict[str, Any]:
    """What the audit log keeps of prices."""
    names = asdict(Prices())
    values = {name: getattr(version, name) for name in names}
    values["free_purposes"] = list(version.free_purposes)
    values["basis"], values["rounding"] = str(version.basis), str(version.rounding)
    return {**values, "starts_at": int(version.starts_at.timestamp())}
