"""Who gets statements: what they say of a payer, and whether the payer pays in advance."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import credit
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import Lab, Member, Payer, PayerKind, Topic
from interlock.hub.permissions import Actor, Permission, require

_LENGTHS = {"siren": 14, "vat_number": 20, "order_reference": 64, "address": 1_000, "email": 254}
"""As the columns hold them; a SIRET has 14 digits."""
CREDIT_CENTS_MAX = 100_000_00
CREDIT_S_MAX = 1_000 * 3_600


@transaction.atomic
def change_payer(actor: Actor, payer: Payer, **changes: str) -> None:
    """The named fields (name, kind, email, siren, vat_number, address, order_reference) are as given; statements
    that were issued keep what they say. Raises ConfigError."""
    require(actor, payer.lab, Permission.EDIT_MEMBERS)
    unknown = set(changes) - {"name", "kind", *_LENGTHS}
    if unknown:
        raise ConfigError(_("this cannot be changed"), where=", ".join(sorted(unknown)))
    before = _described(payer)
    for name, value in changes.items():
        setattr(payer, name, value.strip())
    _check(payer)
    payer.save(update_fields=sorted(changes))
    if _described(payer) != before:
        log_deed(
            actor,
            payer.lab,
            Topic.OTHER,
            "payer_changed",
            str(payer.pk),
            before=before,
            after=_described(payer),
        )


@transaction.atomic
def set_prepays(actor: Actor, payer: Payer, on: bool, why: str) -> None:
    """The payer uses only what stands on their account, or is billed afterwards; machines hear of it."""
    require(actor, payer.lab, Permission.EDIT_ACCOUNTS)
    if payer.prepays == on:
        return
    payer.prepays = on
    payer.save(update_fields=["prepays"])
    if on:
        credit.recount(payer.lab, [payer.pk], actor.now())
    else:
        held_up = credit.members_of({payer.pk})
        Member.objects.filter(pk__in=[one.pk for one in held_up]).update(credit=Member.Credit.OK)
    log_deed(
        actor,
        payer.lab,
        Topic.RIGHTS,
        "prepays" if on else "pays_afterwards",
        str(payer.pk),
        before={"prepays": not on},
        after={"prepays": on},
        why=why,
    )


@transaction.atomic
def set_credit_limits(actor: Actor, lab: Lab, low_cents: int, low_s: int) -> None:
    """Accounts with less than both of these are low: machines warn. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_ACCOUNTS)
    for name, value, most in (
        ("low_cents", low_cents, CREDIT_CENTS_MAX),
        ("low_s", low_s, CREDIT_S_MAX),
    ):
        if not 0 <= value <= most:
            raise ConfigError(
                _("must lie between %(least)d and %(most)d") % {"least": 0, "most": most},
                where=name,
            )
    before = {"low_cents": lab.credit_low_cents, "low_s": lab.credit_low_s}
    lab.credit_low_cents, lab.credit_low_s = low_cents, low_s
    lab.save(update_fields=["credit_low_cents", "credit_low_s"])
    payers = Payer.objects.filter(lab=lab, prepays=True).values_list("pk", flat=True)
    credit.recount(lab, payers, actor.now())
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "credit_limits_set",
        lab.slug,
        before=before,
        after={"low_cents": low_cents, "low_s": low_s},
    )


def _check(payer: Payer) -> None:
    limits.check_name(payer.name, "name", limits.PERSON_LENGTH_MAX)
    if payer.kind not in PayerKind.values:
        raise ConfigError(_("choose person or organisation"), where="kind")
    for name, most in _LENGTHS.items():
        if len(getattr(payer, name)) > most:
            raise ConfigError(
                _("must have at most %(most)d characters") % {"most": most}, where=name
            )
    others = Payer.objects.filter(lab=payer.lab, name=payer.name).exclude(pk=payer.pk)
    if others.exists():
        raise ConfigError(_("a payer of that name exists already"), where=payer.name)


def _described(payer: Payer) -> dict[str, Any]:
    return {name: str(getattr(payer, name)) for name in ("name", "kind", *_LENGTHS)}
