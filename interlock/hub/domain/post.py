"""How a lab sends e-mail: changed by whoever looks after the lab, with an audit row that holds no password."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import mail, mail_keys
from interlock.hub.changes import log_deed
from interlock.hub.models import Lab, MailKind, MailSettings, OutboxMail, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.sending import try_again

HOST_LENGTH_MAX = 253
"""RFC 1035, 2.3.4."""
PORT_MAX = 65_535
Backend = MailSettings.Backend


@dataclass(frozen=True, slots=True)
class Way:
    """How e-mails leave the hub."""

    backend: str = Backend.OFF
    host: str = ""
    port: int = 587
    security: str = MailSettings.Security.STARTTLS
    username: str = ""
    sender: str = ""


def settings_of(lab: Lab) -> MailSettings:
    """How the lab sends; a lab that never said so sends nothing."""
    return MailSettings.objects.filter(lab=lab).first() or MailSettings(lab=lab)


@transaction.atomic
def set_way(actor: Actor, lab: Lab, way: Way, password: str | None = None) -> MailSettings:
    """E-mails leave by that way from now on. `password` None keeps the one there is, which belongs to its
    server and user name. Raises ConfigError."""
    require(actor, lab, Permission.EDIT_LAB)
    _check(way)
    kept = settings_of(lab)
    before = _described(kept)
    sealed_for = (kept.host.casefold(), kept.port, kept.security, kept.username)
    moved = sealed_for != (way.host.casefold(), way.port, way.security, way.username)
    for name, value in asdict(way).items():
        setattr(kept, name, value)
    if password is not None:
        kept.sealed_password = mail_keys.seal(kept, password)
    elif moved:
        # It was meant for another server: whoever changes that has to know it.
        kept.sealed_password = b""
    kept.save()
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "mail_settings_changed",
        lab.slug,
        before=before,
        after=_described(kept),
    )
    return kept


@transaction.atomic
def set_kinds(actor: Actor, lab: Lab, kinds: Iterable[MailKind]) -> None:
    """The lab sends exactly those of the kinds that can be switched off."""
    require(actor, lab, Permission.EDIT_LAB)
    wanted = set(kinds)
    kept = settings_of(lab)
    before, kept.off = kept.off, [kind.value for kind in mail.SWITCHES if kind not in wanted]
    kept.save()
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "mail_kinds_changed",
        lab.slug,
        before={"off": before},
        after={"off": kept.off},
    )


@transaction.atomic
def send_again(actor: Actor, found: OutboxMail) -> None:
    """A mail that was given up, or that nobody knows about, is tried again."""
    require(actor, found.lab, Permission.EDIT_LAB)
    try_again(actor, found)
    log_deed(actor, found.lab, Topic.OTHER, "mail_tried_again", str(found.pk))


def _check(way: Way) -> None:
    if way.backend not in Backend.values or way.security not in MailSettings.Security.values:
        raise ConfigError(_("choose how e-mails are sent"), where=_("mail"))
    if not 1 <= way.port <= PORT_MAX:
        raise ConfigError(_("a port lies between 1 and 65535"), where=_("port"))
    if way.backend != Backend.SMTP:
        return
    host = way.host
    if not 0 < len(host) <= HOST_LENGTH_MAX or any(c.isspace() or c in "/@" for c in host):
        raise ConfigError(_("write the mail server's name, like smtp.example.org"), where="SMTP")
    try:
        validate_email(way.sender)
    except ValidationError as error:
        raise ConfigError(
            _("write the address that e-mails come from"), where=_("e-mail")
        ) from error
    if way.username and way.security == MailSettings.Security.NONE:
        raise ConfigError(
            _("a password never travels unprotected"),
            where="SMTP",
            remedy=_("Choose STARTTLS or TLS, or leave the user name empty"),
        )


def _described(kept: MailSettings) -> dict[str, Any]:
    return {
        "backend": str(kept.backend),
        "host": kept.host,
        "port": kept.port,
        "security": str(kept.security),
        "username": kept.username,
        "sender": kept.sender,
        "has_password": bool(kept.sealed_password),
    }
