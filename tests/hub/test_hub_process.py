"""The hub as a process on loopback HTTP: what nodes and boards get, whatever happens to it."""

from __future__ import annotations

import contextlib
import http.client
import queue
import random
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from interlock.clock import SystemClock
from interlock.core.model import BadgeState
from interlock.protocol import canonical, hubapi, hubtime
from interlock.protocol.records import GENESIS, Head, head_from_wire
from tests.hub.journal import Journal
from tests.hub.process import (
    CALL_S_MAX,
    LOGIN,
    HubFolder,
    HubProcess,
    NodeClient,
    copy_folder,
    make_folder,
    running,
)

pytestmark = pytest.mark.real

EMPTY = Head(1, 0, GENESIS)
WAKE_MS_MAX = 1_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "template")


@pytest.fixture
def folder(template: HubFolder, tmp_path: Path) -> HubFolder:
    return copy_folder(template, tmp_path / "hub")


@pytest.fixture
def hub(folder: HubFolder) -> Iterator[HubProcess]:
    with running(folder) as process:
        yield process


@pytest.fixture
def saw(hub: HubProcess, folder: HubFolder) -> NodeClient:
    return NodeClient(hub.url, *folder.node("saw"))


Answers = queue.Queue[tuple[str, int]]


def ask_to_wait(node: NodeClient, name: str, answers: Answers) -> threading.Thread:
    """A long poll that is at the hub when this returns; its status goes into `answers`, under `name`."""
    poll = http.client.HTTPConnection(node.url.removeprefix("http://"), timeout=CALL_S_MAX)
    headers = {"Authorization": str(node.session.headers["Authorization"])}
    poll.request("GET", f"{hubapi.PATH_CHANGES}?since=1.1&wait=50", headers=headers)

    def wait() -> None:
        with contextlib.closing(poll):
            answers.put((name, poll.getresponse().status))

    thread = threading.Thread(target=wait)
    thread.start()
    # What came to the hub after it is answered: so it was read.
    node.hello(EMPTY)
    return thread


def session_of(folder: HubFolder, journal: Journal, enabled_s: int) -> None:
    started = folder.start(journal)
    journal.boot_ms += enabled_s * 1_000
    journal.end(started, enabled_s, busy_s=enabled_s)


def test_hello_answers_with_signed_time_the_hubs_head_and_the_version(saw: NodeClient) -> None:
    said = saw.hello(EMPTY, nonce=bytes(range(16)))
    assert said["head"] == EMPTY.to_wire()
    assert said["version"] == [1, 1]


def test_records_become_a_priced_session_once(saw: NodeClient, folder: HubFolder) -> None:
    journal = folder.journal()
    journal.anchor(SystemClock().wall_ms())
    session_of(folder, journal, 3_600)
    for _ in range(3):
        assert saw.records(journal.wires()) == journal.head
    assert saw.hello(journal.head)["head"] == journal.head.to_wire()
    assert folder.count("[l.cents for l in Line.objects.all()]") == [1_200]
    assert folder.count("NodeRecord.objects.count()") == 3


def test_the_snapshot_is_signed_and_holds_every_badge(saw: NodeClient, folder: HubFolder) -> None:
    header, entries = saw.snapshot()
    assert header.version == (1, 1)
    assert header.demands.trainings == ("safety", "table-saw")
    assert len(entries) == folder.count("Badge.objects.count()") > 9
    assert {entry.name for entry in entries} == {None}
    assert sum(entry.badge is BadgeState.BLOCKED for entry in entries) == 1


BLOCK = "members.block_badge(actor, Badge.objects.get(label='trained'), BadgeCondition.LOST)"
LOCK_OUT = "machines.lock_out(actor, Machine.objects.get(slug='saw'), 'blade')"
CLEAR = "machines.clear_lock_out(actor, Machine.objects.get(slug='saw'))"


def wait_for_change(
    node: NodeClient, since: str, woken: queue.Queue[tuple[list[int] | None, int]]
) -> None:
    woken.put((node.changes(since, wait_s=50), SystemClock().boot_ms()))


