"""A badge's UID to its tag: what nodes and hub store instead of the UID.

tag = BLAKE2b-128(key = lab badge key, UID). It protects a casual copy of an SD card, not against a thief who
also has the key: 4-byte UIDs fall in under two hours on one core (4-protocol.md).
"""

from __future__ import annotations

from hashlib import blake2b

from interlock.errors import ProtocolError

TAG_BYTES = 16
CODE_ALPHABET = "2346789CDFHJKMNPRTVWX"
"""No vowels, so no words; nothing that looks like something else (0 O Q, 1 I L, 5 S, B 8, G 6, Z 2, U V)."""
CODE_LENGTH = 5
"""Fits beside words on a screen of 16 columns: 4 million codes, and a lab has a few unknown badges a day."""
CODE_PERSON = b"interlock code"
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


def short_code(tag: bytes) -> str:
    """Five characters that stand for an unknown badge for a day: on the machine's screen and in the hub's list.

    It follows from the tag alone and does not give it away; two badges may share one (the hub shows both).
    """
    drawn = blake2b(tag, digest_size=8, person=CODE_PERSON).digest()
    number, code = int.from_bytes(drawn, "big"), ""
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(CODE_ALPHABET))
        code += CODE_ALPHABET[place]
    return code
