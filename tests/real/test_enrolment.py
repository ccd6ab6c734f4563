"""A code, six words and a click, between a real hub over HTTPS and real `interlock node enrol` processes."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.protocol import canonical
from interlock.protocol.enrolment import PATH_AUTHORITY, PATH_ENROL, PATH_ENROLMENT, code_from_text
from interlock.protocol.records import GENESIS, Head
from interlock.sync.hub_client import HubClient
from interlock.sync.links import HubHello, No, NodeHello
from tests.hub.process import HubFolder, HubProcess, make_folder, running
from tests.real.enrolment import DEADLINE_S, Computer, Manager
from tests.real.tls_proxy import Between, foreign, server_context

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Site:
    """A hub that serves, and whoever sits at its page."""

    folder: HubFolder
    hub: HubProcess
    manager: Manager

    @property
    def url(self) -> str:
        return self.hub.nodes_url


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        folder = make_folder(Path(path) / "lab")
        with running(folder) as hub:
            manager = Manager(folder)
            try:
                yield Site(folder, hub, manager)
            finally:
                manager.leave()


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    one = Computer(tmp_path / "pi")
    yield one
    one.kill()


def greeting(computer: Computer) -> HubHello | No:
    """What the hub answers to a computer's sync."""
    access = read_hub_access(computer.files.access)
    head = Head(read_node_keys(computer.files.keys).epoch, 0, GENESIS)
    client = HubClient(access)
    with contextlib.closing(client):
        return client.hello(
            NodeHello(access.lab, access.node, "1", "b", "locked", head, head, (0, 0), "ab" * 16)
        )


def test_a_code_six_words_and_a_click_make_a_node_and_replace_the_one_before(
    site: Site, computer: Computer
) -> None:
    manager = site.manager
    before = manager.nodes()
    epoch = max(one[1] for one in before)
    computer.begin(manager.code(site.url))
    words = computer.words()
    assert len(words.split()) == 6
    assert manager.words() == words
    assert manager.nodes() == before
    assert computer.secrets == ["enrolling.json"]
    name = manager.ask("confirm", "saw")
    assert computer.end() == 0, computer.said
    assert computer.secrets == ["node.json", "sync.json"]
    keys, access = read_node_keys(computer.files.keys), read_hub_access(computer.files.access)
    assert (keys.node, keys.epoch, keys.lab) == (name, epoch + 1, "lab")
    assert (access.hub_url, len(access.authorities)) == (site.url, 1)
    assert [one for one in manager.nodes() if one[2]] == [(name, epoch + 1, True)]
    answer = greeting(computer)
    assert isinstance(answer, HubHello)
    assert answer.head == Head(epoch + 1, 0, GENESIS)


def test_a_revoked_node_is_nobody_with_its_next_request_and_its_long_poll_ends(
    site: Site, computer: Computer
) -> None:
    computer.begin(site.manager.code(site.url))
    computer.words()
    name = site.manager.ask("confirm", "saw")
    assert computer.end() == 0, computer.said
    client = HubClient(read_hub_access(computer.files.access))
    assert isinstance(greeting(computer), HubHello)
    poll = PollInTheBackground(client)
    site.manager.ask("revoke", name)
    refused = greeting(computer)
    assert isinstance(refused, No)
    assert refused.code == "credential"
    assert poll.ended()
    client.close()


class PollInTheBackground:
    """A long poll of a minute, which a revocation has to end."""

    def __init__(self, client: HubClient) -> None:
        self._answers: list[object] = []
        self._thread = threading.Thread(target=self._poll, args=(client,))
        self._thread.start()

    def _poll(self, client: HubClient) -> None:
        # A version above every real one: nothing but the end of the node can end it early.
        self._answers.append(client.changes((1_000, 1), 50))

    def ended(self) -> bool:
        """Whether it was turned away, well before its time."""
        self._thread.join(20.0)
        return [type(one) for one in self._answers] == [No]


