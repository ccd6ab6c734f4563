"""Nothing in, the folder of this process's hubs out: keys once, and a database of this version's tables, empty."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.sim.simulator.full.entropy import seeded

MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class Folder:
    """The folder of this process's hubs: keys once, a database for each run."""

    path: Path
    empty: bytes = b""
    made: list[Any] = field(default_factory=list)


_FOLDER = Folder(Path())


def begun() -> Folder:
    """This process's hub folder, with its keys and an empty database of this version's tables."""
    if _FOLDER.empty:
        return _FOLDER
    holder = tempfile.TemporaryDirectory(prefix="il-sim-", dir=MEMORY if MEMORY.is_dir() else None)
    _FOLDER.made.append(holder)
    _FOLDER.path = Path(holder.name) / "hub"
    from interlock.hub import commands
    from interlock.hub.directory import HubConfig, HubDirectory

    with seeded(0):
        # The same keys in every process: they are part of what a seed means.
        HubDirectory(_FOLDER.path).create(HubConfig(name="Simulated lab", language="en"))
    commands.migrate(_FOLDER.path)
    from django.db import connection

    connection.close()
    with closing(sqlite3.connect(_FOLDER.path / "hub.db")) as database:
        _FOLDER.empty = database.serialize()
    return _FOLDER
