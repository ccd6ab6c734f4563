"""The two secret files that `interlock hub add-node` writes: one for the node, one for its sync.

NODE.node.json   what the node needs: chain key, lab badge key, the hub's public key
NODE.sync.json   what sync needs: the hub's address and the node's credential, nothing else

JSON objects, mode 0600; whoever reads them refuses a file that others may read (docs/security.md).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.errors import ConfigError, ProtocolError
from interlock.protocol import canonical, fields, signing
from interlock.protocol.records import CHAIN_KEY_BYTES
from interlock.protocol.tags import BADGE_KEY_BYTES

VERSION = 1
SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Secrets and identity of one node; `epoch` counts its enrolments, from 1."""

    lab: str
    node: str
    epoch: int
    chain_key: bytes
    badge_key: bytes
    hub_public_key: bytes

    def hub_key(self) -> Ed25519PublicKey:
        """The pinned key every snapshot and time must be signed with."""
        return Ed25519PublicKey.from_public_bytes(self.hub_public_key)


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Where the hub is and how this node's sync proves who it is (128 random bits, hexadecimal)."""

    lab: str
    node: str
    hub_url: str
    credential: str


def write_node_keys(path: Path, keys: NodeKeys) -> None:
    """`path` holds the keys, readable by its owner only. Raises ConfigError when it already exists."""
    _write_secret(
        path,
        {
            "v": VERSION,
            "lab": keys.lab,
            "node": keys.node,
            "epoch": keys.epoch,
            "chain_key": keys.chain_key.hex(),
            "badge_key": keys.badge_key.hex(),
            "hub_public_key": keys.hub_public_key.hex(),
        },
    )


def write_hub_access(path: Path, access: HubAccess) -> None:
    """`path` holds the access, readable by its owner only. Raises ConfigError when it already exists."""
    _write_secret(
        path,
        {
            "v": VERSION,
            "lab": access.lab,
            "node": access.node,
            "hub_url": access.hub_url,
            "credential": access.credential,
        },
    )


def read_node_keys(path: Path) -> NodeKeys:
    """The keys in `path`. Raises ConfigError: missing, malformed, or readable by others."""
    wire = _read_secret(path)
    try:
        return NodeKeys(
            lab=fields.text(wire, "lab", length_max=64),
            node=fields.text(wire, "node", length_max=64),
            epoch=fields.integer(wire, "epoch", low=1),
            chain_key=fields.octets(wire, "chain_key", CHAIN_KEY_BYTES),
            badge_key=fields.octets(wire, "badge_key", BADGE_KEY_BYTES),
            hub_public_key=fields.octets(wire, "hub_public_key", signing.KEY_BYTES),
        )
    except ProtocolError as error:
        raise ConfigError(error.what, where=str(path), remedy=_REMEDY) from error


def read_hub_access(path: Path) -> HubAccess:
    """The access in `path`. Raises ConfigError: missing, malformed, or readable by others."""
    wire = _read_secret(path)
    try:
        return HubAccess(
            lab=fields.text(wire, "lab", length_max=64),
            node=fields.text(wire, "node", length_max=64),
            hub_url=fields.text(wire, "hub_url"),
            credential=fields.text(wire, "credential", length_max=64),
        )
    except ProtocolError as error:
        raise ConfigError(error.what, where=str(path), remedy=_REMEDY) from error


_REMEDY = "Make the node's files again with: interlock hub add-node"


def _write_secret(path: Path, wire: Mapping[str, Any]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            remedy="Choose an empty folder, or remove the old file first",
        ) from error
    with os.fdopen(descriptor, "wb") as target:
        target.write(canonical.dumps(wire) + b"\n")


def _read_secret(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as source:
            mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
            # Group read is allowed: on a Pi the file is 0640 root:interlock (8-installation.md).
            if mode & 0o027:
                raise ConfigError(
                    f"others may read or change this secret (mode {mode:04o})",
                    where=str(path),
                    remedy=f"Run: chmod 600 {path}",
                )
            frame = source.read(canonical.FRAME_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=_REMEDY
        ) from error
    try:
        wire = canonical.loads(frame, where=str(path))
        fields.integer(wire, "v", low=VERSION, high=VERSION)
    except ProtocolError as error:
        raise ConfigError(error.what, where=str(path), remedy=_REMEDY) from error
    return wire
