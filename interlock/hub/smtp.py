"""One e-mail and a lab's settings go in; it has been handed to the mail server, or why not comes out.

Three answers, because a mail must never be doubled: refused for good (`Refused`), not taken yet (`NotTaken`:
try again), or the line went dead after the whole text was sent (`Uncertain`: nobody knows, so nobody tries
again by themselves). With TLS the certificate is checked; nothing is ever sent in the clear instead.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from email.utils import format_datetime

from django.utils.translation import gettext as _

from interlock.errors import LinkError, StoreError
from interlock.hub.mail_keys import open_password
from interlock.hub.models import MailSettings, OutboxMail

TIMEOUT_S = 20
"""RFC 5321 grants a server minutes; a job that waits so long for each mail would never end."""
OK, GO_AHEAD, CLOSING = 250, 354, 421
TROUBLE_LENGTH_MAX = 300


class Refused(LinkError):
    """The server will never take it: the address does not exist, or the text is unwanted."""


class NotTaken(LinkError):
    """The server could not be reached, or asks to try later; nothing was taken."""


class Uncertain(LinkError):
    """The whole text was sent and no answer came."""


def message_of(mail: OutboxMail, sender: str) -> EmailMessage:
    """The e-mail as it travels: plain text, and its files."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.queued_at)
    message["Message-ID"] = mail.message_id
    message["Content-Language"] = mail.language
    # RFC 3834: no holiday notice answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    for one in mail.attachments.all():
        main, _slash, sub = one.media_type.partition("/")
        message.add_attachment(bytes(one.content), maintype=main, subtype=sub, filename=one.name)
    return message


def send(kept: MailSettings, mail: OutboxMail, context: ssl.SSLContext | None = None) -> None:
    """The server has taken `mail`. Raises Refused, NotTaken or Uncertain."""
    content = message_of(mail, kept.sender).as_bytes(policy=CRLF)
    with _connected(kept, context or ssl.create_default_context()) as server:
        _expect(server.mail(kept.sender))
        _expect(server.rcpt(mail.to))
        _expect(server.docmd("DATA"), GO_AHEAD)
        try:
            server.send(_stuffed(content) + b".\r\n")
            answer = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise Uncertain(_words(error), where=kept.host) from error
        _expect(answer)
        # It is taken: a line that breaks now changes nothing.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            server.quit()


@contextlib.contextmanager
def _connected(kept: MailSettings, context: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    """A greeted, protected and signed-in connection; what goes wrong before DATA is NotTaken."""
    server: smtplib.SMTP | None = None
    try:
        if kept.security == MailSettings.Security.TLS:
            server = smtplib.SMTP_SSL(kept.host, kept.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(kept.host, kept.port, timeout=TIMEOUT_S)
        server.ehlo_or_helo_if_needed()
        if kept.security == MailSettings.Security.STARTTLS:
            server.starttls(context=context)
            server.ehlo()
        if kept.username:
            server.login(kept.username, open_password(kept))
        yield server
    except StoreError as error:
        raise NotTaken(error.what, where=kept.host, remedy=error.remedy) from error
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        raise NotTaken(_words(error), where=kept.host) from error
    finally:
        if server is not None:
            server.close()


def _expect(answer: tuple[int, bytes], *wanted: int) -> None:
    """Return when the server said so. Raises Refused (5xx: never), NotTaken (anything else)."""
    code, said = answer
    if code in (wanted or (OK, OK + 1)):
        return
    words = f"{code} {said.decode('utf-8', 'replace')}"[:TROUBLE_LENGTH_MAX]
    raise (Refused if 500 <= code < 600 else NotTaken)(words, where="smtp")


def _stuffed(content: bytes) -> bytes:
    """RFC 5321, 4.5.2: a line that begins with a dot gets another; the text ends with a line's end."""
    whole = content if content.endswith(b"\r\n") else content + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", whole)


def _words(error: Exception) -> str:
    """What went wrong, in the server's words or the system's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("its certificate is not trusted: %(why)s") % {"why": error.verify_message}
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {text}"[:TROUBLE_LENGTH_MAX]
    if isinstance(error, TimeoutError):
        return _("it did not answer in %(seconds)d seconds") % {"seconds": TIMEOUT_S}
    return (getattr(error, "strerror", "") or str(error) or type(error).__name__)[
        :TROUBLE_LENGTH_MAX
    ]
