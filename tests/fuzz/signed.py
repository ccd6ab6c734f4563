"""Statements go in and come out signed by the lab's own hub, whatever they say: what a mistaken hub could send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from interlock.protocol import snapshots
from tests.fuzz.bending import bent_bytes, bent_lines, bent_values, spelled

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
_CONTEXT = b"interlock-fablab/1\x00"


def signed(statement: Any) -> bytes:
    """One line; the signature is right for these bytes even where our own code would refuse to spell them."""
    octets = spelled(statement)
    return b'{"signature":"%s","statement":%s}' % (
        HUB.sign(_CONTEXT + octets).hex().encode(),
        octets,
    )


def messages(*statements: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Bent statements rightly signed; good ones bent afterwards; and bytes that never were any."""
    good = [signed(statement) for statement in statements]
    return (
        bent_values(statements).map(signed) | bent_lines(good).map(bytes.strip) | bent_bytes(good)
    )


def files(*contents: bytes) -> st.SearchStrategy[bytes]:
    """Snapshots or deltas: bent and rightly signed again, digest and count included; or bent afterwards."""
    return (
        bent_lines(contents).map(_signed_again(describe=True))
        | bent_lines(contents).map(_signed_again(describe=False))
        | bent_lines(contents)
        | bent_bytes(contents)
    )


def _signed_again(*, describe: bool) -> Callable[[bytes], bytes]:
    """The hub's own signature under a bent head; with `describe` it also counts and hashes the bent lines."""

    def sign(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        try:
            statement = json.loads(lines[0])["statement"]
        except (ValueError, LookupError, TypeError):
            return content
        if describe and isinstance(statement, dict):
            digest = snapshots.digest_lines(lines[1:]).hex()
            count = "lines" if "lines" in statement else "entries"
            statement |= {"digest": digest, count: len(lines) - 1}
        return b"".join((signed(statement), b"\n", *lines[1:]))

    return sign
