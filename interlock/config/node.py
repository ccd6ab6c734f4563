"""A node's TOML file in, one frozen `NodeConfig` out; or a ConfigError that says what to do.

An unknown key, a key without its unit, a wrong type, a value out of bounds (`table.py`) and a wiring
that could power a machine by itself (`checks.py`) are all refused.

Wiring and safety minimums belong to this file alone; the hub may only tighten (2-machine.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from interlock.config.checks import check
from interlock.config.keys import Values, read_toml
from interlock.config.sections import (
    CurrentConfig,
    InputConfig,
    InputsConfig,
    InterlockConfig,
    MachineConfig,
    NodeConfig,
    PanelConfig,
    PathsConfig,
    ReaderConfig,
    RelayConfig,
    ScreenConfig,
    SyncConfig,
    TimesConfig,
)
from interlock.config.table import INPUTS, KEYS, LISTS
from interlock.core.model import Assurance, BadgeUse, Enforcement, Interlock, Rules

HANG_MS: Final = 240
"""Twelve ticks late: below the hold time of any monostable at the dynamic enable, so that it never recloses unasked."""
MAX_OFFLINE_S: Final = 7 * 86_400
MAX_OFFLINE_HAZARDOUS_S: Final = 72 * 3_600
SCREENS: Final = {"none": (0, 16), "oled": (0x3C, 21), "lcd": (0x27, 16)}
"""By kind: the usual address and columns. Most SSD1306 boards are at 0x3C, PCF8574 ones at 0x27."""
LINES_OF: Final = {16: 2, 20: 4, 21: 4}
"""How many lines the screens of so many columns have: HD44780 of 16x2 and 20x4, SSD1306 of 128x64."""

_PATHS: Final = frozenset(key.path for key in KEYS)


def load_node(path: Path) -> NodeConfig:
    """The node that `path` describes. Raises ConfigError: unreadable, or not to be run with."""
    return parse_node(read_toml(path))


def parse_node(document: Mapping[str, Any]) -> NodeConfig:
    """The node that a parsed TOML document describes. Raises ConfigError."""
    values = Values(document, KEYS, LISTS)
    config = NodeConfig(
        machine=_machine(values),
        relay=_section(RelayConfig, "relay", values),
        inputs=_inputs(values),
        interlocks=tuple(_interlock(table, values) for table in values.each("interlocks")),
        current=_current(values),
        panel=_section(PanelConfig, "panel", values),
        screen=_screen(values),
        times=_times(values),
        reader=_section(ReaderConfig, "reader", values),
        paths=PathsConfig(
            Path(values.value("paths.state_dir")), Path(values.value("paths.keys_file"))
        ),
        sync=SyncConfig(
            values.value("sync.user"),
            Path(values.value("sync.credentials_file")),
            values.value("sync.retry_s_max"),
        ),
    )
    check(config)
    return config


def digest(config: NodeConfig) -> str:
    """64 hexadecimal digits that change when anything the file says changes."""
    text = json.dumps(asdict(config), sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=32).hexdigest()


def to_rules(config: NodeConfig) -> Rules:
    """What the core decides by; trainings come with the snapshot."""
    times, machine = config.times, config.machine
    return Rules(
        badge_use=BadgeUse(machine.badge_use),
        enforcement=Enforcement(machine.enforcement),
        min_assurance=Assurance[machine.min_assurance.upper()],
        second_person=machine.second_person,
        long_jobs=machine.long_jobs,
        interlocks=tuple(_interlock_rule(interlock) for interlock in config.interlocks),
        max_offline_s=times.max_offline_s,
        progress_s=times.progress_s,
        grace_s=times.grace_s,
        warning_s=times.warning_s,
        idle_timeout_s=times.idle_timeout_s,
        start_deadline_ms=times.start_deadline_ms,
        close_time_ms=times.close_time_ms,
        open_time_ms=times.open_time_ms,
        notice_s=times.notice_s,
        second_wait_s=times.second_wait_s,
        supervise_s=times.supervise_s,
        pre_run_s=times.pre_run_s,
        run_on_s=times.run_on_s,
        coast_down_s=times.coast_down_s,
        unexpected_start_ms=times.unexpected_start_ms,
        inrush_ms=times.inrush_ms,
        hang_ms=None if config.relay.dynamic_enable_pin is None else HANG_MS,
    )


# -------------------------------------------------------------------------------------- one section


def _section(of: type[Any], table: str, values: Values, **chosen: Any) -> Any:
    """The dataclass `of`, each field read from the key of the same name, where there is one."""
    said = {
        field.name: values.value(f"{table}.{field.name}")
        for field in fields(of)
        if f"{table}.{field.name}" in _PATHS
    }
    return of(**{**said, **chosen})


def _machine(values: Values) -> MachineConfig:
    assurance = "aes" if values.value("machine.hazardous") else "uid"
    chosen = values.value("machine.min_assurance", assurance)
    machine: MachineConfig = _section(MachineConfig, "machine", values, min_assurance=chosen)
    return machine


def _inputs(values: Values) -> InputsConfig:
    return InputsConfig(
        **{
            name: _section(InputConfig, f"inputs.{name}", values)
            for name in INPUTS
            if values.says_anything_in(f"inputs.{name}")
        }
    )


def _interlock(table: str, values: Values) -> InterlockConfig:
    pin = values.value(f"{table}.pin")
    pull, normally = values.value(f"{table}.pull"), values.value(f"{table}.normally")
    return InterlockConfig(
        name=values.value(f"{table}.name"),
        contact=None if pin is None else InputConfig(pin, pull, normally),
        remote=values.value(f"{table}.remote"),
        permit_after_ms=values.value(f"{table}.permit_after_ms"),
        trip_after_ms=values.value(f"{table}.trip_after_ms"),
        needs_extraction=values.value(f"{table}.needs_extraction"),
        stops_extraction=values.value(f"{table}.stops_extraction"),
    )


def _current(values: Values) -> CurrentConfig:
    sensed = values.says_anything_in("inputs.current_sensor")
    kind = values.value("current.kind", "dry_contact" if sensed else "none")
    current: CurrentConfig = _section(CurrentConfig, "current", values, kind=kind)
    return current


def _screen(values: Values) -> ScreenConfig:
    address, columns = SCREENS[values.value("screen.kind")]
    columns = values.value("screen.columns", columns)
    address = values.value("screen.i2c_address", address)
    lines = LINES_OF.get(columns, 0)
    screen: ScreenConfig = _section(
        ScreenConfig, "screen", values, i2c_address=address, columns=columns, lines=lines
    )
    return screen


def _times(values: Values) -> TimesConfig:
    hazardous = values.value("machine.hazardous")
    usual_s = MAX_OFFLINE_HAZARDOUS_S if hazardous else MAX_OFFLINE_S
    chosen_s = values.value("times.max_offline_s", usual_s)
    times: TimesConfig = _section(TimesConfig, "times", values, max_offline_s=chosen_s)
    return times


def _interlock_rule(interlock: InterlockConfig) -> Interlock:
    return Interlock(
        name=interlock.name,
        permit_after_ms=interlock.permit_after_ms,
        trip_after_ms=interlock.trip_after_ms,
        needs_extraction=interlock.needs_extraction,
        stops_extraction=interlock.stops_extraction,
        remote=interlock.remote is not None,
    )
