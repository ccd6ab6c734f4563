"""The bytes on the wire are those frozen in vectors.json, by our code and by the text of 4-protocol.md."""

from __future__ import annotations

import io
import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.protocol import canonical, hubtime, records, signing, snapshots, tags
from interlock.protocol.records import GENESIS, Record

pytestmark = pytest.mark.fast

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
CHAIN_KEY = bytes.fromhex(VECTORS["keys"]["chain_key"])
BADGE_KEY = bytes.fromhex(VECTORS["keys"]["badge_key"])
HUB_PRIVATE = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex(VECTORS["keys"]["hub_private_key"])
)
HUB_PUBLIC = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["keys"]["hub_public_key"]))
RECORDS: list[dict[str, Any]] = VECTORS["records"]
SNAPSHOT = bytes.fromhex(VECTORS["snapshot"]["file_hex"])
BODY_FIELDS = {"body", "salt", "commit", "prev", "hash"}


def plain(value: Any) -> bytes:
    """Canonical JSON as the design describes it, without our code."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8"
    )


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=lambda v: str(v["hex"][:12]))
def test_canonical_bytes_are_the_frozen_ones(vector: dict[str, Any]) -> None:
    assert canonical.dumps(vector["value"]).hex() == vector["hex"]
    assert canonical.loads(bytes.fromhex(vector["hex"]), where="vector") == vector["value"]
    assert plain(vector["value"]).hex() == vector["hex"]


@pytest.mark.parametrize("vector", VECTORS["tags"], ids=lambda v: str(v["uid"]))
def test_a_badge_s_tag_is_the_frozen_one(vector: dict[str, str]) -> None:
    uid = bytes.fromhex(vector["uid"])
    assert tags.badge_tag(BADGE_KEY, uid).hex() == vector["tag"]
    assert blake2b(uid, digest_size=16, key=BADGE_KEY).hexdigest() == vector["tag"]


@pytest.mark.parametrize("wire", RECORDS, ids=lambda w: f"{w['epoch']}.{w['seq']}")
def test_a_record_seals_to_the_frozen_hashes(wire: dict[str, Any]) -> None:
    record = records.from_wire(wire)
    assert record.to_wire() == wire
    assert record.salt is not None
    assert record.body is not None
    sealed = records.seal(
        record.header, record.body, salt=record.salt, prev=record.prev, chain_key=CHAIN_KEY
    )
    assert sealed == record


@pytest.mark.parametrize("wire", RECORDS, ids=lambda w: f"{w['epoch']}.{w['seq']}")
def test_the_hashes_follow_from_the_text_of_the_protocol(wire: dict[str, Any]) -> None:
    salt, body = bytes.fromhex(wire["salt"]), plain(wire["body"])
    commit = blake2b(salt + body, digest_size=32).digest()
    assert commit.hex() == wire["commit"]
    header = plain({key: value for key, value in wire.items() if key not in BODY_FIELDS})
    link = bytes.fromhex(wire["prev"]) + header + commit
    assert blake2b(link, digest_size=32, key=CHAIN_KEY).hexdigest() == wire["hash"]


def test_the_frozen_chain_verifies_and_each_epoch_begins_with_nothing_before_it() -> None:
    prev, epoch = GENESIS, 1
    for wire in RECORDS:
        record: Record = records.from_wire(wire)
        if record.header.epoch != epoch:
            prev, epoch = GENESIS, record.header.epoch
        records.verify(record, prev=prev, chain_key=CHAIN_KEY)
        prev = record.hash


def test_the_frozen_snapshot_opens_and_is_written_again_byte_for_byte() -> None:
    source = io.BytesIO(SNAPSHOT)
    header, stream = snapshots.read_snapshot(source, HUB_PUBLIC, lab="lab", node="saw")
    entries = list(stream)
    lines = snapshots.entry_lines(entries)
    assert [line.decode() for line in lines] == VECTORS["snapshot"]["lines"]
    assert header.digest.hex() == VECTORS["snapshot"]["digest"]
    assert snapshots.signed_snapshot(HUB_PRIVATE, header, lines) == SNAPSHOT


def test_the_signature_covers_the_context_and_the_canonical_statement() -> None:
    message = json.loads(SNAPSHOT.split(b"\n", 1)[0])
    signed = b"interlock-fablab/1\x00" + plain(message["statement"])
    HUB_PUBLIC.verify(bytes.fromhex(message["signature"]), signed)
    assert HUB_PRIVATE.sign(signed).hex() == message["signature"]


def test_the_frozen_time_is_believed_for_its_nonce() -> None:
    message = VECTORS["time"]
    told = hubtime.open_time(message, HUB_PUBLIC, lab="lab", node="saw", nonce=bytes(16))
    assert (told.wall_ms, told.version) == (1_767_225_600_456, (1, 7))
    assert hubtime.signed_time(HUB_PRIVATE, told) == message
    assert signing.sign(HUB_PRIVATE, message["statement"]) == message
