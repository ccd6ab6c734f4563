"""Values to bytes, one way only: canonical JSON, what every hash and signature is computed over.

Sorted keys, no spaces, UTF-8 without escapes, integers only (a float has no single spelling). The
subset of RFC 8785 that needs no number formatting.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from interlock.errors import ProtocolError

FRAME_BYTES_MAX = 65_536
"""Nothing on a Pi parses more at once: a 64 KiB line is the largest that never delays the loop."""

DEPTH_MAX = 16
"""Deeper nesting than any message of ours has; Python's parser would recurse on a hostile one."""

_SPELLED = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def dumps(value: Any) -> bytes:
    """The canonical bytes of `value`. Raises ProtocolError for floats and other non-canonical values."""
    _refuse_inexact(value, DEPTH_MAX)
    return _SPELLED.encode(value).encode()


def loads(frame: bytes, *, where: str, bytes_max: int = FRAME_BYTES_MAX) -> dict[str, Any]:
    """One JSON object out of `frame`. Raises ProtocolError when it is anything else or too large."""
    if len(frame) > bytes_max:
        raise ProtocolError(
            f"a message of {len(frame)} bytes is larger than {bytes_max}", where=where
        )
    try:
        # Decoded here: `json.loads` would guess UTF-16 and UTF-32, and a message has one spelling.
        value = json.loads(frame.decode(), parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"this is not JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise ProtocolError("the message is not a JSON object", where=where)
    try:
        _refuse_inexact(value, DEPTH_MAX)
    except ProtocolError as error:
        raise ProtocolError(error.what, where=where) from error
    return value


def loads_exact(line: bytes, *, where: str) -> dict[str, Any]:
    """One JSON object out of `line`, which is its canonical bytes and a newline: no other spelling passes.

    So whoever verified the object has verified every bit of the line. Raises ProtocolError.
    """
    value = loads(line, where=where)
    if dumps(value) + b"\n" != line:
        raise ProtocolError("it is cut short, or not in its canonical form", where=where)
    return value


def _no_float(text: str) -> Any:
    raise ValueError(f"{text} is not an integer")


def _refuse_inexact(value: Any, depth: int) -> None:
    """Of every value of every message: the kinds that are most frequent are asked for first."""
    if depth == 0:
        raise ProtocolError("the message is nested too deep")
    if isinstance(value, str):
        # A lone surrogate has no UTF-8 spelling, so it could be neither hashed nor stored.
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ProtocolError("a text with a lone surrogate has no canonical form")
    elif isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ProtocolError(f"a key {key!r} is not text")
        _refuse_inexact_items(value, depth - 1)
        _refuse_inexact_items(value.values(), depth - 1)
    elif isinstance(value, (list, tuple)):
        _refuse_inexact_items(value, depth - 1)
    elif value is not None and not isinstance(value, int):
        raise ProtocolError(f"a {type(value).__name__} has no canonical form")


def _refuse_inexact_items(items: Iterable[Any], depth: int) -> None:
    """Nearly all items are plain: each costs a look here, and no call."""
    for item in items:
        kind = type(item)
        is_plain = kind is int or kind is bool or item is None or (kind is str and item.isascii())
        if not (is_plain and depth):
            _refuse_inexact(item, depth)
