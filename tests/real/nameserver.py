"""A name server on a loopback address of its own, which hears every question and answers when told to."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

PORT = 53
A, IN = 1, 1
ANSWER, POINTER = 0x8180, 0xC00C
"""RFC 1035 section 4.1: a good answer to a recursive question; the name that stands in the question."""

HEADER = struct.Struct("!6H")
RECORD = struct.Struct("!HHHIH4s")
TTL_S = 1


class NameServer:
    """`silent` until told otherwise; then every name is at 127.0.0.1."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.silent = True
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, PORT))
        self._thread = threading.Thread(target=self._serve, name="name server")
        self._thread.start()

    def close(self) -> None:
        """Nobody listens any more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self.address, PORT))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, peer = self._socket.recvfrom(4_096)
            if not question:
                return
            self.questions += 1
            if not self.silent:
                self._socket.sendto(answer_to(question), peer)


def answer_to(question: bytes) -> bytes:
    """127.0.0.1 for a question of type A, a name without any for the others."""
    number = HEADER.unpack_from(question)[0]
    end = question.index(b"\0", HEADER.size) + 5
    kind = struct.unpack_from("!H", question, end - 4)[0]
    found = b""
    if kind == A:
        found = RECORD.pack(POINTER, A, IN, TTL_S, 4, socket.inet_aton("127.0.0.1"))
    header = HEADER.pack(number, ANSWER, 1, 1 if found else 0, 0, 0)
    return header + question[HEADER.size : end] + found


@contextlib.contextmanager
def name_server(folder: Path) -> Iterator[tuple[NameServer, Path]]:
    """A silent one, and a resolv.conf that names it and no other."""
    # One address for each process of the tests: port 53 cannot be chosen.
    pid = os.getpid()
    server = NameServer(f"127.53.{pid >> 8 & 255}.{pid & 255 or 1}")
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {server.address}\noptions timeout:2 attempts:2\n")
    try:
        yield server, resolv
    finally:
        server.close()
