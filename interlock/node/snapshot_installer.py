"""A file in the spool in, a live cache out: built by a child, marked in the journal, then switched to.

The order is the safety (4-protocol.md): a builder, which the launcher forks and the node does not, verifies and
builds · the journal holds the new version as a mark nothing falls below · the reader worker switches between two
polls · older files go. A crash anywhere in between leaves either the old cache, or a verified file that
`usable_cache` marks and uses at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interlock.core.model import Now
from interlock.errors import InterlockError, ProtocolError, StoreError
from interlock.node.build_orders import BuildOrders
from interlock.node.cache import BadgeCache, cache_files, cache_path, version_of
from interlock.node.journal import Journal
from interlock.node.journal_worker import JournalWorker
from interlock.node.reader_worker import ReaderWorker
from interlock.node.snapshot_builder import EXIT_REFUSED, TEMPORARY
from interlock.node.timekeeping import Timekeeper
from interlock.protocol import canonical, fields
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.snapshots import SnapshotHeader, SnapshotVersion

BUILD_S_MAX = 120.0
"""100,000 badges take 3 s on the development machine: room for the largest snapshot on a slow Pi."""

RESULT_BYTES_MAX = 4_096
"""The child says one short line."""

SPOOL = "spool"

Accept = Callable[[SnapshotVersion, int | None], object]
Confirm = Callable[[SnapshotVersion, int | None], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Installed:
    """A snapshot that is live: its version, when the hub issued it, how many badges it holds."""

    version: SnapshotVersion
    issued_at: int
    entries: int


class SnapshotInstaller:
    """One installation at a time: `accept(version, issued_at)` before the switch, `confirm` at its moment.

    `accept` makes the version durable as the mark nothing falls below. Raises ProtocolError, StoreError.
    """

    def __init__(
        self,
        journal: JournalWorker,
        reader: ReaderWorker,
        *,
        orders: BuildOrders,
        keys: NodeKeys,
        state_dir: Path,
        accept: Accept,
        confirm: Confirm = lambda version, issued_at: None,
        now: Callable[[], Now] | None = None,
        build_s_max: float = BUILD_S_MAX,
    ) -> None:
        self._journal = journal
        self._reader = reader
        self._orders = orders
        self._keys = keys
        self._state_dir = state_dir
        self._accept = accept
        self._confirm = confirm
        self._now = now
        self._build_s_max = build_s_max
        self._busy = threading.Lock()
        self.last: str | None = None
        self._refused: tuple[str, str] | None = None

    @property
    def refused(self) -> tuple[str, str] | None:
        """The file that was not taken last, and why; None once another is being installed."""
        return self._refused

    @property
    def is_busy(self) -> bool:
        """Whether a file is being installed now."""
        return self._busy.locked()

    def start(self, name: str) -> bool:
        """The file `name` of the spool is being installed by a thread of its own; False: one already is."""
        if not self._busy.acquire(blocking=False):
            return False
        self._refused = None
        threading.Thread(
            target=self._install_quietly, args=(name,), name="snapshot", daemon=True
        ).start()
        return True

    def install(self, name: str) -> Installed:
        """The file `name` of the spool is live. Raises ProtocolError when it is refused, StoreError."""
        with self._busy:
            return self._install(name)

    def _install_quietly(self, name: str) -> None:
        try:
            installed = self._install(name)
            self.last = f"{installed.version[0]}.{installed.version[1]} is live"
        except InterlockError as error:
            self.last = str(error)
            self._refused = name, str(error)
            _log.error("the snapshot %s was not installed: %s", name, error)
        finally:
            self._busy.release()

    def _install(self, name: str) -> Installed:
        spool = self._state_dir / SPOOL / name
        if spool.parent != self._state_dir / SPOOL or name in ("", ".", ".."):
            raise ProtocolError(f"{name!r} is no plain file name", where="snapshot")
        mark = self._journal.status().marks.snapshot
        installed = self._build(spool, mark)
        self._accept(installed.version, installed.issued_at)
        self._reader.switch(
            cache_path(self._state_dir, installed.version),
            self._in_use,
        )
        remove_older(self._state_dir, installed.version)
        try:
            spool.unlink(missing_ok=True)
        except OSError as error:
            # The spool belongs to sync's user, who cleans up as well.
            _log.debug("%s stays: %s", spool, error)
        return installed

    def _in_use(self, header: SnapshotHeader) -> None:
        self._confirm(header.version, header.issued_at)
        self._journal.forget(header.forget)

    def _build(self, spool: Path, mark: SnapshotVersion | None) -> Installed:
        arguments = [
            *("--spool", str(spool), "--state-dir", str(self._state_dir)),
            *("--public-key", self._keys.hub_public_key.hex()),
            *("--lab", self._keys.lab, "--node", self._keys.node),
        ]
        if mark is not None:
            arguments += ["--mark", f"{mark[0]}.{mark[1]}"]
            if self._reader.version != mark:
                # The accepted version is not in use: it was damaged or lost, and may be built again.
                arguments.append("--replace-damaged")
        now = None if self._now is None else self._now()
        if now is not None and now.wall_trusted:
            arguments += ["--now", str(now.wall_at)]
        built = self._orders.build(arguments, self._build_s_max)
        return _result(built.code, built.output, spool)


def usable_cache(
    state_dir: Path, journal: Journal, keys: NodeKeys, timekeeper: Timekeeper
) -> Path | None:
    """The newest verified cache that is not older than the mark; a newer one is marked first.

    A newer one is of a process that died between the builder's last act and the mark: it is as old as the one
    before it was known to be, since a cache of unknown age lets nobody in until the hub is back. For the start,
    while the journal has no worker yet. None: nobody can be let in.
    """
    (state_dir / TEMPORARY).unlink(missing_ok=True)
    mark = journal.marks.snapshot
    for path in cache_files(state_dir):
        version = version_of(path)
        if version is None or (mark is not None and version < mark):
            return None
        try:
            BadgeCache(path, keys.hub_key(), lab=keys.lab, node=keys.node).close()
            if version != mark:
                _mark(journal, version, timekeeper)
        except (StoreError, ProtocolError) as error:
            _log.error("%s is not used: %s", path.name, error)
            continue
        return path
    return None


def _mark(journal: Journal, version: SnapshotVersion, timekeeper: Timekeeper) -> None:
    before, kept = journal.marks.snapshot, journal.marks.time
    if before is None or kept is None:
        journal.mark(snapshot=version)
        return
    carried = timekeeper.carry_proof(before, version)
    journal.mark(snapshot=version, time={**kept, **carried.to_wire()})


def whom_to_forget(cache: Path | None, keys: NodeKeys) -> tuple[bytes, ...]:
    """Whom the snapshot in `cache` says were erased: an earlier process may not have come to it."""
    if cache is None:
        return ()
    try:
        opened = BadgeCache(cache, keys.hub_key(), lab=keys.lab, node=keys.node)
    except StoreError as error:
        _log.error("nobody is forgotten: %s", error)
        return ()
    opened.close()
    return opened.header.forget


def remove_older(state_dir: Path, version: SnapshotVersion) -> None:
    """No snapshot older than `version` takes up space any more."""
    for path in cache_files(state_dir):
        found = version_of(path)
        if found is not None and found < version:
            path.unlink(missing_ok=True)


def _result(code: int, output: bytes, spool: Path) -> Installed:
    try:
        told = canonical.loads(output, where="snapshot builder", bytes_max=RESULT_BYTES_MAX)
    except ProtocolError as error:
        raise StoreError(
            f"the builder ended with code {code} and no answer", where=str(spool)
        ) from error
    if code != 0:
        what = fields.text(told, "error", length_max=RESULT_BYTES_MAX)
        raise (ProtocolError if code == EXIT_REFUSED else StoreError)(what, where=str(spool))
    version = told.get("version")
    if not isinstance(version, list) or len(version) != 2:
        raise StoreError("the builder named no version", where=str(spool))
    return Installed(
        version=(int(version[0]), int(version[1])),
        issued_at=fields.integer(told, "issued_at"),
        entries=fields.integer(told, "entries"),
    )
