"""FabOMatic (GPL): a board's "checkuser" and "startuse" over a mosquitto in, both answers out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlock.clock import perf_us
from tests.bench.peers.mqtt import Board
from tests.bench.peers.peer import (
    HOST,
    MEMBERS,
    START_S,
    Measured,
    free_port,
    process,
    wait_for,
)
from tests.waiting import wait_until

PEER = "FabOMatic 1.0.7"
SEAM = "checkuser and startuse over MQTT → both answers (use committed in SQLite)"
LEAVES_OUT = "its ESP32: reader, Wi-Fi, relay; its own cache of the last cards"
MACHINE = 1
TOPIC = f"machine/{MACHINE}"


def measure(peers: Path, folder: Path, requests: int) -> Measured:
    """The time of `requests` starts, each by another member."""
    python, broker = peers / "fab" / "bin" / "python", _broker(peers)
    if not python.exists() or broker is None:
        missing = "mosquitto is" if python.exists() else "is"
        return Measured(PEER, SEAM, LEAVES_OUT, why_not=f"{missing} not installed (README.md)")
    port = free_port()
    _write_settings(folder, port)
    (folder / "broker").mkdir()
    conf = folder / "broker" / "mosquitto.conf"
    conf.write_text(f"listener {port} {HOST}\nallow_anonymous true\n")
    libraries = {"LD_LIBRARY_PATH": _libraries(peers)} if peers in broker.parents else {}
    with contextlib.ExitStack() as stack:
        mosquitto = stack.enter_context(
            process([str(broker), "-c", str(conf)], folder / "broker", libraries)
        )
        wait_for(port, mosquitto, folder / "broker")
        home = {"HOME": str(folder)}
        command = [str(python), "-m", "FabOMatic", "--loglevel", "30"]
        stack.enter_context(process(command, folder, home))
        wait_until(lambda: _has_members(folder / "lab.db"), START_S, "the peer's database")
        board = wait_until(lambda: _answered(port), START_S, "an answer of the peer")
        stack.callback(board.close)
        return Measured(PEER, SEAM, LEAVES_OUT, [_once(board, n) for n in range(requests)])


def _answered(port: int) -> Board | None:
    """A board whose machine the peer knows; None while it does not listen to its topic yet."""
    board = Board(port, "board", f"{TOPIC}/reply", answer_s=2)
    try:
        assert _ask(board, {"action": "checkmachine"})["is_valid"]
    except TimeoutError:
        board.close()
        return None
    return board


def _once(board: Board, number: int) -> float:
    uid = uid_of(number % MEMBERS)
    begun_us = perf_us()
    allowed = _ask(board, {"action": "checkuser", "uid": uid})
    started = _ask(board, {"action": "startuse", "uid": uid})
    ended_us = perf_us()
    assert allowed["is_valid"], allowed
    assert started["request_ok"], started
    assert _ask(board, {"action": "stopuse", "uid": uid, "duration": 1})["request_ok"]
    return (ended_us - begun_us) / 1_000


def _ask(board: Board, question: Mapping[str, Any]) -> dict[str, Any]:
    board.publish(TOPIC, json.dumps(question).encode())
    answer: dict[str, Any] = json.loads(board.heard())
    return answer


def uid_of(number: int) -> str:
    """Four bytes, as its boards spell them."""
    return f"{0xA0000000 + number:08x}"


def _broker(peers: Path) -> Path | None:
    unpacked = peers / "mosq" / "root" / "usr" / "sbin" / "mosquitto"
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    return unpacked if unpacked.exists() else Path(found) if found else None


def _libraries(peers: Path) -> str:
    root = peers / "mosq" / "root"
    folders = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")]
    return os.pathsep.join(map(str, folders))


def _has_members(path: Path) -> bool:
    """The peer made its tables; our members are in them."""
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
        try:
            machines = database.execute("SELECT count(*) FROM machines").fetchone()[0]
            role = database.execute(
                "SELECT role_id FROM roles WHERE role_name = 'Fab Users'"
            ).fetchone()
        except sqlite3.OperationalError:
            return False
        if not machines or role is None:
            return False
        members = [
            ("Member", str(number), role[0], uid_of(number), 0, 0, 0) for number in range(MEMBERS)
        ]
        database.executemany(
            "INSERT INTO users (name, surname, role_id, card_UUID, disabled, deleted,"
            " receive_weekly_summary) VALUES (?, ?, ?, ?, ?, ?, ?)",
            members,
        )
        database.commit()
    return True


def _write_settings(folder: Path, port: int) -> None:
    settings = folder / ".config" / "FabOMatic" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"""
[database]
url = "sqlite:///{folder}/lab.db"
name = "lab"
[MQTT]
broker = "{HOST}"
port = {port}
client_id = "bench"
topic = "machine"
reply_subtopic = "/reply"
stats_topic = "stats"
user = ""
[web]
secret_key = "of a benchmark"
default_admin_email = "admin@lab.test"
base_url = "https://lab.test"
[email]
server = "127.0.0.1"
port = 25
use_tls = false
username = ""
password = ""
sender = "admin@lab.test"
[weekly_summary]
enabled = false
language = "en"
"""
    )
