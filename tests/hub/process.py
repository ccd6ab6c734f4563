"""The hub as a real process on a real port, and a node's side of its interface."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from resource import RLIMIT_NOFILE, setrlimit
from typing import IO, Any

import requests

from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.core.model import Entry
from interlock.protocol import canonical, hubapi, hubtime
from interlock.protocol.credentials import HubAccess, NodeKeys
from interlock.protocol.deltas import claimed_version
from interlock.protocol.records import Head, RecordType, head_from_wire
from interlock.protocol.snapshots import SnapshotHeader, read_snapshot
from tests.hub.journal import Journal

START_S_MAX = 120.0
STOP_S_MAX = 60.0
CALL_S_MAX = 80.0
MAKE_S_MAX = 240.0
"""A lab is made in four seconds by a computer of one's own; tests share theirs with each other."""

_RUN = """
import sys
from pathlib import Path
from interlock.hub import commands
commands.run(Path(sys.argv[1]), port=int(sys.argv[2]),
             on_ready=lambda people, nodes: print("hub:", people, "nodes:", nodes, flush=True))
"""

_MAKE = """
import json, sys
from pathlib import Path
from interlock.hub import commands
from interlock.sim.lab import sample_lab
folder = Path(sys.argv[1])
sample_lab(folder)
for machine in ("saw", "laser"):
    commands.add_node(folder, machine, folder / "nodes")
from interlock.hub.models import Badge
badge = Badge.objects.select_related("member").get(label="trained")
print(json.dumps({"member": badge.member.public_id, "tag": bytes(badge.tag).hex()}))
"""

_IN_HUB = """
import sys
from pathlib import Path
from interlock.hub import commands
commands.open_hub(Path(sys.argv[1]))
from interlock.clock import SystemClock
from interlock.hub.permissions import Actor
from interlock.hub.models import *
from interlock.hub.domain import accounts, labs, machines, members, nodes, tariffs, trainings
actor = Actor(SystemClock(), label="test")
"""


LOGIN = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
user = User.objects.filter(email='o@example.org').first() or accounts.create_user(
    'o@example.org', 'Olive', 'correct horse battery')
Role.objects.filter(user=user).delete()
accounts.give_role(actor, Lab.objects.get(), user, RoleName('ROLE')) if 'ROLE' else None
store = SessionStore()
store[SESSION_KEY] = str(user.pk)
store[BACKEND_SESSION_KEY] = 'django.contrib.auth.backends.ModelBackend'
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.create()
print(store.session_key)
"""
"""A login with one role (or none), as code for `HubFolder.run`; prints the session's key."""


@dataclass(frozen=True)
class HubFolder:
    """A hub's folder with the sample lab, and what its nodes know."""

    path: Path
    member: str
    tag: str

    def node(self, machine: str = "saw") -> tuple[NodeKeys, HubAccess]:
        nodes = self.path / "nodes"
        return (
            read_node_keys(nodes / f"{machine}.node.json"),
            read_hub_access(nodes / f"{machine}.sync.json"),
        )

    def journal(self, machine: str = "saw") -> Journal:
        keys, _ = self.node(machine)
        return Journal(keys.node, keys.chain_key)

    def start(self, journal: Journal) -> str:
        """A session of the trained member in `journal`; its id."""
        return journal.write(
            RecordType.SESSION_STARTED,
            member=self.member,
            tag=self.tag,
            badge_use="tap",
            evidence={},
        ).id

    def run(self, code: str) -> str:
        """`code` in a process of its own that works on this hub; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", _IN_HUB + code, str(self.path)],
            capture_output=True,
            text=True,
            timeout=MAKE_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def count(self, code: str) -> Any:
        """The JSON value of an expression over the models."""
        return json.loads(self.run(f"import json; print(json.dumps({code}))"))


def make_folder(path: Path) -> HubFolder:
    """A fresh sample lab, made by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MAKE, str(path)],
        capture_output=True,
        text=True,
        timeout=MAKE_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return HubFolder(path, **json.loads(done.stdout))