def test_a_long_poll_wakes_within_a_second_of_another_processes_change(
    saw: NodeClient, folder: HubFolder
) -> None:
    """The quickest of three: others keep this computer busy, and a hub that is slow by itself is slow each time."""
    saw.hello(EMPTY)
    took_ms: list[int] = []
    for number, change in enumerate((BLOCK, LOCK_OUT, CLEAR), start=1):
        woken: queue.Queue[tuple[list[int] | None, int]] = queue.Queue()
        poll = threading.Thread(target=wait_for_change, args=(saw, f"1.{number}", woken))
        poll.start()
        committed_ms = int(folder.run(f"{change}\nprint(SystemClock().boot_ms())"))
        poll.join()
        version, woken_ms = woken.get_nowait()
        assert version == [1, number + 1]
        took_ms.append(woken_ms - committed_ms)
        if min(took_ms) < WAKE_MS_MAX:
            break
    assert min(took_ms) < WAKE_MS_MAX, took_ms
    header, entries = saw.snapshot()
    assert header.version == (1, len(took_ms) + 1)
    assert {e.badge for e in entries if e.tag.hex() == folder.tag} == {BadgeState.BLOCKED}


def test_a_change_that_concerns_another_machine_wakes_nobody_here(
    saw: NodeClient, folder: HubFolder
) -> None:
    laser = NodeClient(saw.url, *folder.node("laser"))
    folder.run(
        "machine = Machine.objects.get(slug='laser')\n"
        "machines.lock_out(actor, machine, 'mirror broken')"
    )
    assert laser.changes("1.1", wait_s=5) == [1, 2]
    assert saw.changes("1.1", wait_s=1) is None


def test_a_lock_out_stands_in_the_signed_snapshot_until_it_is_taken_back(
    saw: NodeClient, folder: HubFolder
) -> None:
    folder.run("machines.lock_out(actor, Machine.objects.get(slug='saw'), 'blade')")
    assert saw.snapshot()[0].demands.locked_out
    folder.run("machines.clear_lock_out(actor, Machine.objects.get(slug='saw'))")
    assert not saw.snapshot()[0].demands.locked_out


def test_a_revoked_node_is_nobody_at_once_also_while_it_waits(
    saw: NodeClient, folder: HubFolder
) -> None:
    answers: Answers = queue.Queue()
    poll = ask_to_wait(saw, "saw", answers)
    folder.run("nodes.revoke_node(actor, Node.objects.get(slug='saw'), 'stolen')")
    assert saw.post(hubapi.PATH_HELLO, saw.greeting(EMPTY)).status_code == 401
    poll.join()
    assert answers.get_nowait() == ("saw", 401)
    doors = (hubapi.PATH_RECORDS, hubapi.PATH_COMMANDS, hubapi.PATH_INTERLOCKS)
    asked = {path: saw.post(path, b"{}") for path in doors}
    asked[hubapi.PATH_SNAPSHOT] = saw.get(hubapi.PATH_SNAPSHOT)
    said = {path: answer.status_code for path, answer in asked.items()}
    assert said == dict.fromkeys(asked, 401)


def test_strangers_get_401(hub: HubProcess) -> None:
    for authorization in (None, "", "Bearer", "Bearer x", "Basic eDp4", "Bearer é"):
        headers = {} if authorization is None else {"Authorization": authorization.encode()}
        for path in (hubapi.PATH_SNAPSHOT, hubapi.PATH_CHANGES + "?since=0.0"):
            answer = requests.get(hub.url + path, headers=headers, timeout=CALL_S_MAX)
            assert (answer.status_code, answer.json()["error"]) == (401, "credential")


