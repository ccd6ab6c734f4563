"""A whole lab on this computer: a folder and a port in, a hub, three machines and one page to open out.

Every part is a process of its own, as on real machines: the hub; for each machine its world (everything
that is not a computer) and, as on its Pi, a node and a sync. This process plays systemd for them, the
network cables, and the electrician; it serves the page with the front panels. The lab lives in the
folder, so that `--keep` goes on with it, also after a demo that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from interlock.clock import Clock, SystemClock
from interlock.config import NodeConfig, load_node
from interlock.config.secret_files import read_hub_access, write_hub_access
from interlock.errors import ConfigError, LinkError
from interlock.protocol.control import Op
from interlock.sim.demo_badges import offers
from interlock.sim.demo_faults import HUB, DemoFaults, MachineParts
from interlock.sim.demo_hub import HISTORY
from interlock.sim.demo_machines import (
    INTERLOCK_LABELS,
    MACHINES,
    DemoMachine,
    MachineFolder,
    node_toml,
)
from interlock.sim.network import Cable
from interlock.sim.node import switch_on
from interlock.sim.panel_server import Lab, MachineAddress, PanelServer, fittings_of
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import (
    JOBS_NICE,
    NODE_NICE,
    SYNC_NICE,
    WORLD_NICE,
    Unit,
    dying_with_us,
)
from interlock.sim.world_process import WORLD_SOCKET
from interlock.sync.node_link import NodeClient

HOST = "127.0.0.1"
_DEMO_HUB = (sys.executable, "-m", "interlock.sim.demo_hub")
NODES = "nodes"
"""The hub's door for machines: HTTPS, by the demo lab's own authority."""
MARK = "interlock-demo.json"
"""Stands in a folder that belongs to the demo, and remembers its ports."""

LOCK = "lock"
LOCK_S = 4.0
"""A demo that was killed is cleaned up after within a second; a running one keeps its lock."""

SETUP_S_MAX = 600.0
WORLD_S_MAX = 10.0
RIGHTS_S_MAX = 30.0
POLL_S = 0.05
HUB_STOP_S = 8.0
"""The hub gives requests under way 5 s before it cuts them (hub/serving.py)."""

HUB_LINKS = (
    ({"en": "Board", "fr": "Tableau"}, "/"),
    ({"en": "Members", "fr": "Membres"}, "/members/"),
    ({"en": "Machines", "fr": "Machines"}, "/machines/"),
    ({"en": "Sessions and prices", "fr": "Sessions et prix"}, "/sessions/"),
    ({"en": "Unknown badges", "fr": "Badges inconnus"}, "/badges/unknown/"),
)
"""What a visitor of the demo wants to see at the hub; the panel page links to it."""

Say = Callable[[str], None]


def run_demo(
    *,
    directory: Path | None,
    port: int,
    keep: bool,
    history: bool = False,
    say: Say,
    show: Say,
    ready: Say = lambda _: None,
) -> None:
    """Run the lab until SIGINT, SIGTERM or SIGHUP. `say` gets progress, `show` what to open.

    Raises ConfigError and LinkError; whatever was started has ended then.
    """
    folder = (directory or default_directory()).resolve()
    with _ended_by_signals(), _locked(folder) as lock_fd:
        demo = Demo(folder, port, SystemClock(), say, lock_fd)
        try:
            demo.start(keep=keep, history=history)
            show(demo.welcome)
            threading.Event().wait()
        except KeyboardInterrupt:
            say("Ending every process …")
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            demo.close()


def default_directory() -> Path:
    """Where the lab is kept unless told otherwise: the user's state folder (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "interlock-demo"


