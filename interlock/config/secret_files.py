"""Secret files to keys and back: mode 0600, refused when others may read them.

JSON objects made by `interlock node enrol` or `interlock hub add-node`. On a Pi they are 0640 root:interlock and
root:interlock-sync (8-installation.md).
"""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from interlock.errors import ConfigError, ProtocolError
from interlock.protocol import canonical
from interlock.protocol.credentials import (
    HubAccess,
    NodeKeys,
    hub_access_from_wire,
    node_keys_from_wire,
)

SECRET_MODE = 0o600
GROUP_MODE = 0o640
FORBIDDEN_BITS = 0o027
"""Nobody else may read, the group may not write."""

REMEDY = "Make the node's files again with: interlock node enrol CODE (or interlock hub add-node)"

Secret = TypeVar("Secret", NodeKeys, HubAccess)


def write_node_keys(path: Path, keys: NodeKeys) -> None:
    """`path` holds the keys, readable by its owner only. Raises ConfigError when it already exists."""
    _write_secret(path, keys.to_wire())


def write_hub_access(path: Path, access: HubAccess) -> None:
    """`path` holds the access, readable by its owner only. Raises ConfigError when it already exists."""
    _write_secret(path, access.to_wire())


def replace_secret(path: Path, wire: Mapping[str, Any], group: str | None = None) -> None:
    """`path` holds `wire` and nothing of what it held, on the disk; it stays whole if the power fails.

    For its owner alone, and where `group` exists and this is root, readable by that group. Raises ConfigError.
    """
    part = path.with_name(path.name + ".new")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
        with os.fdopen(descriptor, "wb") as target:
            target.write(canonical.dumps(wire) + b"\n")
            target.flush()
            _give_to(target.fileno(), group)
            os.fsync(target.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _give_to(descriptor: int, group: str | None) -> None:
    if group is None or os.geteuid() != 0:
        return
    with contextlib.suppress(KeyError):
        os.fchown(descriptor, 0, grp.getgrnam(group).gr_gid)
        os.fchmod(descriptor, GROUP_MODE)


def read_node_keys(path: Path) -> NodeKeys:
    """The keys in `path`. Raises ConfigError: missing, malformed, or readable by others."""
    return _read_secret(path, node_keys_from_wire)


def read_hub_access(path: Path) -> HubAccess:
    """The access in `path`. Raises ConfigError: missing, malformed, or readable by others."""
    return _read_secret(path, hub_access_from_wire)


def _write_secret(path: Path, wire: Mapping[str, Any]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}",
            where=str(path),
            remedy="Choose an empty folder, or remove the old file first",
        ) from error
    with os.fdopen(descriptor, "wb") as target:
        target.write(canonical.dumps(wire) + b"\n")


def _read_secret(path: Path, from_wire: Callable[[Mapping[str, Any]], Secret]) -> Secret:
    wire = read_secret_object(path)
    try:
        return from_wire(wire)
    except ProtocolError as error:
        raise ConfigError(error.what, where=str(path), remedy=REMEDY) from error


def read_secret_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises ConfigError: missing, malformed, or readable by others."""
    try:
        with path.open("rb") as source:
            mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
            frame = source.read(canonical.FRAME_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=REMEDY
        ) from error
    if mode & FORBIDDEN_BITS:
        raise ConfigError(
            f"others may read or change this secret (mode {mode:04o})",
            where=str(path),
            remedy=f"Run: chmod 600 {path}",
        )
    try:
        return canonical.loads(frame, where=str(path))
    except ProtocolError as error:
        raise ConfigError(error.what, where=str(path), remedy=REMEDY) from error
