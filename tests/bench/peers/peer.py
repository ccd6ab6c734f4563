"""A peer's process in a folder of its own in; its times, or why there are none, out."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

MEMBERS = 500
HOST = "127.0.0.1"
START_S = 60
CALL_S = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """One peer's requests, in milliseconds; `why_not` where there are none."""

    peer: str
    seam: str
    leaves_out: str
    ms: Sequence[float] = ()
    why_not: str = ""


@contextlib.contextmanager
def process(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The peer runs while the block does; what it says is in `folder`/log.txt."""
    with (folder / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def listening(port: int) -> bool:
    """Whether somebody takes calls there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def wait_for(port: int, child: subprocess.Popen[bytes], folder: Path) -> None:
    """The peer takes calls; an AssertionError with its last words when it died first."""

    def up() -> bool:
        if child.poll() is not None:
            raise AssertionError((folder / "log.txt").read_text(errors="replace")[-800:])
        return listening(port)

    wait_until(up, START_S, f"port {port}")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Caller:
    """One kept-alive connection, as a good client of a peer would have."""

    def __init__(self, port: int) -> None:
        self._line = http.client.HTTPConnection(HOST, port, timeout=CALL_S)

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, list[str]]:
        """Status, body and cookies of the answer."""
        self._line.request("POST", path, body, dict(headers))
        answer = self._line.getresponse()
        cookies = answer.headers.get_all("Set-Cookie") or []
        return answer.status, answer.read(), cookies

    def post_json(self, path: str, asked: Mapping[str, Any]) -> Any:
        """The answer's JSON; AssertionError for anything but 200."""
        kind = {"Content-Type": "application/json"}
        status, body, _ = self.post(path, json.dumps(asked).encode(), kind)
        assert status == 200, (status, body[:400])
        return json.loads(body)

    def close(self) -> None:
        """Hung up."""
        self._line.close()
