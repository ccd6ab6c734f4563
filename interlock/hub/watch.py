"""The database's changes, this process's and others', to one picture of who waits for what.

A thread looks when it is told (hints.py) and five times a second on its own (commands and jobs are
other processes). Changes that come close together become one picture, and one snapshot version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from django.db import DatabaseError, connection

from interlock.errors import InterlockError
from interlock.hub.hints import listen
from interlock.hub.models import Lab, Node
from interlock.hub.snapshots import refresh
from interlock.protocol.snapshots import SnapshotVersion

POLL_S = 0.2
GATHER_S = 0.2
"""1-architecture.md, "Scale": other processes are polled, and changes gathered, every 200 ms."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes by the SHA-256 of their credential, their current versions, each lab's change number."""

    nodes: Mapping[bytes, int] = field(default_factory=dict)
    versions: Mapping[int, SnapshotVersion] = field(default_factory=dict)
    changes: Mapping[int, int] = field(default_factory=dict)


class Watch:
    """Calls `publish` with a new picture after every change, from its own thread."""

    def __init__(self, publish: Callable[[Picture], None]) -> None:
        self._publish = publish
        self._picture: Picture | None = None
        self._rights: dict[int, int] = {}
        self._data_version: int | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """The thread runs; its first picture comes at once."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """The thread has ended."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        stop_listening = listen(self._wake.set)
        try:
            while not self._stopping.is_set():
                hinted = self._wake.wait(POLL_S)
                self._wake.clear()
                if self._look(hinted):
                    self._stopping.wait(GATHER_S)
        finally:
            stop_listening()
            connection.close()

    def _look(self, hinted: bool) -> bool:
        """Whether there was anything new. A database that fails now is asked again in a moment."""
        try:
            if not self._anything_new() and not hinted:
                return False
            picture = self._drawn()
        except (DatabaseError, InterlockError) as error:
            log.error("changes cannot be read, trying again: %s", error)
            connection.close()
            self._data_version = None
            self._stopping.wait(GATHER_S)
            return False
        if picture == self._picture:
            return False
        self._picture = picture
        self._publish(picture)
        return True

    def _anything_new(self) -> bool:
        """Whether another connection has committed since the last look."""
        if connection.vendor != "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version = cursor.fetchone()[0]
        known, self._data_version = self._data_version, version
        return bool(known != version)

    def _drawn(self) -> Picture:
        picture = self._picture or Picture()
        versions = dict(picture.versions)
        moved = False
        labs = list(Lab.objects.all())
        for lab in labs:
            if self._rights.get(lab.pk) != lab.rights_seq:
                moved = True
                versions.update(refresh(lab))
                self._rights[lab.pk] = lab.rights_seq
        if moved:
            active = Node.objects.filter(revoked_at=None).values_list("credential_hash", "pk")
            picture = replace(
                picture, nodes={bytes(hashed): pk for hashed, pk in active}, versions=versions
            )
        return replace(picture, changes={lab.pk: lab.change_seq for lab in labs})
