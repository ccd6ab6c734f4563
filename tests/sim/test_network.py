"""The cable between sync and hub over real sockets: what passes, what vanishes, what is reset."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from interlock.sim.network import Cable
from tests.sync import servers

pytestmark = pytest.mark.real

PATIENCE_S = 0.3


def echo(connection: socket.socket, over: threading.Event) -> None:
    while chunk := connection.recv(65_536):
        connection.sendall(chunk)
    connection.sendall(b"bye")


@pytest.fixture
def cable() -> Iterator[Cable]:
    with servers.tcp_server(echo) as address:
        cable = Cable("127.0.0.1", int(address.rpartition(":")[2]))
        yield cable
        cable.close()


def connect(cable: Cable) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", cable.port), 60)
    connection.settimeout(60)
    return connection


def exactly(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (chunk := connection.recv(count - len(found))):
        found += chunk
    return found


def test_what_goes_in_comes_out_and_back(cable: Cable) -> None:
    with connect(cable) as one, connect(cable) as two:
        one.sendall(b"one")
        two.sendall(b"two")
        assert (exactly(one, 3), exactly(two, 3)) == (b"one", b"two")


def test_much_more_than_its_buffer_passes_unchanged(cable: Cable) -> None:
    sent = bytes(range(256)) * 20_000
    with connect(cable) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        assert exactly(connection, len(sent)) == sent
        sender.join()


def test_the_end_of_one_direction_lets_the_other_finish(cable: Cable) -> None:
    with connect(cable) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert exactly(connection, 100) == b"last wordsbye"


def test_new_connections_are_refused_while_it_is_out(cable: Cable) -> None:
    cable.unplug()
    assert not cable.plugged
    with pytest.raises(ConnectionRefusedError):
        connect(cable)


def test_an_open_connection_falls_silent_and_nothing_is_said(cable: Cable) -> None:
    with connect(cable) as connection:
        connection.sendall(b"x")
        exactly(connection, 1)
        cable.unplug(silent=True)
        connection.sendall(b"into the void")
        connection.settimeout(PATIENCE_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_an_open_connection_is_reset_when_the_cable_is_pulled_loudly(cable: Cable) -> None:
    with connect(cable) as connection:
        connection.sendall(b"x")
        exactly(connection, 1)
        cable.unplug(silent=False)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_plugged_in_again_the_same_port_serves_and_old_connections_are_reset(cable: Cable) -> None:
    port = cable.port
    with connect(cable) as old:
        old.sendall(b"x")
        exactly(old, 1)
        cable.unplug(silent=True)
        cable.plug()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    assert cable.port == port
    with connect(cable) as new:
        new.sendall(b"back")
        assert exactly(new, 4) == b"back"


def test_a_hub_that_is_down_looks_like_a_reset(cable: Cable) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    dead = Cable("127.0.0.1", port)
    try:
        with pytest.raises(ConnectionResetError), connect(dead) as connection:
            connection.recv(1)
    finally:
        dead.close()


def test_pulling_and_plugging_twice_changes_nothing_more(cable: Cable) -> None:
    cable.unplug()
    cable.unplug()
    cable.plug()
    cable.plug()
    with connect(cable) as connection:
        connection.sendall(b"x")
        assert exactly(connection, 1) == b"x"
