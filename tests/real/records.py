"""Rows of the hub's database in, records out, their chain verified: what the node wrote, as the hub holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from interlock.protocol.records import GENESIS, VERSION, Record, from_wire, verify

QUERY = """
    SELECT node.slug AS node, record.* FROM hub_noderecord record
    JOIN hub_node node ON node.id = record.node_id ORDER BY record.epoch, record.seq
"""


def record_of(row: Mapping[str, Any]) -> Record:
    """The record in a row of QUERY."""
    names = ("node", "epoch", "seq", "boot_id", "boot_ms", "wall_ms", "type")
    wire = {name: row[name] for name in names}
    wire |= {"v": VERSION, "wall_trusted": bool(row["wall_trusted"])}
    wire["body"] = None if row["body"] is None else json.loads(row["body"])
    wire["salt"] = None if row["salt"] is None else bytes(row["salt"]).hex()
    wire |= {name: bytes(row[name]).hex() for name in ("commit", "prev", "hash")}
    return from_wire(wire)


def verified(records: list[Record], chain_key: bytes) -> list[Record]:
    """The records, which are numbered without a gap and follow each other."""
    prev = GENESIS
    for number, record in enumerate(records, start=1):
        assert record.header.seq == number, f"{record.id} is the {number}. record"
        verify(record, prev=prev, chain_key=chain_key)
        prev = record.hash
    return records