def copy_folder(source: HubFolder, path: Path) -> HubFolder:
    """The same lab once more."""
    shutil.copytree(source.path, path)
    return HubFolder(path, source.member, source.tag)


class HubProcess:
    """`interlock hub run` without its command line; every warning would end it."""

    def __init__(
        self,
        folder: HubFolder,
        port: int = 0,
        environment: dict[str, str] | None = None,
        descriptors: tuple[int, int] | None = None,
    ) -> None:
        """`descriptors`: the soft and hard limit of open files it is born with."""

        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _RUN, str(folder.path), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=descriptors and partial(setrlimit, RLIMIT_NOFILE, descriptors),
        )
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.url, self.nodes_url = self._addresses()

    def _addresses(self) -> tuple[str, str]:
        assert self._process.stdout is not None
        line = _line_within(self._process.stdout, START_S_MAX)
        if not line.startswith("hub: "):
            self.kill()
            raise AssertionError(f"the hub did not start: {line!r}\n{self.said}")
        people, _, nodes = line.removeprefix("hub: ").strip().partition(" nodes: ")
        return people.rstrip("/"), nodes.rstrip("/")

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)

    @property
    def said(self) -> str:
        """What it wrote to stderr."""
        return "".join(self._said)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._ended()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self._process.wait(STOP_S_MAX)
        self._listener.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        return code


@contextmanager
def running(folder: HubFolder, **environment: str) -> Iterator[HubProcess]:
    """The hub serves for the length of a block; then it must end in order and without a warning."""
    hub = HubProcess(folder, environment=environment)
    try:
        yield hub
    except BaseException:
        hub.kill()
        raise
    code = hub.stop()
    assert (code, hub.said) == (0, "")


class NodeClient:
    """What sync does, without its patience."""

    def __init__(self, url: str, keys: NodeKeys, access: HubAccess) -> None:
        self.url, self.keys = url, keys
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {access.credential}"

    def hello(self, head: Head, nonce: bytes = bytes(16), mode: str = "locked") -> dict[str, Any]:
        """The checked answer."""
        answer = self.post(hubapi.PATH_HELLO, self.greeting(head, nonce, mode))
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        hubtime.open_time(
            said["time"], self.keys.hub_key(), lab=self.keys.lab, node=self.keys.node, nonce=nonce
        )
        return said

    def greeting(
        self, head: Head, nonce: bytes = bytes(16), mode: str = "locked"
    ) -> dict[str, Any]:
        return {
            "v": 1,
            "software": "test",
            "boot_id": "boot-1",
            "head": head.to_wire(),
            "version": None,
            "nonce": nonce.hex(),
            "mode": mode,
        }

    def records(self, wires: list[dict[str, Any]]) -> Head:
        """The hub's head after the batch."""
        answer = self.post(hubapi.PATH_RECORDS, {"v": 1, "records": wires})
        assert answer.status_code == 200, answer.text
        assert answer.json()["set_aside"] == []
        return head_from_wire(answer.json()["head"])

    def changes(self, since: str, wait_s: int = 0) -> list[int] | None:
        """The newer version, None after `wait_s` without one."""
        answer = self.get(hubapi.PATH_CHANGES, since=since, wait=str(wait_s))
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.text
        if answer.headers["Content-Type"] == hubapi.DELTA_TYPE:
            return list(claimed_version(answer.content))
        version: list[int] = answer.json()["version"]
        return version

    def snapshot(self) -> tuple[SnapshotHeader, list[Entry]]:
        """The verified snapshot."""
        answer = self.get(hubapi.PATH_SNAPSHOT)
        assert answer.status_code == 200
        header, entries = read_snapshot(
            io.BytesIO(answer.content),
            self.keys.hub_key(),
            lab=self.keys.lab,
            node=self.keys.node,
        )
        return header, list(entries)

    def post(self, path: str, message: Any) -> requests.Response:
        body = message if isinstance(message, bytes) else canonical.dumps(message)
        return self.session.post(self.url + path, data=body, timeout=CALL_S_MAX)

    def get(self, path: str, **query: str) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=CALL_S_MAX)


def _line_within(stream: IO[str], seconds: float) -> str:
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    return lines[0] if lines else ""
