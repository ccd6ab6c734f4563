"""What the two secret files of a node hold: one for the node, one for its sync.

NODE.node.json   what the node needs: chain key, lab badge key, decryption key, the hub's public key
NODE.sync.json   what sync needs: the hub's address, its certificate authority and the node's credential

`interlock node enrol` makes both on the node, `interlock hub add-node` both at the hub, for a hub on the same
computer; `config.secret_files` reads and writes them (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.errors import ProtocolError
from interlock.protocol import card_keys, fields, signing
from interlock.protocol.authority import certificates_of
from interlock.protocol.records import CHAIN_KEY_BYTES
from interlock.protocol.tags import BADGE_KEY_BYTES

VERSION = 1


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Secrets and identity of one node; `epoch` counts its enrolments, from 1; `decryption_key` (X25519) opens
    what the hub sealed for this node."""

    lab: str
    node: str
    epoch: int
    chain_key: bytes = field(repr=False)
    badge_key: bytes = field(repr=False)
    hub_public_key: bytes
    decryption_key: bytes = field(repr=False)

    def hub_key(self) -> Ed25519PublicKey:
        """The pinned key every snapshot and time must be signed with."""
        return Ed25519PublicKey.from_public_bytes(self.hub_public_key)

    def to_wire(self) -> dict[str, Any]:
        """The keys as one JSON object."""
        return {
            "v": VERSION,
            "lab": self.lab,
            "node": self.node,
            "epoch": self.epoch,
            "chain_key": self.chain_key.hex(),
            "badge_key": self.badge_key.hex(),
            "hub_public_key": self.hub_public_key.hex(),
            "decryption_key": self.decryption_key.hex(),
        }


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Where the hub is and how this node's sync proves who it is (128 random bits, hexadecimal).

    `authorities` (PEM) are those pinned when the node was enrolled, and nothing else is spoken but HTTPS;
    none: plain HTTP. `hub_public_key` signs their successors, and time.
    """

    lab: str
    node: str
    hub_url: str
    credential: str = field(repr=False)
    authorities: tuple[str, ...] = ()
    hub_public_key: bytes = b""

    @property
    def is_pinned(self) -> bool:
        """Whether only the lab's own certificate authority is believed."""
        return bool(self.authorities)

    def hub_key(self) -> Ed25519PublicKey:
        """The pinned key that signs lists of authorities, and time."""
        return Ed25519PublicKey.from_public_bytes(self.hub_public_key)

    def to_wire(self) -> dict[str, Any]:
        """The access as one JSON object."""
        wire: dict[str, Any] = {
            "v": VERSION,
            "lab": self.lab,
            "node": self.node,
            "hub_url": self.hub_url,
            "credential": self.credential,
        }
        if self.is_pinned:
            wire["authorities"] = list(self.authorities)
            wire["hub_public_key"] = self.hub_public_key.hex()
        return wire


def node_keys_from_wire(wire: Mapping[str, Any]) -> NodeKeys:
    """The keys a JSON object holds. Raises ProtocolError."""
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    return NodeKeys(
        lab=fields.text(wire, "lab", length_max=64),
        node=fields.text(wire, "node", length_max=64),
        epoch=fields.integer(wire, "epoch", low=1),
        chain_key=fields.octets(wire, "chain_key", CHAIN_KEY_BYTES),
        badge_key=fields.octets(wire, "badge_key", BADGE_KEY_BYTES),
        hub_public_key=fields.octets(wire, "hub_public_key", signing.KEY_BYTES),
        decryption_key=fields.octets(wire, "decryption_key", card_keys.X25519_BYTES),
    )


def hub_access_from_wire(wire: Mapping[str, Any]) -> HubAccess:
    """The access a JSON object holds. Raises ProtocolError."""
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    pinned = "authorities" in wire
    access = HubAccess(
        lab=fields.text(wire, "lab", length_max=64),
        node=fields.text(wire, "node", length_max=64),
        hub_url=fields.text(wire, "hub_url"),
        credential=fields.text(wire, "credential", length_max=64),
        authorities=certificates_of(wire, "authorities") if pinned else (),
        hub_public_key=fields.octets(wire, "hub_public_key", signing.KEY_BYTES) if pinned else b"",
    )
    if access.is_pinned != access.hub_url.startswith("https://"):
        raise ProtocolError(
            "an https:// address and the lab's certificate authority belong together",
            remedy="Enrol this computer again; never write plain http:// instead",
        )
    return access
