"""Signed snapshots for tests: entries and a version go in, the file a hub would send comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.core.model import Demands, Entry, Level, Right
from interlock.node.snapshot_builder import Order, build
from interlock.protocol import snapshots
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.snapshots import SnapshotHeader, SnapshotVersion
from tests.node.journals import KEYS

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SIGNED_KEYS = NodeKeys(
    lab=KEYS.lab,
    node=KEYS.node,
    epoch=KEYS.epoch,
    chain_key=KEYS.chain_key,
    badge_key=KEYS.badge_key,
    hub_public_key=HUB.public_key().public_bytes_raw(),
    decryption_key=b"d" * 32,
)
ISSUED_AT = 1_767_225_600


def tag(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=16).digest()


def entry(number: int, **changes: Any) -> Entry:
    right = Right("saw", Level.ALONE, until_at=ISSUED_AT + 86_400)
    return replace(Entry(tag(number), f"m{number}", rights=(right,)), **changes)


def header(
    lines: Sequence[bytes], version: SnapshotVersion = (1, 1), **changes: Any
) -> SnapshotHeader:
    plain = SnapshotHeader(
        lab=KEYS.lab,
        node=KEYS.node,
        version=version,
        issued_at=ISSUED_AT,
        machine_name="Table saw",
        demands=Demands(("saw",), max_offline_s=86_400),
        entries=len(lines),
        digest=snapshots.digest_lines(lines),
    )
    return replace(plain, **changes)


def snapshot_bytes(
    entries: Sequence[Entry],
    version: SnapshotVersion = (1, 1),
    key: Ed25519PrivateKey = HUB,
    **changes: Any,
) -> bytes:
    lines = snapshots.entry_lines(entries)
    return snapshots.signed_snapshot(key, header(lines, version, **changes), lines)


def order(spool: Path, state_dir: Path, **changes: Any) -> Order:
    return replace(
        Order(spool, state_dir, HUB.public_key(), KEYS.lab, KEYS.node, mark=None), **changes
    )


def built(state_dir: Path, entries: Sequence[Entry], version: SnapshotVersion = (1, 1)) -> Path:
    """The cache file of a snapshot with `entries`, made by the real builder."""
    spool = state_dir / "snapshot.in"
    spool.write_bytes(snapshot_bytes(entries, version))
    build(order(spool, state_dir))
    spool.unlink()
    return state_dir / f"auth-{version[0]}-{version[1]}.db"
