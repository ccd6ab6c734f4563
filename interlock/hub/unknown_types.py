"""A record as sent to a typed one, also when only a newer node knows its type.

Refusing it would refuse the whole batch for ever, and every use behind it. It is verified, stored and
chained like any other; nothing follows from it but an alarm, until a newer hub reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from interlock.errors import ProtocolError
from interlock.protocol.records import Record, RecordType, from_wire

_KNOWN = frozenset(kind.value for kind in RecordType)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""As our own types are written, and no longer than the column that holds them."""


class UnknownType(str):
    """A record type this hub has no name for; it stands in a header where a RecordType would."""

    __slots__ = ()

    @property
    def value(self) -> str:
        """The word itself: what header and hash were made with."""
        return str(self)


def read_record(wire: Mapping[str, Any]) -> Record:
    """The record of `wire`, whatever its type is called. Raises ProtocolError."""
    name = wire.get("type")
    if not isinstance(name, str) or name in _KNOWN:
        return from_wire(wire)
    if not _NAME.fullmatch(name):
        raise ProtocolError(f"{name!r:.60} cannot be a record's type")
    record = from_wire({**wire, "type": RecordType.PROBLEM_REPORTED.value})
    unknown = cast(RecordType, UnknownType(name))
    return replace(record, header=replace(record.header, type=unknown))
