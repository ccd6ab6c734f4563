"""A back-up and the latest list of erased people to a hub that its nodes follow by themselves.

The list stands beside the back-ups (erased.json), written anew at every erasure and every back-up: a back-up
alone knows only who had been erased when it was made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interlock.clock import Clock
from interlock.errors import ConfigError, StoreError
from interlock.hub.backup import (
    ERASED,
    Made,
    Progress,
    back_up,
    key_of,
    name_for,
    superfluous,
    too_old,
    unpack,
)
from interlock.hub.directory import KEY_MODE, HubDirectory


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the epoch of each lab, how many were erased again, by which list (None: there was none)."""

    epochs: dict[str, int]
    erased_again: int
    list_used: Path | None


def back_up_by_plan(hub: HubDirectory, clock: Clock, progress: Progress) -> Made:
    """A back-up in the folder hub.toml names, and older ones made room for it; but none for a hub whose own proofs
    do not hold: the last good one may be among them. Raises ConfigError, StoreError."""
    config = hub.config()
    if not config.backup_folder:
        raise ConfigError(
            "names no folder for back-ups",
            where=f"{hub.config_file}: backup.folder",
            remedy='Write folder = "/media/usb/interlock" below [backup]: another disk than the hub\'s',
        )
    folder = Path(config.backup_folder)
    if not folder.is_dir():
        raise ConfigError("is not there", where=str(folder), remedy="Is the disk connected?")
    at = datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
    made = back_up(hub, folder / name_for(at), key_of(hub), clock, progress)
    note_erased(hub)
    names = [path.name for path in folder.iterdir()]
    faults = _unproved()
    old = too_old(names, at.date())
    if not faults:
        old = superfluous(names, at.date(), daily=config.backup_daily, weekly=config.backup_weekly)
    removed = tuple(folder / name for name in old if name != made.path.name)
    for path in removed:
        path.unlink(missing_ok=True)
    return Made(made.path, made.size_bytes, removed, tuple(faults))


def _unproved() -> list[str]:
    from interlock.hub.verifying import verify_proofs

    return verify_proofs()


def restore(
    file: Path, directory: Path, key: str, clock: Clock, erased: Path | None = None
) -> Restored:
    """A hub lives in `directory`, ready to run. Raises ConfigError (something is there), StoreError."""
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(
            "a hub, or something else, lives in this folder already",
            where=str(directory),
            remedy="Move it away first: nothing is ever overwritten",
        )
    listed = _list_for(file, erased)
    # What a power cut leaves half done never has the hub's own name.
    partial = directory.with_name(f"{directory.name}.restoring")
    unpack(file, partial, key)
    restored = _bring_up_to_date(partial, clock, listed)
    if directory.exists():
        directory.rmdir()
    partial.rename(directory)
    return restored


def note_erased(hub: HubDirectory) -> None:
    """The list of erased people is beside the hub and beside its back-ups, as it is now."""
    from interlock.hub.models import ErasedMember

    rows = [
        {"lab": row.lab.slug, "digests": row.digests, "erased_at": int(row.erased_at.timestamp())}
        for row in ErasedMember.objects.select_related("lab").order_by("pk")
    ]
    folder = hub.config().backup_folder
    for place in (hub.path, Path(folder) if folder else None):
        if place is not None and place.is_dir():
            _replace(place / ERASED, json.dumps(rows).encode())


def read_erased(path: Path) -> list[dict[str, Any]]:
    """The list in `path`. Raises StoreError."""
    try:
        rows = json.loads(path.read_bytes())
        return [
            {
                "lab": str(row["lab"]),
                "digests": [bytes.fromhex(one).hex() for one in row["digests"]],
                "erased_at": datetime.fromtimestamp(int(row["erased_at"]), UTC),
            }
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"this is no list of erased people: {error}", where=str(path)) from error


def _list_for(file: Path, named: Path | None) -> Path | None:
    if named is not None:
        return named
    beside = file.with_name(ERASED)
    return beside if beside.exists() else None


def _bring_up_to_date(folder: Path, clock: Clock, listed: Path | None) -> Restored:
    from interlock.hub import commands

    commands.migrate(folder)
    from django.db import connections

    from interlock.hub.domain.epochs import raise_epoch
    from interlock.hub.domain.erasure import forget_again
    from interlock.hub.models import Lab
    from interlock.hub.permissions import Actor
    from interlock.hub.sqlite.writer import forget

    actor = Actor(clock, label="restore")
    if listed is not None:
        _take_list(read_erased(listed))
    epochs, again = {}, 0
    for lab in Lab.objects.order_by("pk"):
        again += forget_again(actor, lab)
        epochs[lab.slug] = raise_epoch(lab, actor.now())
    connections.close_all()
    forget(str(HubDirectory(folder.resolve()).database))
    return Restored(epochs, again, listed)


def _take_list(rows: Iterable[dict[str, Any]]) -> None:
    from interlock.hub.models import ErasedMember, Lab

    for row in rows:
        lab = Lab.objects.filter(slug=row["lab"]).first()
        if lab is not None and row["digests"]:
            ErasedMember.objects.get_or_create(
                lab=lab,
                digest=bytes.fromhex(row["digests"][0]),
                defaults={"digests": row["digests"], "erased_at": row["erased_at"]},
            )


def _replace(path: Path, content: bytes) -> None:
    """`path` holds `content`, whole, whenever the power is cut."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE), "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    new.replace(path)
