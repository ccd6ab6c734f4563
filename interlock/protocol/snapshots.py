"""Snapshots: everything one node may need to decide, signed by the hub, as a file of lines.

    line 1    {"statement": header, "signature": hex}        the header names the digest of the rest
    line 2 …  one entry each, canonical JSON, sorted by tag

A snapshot can hold 100,000 badges, so entries are hashed as they stream by; nothing is believed before the
last line has matched the signed digest and count. Who switches to it persists the version mark first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.core.model import BadgeState, Credit, Demands, Entry, Level, MemberStatus, Right
from interlock.errors import ProtocolError
from interlock.protocol import canonical, demands, erasure, fields, signing
from interlock.protocol.card_keys import WrappedKey, wrapped_key_from_wire
from interlock.protocol.tags import TAG_BYTES

KIND = "snapshot"
VERSION = 1
ENTRIES_MAX = 250_000
"""Access controllers of transit gates hold 240,000 badges (7-targets.md); no lab has more."""
RIGHTS_MAX = 64
"""Trainings one machine can name for one member; a machine asks for a handful."""
LINE_BYTES_MAX = canonical.FRAME_BYTES_MAX
DIGEST_BYTES = 32
AHEAD_S_MAX = 3_600
"""How far after the node's trusted time a list may be issued: both clocks are the hub's own."""

SnapshotVersion = tuple[int, int]
"""(hub epoch, counter); only rises. Restoring the hub raises the hub epoch."""


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """The signed head of a snapshot; `wrapping_key` opens the entries' card keys and is sealed to the node
    (`card_keys.seal`), None where no badge has one. `forget` are the digests (protocol.erasure) of whom the
    node's journal must not name any more."""

    lab: str
    node: str
    version: SnapshotVersion
    issued_at: int
    machine_name: str
    demands: Demands
    entries: int
    digest: bytes
    wrapping_key: bytes | None = None
    forget: tuple[bytes, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """The header as one JSON object, ready to sign."""
        # Only where somebody was erased: a snapshot of before reads, and is written, as it ever was.
        forget = {"forget": [digest.hex() for digest in self.forget]} if self.forget else {}
        return {
            **forget,
            "kind": KIND,
            "v": VERSION,
            "lab": self.lab,
            "node": self.node,
            "version": list(self.version),
            "issued_at": self.issued_at,
            "machine_name": self.machine_name,
            "demands": demands.to_wire(self.demands),
            "entries": self.entries,
            "digest": self.digest.hex(),
            "wrapping_key": None if self.wrapping_key is None else self.wrapping_key.hex(),
        }


def entry_from_wire(wire: Mapping[str, Any]) -> Entry:
    """The entry a JSON object describes. Raises ProtocolError."""
    return Entry(
        tag=fields.octets(wire, "tag", TAG_BYTES),
        member=fields.text(wire, "member", length_max=64),
        language=fields.text(wire, "language", length_max=8),
        name=fields.optional_text(wire, "name"),
        badge=fields.choice(wire, "badge", BadgeState),
        status=fields.choice(wire, "status", MemberStatus),
        member_until_at=fields.optional_integer(wire, "member_until_at"),
        technician=fields.flag(wire, "technician"),
        hours=fields.optional_text(wire, "hours"),
        credit=fields.choice(wire, "credit", Credit),
        rights=tuple(
            Right(
                training=fields.text(right, "training", length_max=64),
                level=fields.choice(right, "level", Level),
                since_at=fields.optional_integer(right, "since_at"),
                until_at=fields.optional_integer(right, "until_at"),
                lapses_at=fields.optional_integer(right, "lapses_at"),
            )
            for right in fields.objects(wire, "rights", length_max=RIGHTS_MAX)
        ),
    )


def card_key_from_wire(wire: Mapping[str, Any]) -> WrappedKey | None:
    """The wrapped key of the badge that an entry's JSON object describes, None without one. Raises ProtocolError."""
    card = wire.get("card")
    if card is None:
        return None
    if not isinstance(card, dict):
        raise ProtocolError("card must be an object", where="snapshot entry")
    return wrapped_key_from_wire(card)


def digest_lines(lines: Iterable[bytes]) -> bytes:
    """The digest a header names: BLAKE2b-256 over the entry lines, each with its newline."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for line in lines:
        digest.update(line)
    return digest.digest()


def entry_lines(
    entries: Iterable[Entry], cards: Mapping[bytes, WrappedKey] | None = None
) -> list[bytes]:
    """The canonical lines of `entries`, sorted by tag as the format asks; `cards` are their keys, by tag."""
    return [
        entry_line(entry, None if cards is None else cards.get(entry.tag))
        for entry in sorted(entries, key=lambda entry: entry.tag)
    ]


def entry_line(entry: Entry, card: WrappedKey | None = None) -> bytes:
    """The canonical line of one entry, newline included."""
    wire = {**entry.to_wire(), "card": None if card is None else card.to_wire()}
    return canonical.dumps(wire) + b"\n"


def signed_head(key: Ed25519PrivateKey, header: SnapshotHeader) -> tuple[bytes, dict[str, Any]]:
    """The first line of the file, newline included, and the object that it spells."""
    statement = header.to_wire()
    line, signature = signing.signed_line(key, statement)
    return line, {"statement": statement, "signature": signature}


def signed_snapshot(key: Ed25519PrivateKey, header: SnapshotHeader, lines: list[bytes]) -> bytes:
    """The whole file. `header.entries` and `.digest` must describe `lines`. Raises ProtocolError."""
    if header.entries != len(lines) or header.digest != digest_lines(lines):
        raise ProtocolError("the snapshot's header does not describe its entries")
    return signed_head(key, header)[0] + b"".join(lines)


def open_header(line: bytes, key: Ed25519PublicKey, *, lab: str, node: str) -> SnapshotHeader:
    """The verified header of a snapshot for this very node. Raises ProtocolError."""
    where = "snapshot"
    statement = signing.open_signed(key, canonical.loads_exact(line, where=where), kind=KIND)
    fields.integer(statement, "v", low=VERSION, high=VERSION)
    asked = statement.get("demands")
    if not isinstance(asked, dict):
        raise ProtocolError("demands must be an object", where=where)
    sealed = fields.optional_text(statement, "wrapping_key")
    header = SnapshotHeader(
        lab=fields.text(statement, "lab", length_max=64),
        node=fields.text(statement, "node", length_max=64),
        version=version_of_pair(statement.get("version"), where=where),
        issued_at=fields.integer(statement, "issued_at"),
        machine_name=fields.text(statement, "machine_name"),
        demands=demands.from_wire(asked),
        entries=fields.integer(statement, "entries", high=ENTRIES_MAX),
        digest=fields.octets(statement, "digest", DIGEST_BYTES),
        wrapping_key=None if sealed is None else _octets(sealed),
        forget=erasure.digests_from_wire(statement),
    )
    if (header.lab, header.node) != (lab, node):
        raise ProtocolError(
            f"it is for node {header.node} of lab {header.lab}, not for {node} of {lab}",
            where=where,
        )
    return header


def version_of_pair(value: Any, *, where: str) -> SnapshotVersion:
    """The version that [hub epoch, counter] names. Raises ProtocolError."""
    if not isinstance(value, list) or len(value) != 2:
        raise ProtocolError("version must be [hub epoch, counter]", where=where)
    pair = {"hub_epoch": value[0], "counter": value[1]}
    return fields.integer(pair, "hub_epoch", low=1), fields.integer(pair, "counter")


def read_snapshot(
    source: BinaryIO, key: Ed25519PublicKey, *, lab: str, node: str
) -> tuple[SnapshotHeader, Iterator[Entry]]:
    """The verified header and a stream of entries; the stream raises ProtocolError at its end when digest
    or count do not match, so nothing may be used before it is exhausted. `source` stays the caller's."""
    header = open_header(_line(source), key, lab=lab, node=node)
    return header, _entries(source, header)


def _entries(source: BinaryIO, header: SnapshotHeader) -> Iterator[Entry]:
    digest = blake2b(digest_size=DIGEST_BYTES)
    last = b""
    for _ in range(header.entries):
        line = _line(source)
        digest.update(line)
        entry = entry_from_wire(canonical.loads(line, where="snapshot entry"))
        if entry.tag <= last:
            raise ProtocolError("its entries are not in order", where="snapshot")
        last = entry.tag
        yield entry
    if source.read(1) or digest.digest() != header.digest:
        raise ProtocolError("its entries are not those the hub signed", where="snapshot")


def _octets(hexadecimal: str) -> bytes:
    try:
        return bytes.fromhex(hexadecimal)
    except ValueError as error:
        raise ProtocolError("wrapping_key is not hexadecimal", where="snapshot") from error


def _line(source: BinaryIO) -> bytes:
    line = source.readline(LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise ProtocolError("it is cut short or has an oversized line", where="snapshot")
    return line
