"""The comparison with peers: who is not installed says so, and a figure is never made up for them."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.bench.peers import fabomatic, mac, nemo
from tests.bench.peers.__main__ import others, table
from tests.bench.peers.mqtt import CONNACK, PUBLISH, SUBACK, Board
from tests.bench.peers.peer import HOST, Measured

pytestmark = pytest.mark.fast


def test_a_peer_that_is_not_installed_says_so_and_has_no_figure(tmp_path: Path) -> None:
    found = others(tmp_path, 5)
    assert [one.peer for one in found] == [mac.PEER, fabomatic.PEER, nemo.PEER]
    lines = list(table(found, [1.0], [1.0, 2.0]))
    for one in found:
        (line,) = (line for line in lines if line.startswith(f"| {one.peer} "))
        assert "not installed" in line
        assert "p50" not in line


def test_a_slower_and_a_quicker_peer_are_told_apart() -> None:
    found = [Measured("slow", "a", "b", [20.0] * 5), Measured("quick", "a", "b", [1.0] * 5)]
    lines = "\n".join(table(found, [0.5], [2.0] * 3))
    assert "| 10.0 times as fast | 40.0 times as fast |" in lines
    assert "| 2.0 times as slow | 2.0 times as fast |" in lines


def test_a_board_hears_a_long_message_of_its_topic() -> None:
    """Longer than one byte of MQTT's length says, and behind another message."""
    message = b"x" * 300
    topic = b"\0\x05reply"

    def broker(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4_096)
            peer.sendall(bytes([CONNACK << 4, 2, 0, 0]))
            peer.recv(4_096)
            peer.sendall(bytes([SUBACK << 4, 3, 0, 1, 0]))
            body = topic + message
            length = bytes([len(body) % 128 | 128, len(body) // 128])
            peer.sendall(bytes([0xD0, 0, PUBLISH << 4]) + length + body)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=broker, args=(listener,))
        thread.start()
        board = Board(listener.getsockname()[1], "board", "reply")
        assert board.heard() == message
        board.close()
        thread.join(10)
