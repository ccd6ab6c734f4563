"""What a node's sync believes of the other side: the lab's authority, the name, the dates once it knows the time."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from interlock.clock import SystemClock
from interlock.config.secret_files import read_hub_access, write_hub_access
from interlock.errors import ConfigError, LinkError
from interlock.hub.authority import SERVER_LIFE, Certificates
from interlock.protocol.credentials import HubAccess
from interlock.protocol.records import GENESIS, Head
from interlock.sim.clocks import VirtualClock
from interlock.sync.hub_client import HubClient
from interlock.sync.links import HubHello, No, NodeHello
from interlock.sync.trust import STORE_NAME, Trust
from tests.hub.process import HubFolder, HubProcess, make_folder, running
from tests.real.enrolment import Computer, Manager
from tests.real.nginx import nginx, shown_certificate
from tests.real.tls_proxy import LOCAL, Between, foreign, server_context
from tests.waiting import wait_until

pytestmark = pytest.mark.real

DAY_MS = 86_400_000


@dataclass
class Site:
    """A hub that serves, whoever sits at its page, and a node that was enrolled there."""

    folder: HubFolder
    hub: HubProcess
    manager: Manager
    access: HubAccess

    @property
    def keys(self) -> Path:
        return self.folder.path / "keys"

    def at(self, address: str) -> HubAccess:
        """The node's access, with the hub at another address."""
        return replace(self.access, hub_url=address)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
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


def hello(access: HubAccess, trust: Trust | None = None, nonce: str = "ab" * 16) -> HubHello | No:
    """One greeting over a connection of its own."""
    head = Head(2, 0, GENESIS)
    said = NodeHello(access.lab, access.node, "1", "b", "locked", head, head, (0, 0), nonce)
    with contextlib.closing(HubClient(access, trust=trust)) as client:
        return client.hello(said)


def refused(access: HubAccess, trust: Trust | None = None) -> str:
    """The words with which the connection was refused, before a byte of the request."""
    with pytest.raises(LinkError) as caught:
        hello(access, trust)
    return caught.value.what


def issued(site: Site, folder: Path, clock: VirtualClock, names: list[str]) -> ssl.SSLContext:
    """A server with a certificate of the lab's own authority, for `names`, issued at `clock`."""
    folder.mkdir()
    for path in site.keys.glob("authority-*"):
        (folder / path.name).write_bytes(path.read_bytes())
    certificates = Certificates(folder, clock)
    certificates.ensure_server(names)
    return server_context(certificates.server_file)


# ------------------------------------------------------------------------------------ who is believed


def test_no_authority_of_the_computer_is_believed_but_the_pinned_one(site: Site) -> None:
    context = Trust(site.access, SystemClock()).context()
    assert isinstance(hello(site.access), HubHello)
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    # Also after requests and urllib3 had it in their hands.
    client = HubClient(site.access)
    adapter = client._session.get_adapter("https://")
    client.changes((1_000, 1), 0)
    assert len(vars(adapter)["_context"].get_ca_certs()) == 1
    client.close()


def test_another_labs_authority_is_refused_before_the_credential_is_sent(
    site: Site, tmp_path: Path
) -> None:
    _, context = foreign(tmp_path / "theirs")
    between = Between(site.hub.nodes_url, context)
    with between.running() as address:
        assert refused(site.at(address)) == "its certificate is not the lab's"
    assert between.seen == []


def test_a_certificate_for_another_name_is_refused(site: Site, tmp_path: Path) -> None:
    elsewhere = issued(site, tmp_path / "k", VirtualClock(wall_ms=now_ms()), ["other.example"])
    between = Between(site.hub.nodes_url, elsewhere)
    with between.running() as address:
        assert refused(site.at(address)) == "its certificate is for another address"
        by_name = address.replace("127.0.0.1", "localhost")
        assert refused(site.at(by_name)) == "its certificate is for another name"
    assert between.seen == []


def now_ms() -> int:
    return SystemClock().wall_ms()


def test_dates_count_once_the_hub_has_told_the_time_and_not_before(
    site: Site, tmp_path: Path
) -> None:
    """The certificate ended yesterday; the computer's own clock is of no account at all."""
    life_ms = int(SERVER_LIFE / timedelta(milliseconds=1))
    ended = VirtualClock(wall_ms=now_ms() - life_ms - DAY_MS)
    between = Between(site.hub.nodes_url, issued(site, tmp_path / "k", ended, LOCAL))
    pi = VirtualClock(wall_ms=0)
    trust = Trust(site.access, pi)
    with between.running() as address:
        access = site.at(address)
        assert trust.now_ms() is None
        # In 1970, with no time from the hub: chain and name count, and the answer sets the time.
        assert isinstance(hello(access, trust), HubHello)
        told_ms = trust.now_ms()
        assert told_ms is not None
        assert abs(told_ms - now_ms()) < 3_600_000
        seen = len(between.seen)
        assert refused(access, trust) == "its certificate has expired, by the hub's own time"
        assert len(between.seen) == seen
    # The hub's true certificate is as good as before.
    assert isinstance(hello(site.access, trust), HubHello)


