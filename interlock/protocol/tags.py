"""A badge's UID to its tag: what nodes and hub store instead of the UID.

tag = BLAKE2b-128(key = lab badge key, UID). It protects a casual copy of an SD card, not against a thief who
also has the key: 4-byte UIDs fall in under two hours on one core (4-protocol.md).
"""

from __future__ import annotations

from hashlib import blake2b

from interlock.errors import ProtocolError

TAG_BYTES = 16
BADGE_KEY_BYTES = 32
UID_LENGTHS = (4, 7, 10)
"""ISO 14443-3: single, double and triple size UIDs."""


def badge_tag(badge_key: bytes, uid: bytes) -> bytes:
    """16 bytes that stand for `uid` within one lab. Raises ProtocolError for an impossible UID length."""
    if len(uid) not in UID_LENGTHS:
        raise ProtocolError(f"a UID of {len(uid)} bytes does not exist; it has 4, 7 or 10")
    return blake2b(uid, digest_size=TAG_BYTES, key=badge_key).digest()


def short(tag: bytes) -> str:
    """The first four bytes in hexadecimal, for a person who compares two of them on a screen.

    Never for a log: within one lab four bytes name one badge, and so follow one person.
    """
    return tag[:4].hex()
