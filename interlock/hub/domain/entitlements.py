"""Euros that a payer may use, by a receipt issued elsewhere: entries that nobody changes afterwards."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import credit
from interlock.hub.changes import log_deed
from interlock.hub.domain.payers import set_credit_limits, set_prepays
from interlock.hub.models import AccountEntry, Payer, Topic
from interlock.hub.permissions import Actor, Permission, require

__all__ = ["credit_account", "set_credit_limits", "take_back"]

ENTITLED_CENTS_MAX = 1_000_000_00
RECEIPT_LENGTH_MAX = 64


@transaction.atomic
def credit_account(
    actor: Actor, payer: Payer, cents: int, receipt: str, why: str = ""
) -> AccountEntry:
    """`payer` may use so much more, by that receipt of another till; the first entry makes them pay in
    advance. No amount received, means or date is kept here. Raises ConfigError."""
    require(actor, payer.lab, Permission.EDIT_ACCOUNTS)
    if not 1 <= cents <= ENTITLED_CENTS_MAX:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 1, "most": ENTITLED_CENTS_MAX},
            where="cents",
        )
    if not 0 < len(receipt.strip()) <= RECEIPT_LENGTH_MAX:
        raise ConfigError(
            _("name the receipt that your till issued"),
            where="receipt",
            remedy=_("The hub keeps no payments: it only cites the receipt"),
        )
    first = not payer.account_entries.exists()
    entry = AccountEntry.objects.create(
        lab=payer.lab,
        payer=payer,
        cents=cents,
        receipt=receipt.strip(),
        why=why.strip(),
        written_at=actor.now(),
    )
    _log(actor, entry, "account_credited")
    if first:
        set_prepays(actor, payer, True, why)
    credit.recount(payer.lab, [payer.pk], actor.now())
    return entry


@transaction.atomic
def take_back(actor: Actor, entry: AccountEntry, why: str) -> AccountEntry:
    """A wrong entitlement counts no more: another entry takes it back. Raises ConfigError."""
    require(actor, entry.lab, Permission.EDIT_ACCOUNTS)
    if not why.strip():
        raise ConfigError(_("say why"), where="why")
    if entry.kind != AccountEntry.Kind.ENTITLEMENT:
        raise ConfigError(_("only an entitlement can be taken back"), where=str(entry.pk))
    if AccountEntry.objects.filter(takes_back=entry).exists():
        raise ConfigError(_("this entry was taken back already"), where=str(entry.pk))
    back = AccountEntry.objects.create(
        lab=entry.lab,
        payer=entry.payer,
        kind=AccountEntry.Kind.TAKEN_BACK,
        cents=-entry.cents,
        receipt=entry.receipt,
        why=why.strip(),
        takes_back=entry,
        written_at=actor.now(),
    )
    _log(actor, back, "entitlement_taken_back")
    credit.recount(entry.lab, [entry.payer_id], actor.now())
    return back


def _log(actor: Actor, entry: AccountEntry, action: str) -> None:
    after = {"payer": entry.payer_id, "cents": entry.cents, "receipt": entry.receipt}
    log_deed(actor, entry.lab, Topic.OTHER, action, str(entry.pk), after=after, why=entry.why)
