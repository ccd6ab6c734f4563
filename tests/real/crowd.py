"""An address and a number in; so many connections held open until standard input ends: `python -m tests.real.crowd`.

    crowd HOST:PORT COUNT     to a hub, each with half a request
    crowd PATH COUNT          to a node's control socket, each with half a line

Says how many the other side took; whoever is cut off comes back, as a crowd does.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

HALF_REQUEST = b"GET / HTTP/1.1\r\nHost: hub\r\nX-Half: "
HALF_LINE = b'{"v":1,'
CONNECT_S = 2.0
DESCRIPTORS_SPARE = 100


@dataclass
class Crowd:
    """A child process with its connections; `took` of them were taken so far."""

    process: subprocess.Popen[str]
    took: int


@contextlib.contextmanager
def crowd_at(address: str, count: int) -> Iterator[Crowd]:
    """`count` connections were tried; those that were taken stay open while the block runs."""
    command = [sys.executable, "-m", "tests.real.crowd", address, str(count)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield Crowd(child, int(child.stdout.readline()))
    finally:
        child.communicate(timeout=60)


def connected(address: str) -> socket.socket | None:
    """One more of the crowd; None when nobody takes it."""
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    one.settimeout(CONNECT_S)
    try:
        if family == socket.AF_UNIX:
            # A full queue holds a connect up for ever; this says so at once.
            one.setblocking(False)
            one.connect(address)
            one.sendall(HALF_LINE)
        else:
            host, _, port = address.partition(":")
            one.connect((host, int(port)))
            one.sendall(HALF_REQUEST)
    except OSError:
        one.close()
        return None
    return one


def main() -> None:
    """Fill up, say how many, come back whenever cut off, until standard input ends."""
    address, count = sys.argv[1], int(sys.argv[2])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + DESCRIPTORS_SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    crowd = [one for _ in range(count) if (one := connected(address)) is not None]
    sys.stdout.write(f"{len(crowd)}\n")
    sys.stdout.flush()
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    by_number = {one.fileno(): one for one in crowd}
    for number in by_number:
        poll.register(number, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == sys.stdin.fileno():
                return
            poll.unregister(number)
            by_number.pop(number).close()
            again = connected(address)
            if again is not None:
                by_number[again.fileno()] = again
                poll.register(again.fileno(), select.POLLIN)


if __name__ == "__main__":
    main()
