"""A real demo as a process of the test: start it, talk to its page and machines, see what is left."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlock.clock import SystemClock
from interlock.errors import LinkError
from interlock.protocol.control import Op
from interlock.sim.demo_machines import MachineFolder
from interlock.sim.lab import TRAY
from interlock.sim.world_process import WORLD_SOCKET
from interlock.sync.node_link import NodeClient
from tests.waiting import wait_until

START_S = 90
"""Ten Python processes on two shared cores; alone on them the demo needs a tenth of it."""

END_S = 60

ARRIVAL_MS = 600
"""Twice the empty field (300 ms) that the reader wants before it calls a badge an arrival."""

ADDRESS = re.compile(r"http://\S+")


class RunningDemo:
    """`interlock demo` in `folder`, started and ready."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "interlock", "demo"),
                *("--port", "0", "--dir", str(folder), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        shown = ""
        for line in self.process.stdout:
            shown += line
            if "Ctrl-C" in line:
                break
        else:
            assert self.process.stderr is not None
            raise AssertionError(f"the demo did not start:\n{self.process.stderr.read()}")
        self.addresses = ADDRESS.findall(shown)
        self.panel, self.hub = self.addresses[:2]
        self.family = descendants(self.process.pid)

    def end(self, number: int = signal.SIGINT) -> int:
        """The demo's exit code after the signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=END_S)
        return self.process.returncode

    def machine(self, name: str) -> Machine:
        return Machine(self, name)

    def post(self, path: str, **message: Any) -> None:
        request = urllib.request.Request(
            self.panel.rstrip("/") + path,
            json.dumps(message).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=END_S) as answer:
            assert answer.status == 200

    def fault(self, fault: str, machine: str = "", *, on: bool = True) -> None:
        self.post("/fault", fault=fault, machine=machine, on=on)


class Machine:
    """One machine of a running demo: what hands do to it, what can be seen of it."""

    def __init__(self, demo: RunningDemo, name: str) -> None:
        self.name = name
        self._demo = demo
        self.folder = MachineFolder(demo.folder / "machines" / name)

    def tap(self, badge: str) -> None:
        """A hand holds the badge to the reader, long enough after the one before to be an arrival."""
        clock, empty_since = SystemClock(), [0]

        def is_free() -> bool:
            if self.world()["badges"] or not empty_since[0]:
                empty_since[0] = clock.boot_ms()
            return clock.boot_ms() - empty_since[0] > ARRIVAL_MS

        wait_until(is_free, 10, "the reader is free")
        uid = next(one.uid for one in TRAY if one.key == badge)
        self._demo.post("/act", machine=self.name, op="tap", label=badge, uid=uid.hex())

    def status(self) -> dict[str, Any]:
        """The node's answer; empty while it does not answer."""
        with contextlib.suppress(LinkError):
            return NodeClient(self.folder.control_socket, SystemClock(), END_S).ask(Op.STATUS)
        return {}

    def world(self) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as world:
            world.settimeout(END_S)
            world.connect(str(self.folder.world / WORLD_SOCKET))
            world.sendall(b'{"id":1,"op":"state"}\n')
            answer: dict[str, Any] = json.loads(world.makefile("rb").readline())
        state: dict[str, Any] = answer["state"]
        return state

    def use(self, badge: str = "trained") -> None:
        """A whole session: tapped on, powered, tapped off, recorded."""
        self.tap(badge)
        wait_until(lambda: self.world()["contacts"], 10, "the contactor has closed")
        self.tap(badge)
        wait_until(lambda: not self.world()["contacts"], 15, "the contactor has opened")

    def unsent(self) -> int | None:
        journal = self.status().get("journal", {})
        count: int | None = journal.get("unsent")
        return count


def descendants(pid: int) -> frozenset[int]:
    """Every process below `pid` now."""
    found: set[int] = set()
    for task in _threads(pid):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found |= {int(child)} | descendants(int(child))
    return frozenset(found)


def _threads(pid: int) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from Path(f"/proc/{pid}/task").iterdir()


def alive(pids: frozenset[int]) -> list[str]:
    """The command lines of those of `pids` that still run."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return found


def naming(folder: Path) -> list[str]:
    """The command lines of every process of this computer that names `folder`."""
    found = []
    for proc in Path("/proc").iterdir():
        if proc.name.isdecimal():
            with contextlib.suppress(OSError):
                line = (proc / "cmdline").read_text().replace("\0", " ")
                if str(folder) in line:
                    found.append(line)
    return found
