"""MQTT 3.1.1 as a board speaks it: connect, subscribe, publish and hear, QoS 0 and no more (OASIS standard, 2014)."""

from __future__ import annotations

import socket
import struct

from tests.bench.peers.peer import CALL_S, HOST

CONNECT, CONNACK, PUBLISH, SUBSCRIBE, SUBACK = 1, 2, 3, 8, 9
CLEAN_SESSION, KEEP_ALIVE_S = 0x02, 3_600


class Board:
    """One connection, subscribed to one topic."""

    def __init__(self, port: int, name: str, topic: str, answer_s: float = CALL_S) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=answer_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        head = _text("MQTT") + struct.pack("!BBH", 4, CLEAN_SESSION, KEEP_ALIVE_S)
        self._send(CONNECT << 4, head + _text(name))
        self._await(CONNACK)
        self._send(SUBSCRIBE << 4 | 2, struct.pack("!H", 1) + _text(topic) + b"\0")
        self._await(SUBACK)

    def publish(self, topic: str, message: bytes) -> None:
        """Said, at most once."""
        self._send(PUBLISH << 4, _text(topic) + message)

    def heard(self) -> bytes:
        """The next message of the topic."""
        body = self._await(PUBLISH)
        (length,) = struct.unpack_from("!H", body)
        return body[2 + length :]

    def close(self) -> None:
        """Gone."""
        self._stream.close()
        self._socket.close()

    def _send(self, kind: int, body: bytes) -> None:
        length, left = b"", len(body)
        while True:
            left, digit = divmod(left, 128)
            length += bytes([digit | (128 if left else 0)])
            if not left:
                break
        self._socket.sendall(bytes([kind]) + length + body)

    def _await(self, kind: int) -> bytes:
        while True:
            first = self._read(1)[0]
            length = shift = 0
            while True:
                digit = self._read(1)[0]
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    break
            body = self._read(length)
            if first >> 4 == kind:
                return body

    def _read(self, count: int) -> bytes:
        read = self._stream.read(count)
        assert len(read) == count, "the broker hung up"
        return read


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text)) + text.encode()
