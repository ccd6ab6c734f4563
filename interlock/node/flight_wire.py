"""The core's values in, JSON values out, and back; whoever is in them goes by a pseudonym of this one recording.

The core compares people and badges and never looks inside them, so a recording in which each of them bears another
name is decided alike. Pseudonyms keep the order of what they stand for, because the core sorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import ModuleType
from typing import Any

from interlock.core import effects, events, interlocks, model, sensing, states, usage
from interlock.core.effects import Message
from interlock.core.model import DayUse, Reason
from interlock.errors import ProtocolError

KIND, OF = "is", "of"
"""A value that is not JSON's own says what it is, and of what."""

PERSONAL = frozenset({"member", "tag", "supervisor", "second", "by", "code", "text"})
"""Fields and keys that stand for a person, a badge, or what somebody wrote to somebody."""

NAMED = frozenset({"Entry", "Granted", "Notice", "Panel"})
"""Whose `name` is somebody's; an interlock and a schedule have one too, and keep it."""

TELLING = (Reason.UNKNOWN_BADGE, Message.FROM_HUB)
"""With these, `detail` is an unknown badge's code, or what the hub wrote."""

ROOMS: tuple[ModuleType, ...] = (effects, events, interlocks, model, sensing, states, usage)
KINDS = {
    name: kind
    for room in ROOMS
    for name, kind in vars(room).items()
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Enum))
}

CODES = {""} | {one.value for kind in KINDS.values() if issubclass(kind, Enum) for one in kind}
"""Words of the core's own. Records hold them as text, and whoever is called so goes by no other name."""

TAG_BYTES = 16


class Pseudonyms:
    """Everybody in some values, by another name."""

    def __init__(self, values: Iterable[object]) -> None:
        found: set[str] = set()
        for value in values:
            found.update(_people(value))
        found -= CODES
        tags = sorted(one for one in found if _is_tag(one))
        others = sorted(found - set(tags))
        self._instead = {one: f"{n:0{2 * TAG_BYTES}x}" for n, one in enumerate(tags, 1)}
        self._instead |= {one: f"who-{n:05}" for n, one in enumerate(others, 1)}

    def of(self, value: str) -> str:
        """The same text for whatever is nobody."""
        return self._instead.get(value, value)


def to_wire(value: object, people: Pseudonyms) -> Any:
    """`value` as JSON values, its people by their pseudonyms."""
    match value:
        case Enum():
            return {KIND: type(value).__name__, OF: value.value}
        case None | bool() | int() | float():
            return value
        case str():
            return people.of(value)
        case bytes():
            return {KIND: "bytes", OF: people.of(value.hex())}
        case tuple() | list():
            return [to_wire(one, people) for one in value]
        case frozenset():
            return {KIND: "frozenset", OF: sorted((to_wire(one, people) for one in value), key=str)}
        case Mapping():
            return {KIND: "mapping", OF: {name: to_wire(value[name], people) for name in value}}
    if not is_dataclass(value):
        raise ProtocolError(f"no recording holds a {type(value).__name__}", where="flight recorder")
    told = {one.name: to_wire(getattr(value, one.name), people) for one in fields(value)}
    return {KIND: type(value).__name__, **told}


def from_wire(wire: Any) -> Any:
    """The value that `to_wire` made this of; lists become tuples. Raises ProtocolError."""
    if isinstance(wire, list):
        return tuple(from_wire(one) for one in wire)
    if not isinstance(wire, dict):
        return wire
    try:
        return _of_kind(wire[KIND], wire)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(
            f"this version knows no such thing: {error!r}", where="flight"
        ) from error


def _of_kind(kind: str, wire: Mapping[str, Any]) -> Any:
    match kind:
        case "bytes":
            return bytes.fromhex(wire[OF])
        case "frozenset":
            return frozenset(from_wire(one) for one in wire[OF])
        case "mapping":
            return {name: from_wire(one) for name, one in wire[OF].items()}
    known = KINDS[kind]
    if issubclass(known, Enum):
        return known(wire[OF])
    return known(**{name: from_wire(one) for name, one in wire.items() if name != KIND})


def _people(value: object) -> Iterator[str]:
    """Every text in `value` that stands for somebody."""
    if isinstance(value, tuple | list | frozenset):
        for one in value:
            yield from _people(one)
    elif isinstance(value, Mapping):
        yield from _people_of("", value)
    elif is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, DayUse):
            yield from (member for member, _ in value.used)
        named = {one.name: getattr(value, one.name) for one in fields(value)}
        yield from _people_of(type(value).__name__, named)


def _people_of(kind: str, named: Mapping[str, object]) -> Iterator[str]:
    telling = named.get("reason") in TELLING or named.get("message") in TELLING
    # An entry in a record's body is a mapping like any other: there every name counts as somebody's.
    mine = (
        PERSONAL
        | ({"name"} if kind in NAMED | {""} else set())
        | ({"detail"} if telling else set())
    )
    for name, one in named.items():
        if name in mine and isinstance(one, str):
            yield one
        elif name in mine and isinstance(one, bytes):
            yield one.hex()
        else:
            yield from _people(one)


def _is_tag(text: str) -> bool:
    return len(text) == 2 * TAG_BYTES and set(text) <= set("0123456789abcdef")
