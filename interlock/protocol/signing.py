"""Statements of the hub, signed: the bytes a node may believe, and nothing else.

Every statement is a canonical JSON object with a `kind`; the signature (Ed25519, RFC 8032) covers a fixed
context string, the kind and the bytes, so that a signature of one kind never passes for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields

SIGNATURE_BYTES = 64
KEY_BYTES = 32
_CONTEXT = b"interlock-fablab/1\x00"


def sign(key: Ed25519PrivateKey, statement: Mapping[str, Any]) -> dict[str, Any]:
    """`{"statement": …, "signature": hex}`; the statement must carry its `kind`."""
    return {
        "statement": dict(statement),
        "signature": key.sign(_signed_bytes(statement)).hex(),
    }


def signed_line(key: Ed25519PrivateKey, statement: Mapping[str, Any]) -> tuple[bytes, str]:
    """The canonical line of `sign`, newline included, and the signature in it; the statement is spelled once."""
    spelled = canonical.dumps(dict(statement))
    signature = key.sign(_CONTEXT + spelled).hex()
    line = b'{"signature":"%s","statement":%s}\n' % (signature.encode(), spelled)
    return line, signature


def open_signed(key: Ed25519PublicKey, message: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
    """The statement inside, once its signature and kind are verified. Raises ProtocolError."""
    statement = message.get("statement")
    if not isinstance(statement, dict) or statement.get("kind") != kind:
        raise ProtocolError(f"this is not a signed {kind}")
    signature = fields.octets(message, "signature", SIGNATURE_BYTES)
    try:
        key.verify(signature, _signed_bytes(statement))
    except InvalidSignature as error:
        raise ProtocolError(
            f"the signature of this {kind} is not the hub's",
            remedy="Check that node and hub belong to the same lab",
        ) from error
    return statement


def _signed_bytes(statement: Mapping[str, Any]) -> bytes:
    return _CONTEXT + canonical.dumps(dict(statement))