class Demo:
    """The lab in `folder`; everything it starts has ended after `close()`."""

    def __init__(self, folder: Path, port: int, clock: Clock, say: Say, lock_fd: int) -> None:
        self.folder = folder
        self.welcome = ""
        self._port = port
        self._clock = clock
        self._say = say
        self._lock_fd = lock_fd
        self._manager: ServiceManager | None = None
        self._panel: PanelServer | None = None
        self._setup: HubSetup | None = None
        self._machines: dict[str, MachineParts] = {}
        self._configs: dict[str, NodeConfig] = {}

    def start(self, *, keep: bool, history: bool = False) -> None:
        """Everything runs and every machine knows its members' rights; a new lab has years of `history`."""
        began_ms = self._clock.boot_ms()
        fresh = not (keep and _is_complete(self.folder))
        if fresh:
            _empty(self.folder)
        ports = self._ports()
        hub_url = f"http://{HOST}:{ports[HUB]}"
        hub = self._hub_unit(ports[HUB], ports[NODES])
        self._manager = manager = ServiceManager(self.folder / "run", self._clock, self._lock_fd)
        for machine in MACHINES:
            self._prepare(machine, ports)
        faults = DemoFaults(manager, self._machines, hub, self._clock)
        self._panel = PanelServer(self._lab(hub_url), faults, self._port)
        for machine in MACHINES:
            manager.start(self._world_unit(machine))
        made = "Making a sample lab and its past …" if history else "Making a sample lab …"
        self._say(made if fresh else "Continuing the last lab …")
        node_url = f"https://{HOST}:{ports[NODES]}"
        self._setup = setup = HubSetup(self.folder, hub_url, node_url, history=history)
        if fresh:
            setup.finish()
        self._say("Starting the hub …")
        manager.start(hub)
        self._connect(ports)
        self._wait_for_worlds()
        self._say("Starting three machines …")
        for parts in self._machines.values():
            manager.start(parts.node)
            manager.start(parts.sync)
        manager.wait_ready(HUB)
        manager.start(self._jobs_unit())
        for parts in self._machines.values():
            manager.wait_ready(parts.node.name, parts.sync.name)
        self._panel.start()
        self._wait_for_rights()
        faults.copy_cards()
        link = setup.finish()
        took_s = (self._clock.boot_ms() - began_ms) / 1_000
        self._say(f"Ready after {took_s:.1f} s.")
        self.welcome = _welcome(self._panel.url, f"{hub_url}/", link, self.folder)

    def close(self) -> None:
        """Every process, port and file descriptor is gone; harmless when called again."""
        if self._panel is not None:
            self._panel.stop()
        if self._setup is not None:
            self._setup.close()
        if self._manager is not None:
            self._manager.close()
        for parts in self._machines.values():
            parts.cable.close()

    # ------------------------------------------------------------------------------ preparations

    def _ports(self) -> dict[str, int]:
        """Two ports for the hub and one for each machine's cable; the last demo's where still free."""
        mark = self.folder / MARK
        try:
            wanted: dict[str, int] = json.loads(mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            wanted = {}
        names = [HUB, NODES, *(machine.id for machine in MACHINES)]
        ports = {name: _free_port(wanted.get(name, 0)) for name in names}
        mark.write_text(json.dumps(ports), encoding="utf-8")
        return ports

    def _prepare(self, machine: DemoMachine, ports: dict[str, int]) -> None:
        folder = MachineFolder(self.folder / "machines" / machine.id)
        folder.state.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder.world, ignore_errors=True)
        folder.world.mkdir()
        folder.node_toml.write_text(node_toml(machine, folder), encoding="utf-8")
        # Fails now and with words, rather than in a process of its own: a path that is too long.
        self._configs[machine.id] = load_node(folder.node_toml)
        boot_id = switch_on(folder.world, self._clock)
        at = ("--config", str(folder.node_toml))
        self._machines[machine.id] = MachineParts(
            folder,
            replace(
                _unit(f"{machine.id}-node", "sim", "node", *at, "--world", str(folder.world)),
                nice=NODE_NICE,
            ),
            replace(_unit(f"{machine.id}-sync", "sync", "run", *at), nice=SYNC_NICE),
            Cable(HOST, ports[NODES], ports[machine.id]),
            boot_id=boot_id,
        )

    def _connect(self, ports: dict[str, int]) -> None:
        """Each sync finds the hub at the other end of its machine's cable."""
        for name, parts in self._machines.items():
            path = parts.folder.sync_access
            access = replace(read_hub_access(path), hub_url=f"https://{HOST}:{ports[name]}")
            # Replaced in one step: a demo killed here must not lose the credential.
            part = path.with_suffix(".new")
            part.unlink(missing_ok=True)
            write_hub_access(part, access)
            part.replace(path)

    def _lab(self, hub_url: str) -> Lab:
        return Lab(
            machines=tuple(self._address(machine) for machine in MACHINES),
            badges=offers(),
            hub_url=f"{hub_url}/",
            hub_links=tuple((label, f"{hub_url}{path}") for label, path in HUB_LINKS),
        )

    def _address(self, machine: DemoMachine) -> MachineAddress:
        folder = self._machines[machine.id].folder
        return MachineAddress(
            machine.id,
            machine.name,
            machine.kind,
            machine.badge_use,
            folder.world / WORLD_SOCKET,
            folder.control_socket,
            machine.language,
            fittings_of(self._configs[machine.id], machine.screen, INTERLOCK_LABELS),
        )

    def _hub_unit(self, port: int, node_port: int) -> Unit:
        doors = ("--port", str(port), "--node-port", str(node_port))
        at = ("--dir", str(self.folder / "hub"), "--host", HOST, *doors)
        # The hub has no watchdog of two seconds: a page that takes long is no danger to anybody.
        return replace(_unit(HUB, "hub", "run", *at), watchdog_s=None, stop_s=HUB_STOP_S)

    def _jobs_unit(self) -> Unit:
        unit = _unit("hub-jobs", "hub", "jobs", "--dir", str(self.folder / "hub"))
        return replace(unit, notifies=False, watchdog_s=None, nice=JOBS_NICE)

    def _world_unit(self, machine: DemoMachine) -> Unit:
        folder = self._machines[machine.id].folder
        at = ("--config", str(folder.node_toml), "--dir", str(folder.world))
        unit = _unit(f"{machine.id}-world", "sim", "world", *at)
        return replace(unit, notifies=False, watchdog_s=None, nice=WORLD_NICE)

    # ----------------------------------------------------------------------------------- waiting

    def _wait_for_worlds(self) -> None:
        for name, parts in self._machines.items():
            socket_path = parts.folder.world / WORLD_SOCKET
            if not self._until(socket_path.exists, WORLD_S_MAX):
                raise LinkError(
                    "the machine's world did not start",
                    where=name,
                    remedy=f"See {self.folder / 'run' / 'logs'}",
                )

    def _wait_for_rights(self) -> None:
        self._say("Waiting until every machine knows its members' rights …")
        for name, parts in self._machines.items():
            client = NodeClient(parts.folder.control_socket, self._clock)
            if not self._until(lambda asked=client: _has_rights(asked), RIGHTS_S_MAX):  # type: ignore[misc]
                self._say(f"{name} has no rights yet and will refuse every badge until it has.")

    def _until(self, truth: Callable[[], bool], deadline_s: float) -> bool:
        end_ms = self._clock.boot_ms() + round(deadline_s * 1_000)
        while not truth():
            if self._clock.boot_ms() >= end_ms:
                return False
            self._clock.sleep(POLL_S)
        return True


