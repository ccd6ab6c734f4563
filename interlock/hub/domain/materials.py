"""What the lab sells besides time: a catalogue with prices, and lines of what somebody took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import credit
from interlock.hub.billing import day_of
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.domain.tariffs import CENTS_MAX, check_vat
from interlock.hub.models import Lab, Line, LineKind, Material, Member, Payer, Session, Topic
from interlock.hub.open_months import month_for_today
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.pricing import half_up

UNIT_LENGTH_MAX = 20
MILLI = 1_000
"""Quantities are kept in thousandths: a gram of a kilogram, a millimetre of a metre."""
QUANTITY_MAX = Decimal(100_000)


@dataclass(frozen=True, slots=True)
class MaterialPrice:
    """The price of one unit, net or gross, with its VAT and the codes of the accountant."""

    unit_cents: int
    is_net: bool = False
    vat_bp: int = 0
    notice: str = ""
    account: str = ""
    analytic: str = ""


@transaction.atomic
def create_material(actor: Actor, lab: Lab, name: str, unit: str, price: MaterialPrice) -> Material:
    """Something new in the catalogue. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_TARIFFS)
    material = Material(lab=lab, name=name.strip(), unit=unit.strip(), **asdict(price))
    _check(material)
    material.save()
    log_deed(
        actor, lab, Topic.OTHER, "material_created", str(material.pk), after=_described(material)
    )
    return material


@transaction.atomic
def change_material(
    actor: Actor,
    material: Material,
    *,
    name: str | None = None,
    unit: str | None = None,
    price: MaterialPrice | None = None,
) -> None:
    """The material is as given from now on; lines that were written keep their price. Raises ConfigError."""
    require(actor, material.lab, Permission.EDIT_TARIFFS)
    before = _described(material)
    material.name = material.name if name is None else name.strip()
    material.unit = material.unit if unit is None else unit.strip()
    for field, value in ({} if price is None else asdict(price)).items():
        setattr(material, field, value)
    _check(material)
    material.save()
    _log_change(actor, material, "material_changed", before)


@transaction.atomic
def retire_material(actor: Actor, material: Material) -> None:
    """It is sold no more; its lines stay."""
    require(actor, material.lab, Permission.EDIT_TARIFFS)
    before, material.retired_at = _described(material), actor.now()
    material.save(update_fields=["retired_at"])
    _log_change(actor, material, "material_retired", before)


@transaction.atomic
def add_material(
    actor: Actor,
    material: Material,
    quantity: Decimal,
    payer: Payer,
    *,
    member: Member | None = None,
    session: Session | None = None,
    why: str = "",
) -> Line:
    """`payer` owes that much of the material, in the month that is running. Raises ConfigError."""
    require(actor, material.lab, Permission.CORRECT_USE)
    milli = quantity * MILLI
    if not 0 < quantity <= QUANTITY_MAX or milli != milli.to_integral_value():
        raise ConfigError(
            _("must be above zero, with three decimals at most"), where=f"{material.name}: quantity"
        )
    if material.retired_at is not None:
        raise ConfigError(_("this is sold no more"), where=material.name)
    cents = half_up(int(milli) * material.unit_cents, MILLI)
    day = day_of(material.lab, actor.now())
    line = Line.objects.create(
        lab=material.lab,
        kind=LineKind.MATERIAL,
        payer=payer,
        material=material,
        member=member,
        used_in=session,
        day=day,
        month=month_for_today(material.lab, day),
        price_cents=cents,
        cents=cents,
        steps=[
            {
                "kind": "material",
                "seconds": 0,
                "cents": cents,
                "quantity_milli": int(milli),
                "unit": material.unit,
                "unit_cents": material.unit_cents,
            }
        ],
        is_net=material.is_net,
        vat_bp=material.vat_bp,
        notice=material.notice,
        account=material.account,
        analytic=material.analytic,
        words=material.name,
        why=why.strip()[:500],
        priced_at=actor.now(),
    )
    after = {"payer": payer.pk, "material": material.pk, "milli": int(milli), "cents": cents}
    log_deed(actor, material.lab, Topic.OTHER, "material_added", str(line.pk), after=after, why=why)
    credit.recount(material.lab, [payer.pk], actor.now())
    return line


def _check(material: Material) -> None:
    limits.check_name(material.name, "name")
    limits.check_name(material.unit, "unit", UNIT_LENGTH_MAX)
    if not 0 <= material.unit_cents <= CENTS_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 0, "most": CENTS_MAX},
            where=f"{material.name}: unit_cents",
        )
    check_vat(material.name, material.vat_bp, material.notice, material.account, material.analytic)
    others = Material.objects.filter(lab=material.lab, name=material.name)
    if others.exclude(pk=material.pk).exists():
        raise ConfigError(_("a material of that name exists already"), where=material.name)


def _log_change(actor: Actor, material: Material, action: str, before: dict[str, Any]) -> None:
    log_deed(
        actor,
        material.lab,
        Topic.OTHER,
        action,
        str(material.pk),
        before=before,
        after=_described(material),
    )


def _described(material: Material) -> dict[str, Any]:
    names = ("name", "unit", "unit_cents", "is_net", "vat_bp", "notice", "account", "analytic")
    said: dict[str, Any] = {name: getattr(material, name) for name in names}
    return {**said, "retired": material.retired_at is not None}
