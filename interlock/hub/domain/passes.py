"""Prepaid passes, the lab's time credits, and sponsors who pay for the use of others, with a report of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction
from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.billing import day_of, reprice_since
from interlock.hub.changes import log_deed
from interlock.hub.domain import limits
from interlock.hub.models import (
    Group,
    Lab,
    Machine,
    Pass,
    PassKind,
    PassUse,
    Payer,
    Sponsorship,
    Topic,
)
from interlock.hub.permissions import Actor, Permission, require

SECONDS_MAX = 100_000 * 3_600
CENTS_MAX = 10_000_000_00
REFERENCE_LENGTH_MAX = 64


@dataclass(frozen=True, slots=True)
class Left:
    """What a pass held, what lines took of it (open months too), and what is left: seconds or cents."""

    amount: int
    used: int

    @property
    def left(self) -> int:
        """What nothing has used."""
        return max(0, self.amount - self.used)


@dataclass(frozen=True, slots=True)
class SponsoredUse:
    """What one payer used of one machine at a sponsor's cost; `cents` is what they did not have to pay."""

    payer: Payer
    machine: Machine
    sessions: int
    seconds: int
    cents: int


@dataclass(frozen=True, slots=True)
class SponsorReport:
    """A sponsorship over some days: every use by payer and machine, and what is left of it today."""

    rows: tuple[SponsoredUse, ...]
    left: int

    @property
    def seconds(self) -> int:
        """Seconds that passes of time carried."""
        return sum(row.seconds for row in self.rows)

    @property
    def cents(self) -> int:
        """What all of them did not have to pay."""
        return sum(row.cents for row in self.rows)


@transaction.atomic
def sell_pass(
    actor: Actor,
    payer: Payer,
    kind: str,
    name: str,
    amount: int,
    *,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    machines: Sequence[Machine] = (),
    receipt: str = "",
    why: str = "",
) -> Pass:
    """`payer` may use so many seconds or cents before anything is billed, on those machines (none named: on
    all). Sessions of open months that began since `starts_at` count already. Raises ConfigError."""
    made = Pass(
        payer=payer,
        kind=kind,
        name=name,
        amount=amount,
        origin=Pass.Origin.BOUGHT,
        receipt=receipt,
        why=why,
    )
    return _issue(actor, made, starts_at, expires_at, machines)


@transaction.atomic
def give_time(
    actor: Actor, payer: Payer, seconds: int, why: str, *, expires_at: datetime | None = None
) -> Pass:
    """The lab gives time, for example to volunteers; it never becomes euros. Raises ConfigError."""
    if not why.strip():
        raise ConfigError(_("say why"), where="why")
    made = Pass(
        payer=payer,
        kind=PassKind.TIME,
        name=_("time credit"),
        amount=seconds,
        origin=Pass.Origin.GIVEN,
        why=why,
    )
    return _issue(actor, made, None, expires_at, ())


@transaction.atomic
def end_pass(actor: Actor, pass_: Pass, why: str) -> None:
    """No session that begins from now on takes anything of it. Raises ConfigError."""
    require(actor, pass_.lab, Permission.EDIT_ACCOUNTS)
    now = actor.now()
    if not why.strip():
        raise ConfigError(_("say why"), where="why")
    if pass_.expires_at is not None and pass_.expires_at <= now:
        raise ConfigError(_("this pass has ended already"), where=pass_.name)
    before, pass_.expires_at = pass_.expires_at, now
    pass_.save(update_fields=["expires_at"])
    log_deed(
        actor,
        pass_.lab,
        Topic.OTHER,
        "pass_ended",
        str(pass_.pk),
        before={"expires_at": None if before is None else int(before.timestamp())},
        after={"expires_at": int(now.timestamp())},
        why=why,
    )
    reprice_since(pass_.lab, [pass_.payer_id], day_of(pass_.lab, now), now)


