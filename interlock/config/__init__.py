"""Strict TOML in, frozen dataclasses out: what the rest of the package imports from here."""

from interlock.config.checks import pins_in_use, warnings
from interlock.config.node import digest, load_node, parse_node, to_rules
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
from interlock.config.table import KEYS

__all__ = [
    "KEYS",
    "CurrentConfig",
    "InputConfig",
    "InputsConfig",
    "InterlockConfig",
    "MachineConfig",
    "NodeConfig",
    "PanelConfig",
    "PathsConfig",
    "ReaderConfig",
    "RelayConfig",
    "ScreenConfig",
    "SyncConfig",
    "TimesConfig",
    "digest",
    "load_node",
    "parse_node",
    "pins_in_use",
    "to_rules",
    "warnings",
]
