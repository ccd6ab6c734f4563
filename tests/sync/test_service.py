"""The real sync process between a model node on a real socket and a real hub process."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.config.secret_files import read_hub_access, read_node_keys, write_hub_access
from interlock.protocol import hubapi, hubtime
from interlock.protocol.credentials import HubAccess
from interlock.protocol.records import Head
from interlock.sim.demo_machines import SAW, MachineFolder, node_toml
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import Phase, Unit
from interlock.sync.hub_client import HubClient
from interlock.sync.links import HubHello
from tests.hub.process import HubFolder
from tests.ports import free_port
from tests.sync import servers
from tests.sync.served import KeyedNode
from tests.waiting import wait_until

pytestmark = pytest.mark.real

POLL_MS = hubapi.WAIT_S_MAX * 1_000
"""So long a poll waits at the hub when nobody ends it."""


@dataclass
class Site:
    """One machine's files, its model node, and the hub they belong to."""

    folder: MachineFolder
    hub: Path
    node: KeyedNode
    access: HubAccess
    manager: ServiceManager

    @property
    def sync(self) -> Unit:
        arguments = ("sync", "run", "--config", str(self.folder.node_toml))
        return unit("sync", *arguments)

    def hub_unit(self, port: int) -> Unit:
        at = ("--dir", str(self.hub), "--port", str(port), "--node-port", "0")
        return unit("hub", "hub", "run", *at, watchdog_s=None)

    def head_at_hub(self) -> Head:
        hub = HubClient(self.access)
        answer = hub.hello(replace(self.node.hello(), nonce="ab" * 16))
        hub.close()
        assert isinstance(answer, HubHello)
        return answer.head


def unit(name: str, *arguments: str, watchdog_s: float | None = 1.0) -> Unit:
    command = (sys.executable, "-m", "interlock", *arguments)
    return Unit(name, command, watchdog_s=watchdog_s, restart_s=0.1, start_s=60, stop_s=20)


@pytest.fixture(scope="module")
def lab() -> Iterator[Path]:
    """A hub's folder and a machine's keys, made once; each test works on a copy."""
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        command = [sys.executable, "-m", "interlock.sim.demo_hub", path, "http://127.0.0.1:1"]
        subprocess.run(command, check=True, capture_output=True)
        yield Path(path)


@pytest.fixture
def site(lab: Path) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        root, port = Path(path), free_port()
        shutil.copytree(lab, root, dirs_exist_ok=True)
        folder = MachineFolder(root / "machines" / SAW.id)
        folder.control_socket.parent.mkdir(parents=True)
        (folder.state / "spool").mkdir()
        folder.node_toml.write_text(node_toml(SAW, folder))
        access = replace(read_hub_access(folder.sync_access), hub_url=f"http://127.0.0.1:{port}")
        folder.sync_access.unlink()
        write_hub_access(folder.sync_access, access)
        node = KeyedNode(keys=read_node_keys(folder.node_keys), version=(0, 0))
        manager = ServiceManager(root / "run", SystemClock())
        site = Site(folder, root / "hub", node, access, manager)
        manager.start(site.hub_unit(port))
        manager.wait_ready("hub")
        with servers.unix_server(folder.control_socket, node.serve):
            yield site
            manager.close()


class CuttingProxy:
    """Between sync and hub: forwards every request, and hangs up on whoever waits long for an answer."""

    CUT_S = 0.2

    def __init__(self, upstream: str) -> None:
        self._port = int(upstream.rsplit(":", 1)[1])
        self.cuts = 0

    def serve(self, connection: socket.socket, over: threading.Event) -> None:
        request = servers.read_request(connection)
        head, blank, body = request.partition(b"\r\n\r\n")
        answer = b""
        with socket.create_connection(("127.0.0.1", self._port)) as hub:
            hub.sendall(head + b"\r\nConnection: close" + blank + body)
            hub.settimeout(self.CUT_S if hubapi.PATH_CHANGES.encode() in head else None)
            try:
                while chunk := hub.recv(65_536):
                    answer += chunk
            except TimeoutError:
                self.cuts += 1
                return
        connection.sendall(answer)


def drained(site: Site) -> bool:
    return site.node.acked == site.node.head


def test_records_of_a_real_chain_reach_the_real_hub_and_are_acknowledged(site: Site) -> None:
    site.node.write(250)
    site.manager.start(site.sync)
    wait_until(lambda: drained(site), 15)
    assert site.head_at_hub() == site.node.head


