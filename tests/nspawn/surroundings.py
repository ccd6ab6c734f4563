"""The machine around a booted Debian: its world runs outside, survives every power cut, and tells its history."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from interlock.clock import SystemClock
from interlock.sim.node import switch_on
from interlock.sim.world_process import PINS_SOCKET, SPI_SOCKET, WORLD_SOCKET
from tests.waiting import wait_until

START_S = 20


class Surroundings:
    """Reader chip, pins, contactor and motor of the node that `node_toml` describes, in `folder`."""

    def __init__(self, node_toml: Path, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "interlock",
                "sim",
                "world",
                "--config",
                node_toml,
                "--dir",
                folder,
                # The worst kernel: whatever a dead process drove stays driven until somebody else drives it.
                "--no-strict-gpiod",
            ]
        )
        self.power_on()
        sockets = [folder / name for name in (PINS_SOCKET, SPI_SOCKET, WORLD_SOCKET)]
        wait_until(lambda: all(path.exists() for path in sockets), START_S, "the world serves")
        for path in (folder, *sockets):
            # The node in there is another user than we are.
            path.chmod(0o777)
        self._talk = self._connected()
        self._lines = self._talk.makefile("rw", encoding="utf-8")
        self._number = 0
        self.history: list[tuple[int, bool]] = []
        """(boot_ms, relay) whenever the relay moved, as somebody standing there would have seen it."""
        self._eyes = self._connected()
        threading.Thread(target=self._watch, daemon=True).start()
        wait_until(lambda: self.history, START_S, "somebody watches the relay")

    def power_on(self) -> None:
        """The virtual Pi begins a new boot."""
        switch_on(self.folder, SystemClock())

    def do(self, op: str, **request: Any) -> dict[str, Any]:
        """What the world answers to a hand."""
        self._number += 1
        self._lines.write(json.dumps({"id": self._number, "op": op, **request}) + "\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        assert answer["ok"], answer
        return answer

    @property
    def relay(self) -> bool:
        """Whether the relay is closed now."""
        return bool(self.do("state")["state"]["relay"])

    def end(self) -> None:
        """Nothing of it runs any more."""
        for one in (self._talk, self._eyes):
            one.close()
        self._process.terminate()
        self._process.wait(START_S)

    def _connected(self) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        path = str(self.folder / WORLD_SOCKET)
        # A socket has its name a moment before somebody listens there.
        wait_until(lambda: one.connect_ex(path) == 0, START_S, "the world listens")
        return one

    def _watch(self) -> None:
        clock = SystemClock()
        with self._eyes.makefile("rw", encoding="utf-8") as lines:
            lines.write('{"id": 1, "op": "subscribe"}\n')
            lines.flush()
            try:
                for line in lines:
                    relay = bool(json.loads(line)["state"]["relay"])
                    if not self.history or self.history[-1][1] != relay:
                        self.history.append((clock.boot_ms(), relay))
            except (OSError, ValueError):
                return
