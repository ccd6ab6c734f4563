"""A journal's records in, the decisions that would not be made again out (A10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from interlock.node.replay import CLAIMS, decide_again
from interlock.protocol.records import Record


def disagreements(records: Iterable[Record]) -> Iterator[str]:
    """Every decision whose evidence leads elsewhere today."""
    for record in records:
        body = record.body or {}
        names = CLAIMS.get(record.header.type)
        if names is None or not body.get("evidence"):
            continue
        recorded: tuple[str, dict[str, Any]] = (
            record.header.type.value,
            {name: body[name] for name in names},
        )
        if recorded not in decide_again(body["evidence"]):
            yield f"record {record.id} {record.header.type.value} is not decided again"
