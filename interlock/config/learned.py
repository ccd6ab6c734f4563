"""What was measured at the machine, in `commissioning.json` beside the journal: in, and back out.

    current        thresholds learned from the clamp; what the TOML says of them goes before
    commissioned   who walked through the machine when, with which file and version, and what was found
    break_glass    the sealed code of the envelope, and when it was used

`interlock commission` writes all three at once, a node's start reads them; the node itself only strikes the code
out. Other sections of the file are kept as they are. The file belongs to whom its folder belongs to, and only they
may read it: `interlock commission` may be run as root, the node is not.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from interlock.config.sections import NodeConfig
from interlock.errors import ConfigError, ProtocolError
from interlock.protocol import fields

LOG = logging.getLogger(__name__)

LEARNED_BYTES_MAX: Final = 65_536
"""A limit on everything: a file that grew beyond this is not ours."""

REMEDY: Final = "Learn the thresholds again with: interlock commission"

FINDINGS_MAX: Final = 64
"""15 steps, 8 interlocks, and room: a record of 8 KiB holds twice that."""

ID_LENGTH_MAX: Final = 64
BY_LENGTH_MAX: Final = 64
DIGEST_LENGTH: Final = 64
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
FILE_MODE: Final = 0o600
MEASURED_MAX: Final = 8
NAME_LENGTH_MAX: Final = 64

SIGNAL_TO_NOISE_MIN: Final = 2
"""A working current below twice the idle one cannot be told from it all day long."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Currents measured at rest and at work, and what follows from them, in milliamperes RMS."""

    idle_ma: int
    busy_ma: int
    busy_above_ma: int
    idle_below_ma: int


