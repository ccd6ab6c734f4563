"""One process of a node with its real journal, cache, installer and answers in, its life at a simulated machine out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.config import NodeConfig, parse_node
from interlock.core.effects import WriteRecord
from interlock.core.events import Event
from interlock.core.model import Assurance, BadgeState, Cache, Presented, Reason
from interlock.errors import InterlockError, ProtocolError, StoreError
from interlock.node import snapshot_builder
from interlock.node.answers import NodeAnswers
from interlock.node.break_glass import BreakGlassDoor
from interlock.node.build_orders import BuildOrders, Built
from interlock.node.control import Answer, ControlServer, Users
from interlock.node.journal_work import NO_TICKET
from interlock.node.reader_worker import CacheKeys, ReaderWork
from interlock.node.snapshot_installer import SnapshotInstaller, usable_cache
from interlock.node.time_saver import ANCHOR_EVERY_MS
from interlock.node.timekeeping import Timekeeper, TimeMarks
from interlock.protocol import canonical, hubtime
from interlock.protocol.control import SYNC_OPS, Op
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import Head, RecordType
from interlock.protocol.snapshots import SnapshotHeader, SnapshotVersion
from interlock.readers import CardSeen, Sight
from interlock.sim.simulator.disk import JournalShell
from interlock.sim.simulator.full.card import FullShell, MirroredJournal, SdCard
from interlock.sim.simulator.full.fibers import Fiber
from interlock.sim.simulator.full.hub import RealHub
from interlock.sim.simulator.full.next_door import next_door_of
from interlock.sim.simulator.hub_model import Snapshot
from interlock.sim.simulator.life import Card, Life
from interlock.sim.simulator.people import Card as Badge
from interlock.sim.simulator.people import members
from interlock.sim.simulator.schedule import Act
from interlock.sim.simulator.slot import GAP_MS, Reading
from interlock.sim.simulator.witness import Witness

KEYED = frozenset(one.name for one in members(0, 0).values() if one.aes)
"""Whose badges have a key. Keys themselves are not in these lives: who has one is believed to prove it."""
BUILD_US = (30_000, 400_000)
SWITCH_US = 50_000
PAUSED_US = 100_000
CONFIG = {
    "machine": {"name": "Machine", "restart_protection": "no_volt_release"},
    "relay": {"pin": 17},
    "inputs": {"stop_button": {"pin": 22}},
}


@dataclass
class Box:
    """What one Pi of the full stack has besides its machine: the card, the keys on it, and the hub it belongs to."""

    sd: SdCard
    keys: NodeKeys
    hub: RealHub
    node: int
    journal: type[MirroredJournal] = MirroredJournal
    swapped: bool = False
    """Another card was put in, and nobody has opened its journal yet."""
    acked: Callable[[Head], None] = field(default=lambda head: None)
    opened: Act = field(default=lambda: None)


class FullLife(Life):
    """`Life`, whose journal, cache, snapshots and control socket are the real ones."""

    def __init__(self, box: Box, card: Card, owner: int, exited: Act) -> None:
        self._box = box
        self._fiber: Fiber | None = None
        self._anchor_ms: int | None = None
        super().__init__(card, owner, exited)
        shell = self.shell
        assert isinstance(shell, FullShell)
        self.installer = _Installer(
            self,
            shell,
            self.reader,
            orders=_Builder(self),
            keys=box.keys,
            state_dir=box.sd.state_dir,
            accept=self._accept,
            confirm=lambda version, issued_at: self.time.confirm_current(version, issued_at),
            now=lambda: self.time.now(),
        )
        answers = NodeAnswers(
            config=_config(box.sd.state_dir),
            keys=box.keys,
            clock=card.clock,
            timekeeper=self.time,
            loop=self.loop,
            inbox=self.inbox,
            journal=shell,  # type: ignore[arg-type]
            reader=self.reader,  # type: ignore[arg-type]
            installer=self.installer,
            anchored=self._anchored,
            door=BreakGlassDoor(box.sd.state_dir / "learned.json", card.clock),
            commissioned=None,
        )
        table = answers.table() | {Op.INTERLOCK: self._hears(answers)}
        self._door = _Door(Path("control"), table, Users(own=0), card.clock)

    def asked(self, line: bytes) -> bytes:
        """The answer to one line on the control socket."""
        self.reader.work.count()
        answer = self._door.said(line)
        if len(self.inbox):
            self.wake()
        return answer

    def install(self, snapshot: Snapshot) -> None:
        """A thief, or a confused proxy: an older list of the hub's lies in the spool."""
        older = self._box.hub.archive.get(self._box.node, [])
        if older:
            name = "snapshot-old"
            (self._box.sd.spool / name).write_bytes(self._card.chance.choice(older))
            self.installer.start(name)

    def end(self) -> None:
        if not self.is_dead:
            self._let_go()
        super().end()

    def greet(self) -> None:
        """The real courier does."""

    def wait(self, us: int) -> None:
        """The installer's thread waits, and as long as the process stands still."""
        assert self._fiber is not None
        self._fiber.pause(us)
        while self.is_paused:
            self._fiber.pause(PAUSED_US)

    def in_a_thread(self, body: Act) -> None:
        """`body` runs beside everything else."""
        self._fiber = Fiber(self._card.schedule, body, self._card.node)

    def activated(self, version: SnapshotVersion, events: Sequence[Event]) -> None:
        """Badges are looked up in `version` from here on."""
        witness = self._card.witness
        witness.uses(self._box.hub.truth_of(self._box.node, version))
        witness.versions.append(version)
        witness.tell(f"list {version[0]}.{version[1]}")
        for event in events:
            self.emit(event)
        self._keep_time()

    # ------------------------------------------------------------------------------- real parts

    def _new_time(self, marks: TimeMarks | None) -> Timekeeper:
        card = self._card
        return _WitnessedTime(card.witness, card.clock, marks, entropy=card.chance.randbytes)

    def _new_shell(self) -> JournalShell:
        box, card = self._box, self._card
        journal = box.sd.journal(box.journal, box.keys, card.clock.boot_id)
        try:
            journal.open(self._stamp())
        except StoreError as error:
            card.witness.tell(f"the journal does not open: {error}")
        shell = FullShell(
            journal,
            card.platter,
            card.disk,
            boot_id=card.clock.boot_id,
            stamp=self._stamp,
            later=self.later,
            emit=self._journal_says,
            boot_ms=card.clock.boot_ms,
            start_deadline_ms=card.fit.rules.start_deadline_ms,
        )
        shell.card, shell.acked = box.sd, box.acked
        if journal.usable:
            box.opened()
        return shell

    def _new_reading(self) -> Reading:
        box, card = self._box, self._card
        keys = CacheKeys(box.keys.badge_key, box.keys.hub_key(), box.keys.lab, box.keys.node, None)
        self.reader = _CacheReader(
            self, _CacheWork(_NoReader(), keys, card.clock, self._age_s, GAP_MS)
        )
        return _FullReading(
            card.slot,
            card.noise,
            emit=self.emit,
            look_up=lambda tag: (None, False),
            cache=self._cache,
            boot_ms=card.clock.boot_ms,
        ).over(self.reader.work)

    def _hears(self, answers: NodeAnswers) -> Answer:
        """The real answer; of another machine's contact the witness hears what the node hears."""

        def heard(request: Mapping[str, Any]) -> dict[str, Any]:
            answer = answers.interlock(request)
            # Not by the age that came with it: the world knows when the hub last heard of that machine.
            now_us = self._card.schedule.now_us
            said_us, _ = self._box.hub.words.get(next_door_of(self._card.node), (0, 0))
            self._card.witness.heard(request["closed"], now_us - said_us)
            return answer

        return heard

    def _age_s(self, version: SnapshotVersion | None) -> int:
        return self.time.cache_age_s(version)

    def _cache(self) -> Cache:
        version = self.reader.version
        return Cache(version, self.time.cache_age_s(version))

    def _use_first_snapshot(self) -> None:
        journal, box = self.shell.journal, self._box
        path = None
        if journal.usable:
            path = usable_cache(box.sd.state_dir, journal, box.keys, self.time)
        if path is None:
            self._card.witness.uses(None)
            return
        try:
            events = self.reader.work.switch(path)
        except StoreError:
            self._card.witness.uses(None)
            return
        version = self.reader.version
        assert version is not None
        self.activated(version, events)

    def _begin_sync(self) -> None:
        """Another process does that."""

    def _exit(self) -> None:
        self._let_go()
        super()._exit()

    def _let_go(self) -> None:
        if self._fiber is not None:
            self._fiber.end()
        cache = self.reader.work.cache
        if cache is not None:
            cache.close()

    def _accept(self, version: SnapshotVersion, issued_at: int | None) -> None:
        """As `TimeSaver`: the mark and the proof that it is current, never one without the other."""
        marks = self.time.marks_once_current(version, issued_at)
        self._full_shell.mark(snapshot=version, time=marks.to_wire())

    def _anchored(self, wall_ms: int) -> None:
        boot_ms = self._card.clock.boot_ms()
        if self._anchor_ms is None or boot_ms - self._anchor_ms >= ANCHOR_EVERY_MS:
            self._anchor_ms = boot_ms
            body = {"wall_ms": wall_ms}
            self._submit(WriteRecord(NO_TICKET, RecordType.CLOCK_ANCHORED.value, body))
        self._keep_time()

    def _keep_time(self) -> None:
        if self._unopened:
            # Else it would write that nothing is known of time over everything that is.
            return
        try:
            self._full_shell.mark(time=self.time.marks().to_wire())
        except InterlockError:
            # `TimeSaver` logs it and tries again; here the next greeting does.
            return

    @property
    def _full_shell(self) -> FullShell:
        assert isinstance(self.shell, FullShell)
        return self.shell


