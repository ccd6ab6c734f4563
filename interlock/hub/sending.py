"""E-mails that wait go in; each is handed to the mail server once, tried again later, or given up and shown.

    WAITING ──► SENDING ──► SENT
       ▲           ├──────► UNCERTAIN   the line died after the text: a person decides
       └───────────┤ later
                   └──────► GIVEN_UP    refused for good, or three days of trying

A mail is claimed (SENDING) in a transaction of its own before the first byte leaves. A process that dies in
the middle leaves it claimed; after `CLAIM` it is UNCERTAIN, and nobody sends it a second time by themselves.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from interlock.hub import smtp
from interlock.hub.models import Lab, MailAttachment, MailKind, MailSettings, OutboxMail
from interlock.hub.permissions import Actor

GIVE_UP_AFTER = timedelta(days=3)
"""A weekend and a day: a server that is down since Friday evening is mended by Monday."""
PAUSES = (60, 300, 900, 3_600, 3 * 3_600)
"""Seconds until the next try; the last one again and again."""
CLAIM = timedelta(minutes=30)
"""Longer than any mail takes with its timeouts: what is still claimed then, nobody is sending."""
FAILURES_IN_A_ROW_MAX = 3
"""A server that takes nothing three times is down: the others wait without a time-out each."""
MAILS_PER_RUN = 200
"""Some providers lock who sends more at once; the next run takes the next."""
KEPT = timedelta(days=90)
"""As long as taps: after that nobody asks where a mail is."""

State = OutboxMail.State


def send_waiting(actor: Actor, lab: Lab, context: ssl.SSLContext | None = None) -> str:
    """Everything that is due was tried once; one line says how it went. `context` is for tests with a
    certificate of their own."""
    _forget(actor, lab)
    _give_back_claims(actor, lab)
    kept = MailSettings.objects.select_related("lab").filter(lab=lab).first()
    if kept is None or kept.backend == MailSettings.Backend.OFF:
        return "mail is switched off"
    counts = dict.fromkeys(State, 0)
    failures = 0
    for mail in _claimed(actor, lab):
        with translation.override(lab.language):
            state = _tried(actor, kept, mail, context)
        counts[state] += 1
        failures = failures + 1 if state == State.WAITING else 0
        if failures == FAILURES_IN_A_ROW_MAX:
            break
    tried = {state: number for state, number in counts.items() if number}
    return ", ".join(f"{number} {state.value}" for state, number in tried.items()) or "none waited"


@transaction.atomic
def try_again(actor: Actor, mail: OutboxMail) -> None:
    """A person decided that it is sent (once more): it waits again, and for three days from now."""
    OutboxMail.objects.filter(pk=mail.pk, state__in=(State.UNCERTAIN, State.GIVEN_UP)).update(
        state=State.WAITING,
        queued_at=actor.now(),
        next_try_at=actor.now(),
        tries=0,
        done_at=None,
        trouble="",
    )


def _claimed(actor: Actor, lab: Lab) -> Iterator[OutboxMail]:
    """Mails that are due, each taken by this process alone when its turn comes."""
    due = OutboxMail.objects.filter(lab=lab, state=State.WAITING, next_try_at__lte=actor.now())
    for number in list(due.order_by("next_try_at", "pk").values_list("pk", flat=True))[
        :MAILS_PER_RUN
    ]:
        mine: QuerySet[OutboxMail] = OutboxMail.objects.filter(pk=number, state=State.WAITING)
        if mine.update(state=State.SENDING, next_try_at=actor.now()):
            yield OutboxMail.objects.prefetch_related("attachments").get(pk=number)


def _tried(
    actor: Actor, kept: MailSettings, mail: OutboxMail, context: ssl.SSLContext | None
) -> State:
    mail.tries += 1
    mail.trouble = ""
    try:
        if _leaves(kept):
            smtp.send(kept, mail, context)
        mail.state = State.SENT
    except smtp.Uncertain as error:
        mail.state, mail.trouble = State.UNCERTAIN, error.what
    except smtp.Refused as error:
        mail.state, mail.trouble = State.GIVEN_UP, error.what
    except smtp.NotTaken as error:
        mail.trouble = error.what
        _later(mail, actor.now())
    if mail.state != State.WAITING:
        mail.done_at = actor.now()
    mail.trouble = mail.trouble[: smtp.TROUBLE_LENGTH_MAX]
    changed = ["state", "tries", "trouble", "next_try_at", "done_at"]
    if mail.kind == MailKind.LINK and mail.state == State.SENT and _leaves(kept):
        # Whoever reads the outbox, or a back-up, does not choose somebody else's password.
        mail.text = _("The link that stood here is with its reader alone.")
        changed.append("text")
    mail.save(update_fields=changed)
    return State(mail.state)


def _leaves(kept: MailSettings) -> bool:
    return kept.backend == MailSettings.Backend.SMTP


def _later(mail: OutboxMail, now: datetime) -> None:
    pause_s = PAUSES[min(mail.tries, len(PAUSES)) - 1]
    mail.next_try_at = now + timedelta(seconds=pause_s)
    over = mail.next_try_at > mail.queued_at + GIVE_UP_AFTER
    mail.state = State.GIVEN_UP if over else State.WAITING


def _give_back_claims(actor: Actor, lab: Lab) -> None:
    """Whoever was sending them is gone, and did not say how far it got."""
    OutboxMail.objects.filter(
        lab=lab, state=State.SENDING, next_try_at__lte=actor.now() - CLAIM
    ).update(
        state=State.UNCERTAIN,
        done_at=actor.now(),
        trouble=_("the hub stopped while it was sending"),
    )


def _forget(actor: Actor, lab: Lab) -> None:
    old = OutboxMail.objects.filter(lab=lab, done_at__lt=actor.now() - KEPT)
    with transaction.atomic():
        MailAttachment.objects.filter(mail__in=old).delete()
        old.delete()
