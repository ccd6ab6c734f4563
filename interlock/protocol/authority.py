"""The lab's certificate authorities: certificates in, the signed list that nodes trust out, and back.

The list is signed with the hub's Ed25519 key, which every node pinned when it was enrolled. So an authority can
be replaced without a visit: nodes trust both while the list names both. Its `serial` only rises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from interlock.errors import ProtocolError
from interlock.protocol import fields, signing

KIND = "authorities"
FINGERPRINT_BYTES = 32
"""SHA-256 of the certificate's DER form, as `openssl x509 -fingerprint -sha256` prints it."""
CERTIFICATE_LENGTH_MAX = 4_096
"""In PEM; one with a P-256 key and a name takes 700 characters."""
AUTHORITIES_MAX = 4
"""One that serves, one that follows; more were never needed."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """The certificates (PEM) that may sign the hub's; a list of a higher `serial` replaces this one."""

    lab: str
    serial: int
    certificates: tuple[str, ...]


def signed_authorities(key: Ed25519PrivateKey, authorities: Authorities) -> dict[str, Any]:
    """The list as a signed JSON object."""
    return signing.sign(
        key,
        {
            "kind": KIND,
            "lab": authorities.lab,
            "serial": authorities.serial,
            "certificates": list(authorities.certificates),
        },
    )


def open_authorities(message: Mapping[str, Any], key: Ed25519PublicKey, *, lab: str) -> Authorities:
    """The verified list of `lab`. Raises ProtocolError."""
    statement = signing.open_signed(key, message, kind=KIND)
    if fields.text(statement, "lab") != lab:
        raise ProtocolError("it is another lab's", where="list of authorities")
    return Authorities(
        lab, fields.integer(statement, "serial", low=1), certificates_of(statement, "certificates")
    )


def certificates_of(source: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One to AUTHORITIES_MAX certificates in PEM under `key`. Raises ProtocolError."""
    found = source.get(key)
    if not isinstance(found, list) or not 0 < len(found) <= AUTHORITIES_MAX:
        raise ProtocolError(f"{key} must be a list of 1 to {AUTHORITIES_MAX} certificates")
    for one in found:
        if not isinstance(one, str) or len(one) > CERTIFICATE_LENGTH_MAX:
            raise ProtocolError(f"{key} must hold certificates in PEM")
        fingerprint(one)
    return tuple(found)


def fingerprint(certificate: str) -> bytes:
    """SHA-256 of a certificate (PEM). Raises ProtocolError when it is none."""
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(SHA256())
    except (ValueError, x509.InvalidVersion) as error:
        raise ProtocolError("this is not a certificate in PEM", where="authority") from error


def validity_ms(der: bytes) -> tuple[int, int]:
    """From when until when (UTC milliseconds) a certificate (DER) says it is valid. Raises ProtocolError."""
    try:
        read = x509.load_der_x509_certificate(der)
        begins, ends = read.not_valid_before_utc, read.not_valid_after_utc
    except (ValueError, x509.InvalidVersion) as error:
        raise ProtocolError("this is not a certificate", where="certificate") from error
    return int(begins.timestamp() * 1_000), int(ends.timestamp() * 1_000)


def pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(Encoding.PEM).decode()
