"""Commands of the hub to one node: signed, expiring, one-time; none of them closes a relay.

    {"statement": {kind, v, lab, node, number, command, text, issued_at, expires_at}, "signature": hex}

Locking a machine out and clearing that are no commands: they are demands of the list of rights, which lasts as
long as the hub says so and outlives every restart (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields, signing

KIND = "command"
VERSION = 1
NUMBER_BYTES = 16
"""128 random bits: never drawn twice."""
TEXT_LENGTH_MAX = 80
"""Four lines of the largest screen."""
LIFE_S_MAX = 3_600
"""A command is about now; and a node has to remember its number for as long."""
AHEAD_S_MAX = 60
"""How far the hub's clock may be ahead of the time it last told the node."""


class CommandKind(StrEnum):
    """What the hub may ask of a node at once. Nothing in this list gives power."""

    MESSAGE = "message"
    IDENTIFY = "identify"
    END_SESSION = "end_session"
    CUT_NOW = "cut_now"
    DIAGNOSE = "diagnose"


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `number` is its identity, `text` what a MESSAGE shows; UTC seconds."""

    lab: str
    node: str
    number: bytes
    kind: CommandKind
    issued_at: int
    expires_at: int
    text: str = ""


def signed_command(key: Ed25519PrivateKey, command: Command) -> dict[str, Any]:
    """The command as a signed JSON object."""
    return signing.sign(
        key,
        {
            "kind": KIND,
            "v": VERSION,
            "lab": command.lab,
            "node": command.node,
            "number": command.number.hex(),
            "command": command.kind.value,
            "text": command.text,
            "issued_at": command.issued_at,
            "expires_at": command.expires_at,
        },
    )


def open_command(
    message: Mapping[str, Any], key: Ed25519PublicKey, *, lab: str, node: str, now_at: int
) -> Command:
    """The verified command for this very node, valid at the UTC second `now_at`. Raises ProtocolError."""
    where = "command"
    statement = signing.open_signed(key, message, kind=KIND)
    fields.integer(statement, "v", low=VERSION, high=VERSION)
    command = Command(
        lab=fields.text(statement, "lab", length_max=64),
        node=fields.text(statement, "node", length_max=64),
        number=fields.octets(statement, "number", NUMBER_BYTES),
        kind=fields.choice(statement, "command", CommandKind),
        issued_at=fields.integer(statement, "issued_at"),
        expires_at=fields.integer(statement, "expires_at"),
        text=fields.text(statement, "text", length_max=TEXT_LENGTH_MAX),
    )
    if (command.lab, command.node) != (lab, node):
        raise ProtocolError(f"it is for node {command.node} of lab {command.lab}", where=where)
    if not 0 < command.expires_at - command.issued_at <= LIFE_S_MAX:
        raise ProtocolError(f"it would be valid for more than {LIFE_S_MAX} s", where=where)
    if now_at > command.expires_at:
        raise ProtocolError("it has expired", where=where)
    if now_at < command.issued_at - AHEAD_S_MAX:
        raise ProtocolError("it comes from the future", where=where)
    return command


def message_bytes(message: Mapping[str, Any]) -> bytes:
    """The signed object as it is stored and sent."""
    return canonical.dumps(dict(message))
