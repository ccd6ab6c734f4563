"""One hub and one machine as real processes in a short folder: hands, eyes and faults in, histories out.

The hub, and for the machine its world, node and sync, are the programs of the demo, started, watched and
restarted by the same service manager; only the durations are shorter. Nothing of the four runs in the
process of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interlock.clock import SystemClock, perf_us
from interlock.config.secret_files import read_hub_access, read_node_keys, write_hub_access
from interlock.errors import InterlockError
from interlock.protocol.control import Op
from interlock.protocol.records import (
    GENESIS,
    Head,
    Record,
    RecordType,
    from_wire,
    head_from_wire,
)
from interlock.sim.demo_machines import MachineFolder
from interlock.sim.lab import TRAY
from interlock.sim.network import Cable
from interlock.sim.node import switch_on
from interlock.sim.physics import Facts
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import NODE_NICE, SYNC_NICE, WORLD_NICE, Phase, Unit
from interlock.sim.world_process import WORLD_SOCKET
from interlock.sync.node_link import NodeClient
from tests.ports import free_port
from tests.real.hands import Hands
from tests.real.records import QUERY, record_of, verified
from tests.real.settings import toml_of
from tests.waiting import wait_until

HUB, NODE, SYNC, WORLD = "hub", "node", "sync", "world"
HOST = "127.0.0.1"
RESTART_S = 0.3
"""systemd's RestartSec is 1 s; the rules are the same, the suite is shorter."""

ANSWER_S = 20.0
READY_S = 60.0
"""Two shared cores; alone on them everything is ready within three seconds."""

TAP_MS = 500
ARRIVAL_MS = 600
"""A badge arrives where nothing lay for 300 ms (2-machine.md): twice that, for a node that has to share a core."""

LOG_CHARACTERS = 6_000
HISTORY_LINES = 60
"""What a failing test shows of each log and of the machine's history."""

LOOK_S = 0.02
RECORD_MS = 20_000
"""An end that is not on the disk by then was forgotten."""

SETTLE_S = 30.0
UIDS = {one.key: one.uid.hex() for one in TRAY}


def make_template(root: Path) -> None:
    """A lab in `root` whose node has the rights of the sample lab and is switched off; every test
    works on a copy."""
    command = [sys.executable, "-m", "tests.real.prepare", str(root)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=480)
    with Lab(root) as lab:
        lab.start()
        wait_until(lab.has_rights, READY_S, "a node with rights")
        wait_until(lab.drained, READY_S, "a hub that has everything")
        lab.manager.stop(SYNC, NODE, HUB)
    shutil.rmtree(root / "run")
    shutil.rmtree(root / "world")
    for left in (root / "hub").glob("*.socket"):
        # No copy of a socket is one.
        left.unlink()


