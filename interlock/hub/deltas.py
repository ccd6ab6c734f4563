"""A node's version and the current one in, the signed delta between them out; from memory, without the database."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from interlock.hub.card_keys import Vault
from interlock.hub.contents import SHELF, Shelf, delta_lines
from interlock.protocol.deltas import DELTA_BYTES_MAX, signed_delta
from interlock.protocol.snapshots import SnapshotVersion


@dataclass(frozen=True, slots=True, eq=False)
class Press:
    """Signs deltas of what this process remembers of the lists it made; made anew where a key changed."""

    shelf: Shelf
    key: Ed25519PrivateKey = field(repr=False)
    vault: Vault = field(repr=False)

    def delta(
        self, credential: bytes, since: SnapshotVersion, version: SnapshotVersion
    ) -> bytes | None:
        """The signed file for the node with that credential; None: it has to fetch the whole list."""
        old, new = self.shelf.given(credential, since), self.shelf.given(credential, version)
        if old is None or new is None or since >= version:
            return None
        lines = delta_lines(self.shelf, self.vault, old, new)
        if sum(map(len, lines)) > DELTA_BYTES_MAX // 2:
            return None
        return signed_delta(self.key, old.head, new.head, lines)


def press() -> Press:
    """With the hub's keys as they are now. Raises ConfigError."""
    return Press(SHELF, settings.HUB.signing_key(), Vault(settings.HUB.card_key()))
