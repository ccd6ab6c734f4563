"""Journal records: what a node durably says happened, chained so that nothing can be bent afterwards.

    commit = BLAKE2b-256(salt ‖ body)             body: canonical JSON
    hash   = BLAKE2b-256(key = chain key, prev ‖ header ‖ commit)

The header is the canonical JSON of every field but body, salt, prev and hash; the first `prev` is 32 zero
bytes. Erasing a member removes body and salt and keeps `commit`: the chain still verifies and says "erased"
(4-protocol.md). `seq` is strictly increasing within (node, epoch) and never reused.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields

VERSION = 1
HASH_BYTES = 32
SALT_BYTES = 16
CHAIN_KEY_BYTES = 32
GENESIS = bytes(HASH_BYTES)

BODY_BYTES_MAX = 8_192
"""A decision with all its evidence needs about 2 KiB; eight of the largest fit one 64 KiB frame."""


class RecordType(StrEnum):
    """What a record can say."""

    BOOT = "boot"
    SESSION_STARTED = "session_started"
    SESSION_PROGRESS = "session_progress"
    SESSION_ENDED = "session_ended"
    SESSION_VOIDED = "session_voided"
    REFUSED = "refused"
    FAULT_RAISED = "fault_raised"
    FAULT_CLEARED = "fault_cleared"
    LOCK_OUT_SET = "lock_out_set"
    LOCK_OUT_CLEARED = "lock_out_cleared"
    PROBLEM_REPORTED = "problem_reported"
    SUPERVISION_CONFIRMED = "supervision_confirmed"
    TRAINING_GRANTED = "training_granted"
    LONG_JOB_DECLARED = "long_job_declared"
    UNMETERED_USE = "unmetered_use"
    CLOCK_ANCHORED = "clock_anchored"
    CONFIGURATION_CHANGED = "configuration_changed"
    COMMISSIONED = "commissioned"


@dataclass(frozen=True, slots=True)
class Header:
    """Everything of a record but its body: who, which, when. `wall_ms` is UTC, None when never known."""

    node: str
    epoch: int
    seq: int
    boot_id: str
    boot_ms: int
    wall_ms: int | None
    wall_trusted: bool
    type: RecordType

    def to_bytes(self) -> bytes:
        """The canonical bytes the hash is computed over."""
        return canonical.dumps(self.to_wire())

    def to_wire(self) -> dict[str, Any]:
        """The header's fields as JSON values, protocol version included."""
        return {
            "v": VERSION,
            "node": self.node,
            "epoch": self.epoch,
            "seq": self.seq,
            "boot_id": self.boot_id,
            "boot_ms": self.boot_ms,
            "wall_ms": self.wall_ms,
            "wall_trusted": self.wall_trusted,
            "type": self.type.value,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """One link of the chain. `body` and `salt` are None once erased; `commit` then stands for them."""

    header: Header
    body: Mapping[str, Any] | None
    salt: bytes | None
    commit: bytes
    prev: bytes
    hash: bytes

    @property
    def id(self) -> str:
        """`EPOCH.SEQ`: how other records of the same node name this one."""
        return f"{self.header.epoch}.{self.header.seq}"

    def to_wire(self) -> dict[str, Any]:
        """The record as one JSON object."""
        return {
            **self.header.to_wire(),
            "body": None if self.body is None else dict(self.body),
            "salt": None if self.salt is None else self.salt.hex(),
            "commit": self.commit.hex(),
            "prev": self.prev.hex(),
            "hash": self.hash.hex(),
        }


@dataclass(frozen=True, slots=True)
class Head:
    """The last link of a chain: what an acknowledgement names. seq 0 is the empty chain."""

    epoch: int
    seq: int
    hash: bytes

    def to_wire(self) -> dict[str, Any]:
        """The head as one JSON object."""
        return {"epoch": self.epoch, "seq": self.seq, "hash": self.hash.hex()}


_WIRE_KEYS = frozenset(
    {
        *("v", "node", "epoch", "seq", "boot_id", "boot_ms", "wall_ms", "wall_trusted", "type"),
        *("body", "salt", "commit", "prev", "hash"),
    }
)


def seal(
    header: Header, body: Mapping[str, Any], *, salt: bytes, prev: bytes, chain_key: bytes
) -> Record:
    """The record of `header` and `body`, linked behind `prev`. Raises ProtocolError for an oversized body."""
    body_bytes = canonical.dumps(dict(body))
    if len(body_bytes) > BODY_BYTES_MAX:
        raise ProtocolError(f"a body of {len(body_bytes)} bytes is larger than {BODY_BYTES_MAX}")
    commit = _commit(salt, body_bytes)
    return Record(header, body, salt, commit, prev, _link(chain_key, prev, header, commit))


def verify(record: Record, *, prev: bytes, chain_key: bytes) -> None:
    """Return when `record` follows `prev` and nothing in it was altered. Raises ProtocolError."""
    where = f"record {record.id} of node {record.header.node}"
    if record.prev != prev:
        raise ProtocolError("it does not follow the record before it", where=where)
    if record.body is not None:
        if record.salt is None:
            raise ProtocolError("its salt is missing", where=where)
        if not hmac.compare_digest(
            _commit(record.salt, canonical.dumps(dict(record.body))), record.commit
        ):
            raise ProtocolError("its body was altered", where=where)
    if not hmac.compare_digest(
        _link(chain_key, record.prev, record.header, record.commit), record.hash
    ):
        raise ProtocolError("its header or link was altered", where=where)


def from_wire(wire: Mapping[str, Any]) -> Record:
    """The record a JSON object describes; its hashes are not checked yet. Raises ProtocolError."""
    fields.no_more_than(wire, _WIRE_KEYS)
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    header = Header(
        node=fields.text(wire, "node", length_max=64),
        epoch=fields.integer(wire, "epoch", low=1),
        seq=fields.integer(wire, "seq", low=1),
        boot_id=fields.text(wire, "boot_id", length_max=64),
        boot_ms=fields.integer(wire, "boot_ms"),
        wall_ms=fields.optional_integer(wire, "wall_ms"),
        wall_trusted=fields.flag(wire, "wall_trusted"),
        type=fields.choice(wire, "type", RecordType),
    )
    body = wire.get("body")
    if body is not None and not isinstance(body, dict):
        raise ProtocolError("body must be an object or null")
    salt = None if wire.get("salt") is None else fields.octets(wire, "salt", SALT_BYTES)
    return Record(
        header=header,
        body=body,
        salt=salt,
        commit=fields.octets(wire, "commit", HASH_BYTES),
        prev=fields.octets(wire, "prev", HASH_BYTES),
        hash=fields.octets(wire, "hash", HASH_BYTES),
    )


def head_from_wire(wire: Mapping[str, Any]) -> Head:
    """The chain head a JSON object names. Raises ProtocolError."""
    return Head(
        epoch=fields.integer(wire, "epoch"),
        seq=fields.integer(wire, "seq"),
        hash=fields.octets(wire, "hash", HASH_BYTES),
    )


def _commit(salt: bytes, body_bytes: bytes) -> bytes:
    return blake2b(salt + body_bytes, digest_size=HASH_BYTES).digest()


def _link(chain_key: bytes, prev: bytes, header: Header, commit: bytes) -> bytes:
    return blake2b(
        prev + header.to_bytes() + commit, digest_size=HASH_BYTES, key=chain_key
    ).digest()
