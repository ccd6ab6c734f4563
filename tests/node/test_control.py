"""The control socket: whoever connects and whatever is sent, an answer or a hang-up, and the next
peer is served.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.clock import SystemClock
from interlock.errors import ConfigError, LinkError, ProtocolError, StoreError
from interlock.node import control as node_control
from interlock.node.control import CONNECTIONS_MAX, WATCHERS_MAX, ControlServer, Users
from interlock.protocol import canonical, control
from interlock.protocol.control import SYNC_OPS, WATCHER_OPS, Op
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

HELLO = canonical.dumps(control.request(Op.HELLO)) + b"\n"
PANEL = canonical.dumps(control.request(Op.PANEL)) + b"\n"


def echo(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"got": {key: value for key, value in request.items() if key != "v"}}


def store_error(request: Mapping[str, Any]) -> dict[str, Any]:
    raise StoreError("disk full", where="journal.db")


def protocol_error(request: Mapping[str, Any]) -> dict[str, Any]:
    raise ProtocolError("hash is another")


def other_error(request: Mapping[str, Any]) -> dict[str, Any]:
    raise ConfigError("no")


def endless(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": "x" * canonical.FRAME_BYTES_MAX}


ANSWERS = {
    **dict.fromkeys(Op, echo),
    Op.RECORDS: store_error,
    Op.ACK: protocol_error,
    Op.SNAPSHOT: other_error,
    Op.DIAGNOSE: endless,
}


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        yield Path(folder) / "run" / "control.sock"


@pytest.fixture
def server(path: Path) -> Iterator[ControlServer]:
    made = ControlServer(path, ANSWERS, Users(own=os.getuid()), SystemClock())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def stranger(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    """A server to which this process is neither its own user nor root."""
    monkeypatch.setattr(node_control, "ROOT", -1)
    made = ControlServer(path, ANSWERS, Users(own=-1), SystemClock())
    made.start()
    yield made
    made.stop()


def connect(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(60)
    peer.connect(str(path))
    return peer


def read_line(peer: socket.socket) -> dict[str, Any] | None:
    """The next answer, None when the server hung up."""
    frame = b""
    while not frame.endswith(b"\n"):
        try:
            chunk = peer.recv(1)
        except ConnectionError:
            return None
        if not chunk:
            return None
        frame += chunk
    answer: dict[str, Any] = json.loads(frame)
    return answer


def ask(path: Path, line: bytes) -> dict[str, Any] | None:
    with connect(path) as peer:
        with suppress(ConnectionError):  # a server without a free place says so and hangs up
            peer.sendall(line)
        return read_line(peer)


@contextmanager
def served_peers(path: Path, count: int) -> Iterator[list[socket.socket]]:
    """`count` connections, each greeted."""
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(path)) for _ in range(count)]
        for peer in peers:
            peer.sendall(PANEL)
            assert read_line(peer) is not None
        yield peers


def test_each_request_gets_one_answer_and_many_may_use_one_connection(
    server: ControlServer, path: Path
) -> None:
    with connect(path) as peer:
        peer.sendall(HELLO + PANEL)
        peer.sendall(HELLO)
        answers = [read_line(peer) for _ in range(3)]
    assert [a and a["got"]["op"] for a in answers] == ["hello", "panel", "hello"]


@pytest.mark.parametrize(
    ("op", "code"),
    [
        (Op.RECORDS, "store"),
        (Op.ACK, "refused"),
        (Op.SNAPSHOT, "failed"),
        (Op.DIAGNOSE, "too_large"),
    ],
)
def test_an_answer_that_cannot_be_given_is_an_error_with_a_code(
    server: ControlServer, path: Path, op: Op, code: str
) -> None:
    answer = ask(path, canonical.dumps(control.request(op)) + b"\n")
    assert answer is not None
    assert (answer["ok"], answer["error"]) == (False, code)
    assert answer["message"]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"v":1}\n',
        b'{"v":2,"op":"hello"}\n',
        b'{"v":1,"op":"open_relay"}\n',
        b'{"v":1.0,"op":"hello"}\n',
        b'{"v":1,"op":"hello"\n',
        b'{"v":true,"op":"hello"}\n',
        b"\xff\xfe\n",
        b"[" * 5_000 + b"\n",
        b'{"v":1,"op":"hello","x":"\\ud800"}\n',
    ],
)
def test_a_malformed_line_gets_an_error_and_the_same_connection_goes_on(
    server: ControlServer, path: Path, line: bytes
) -> None:
    with connect(path) as peer:
        peer.sendall(line + HELLO)
        first, second = read_line(peer), read_line(peer)
    assert first is not None
    assert (first["ok"], first["error"]) == (False, "malformed")
    assert second is not None
    assert second["ok"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(noise=st.binary(max_size=2_000))
def test_no_noise_keeps_the_next_peer_from_its_answer(
    server: ControlServer, path: Path, noise: bytes
) -> None:
    with connect(path) as peer:
        peer.sendall(noise + b"\n")
        answer = read_line(peer)
        assert answer is not None
        assert not answer["ok"]
    good = wait_until(lambda: ask(path, HELLO))
    assert good["ok"]


def test_a_line_without_end_is_answered_once_and_hung_up_on(
    server: ControlServer, path: Path
) -> None:
    with connect(path) as peer:
        with suppress(ConnectionError):  # the server may hang up before it has heard it all
            peer.sendall(b"x" * (canonical.FRAME_BYTES_MAX * 4))
        answer = read_line(peer)
        assert answer is None or answer["error"] == "too_large"
        assert answer is None or read_line(peer) is None
    assert ask(path, HELLO) is not None


def test_the_largest_line_is_answered_and_one_byte_more_is_not(
    server: ControlServer, path: Path
) -> None:
    room = canonical.FRAME_BYTES_MAX - len(canonical.dumps({"v": 1, "op": "panel", "x": ""}))
    for extra, ok in ((0, False), (1, False)):
        line = canonical.dumps({"v": 1, "op": "panel", "x": "y" * (room + extra)})
        answer = ask(path, line + b"\n")
        assert answer is not None
        assert answer["ok"] is ok
        # Echoed, the largest line makes an answer that is too large: it was read, and said so.
        words = "the answer has" if extra == 0 else "a request has at most"
        assert words in answer["message"]


def test_a_trickling_peer_is_hung_up_on_and_holds_up_nobody(
    server: ControlServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_control, "LINE_S", 0.2)
    with connect(path) as slow:
        slow.sendall(b'{"v":1,')
        assert ask(path, HELLO) is not None
        assert read_line(slow) is None


def test_a_peer_that_says_nothing_is_hung_up_on_in_the_end(
    server: ControlServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_control, "IDLE_S", 0.1)
    with connect(path) as silent:
        assert read_line(silent) is None


def test_more_connections_than_places_are_told_so_and_places_come_free_again(
    server: ControlServer, path: Path
) -> None:
    with served_peers(path, CONNECTIONS_MAX):
        busy = ask(path, HELLO)
    assert busy is not None
    assert busy["error"] == "busy"
    wait_until(lambda: (ask(path, HELLO) or {}).get("ok"))


def test_users_who_may_only_look_cannot_take_every_place(
    stranger: ControlServer, path: Path
) -> None:
    with served_peers(path, WATCHERS_MAX):
        busy = ask(path, PANEL)
    assert busy is not None
    assert busy["error"] == "busy"


@pytest.mark.parametrize("op", Op)
def test_another_user_may_look_and_ask_for_nothing_that_names_a_badge(
    stranger: ControlServer, path: Path, op: Op
) -> None:
    answer = ask(path, canonical.dumps(control.request(op)) + b"\n")
    assert answer is not None
    assert answer["ok"] is (op in WATCHER_OPS)
    if op not in WATCHER_OPS:
        assert answer["error"] == "forbidden"


def test_root_and_the_nodes_own_user_may_ask_everything_and_sync_nothing_that_acts() -> None:
    users = Users(own=111, sync=222)
    assert [users.may_ask(uid) for uid in (0, 111)] == [frozenset(Op)] * 2
    assert users.may_ask(222) == SYNC_OPS
    acts = {Op.CLEAR_FAULTS, Op.BREAK_GLASS, Op.END_SESSION, Op.CUT_NOW}
    assert frozenset(Op) - SYNC_OPS == acts
    assert users.may_ask(333) == WATCHER_OPS
    assert Users(own=111).may_ask(222) == WATCHER_OPS
    assert {Op.STATUS, Op.PANEL, Op.BREAK_GLASS} == WATCHER_OPS


def test_a_stale_socket_of_a_killed_node_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    server = ControlServer(path, ANSWERS, Users(own=os.getuid()), SystemClock())
    server.start()
    assert ask(path, HELLO) is not None
    server.stop()


def test_others_reach_the_socket_whatever_the_service_s_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        made = ControlServer(path, ANSWERS, Users(own=os.getuid()), SystemClock())
        made.start()
        modes = [oct(one.stat().st_mode & 0o777) for one in (path.parent, path)]
        made.stop()
    finally:
        os.umask(before)
    assert modes == ["0o711", "0o666"]


def test_stopping_hangs_up_on_everybody_and_removes_the_socket(
    server: ControlServer, path: Path
) -> None:
    with connect(path) as peer:
        peer.sendall(HELLO)
        assert read_line(peer) is not None
        server.stop()
        server.stop()
        assert read_line(peer) is None
    assert not path.exists()


def test_a_socket_that_cannot_be_made_is_an_error_with_its_path(path: Path) -> None:
    path.parent.parent.joinpath("run").touch()
    server = ControlServer(path, ANSWERS, Users(own=os.getuid()), SystemClock())
    with pytest.raises(LinkError, match=r"control\.sock"):
        server.start()


def test_a_node_without_a_free_file_tries_again_ten_times_a_second_and_does_not_spin(
    path: Path,
) -> None:
    slept: list[float] = []

    class Counted(SystemClock):
        def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    server = ControlServer(path, ANSWERS, Users(own=os.getuid()), Counted())
    left = iter(range(3))

    class Exhausted:
        """A listener while the process has no file left; the server is stopped at the fourth try."""

        def accept(self) -> None:
            if next(left, None) is None:
                server._listener = None
            raise OSError(errno.EMFILE, "Too many open files")

    server._listener = Exhausted()  # type: ignore[assignment]
    server._accept()
    assert slept == [0.1] * 3
