"""How a computer becomes a machine's node: the code a person carries, both sides' messages, and six words.

    code          where the hub is, which authority it has (SHA-256), and a secret that works once
    GET authority   → {v, certificate}                    nothing secret; checked against the code
    POST enrol      {v, secret, credential_hash, chain_key, decryption_public_key, software}
                    → {v, lab, node, epoch, machine, hub_public_key, language}
    GET enrolment   (Authorization: Bearer CREDENTIAL)    → {v, state: "waiting"}
                    or {v, state: "confirmed", badge_key}, sealed to the node's X25519 key

From `enrol` on everything goes over TLS with the pinned authority. The node makes its keys itself; of them only
the chain key travels, because the hub verifies the chain with it. The words stand for all that either side
sent: whoever claimed the code in the node's place, or sits in the middle, has other words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from typing import Any

from interlock.errors import ProtocolError
from interlock.protocol import canonical, card_keys, fields, signing
from interlock.protocol.authority import FINGERPRINT_BYTES
from interlock.protocol.records import CHAIN_KEY_BYTES
from interlock.protocol.words import words_of

VERSION = 1

PATH_AUTHORITY = "/node/v1/authority"
PATH_ENROL = "/node/v1/enrol"
PATH_ENROLMENT = "/node/v1/enrolment"

SECRET_BYTES = 16
"""128 random bits (4-protocol.md, "Transport")."""
CREDENTIAL_BYTES = 16
HASH_BYTES = 32
WORDS = 6
"""66 bits: nobody makes keys whose words are the same as those on another screen."""
CODE_LENGTH_MAX = 400
"""A host name has at most 253 characters (RFC 1035)."""

_MARK = "IL1"
_CHECK_BYTES = 5
"""Eight characters that tell a typing mistake from a wrong hub."""
_HOST = re.compile(r"[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\]")


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """What a fab manager carries from the hub's page to the computer at a machine."""

    host: str
    port: int
    authority: bytes
    secret: bytes = field(repr=False)

    @property
    def url(self) -> str:
        """The address of the hub for nodes."""
        return f"https://{self.host}:{self.port}"

    def to_text(self) -> str:
        """One line without spaces, upper case: the alphanumeric mode of a QR code, and no 0 O 1 I."""
        body = f"{_MARK}:{self.host}:{self.port}:{_base32(self.authority)}:{_base32(self.secret)}"
        body = body.upper()
        return f"{body}:{_check(body)}"


def code_from_text(text: str) -> EnrolmentCode:
    """The code a person typed, pasted or scanned; spaces and case do not count. Raises ProtocolError."""
    line = "".join(text.split()).upper()
    body, _, check = line.rpartition(":")
    parts = body.split(":")
    if not line.isascii() or len(line) > CODE_LENGTH_MAX or parts[0] != _MARK or len(parts) < 5:
        raise ProtocolError(
            "this is not an enrolment code",
            where="code",
            remedy=f"Copy all of it from the hub's page; it begins with {_MARK}:",
        )
    if check != _check(body):
        raise ProtocolError(
            "the code was copied with a mistake", where="code", remedy="Compare it with the page"
        )
    host, port = ":".join(parts[1:-3]).lower(), parts[-3]
    if not _HOST.fullmatch(host) or not port.isdigit() or not 0 < int(port) <= 65_535:
        raise ProtocolError(
            "it names no hub", where="code", remedy="Make another on the hub's page"
        )
    return EnrolmentCode(
        host,
        int(port),
        _from_base32(parts[-2], FINGERPRINT_BYTES),
        _from_base32(parts[-1], SECRET_BYTES),
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """What the node says of itself: the public halves and hashes of its keys, and its chain key."""

    secret: bytes = field(repr=False)
    credential_hash: bytes
    chain_key: bytes = field(repr=False)
    decryption_public_key: bytes
    software: str

    def to_wire(self) -> dict[str, Any]:
        """The claim as one JSON object."""
        return {
            "v": VERSION,
            "secret": self.secret.hex(),
            "credential_hash": self.credential_hash.hex(),
            "chain_key": self.chain_key.hex(),
            "decryption_public_key": self.decryption_public_key.hex(),
            "software": self.software,
        }


def claim_from_wire(wire: Mapping[str, Any]) -> Claim:
    """The claim a JSON object holds. Raises ProtocolError."""
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    return Claim(
        secret=fields.octets(wire, "secret", SECRET_BYTES),
        credential_hash=fields.octets(wire, "credential_hash", HASH_BYTES),
        chain_key=fields.octets(wire, "chain_key", CHAIN_KEY_BYTES),
        decryption_public_key=fields.octets(wire, "decryption_public_key", card_keys.X25519_BYTES),
        software=fields.text(wire, "software", length_max=64),
    )


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the hub says to a claim: who the node will be, once a person has confirmed it."""

    lab: str
    node: str
    epoch: int
    machine: str
    hub_public_key: bytes
    language: str

    def to_wire(self) -> dict[str, Any]:
        """The answer as one JSON object."""
        return {
            "v": VERSION,
            "lab": self.lab,
            "node": self.node,
            "epoch": self.epoch,
            "machine": self.machine,
            "hub_public_key": self.hub_public_key.hex(),
            "language": self.language,
        }


def welcome_from_wire(wire: Mapping[str, Any]) -> Welcome:
    """The answer a JSON object holds. Raises ProtocolError."""
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    return Welcome(
        lab=fields.text(wire, "lab", length_max=64),
        node=fields.text(wire, "node", length_max=64),
        epoch=fields.integer(wire, "epoch", low=1),
        machine=fields.text(wire, "machine", length_max=100),
        hub_public_key=fields.octets(wire, "hub_public_key", signing.KEY_BYTES),
        language=fields.text(wire, "language", length_max=8),
    )


def six_words(authority: bytes, claim: Claim, welcome: Welcome) -> tuple[str, ...]:
    """The words both sides show: of every key and name that either side said, and of no secret but hashed.

    `authority` is the fingerprint of the certificate authority that each side believes in.
    """
    said = {
        "authority": authority.hex(),
        "credential_hash": claim.credential_hash.hex(),
        "chain_key_hash": sha256(claim.chain_key).hexdigest(),
        "decryption_public_key": claim.decryption_public_key.hex(),
        "lab": welcome.lab,
        "node": welcome.node,
        "epoch": welcome.epoch,
        "hub_public_key": welcome.hub_public_key.hex(),
    }
    digest = blake2b(canonical.dumps(said), digest_size=32, person=b"interlock words")
    return words_of(digest.digest(), WORDS, welcome.language)


def _base32(octets: bytes) -> str:
    return base64.b32encode(octets).decode().rstrip("=")


def _from_base32(text: str, length: int) -> bytes:
    try:
        octets = base64.b32decode(text + "=" * (-len(text) % 8))
    except ValueError:
        octets = b""
    if len(octets) != length:
        raise ProtocolError(
            "the code is not complete", where="code", remedy="Copy all of it from the hub's page"
        )
    return octets


def _check(body: str) -> str:
    return _base32(sha256(body.encode()).digest()[:_CHECK_BYTES])
