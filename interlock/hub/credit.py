"""Accounts, passes and open lines to what a payer has left, and to what machines are told of it.

Low warns at the machine, nothing left refuses the next session; the running one is never cut, since a
session is billed when it is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from interlock.hub import vat
from interlock.hub.changes import ROWS_AT_ONCE, log_change
from interlock.hub.models import (
    AccountEntry,
    Lab,
    Line,
    Member,
    Pass,
    PassKind,
    PassUse,
    Payer,
    Topic,
)
from interlock.hub.standing import standing_of


@dataclass(frozen=True, slots=True)
class Balance:
    """What a payer was entitled to, what statements took of it, what is still to be billed, what is left;
    beside it the passes that are good now. `left_cents` can lie below zero: a session is never cut."""

    entitled_cents: int
    billed_cents: int
    open_cents: int
    pass_cents: int
    pass_s: int
    state: Member.Credit

    @property
    def left_cents(self) -> int:
        """Euros of the account that nothing has used."""
        return self.entitled_cents - self.billed_cents - self.open_cents


def balance_of(payer: Payer, at: datetime) -> Balance:
    """What `payer` has left at that moment."""
    return balances(payer.lab, [payer.pk], at)[payer.pk]


def balances(lab: Lab, payers: Iterable[int], at: datetime) -> dict[int, Balance]:
    """The same for many, by payer: four queries."""
    asked = set(payers)
    entitled, billed = _accounts(asked)
    open_cents = _open_cents(asked)
    held = _passes(asked, at)
    found = {}
    for payer in asked:
        left = entitled[payer] - billed[payer] - open_cents[payer]
        of_money, of_time = held[payer, PassKind.MONEY], held[payer, PassKind.TIME]
        state = _state(lab, max(0, left) + of_money, of_time)
        found[payer] = Balance(
            entitled[payer], billed[payer], open_cents[payer], of_money, of_time, state
        )
    return found


def recount(lab: Lab, payers: Iterable[int], at: datetime) -> int:
    """Members of those payers that pay in advance have the credit their account allows; how many changed.
    Lists of rights are renewed only then. Call it in a transaction."""
    prepaying = set(
        Payer.objects.filter(pk__in=set(payers), prepays=True).values_list("pk", flat=True)
    )
    if not prepaying:
        return 0
    counted = balances(lab, prepaying, at)
    moved = []
    for member in members_of(prepaying):
        state = counted[standing_of(member).pays() or 0].state
        if member.credit != state:
            member.credit = state
            moved.append(member)
    if moved:
        Member.objects.bulk_update(moved, ["credit"])
        subject = moved[0].public_id if len(moved) == 1 else str(len(moved))
        log_change(lab, Topic.RIGHTS, "credit_counted", subject, at)
    return len(moved)


def follow(member: Member, paid_before: int | None, at: datetime) -> None:
    """`member`, who has another payer, has the credit that payer's account allows. Call it in the
    transaction of the change, which says that rights changed."""
    follow_all(member.lab, [(member, paid_before)], at)


def follow_all(lab: Lab, moved: Iterable[tuple[Member, int | None]], at: datetime) -> None:
    """The same for many, each with who paid before, by few statements."""
    pays = {member: (standing_of(member).pays() or 0, before or 0) for member, before in moved}
    known = Payer.objects.filter(lab=lab, prepays=True).values_list("pk", flat=True) if pays else ()
    prepaying = set(known)
    counted = balances(lab, {now for now, _ in pays.values()} & prepaying, at)
    for member, (now, before) in pays.items():
        if now in counted:
            member.credit = counted[now].state
        elif before in prepaying:
            member.credit = Member.Credit.OK
    Member.objects.bulk_update(list(pays), ["credit"], batch_size=ROWS_AT_ONCE)


def is_counted(member: Member) -> bool:
    """Whether an account says what the member may still use, and not a person."""
    return Payer.objects.filter(pk=standing_of(member).pays() or 0, prepays=True).exists()


def members_of(payers: set[int]) -> list[Member]:
    """Members whose sessions those payers pay unless staff say otherwise."""
    found = Member.objects.filter(Q(payer__in=payers) | Q(firm__in=payers)).order_by("pk")
    return [member for member in found if standing_of(member).pays() in payers]


def _state(lab: Lab, cents: int, seconds: int) -> Member.Credit:
    if not cents and not seconds:
        return Member.Credit.NONE
    if cents < lab.credit_low_cents and seconds < lab.credit_low_s:
        return Member.Credit.LOW
    return Member.Credit.OK


def _accounts(payers: set[int]) -> tuple[dict[int, int], dict[int, int]]:
    """What each was entitled to, and what statements took."""
    entitled: dict[int, int] = defaultdict(int)
    billed: dict[int, int] = defaultdict(int)
    found = AccountEntry.objects.filter(payer__in=payers).values_list("payer_id", "kind")
    for payer, kind, cents in found.order_by().annotate(total=Sum("cents")):
        if kind == AccountEntry.Kind.STATEMENT:
            billed[payer] -= cents
        else:
            entitled[payer] += cents
    return entitled, billed


def _open_cents(payers: set[int]) -> dict[int, int]:
    """What the open months will ask, with VAT, rounded month by month as statements are."""
    columns = ("payer_id", "month", "is_net", "vat_bp", "notice")
    # Asked as a sum and not as a column, so that the database goes by the payers, not through every open line.
    billed = Coalesce("statement_id", 0)
    found = Line.objects.alias(billed=billed).filter(payer__in=payers, billed=0).order_by()
    amounts: dict[tuple[int, date], list[vat.Amount]] = defaultdict(list)
    for payer, month, is_net, vat_bp, notice, cents in found.values_list(*columns).annotate(
        owed=Sum("cents")
    ):
        amounts[payer, month].append(vat.Amount(cents, is_net, vat_bp, notice))
    owed: dict[int, int] = defaultdict(int)
    for (payer, _), theirs in amounts.items():
        owed[payer] += vat.totals(theirs).gross_cents
    return owed


def _passes(payers: set[int], at: datetime) -> dict[tuple[int, str], int]:
    """What is left in passes that are good at `at`, by payer and kind."""
    held: dict[tuple[int, str], int] = defaultdict(int)
    passes = Pass.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=at), payer__in=payers, starts_at__lte=at
    )
    used = {
        one: (seconds, cents)
        for one, seconds, cents in PassUse.objects.filter(used__in=passes)
        .order_by()
        .values_list("used_id")
        .annotate(seconds=Coalesce(Sum("seconds"), 0), cents=Coalesce(Sum("cents"), 0))
    }
    for pk, payer, kind, amount in passes.values_list("pk", "payer_id", "kind", "amount"):
        seconds, cents = used.get(pk, (0, 0))
        held[payer, kind] += max(0, amount - (seconds if kind == PassKind.TIME else cents))
    return held
