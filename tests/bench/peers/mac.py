"""machine-access-control (MIT, Decatur Makers): a board's report of a fob in, "relay on" out."""

from __future__ import annotations

import json
from pathlib import Path

from interlock.clock import perf_us
from tests.bench.peers.peer import MEMBERS, Caller, Measured, free_port, process, wait_for

PEER = "machine-access-control 0.15.0"
SEAM = "fob reported over HTTP → answer says relay on (state saved to its file)"
LEAVES_OUT = "its ESP32: reader, Wi-Fi, polling, relay; no flush to the disk"
MACHINE, RIGHT = "saw", "Saw"


def measure(peers: Path, folder: Path, requests: int) -> Measured:
    """The time of `requests` insertions, each by another member."""
    server = peers / "mac" / "bin" / "mac-server"
    if not server.exists():
        return Measured(PEER, SEAM, LEAVES_OUT, why_not="not installed (README.md)")
    _write_lab(folder)
    port = free_port()
    command = [str(server), "--port", str(port)]
    with process(command, folder) as child:
        wait_for(port, child, folder)
        caller = Caller(port)
        try:
            return Measured(PEER, SEAM, LEAVES_OUT, [_once(caller, n) for n in range(requests)])
        finally:
            caller.close()


def _once(caller: Caller, number: int) -> float:
    begun_us = perf_us()
    said = _report(caller, fob_of(number % MEMBERS))
    ended_us = perf_us()
    assert said["relay"] is True, said
    assert _report(caller, "")["relay"] is False
    return (ended_us - begun_us) / 1_000


def _report(caller: Caller, fob: str) -> dict[str, object]:
    said: dict[str, object] = caller.post_json(
        "/api/machine/update",
        {
            "machine_name": MACHINE,
            "oops": False,
            "rfid_value": fob,
            "uptime": 1.0,
            "wifi_signal_db": -50,
            "wifi_signal_percent": 90,
            "internal_temperature_c": 40.0,
        },
    )
    return said


def fob_of(number: int) -> str:
    """Ten digits, as its reader spells them."""
    return f"{1_000_000 + number:010}"


def _write_lab(folder: Path) -> None:
    members = [
        {
            "fob_codes": [fob_of(number)],
            "account_id": str(number),
            "full_name": f"Member {number}",
            "first_name": "Member",
            "last_name": str(number),
            "preferred_name": f"M{number}",
            "email": f"m{number}@lab.test",
            "expiration_ymd": "2099-12-31",
            "authorizations": [RIGHT],
        }
        for number in range(MEMBERS)
    ]
    (folder / "users.json").write_text(json.dumps(members))
    machines = {MACHINE: {"authorizations_or": [RIGHT]}}
    (folder / "machines.json").write_text(json.dumps(machines))