RECORD = {"v": 1, "node": "saw", "epoch": 1, "seq": 1}
GARBAGE: list[tuple[str, Any]] = [
    (hubapi.PATH_HELLO, b""),
    (hubapi.PATH_HELLO, b"\x00\xff"),
    (hubapi.PATH_HELLO, b"[]"),
    (hubapi.PATH_HELLO, b"{}"),
    (hubapi.PATH_HELLO, b"[" * 100_000),
    (hubapi.PATH_HELLO, {"v": 2}),
    (hubapi.PATH_HELLO, {"v": 1, "head": {"epoch": 1, "seq": 1, "hash": "zz"}}),
    (hubapi.PATH_RECORDS, {"v": 1}),
    (hubapi.PATH_RECORDS, {"v": 1, "records": [1]}),
    (hubapi.PATH_RECORDS, {"v": 1, "records": [{}]}),
    (hubapi.PATH_RECORDS, {"v": 1, "records": [RECORD]}),
    (hubapi.PATH_RECORDS, {"v": 1, "records": [{}] * 101}),
    (hubapi.PATH_RECORDS, b'{"v":1,"records":[{"epoch":1.5}]}'),
    (hubapi.PATH_RECORDS, b'{"v":1,"records":["\\ud800"]}'),
    (hubapi.PATH_RECORDS, b"x" * (hubapi.BATCH_BYTES_MAX + 1)),
]


def test_garbage_is_refused_in_words_and_changes_nothing(
    saw: NodeClient, folder: HubFolder
) -> None:
    def stored() -> Any:
        return folder.count(
            "[NodeRecord.objects.count(), Session.objects.count(), Alarm.objects.count(), "
            "Lab.objects.get().change_seq]"
        )

    before = stored()
    for path, body in GARBAGE:
        answer = saw.post(path, body)
        assert answer.status_code in (400, 413), (path, body, answer.text)
        assert answer.json()["message"]
    for since in ("", "x", "1", "1.", "-1.0", "1.0.0", "9" * 19 + ".1", "١.١"):
        assert saw.get(hubapi.PATH_CHANGES, since=since).status_code == 400
    assert saw.get(hubapi.PATH_CHANGES, since="1.1", wait="-1").status_code == 400
    assert saw.get(hubapi.PATH_HELLO).status_code == 405
    assert saw.post(hubapi.PATH_SNAPSHOT, b"").status_code == 405
    assert stored() == before


