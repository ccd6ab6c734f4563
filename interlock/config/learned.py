"""What was measured at the machine, in `commissioning.json` beside the journal: in, and back out.

`interlock commission` writes the section `current`, a node's start reads it. What the TOML says of
the thresholds itself goes before what was learned. Other sections of the file are kept as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from interlock.config.sections import NodeConfig
from interlock.errors import ConfigError

LEARNED_BYTES_MAX: Final = 65_536
"""A limit on everything: a file that grew beyond this is not ours."""

REMEDY: Final = "Learn the thresholds again with: interlock commission"

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


def write_thresholds(path: Path, thresholds: Thresholds) -> None:
    """The file holds `thresholds` after any crash. Raises ConfigError: it cannot be written."""
    sections = {**_read(path), "current": asdict(thresholds)}
    beside = path.with_suffix(".new")
    try:
        with beside.open("w", encoding="utf-8") as target:
            json.dump(sections, target, indent=2, sort_keys=True)
            target.flush()
            os.fsync(target.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=str(path), remedy="Free the disk"
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
