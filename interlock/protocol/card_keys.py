"""Keys of genuine badges on their way to one node: wrapped in the snapshot, opened only while a badge is asked.

    wrapping key   32 bytes, one per node; the snapshot's header carries it sealed to the node's X25519 key
    card key       16 bytes, one per badge; its entry carries it wrapped (AES-SIV, RFC 5297) under the wrapping
                   key, bound to node, badge and slot, so that it opens nowhere else

AES-SIV is deterministic: an unchanged badge is an unchanged line, and needs no nonce that could repeat. Sealing is
ephemeral X25519, HKDF-SHA256 and AES-256-GCM; whoever has not the node's private key learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from interlock.errors import ProtocolError
from interlock.protocol import fields

X25519_BYTES = 32
WRAPPING_KEY_BYTES = 32
"""AES-SIV with two AES-128 keys."""
CARD_KEY_BYTES = 16
AID_BYTES = 3
KEY_NUMBER_MAX = 13
"""A DESFire application holds keys 0 to 13; 0 is its master and opens no machine."""
SEAL_INFO = b"interlock wrapping key v1"
_NONCE = bytes(12)
"""The sealing key is used once, so its nonce need not vary."""


class Scheme(StrEnum):
    """How a badge proves itself."""

    DESFIRE_AES = "desfire_aes"
    NTAG424_AES = "ntag424_aes"


@dataclass(frozen=True, slots=True)
class CardSlot:
    """Where a badge keeps its key: `aid` is 3 bytes (zero for NTAG 424), `key_number` counts from 0."""

    scheme: Scheme
    aid: bytes
    key_number: int

    def to_bytes(self) -> bytes:
        """What a wrapped key is bound to."""
        return self.scheme.value.encode() + self.aid + bytes((self.key_number,))


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A badge's key as its snapshot entry carries it: nothing to anybody but the node it is for."""

    slot: CardSlot
    wrapped: bytes

    def to_wire(self) -> dict[str, Any]:
        """The key as one JSON object."""
        return {
            "scheme": self.slot.scheme.value,
            "aid": self.slot.aid.hex(),
            "key_number": self.slot.key_number,
            "wrapped": self.wrapped.hex(),
        }


def wrapped_key_from_wire(wire: Mapping[str, Any]) -> WrappedKey:
    """The wrapped key a JSON object describes. Raises ProtocolError."""
    slot = CardSlot(
        scheme=fields.choice(wire, "scheme", Scheme),
        aid=fields.octets(wire, "aid", AID_BYTES),
        key_number=fields.integer(wire, "key_number", high=KEY_NUMBER_MAX),
    )
    return WrappedKey(slot, fields.octets(wire, "wrapped", CARD_KEY_BYTES + 16))


def seal(public_key: bytes, secret: bytes) -> bytes:
    """`secret` for the holder of the private half of `public_key` (X25519, 32 bytes)."""
    ephemeral = X25519PrivateKey.generate()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    mine = ephemeral.public_key().public_bytes_raw()
    return mine + AESGCM(_sealing_key(shared, mine, public_key)).encrypt(_NONCE, secret, SEAL_INFO)


def open_sealed(private_key: bytes, sealed: bytes) -> bytes:
    """What `seal` was given. Raises ProtocolError for anything not sealed to this key."""
    own = X25519PrivateKey.from_private_bytes(private_key)
    theirs, cipher = sealed[:X25519_BYTES], sealed[X25519_BYTES:]
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(theirs))
        key = _sealing_key(shared, theirs, own.public_key().public_bytes_raw())
        return AESGCM(key).decrypt(_NONCE, cipher, SEAL_INFO)
    except (ValueError, InvalidTag) as error:
        raise ProtocolError("it is not sealed to this node's key", where="sealed key") from error


def new_private_key() -> bytes:
    """A fresh X25519 private key, 32 bytes."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_half(private_key: bytes) -> bytes:
    """The X25519 public key of `private_key`."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def new_wrapping_key() -> bytes:
    """A fresh wrapping key."""
    return AESSIV.generate_key(8 * WRAPPING_KEY_BYTES)


def wrap(
    wrapping_key: bytes, card_key: bytes, *, node: str, tag: bytes, slot: CardSlot
) -> WrappedKey:
    """`card_key` (16 bytes) as the entry of badge `tag` carries it to `node`."""
    bound = [node.encode(), tag, slot.to_bytes()]
    return WrappedKey(slot, AESSIV(wrapping_key).encrypt(card_key, bound))


def unwrap(wrapping_key: bytes, key: WrappedKey, *, node: str, tag: bytes) -> bytes:
    """The card key, 16 bytes: keep it no longer than one authentication. Raises ProtocolError."""
    bound = [node.encode(), tag, key.slot.to_bytes()]
    try:
        return AESSIV(wrapping_key).decrypt(key.wrapped, bound)
    except InvalidTag as error:
        raise ProtocolError("it was wrapped for another node or badge", where="card key") from error


def _sealing_key(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=ephemeral + recipient, info=SEAL_INFO).derive(shared)
