"""What somebody should be told goes in, inside the change that is the reason; an e-mail to send comes out.

    from interlock.hub import mail
    with transaction.atomic():
        …
        mail.queue(lab, MailKind.STATEMENT, member, member.language, subject, text,
                   attachments=[mail.Attachment("releve.pdf", "application/pdf", content)])

Nothing is sent here: a rolled-back change sends nothing, and a mail server that is down holds up no page
(hub.sending does it, in the background). Kinds can be switched off by the lab and by each person.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.directory import LANGUAGES
from interlock.hub.models import (
    Lab,
    MailAttachment,
    MailKind,
    MailSettings,
    MailSwitch,
    Member,
    OutboxMail,
    User,
)
from interlock.hub.permissions import Actor

SWITCHES: tuple[MailKind, ...] = tuple(
    kind for kind in MailKind if kind not in (MailKind.LINK, MailKind.TEST)
)
"""What a lab, and a person, can do without. A link somebody asked for just now is not among them."""
TO_MEMBERS = (MailKind.TRAINING, MailKind.LOW_CREDIT, MailKind.STATEMENT)
"""What members get; the others go to those who look after the lab."""
ALERTS = (MailKind.FAULT, MailKind.WELDED, MailKind.OFFLINE, MailKind.PROBLEM)
ALERT_PAUSE = timedelta(hours=1)
"""At most one alert of a kind about a machine in that time, for each who gets it: a flapping contact
fills no mailbox."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What could begin another header; a space that does not break may stay."""
SUBJECT_LENGTH_MAX = 200
TEXT_LENGTH_MAX = 100_000
"""Fifty pages: a digest or a statement has two."""
ATTACHMENTS_BYTES_MAX = 10_000_000
"""Many mail servers refuse more than 10 MB (RFC 5321 sets no limit)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to go with an e-mail; `media_type` like "application/pdf"."""

    name: str
    media_type: str
    content: bytes


@transaction.atomic
def queue(
    lab: Lab,
    kind: MailKind,
    to: Member | User | str,
    language: str,
    subject: str,
    text: str,
    attachments: Iterable[Attachment] = (),
    *,
    about: str = "",
    cause: str = "",
) -> OutboxMail | None:
    """The e-mail is on its way once the caller's transaction is. None: there is nothing to send, because
    the lab or the person switched it off, has no address, or was told of this `cause` already.

    `about` is a machine's slug for alerts. Raises ConfigError: too long, or no address at all.
    """
    address = to if isinstance(to, str) else to.email
    if not address or not is_wanted(lab, kind, to):
        return None
    now = _now()
    if _told(lab, kind, address, about, cause, now):
        return None
    files = list(attachments)
    _check(address, language, text, files)
    mail = OutboxMail.objects.create(
        lab=lab,
        kind=kind,
        about=about,
        cause=cause,
        to=address,
        user=to if isinstance(to, User) else None,
        member=to if isinstance(to, Member) else None,
        language=language,
        subject=_CONTROLS.sub(" ", subject).strip()[:SUBJECT_LENGTH_MAX],
        text=text,
        # Made once: a server or a reader that meets it twice can tell that it is one and the same.
        message_id=f"<{secrets.token_hex(16)}@interlock.invalid>",
        queued_at=now,
        next_try_at=now,
    )
    MailAttachment.objects.bulk_create(
        MailAttachment(mail=mail, name=one.name, media_type=one.media_type, content=one.content)
        for one in files
    )
    return mail


def is_on(lab: Lab) -> bool:
    """Whether the lab sends e-mail at all, or shows it on its mail page."""
    return _settings(lab) is not None


def is_wanted(lab: Lab, kind: MailKind, to: Member | User | str) -> bool:
    """Whether the lab sends this kind, and this person wants it."""
    kept = _settings(lab)
    if kept is None or (kind in SWITCHES and kind in kept.off):
        return False
    if isinstance(to, str) or kind not in SWITCHES:
        return True
    whose = {"user": to} if isinstance(to, User) else {"member": to}
    return not MailSwitch.objects.filter(lab=lab, kind=kind, **whose).exists()


@transaction.atomic
def set_wanted(actor: Actor, lab: Lab, whose: Member | User, kinds: Iterable[MailKind]) -> None:
    """The person gets exactly those of the kinds that can be switched; it is their own choice, so no audit
    row is written. The caller has made sure that it is them."""
    wanted = set(kinds)
    mine = {"user": whose} if isinstance(whose, User) else {"member": whose}
    MailSwitch.objects.filter(lab=lab, **mine).delete()
    MailSwitch.objects.bulk_create(
        MailSwitch(lab=lab, kind=kind, **mine) for kind in SWITCHES if kind not in wanted
    )


def _settings(lab: Lab) -> MailSettings | None:
    kept = MailSettings.objects.filter(lab=lab).first()
    return None if kept is None or kept.backend == MailSettings.Backend.OFF else kept


def _told(lab: Lab, kind: MailKind, address: str, about: str, cause: str, now: datetime) -> bool:
    """Whether this case was told before, or (alerts) another of its kind a moment ago."""
    mine = OutboxMail.objects.filter(lab=lab, kind=kind, to=address)
    same = Q(cause=cause) if cause else Q(pk=None)
    if kind in ALERTS:
        same |= Q(about=about, queued_at__gt=now - ALERT_PAUSE, queued_at__lte=now)
    return mine.filter(same).exists()


def _check(address: str, language: str, text: str, files: list[Attachment]) -> None:
    try:
        validate_email(address)
    except ValidationError as error:
        raise ConfigError(_("this is no e-mail address"), where=_("e-mail")) from error
    if language not in LANGUAGES:
        raise ConfigError(f"must be one of {', '.join(LANGUAGES)}", where="language")
    if len(text) > TEXT_LENGTH_MAX or sum(map(_size, files)) > ATTACHMENTS_BYTES_MAX:
        raise ConfigError(_("too long for an e-mail"), where=_("e-mail"))


def _size(file: Attachment) -> int:
    return len(file.content)


def _now() -> datetime:
    return Actor(settings.HUB_CLOCK).now()
