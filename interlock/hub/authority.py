"""The hub's keys folder and its names to certificates: the lab's own authority and the hub's, for nodes.

    authority-N.key, authority-N.crt   the Nth authority; its certificate is what nodes pin
    server.pem                         the hub's key, certificate and its authority, as nginx reads them too

ECDSA on P-256 with SHA-256: OpenSSL 3.0, nginx and requests of Debian 12 take Ed25519 as well, browsers do not,
and a lab may want to open the hub's pages with the same authority (RFC 5480, FIPS 186-5).

The authority that signs is the lowest that has a key. While there is a next one (`begin_rollover`), nodes are
told of both; `finish_rollover` issues the hub's certificate by the next and removes the earlier one.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from interlock.clock import Clock
from interlock.errors import ConfigError
from interlock.protocol.authority import Authorities, fingerprint, pem

KEY_MODE = 0o600
AUTHORITY_LIFE = timedelta(days=20 * 365)
"""Longer than a Pi: its end is a rollover that nobody has to think of."""
ROLLOVER_BEFORE = timedelta(days=3 * 365)
"""A machine that stood in a cellar for two years still learns the next authority."""
CHANGE_BEFORE = timedelta(days=90)
"""A node that was off for the years before has to be visited anyway."""
SERVER_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
"""Longer than a lab's summer holidays."""
BACKDATED = timedelta(days=1)
"""A clock that was a few hours ahead must not make a certificate of the future."""

