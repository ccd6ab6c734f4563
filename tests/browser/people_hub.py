"""A freshly installed hub goes in, as a real process; its address, its first owner's link and its browser come out.

In the middle a child speaks for the machine's node: it enrols one for the machine the assistant made and lets
it refuse a card, as a node does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interlock.protocol.credentials import hub_access_from_wire, node_keys_from_wire
from interlock.protocol.records import RecordType
from tests.browser.hub_process import CHILD_S_MAX, ROOT, START_S_MAX, STOP_S_MAX, SpokenNode
from tests.waiting import wait_until


@dataclass
class FreshHub:
    """A running hub that nobody has set up."""

    address: str
    link: str
    directory: Path

    def node_of(self, machine: str) -> SpokenNode:
        """The node of that machine, enrolled now and ready to speak."""
        out = self.directory.parent / "nodes"
        _hub("add-node", machine, "--dir", str(self.directory), "--out", str(out))
        keys, access = sorted(out.glob("*.node.json")), sorted(out.glob("*.sync.json"))
        return SpokenNode(
            self.address,
            node_keys_from_wire(json.loads(keys[0].read_bytes())),
            hub_access_from_wire(json.loads(access[0].read_bytes())),
        )


def refuse(node: SpokenNode, tag: str) -> None:
    """Somebody held a card to the machine that nobody knows, and the hub has heard of it."""
    node.write(
        RecordType.REFUSED,
        reason="UNKNOWN_BADGE",
        tag=tag,
        member=None,
        training=None,
        evidence=None,
        count=1,
    )
    node.send()


@contextmanager
def fresh_hub(folder: Path, language: str) -> Iterator[FreshHub]:
    """`interlock hub init` and `run`, on a free port of this computer, ended afterwards."""
    directory = folder / "hub"
    said = _hub("init", "--dir", str(directory), "--language", language)
    run = [sys.executable, "-m", "interlock", "hub", "run", "--dir", str(directory)]
    with (folder / "hub.log").open("wb") as log:
        server = subprocess.Popen(
            [*run, "--port", "0", "--node-port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        os.set_blocking(server.stdout.fileno(), False)
        address = wait_until(lambda: _address(server), START_S_MAX, "the hub's address")
        yield FreshHub(address, address + said.strip().split("/", 3)[3], directory)
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


def _hub(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "hub", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=CHILD_S_MAX,
    )
    return done.stdout
