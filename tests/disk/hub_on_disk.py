"""A hub on a simulated disk, its ingest cut at its writes: `python -m tests.disk.hub_on_disk FOLDER CUTS` prints JSON.

The real Django, models, migrations and `ingest.take`, through the hub's own SQLite backend, in a process of its own:
the simulated VFS is this process's default, with shared memory, and the database lies in FOLDER.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlock.sim.disk import Image, cut_points
from interlock.sim.disk_shm import SharedMemory, sharing_memory
from interlock.sim.disk_vfs import SimulatedVfs, serving_all
from tests.disk.lives import on_disk

WALL_MS = 1_750_000_000_000
BATCHES = 3


def main(folder: Path, cuts: int, lies: bool) -> dict[str, Any]:
    """How many cuts left the state before and after the batch in flight; `broken` when one left anything else."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "interlock.hub.settings"
    with (
        tempfile.TemporaryDirectory(prefix="il-hub-") as home,
        serving_all() as vfs,
        sharing_memory(vfs) as memory,
    ):
        os.environ["INTERLOCK_HUB_DIR"] = home
        _begin_django(folder / "hub.db")
        return _cut_ingest(folder, vfs, memory, cuts, lies)


def _begin_django(database: Path) -> None:
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = str(database)
    django.setup()
    __import__("tests.hub.conftest")


def _cut_ingest(
    folder: Path, vfs: SimulatedVfs, memory: SharedMemory, cuts: int, lies: bool
) -> dict[str, Any]:
    from django.core.management import call_command

    from tests.hub.journal import Journal
    from tests.hub.lab import small_lab

    with on_disk(folder, {}, vfs=vfs):
        call_command("migrate", verbosity=0)
        lab = small_lab()
        journal = Journal.of(lab.enrolled)
        _close(memory)
        begun = _files(folder)
    batches = list(_batches(journal, lab))
    with on_disk(folder, begun, vfs=vfs, lies=lies) as disk:
        states, ends = [_state()], [len(disk.log)]
        for batch in batches:
            _take(batch)
            states.append(_state())
            ends.append(len(disk.log))
        _close(memory)
    found = {"before": 0, "after": 0, "between": 0, "cuts": 0, "operations": ends[-1]}
    rng = random.Random(7)
    share = cuts / max(1, ends[-1])
    for done, platter in cut_points(disk):
        if done > ends[-1] or rng.random() > share:
            continue
        claimed = max((n for n, end in enumerate(ends) if end <= done), default=0)
        with on_disk(folder, platter.cut(rng), vfs=vfs):
            found["cuts"] += 1
            left = _state()
            if left == states[claimed]:
                found["before"] += 1
            elif done not in ends and left == states[claimed + 1]:
                found["after"] += 1
            else:
                found["between"] += 1
            for batch in batches:
                _take(batch)
            found["between"] += _state() != states[-1]
            _close(memory)
    return found


def _batches(journal: Any, lab: Any) -> Iterator[list[dict[str, Any]]]:
    """A session in three deliveries, and a repeat of everything in the last."""
    journal.anchor(WALL_MS)
    session = journal.start(lab)
    yield journal.wires(0)
    journal.progress(session, 60, busy_s=40, idle_s=20)
    yield journal.wires(2)
    journal.end(session, 90)
    yield journal.wires(0)


def _take(batch: list[dict[str, Any]]) -> None:
    from django.conf import settings

    from interlock.hub import ingest
    from interlock.hub.models import Node

    ingest.take(Node.objects.get(), batch, settings.HUB_CLOCK)


def _state() -> dict[str, Any]:
    """What a batch leaves and a repeat must not change."""
    from interlock.hub.models import Line, NodeRecord, Session

    return {
        "records": list(NodeRecord.objects.order_by("epoch", "seq").values_list("seq", "hash")),
        "sessions": list(Session.objects.order_by("pk").values_list("seq", "how", "enabled_ms")),
        "lines": list(Line.objects.order_by("pk").values_list("cents", flat=True)),
    }


def _close(memory: SharedMemory) -> None:
    """The hub's process has ended: no connection, no lock and no shared memory is left."""
    from django.conf import settings
    from django.db import connection

    from interlock.hub.sqlite.writer import forget

    connection.close()
    forget(str(settings.DATABASES["default"]["NAME"]))
    memory.forget()


def _files(folder: Path) -> Image:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")
    }


if __name__ == "__main__":
    told = main(Path(sys.argv[1]), int(sys.argv[2]), "--lies" in sys.argv)
    sys.stdout.write(json.dumps(told) + "\n")
