"""Deltas: what changed between two snapshots of one node, signed by the hub, as a file of lines.

    line 1    {"statement": {…}, "signature": hex}    binds lab, node, both versions, what follows and what results
    line 2 …  a new or changed entry as it stands in the snapshot, or {"removed": tag}; sorted by tag

The head of the resulting snapshot travels as what differs from the head the node has, with its own signature:
put together again it must verify like any other, so what a delta leads to is exactly what the hub would have
sent whole. A delta on another base, or on a damaged one, ends in another digest and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields, signing, snapshots
from interlock.protocol.snapshots import (
    DIGEST_BYTES,
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
    version_of_pair,
)
from interlock.protocol.tags import TAG_BYTES

KIND = "delta"
VERSION = 1
DELTA_BYTES_MAX = 262_144
"""About 500 changed entries; where more changed, the whole snapshot is hardly larger."""

Head = Mapping[str, Any]
"""A snapshot's first line as JSON: statement and signature."""


@dataclass(frozen=True, slots=True)
class Change:
    """One badge's new line (as it stands in the snapshot), or None: the badge is no longer in the list."""

    tag: bytes
    line: bytes | None


@dataclass(frozen=True, slots=True)
class Delta:
    """A verified delta: from which version, to which snapshot (its head line ready to store), by which changes."""

    base: SnapshotVersion
    header: SnapshotHeader
    head_line: bytes
    changes: tuple[Change, ...]


def removed_line(tag: bytes) -> bytes:
    """The line that takes a badge off the list."""
    return canonical.dumps({"removed": tag.hex()}) + b"\n"


def signed_delta(key: Ed25519PrivateKey, base: Head, head: Head, lines: Sequence[bytes]) -> bytes:
    """The whole file that leads from the snapshot with the head `base` to the one with `head`."""
    before, after = base["statement"], head["statement"]
    statement = {
        "kind": KIND,
        "v": VERSION,
        "lab": after["lab"],
        "node": after["node"],
        "from": before["version"],
        "to": after["version"],
        "result": after["digest"],
        "lines": len(lines),
        "digest": digest_lines(lines).hex(),
        "head": {name: value for name, value in after.items() if before.get(name) != value},
        "head_signature": head["signature"],
    }
    return signing.signed_line(key, statement)[0] + b"".join(lines)


def is_delta(first_line: bytes) -> bool:
    """Whether a spooled file says that it is a delta; nothing is verified."""
    statement = canonical.loads(first_line, where="snapshot").get("statement")
    return isinstance(statement, dict) and statement.get("kind") == KIND


def claimed_version(content: bytes) -> SnapshotVersion:
    """The version a delta says it leads to, for who carries it: nothing is verified. Raises ProtocolError."""
    statement = canonical.loads(content.partition(b"\n")[0], where="delta").get("statement")
    if not isinstance(statement, dict):
        raise ProtocolError("this is no delta", where="delta")
    return version_of_pair(statement.get("to"), where="delta")


def claimed_base(first_line: bytes) -> Any:
    """The version a delta says it starts from, as it stands there; nothing is verified."""
    statement = canonical.loads(first_line, where="delta").get("statement")
    return statement.get("from") if isinstance(statement, dict) else None


def open_delta(content: bytes, base: Head, key: Ed25519PublicKey, *, lab: str, node: str) -> Delta:
    """The verified delta for this very node on the snapshot whose head is `base`. Raises ProtocolError.

    What results from it is the caller's to verify: its lines must match `header.entries` and `.digest`.
    """
    where = "delta"
    if len(content) > DELTA_BYTES_MAX:
        raise ProtocolError(f"{len(content)} bytes are more than {DELTA_BYTES_MAX}", where=where)
    first, *lines = content.splitlines(keepends=True) or [content]
    message = canonical.loads_exact(first, where=where)
    statement = signing.open_signed(key, message, kind=KIND)
    fields.integer(statement, "v", low=VERSION, high=VERSION)
    meant = fields.text(statement, "lab"), fields.text(statement, "node")
    if meant != (lab, node):
        raise ProtocolError(f"it is for node {meant[1]} of lab {meant[0]}", where=where)
    begin = version_of_pair(statement.get("from"), where=where)
    if begin != version_of_pair(base["statement"].get("version"), where=where):
        raise ProtocolError(f"it starts from {begin}, which is not what this node has", where=where)
    count = fields.integer(statement, "lines")
    digest = fields.octets(statement, "digest", DIGEST_BYTES)
    if (count, digest) != (len(lines), digest_lines(lines)):
        raise ProtocolError("its lines are not those the hub signed", where=where)
    head_line = _head_line(statement, base)
    header = snapshots.open_header(head_line, key, lab=lab, node=node)
    end = version_of_pair(statement.get("to"), where=where), statement.get("result")
    if end != (header.version, header.digest.hex()) or begin >= header.version:
        raise ProtocolError("it does not lead where it says", where=where)
    return Delta(begin, header, head_line, tuple(_changes(lines)))


def _head_line(statement: Mapping[str, Any], base: Head) -> bytes:
    """The head of the resulting snapshot, as the hub signed it: what the node has, and what differs."""
    changed = statement.get("head")
    if not isinstance(changed, dict):
        raise ProtocolError("head must be an object", where="delta")
    whole = {**base["statement"], **changed}
    message = {"statement": whole, "signature": statement.get("head_signature")}
    return canonical.dumps(message) + b"\n"


def _changes(lines: Iterable[bytes]) -> Iterable[Change]:
    last = b""
    for line in lines:
        wire = canonical.loads_exact(line, where="delta entry")
        if "removed" in wire:
            change = Change(fields.octets(wire, "removed", TAG_BYTES), None)
        else:
            change = Change(snapshots.entry_from_wire(wire).tag, line)
            snapshots.card_key_from_wire(wire)
        if change.tag <= last:
            raise ProtocolError("its entries are not in order", where="delta")
        last = change.tag
        yield change
