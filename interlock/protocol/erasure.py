"""An erased member's opaque words (id, badge tags) to digests that find them again and name nobody.

The list of who was erased must outlive them: it goes to every node, and to a hub that is restored from an
older back-up. So it holds no id and no tag, but digests: both are random or keyed, so nobody guesses them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from interlock.errors import ProtocolError

DIGEST_BYTES = 16
"""Two of 2^64 words would meet; a lab sees a few thousand."""

FORGET_MAX = 1_200
"""Digests in one snapshot's header, whose line holds 64 KiB: some 400 erased people with two badges each."""

_PERSON = b"interlock-e"
"""Keeps these digests apart from every other use of BLAKE2b."""


def digest_of(word: str) -> bytes:
    """What stands for an erased word: a member's public id, or a badge tag in hexadecimal."""
    return blake2b(word.encode(), digest_size=DIGEST_BYTES, person=_PERSON).digest()


def names_any(body: Mapping[str, Any], digests: Collection[bytes]) -> bool:
    """Whether any text in `body`, however deep, is one of those words."""
    return bool(digests) and any(digest_of(word) in digests for word in _texts(body))


def digests_from_wire(statement: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The digests under "forget"; none where a hub of the first days says nothing. Raises ProtocolError."""
    listed = statement.get("forget", [])
    if not isinstance(listed, list) or len(listed) > FORGET_MAX:
        raise ProtocolError(f"forget must be a list of at most {FORGET_MAX}")
    try:
        digests = tuple(bytes.fromhex(one) for one in listed)
    except (TypeError, ValueError) as error:
        raise ProtocolError("forget must hold digests in hexadecimal") from error
    if any(len(one) != DIGEST_BYTES for one in digests):
        raise ProtocolError(f"a digest in forget has not {DIGEST_BYTES} bytes")
    return digests


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
