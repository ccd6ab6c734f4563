"""A folder goes in; a real hub in its own process comes out, with a sample lab and a node to speak for.

The process of the tests never touches the database: the lab is made by a child (`python -m
tests.browser.hub_process FOLDER`) and the node speaks HTTP, as sync does.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import requests

from interlock.protocol import hubapi
from interlock.protocol.credentials import (
    HubAccess,
    NodeKeys,
    hub_access_from_wire,
    node_keys_from_wire,
)
from interlock.protocol.deltas import claimed_version
from interlock.protocol.records import GENESIS, SALT_BYTES, Head, Header, RecordType, seal
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_S_MAX = 30.0
STOP_S_MAX = 15.0
REQUEST_S_MAX = 10.0
CHILD_S_MAX = 300.0
"""Making a hub asks 13 s of a core, and took over 120 s beside a full run: this ends only what hangs."""
PASSWORD = "correct horse battery"
LONG_NAME = "Wilhelmina van der Bergen-Vandenberghe"
LONG_MACHINE = "Imprimante sérigraphique grand format"


@dataclass
class Hub:
    """A running hub: its address, the first owner's link, what the sample lab holds."""

    address: str
    folder: Path
    link: str
    sample: dict[str, Any]

    def node(self) -> SpokenNode:
        """The saw's node, ready to speak."""
        files = self.folder / "nodes"
        return SpokenNode(
            self.address,
            node_keys_from_wire(json.loads(next(files.glob("*.node.json")).read_bytes())),
            hub_access_from_wire(json.loads(next(files.glob("*.sync.json")).read_bytes())),
        )


@dataclass
class SpokenNode:
    """What the hub hears of a node: hello and records, sealed as the journal seals them."""

    address: str
    keys: NodeKeys
    access: HubAccess
    boot_ms: int = 60_000
    head: Head = field(default_factory=lambda: Head(1, 0, GENESIS))
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def hello(self, mode: str = "locked", version: tuple[int, int] | None = None) -> dict[str, Any]:
        """The node says who and how it is."""
        answer = self._call(
            "POST",
            hubapi.PATH_HELLO,
            {
                "v": hubapi.VERSION,
                "software": "0.1.0",
                "boot_id": "boot-1",
                "head": self.head.to_wire(),
                "version": list(version) if version else None,
                "nonce": secrets.token_hex(16),
                "mode": mode,
            },
        )
        said: dict[str, Any] = answer.json()
        return said

    def write(self, kind: RecordType, **body: Any) -> str:
        """The next record of the journal, a second after the last; returns its id."""
        self.boot_ms += 1_000
        header = Header(
            node=self.keys.node,
            epoch=self.head.epoch,
            seq=self.head.seq + 1,
            boot_id="boot-1",
            boot_ms=self.boot_ms,
            wall_ms=None,
            wall_trusted=False,
            type=kind,
        )
        salt = blake2b(header.to_bytes(), digest_size=SALT_BYTES).digest()
        sealed = seal(header, body, salt=salt, prev=self.head.hash, chain_key=self.keys.chain_key)
        self.head = Head(header.epoch, header.seq, sealed.hash)
        self.waiting.append(sealed.to_wire())
        return sealed.id

    def send(self) -> None:
        """Everything written so far is at the hub."""
        self._call("POST", hubapi.PATH_RECORDS, {"v": hubapi.VERSION, "records": self.waiting})
        self.waiting = []

    def start(self, member: dict[str, str]) -> str:
        """A session of that member begins, and the hub knows."""
        started = self.write(
            RecordType.SESSION_STARTED,
            member=member["id"],
            tag=member["tag"],
            badge_use="tap",
            evidence={},
        )
        self.send()
        return started

    def end(self, session: str, enabled_s: int, *, estimated: bool = False) -> None:
        """The session is over (estimated: by a power cut), and the hub knows."""
        self.boot_ms += enabled_s * 1_000
        self.write(
            RecordType.SESSION_ENDED,
            session=session,
            how="power_lost" if estimated else "tap_off",
            enabled_ms=enabled_s * 1_000,
            busy_ms=0,
            idle_ms=0,
            estimated=estimated,
        )
        self.send()

    def newer_than(self, version: tuple[int, int], wait_s: int) -> tuple[int, int] | None:
        """The long poll: the next version of the rights, None when none came in time."""
        query = f"?since={version[0]}.{version[1]}&wait={wait_s}"
        answer = self._call("GET", hubapi.PATH_CHANGES + query, None, wait_s)
        if answer.status_code == 204:
            return None
        if answer.headers["Content-Type"] == hubapi.DELTA_TYPE:
            return claimed_version(answer.content)
        epoch, counter = answer.json()["version"]
        return (epoch, counter)

    def _call(
        self, method: str, path: str, message: dict[str, Any] | None, wait_s: int = 0
    ) -> requests.Response:
        answer = requests.request(
            method,
            self.address.rstrip("/") + path,
            json=message,
            headers={"Authorization": f"Bearer {self.access.credential}"},
            timeout=REQUEST_S_MAX + wait_s,
        )
        answer.raise_for_status()
        return answer


@contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    """A hub made by the command line in `folder`, filled, served on a free port, ended afterwards."""
    directory = folder / "hub"
    said = _interlock("init", "--dir", str(directory), "--name", "Atelier d’essai").stdout
    child = [sys.executable, "-m", "tests.browser.hub_process", str(directory), str(folder)]
    sample = json.loads(_run(child).stdout)
    command = [sys.executable, "-m", "interlock", "hub", "run", "--dir", str(directory)]
    with (folder / "hub.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--port", "0", "--node-port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        os.set_blocking(server.stdout.fileno(), False)
        address = wait_until(lambda: _address(server), START_S_MAX, "the hub's address")
        path = said.strip().split("/", 3)[3]
        yield Hub(address, folder, address + path, sample)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(STOP_S_MAX)
        if server.stdout is not None:
            server.stdout.close()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.poll() is None, "the hub ended before it served"
    assert server.stdout is not None
    line = server.stdout.readline()
    return line.split(" ", 1)[1].strip() if line.startswith("hub: ") else ""


def _interlock(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "interlock", "hub", *arguments])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=CHILD_S_MAX
    )


# ------------------------------------------------------------------------------ in the child


def fill(directory: Path, folder: Path) -> dict[str, Any]:
    """A lab of every kind of thing, made with the hub's own domain functions."""
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.domain import accounts, labs, machines, members, tariffs, trainings
    from interlock.hub.models import RoleName
    from interlock.hub.permissions import Actor

    actor, lab = Actor(SystemClock()), commands.the_lab()
    wood = trainings.create_training(actor, lab, "wood", "Travail du bois", lapse_days=180)
    laser = trainings.create_training(actor, lab, "laser", "Découpe laser")
    hour = tariffs.Prices(cents_per_hour=1_200, setup_cents=100, forgive_s=0)
    paid = tariffs.create_tariff(actor, lab, "workshop", "Atelier", hour)
    make = machines.create_machine
    make(actor, lab, "saw", "Scie à format", location="Bois", trainings=[wood], tariff=paid)
    make(actor, lab, "laser", "Laser", trainings=[laser, wood], tariff=paid)
    make(actor, lab, "screen", LONG_MACHINE)
    group = labs.create_group(actor, lab, "residents", "Résidentes et résidents")
    ada = members.create_member(actor, lab, "Ada Martin", email="ada@example.org", group=group)
    badge = members.assign_badge(actor, ada, bytes.fromhex("04a1b2c3d4e5f6"), "porte-clés bleu")
    trainings.grant_training(actor, ada, wood)
    long = members.create_member(actor, lab, LONG_NAME, group=group)
    card = members.assign_badge(actor, long, bytes.fromhex("04a1b2c3d4e5f7"), "carte")
    for role in (RoleName.MANAGER, RoleName.MEMBER):
        user = accounts.create_user(f"{role.value}@example.org", f"Some {role.value}", PASSWORD)
        accounts.give_role(actor, lab, user, role, ada if role is RoleName.MEMBER else None)
    # The address in this file is not used: the tests know the real one.
    commands.add_node(directory, "saw", folder / "nodes")
    return {
        "ada": {"id": ada.public_id, "tag": bytes(badge.tag).hex()},
        "long": {"id": long.public_id, "tag": bytes(card.tag).hex()},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fill(Path(sys.argv[1]), Path(sys.argv[2]))))
