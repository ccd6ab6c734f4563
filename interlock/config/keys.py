"""A TOML document and a table of keys in, checked values out, or an error that says what to do.

Strict: an unknown key, a key without its unit, a wrong type and a value out of bounds are
refused, each with its path, the reason and the nearest thing that would have been right.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from interlock.errors import ConfigError

REQUIRED: Final = "required"
"""The default of a key that every file must set."""

OFF: Final = "off"
"""What a number that may be switched off is set to."""

UNITS: Final = ("s", "ms", "hz", "ma", "mv")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """One thing a file may say. Bounds are for numbers and lengths of texts; `reason` says why."""

    path: str
    kind: type[Any]
    default: Any
    reason: str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    may_be_off: bool = False

    @property
    def unit(self) -> str:
        """The last part of the name, where it is a unit."""
        last = self.path.rsplit("_", 1)[-1]
        return last if last in UNITS else ""

    @property
    def expected(self) -> str:
        """What to write, as an instruction."""
        if self.choices:
            return f"Write one of: {', '.join(self.choices)}"
        if self.kind is int:
            off = f' or "{OFF}"' if self.may_be_off else ""
            unit = f" {self.unit}" if self.unit else ""
            return f"Write a whole number from {self.low} to {self.high}{unit}{off}"
        if self.kind is bool:
            return "Write true or false"
        return f"Write a text of {self.low} to {self.high} characters"


def number(path: str, default: Any, low: int, high: int, reason: str, off: bool = False) -> Key:
    """A whole number within bounds; `off` lets "off" stand for None."""
    return Key(path, int, default, reason, low=low, high=high, may_be_off=off)


def choice(path: str, default: Any, choices: str, reason: str) -> Key:
    """One of a few words."""
    return Key(path, str, default, reason, choices=tuple(choices.split()))


def flag(path: str, default: bool, reason: str) -> Key:
    """True or false."""
    return Key(path, bool, default, reason)


def text(path: str, default: Any, reason: str, chars_max: int = 200) -> Key:
    """A text of 1 to `chars_max` characters: names and paths."""
    return Key(path, str, default, reason, low=1, high=chars_max)


def read_toml(path: Path) -> dict[str, Any]:
    """The document in `path`. Raises ConfigError: unreadable, or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: `tomllib` lets through what `int` and Python's own stack say.
        raise ConfigError(f"is not TOML: {error}", where=str(path)) from error


class Values:
    """What one document says, by path: known keys and allowed values only.

    The tables named in `lists` may be repeated; the keys of their second one stand at `name[2].key`.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        table: Iterable[Key],
        lists: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Raises ConfigError for whatever `document` says that `table` does not allow."""
        self._keys = {key.path: key for key in table}
        self._lists = lists
        self._counts = dict.fromkeys(lists, 0)
        self._tables = {
            path.rsplit(".", depth)[0]
            for path in self._keys
            for depth in range(1, path.count(".") + 1)
        }
        self._given = {
            path: _checked(self._key(path), path, value)
            for path, value in self._leaves(document, "")
        }

    def value(self, path: str, default: object = None) -> Any:
        """What was said, else the table's default, else `default`. Raises ConfigError: missing."""
        key = self._key(path)
        if path not in self._given:
            if key.default == REQUIRED:
                raise ConfigError(f"is missing: {key.reason}", where=path, remedy=key.expected)
            return default if key.default in (None, OFF) else key.default
        return self._given[path]

    def says(self, path: str) -> bool:
        """Whether the document has `path` itself."""
        return path in self._given

    def says_anything_in(self, table: str) -> bool:
        """Whether the document has `table` with a key in it."""
        return any(path.startswith(f"{table}.") for path in self._given)

    def each(self, name: str) -> list[str]:
        """The paths of a repeated table: `name[1]`, `name[2]` …"""
        return [f"{name}[{number}]" for number in range(1, self._counts[name] + 1)]

    def _key(self, path: str) -> Key:
        return self._keys[_NUMBER.sub("", path)]

    def _leaves(self, table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for name, value in table.items():
            path = f"{prefix}{name}"
            known = _NUMBER.sub("", path)
            if path in self._lists:
                yield from self._repeated(path, value)
            elif isinstance(value, dict):
                if known not in self._tables:
                    raise self._unknown(path)
                yield from self._leaves(value, f"{path}.")
            elif known in self._tables:
                raise ConfigError("must be a table", where=path, remedy=f"Write [{path}]")
            elif known not in self._keys:
                raise self._unknown(path)
            else:
                yield path, value

    def _repeated(self, path: str, tables: Any) -> Iterator[tuple[str, Any]]:
        remedy = f"Write [[{path}]] above each, at most {self._lists[path]} times"
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            raise ConfigError("must be a list of tables", where=path, remedy=remedy)
        if len(tables) > self._lists[path]:
            raise ConfigError(f"{len(tables)} are too many", where=path, remedy=remedy)
        self._counts[path] = len(tables)
        for number, one in enumerate(tables, 1):
            yield from self._leaves(one, f"{path}[{number}].")

    def _unknown(self, path: str) -> ConfigError:
        asked = _NUMBER.sub("", path)
        for unit in UNITS:
            if f"{asked}_{unit}" in self._keys:
                return ConfigError("the unit is missing", where=path, remedy=f"Write {path}_{unit}")
        known = [*self._keys, *self._tables]
        nearest = difflib.get_close_matches(asked, known, n=1, cutoff=0.0)[0]
        return ConfigError("unknown key", where=path, remedy=f"The nearest known key is {nearest}")


_NUMBER: Final = re.compile(r"\[\d+\]")


def _checked(key: Key, path: str, value: Any) -> object:
    if key.may_be_off and value == OFF:
        return None
    # `type` and not `isinstance`: true is no number.
    if type(value) is not key.kind:
        raise ConfigError(f"{_shown(value)} is of the wrong type", where=path, remedy=key.expected)
    if isinstance(value, int) and key.kind is int and not key.low <= value <= key.high:
        raise ConfigError(
            f"{_shown(value)} is out of range ({key.reason})", where=path, remedy=key.expected
        )
    if key.choices and value not in key.choices:
        raise ConfigError(f"{_shown(value)} is not known", where=path, remedy=key.expected)
    free = isinstance(value, str) and not key.choices
    if free and not key.low <= len(value) <= key.high:
        raise ConfigError("is empty or too long", where=path, remedy=key.expected)
    return value


def _shown(value: object) -> str:
    """The beginning of what was written; Python refuses to spell numbers of thousands of digits."""
    try:
        return f"{value!r:.60}"
    except ValueError:
        return "a number of thousands of digits"