@transaction.atomic
def create_sponsorship(
    actor: Actor,
    lab: Lab,
    sponsor: Payer,
    name: str,
    kind: str,
    amount: int,
    *,
    share_percent: int = 100,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    machines: Sequence[Machine] = (),
    groups: Sequence[Group] = (),
    reference: str = "",
) -> Sponsorship:
    """`sponsor` carries that share of sessions on those machines and of those groups (none named: all), up to
    `amount` seconds or cents; `allot` says for whom. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_ACCOUNTS)
    starts_at = starts_at or actor.now()
    limits.check_name(name, "name")
    _check_amount(kind, amount, starts_at, expires_at)
    limits.check_number(share_percent, 100, "share_percent")
    if Sponsorship.objects.filter(lab=lab, name=name.strip()).exists():
        raise ConfigError(_("a sponsorship of that name exists already"), where=name)
    if len(reference) > REFERENCE_LENGTH_MAX:
        raise ConfigError(
            _("must have at most %(most)d characters") % {"most": REFERENCE_LENGTH_MAX},
            where="reference",
        )
    made = Sponsorship.objects.create(
        lab=lab,
        sponsor=sponsor,
        name=name.strip(),
        kind=kind,
        amount=amount,
        share_percent=share_percent,
        starts_at=starts_at,
        expires_at=expires_at,
        reference=reference.strip(),
    )
    made.machines.set(machines)
    made.groups.set(groups)
    after = {"sponsor": sponsor.pk, "kind": str(kind), "amount": amount, "share": share_percent}
    log_deed(actor, lab, Topic.OTHER, "sponsorship_created", str(made.pk), after=after)
    return made


@transaction.atomic
def allot(actor: Actor, sponsorship: Sponsorship, payer: Payer, amount: int) -> Pass:
    """`payer` may use so much of the sponsorship. All its passes together never hold more than it does; what
    ended passes did not use can be given again. Raises ConfigError."""
    spare = sponsorship.amount - _allotted(sponsorship, actor.now())
    if amount > spare:
        raise ConfigError(
            _("more than the sponsorship has left"),
            where=sponsorship.name,
            remedy=_("End passes that nobody uses, or agree on a new sponsorship"),
        )
    made = Pass(
        payer=payer,
        kind=sponsorship.kind,
        name=sponsorship.name,
        amount=amount,
        origin=Pass.Origin.SPONSORED,
        sponsorship=sponsorship,
    )
    return _issue(actor, made, sponsorship.starts_at, sponsorship.expires_at, ())


def left(passes: Iterable[Pass]) -> dict[int, Left]:
    """What is left of those passes, by their number: one query."""
    asked = list(passes)
    used = {
        pk: (seconds, cents)
        for pk, seconds, cents in PassUse.objects.filter(used__in=asked)
        .order_by()
        .values_list("used")
        .annotate(in_seconds=Sum("seconds"), in_cents=Sum("cents"))
    }
    return {one.pk: Left(one.amount, _of_kind(one, *used.get(one.pk, (0, 0)))) for one in asked}


def use_of(sponsorship: Sponsorship, begin: date, end: date) -> SponsorReport:
    """What was used of the sponsorship on those days, both included, by payer and machine."""
    uses = PassUse.objects.filter(
        used__sponsorship=sponsorship, line__day__gte=begin, line__day__lte=end
    ).order_by("line__payer__name", "line__session__machine__name")
    found = uses.values_list("line__payer", "line__session__machine").annotate(
        sessions=Count("line", distinct=True), in_seconds=Sum("seconds"), in_cents=Sum("cents")
    )
    rows = list(found)
    payers = Payer.objects.in_bulk([row[0] for row in rows])
    machines = Machine.objects.in_bulk([row[1] for row in rows])
    remaining = sum(one.left for one in left(sponsorship.passes.all()).values())
    unallotted = sponsorship.amount - sum(one.amount for one in sponsorship.passes.all())
    return SponsorReport(
        tuple(
            SponsoredUse(payers[payer], machines[machine], sessions, seconds, cents)
            for payer, machine, sessions, seconds, cents in rows
        ),
        remaining + max(0, unallotted),
    )


def _issue(
    actor: Actor,
    made: Pass,
    starts_at: datetime | None,
    expires_at: datetime | None,
    machines: Sequence[Machine],
) -> Pass:
    """The pass is stored, and what it carries already is priced again."""
    require(actor, made.payer.lab, Permission.EDIT_ACCOUNTS)
    made.lab, made.made_at = made.payer.lab, actor.now()
    made.starts_at, made.expires_at = starts_at or actor.now(), expires_at
    made.name, made.receipt, made.why = made.name.strip(), made.receipt.strip(), made.why.strip()
    limits.check_name(made.name, "name")
    _check_amount(made.kind, made.amount, made.starts_at, made.expires_at)
    for name, text, most in (("receipt", made.receipt, 64), ("why", made.why, 500)):
        if len(text) > most:
            raise ConfigError(
                _("must have at most %(most)d characters") % {"most": most}, where=name
            )
    made.save(force_insert=True)
    made.machines.set(machines)
    log_deed(
        actor,
        made.lab,
        Topic.OTHER,
        "pass_issued",
        str(made.pk),
        after={
            "payer": made.payer_id,
            "origin": str(made.origin),
            "kind": str(made.kind),
            "amount": made.amount,
            "starts_at": int(made.starts_at.timestamp()),
            "expires_at": None if expires_at is None else int(expires_at.timestamp()),
            "receipt": made.receipt,
        },
        why=made.why,
    )
    reprice_since(made.lab, [made.payer_id], day_of(made.lab, made.starts_at), actor.now())
    return made


def _check_amount(kind: str, amount: int, starts_at: datetime, expires_at: datetime | None) -> None:
    if kind not in PassKind.values:
        raise ConfigError(_("choose time or money"), where="kind")
    most = SECONDS_MAX if kind == PassKind.TIME else CENTS_MAX
    if not 1 <= amount <= most:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 1, "most": most},
            where="amount",
        )
    if expires_at is not None and expires_at <= starts_at:
        raise ConfigError(_("it would end before it begins"), where="expires_at")


def _allotted(sponsorship: Sponsorship, at: datetime) -> int:
    """What passes hold, and what ended ones used."""
    passes = list(sponsorship.passes.all())
    used = left(passes)
    return sum(
        used[one.pk].used if one.expires_at is not None and one.expires_at <= at else one.amount
        for one in passes
    )


def _of_kind(one: Pass, seconds: int, cents: int) -> int:
    return seconds if one.kind == PassKind.TIME else cents
