"""Statements on their way: who gets one and where, asked for at once and sent by a job, or handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import mail
from interlock.hub.changes import log_deed
from interlock.hub.models import (
    Lab,
    MailKind,
    Member,
    PayerKind,
    Period,
    Statement,
    StatementDelivery,
    Topic,
)
from interlock.hub.permissions import Actor, Permission, require

Way = StatementDelivery.Way

HEAD_LENGTH_MAX = 500
"""Eight lines of an address, a SIREN and a VAT number."""

Written = Callable[[Statement], tuple[str, str, bytes]]
"""Subject, text and PDF of a statement, in the language that is switched on."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets a statement: a member, or the address of an organisation, in which language."""

    to: Member | str
    language: str

    @property
    def address(self) -> str:
        """Where it goes."""
        return self.to if isinstance(self.to, str) else self.to.email


def recipient_of(statement: Statement) -> Recipient | None:
    """The payer's own address, or the one member who pays for themselves; None: nobody has an address."""
    payer = statement.payer
    member = None
    if payer.kind == PayerKind.PERSON:
        member = payer.members.exclude(email="").order_by("pk").first()
    if payer.email:
        return Recipient(payer.email, member.language if member else statement.lab.language)
    return Recipient(member, member.language) if member else None


def delivery_of(statement: Statement) -> StatementDelivery | None:
    """What became of it; no query where `delivery` was selected."""
    found: StatementDelivery | None = getattr(statement, "delivery", None)
    return found


def statements_to_send(period: Period) -> QuerySet[Statement]:
    """The statements of a closed month that were neither sent nor handed over, and do not wait for it."""
    return Statement.objects.filter(period=period, delivery=None).order_by("number")


def without_address(period: Period) -> int:
    """How many of those can only be handed over."""
    return statements_to_send(period).exclude(_has_address()).count()


def on_the_way(period: Period) -> int:
    """How many were asked for and are not sent yet."""
    waiting = StatementDelivery.objects.filter(statement__period=period, sent_at=None, trouble="")
    return waiting.count()


@transaction.atomic
def send_all(actor: Actor, period: Period) -> int:
    """Every statement of the month that has an address is on its way; returns their number.

    Raises ConfigError: the lab sends no e-mail.
    """
    require(actor, period.lab, Permission.CLOSE_PERIODS)
    _require_mail(period.lab)
    wanted = statements_to_send(period).filter(_has_address())
    rows = [
        StatementDelivery(lab_id=period.lab_id, statement_id=pk, way=Way.MAIL, asked_at=actor.now())
        for pk in wanted.values_list("pk", flat=True)
    ]
    StatementDelivery.objects.bulk_create(rows)
    if rows:
        log_deed(
            actor,
            period.lab,
            Topic.OTHER,
            "statements_sent",
            str(period),
            after={"statements": len(rows)},
        )
    return len(rows)


@transaction.atomic
def send_one(actor: Actor, statement: Statement) -> None:
    """This one is on its way, again if it was before. Raises ConfigError: no address, no e-mail."""
    require(actor, statement.lab, Permission.CLOSE_PERIODS)
    _require_mail(statement.lab)
    if recipient_of(statement) is None:
        raise ConfigError(
            _("this payer has no e-mail address"),
            where=statement.name,
            remedy=_("Write one on the payer's page, or hand the statement over"),
        )
    _mark(actor, statement, Way.MAIL, sent=False)


@transaction.atomic
def hand_over(actor: Actor, statement: Statement) -> None:
    """It was printed and given to its payer."""
    require(actor, statement.lab, Permission.CLOSE_PERIODS)
    _mark(actor, statement, Way.HAND, sent=True)


def deliver(actor: Actor, lab: Lab, count: int, written: Written) -> int:
    """Up to `count` of those that wait are in the outbox, the longest waiting first; returns how many
    were looked at. Each in a transaction of its own: drawing a PDF keeps no writer waiting for long."""
    waiting = StatementDelivery.objects.filter(lab=lab, sent_at=None, trouble="")
    found = list(waiting.order_by("asked_at", "pk").values_list("pk", flat=True)[:count])
    for pk in found:
        one = StatementDelivery.objects.select_related(
            "statement__lab", "statement__payer", "statement__period"
        ).get(pk=pk)
        _deliver_one(actor, one, written)
    return len(found)


@transaction.atomic
def set_head(actor: Actor, lab: Lab, head: str) -> None:
    """The lab's address and numbers, as its statements print them. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_TARIFFS)
    head = "\n".join(line.strip() for line in head.strip().splitlines())
    if len(head) > HEAD_LENGTH_MAX:
        raise ConfigError(
            _("at most %(most)d characters") % {"most": HEAD_LENGTH_MAX}, where=_("address")
        )
    before = lab.statement_head
    if head == before:
        return
    lab.statement_head = head
    lab.save(update_fields=["statement_head"])
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "statement_head_changed",
        lab.slug,
        before={"head": before},
        after={"head": head},
    )


def _deliver_one(actor: Actor, one: StatementDelivery, written: Written) -> None:
    statement = one.statement
    to = recipient_of(statement)
    if to is None:
        StatementDelivery.objects.filter(pk=one.pk).update(trouble=_("no e-mail address any more"))
        return
    with translation.override(to.language):
        subject, text, pdf = written(statement)
    with transaction.atomic():
        queued = mail.queue(
            statement.lab,
            MailKind.STATEMENT,
            to.to,
            to.language,
            subject,
            text,
            [mail.Attachment(f"{statement}.pdf", "application/pdf", pdf)],
        )
        if queued is None:
            refused = _("they, or the lab, want no statements by e-mail")
            StatementDelivery.objects.filter(pk=one.pk).update(trouble=refused)
        else:
            StatementDelivery.objects.filter(pk=one.pk).update(sent_at=actor.now())


def _mark(actor: Actor, statement: Statement, way: Way, *, sent: bool) -> None:
    at = actor.now()
    StatementDelivery.objects.update_or_create(
        statement=statement,
        defaults={
            "lab": statement.lab,
            "way": way,
            "asked_at": at,
            "sent_at": at if sent else None,
            "trouble": "",
        },
    )
    action = "statement_handed_over" if way == Way.HAND else "statements_sent"
    log_deed(actor, statement.lab, Topic.OTHER, action, str(statement))


def _has_address() -> Q:
    """The payer's own, or that of a member who pays for themselves."""
    paying = Member.objects.filter(payer=OuterRef("payer")).exclude(email="")
    return ~Q(payer__email="") | (Q(payer__kind=PayerKind.PERSON) & Q(Exists(paying)))


def _require_mail(lab: Lab) -> None:
    if not mail.is_on(lab):
        raise ConfigError(
            _("this lab sends no e-mail yet"),
            where=lab.name,
            remedy=_("Set the mail server on the mail page"),
        )