def test_a_time_that_answers_another_nonce_or_is_unsigned_sets_nothing(site: Site) -> None:
    answer = hello(site.access)
    assert isinstance(answer, HubHello)
    trust = Trust(site.access, VirtualClock(wall_ms=0))
    trust.hear_time(answer.time, "cd" * 16)
    assert trust.now_ms() is None
    forged = json.loads(json.dumps(answer.time))
    forged["statement"]["wall_ms"] += 1
    trust.hear_time(forged, "ab" * 16)
    assert trust.now_ms() is None
    trust.hear_time(answer.time, "ab" * 16)
    assert trust.now_ms() == answer.time["statement"]["wall_ms"]


def test_a_certificate_of_the_future_is_refused_once_time_is_known(
    site: Site, tmp_path: Path
) -> None:
    ahead = VirtualClock(wall_ms=now_ms() + 10 * DAY_MS)
    between = Between(site.hub.nodes_url, issued(site, tmp_path / "k", ahead, LOCAL))
    trust = Trust(site.access, SystemClock())
    assert isinstance(hello(site.access, trust), HubHello)
    with between.running() as address:
        assert refused(site.at(address), trust) == (
            "its certificate is not valid yet, by the hub's own time"
        )


# --------------------------------------------------------------------------------------- plain HTTP


def test_a_node_enrolled_over_https_never_speaks_plain_http(site: Site, tmp_path: Path) -> None:
    plain = site.at(site.hub.url)
    with pytest.raises(ConfigError, match="enrolled over HTTPS and speaks nothing else"):
        HubClient(plain)
    write_hub_access(tmp_path / "sync.json", plain)
    with pytest.raises(ConfigError, match="belong together"):
        read_hub_access(tmp_path / "sync.json")
    unpinned = replace(site.access, authorities=(), hub_public_key=b"")
    with pytest.raises(ConfigError, match="without the lab's certificate authority"):
        HubClient(unpinned)
    # Nor does it follow: the door for people cannot even be asked.
    client = HubClient(site.access)
    with pytest.raises(requests.exceptions.InvalidSchema):
        client._session.get(site.hub.url, timeout=5)
    client.close()


# ------------------------------------------------------------------------------------- behind nginx


def test_debians_nginx_passes_nodes_through_or_ends_tls_for_them(site: Site) -> None:
    ports = [int(url.rsplit(":", 1)[1]) for url in (site.hub.url, site.hub.nodes_url)]
    with (
        tempfile.TemporaryDirectory(prefix="il-") as folder,
        nginx(Path(folder), site.keys, *ports) as doors,
    ):
        for address in (doors.passed_through, doors.ended):
            assert isinstance(hello(site.at(address)), HubHello)
            assert shown_certificate(address) == shown_certificate(site.hub.nodes_url)
            with contextlib.closing(HubClient(site.at(address))) as client:
                target = Path(folder) / "list"
                assert client.download(target) is None
                assert b'"snapshot"' in target.read_bytes()
        # A whole enrolment through the door that passes TLS through.
        computer = Computer(Path(folder) / "pi")
        try:
            computer.begin(site.manager.code(doors.passed_through, machine="laser"))
            words = computer.words()
            assert site.manager.words("laser") == words
            site.manager.ask("confirm", "laser")
            assert computer.end() == 0, computer.said
        finally:
            computer.kill()
        assert isinstance(hello(read_hub_access(computer.files.access)), HubHello)
        # People see pages at their door, over HTTPS, and machines have nothing to seek there.
        verify = str(site.keys / "authority-1.crt")
        page = requests.get(doors.people + "/sign-in/", verify=verify, timeout=20)
        assert page.status_code == 200
        assert (
            requests.get(doors.people + "/node/v1/authority", verify=verify, timeout=20).status_code
            == 404
        )


# ------------------------------------------------------------------------------------- the rollover


def test_the_next_authority_reaches_a_node_by_itself_and_only_with_the_hubs_signature(
    site: Site, tmp_path: Path
) -> None:
    """Last of this file: the hub has another authority afterwards."""
    trust = Trust(site.access, SystemClock(), tmp_path)
    assert isinstance(hello(site.access, trust), HubHello)
    assert (trust.serial, site.manager.ask("trusts", "saw")) == (1, 0)
    site.manager.ask("roll")
    assert isinstance(hello(site.access, trust), HubHello)
    assert trust.serial == 2
    assert len(trust.context().get_ca_certs()) == 2
    assert isinstance(hello(site.access, trust), HubHello)
    assert site.manager.ask("trusts", "saw") == 2
    late = Trust(site.access, SystemClock())
    site.manager.ask("finish")
    assert not (site.keys / "authority-1.key").exists()
    # A hub that runs shows the new certificate within a second (test_renewal.py); here it starts again.
    assert site.hub.stop() == 0
    again = HubProcess(site.folder)
    try:
        access = site.at(again.nodes_url)
        # Before any greeting of this life: what it was told is on its disk.
        kept = Trust(access, SystemClock(), tmp_path)
        assert kept.serial == 2
        assert isinstance(hello(access, kept), HubHello)
        assert kept.serial == 3
        assert len(kept.context().get_ca_certs()) == 1
        # One that never heard is cut off, in words.
        assert refused(access, late) == "its certificate is not the lab's"
        # And a list that somebody wrote there is not believed.
        forged = json.loads((tmp_path / STORE_NAME).read_bytes())
        forged["statement"]["serial"] = 9
        (tmp_path / STORE_NAME).write_text(json.dumps(forged), encoding="utf-8")
        assert Trust(access, SystemClock(), tmp_path).serial == 0
    finally:
        again.kill()
    wait_until(lambda: not again.is_running, 10.0)
