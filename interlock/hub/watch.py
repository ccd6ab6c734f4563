"""The database's changes, this process's and others', to one picture of who waits for what.

A thread looks when it is told (hints.py; commands and jobs, which are other processes, tell it too) and five
times a second on its own. Changes that come close together become one picture, and one snapshot version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection

from interlock.clock import Clock, SystemClock
from interlock.hub.confirming import write_confirmations
from interlock.hub.deltas import Press, press
from interlock.hub.demands import calendar_of
from interlock.hub.domain.commands import waiting_commands
from interlock.hub.hints import Bell, listen
from interlock.hub.models import Lab, Node
from interlock.hub.snapshots import portions
from interlock.protocol.snapshots import SnapshotVersion

POLL_S = 0.2
GATHER_S = 0.2
"""1-architecture.md, "Scale": changes are gathered every 200 ms, and looked for as often."""
PAUSE_S = 0.2
PAUSE_S_MAX = 30.0
"""A failure that passes (a locked database) costs one poll, one that stays fills no log."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes by the SHA-256 of their credential, their current versions and the commands that wait for them,
    each lab's change number, and who signs deltas."""

    nodes: Mapping[bytes, int] = field(default_factory=dict)
    versions: Mapping[int, SnapshotVersion] = field(default_factory=dict)
    changes: Mapping[int, int] = field(default_factory=dict)
    commands: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    press: Press | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Trouble:
    """How long to wait after something failed, and until when on the monotonic clock."""

    pause_s: float
    again_ms: int

    @classmethod
    def after(cls, earlier: Trouble | None, now_ms: int) -> Trouble:
        """The first pause, or twice the earlier one, up to the longest."""
        pause_s = PAUSE_S if earlier is None else min(2 * earlier.pause_s, PAUSE_S_MAX)
        return cls(pause_s, now_ms + int(pause_s * 1_000))


class Watch:
    """Calls `publish` with a new picture after every change, from its own thread.

    Nothing ends that thread but `stop`: what fails is logged and tried again, each lab on its own, so
    that the list of one lab that cannot be made hides no change of another; and whose credential
    counts is published before any list is made.
    """

    def __init__(self, publish: Callable[[Picture], None], clock: Clock | None = None) -> None:
        self._publish = publish
        self._clock = clock or SystemClock()
        self._picture: Picture | None = None
        self._nodes: dict[bytes, int] = {}
        self._versions: dict[int, SnapshotVersion] = {}
        self._commands: dict[int, tuple[bytes, ...]] = {}
        self._press: Press | None = None
        self._heard: dict[int, SnapshotVersion] = {}
        self._hearing = threading.Lock()
        self._credentials: dict[int, int] = {}
        self._rights: dict[int, tuple[int, int]] = {}
        self._calendar = 0
        self._troubles: dict[int, Trouble] = {}
        self._data_version: int | None = None
        self._bell = Bell(settings.HUB.path)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """The thread runs; its first picture comes at once."""
        self._bell.ring()
        self._thread.start()

    def heard(self, node: int, version: SnapshotVersion) -> None:
        """The node said that it decides by `version`: written at the next look, with what others said."""
        with self._hearing:
            self._heard[node] = version

    def stop(self) -> None:
        """The thread has ended."""
        self._stopping.set()
        self._bell.ring()
        self._thread.join()
        self._bell.close()

    def _run(self) -> None:
        stop_listening = listen(self._bell.ring)
        try:
            trouble: Trouble | None = None
            while not self._stopping.is_set():
                trouble = self._turn(self._bell.wait(POLL_S), trouble)
        finally:
            stop_listening()
            connection.close()

    def _turn(self, hinted: bool, trouble: Trouble | None) -> Trouble | None:
        """One look. Whatever goes wrong is tried again after a pause that grows; then it is returned."""
        try:
            if self._look(hinted or trouble is not None):
                self._stopping.wait(GATHER_S)
        except Exception:
            trouble = Trouble.after(trouble, self._clock.boot_ms())
            log.exception("changes cannot be read, trying again in %.1f s", trouble.pause_s)
            self._reconnect()
            self._stopping.wait(trouble.pause_s)
            return trouble
        return None

    def _look(self, hinted: bool) -> bool:
        """Whether there was anything new."""
        now_ms = self._clock.boot_ms()
        self._write_what_was_heard()
        due = any(trouble.again_ms <= now_ms for trouble in self._troubles.values())
        calendar, self._calendar = self._calendar, calendar_of(self._clock.wall_ms() // 1_000)
        turned = calendar != self._calendar
        if not self._anything_new() and not (hinted or due or turned):
            return False
        labs = list(Lab.objects.all())
        before = self._picture
        self._read_credentials(labs)
        self._commands = waiting_commands(self._clock.wall_ms())
        self._show(labs)
        self._renew_lists(labs, now_ms)
        return self._picture is not before

    def _write_what_was_heard(self) -> None:
        with self._hearing:
            heard, self._heard = self._heard, {}
        if heard:
            write_confirmations(heard, self._clock.wall_ms())

    def _show(self, labs: list[Lab]) -> None:
        changes = {lab.pk: lab.change_seq for lab in labs}
        picture = Picture(
            self._nodes, dict(self._versions), changes, dict(self._commands), self._press
        )
        if picture != self._picture:
            self._publish(picture)
            self._picture = picture

    def _anything_new(self) -> bool:
        """Whether another connection has committed since the last look."""
        if connection.vendor != "sqlite":
            return True
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            version = cursor.fetchone()[0]
        known, self._data_version = self._data_version, version
        return bool(known != version)

    def _read_credentials(self, labs: list[Lab]) -> None:
        """Today's nodes are known, whatever becomes of their lists."""
        rights = {lab.pk: lab.rights_seq for lab in labs}
        if rights != self._credentials:
            active = Node.objects.filter(revoked_at=None).values_list("credential_hash", "pk")
            self._nodes = {bytes(hashed): pk for hashed, pk in active}
            self._press = press()
            self._credentials = rights

    def _renew_lists(self, labs: list[Lab], now_ms: int) -> None:
        """The versions are current of every lab whose rights, or whose reservations' week, moved; but
        of those that wait."""
        for lab in labs:
            trouble = self._troubles.get(lab.pk)
            waits = trouble is not None and trouble.again_ms > now_ms
            if self._rights.get(lab.pk) != (lab.rights_seq, self._calendar) and not waits:
                self._renew_lists_of(lab, labs, now_ms)

    def _renew_lists_of(self, lab: Lab, labs: list[Lab], now_ms: int) -> None:
        """Its nodes are told portion by portion; a lab whose lists cannot be made now waits a growing while."""
        try:
            for versions in portions(lab):
                self._versions.update(versions)
                self._show(labs)
        except Exception:
            trouble = self._troubles[lab.pk] = Trouble.after(self._troubles.get(lab.pk), now_ms)
            log.exception(
                "lists of rights of %s cannot be made, trying again in %.1f s",
                lab.slug,
                trouble.pause_s,
            )
            self._reconnect()
            return
        self._rights[lab.pk] = (lab.rights_seq, self._calendar)
        self._troubles.pop(lab.pk, None)

    def _reconnect(self) -> None:
        """The next question opens a new connection, whose numbers start anew."""
        connection.close()
        self._data_version = None
