"""/boot/firmware/interlock.toml of a freshly written SD card to an enrolment code, and the file without it.

The hub's page makes the file, one for each machine. Anybody who has the card can read it, so it holds nothing but
a code that works once, within a week, and makes nobody a node without a click.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.errors import ConfigError

CARD_FILE = Path("/boot/firmware/interlock.toml")
USED = "used"
"""What stands in the code's place when the file has served."""

CHOICES = {"profile": ("saw", "laser", "printer"), "language": ("en", "fr")}
"""What [computer] may say: one of these, or nothing."""

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""One label as DNS has it (RFC 1123, section 2.1), in the small letters that every tool shows."""

_CODE_LINE = re.compile(r'^([ \t]*code[ \t]*=[ \t]*)"[^"\n]*"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CardFile:
    """What the file says: whose computer this will be, and the code; perhaps which ready machine, the language
    of its screen and the computer's own name (each empty where [computer] does not say)."""

    machine: str
    code: str = field(repr=False)
    profile: str = ""
    language: str = ""
    hostname: str = ""

    @property
    def is_used(self) -> bool:
        """Whether its code was wiped: this computer is enrolled."""
        return self.code == USED


def read_card_file(path: Path = CARD_FILE) -> CardFile:
    """What `path` says. Raises ConfigError: missing, or not such a file."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=_MAKE_ANOTHER
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"this is not TOML: {error}", where=str(path), remedy=_MAKE_ANOTHER
        ) from error
    found = said.get("enrolment")
    if not isinstance(found, dict):
        raise ConfigError("[enrolment] is missing", where=str(path), remedy=_MAKE_ANOTHER)
    machine, code = found.get("machine"), found.get("code")
    if not isinstance(machine, str) or not isinstance(code, str):
        raise ConfigError(
            "enrolment.machine and enrolment.code must be texts",
            where=str(path),
            remedy=_MAKE_ANOTHER,
        )
    profile, language = (_choice(said, path, key) for key in CHOICES)
    return CardFile(machine, code, profile, language, _hostname(said, path))


def _choice(said: Mapping[str, Any], path: Path, key: str) -> str:
    """One word of [computer], "" where it is not there. Raises ConfigError: another word."""
    table = said.get("computer", {})
    chosen = table.get(key, "") if isinstance(table, dict) else None
    if chosen in ("", *CHOICES[key]):
        return str(chosen)
    raise ConfigError(
        f"computer.{key} is {chosen!r}",
        where=str(path),
        remedy=f"Write one of: {', '.join(CHOICES[key])}; or leave it out",
    )


def _hostname(said: Mapping[str, Any], path: Path) -> str:
    """The name of [computer], "" where it has none. Raises ConfigError: no computer can be called that."""
    table = said.get("computer", {})
    name = table.get("hostname", "") if isinstance(table, dict) else None
    if name == "" or (isinstance(name, str) and _HOSTNAME.fullmatch(name)):
        return name
    raise ConfigError(
        f"computer.hostname is {name!r}",
        where=str(path),
        remedy="Write up to 63 small letters, digits and hyphens, such as table-saw; or leave it out",
    )


def wipe_code(path: Path = CARD_FILE) -> None:
    """The file says "used" where its code was, on the card too; everything else stays. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        # In place: FAT has no rename that survives a power cut, and the old bytes are to be overwritten.
        with path.open("r+", encoding="utf-8", newline="") as target:
            target.write(_CODE_LINE.sub(rf'\g<1>"{USED}"', text))
            target.truncate()
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error


_MAKE_ANOTHER = "Make the file again on the hub's page “Computers at machines”"