def test_a_code_works_once(site: Site, computer: Computer, tmp_path: Path) -> None:
    code = site.manager.code(site.url)
    computer.begin(code)
    words = computer.words()
    thief = Computer(tmp_path / "thief")
    thief.begin(code)
    assert thief.end() == 1
    assert "another computer has used this code" in thief.said
    assert thief.secrets == []
    assert site.manager.words() == words
    site.manager.ask("confirm", "saw")
    assert computer.end() == 0, computer.said
    thief.begin(code)
    assert thief.end() == 1
    assert "another computer has used this code" in thief.said


def test_an_expired_a_replaced_and_a_mistyped_code_say_so(site: Site, computer: Computer) -> None:
    before = site.manager.nodes()
    old = site.manager.code(site.url)
    code = site.manager.code(site.url)
    said = []
    site.manager.ask("expire", "saw")
    for one in (old, code, code[:-1] + ("A" if code[-1] != "A" else "B"), code[:60]):
        computer.begin(one)
        assert computer.end() == 1
        assert computer.secrets == []
        said.append(computer.said)
    assert "a newer code was made for this machine" in said[0]
    assert "the time of this code is over" in said[1]
    assert "copied with a mistake" in said[2]
    assert "not an enrolment code" in said[3]
    assert site.manager.nodes() == before


def test_words_that_differ_end_it_on_both_sides(site: Site, computer: Computer) -> None:
    before = site.manager.nodes()
    computer.begin(site.manager.code(site.url))
    computer.words()
    site.manager.ask("refuse", "saw")
    assert computer.end() == 1
    assert "somebody at the hub said that the words differ" in computer.said
    assert computer.secrets == []
    assert site.manager.nodes() == before


def test_before_the_click_its_credential_opens_nothing(site: Site, computer: Computer) -> None:
    computer.begin(site.manager.code(site.url))
    computer.words()
    pending = canonical.loads(computer.files.pending.read_bytes(), where="test")
    bearer = {"Authorization": f"Bearer {pending['credential']}"}
    verify = str(site.folder.path / "keys" / "authority-1.crt")
    for method, path in (
        ("POST", "/node/v1/hello"),
        ("POST", "/node/v1/records"),
        ("GET", "/node/v1/snapshot"),
        ("GET", "/node/v1/changes?since=0.0&wait=0"),
        ("POST", "/node/v1/interlocks"),
    ):
        answer = requests.request(
            method, site.url + path, headers=bearer, verify=verify, timeout=20, data=b"{}"
        )
        assert answer.status_code == 401, path
    waiting = requests.get(site.url + PATH_ENROLMENT, headers=bearer, verify=verify, timeout=20)
    assert waiting.json() == {"v": 1, "state": "waiting"}


def test_a_chain_key_never_travels_over_plain_http(site: Site) -> None:
    for path in (PATH_ENROL, PATH_ENROLMENT):
        answer = requests.post(site.hub.url + path, data=b"{}", timeout=20)
        assert (answer.status_code, answer.json()["error"]) == (403, "https")
    # And the door for machines shows no page to anybody.
    verify = str(site.folder.path / "keys" / "authority-1.crt")
    assert requests.get(site.url + "/sign-in/", verify=verify, timeout=20).status_code == 404


def through(site: Site, between: Between, act: Callable[[str], None]) -> list[bytes]:
    """The request lines that somebody in the middle could read while `act` enrols through them."""
    with between.running() as address:
        act(site.manager.code(address))
    return [request.split(b"\r\n")[0] for request in between.seen]


def test_a_man_in_the_middle_with_his_own_certificate_learns_nothing_secret(
    site: Site, computer: Computer, tmp_path: Path
) -> None:
    theirs, context = foreign(tmp_path / "theirs")

    def swapped(request: bytes, ask: Callable[[], bytes]) -> bytes:
        body = canonical.dumps({"v": 1, "certificate": theirs.authorities()[0].pem})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    before = site.manager.nodes()

    def fails(says: str) -> Callable[[str], None]:
        def act(code: str) -> None:
            computer.begin(code)
            assert computer.end() == 1
            assert says in computer.said
            assert code_from_text(code).secret.hex() not in computer.said

        return act

    # He passes the true authority on: then his own certificate is not of it.
    asked = through(site, Between(site.url, context), fails("its certificate is not the lab's"))
    assert asked == [f"GET {PATH_AUTHORITY} HTTP/1.1".encode()]
    # He shows his own authority: then it is not the one of the code.
    asked = through(site, Between(site.url, context, swapped), fails("another one"))
    assert asked == [f"GET {PATH_AUTHORITY} HTTP/1.1".encode()]
    assert site.manager.nodes() == before
    assert not site.manager.ask("claimed", "saw")


