"""What the control socket answers: the node's facts and its journal in, JSON fields out.

Runs in the socket's threads. Facts of the loop are read, never locked: each is one reference to
something frozen. What needs the disk asks the journal worker and waits there, not here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from interlock import __version__
from interlock.clock import Clock
from interlock.config import NodeConfig, digest, warnings
from interlock.config.learned import Commissioned
from interlock.core.effects import Panel
from interlock.core.events import (
    CutRequested,
    EndRequested,
    Event,
    FaultCleared,
    RecordsDelivered,
    RemoteInterlockReported,
)
from interlock.core.evidence import inputs_wire
from interlock.core.model import Presented
from interlock.core.states import FaultFacts
from interlock.errors import ProtocolError, StoreError
from interlock.node import panel as panels
from interlock.node.break_glass import BY, BreakGlassDoor
from interlock.node.commands import Commands
from interlock.node.control import Answer
from interlock.node.flight import Moment
from interlock.node.inbox import Inbox
from interlock.node.journal_facts import Marks
from interlock.node.journal_worker import JournalWorker
from interlock.node.loop import Loop
from interlock.node.reader_worker import ReaderWorker
from interlock.node.snapshot_installer import SnapshotInstaller
from interlock.node.timekeeping import Timekeeper
from interlock.protocol import canonical
from interlock.protocol import fields as wire
from interlock.protocol.control import Op
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.hubapi import ANSWER_LENGTH_MAX
from interlock.protocol.records import Head, head_from_wire
from interlock.protocol.tags import short

PAGE_BYTES = canonical.FRAME_BYTES_MAX - 1_024
"""A list answer's share of a frame; the rest is for the words around it."""

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A plain name in the spool: no slash, no leading dot, so no path leads out of it."""

CODE_LENGTH_MAX = 64
"""Twenty letters, and room for however somebody groups them."""

TOLD_S = 1.0
"""Fifty ticks: a loop that takes no event for so long is dead, and its watchdog acts."""

TEXT_MAX = 200
"""What of a text stands in a diagnosis."""

PERSONAL_FACTS = frozenset({"by", "reservations"})
"""Who cleared a fault and who booked the machine: nothing that explains a machine to a stranger."""


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """Everything an answer may need of the running node."""

    config: NodeConfig
    keys: NodeKeys
    clock: Clock
    timekeeper: Timekeeper
    loop: Loop
    inbox: Inbox
    journal: JournalWorker
    reader: ReaderWorker
    installer: SnapshotInstaller
    anchored: Callable[[int], None]
    door: BreakGlassDoor
    commissioned: Commissioned | None
    commanding: threading.Lock = field(default_factory=threading.Lock)
    """One command at a time: two of the same number must not both find that it is new."""

    def table(self) -> dict[Op, Answer]:
        """One answer for each operation."""
        return {
            Op.HELLO: self.hello,
            Op.RECORDS: self.records,
            Op.ACK: self.ack,
            Op.SNAPSHOT: self.snapshot,
            Op.INSTALLED: self.installed,
            Op.TIME: self.time,
            Op.INTERLOCK: self.interlock,
            Op.COMMAND: self.command,
            Op.STATUS: self.status,
            Op.PANEL: self.panel,
            Op.METRICS: self.metrics,
            Op.DIAGNOSE: self.diagnose,
            Op.CLEAR_FAULTS: self.clear_faults,
            Op.BREAK_GLASS: self.break_glass,
            Op.END_SESSION: self.end_session,
            Op.CUT_NOW: self.cut_now,
        }

    def hello(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Who we are, where the journal stands, and a fresh question for the hub's clock."""
        journal = self.journal.status()
        return {
            "lab": self.keys.lab,
            "node": self.keys.node,
            "software": __version__,
            "boot_id": self.clock.boot_id,
            "mode": self.loop.state.state.value,
            "head": journal.head.to_wire(),
            "acked": journal.acknowledged.to_wire(),
            "version": _version(self.reader.version),
            "digest": None if (digest := self.reader.digest) is None else digest.hex(),
            "refused": None if (refused := self.installer.refused) is None else _text(refused[1]),
            "nonce": self.timekeeper.fresh_nonce().hex(),
        }

    def records(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Records behind (epoch, seq), whole ones, as many as fit a frame."""
        batch = self.journal.records_after(
            wire.integer(request, "epoch"), wire.integer(request, "seq"), PAGE_BYTES
        )
        return {"records": [record.to_wire() for record in batch.records], "next": batch.more}

    def ack(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The hub holds everything up to this head. Raises ProtocolError when ours is another."""
        head: Head = head_from_wire(request)
        acked = self.journal.acknowledge(head)
        delivered = self.journal.status().facts.delivered(acked.epoch, acked.seq)
        if delivered:
            self.inbox.put(RecordsDelivered(delivered))
        return {"acked": acked.to_wire()}

    def snapshot(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A file of the spool is being verified and built; `hello` says when it is live."""
        name = wire.text(request, "file", length_max=64)
        if not FILE_NAME.fullmatch(name):
            raise ProtocolError("file must be the plain name of a file in the spool")
        if not self.installer.start(name):
            raise ProtocolError("another snapshot is being built", remedy="Try again in a moment")
        return {}

    def installed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What became of the last file of the spool. Busy is read first: whoever is idle has a result."""
        is_busy, refused = self.installer.is_busy, self.installer.refused
        return {
            "version": _version(self.reader.version),
            "busy": is_busy,
            "refused": None if refused is None else [refused[0], _text(refused[1])],
        }

    def time(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Time is trusted; a cache that is the hub's current one is known to be fresh; a journal that is not
        the one the hub holds goes on in the epoch the hub says."""
        message = request.get("message")
        if not isinstance(message, dict):
            raise ProtocolError("message must be the hub's signed time")
        told = self.timekeeper.accept(
            message, self.keys.hub_key(), lab=self.keys.lab, node=self.keys.node
        )
        if told.version == self.reader.version:
            self.timekeeper.confirm_current(told.version)
        self.anchored(told.wall_ms)
        if told.branch is not None:
            self.journal.branch(told.branch)
        return {}

    def interlock(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The loop hears what another node says of an interlock that this machine declares as remote."""
        name, closed = wire.text(request, "name", length_max=64), request.get("closed")
        if closed is not None:
            closed = wire.flag(request, "closed")
        # A sync of before says nothing of the word's age.
        age_ms = wire.integer(request, "age_ms") if "age_ms" in request else 0
        if not any(one.remote and one.name == name for one in self.loop.state.rules.interlocks):
            raise ProtocolError(
                f"no remote interlock is called {name!r} here",
                remedy="Compare [[interlocks]] in node.toml with what the hub sends",
            )
        return self._told(RemoteInterlockReported(name, closed, age_ms))

    def command(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A command of the hub was carried out, now or before. Raises ProtocolError: it is none for us."""
        message = request.get("message")
        if not isinstance(message, dict):
            raise ProtocolError("message must be a signed command of the hub")
        door = Commands(
            hub_key=self.keys.hub_key(),
            lab=self.keys.lab,
            node=self.keys.node,
            now=self.timekeeper.now,
            memory=_JournalMemory(self.journal),
            tell=self._told,
            diagnose=self._whole_diagnosis,
        )
        with self.commanding:
            return {"answer": door.carry_out(message)}

    def _whole_diagnosis(self) -> str:
        told = {"status": self.status({}), "metrics": self.metrics({})}
        return canonical.dumps(told).decode()[:ANSWER_LENGTH_MAX]

    def clear_faults(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The loop is told that a technician mended the machine; a fault still there is found again."""
        by = wire.text(request, "by", length_max=64).strip()
        if not by:
            raise ProtocolError("by must say who clears the fault")
        return self._told(FaultCleared(f"console:{by}"))

    def break_glass(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The code of the envelope was right, is spent, and the loop is told to clear the latched faults."""
        version, rules = self.reader.version, self.loop.state.rules
        self.door.open(
            wire.text(request, "code", length_max=CODE_LENGTH_MAX),
            has_fault=isinstance(self.loop.state.facts, FaultFacts),
            has_rights=version is not None
            and self.timekeeper.cache_age_s(version) <= rules.max_offline_s,
            clear=lambda: self._told(FaultCleared(BY)),
        )
        return {}

    def end_session(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The loop is told to end the session when the machine is idle, after a warning at the latest."""
        return self._told(EndRequested())

    def cut_now(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The loop is told to open the relay now."""
        return self._told(CutRequested())

    def _told(self, event: Event) -> dict[str, Any]:
        if not self.inbox.put(event, timeout_s=TOLD_S):
            raise ProtocolError("the machine is too busy to listen", remedy="Try again")
        return {}

    def status(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The state of everything, without a badge, and no name but of who commissioned the machine."""
        state, now = self.loop.state, self.timekeeper.now()
        facts = state.facts
        version = self.reader.version
        return {
            "machine": self.config.machine.name,
            "lab": self.keys.lab,
            "node": self.keys.node,
            "software": __version__,
            "config_digest": digest(self.config),
            "boot_id": self.clock.boot_id,
            "boot_ms": now.boot_ms,
            "state": state.state.value,
            "state_s": (now.boot_ms - self.loop.state_since_ms) // 1_000,
            "session_open": state.session is not None,
            "relay_on": self.loop.coil_on,
            "faults": sorted(f.value for f in facts.faults)
            if isinstance(facts, FaultFacts)
            else [],
            "reader": _text(state.reader_trouble or "ok"),
            "reader_chip": _text(self.reader.chip_name),
            "journal": self._journal_status(),
            "cache": {
                "version": _version(version),
                "age_s": None if version is None else self.timekeeper.cache_age_s(version),
                "last_snapshot": self.installer.last,
            },
            "clock": {"wall_at": now.wall_at, "trusted": now.wall_trusted},
            "hub_told_s": self.timekeeper.since_told_s(),
            "inputs": inputs_wire(state.inputs),
            "late_us_max": self.loop.lateness.worst_us,
            "commissioned": self._commissioned(),
            "break_glass": self.door.state(),
        }

    def panel(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What lamp, buzzer and screen show now."""
        shown: Panel = self.loop.shown
        return panels.to_wire(shown, self.config.panel.language, self.clock.boot_ms())

    def metrics(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Numbers only."""
        return {
            "boot_ms": self.clock.boot_ms(),
            "process_ms": self.clock.boot_ms() - self.loop.began_ms,
            "powered_ms": self.timekeeper.powered_ms(),
            "loop": self.loop.lateness.to_wire(),
            "steps": self.loop.steps,
            "closings": self.loop.closings,
            "enable": {
                "turns": self.loop.enable_turns,
                "gap_ms_max": self.loop.enable_gap_ms_max,
            },
            "written_bytes": _written_bytes(),
            "inbox": len(self.inbox),
            "threads": threading.active_count(),
        }

    def diagnose(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The flight recorder behind `skip` moments, cut by bytes; badges shortened, no names."""
        skip = wire.integer({"skip": request.get("skip", 0)}, "skip")
        moments = self.loop.flight.moments()
        page: list[dict[str, Any]] = []
        spent = 0
        for moment in moments[skip:]:
            told = moment_to_wire(moment)
            spent += len(canonical.dumps(told)) + 1
            if spent > PAGE_BYTES // 2:
                break
            page.append(told)
        return {
            "warnings": warnings(self.config),
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "moments": page,
            "next": skip + len(page) < len(moments),
        }

    def _commissioned(self) -> dict[str, Any] | None:
        done = self.commissioned
        if done is None:
            return None
        return {
            "id": done.id,
            "by": done.by,
            "same_wiring": done.config == digest(self.config),
            "open": list(done.open),
        }

    def _journal_status(self) -> dict[str, Any]:
        try:
            journal = self.journal.status()
        except StoreError as error:
            return {"state": _text(str(error)), "head": None, "acked": None, "unsent": None}
        return {
            "state": _text(journal.failed or "ok"),
            "head": journal.head.to_wire(),
            "acked": journal.acknowledged.to_wire(),
            "unsent": journal.unsent,
        }


@dataclass(frozen=True, slots=True)
class _JournalMemory:
    """The journal as what remembers commands."""

    journal: JournalWorker

    def remembered(self) -> Marks:
        return self.journal.status().marks

    def remember(self, commands: tuple[tuple[str, int], ...]) -> object:
        return self.journal.mark(commands=commands)


def _written_bytes(counters: Path = Path("/proc/self/io")) -> int | None:
    """What this process caused to be written to the disk (proc(5)); None where the kernel does not count."""
    try:
        lines = counters.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    counted = dict(line.split(": ") for line in lines)
    return int(counted["write_bytes"])


def moment_to_wire(moment: Moment) -> dict[str, Any]:
    """One recorded event as JSON, fit for a stranger's eyes: tags shortened, names and members left out."""
    return {
        "at_ms": moment.now.boot_ms,
        "event": type(moment.event).__name__,
        **_facts_of(moment.event),
    }


def _facts_of(event: Event) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for one in fields(event):
        value = getattr(event, one.name)
        if isinstance(value, Presented):
            facts["badge"] = short(value.tag)
            facts["known"] = value.entry is not None
        elif is_dataclass(value):
            named = ((part.name, getattr(value, part.name)) for part in fields(value))
            facts[one.name] = {
                name: _plain(part) for name, part in named if name not in PERSONAL_FACTS
            }
        elif one.name not in PERSONAL_FACTS:
            facts[one.name] = _plain(value)
    return facts


def _plain(value: object) -> bool | int | str | None:
    return value if value is None or isinstance(value, bool | int) else _text(str(value))


def _text(value: str) -> str:
    return value[:TEXT_MAX]


def _version(version: tuple[int, int] | None) -> list[int] | None:
    return None if version is None else list(version)
