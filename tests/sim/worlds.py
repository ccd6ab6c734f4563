"""One machine for the tests of the world: its wiring and plant, in this process or in its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.config import NodeConfig, parse_node
from interlock.sim.clocks import VirtualClock
from interlock.sim.physics import Plant
from interlock.sim.world import World
from interlock.sim.world_process import WORLD_SOCKET
from interlock.sim.world_wiring import Wiring, plant_of, wiring_of
from tests.waiting import wait_until

RELAY, ENABLE = 17, 27
STOP, BROKEN, EMERGENCY, MIRROR, BUSY, SWITCH = 5, 6, 13, 12, 26, 16
RED, GREEN, BLUE, BUZZER = 22, 23, 24, 4
TRAINED_UID = "04112233445566"

DOCUMENT: dict[str, Any] = {
    "machine": {"name": "Table saw", "restart_protection": "no_volt_release"},
    "relay": {"pin": RELAY},
    "inputs": {
        "stop_button": {"pin": STOP},
        "broken_button": {"pin": BROKEN},
        "emergency_stop": {"pin": EMERGENCY, "normally": "closed"},
        "mirror_contact": {"pin": MIRROR, "normally": "closed"},
        "current_sensor": {"pin": BUSY},
        "machine_switch": {"pin": SWITCH},
    },
    "panel": {
        "lamp_red_pin": RED,
        "lamp_green_pin": GREEN,
        "lamp_blue_pin": BLUE,
        "buzzer_pin": BUZZER,
    },
}

# A world in its own process; arguments: document as JSON, folder, strict (0 or 1).
WORLD_PROGRAM = """
import json, sys
from pathlib import Path
from interlock.config import parse_node
from interlock.sim.world_process import run_world
run_world(parse_node(json.loads(sys.argv[1])), Path(sys.argv[2]), strict_gpiod=sys.argv[3] == "1")
"""


def config_of(*, enable: bool = False, **machine: Any) -> NodeConfig:
    """A node with every input, with a dynamic enable if asked, and these keys of [machine]."""
    return parse_node(document_of(enable=enable, **machine))


def document_of(*, enable: bool = False, **machine: Any) -> dict[str, Any]:
    """The TOML document behind `config_of`."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    document["machine"].update(machine)
    if enable:
        document["relay"]["dynamic_enable_pin"] = ENABLE
    return document


@dataclass
class VirtualWorld:
    """A world in this process whose time moves when told."""

    config: NodeConfig
    strict_gpiod: bool = True
    plant: Plant | None = None
    clock: VirtualClock = field(default_factory=VirtualClock)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        wiring: Wiring = wiring_of(self.config)
        plant = self.plant or plant_of(self.config)
        self.world = World(wiring, plant, now_us=self.clock.now_us, strict_gpiod=self.strict_gpiod)

    def wait_ms(self, duration_ms: int) -> None:
        """Time has passed and what was due has happened."""
        self.clock.advance_us(duration_ms * 1_000)
        self.world.catch_up()

    def history(self, *names: str) -> list[tuple[Any, ...]]:
        """The rows (milliseconds, named facts…) of the world's history, without repetitions."""
        rows: list[tuple[Any, ...]] = []
        for shown in self.world.history:
            row = tuple(getattr(shown, name) for name in names)
            if not rows or rows[-1][1:] != row:
                rows.append((shown.at_us / 1_000, *row))
        return rows


@contextmanager
def short_directory() -> Iterator[Path]:
    """A folder whose socket paths are short enough for Unix."""
    path = Path(tempfile.mkdtemp(prefix="il-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


class WorldProcess:
    """A world in a process of its own, and a line to its `world.sock`."""

    def __init__(self, directory: Path, document: dict[str, Any], *, strict: bool = True) -> None:
        self.directory = directory
        command = [sys.executable, "-c", WORLD_PROGRAM, json.dumps(document), str(directory)]
        self.process = subprocess.Popen([*command, "1" if strict else "0"])
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(60)
        wait_until(self._connects, deadline_s=20, what="a world that listens")
        self._lines = self._socket.makefile("rb")
        self._id = 0

    def _connects(self) -> bool:
        try:
            self._socket.connect(str(self.directory / WORLD_SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request."""
        self._id += 1
        request = {"id": self._id, "op": op, **arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer: dict[str, Any] = json.loads(self._lines.readline())
            if answer.get("id") == self._id:
                return answer

    def state(self) -> dict[str, Any]:
        """What can be seen at the machine now."""
        state: dict[str, Any] = self.ask("state")["state"]
        return state

    def signal(self, number: int) -> None:
        """The process gets signal `number`."""
        os.kill(self.process.pid, number)

    def end(self) -> int:
        """The process is over; its exit code."""
        self._lines.close()
        self._socket.close()
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def world_process(
    *, strict: bool = True, enable: bool = False, document: dict[str, Any] | None = None
) -> Iterator[WorldProcess]:
    """A world process, of another node's `document` if given, ended at the end of the test."""
    with short_directory() as directory:
        chosen = document or document_of(enable=enable)
        world = WorldProcess(directory, chosen, strict=strict)
        try:
            yield world
        finally:
            assert world.end() == 0