class HubSetup:
    """The process that makes the hub's folder, or only the link for an owner who is still missing."""

    def __init__(self, folder: Path, hub_url: str, node_url: str, *, history: bool = False) -> None:
        asked = (hub_url, *((HISTORY,) if history else ()), node_url)
        self._process = subprocess.Popen(
            dying_with_us((*_DEMO_HUB, str(folder), *asked)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._link: str | None = None

    def finish(self) -> str:
        """The link for the first owner, empty when the lab has one. Raises LinkError."""
        if self._link is not None:
            return self._link
        try:
            shown, said = self._process.communicate(timeout=SETUP_S_MAX)
        except subprocess.TimeoutExpired as error:
            raise LinkError(f"not done after {SETUP_S_MAX:g} s", where="sample lab") from error
        if self._process.returncode != 0:
            raise LinkError(
                f"could not be made: {said.strip() or 'no reason given'}",
                where="sample lab",
                remedy="Begin anew, without --keep",
            )
        self._link = shown.strip()
        return self._link

    def close(self) -> None:
        """The process has ended."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _has_rights(client: NodeClient) -> bool:
    with contextlib.suppress(LinkError):
        status: dict[str, Any] = client.ask(Op.STATUS)
        return status["cache"]["version"] is not None
    return False


def _unit(name: str, *arguments: str) -> Unit:
    return Unit(name, (sys.executable, "-m", "interlock", *arguments))


def _welcome(panel: str, hub: str, link: str, folder: Path) -> str:
    lines = [
        "",
        "The lab is running. Open:",
        "",
        f"  {panel}   the three machines and their front panels",
        f"  {hub}   the hub",
    ]
    if link:
        lines += ["", "To become the lab's first owner, open this once:", "", f"  {link}"]
    lines += ["", f"Ctrl-C ends everything. Everything is kept in {folder}", ""]
    return "\n".join(lines)


# -------------------------------------------------------------------------------- folder and ports


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Nobody else runs a demo in `folder`; waits for the keeper of one that was just killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot be used: {error.strerror}", where=str(folder)) from error
    try:
        clock = SystemClock()
        end_ms = clock.boot_ms() + round(LOCK_S * 1_000)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if clock.boot_ms() >= end_ms:
                    raise ConfigError(
                        "another demo runs in this folder",
                        where=str(folder),
                        remedy="End it, or choose another folder with --dir",
                    ) from error
                clock.sleep(POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_complete(folder: Path) -> bool:
    """Whether a lab can be continued there: one that was killed while it was made cannot."""
    machines = [MachineFolder(folder / "machines" / machine.id) for machine in MACHINES]
    keys = [path for one in machines for path in (one.node_keys, one.sync_access)]
    return all(path.exists() for path in (folder / MARK, folder / "hub" / "hub.toml", *keys))


def _empty(folder: Path) -> None:
    """The folder holds nothing but the lock. Raises ConfigError when it is not the demo's."""
    names = {path.name for path in folder.iterdir()} - {LOCK}
    if names and MARK not in names:
        raise ConfigError(
            f"it holds other things ({sorted(names)[0]})",
            where=str(folder),
            remedy="Choose an empty folder with --dir: the demo erases it at every start",
        )
    for name in sorted(names - {MARK}):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / MARK).unlink(missing_ok=True)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            found: int = probe.getsockname()[1]
            return found
    raise LinkError("this computer has no free port", where=HOST)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does."""

    def leave(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    old = {number: signal.signal(number, leave) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