class _Door(ControlServer):
    """The control socket without the socket."""

    def said(self, line: bytes) -> bytes:
        return canonical.dumps(self._answered(line, SYNC_OPS))


class _WitnessedTime(Timekeeper):
    """The real timekeeper; the witness hears of what it learns."""

    def __init__(self, witness: Witness, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._witness = witness

    def accept(
        self, message: Mapping[str, Any], key: Ed25519PublicKey, *, lab: str, node: str
    ) -> hubtime.HubTime:
        told = super().accept(message, key, lab=lab, node=node)
        self._witness.told_time()
        return told

    def confirm_current(self, version: SnapshotVersion, issued_at: int | None = None) -> None:
        super().confirm_current(version, issued_at)
        self._witness.confirmed_us = self._witness.now_us


class _NoReader:
    """No chip: what lies in the field is `slot.Slot`'s affair."""

    def open(self) -> None:
        """Nothing to open."""

    def poll(self) -> Sight | None:
        return None

    def wake(self, card: CardSeen) -> CardSeen | None:
        return None

    def close(self) -> None:
        """Nothing to let go of."""


class _CacheWork(ReaderWork):
    """The real owner of the cache."""

    def count(self) -> None:
        """A slice of the list is counted, as between two polls."""
        self._verify_cache()


class _CacheReader:
    """What of the reader's worker others ask for."""

    chip_name = "simulated"

    def __init__(self, life: FullLife, work: _CacheWork) -> None:
        self._life, self.work = life, work

    @property
    def version(self) -> SnapshotVersion | None:
        return self.work.version

    @property
    def digest(self) -> bytes | None:
        return self.work.digest

    def switch(
        self, path: Path, confirm: Callable[[SnapshotHeader], None] | None = None
    ) -> SnapshotVersion:
        """Between two polls."""
        self._life.wait(SWITCH_US)
        events = self.work.switch(path, confirm)
        version = self.work.version
        assert version is not None
        self._life.activated(version, events)
        return version


class _FullReading(Reading):
    """`Reading` over the real cache."""

    def over(self, work: _CacheWork) -> _FullReading:
        """Badges are looked up there."""
        self._work = work
        return self

    def _presented(self, card: Badge, seen_ms: int) -> Presented:
        cache = self._work.cache
        entry = None if cache is None else cache.lookup(card.tag)
        asked = entry is not None and card.person in KEYED and entry.badge is BadgeState.ACTIVE
        return Presented(
            tag=card.tag,
            seen_ms=seen_ms,
            assurance=Assurance.AES if asked and card.genuine else Assurance.UID,
            entry=entry,
            cache=self._cache(),
            trouble=Reason.BADGE_NOT_GENUINE if asked and not card.genuine else None,
        )


class _Installer(SnapshotInstaller):
    """The real installer, whose thread is a fiber."""

    def __init__(self, life: FullLife, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._life = life

    def start(self, name: str) -> bool:
        if not self._busy.acquire(blocking=False):
            return False
        self._refused = None
        self._life.in_a_thread(lambda: self._install_quietly(name))
        return True


class _Builder(BuildOrders):
    """The real builder in this process: where it is killed, its files are as they were between two waits."""

    def __init__(self, life: FullLife) -> None:
        super().__init__()
        self._life = life

    def build(self, arguments: Sequence[str], build_s_max: float) -> Built:
        self._life.wait(self._life._card.chance.randrange(*BUILD_US))
        try:
            header = snapshot_builder.build(snapshot_builder._order(list(arguments)))
        except (ProtocolError, StoreError) as error:
            refused = isinstance(error, ProtocolError)
            code = snapshot_builder.EXIT_REFUSED if refused else snapshot_builder.EXIT_DISK
            return Built(code, canonical.dumps({"ok": False, "error": str(error)}))
        told = {
            "ok": True,
            "version": list(header.version),
            "entries": header.entries,
            "issued_at": header.issued_at,
        }
        # Built, and the journal does not know it yet: a crash here leaves a file for `usable_cache`.
        self._life.wait(SWITCH_US)
        return Built(snapshot_builder.EXIT_BUILT, canonical.dumps(told))


def _config(state_dir: Path) -> NodeConfig:
    return parse_node({**CONFIG, "paths": {"state_dir": str(state_dir)}})