def test_a_body_without_length_is_cut_at_the_limit(saw: NodeClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b" " * 65_536

    try:
        status = saw.session.post(
            saw.url + hubapi.PATH_RECORDS, data=endless(), timeout=CALL_S_MAX
        ).status_code
    except requests.ConnectionError:
        status = 413  # the hub hung up while the client was still sending
    assert status == 413


def test_an_old_sd_card_is_told_so_and_alarmed(saw: NodeClient, folder: HubFolder) -> None:
    journal = folder.journal()
    journal.anchor(SystemClock().wall_ms())
    session_of(folder, journal, 60)
    early = Head(1, 1, journal.records[0].hash)
    saw.records(journal.wires())
    behind = saw.post(hubapi.PATH_HELLO, saw.greeting(early))
    assert (behind.status_code, behind.json()["error"]) == (409, "node_behind")
    assert behind.json()["version"] == [1, 1]
    hubtime.open_time(
        behind.json()["time"], saw.keys.hub_key(), lab="lab", node="saw", nonce=bytes(16)
    )
    other = saw.post(hubapi.PATH_HELLO, saw.greeting(Head(1, 2, bytes(32))))
    assert (other.status_code, other.json()["error"]) == (409, "chain_differs")
    saw.hello(journal.head)
    assert folder.count("sorted(a.kind for a in Alarm.objects.all())") == [
        "chain_differs",
        "node_behind",
    ]


KILLS_MAX = 20


def test_killed_again_and_again_while_it_takes_records_in_it_loses_and_doubles_nothing(
    folder: HubFolder,
) -> None:
    journal = folder.journal()
    journal.anchor(SystemClock().wall_ms())
    for _ in range(600):
        session_of(folder, journal, 60)
    wires, chance, kills = journal.wires(), random.Random(7), 0
    cut_at: set[int] = set()
    keys = folder.node()
    inside = set(range(1, len(wires)))
    done = False
    while not done:
        process = HubProcess(folder)
        client = NodeClient(process.url, *keys)
        # Moments spread over the intake, whose batches take 10 to 50 ms each, and longer on a busy computer.
        fuse = threading.Timer(chance.uniform(0.005, 0.15) * (1 + kills / 2), process.kill)
        try:
            head = head_from_wire(client.hello(journal.head)["head"])
            cut_at.add(head.seq)
            if kills < 6 or (kills < KILLS_MAX and not cut_at & inside):
                kills += 1
                if kills > 6:
                    # On a computer so busy that all six fell before it, the intake is begun before the fuse is lit.
                    head = client.records(wires[head.seq : head.seq + 50])
                fuse.start()
            while head != journal.head:
                head = client.records(wires[head.seq : head.seq + 50])
            done = True
        except requests.RequestException:
            pass
        finally:
            fuse.cancel()
            if fuse.ident is not None:
                fuse.join()
            process.kill()
    assert cut_at & inside, "no kill fell into the intake"
    assert folder.count(
        "[NodeRecord.objects.count(), Session.objects.count(), Line.objects.count(), "
        "sum(l.cents for l in Line.objects.all()), Alarm.objects.count()]"
    ) == [1_201, 600, 600, 600 * 20, 0]


def test_hub_and_commands_write_at_the_same_time_without_an_error(
    saw: NodeClient, folder: HubFolder
) -> None:
    journal = folder.journal()
    for _ in range(200):
        session_of(folder, journal, 60)
    changes = threading.Thread(
        target=folder.run,
        args=(
            "lab = Lab.objects.get()\nfor i in range(200): labs.create_payer(actor, lab, f'P{i}')",
        ),
    )
    changes.start()
    head = EMPTY
    while head != journal.head:
        head = saw.records(journal.wires()[head.seq : head.seq + 5])
    changes.join()
    assert folder.count(
        "[Session.objects.count(), Payer.objects.filter(name__startswith='P').count()]"
    ) == [200, 200]


def test_the_boards_stream_tells_every_change_to_those_who_may_see_it(
    hub: HubProcess, saw: NodeClient, folder: HubFolder
) -> None:
    assert requests.get(hub.url + "/live", timeout=CALL_S_MAX).status_code == 401
    cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", "owner"))}
    with requests.get(
        hub.url + "/live", cookies=cookies, stream=True, timeout=CALL_S_MAX
    ) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines(chunk_size=1)
        numbers = (int(line[6:]) for line in lines if line.startswith(b"data: "))
        first = next(numbers)
        journal = folder.journal()
        session_of(folder, journal, 60)
        saw.records(journal.wires())
        assert next(numbers) > first


def test_a_login_without_a_role_sees_no_board(hub: HubProcess, folder: HubFolder) -> None:
    cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", ""))}
    assert requests.get(hub.url + "/live", cookies=cookies, timeout=CALL_S_MAX).status_code == 401
    assert (
        requests.get(
            hub.url + "/live", cookies={"interlock_session": "x"}, timeout=CALL_S_MAX
        ).status_code
        == 401
    )


def test_sigterm_answers_those_who_wait_and_exits_with_0(folder: HubFolder) -> None:
    with running(folder) as process:
        client = NodeClient(process.url, *folder.node())
        answers: Answers = queue.Queue()
        poll = ask_to_wait(client, "saw", answers)
        assert answers.empty()
    poll.join()
    assert answers.get_nowait() == ("saw", 204)


def test_half_requests_without_number_neither_stop_the_hub_nor_hold_up_its_end(
    folder: HubFolder,
) -> None:
    clock = SystemClock()
    hub = HubProcess(folder, descriptors=(128, 256))
    half: list[socket.socket] = []
    try:
        at = ("127.0.0.1", int(hub.url.rsplit(":", 1)[1]))
        for _ in range(260):
            half.append(socket.create_connection(at, timeout=CALL_S_MAX))
            half[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        saw = NodeClient(hub.url, *folder.node("saw"))
        began_ms = clock.boot_ms()
        saw.hello(EMPTY)
        assert requests.get(hub.url + "/sign-in/", timeout=CALL_S_MAX).status_code == 200
        # Whoever is held up by half requests waits until they are cut, HEAD_S = 10 s later.
        assert clock.boot_ms() - began_ms < 8_000
        began_ms = clock.boot_ms()
        assert (hub.stop(), hub.said) == (0, "")
        assert clock.boot_ms() - began_ms < 3_000
    finally:
        for one in half:
            one.close()
        if hub.is_running:
            hub.kill()


def test_a_hub_with_several_labs_serves_and_leaves_their_names_alone(folder: HubFolder) -> None:
    folder.run(
        "from interlock.hub.directory import HubConfig\n"
        "labs.create_lab(actor, 'b', HubConfig(name='Second lab'))\n"
        "Lab.objects.filter(slug='lab').update(name='First lab')"
    )
    with running(folder) as process:
        NodeClient(process.url, *folder.node()).hello(EMPTY)
    names = folder.count("sorted(Lab.objects.values_list('name', flat=True))")
    assert names == ["First lab", "Second lab"]


def test_a_third_poll_of_one_node_ends_its_first_and_disturbs_no_other(
    saw: NodeClient, folder: HubFolder
) -> None:
    laser = NodeClient(saw.url, *folder.node("laser"))
    answers: Answers = queue.Queue()
    polls = [
        ask_to_wait(node, name, answers)
        for name, node in (("laser", laser), ("first", saw), ("second", saw))
    ]
    assert answers.empty()
    polls.append(ask_to_wait(saw, "third", answers))
    assert answers.get(timeout=CALL_S_MAX) == ("first", 204)
    with pytest.raises(queue.Empty):
        answers.get(timeout=0.3)
    folder.run(BLOCK)
    for poll in polls:
        poll.join()
    assert sorted(answers.get_nowait() for _ in range(3)) == [
        *(("laser", 200), ("second", 200), ("third", 200))
    ]


def test_systemd_is_told_when_the_hub_serves(folder: HubFolder) -> None:
    with tempfile.TemporaryDirectory(prefix="il-") as name:
        path = f"{name}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(CALL_S_MAX)
            with running(folder, NOTIFY_SOCKET=path):
                assert manager.recv(64) == b"READY=1"


def test_pages_and_static_files_are_served_under_a_strict_policy(hub: HubProcess) -> None:
    page = requests.get(hub.url + "/", timeout=CALL_S_MAX)
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    css = requests.get(hub.url + "/static/hub/base.css", timeout=CALL_S_MAX)
    assert (css.status_code, css.headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert css.content


def test_a_port_that_is_taken_is_an_error_that_says_so(
    hub: HubProcess, template: HubFolder, tmp_path: Path
) -> None:
    port = int(hub.url.rsplit(":", 1)[1])
    with pytest.raises(AssertionError, match="choose another --port"):
        HubProcess(copy_folder(template, tmp_path / "second"), port)


def test_a_hello_with_mode_ending_shows_on_the_board(saw: NodeClient, folder: HubFolder) -> None:
    journal = folder.journal()
    folder.start(journal)
    saw.records(journal.wires())
    saw.hello(journal.head, mode="ending")
    assert folder.count("Machine.objects.get(slug='saw').live_state") == "ending"
    saw.hello(journal.head, mode="enabled")
    assert folder.count("Machine.objects.get(slug='saw').live_state") == "in_use"


def test_canonical_bytes_are_not_demanded_of_a_request(saw: NodeClient, folder: HubFolder) -> None:
    """Spaces are no mistake: only what is hashed has to be canonical, and that is made again here."""
    journal = folder.journal()
    session_of(folder, journal, 60)
    body = canonical.dumps({"v": 1, "records": journal.wires()}).replace(b",", b" , ")
    assert saw.post(hubapi.PATH_RECORDS, body).status_code == 200
