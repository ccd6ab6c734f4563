"""Requests in, a world that has done them out: what people do to a machine, over its `world.sock`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from interlock.errors import LinkError


class Hands:
    """A line to the world's `world.sock`."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")
        self._id = 0

    @staticmethod
    def at(path: Path) -> Hands | None:
        """Hands in the world at `path`; None while there is no world."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        return Hands(connection)

    def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request, which was done."""
        self._id += 1
        request = {"id": self._id, "op": op, **arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._lines.readline())
        if not answer["ok"]:
            raise LinkError(answer["message"], where="the world")
        return answer

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
