"""A port for a server that is started later: nobody else asks for it meanwhile, and the kernel gives it to nobody."""

from __future__ import annotations

import itertools
import os
import socket

LOWEST = 20_000
"""Below net.ipv4.ip_local_port_range: what the kernel gives to who asks for any, as every connection does."""

LANE = 700
LANES = 18
"""pytest-xdist's workers do not know of each other; each has its own lane, and whoever is none the last."""

_turn = itertools.count(os.getpid())


def free_port() -> int:
    """One of this process's lane that nobody listens on, never the same twice."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    lane = min(int(worker), LANES - 2) if worker.isdecimal() else LANES - 1
    for _ in range(LANE):
        port = LOWEST + lane * LANE + next(_turn) % LANE
        with socket.socket() as probe:
            # As servers do: a connection of a former one that is over is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port of {LANE} is free")