_AUTHORITY = re.compile(r"authority-([0-9]{1,6})\.crt")


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority of the lab; `can_sign`: its private key is here."""

    number: int
    certificate: x509.Certificate
    can_sign: bool

    @property
    def ends_at(self) -> datetime:
        """When its certificate ends, aware UTC."""
        return self.certificate.not_valid_after_utc

    @property
    def pem(self) -> str:
        """Its certificate as text."""
        return pem(self.certificate)


class Certificates:
    """The certificates of one hub, in its keys folder."""

    def __init__(self, keys: Path, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    @property
    def server_file(self) -> Path:
        """Key, certificate and authority of the hub, PEM."""
        return self._keys / "server.pem"

    def authorities(self) -> list[Authority]:
        """Those that nodes are to trust, the one that signs first. Raises ConfigError: there is none."""
        found = []
        for path in self._keys.glob("authority-*.crt"):
            match = _AUTHORITY.fullmatch(path.name)
            if match:
                number = int(match[1])
                has_key = self._key_file(number).exists()
                found.append(Authority(number, _read_certificate(path), has_key))
        if not any(one.can_sign for one in found):
            raise ConfigError(
                "the key of the lab's certificate authority is gone",
                where=str(self._keys / "authority-1.key"),
                remedy="Restore it from a back-up of the keys: every node pinned it",
            )
        return sorted(found, key=lambda one: one.number)

    @property
    def exist(self) -> bool:
        """Whether this hub has an authority."""
        return any(self._keys.glob("authority-*.crt"))

    def create(self, lab: str) -> None:
        """A hub without an authority has its first; one that is there stays."""
        if not self.exist:
            self._make_authority(1, lab)

    def trusted(self, lab: str) -> Authorities:
        """What nodes of `lab` (its id) are told to trust."""
        found = self.authorities()
        # {1} is 1, {1, 2} is 2, {2} is 3: every step of every rollover is a higher number.
        serial = found[0].number + found[-1].number - 1
        return Authorities(lab, serial, tuple(one.pem for one in found))

    def fingerprint(self) -> bytes:
        """Of the authority that signs now: what an enrolment code carries."""
        return fingerprint(self._signing().pem)

    # ------------------------------------------------------------------------ the hub's certificate

    def ensure_server(self, names: Sequence[str]) -> bool:
        """server.pem is good for `names` and long enough; whether it had to be issued. Raises ConfigError."""
        if self._is_good(names):
            return False
        key = generate_private_key(SECP256R1())
        now, signing = self._now(), self._signing()
        until = min(now + SERVER_LIFE, signing.ends_at)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name("Interlock hub"))
            .issuer_name(signing.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_general(one) for one in names]), critical=False
            )
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    signing.certificate.public_key()  # type: ignore[arg-type]  # ours are EC keys
                ),
                critical=False,
            )
        )
        certificate = builder.sign(self._key(signing.number), SHA256())
        _write(self.server_file, _private(key) + pem(certificate).encode() + signing.pem.encode())
        return True

    def server(self) -> x509.Certificate:
        """The hub's certificate. Raises ConfigError."""
        return _read_certificate(self.server_file)

    def _is_good(self, names: Sequence[str]) -> bool:
        if not self.server_file.exists():
            return False
        mine, now = self.server(), self._now()
        told = mine.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (
            set(told) >= {_general(one) for one in names}
            and mine.not_valid_before_utc <= now < mine.not_valid_after_utc - RENEW_BEFORE
            and _is_issued_by(mine, self._signing().certificate)
        )

    # -------------------------------------------------------------------------------- the rollover

    @property
    def is_rolling_over(self) -> bool:
        """Whether nodes are told of a next authority."""
        return len(self.authorities()) > 1

    def must_roll_over(self) -> bool:
        """Whether the authority that signs ends soon enough to need a successor."""
        return self._now() >= self._signing().ends_at - ROLLOVER_BEFORE

    def must_change_over(self) -> bool:
        """Whether waiting for the last node would leave none with a valid authority."""
        return self._now() >= self._signing().ends_at - CHANGE_BEFORE

    def begin_rollover(self, lab: str) -> None:
        """There is a next authority, of which nodes hear. Raises ConfigError: there is one already."""
        found = self.authorities()
        if len(found) > 1:
            raise ConfigError(
                "a next authority is being told to the nodes already",
                where=str(self._keys),
                remedy="Wait until every node has heard of it",
            )
        self._make_authority(found[-1].number + 1, lab)

    def finish_rollover(self, names: Sequence[str]) -> None:
        """The next authority signs, its predecessor is gone; nodes that never heard of it are cut off."""
        found = self.authorities()
        if len(found) < 2:
            raise ConfigError("there is no next authority", where=str(self._keys))
        earlier = found[0].number
        # The key first: without it the next one signs, and a certificate alone does no harm.
        self._key_file(earlier).unlink(missing_ok=True)
        self.ensure_server(names)
        self._certificate_file(earlier).unlink()

    # ------------------------------------------------------------------------------------- inside

    def _signing(self) -> Authority:
        return next(one for one in self.authorities() if one.can_sign)

    def _make_authority(self, number: int, lab: str) -> None:
        key, now = generate_private_key(SECP256R1()), self._now()
        name = _name(f"Interlock {lab} {number}")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, SHA256())
        )
        _write(self._key_file(number), _private(key))
        _write(self._certificate_file(number), pem(certificate).encode())

    def _key(self, number: int) -> EllipticCurvePrivateKey:
        path = self._key_file(number)
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read: {error}", where=str(path)) from error
        if not isinstance(key, EllipticCurvePrivateKey):
            raise ConfigError("this is not a P-256 key", where=str(path))
        return key

    def _key_file(self, number: int) -> Path:
        return self._keys / f"authority-{number}.key"

    def _certificate_file(self, number: int) -> Path:
        return self._keys / f"authority-{number}.crt"

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ms() // 1_000, UTC)


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(words: str) -> x509.Name:
    # RFC 5280: a common name has at most 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii").lower())


def _private(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"this is not a certificate: {error}", where=str(path)) from error


def _write(path: Path, content: bytes) -> None:
    """`path` holds `content`, all of it or what it held before, readable by its owner alone."""
    part = path.with_suffix(path.suffix + ".new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)