@contextlib.contextmanager
def lab_from(
    template: Path, keys: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[Lab]:
    """A lab of its own, copied from `template`; everything has ended afterwards."""
    root = Path(tempfile.mkdtemp(prefix="il-"))
    try:
        shutil.copytree(template, root, dirs_exist_ok=True)
        with Lab(root, keys or {}, **options) as lab:
            yield lab
    finally:
        shutil.rmtree(root, ignore_errors=True)


@dataclass
class Lab:
    """Processes are started by `start()` and have ended when the `with` block is left.

    `keys` are changed keys of node.toml, None to leave one out; `strict` is strict_gpiod;
    `hub_url` another hub than ours for sync; `in_1970` a Pi whose clock begins there at every boot;
    `watchdog_s` how long the node may say nothing.
    """

    root: Path
    keys: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = True
    hub_url: str | None = None
    in_1970: bool = False
    watchdog_s: float = 2.0
    taps_us: list[int] = field(default_factory=list)
    boots: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.folder = MachineFolder(self.root / "machine")
        self.world_folder = self.root / "world"
        self.client = NodeClient(self.folder.control_socket, self.clock, ANSWER_S)
        self.hub_port = free_port()
        self._ended = False

    def __enter__(self) -> Lab:
        shutil.rmtree(self.world_folder, ignore_errors=True)
        self.world_folder.mkdir()
        self.folder.state.mkdir(exist_ok=True)
        self.folder.node_toml.write_text(toml_of(self.folder, self.keys))
        self.node_keys = read_node_keys(self.folder.node_keys)
        self.manager = ServiceManager(self.root / "run", self.clock)
        self.cable = Cable(HOST, self.hub_port)
        self.point_sync_at(self.hub_url or f"http://{HOST}:{self.cable.port}")
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Every process, port and thread is gone; harmless when called again."""
        if self._ended:
            return
        self._ended = True
        self._tell()
        with contextlib.suppress(AttributeError):
            self.hands.close()
        # At once: how each of them ends in order is tested where it belongs.
        self.manager.cut(*(name for name in (SYNC, NODE, HUB, WORLD) if self.starts(name)))
        self.manager.close()
        self.cable.close()

    def _tell(self) -> None:
        """What happened, for whoever has to find out why a test failed: pytest shows it only then."""
        out = sys.stdout.write
        for log in sorted((self.root / "run" / "logs").glob("*.log")):
            out(f"--- {log.name}\n{log.read_text(errors='replace')[-LOG_CHARACTERS:]}\n")
        if self._history_file.exists():
            for line in self._history_file.read_text(encoding="ascii").splitlines()[
                -HISTORY_LINES:
            ]:
                out(line + "\n")
        out(f"taps at {self.taps_us}, now {perf_us()}; the node says {self.status()}\n")

    # ---------------------------------------------------------------------------------- processes

    def start(self, *, hub: bool = True, sync: bool = True) -> None:
        """The world and the node are ready, and hub and sync if asked for."""
        self.manager.start(self._world_unit())
        path = self.world_folder / WORLD_SOCKET
        self.hands = wait_until(lambda: Hands.at(path), READY_S, "a world that listens")
        if hub:
            self.manager.start(self._hub_unit())
        self.switch_on()
        if hub:
            self.manager.wait_ready(HUB)
        if sync:
            self.start_sync()
        self.manager.wait_ready(NODE)
        if sync:
            self.manager.wait_ready(SYNC)

    def start_hub(self) -> None:
        self.manager.start(self._hub_unit())
        self.manager.wait_ready(HUB)

    def start_sync(self) -> None:
        unit = self._unit(SYNC, "sync", "run", *self._at)
        self.manager.start(replace(unit, nice=SYNC_NICE))

    def start_node(self) -> None:
        unit = self._unit(NODE, "sim", "node", *self._at, "--world", str(self.world_folder))
        if self.in_1970:
            at = (str(self.folder.node_toml), str(self.world_folder))
            unit = replace(unit, command=(sys.executable, "-m", "tests.real.node_main", *at))
        self.manager.start(replace(unit, nice=NODE_NICE, watchdog_s=self.watchdog_s))

    def switch_on(self) -> None:
        """The Pi boots: a new boot id, its node starts. `boots` knows when, in microseconds."""
        powered_on_us = perf_us()
        self.boots[switch_on(self.world_folder, self.clock)] = powered_on_us
        self.hands.ask("pi", on=True)
        self.start_node()

    def cut_power(self) -> None:
        """The Pi has no power from one instruction to the next; node and sync are no more."""
        names = [name for name in (NODE, SYNC) if self.starts(name)]
        for name in names:
            self.signal(name, signal.SIGSTOP)
        self.hands.ask("pi", on=False)
        self.manager.cut(*names)

    def signal(self, name: str, number: int) -> int:
        """The process gets the signal, at the microsecond that is returned."""
        at_us = perf_us()
        pid = self.manager.report(name).pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return at_us

    def kill(self, name: str) -> int:
        """kill -9; the manager starts it again. The microsecond at which it died."""
        return self.signal(name, signal.SIGKILL)

    def pid(self, name: str) -> int:
        pid = self.manager.report(name).pid
        assert pid is not None
        return pid

    def starts(self, name: str) -> int:
        return self.manager.report(name).starts

    def wait_running(self, name: str, starts: int = 1) -> None:
        """The named process said READY, in its `starts`th life or a later one."""
        wait_until(
            lambda: (
                self.manager.report(name).phase is Phase.RUNNING and self.starts(name) >= starts
            ),
            READY_S,
            f"{name} running for the {starts}. time",
        )

    def log(self, name: str) -> str:
        return self.manager.log_of(name).read_text(errors="replace")

    def point_sync_at(self, url: str) -> None:
        """Sync finds its hub at `url` when it starts next."""
        path = self.folder.sync_access
        access = read_hub_access(path)
        path.unlink()
        write_hub_access(path, replace(access, hub_url=url))

    @property
    def _at(self) -> tuple[str, str]:
        return ("--config", str(self.folder.node_toml))

    def _unit(self, name: str, *arguments: str) -> Unit:
        command = (sys.executable, "-m", "interlock", *arguments)
        return Unit(name, command, restart_s=RESTART_S, start_s=READY_S)

    def _hub_unit(self) -> Unit:
        where = ("--host", HOST, "--port", str(self.hub_port), "--node-port", "0")
        at = ("--dir", str(self.root / "hub"), *where)
        return replace(self._unit(HUB, "hub", "run", *at), watchdog_s=None, stop_s=8.0)

    def _world_unit(self) -> Unit:
        arguments = (
            *("-m", "tests.real.world_main", str(self.folder.node_toml), str(self.world_folder)),
            *(str(self._history_file), "1" if self.strict else "0"),
        )
        command = (sys.executable, *arguments)
        return Unit(WORLD, command, notifies=False, watchdog_s=None, nice=WORLD_NICE)

    # -------------------------------------------------------------------------------------- hands

    def tap(self, badge: str = "trained") -> int:
        """The badge is held to the reader for half a second; the microsecond it came there."""
        self.leave_empty()
        at_us = perf_us()
        self.taps_us.append(at_us)
        self.hands.ask("tap", label=badge, uid=UIDS[badge], ms=TAP_MS)
        return at_us

    def put(self, badge: str = "trained") -> int:
        """The badge lies on the reader from now on; the microsecond it came there."""
        self.leave_empty()
        at_us = perf_us()
        self.taps_us.append(at_us)
        self.hands.ask("put", label=badge, uid=UIDS[badge])
        return at_us

    def take(self) -> None:
        self.hands.ask("take")

    def leave_empty(self) -> None:
        """Nothing lies on the reader, for long enough that the next badge is an arrival."""
        wait_until(lambda: not self.world()["badges"], 5, "an empty reader")
        self.idle_for(ARRIVAL_MS)

    def push(self, button: str) -> int:
        """The button is pushed for a fifth of a second; the microsecond it went down."""
        at_us = perf_us()
        self.hands.ask("push", button=button, ms=200)
        return at_us

    def tap_on(self, badge: str = "trained") -> int:
        """Tapped, the contactor closed; when the badge came to the reader."""
        at_us = self.tap(badge)
        wait_until(lambda: self.world()["contacts"], 10, "a closed contactor")
        return at_us

    def tap_off(self) -> None:
        """Tapped once more, the contactor open."""
        self.tap()
        wait_until(lambda: not self.world()["contacts"], 10, "an open contactor")

    def work(self, at_least_ms: int = 0) -> None:
        """The machine's own start is pushed and the motor has run for so long, as the node sees it."""
        self.push("machine_start")
        wait_until(lambda: self.world()["motor"], 5, "a running motor")
        self.idle_for(at_least_ms)

    def rest(self) -> None:
        """The machine's own stop is pushed and the motor stands."""
        self.push("machine_stop")
        wait_until(lambda: not self.world()["motor"], 5, "a standing motor")

    def comes_true(self, condition: Callable[[], bool], within_ms: int) -> bool:
        """Whether it does; nobody's test ends here if not."""
        end_ms = self.clock.boot_ms() + within_ms
        while not condition():
            if self.clock.boot_ms() >= end_ms:
                return False
            self.clock.sleep(LOOK_S)
        return True

    def idle_for(self, for_ms: int) -> None:
        """So much of the machine's life has passed: people work for a while."""
        end_ms = self.clock.boot_ms() + for_ms
        wait_until(lambda: self.clock.boot_ms() >= end_ms, for_ms / 1_000 + 5, "time passing")

    # --------------------------------------------------------------------------------------- eyes

    @property
    def _history_file(self) -> Path:
        return self.root / "history.jsonl"

    def world(self) -> dict[str, Any]:
        """What can be seen at the machine now."""
        state: dict[str, Any] = self.hands.ask("state")["state"]
        return state

    def history(self, since_us: int = 0) -> list[Facts]:
        """The machine's facts, each as it changed, from `since_us` on; the one in force then first."""
        lines = self._history_file.read_text(encoding="ascii").splitlines()
        facts = [_facts(json.loads(line)) for line in lines]
        before = [one for one in facts if one.at_us <= since_us]
        return before[-1:] + [one for one in facts if one.at_us > since_us]

    def spans(self, name: str, since_us: int = 0) -> list[tuple[int, int]]:
        """When the named fact was true: (from, to) in microseconds; an open end is now.

        What lasted no time at all is left out: two lines that change at one instant, written down one
        after the other.
        """
        spans: list[tuple[int, int]] = []
        began_us: int | None = None
        for facts in self.history(since_us):
            if getattr(facts, name) and began_us is None:
                began_us = facts.at_us
            elif not getattr(facts, name) and began_us is not None:
                spans.append((began_us, facts.at_us))
                began_us = None
        if began_us is not None:
            spans.append((began_us, perf_us()))
        return [(at_us, to_us) for at_us, to_us in spans if to_us > at_us]

    def relay_off_after(self, since_us: int, deadline_s: float = 10) -> int:
        """Microseconds from `since_us` until our output stage let go of the contactor."""
        wait_until(lambda: not self.world()["relay"], deadline_s, "relay off")
        return max(0, max(to_us for _, to_us in self.spans("relay")) - since_us)

    def status(self) -> dict[str, Any]:
        """The node's answer; empty while it does not answer."""
        with contextlib.suppress(InterlockError):
            return self.client.ask(Op.STATUS)
        return {}

    def panel(self) -> dict[str, Any]:
        """What lamp, buzzer and screen show; empty while the node does not answer."""
        with contextlib.suppress(InterlockError):
            return self.client.ask(Op.PANEL)
        return {}

    def shows(self, reason: str, deadline_s: float = 10) -> None:
        """The screen has named this reason of a refusal."""
        wait_until(lambda: self.panel().get("reason") == reason, deadline_s, f"{reason} shown")

    def state(self) -> str:
        """The node's state by its name, empty while it does not answer."""
        return str(self.status().get("state", ""))

    def has_rights(self) -> bool:
        status = self.status()
        return bool(status) and status["cache"]["version"] is not None

    def locked(self) -> None:
        """The node is at rest and can start somebody."""
        wait_until(
            lambda: self.state() == "locked" and self.has_rights(), READY_S, "a node at rest"
        )

    # ------------------------------------------------------------------------------------ records

    def journal(self) -> list[Record]:
        """Every record of the running node, its chain verified from the first on."""
        return verified(self._pulled(), self.node_keys.chain_key)

    def _pulled(self) -> list[Record]:
        records: list[Record] = []
        place = Head(self.node_keys.epoch, 0, GENESIS)
        more = True
        while more:
            page = self.client.records(place)
            records += [from_wire(dict(wire)) for wire in page.records]
            more = page.more
            if page.records:
                place = head_from_wire(page.records[-1])
        return records

    def hub_journal(self) -> list[Record]:
        """Every record as the hub holds it, by its place, the chain verified."""
        records = [record_of(row) for row in self.sql(QUERY)]
        return verified(records, self.node_keys.chain_key)

    def sessions(self) -> list[dict[str, Any]]:
        """Every session at the hub with the cents of its line (None: no line), oldest first."""
        return self.sql(
            "SELECT s.*, l.cents, l.steps FROM hub_session s LEFT JOIN hub_line l "
            "ON l.session_id = s.id ORDER BY s.epoch, s.seq"
        )

    def sql(self, query: str) -> list[dict[str, Any]]:
        """The rows of a question to the hub's database, which this only reads."""
        database = sqlite3.connect(f"file:{self.root / 'hub' / 'hub.db'}?mode=ro", uri=True)
        try:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query)]
        finally:
            database.close()

    def drained(self) -> bool:
        """The hub has acknowledged everything the node wrote, and the node can write."""
        journal = self.status().get("journal", {"state": None})
        return bool(journal["state"] == "ok" and journal["acked"] == journal["head"])

    def last_word(self) -> None:
        """Less power acts first and records after: an end may still be on its way to the disk. Now it is there."""

        def all_ended() -> bool:
            ends = (RecordType.SESSION_ENDED, RecordType.SESSION_VOIDED)
            with contextlib.suppress(InterlockError):
                kinds = [one.header.type for one in self._pulled()]
                return kinds.count(RecordType.SESSION_STARTED) == sum(map(kinds.count, ends))
            return False

        self.comes_true(all_ended, RECORD_MS)

    def delivered(self) -> list[Record]:
        """Everything is at the hub, which holds exactly what the node does; the records."""
        self.last_word()
        wait_until(self.drained, SETTLE_S, "an empty outbox")
        ours, theirs = self.journal(), self.hub_journal()
        assert [one.hash for one in ours] == [one.hash for one in theirs]
        assert self.sql("SELECT * FROM hub_setaside") == []
        return ours


def _facts(wire: dict[str, Any]) -> Facts:
    return Facts(**{**wire, "open_interlocks": tuple(wire["open_interlocks"])})
