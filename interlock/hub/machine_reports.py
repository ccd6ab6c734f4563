"""What a node says of its machine itself: its wiring, its commissioning, its bypass key. Records in, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from interlock.errors import ProtocolError
from interlock.hub import live
from interlock.hub.models import Commissioning, Node, UnmeteredUse
from interlock.hub.sessions import SESSION_MS_MAX
from interlock.protocol import fields
from interlock.protocol.records import Record

WORD_MAX = 64
"""Who commissioned, a digest in hexadecimal, a version: what the columns hold."""
FINDINGS_MAX = 64
MEASURED_MAX = 16
"""Steps of one walk, and numbers of one step: several times what `interlock commission` writes."""


class Phase(StrEnum):
    """Of the use that nobody meters."""

    BEGAN = "began"
    ENDED = "ended"


def wiring(node: Node, body: Mapping[str, Any], key: str) -> None:
    """The node runs by the file of that digest; an older node does not say so."""
    node.config_digest = fields.optional_text(body, key) or node.config_digest
    if len(node.config_digest) > WORD_MAX:
        node.config_digest = node.config_digest[:WORD_MAX]


def commissioned(node: Node, record: Record, at: datetime) -> None:
    """Somebody walked through the machine. Raises ProtocolError."""
    body = record.body or {}
    Commissioning.objects.create(
        node=node,
        epoch=record.header.epoch,
        seq=record.header.seq,
        done_at=at,
        by=fields.text(body, "by", length_max=WORD_MAX),
        config_digest=fields.text(body, "config", length_max=WORD_MAX),
        software=fields.text(body, "software", length_max=WORD_MAX),
        findings=[
            _finding(one) for one in fields.objects(body, "findings", length_max=FINDINGS_MAX)
        ],
    )


def unmetered(node: Node, record: Record, at: datetime) -> bool:
    """The bypass key was turned; whether it is on now. Raises ProtocolError."""
    body = record.body or {}
    phase = fields.choice(body, "phase", Phase)
    duration_ms = fields.integer(body, "duration_ms", high=SESSION_MS_MAX)
    open_one = UnmeteredUse.objects.filter(node=node, duration_ms=None).first()
    if phase is Phase.BEGAN:
        # One that is open still was cut off with the power: how long it lasted nobody can say.
        live.bypass_turned(node.machine, at, at)
        _begun(node, record, at, None)
        return True
    live.bypass_turned(node.machine, None, at)
    if open_one is None:
        _begun(node, record, at, duration_ms)
    else:
        open_one.duration_ms = duration_ms
        open_one.save(update_fields=["duration_ms"])
    return False


def _begun(node: Node, record: Record, at: datetime, duration_ms: int | None) -> None:
    UnmeteredUse.objects.create(
        lab_id=node.lab_id,
        machine=node.machine,
        node=node,
        epoch=record.header.epoch,
        seq=record.header.seq,
        began_at=at,
        duration_ms=duration_ms,
    )


def _finding(wire: Mapping[str, Any]) -> dict[str, Any]:
    good = wire.get("good")
    if good is not None:
        good = fields.flag(wire, "good")
    measured = wire.get("measured", {})
    if not isinstance(measured, dict) or len(measured) > MEASURED_MAX:
        raise ProtocolError(f"measured must be an object of at most {MEASURED_MAX} numbers")
    return {
        "name": fields.text(wire, "name", length_max=WORD_MAX),
        "good": good,
        "measured": {str(name)[:WORD_MAX]: _number(measured, name) for name in sorted(measured)},
    }


def _number(measured: Mapping[str, Any], name: str) -> int:
    """Whole, of either sign: a current at rest can be measured a little below nothing."""
    value = measured[name]
    if type(value) is not int or abs(value) > fields.INT_MAX:
        raise ProtocolError(f"{name:.60} must be a whole number")
    return value
