"""A node's "problem reported" record to the alarm it deserves: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlock.errors import ProtocolError
from interlock.hub.models import AlarmKind
from interlock.protocol import fields

RECORDS_LOST = "records_lost"
"""node.journal_salvage's word for rows that could not be read; `lost` lists them."""
PROBLEM_LENGTH_MAX = 64
RANGES_MAX = 1_024
"""More than a body has room for: only its size bounds what a node can list."""


def alarm_of(body: Mapping[str, Any]) -> tuple[AlarmKind, str]:
    """The kind of alarm and its words. Raises ProtocolError when the report makes no sense."""
    problem = fields.text(body, "problem", length_max=PROBLEM_LENGTH_MAX)
    detail = fields.optional_text(body, "detail") or ""
    if problem != RECORDS_LOST:
        return AlarmKind.PROBLEM_REPORTED, f"{problem}: {detail}" if detail else problem
    lost = ", ".join(_in_words(one) for one in lost_ranges(body))
    return AlarmKind.RECORDS_LOST, f"{lost or 'an unknown number'} ({detail})" if detail else lost


def lost_ranges(body: Mapping[str, Any]) -> list[tuple[int, int, int | None]]:
    """(epoch, first, last) of each range that a report declares lost; last None: everything from first on. Raises
    ProtocolError."""
    lost = body.get("lost")
    if not isinstance(lost, list) or len(lost) > RANGES_MAX:
        raise ProtocolError(f"lost must be a list of at most {RANGES_MAX} ranges")
    ranges = []
    for one in lost:
        if not isinstance(one, list) or len(one) != 3:
            raise ProtocolError("a lost range must be [epoch, first, last]")
        named = dict(zip(("epoch", "first", "last"), one, strict=True))
        epoch, first = (fields.integer(named, name) for name in ("epoch", "first"))
        ranges.append((epoch, first, fields.optional_integer(named, "last")))
    return ranges


def _in_words(lost: tuple[int, int, int | None]) -> str:
    epoch, first, last = lost
    if last is None:
        return f"{epoch}.{first} and what followed"
    return f"{epoch}.{first}" if first == last else f"{epoch}.{first} to {epoch}.{last}"
