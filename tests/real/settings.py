"""Keys of node.toml that a proof wants otherwise in, the whole file out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from interlock.sim.demo_machines import SAW, MachineFolder, node_toml

PROGRESS_S = 1

KEYS: Mapping[str, Any] = {
    "times.progress_s": PROGRESS_S,
    "times.warning_s": 5,
    "times.notice_s": 2,
    "sync.retry_s_max": 1,
}
"""What the tests' node.toml says otherwise than the demo's saw."""


def toml_of(folder: MachineFolder, changes: Mapping[str, Any]) -> str:
    """The saw's node.toml with KEYS and these keys, by path, changed; None leaves one out."""
    values = dict(_flat(tomllib.loads(node_toml(SAW, folder))))
    for path, value in {**KEYS, **changes}.items():
        for key in [key for key in values if key == path or key.startswith(f"{path}.")]:
            del values[key]
        if value is not None:
            values[path] = value
    return "".join(f"{path} = {_toml(value)}\n" for path, value in values.items())


def _toml(value: Any) -> str:
    """A value of TOML. A JSON string is a TOML basic string, and so are its numbers and truths."""
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(one)}' for key, one in value.items())}}}"
    return json.dumps(value)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
