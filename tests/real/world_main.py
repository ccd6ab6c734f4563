"""A machine's world as `interlock sim world` serves it, that also writes down its history: facts out, a line each.

The same `serve_world` with the same sockets; the one difference is that every `Facts` of the machine's
physics goes to a file as it happens, so that a test can compare whole histories to the microsecond.
Arguments: node.toml, folder of the sockets, history file, strict_gpiod (0 or 1).
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections import deque
from dataclasses import asdict
from pathlib import Path

from interlock.clock import perf_us
from interlock.config import load_node
from interlock.sim.lab import card_box
from interlock.sim.physics import Facts
from interlock.sim.world import World
from interlock.sim.world_process import serve_world
from interlock.sim.world_wiring import plant_of, wiring_of


class Written(deque[Facts]):
    """A world's history whose every entry is in the file too."""

    def __init__(self, path: Path, so_far: deque[Facts]) -> None:
        super().__init__(so_far, maxlen=so_far.maxlen)
        self._file = path.open("w", encoding="ascii", buffering=1)
        for facts in so_far:
            self._write(facts)

    def append(self, facts: Facts) -> None:
        """One more."""
        super().append(facts)
        self._write(facts)

    def _write(self, facts: Facts) -> None:
        self._file.write(json.dumps(asdict(facts)) + "\n")


def main() -> None:
    """Serve until SIGTERM."""
    config, directory = load_node(Path(sys.argv[1])), Path(sys.argv[2])
    strict = sys.argv[4] == "1"
    world = World(
        wiring_of(config),
        plant_of(config),
        now_us=perf_us,
        strict_gpiod=strict,
        card_for=card_box().card,
    )
    world.history = Written(Path(sys.argv[3]), world.history)
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    serve_world(world, directory, woken.fileno())


if __name__ == "__main__":
    main()