def thresholds_between(idle_ma: int, busy_ma: int) -> Thresholds:
    """The thresholds between the largest current seen at rest and the smallest seen at work.

    Busy begins half-way, idle a quarter of the way up, so that a machine on the edge does not
    flutter. Raises ConfigError: the two are too close to be told apart.
    """
    if busy_ma < SIGNAL_TO_NOISE_MIN * max(1, idle_ma):
        raise ConfigError(
            f"{idle_ma} mA at rest and {busy_ma} mA at work cannot be told apart",
            where="current",
            remedy="Pass the machine's wire through the clamp several times, or use a smaller clamp",
        )
    between_ma = busy_ma - idle_ma
    return Thresholds(
        idle_ma=idle_ma,
        busy_ma=busy_ma,
        busy_above_ma=idle_ma + max(2, between_ma // 2),
        idle_below_ma=idle_ma + max(1, between_ma // 4),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """One line of a commissioning: `good` None was not tested; `measured` are whole numbers, units in their names."""

    name: str
    good: bool | None
    measured: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Commissioned:
    """A walk through a machine: `config` is the digest of its file, `wiring` that of what was walked through."""

    id: str
    at: int
    by: str
    config: str
    wiring: str
    software: str
    findings: tuple[Found, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """The names of what is not good, or was not tested."""
        return tuple(one.name for one in self.findings if one.good is not True)

    def body(self) -> dict[str, Any]:
        """What the node records of it."""
        return {
            "id": self.id,
            "by": self.by,
            "config": self.config,
            "software": self.software,
            "findings": [asdict(one) for one in self.findings],
        }


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """A code that nobody can read from this; `used_at` (UTC seconds) strikes it out."""

    salt: bytes
    hash: bytes
    made_at: int
    used_at: int | None = None


def wiring_digest(config: NodeConfig) -> str:
    """64 hexadecimal digits that change when anything changes that a commissioning looks at."""
    machine, times = config.machine, config.times
    looked_at = (
        *(config.relay, config.inputs, config.interlocks, config.current),
        replace(config.panel, language=""),
        *(config.screen, config.reader.kind, config.reader.device, machine.restart_protection),
        *(times.close_time_ms, times.open_time_ms, times.pre_run_s, times.run_on_s),
        *(times.unexpected_start_ms, times.inrush_ms),
    )
    return blake2b(repr(looked_at).encode(), digest_size=32).hexdigest()


def write_commissioning(
    path: Path,
    commissioned: Commissioned,
    thresholds: Thresholds | None = None,
    break_glass: BreakGlass | None = None,
) -> None:
    """The file holds the walk, and what was learned and made on it, after any crash. Raises ConfigError."""
    sections = dict(_readable(path))
    sections["commissioned"] = {
        **commissioned.body(),
        "at": commissioned.at,
        "wiring": commissioned.wiring,
    }
    if thresholds is not None:
        sections["current"] = asdict(thresholds)
    if break_glass is not None:
        sections["break_glass"] = _break_glass_wire(break_glass)
    _write(path, sections)


def write_thresholds(path: Path, thresholds: Thresholds) -> None:
    """The file holds `thresholds` after any crash. Raises ConfigError: it cannot be written."""
    _write(path, {**_read(path), "current": asdict(thresholds)})


def write_break_glass(path: Path, break_glass: BreakGlass) -> None:
    """The file holds `break_glass` after any crash. Raises ConfigError: it cannot be written."""
    _write(path, {**_read(path), "break_glass": _break_glass_wire(break_glass)})


def read_commissioned(path: Path) -> Commissioned | None:
    """The last walk; None before the first. Raises ConfigError: unreadable, or not what was written there."""
    found = _read(path).get("commissioned")
    if found is None:
        return None
    try:
        if not isinstance(found, dict):
            raise ProtocolError("it is no object")
        return Commissioned(
            id=fields.text(found, "id", length_max=ID_LENGTH_MAX),
            at=fields.integer(found, "at"),
            by=fields.text(found, "by", length_max=BY_LENGTH_MAX),
            config=fields.text(found, "config", length_max=DIGEST_LENGTH),
            wiring=fields.text(found, "wiring", length_max=DIGEST_LENGTH),
            software=fields.text(found, "software", length_max=ID_LENGTH_MAX),
            findings=tuple(
                _found(one) for one in fields.objects(found, "findings", length_max=FINDINGS_MAX)
            ),
        )
    except ProtocolError as error:
        raise ConfigError(
            f"holds no commissioning that makes sense: {error.what}",
            where=str(path),
            remedy="Walk through the machine again: interlock commission",
        ) from error


def read_commissioned_or_none(path: Path) -> Commissioned | None:
    """The last walk; None before the first, and where the file is damaged: a whole walk makes it anew."""
    try:
        return read_commissioned(path)
    except ConfigError as error:
        LOG.error("nobody can tell who commissioned this machine: %s", error)
        return None


def read_break_glass(path: Path) -> BreakGlass | None:
    """The code's seal; None where none was made. Raises ConfigError."""
    found = _read(path).get("break_glass")
    if found is None:
        return None
    try:
        if not isinstance(found, dict):
            raise ProtocolError("it is no object")
        return BreakGlass(
            salt=fields.octets(found, "salt", SALT_BYTES),
            hash=fields.octets(found, "hash", HASH_BYTES),
            made_at=fields.integer(found, "made_at"),
            used_at=fields.optional_integer(found, "used_at"),
        )
    except ProtocolError as error:
        raise ConfigError(
            f"holds no break-glass code that makes sense: {error.what}",
            where=str(path),
            remedy="Make another: interlock commission --only break-glass",
        ) from error


def with_learned(config: NodeConfig) -> NodeConfig:
    """`config` with the learned thresholds, where the file says none. Raises ConfigError: unreadable."""
    if config.current.busy_above_ma is not None:
        return config
    found = _read(config.paths.learned).get("current")
    if found is None:
        return config
    busy_above_ma, idle_below_ma = _levels(found, str(config.paths.learned))
    current = replace(config.current, busy_above_ma=busy_above_ma, idle_below_ma=idle_below_ma)
    return replace(config, current=current)


def _levels(found: Any, where: str) -> tuple[int, int]:
    said = found if isinstance(found, dict) else {}
    busy_above_ma, idle_below_ma = said.get("busy_above_ma"), said.get("idle_below_ma")
    # `type` and not `isinstance`: true is no number.
    if type(busy_above_ma) is type(idle_below_ma) is int and 0 < idle_below_ma < busy_above_ma:
        return busy_above_ma, idle_below_ma
    raise ConfigError("holds no thresholds that make sense", where=where, remedy=REMEDY)


def _found(wire: Mapping[str, Any]) -> Found:
    good, measured = wire.get("good"), wire.get("measured")
    if good is not None:
        good = fields.flag(wire, "good")
    if not isinstance(measured, dict) or len(measured) > MEASURED_MAX:
        raise ProtocolError("measured must be an object")
    name = fields.text(wire, "name", length_max=NAME_LENGTH_MAX)
    return Found(name, good, {key: fields.integer(measured, key) for key in measured})


def _break_glass_wire(one: BreakGlass) -> dict[str, Any]:
    return {
        "salt": one.salt.hex(),
        "hash": one.hash.hex(),
        "made_at": one.made_at,
        "used_at": one.used_at,
    }


def _write(path: Path, sections: Mapping[str, Any]) -> None:
    beside = path.with_suffix(".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        with open(descriptor, "w", encoding="utf-8") as target:
            owner = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, FILE_MODE)
            json.dump(sections, target, indent=2, sort_keys=True)
            target.flush()
            os.fsync(descriptor)
        beside.replace(path)
        # The new name of the file must survive a power cut, too.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=str(path), remedy="Free the disk"
        ) from error


def _readable(path: Path) -> Mapping[str, Any]:
    """The sections as they stand; none where the file is damaged, for a whole walk makes them anew."""
    try:
        return _read(path)
    except ConfigError:
        return {}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as source:
            content = source.read(LEARNED_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=REMEDY
        ) from error
    try:
        sections = json.loads(content)
    except ValueError as error:
        raise ConfigError(f"is not JSON: {error}", where=str(path), remedy=REMEDY) from error
    if not isinstance(sections, dict) or len(content) > LEARNED_BYTES_MAX:
        raise ConfigError("is not what was written there", where=str(path), remedy=REMEDY)
    return sections