def test_a_signed_snapshot_reaches_the_spool_and_the_signed_time_the_node(site: Site) -> None:
    site.manager.start(site.sync)
    wait_until(lambda: site.node.version != (0, 0) and site.node.times, 10)
    assert site.node.files[0] == "snapshot-{}-{}".format(*site.node.version)
    assert set(site.node.times[0]) == {"statement", "signature"}


def test_killed_again_and_again_it_loses_and_doubles_nothing(site: Site) -> None:
    site.manager.start(site.sync)
    for round_ in range(5):
        site.node.write(120)
        site.manager.wait_until(lambda: False, 0.15 * round_)
        site.manager.kill("sync")
        wait_until(lambda n=round_ + 2: site.manager.report("sync").starts == n, 10)  # type: ignore[misc]
    wait_until(lambda: drained(site), 15)
    assert site.head_at_hub() == site.node.head
    assert site.node.head.seq == 600


def test_a_hub_that_is_killed_in_between_gets_everything(site: Site) -> None:
    site.manager.start(site.sync)
    wait_until(lambda: site.node.times, 10)
    site.manager.kill("hub")
    site.node.write(150)
    wait_until(lambda: drained(site), 20)
    assert site.head_at_hub() == site.node.head


def test_a_node_in_conflict_with_the_real_hub_still_gets_time_and_a_revoked_badge(
    site: Site,
) -> None:
    """An old SD card was put back: the hub refuses its records at the hello, with 409."""
    site.node.write(20)
    site.manager.start(site.sync)
    wait_until(lambda: drained(site) and site.node.version != (0, 0), 15)
    site.manager.stop("sync")
    del site.node.journal[10:]
    site.node.acked = site.node.head
    site.node.times.clear()
    before = site.node.version
    site.manager.start(site.sync)
    wait_until(lambda: site.node.times, 10)
    badge = "Badge.objects.filter(condition=BadgeCondition.ACTIVE).first()"
    HubFolder(site.hub, "", "").run(f"members.block_badge(actor, {badge}, BadgeCondition.LOST)")
    wait_until(lambda: site.node.version > before, 10)
    statement = site.node.times[-1]
    keys = site.node.keys
    assert keys is not None
    hubtime.open_time(
        statement, keys.hub_key(), lab=keys.lab, node=keys.node, nonce=bytes.fromhex("ab" * 16)
    )


def test_sigterm_ends_it_at_once_in_the_middle_of_a_long_poll(site: Site) -> None:
    clock = SystemClock()
    site.manager.start(site.sync)
    wait_until(lambda: site.node.version != (0, 0), 10)
    began_ms = clock.boot_ms()
    site.manager.stop("sync")
    assert site.manager.report("sync").ending == "exit code 0"
    assert clock.boot_ms() - began_ms < POLL_MS // 2


def test_a_silent_hub_does_not_keep_it_from_feeding_its_watchdog(site: Site) -> None:
    site.manager.start(site.sync)
    wait_until(lambda: site.node.times, 10)
    site.manager.freeze("hub")
    site.node.write(3)
    assert not site.manager.wait_until(
        lambda: site.manager.report("sync").phase is not Phase.RUNNING, 3
    )
    site.manager.thaw("hub")
    wait_until(lambda: drained(site), 15)


def test_its_state_shows_where_systemctl_status_looks(site: Site) -> None:
    site.manager.start(site.sync)
    report = site.manager.report
    wait_until(lambda: report("sync").status.startswith("connected"), 10)
    site.manager.stop("hub")
    wait_until(lambda: report("sync").status.startswith("hub not reached"), 60)


def test_behind_a_proxy_that_cuts_every_long_poll_a_blocked_badge_is_heard_of_by_polling(
    site: Site,
) -> None:
    proxy = CuttingProxy(site.access.hub_url)
    with servers.tcp_server(proxy.serve) as address:
        site.folder.sync_access.unlink()
        write_hub_access(site.folder.sync_access, replace(site.access, hub_url=address))
        site.manager.start(site.sync)
        wait_until(lambda: proxy.cuts > 0 and site.node.version != (0, 0), 20)
        before, cuts = site.node.version, proxy.cuts
        HubFolder(site.hub, "", "").run(
            "members.block_badge(actor, Badge.objects.get(label='trained'), BadgeCondition.LOST)"
        )
        wait_until(lambda: site.node.version > before, 40)
        wait_until(lambda: proxy.cuts > cuts, 40, "the next poll was cut too")
        site.manager.close()
