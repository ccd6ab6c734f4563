"""Untrusted JSON objects to typed values: each reader names the field it did not like."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from interlock.errors import ProtocolError

INT_MAX = 2**63 - 1
"""Every number is stored in SQLite, whose integers are signed 64 bit."""

TEXT_MAX = 512
"""Longer than any name or code of ours; a longer one is a mistake or an attack."""

E = TypeVar("E", bound=StrEnum)


def integer(source: Mapping[str, Any], key: str, *, low: int = 0, high: int = INT_MAX) -> int:
    """The integer under `key`, within bounds. Raises ProtocolError."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProtocolError(f"{key} must be an integer from {low} to {high}, not {value!r:.60}")
    return value


def optional_integer(source: Mapping[str, Any], key: str) -> int | None:
    """The integer under `key`, or None when it is absent or null. Raises ProtocolError."""
    return None if source.get(key) is None else integer(source, key)


def text(source: Mapping[str, Any], key: str, *, length_max: int = TEXT_MAX) -> str:
    """The text under `key`. Raises ProtocolError."""
    value = source.get(key)
    if not isinstance(value, str) or len(value) > length_max:
        raise ProtocolError(f"{key} must be text of at most {length_max} characters")
    return value


def optional_text(source: Mapping[str, Any], key: str) -> str | None:
    """The text under `key`, or None when it is absent or null. Raises ProtocolError."""
    return None if source.get(key) is None else text(source, key)


def flag(source: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    """The boolean under `key`, `default` when it is absent. Raises ProtocolError."""
    value = source.get(key, default)
    if not isinstance(value, bool):
        raise ProtocolError(f"{key} must be true or false, not {value!r:.60}")
    return value


def octets(source: Mapping[str, Any], key: str, length: int) -> bytes:
    """`length` bytes written as lower-case hexadecimal under `key`. Raises ProtocolError."""
    value = source.get(key)
    if isinstance(value, str) and len(value) == 2 * length:
        try:
            octets = bytes.fromhex(value)
        except ValueError:
            octets = b""
        # `fromhex` skips blanks and takes capitals: only what spells the same again is one spelling.
        if octets.hex() == value:
            return octets
    raise ProtocolError(f"{key} must be {length} bytes in lower-case hexadecimal")


def choice(source: Mapping[str, Any], key: str, options: type[E], default: E | None = None) -> E:
    """One of `options` under `key`, `default` when absent. Raises ProtocolError."""
    value = source.get(key, default)
    try:
        return options(value)
    except ValueError as error:
        known = ", ".join(options)
        raise ProtocolError(f"{key} must be one of {known}, not {value!r:.60}") from error


def objects(source: Mapping[str, Any], key: str, *, length_max: int) -> list[dict[str, Any]]:
    """A list of JSON objects under `key`. Raises ProtocolError."""
    value = source.get(key)
    if not isinstance(value, list) or len(value) > length_max:
        raise ProtocolError(f"{key} must be a list of at most {length_max} objects")
    if not all(isinstance(item, dict) for item in value):
        raise ProtocolError(f"{key} must hold objects only")
    return value


def no_more_than(source: Mapping[str, Any], known: frozenset[str]) -> None:
    """Return when every key of `source` is known. Raises ProtocolError: an unread field is a mistake."""
    unknown = sorted(set(source) - known)
    if unknown:
        raise ProtocolError(f"unknown field {unknown[0]!r:.60}")