HELD: dict[str, Callable[[bytes], bool]] = {
    "before the claim": lambda request: request.startswith(b"POST /node/v1/enrol "),
    "after the click": lambda request: b"GET /node/v1/enrolment" in request,
}


@pytest.mark.parametrize("answered", [False, True], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("step", sorted(HELD))
def test_an_enrolment_killed_anywhere_goes_on_with_the_same_command(
    site: Site, computer: Computer, step: str, answered: bool
) -> None:
    """The process is killed while the hub has not heard it, and while it has not heard the hub's answer."""
    holding = [True]

    def steer(request: bytes, ask: Callable[[], bytes]) -> bytes | None:
        if not (holding and HELD[step](request)):
            return ask()
        if answered:
            ask()
        return None

    lab = server_context(site.folder.path / "keys" / "server.pem")
    between = Between(site.url, lab, steer)
    with between.running() as address:
        code = site.manager.code(address)
        computer.begin(code)
        if step == "after the click":
            computer.words()
            site.manager.ask("confirm", "saw")
        assert between.held.wait(DEADLINE_S)
        computer.kill()
        assert computer.secrets == ["enrolling.json"]
        holding.clear()
        computer.begin(code)
        if step != "after the click":
            assert computer.words() == site.manager.words()
            site.manager.ask("confirm", "saw")
        assert computer.end() == 0, computer.said
    assert computer.secrets == ["node.json", "sync.json"]
    live = [one[0] for one in site.manager.nodes() if one[2]]
    assert live == [read_node_keys(computer.files.keys).node]


def test_killed_between_its_two_files_it_writes_both_again(site: Site, computer: Computer) -> None:
    there, elsewhere = computer.files.access, computer.folder / "not" / "yet" / "sync.json"
    computer.files = type(computer.files)(computer.files.keys, elsewhere, computer.files.pending)
    code = site.manager.code(site.url)
    computer.begin(code)
    words = computer.words()
    site.manager.ask("confirm", "saw")
    assert computer.end() == 3
    assert "sync.json: cannot be written" in computer.said
    assert computer.secrets == ["enrolling.json", "node.json"]
    computer.files = type(computer.files)(computer.files.keys, there, computer.files.pending)
    computer.begin(code)
    assert computer.words() == words
    assert computer.end() == 0, computer.said
    assert computer.secrets == ["node.json", "sync.json"]
    assert isinstance(greeting(computer), HubHello)


def test_the_file_of_an_sd_card_enrols_and_keeps_no_code(site: Site, computer: Computer) -> None:
    card = computer.folder / "interlock.toml"
    code = site.manager.code(site.url, kind="file")
    card.write_text(f'# À lire\n[enrolment]\nmachine = "saw"\ncode = "{code}"\n', encoding="utf-8")
    computer.begin("--card", str(card))
    computer.words()
    assert code in card.read_text(encoding="utf-8")
    site.manager.ask("confirm", "saw")
    assert computer.end() == 0, computer.said
    assert card.read_text(encoding="utf-8") == (
        '# À lire\n[enrolment]\nmachine = "saw"\ncode = "used"\n'
    )


def test_a_node_does_not_become_another_by_mistake(site: Site, computer: Computer) -> None:
    computer.files.keys.write_text("{}", encoding="ascii")
    computer.begin(site.manager.code(site.url))
    assert computer.end() == 3
    assert "--again" in computer.said
    assert computer.files.keys.read_text(encoding="ascii") == "{}"
