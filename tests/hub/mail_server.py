"""A real SMTP server on a loopback port (aiosmtpd); what it was sent, and how it is told to behave."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REFUSED = "550 5.1.1 No such mailbox"
LATER = "451 4.7.1 Try again later"
TAKEN = "250 OK"
FOR_EVER = datetime.timedelta(days=10_000)
SIGNED_AT = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@dataclass
class MailServer:
    """What came in, and what it answers: to a recipient, and to a whole text ("": it hangs up)."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    to_recipients: dict[str, str] = field(default_factory=dict)
    to_texts: str = TAKEN

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        answer = self.to_recipients.get(address, TAKEN)
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        if not self.to_texts:
            server.transport.abort()
        return self.to_texts

    @property
    def subjects(self) -> list[str]:
        return [str(one["Subject"]) for one in self.taken]


class _AnyPort(Controller):
    """aiosmtpd connects to its own port to see that it serves: with port 0 it has to learn which."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """It listens until the block ends; with `tls` it insists on STARTTLS."""
    behaviour = MailServer()
    controller = _AnyPort(
        behaviour,
        hostname="127.0.0.1",
        port=0,
        ready_timeout=20,
        tls_context=tls,
        require_starttls=tls is not None,
    )
    controller.start()
    try:
        behaviour.port = controller.port
        yield behaviour
    finally:
        controller.stop()


def self_signed() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and the context of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(SIGNED_AT)
        .not_valid_after(SIGNED_AT + FOR_EVER)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        path = Path(folder) / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + pem
        )
        server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=pem.decode())
