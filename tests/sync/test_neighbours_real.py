"""Two real sync processes and a real hub carry one machine's lid to another machine, and its silence too."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from interlock.clock import SystemClock
from interlock.config.secret_files import read_hub_access, read_node_keys, write_hub_access
from interlock.protocol.control import Op
from interlock.sim.demo_machines import LASER, SAW, DemoMachine, MachineFolder, node_toml
from interlock.sim.processes import ServiceManager
from tests.ports import free_port
from tests.sync import servers
from tests.sync.served import KeyedNode
from tests.sync.test_service import unit
from tests.waiting import wait_until

pytestmark = pytest.mark.real

WAITS_FOR_THE_LASER = """
[[interlocks]]
name = "Laser lid"
remote = "laser/Lid"
"""


@dataclass
class Machine(KeyedNode):
    """A model node on a real socket: its contacts, and what it was told of another's."""

    levels: list[bool | None] = field(default_factory=list)
    told: list[tuple[str, bool | None]] = field(default_factory=list)

    def answer(self, op: Op, request: dict[str, Any]) -> dict[str, Any]:
        if op is Op.STATUS:
            return {"inputs": {"interlocks_closed": self.levels}}
        if op is Op.INTERLOCK:
            self.told.append((request["name"], request["closed"]))
            return {}
        return super().answer(op, request)


@dataclass
class Site:
    manager: ServiceManager
    laser: Machine
    saw: Machine


def prepared(root: Path, machine: DemoMachine, port: int, more: str = "") -> MachineFolder:
    """The machine's files, its sync pointed at the hub on `port`."""
    folder = MachineFolder(root / "machines" / machine.id)
    folder.control_socket.parent.mkdir(parents=True)
    (folder.state / "spool").mkdir()
    folder.node_toml.write_text(node_toml(machine, folder) + more)
    access = replace(read_hub_access(folder.sync_access), hub_url=f"http://127.0.0.1:{port}")
    folder.sync_access.unlink()
    write_hub_access(folder.sync_access, access)
    return folder


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="il-") as path, ExitStack() as stack:
        root, port = Path(path), free_port()
        command = [sys.executable, "-m", "interlock.sim.demo_hub", path, "http://127.0.0.1:1"]
        subprocess.run(command, check=True, capture_output=True)
        manager = ServiceManager(root / "run", SystemClock())
        stack.callback(manager.close)
        at = ("--dir", str(root / "hub"), "--port", str(port), "--node-port", "0")
        manager.start(unit("hub", "hub", "run", *at, watchdog_s=None))
        manager.wait_ready("hub")
        nodes = []
        for machine, more in ((LASER, ""), (SAW, WAITS_FOR_THE_LASER)):
            folder = prepared(root, machine, port, more)
            node = Machine(keys=read_node_keys(folder.node_keys), version=(0, 0))
            stack.enter_context(servers.unix_server(folder.control_socket, node.serve))
            run = ("sync", "run", "--config", str(folder.node_toml))
            manager.start(unit(f"sync-{machine.id}", *run))
            nodes.append(node)
        laser, saw = nodes
        # As its node.toml declares them; a saw's are none of its own but the one that it waits for.
        laser.levels = [False, True]
        yield Site(manager, laser, saw)


def last_word(site: Site) -> bool | str | None:
    return site.saw.told[-1][1] if site.saw.told else "nothing yet"


def test_the_saw_hears_of_the_lasers_lid_within_one_round_of_questions(site: Site) -> None:
    wait_until(lambda: last_word(site) is False, 25)
    site.laser.levels = [True, True]
    wait_until(lambda: last_word(site) is True, 25)
    site.laser.levels = [False, True]
    wait_until(lambda: last_word(site) is False, 25)
    assert {name for name, _ in site.saw.told} == {"Laser lid"}
    assert site.laser.told == []
