"""Certificates that end and authorities that change under a hub that runs: nodes go on, nobody visits anything."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from interlock.clock import SystemClock
from interlock.config.secret_files import read_hub_access
from interlock.errors import LinkError
from interlock.hub.authority import RENEW_BEFORE, SERVER_LIFE, Certificates
from interlock.protocol.credentials import HubAccess
from interlock.protocol.records import GENESIS, Head
from interlock.sim.clocks import VirtualClock
from interlock.sync.hub_client import HubClient
from interlock.sync.links import HubHello, NodeHello
from interlock.sync.trust import Trust
from tests.hub.process import HubFolder, HubProcess, make_folder, running
from tests.real.enrolment import Computer, Manager
from tests.real.nginx import shown_certificate
from tests.waiting import wait_until

pytestmark = pytest.mark.real

SHOWN_S = 20.0
"""The hub looks once a second; these tests share two cores."""


@dataclass
class Site:
    """A hub that serves until the end of this file, and a node that was enrolled there by a code."""

    folder: HubFolder
    hub: HubProcess
    manager: Manager
    access: HubAccess

    @property
    def keys(self) -> Path:
        return self.folder.path / "keys"

    def shown(self) -> x509.Certificate:
        """What the hub shows to whoever connects now."""
        return x509.load_der_x509_certificate(shown_certificate(self.hub.nodes_url))

    def serial_in_file(self) -> int:
        return Certificates(self.keys, SystemClock()).server().serial_number

    def wait_for(self, serial: int) -> None:
        wait_until(lambda: self.shown().serial_number == serial, SHOWN_S, "the new certificate")

    def run_job(self) -> str:
        """`interlock hub jobs --only certificates`, as the timer runs it; what it says."""
        command = ("-m", "interlock", "hub", "jobs", "--dir", str(self.folder.path))
        done = subprocess.run(
            [sys.executable, *command, "--only", "certificates"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The hub ends in order and without a warning: nothing below made it start again."""
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        folder = make_folder(Path(path) / "lab")
        with running(folder) as hub, contextlib.ExitStack() as stack:
            manager = Manager(folder)
            stack.callback(manager.leave)
            computer = Computer(Path(path) / "pi")
            stack.callback(computer.kill)
            computer.begin(manager.code(hub.nodes_url))
            computer.words()
            manager.ask("confirm", "saw")
            assert computer.end() == 0, computer.said
            yield Site(folder, hub, manager, read_hub_access(computer.files.access))


def hello(site: Site, trust: Trust, nonce: str = "ab" * 16) -> HubHello:
    """A greeting over a connection of its own. Raises LinkError: the certificate is not believed."""
    head = Head(2, 0, GENESIS)
    node = site.access.node
    said = NodeHello(site.access.lab, node, "1", "b", "locked", head, head, (0, 0), nonce)
    with contextlib.closing(HubClient(site.access, trust=trust)) as client:
        answer = client.hello(said)
    assert isinstance(answer, HubHello), answer
    return answer


def now() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall_ms() / 1_000, UTC)


def test_a_certificate_that_ends_soon_is_renewed_by_the_job_and_shown_without_a_restart(
    site: Site,
) -> None:
    """The node knows the time, so that dates count: the renewed one is what it needs a month later."""
    trust = Trust(site.access, SystemClock())
    hello(site, trust)
    issued_at = now() - SERVER_LIFE + RENEW_BEFORE - timedelta(days=1)
    past = VirtualClock(wall_ms=int(issued_at.timestamp() * 1_000))
    (site.keys / "server.pem").unlink()
    assert Certificates(site.keys, past).ensure_server(["127.0.0.1", "localhost"])
    ending = site.serial_in_file()
    site.wait_for(ending)
    hello(site, trust)

    assert "the hub has a new certificate" in site.run_job()
    renewed = site.serial_in_file()
    assert renewed != ending
    site.wait_for(renewed)
    left = site.shown().not_valid_after_utc - now()
    assert left > SERVER_LIFE - timedelta(days=1)
    hello(site, trust)
    assert "nothing ends soon" in site.run_job()
    assert site.serial_in_file() == renewed
    assert site.hub.is_running


def test_a_replaced_authority_cuts_no_node_off_that_heard_of_it(site: Site, tmp_path: Path) -> None:
    """Last of this file. From its next greeting on the node believes the next authority alone: the hub that
    runs has to show a certificate of that one at once, not within the hour."""
    trust, deaf = (Trust(site.access, SystemClock(), tmp_path), Trust(site.access, SystemClock()))
    site.manager.ask("roll")
    hello(site, trust)
    hello(site, trust)
    assert trust.serial == 2
    before = site.shown()

    assert "the next authority signs now" in site.run_job()
    site.wait_for(site.serial_in_file())
    assert site.shown().issuer != before.issuer
    hello(site, trust)
    assert trust.serial == 3
    # What it has learnt is all it believes, and its next connection is a new one.
    assert len(trust.context().get_ca_certs()) == 1
    hello(site, trust)
    with pytest.raises(LinkError, match="its certificate is not the lab's"):
        hello(site, deaf)
    assert site.hub.is_running
