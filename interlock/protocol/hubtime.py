"""The hub's time, signed with the node's own nonce: the only source of trusted time on a Pi.

It also says which snapshot version is current for this node, so that an unchanged cache stays fresh; and, to a node
whose journal is not the one the hub holds (an old or copied SD card), the epoch in which it goes on: `branch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.errors import ProtocolError
from interlock.protocol import fields, signing
from interlock.protocol.snapshots import SnapshotVersion, version_of_pair

KIND = "time"
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class HubTime:
    """`wall_ms` UTC at the hub when it answered the node's `nonce`; `version` its current snapshot.

    `branch`: the node's records are others than the hub's, its next one begins this epoch.
    """

    lab: str
    node: str
    nonce: bytes
    wall_ms: int
    version: SnapshotVersion
    branch: int | None = None


def signed_time(key: Ed25519PrivateKey, time: HubTime) -> dict[str, Any]:
    """The statement as a signed JSON object."""
    branch = {} if time.branch is None else {"branch": time.branch}
    return signing.sign(
        key,
        {
            **branch,
            "kind": KIND,
            "lab": time.lab,
            "node": time.node,
            "nonce": time.nonce.hex(),
            "wall_ms": time.wall_ms,
            "version": list(time.version),
        },
    )


def open_time(
    message: Mapping[str, Any], key: Ed25519PublicKey, *, lab: str, node: str, nonce: bytes
) -> HubTime:
    """The verified time that answers exactly `nonce`. Raises ProtocolError."""
    statement = signing.open_signed(key, message, kind=KIND)
    time = HubTime(
        branch=fields.optional_integer(statement, "branch"),
        version=version_of_pair(statement.get("version"), where="hub time"),
        lab=fields.text(statement, "lab"),
        node=fields.text(statement, "node"),
        nonce=fields.octets(statement, "nonce", NONCE_BYTES),
        wall_ms=fields.integer(statement, "wall_ms"),
    )
    if (time.lab, time.node, time.nonce) != (lab, node, nonce):
        raise ProtocolError("it answers another node or an older question", where="hub time")
    return time
