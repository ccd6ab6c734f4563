"""The signed list of the lab's authorities: read back, of this lab, of a few certificates, and rightly signed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from interlock.errors import ProtocolError
from interlock.protocol import authority, canonical, signing
from interlock.protocol.authority import AUTHORITIES_MAX, CERTIFICATE_LENGTH_MAX, Authorities

pytestmark = pytest.mark.fast

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=3_650)


def made() -> x509.Certificate:
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
    begun = x509.CertificateBuilder().subject_name(called).issuer_name(called).serial_number(7)
    dated = begun.not_valid_before(BEGIN).not_valid_after(END)
    return dated.public_key(HUB.public_key()).sign(HUB, None)


CERTIFICATE = made()
PEM = authority.pem(CERTIFICATE)
DER = CERTIFICATE.public_bytes(Encoding.DER)


def opened(message: dict[str, Any], lab: str = "lab") -> Authorities:
    again = canonical.loads(canonical.dumps(message), where="test")
    return authority.open_authorities(again, HUB.public_key(), lab=lab)


def test_a_list_is_read_back() -> None:
    for listed in (Authorities("lab", 1, (PEM,)), Authorities("lab", 9, (PEM,) * AUTHORITIES_MAX)):
        assert opened(authority.signed_authorities(HUB, listed)) == listed


def test_a_list_of_another_lab_or_another_hub_is_refused() -> None:
    listed = Authorities("lab", 1, (PEM,))
    with pytest.raises(ProtocolError, match="another lab's"):
        opened(authority.signed_authorities(HUB, listed), lab="other")
    with pytest.raises(ProtocolError, match="signature"):
        opened(authority.signed_authorities(OTHER, listed))
    with pytest.raises(ProtocolError):
        opened(authority.signed_authorities(HUB, Authorities("lab", 0, (PEM,))))


def test_a_time_does_not_pass_for_a_list() -> None:
    statement = authority.signed_authorities(HUB, Authorities("lab", 1, (PEM,)))["statement"]
    with pytest.raises(ProtocolError, match="not a signed authorities"):
        opened(signing.sign(HUB, {**statement, "kind": "time"}))


@pytest.mark.parametrize(
    "certificates",
    [None, PEM, [], [PEM] * (AUTHORITIES_MAX + 1), [1], [""], ["x"], [PEM, "x"], [PEM + " " * CERTIFICATE_LENGTH_MAX]],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_list_holds_a_few_certificates_and_nothing_else(certificates: Any) -> None:
    with pytest.raises(ProtocolError):
        authority.certificates_of({"certificates": certificates}, "certificates")


def test_the_fingerprint_is_openssl_s() -> None:
    assert authority.fingerprint(PEM) == sha256(DER).digest()
    assert len(authority.fingerprint(PEM)) == authority.FINGERPRINT_BYTES


def test_a_certificate_says_from_when_until_when() -> None:
    begins_ms, ends_ms = authority.validity_ms(DER)
    assert (begins_ms, ends_ms) == (BEGIN.timestamp() * 1_000, END.timestamp() * 1_000)


def test_a_certificate_of_a_version_that_does_not_exist_is_refused_by_name() -> None:
    """`cryptography` has an exception of its own for it, which is no ValueError."""
    bent = DER.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x42", 1)
    assert bent != DER
    for refuse in (authority.validity_ms, lambda der: authority.fingerprint(armoured(der))):
        with pytest.raises(ProtocolError, match="not a certificate"):
            refuse(bent)
        with pytest.raises(ProtocolError, match="not a certificate"):
            refuse(b"nothing")


def armoured(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"
