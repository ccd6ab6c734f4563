"""Hellos in groups: nobody is answered before the commit, nobody's spoils another's, and many cost few statements."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from interlock.hub import hellos
from interlock.hub.domain import machines, nodes
from interlock.hub.domain.nodes import Enrolled
from interlock.hub.hellos import Answer, Hellos, Said, answers_to
from interlock.hub.models import Alarm, ChangeLog, Lab, Node, NodeHealth
from interlock.hub.node_api import credential_hash
from interlock.hub.snapshots import refresh
from interlock.protocol import canonical
from interlock.protocol.hubtime import NONCE_BYTES, open_time
from interlock.protocol.records import GENESIS, Head
from interlock.protocol.snapshots import SnapshotVersion
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

database = pytest.mark.django_db


def body(version: SnapshotVersion | None = None, nonce: int = 0, **other: Any) -> bytes:
    said = {
        "v": 1,
        "software": "test",
        "boot_id": "boot",
        "head": Head(1, 0, GENESIS).to_wire(),
        "version": version,
        "nonce": bytes([nonce] * NONCE_BYTES).hex(),
        "mode": "locked",
    }
    return canonical.dumps({**said, **other})


def hash_of(enrolled: Enrolled) -> bytes:
    found = credential_hash(f"Bearer {enrolled.access.credential}")
    assert found is not None
    return found


def lab_of(count: int) -> tuple[SmallLab, list[Enrolled]]:
    """A lab with that many nodes."""
    lab = small_lab()
    every = [lab.enrolled]
    for number in range(1, count):
        machine = machines.create_machine(
            console(), lab.lab, f"m{number}", f"M {number}", trainings=[lab.training]
        )
        every.append(nodes.enrol_node(console(), machine, HUB_URL))
    return lab, every


def meet(*said: Said) -> list[Answer]:
    return answers_to(said, settings.HUB_CLOCK)


@database
def test_each_of_a_group_is_told_its_own_time_version_and_head_and_strangers_nothing() -> None:
    lab, (saw, lathe) = lab_of(2)
    versions = refresh(lab.lab)
    answers = meet(
        Said(hash_of(lathe), body(nonce=1)),
        Said(bytes(32), body()),
        Said(None, body()),
        Said(hash_of(saw), body(nonce=2)),
    )
    assert [one.status for one in answers] == [200, 401, 401, 200]
    for one, enrolled, nonce in ((answers[0], lathe, 1), (answers[3], saw, 2)):
        assert one.body["version"] == list(versions[enrolled.node.pk])
        keys = enrolled.keys
        said = bytes([nonce] * NONCE_BYTES)
        open_time(one.body["time"], keys.hub_key(), lab=keys.lab, node=keys.node, nonce=said)
    assert set(Node.objects.values_list("software", flat=True)) == {"test"}


@database
def test_a_malformed_hello_spoils_no_other_and_changes_nothing() -> None:
    _, (saw, lathe) = lab_of(2)
    answers = meet(Said(hash_of(saw), b"{}"), Said(hash_of(lathe), body()))
    assert [(one.status, one.body.get("error")) for one in answers] == [
        (400, "malformed"),
        (200, None),
    ]
    heard = Node.objects.exclude(last_seen_at=None).values_list("pk", flat=True)
    assert list(heard) == [lathe.node.pk]
    assert NodeHealth.objects.get().node_id == lathe.node.pk


@database
def test_a_revoked_node_is_nobody_in_the_very_next_group() -> None:
    _, (saw, lathe) = lab_of(2)
    nodes.revoke_node(console(), saw.node, "stolen")
    answers = meet(Said(hash_of(saw), body()), Said(hash_of(lathe), body()))
    assert [one.status for one in answers] == [401, 200]


@database
def test_the_hubs_epoch_rises_once_for_a_whole_group_that_holds_lost_lists() -> None:
    lab, every = lab_of(3)
    refresh(lab.lab)
    meet(*(Said(hash_of(one), body(version=(1, 9))) for one in every))
    assert Lab.objects.get().hub_epoch == 2
    assert Alarm.objects.count() == 1


@database
def test_twelve_hellos_cost_as_many_statements_as_two_when_nothing_is_new() -> None:
    lab, every = lab_of(12)
    versions = refresh(lab.lab)
    said = [Said(hash_of(one), body(version=versions[one.node.pk])) for one in every]
    meet(*said)

    def statements(group: Sequence[Said]) -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            assert {one.status for one in meet(*group)} == {200}
        return len(found)

    few, many = statements(said[:2]), statements(said)
    assert few == many
    assert ChangeLog.objects.filter(what="hello").count() == 12, "once each, when they were new"


# ------------------------------------------------------------------------------- who waits for what


class Meeting:
    """What a group is met by: it waits until it may, and remembers who was in it."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.may = threading.Semaphore(0)
        self.poison = b""

    def __call__(self, said: Sequence[Said]) -> list[Answer]:
        self.groups.append([one.body for one in said])
        self.may.acquire()
        if any(one.body == self.poison for one in said):
            raise ZeroDivisionError("a bug that nobody thought of")
        return [Answer(200, {"to": one.body.decode()}) for one in said]


async def ask(
    door: Hellos, credential: bytes, content: bytes, noted: Callable[[], None] = lambda: None
) -> tuple[int, Any]:
    """The answer to one hello; `noted` is called when it leaves."""
    sent: list[Any] = []
    parts = [content[:1], content[1:]]

    async def receive() -> Any:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        noted()
        sent.append(message)

    await door.answer(credential, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_what_arrives_while_a_group_is_at_work_is_the_next_one_and_a_node_is_in_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hellos, "GROUP_MAX", 3)
    meeting = Meeting()

    async def run() -> list[Any]:
        door = Hellos(meeting)
        asked = [asyncio.create_task(ask(door, b"0", b"first"))]
        await asyncio.to_thread(wait_until, lambda: meeting.groups)
        senders = (b"1", b"2", b"1", b"3", b"4")
        for number, sender in enumerate(senders):
            asked.append(asyncio.create_task(ask(door, sender, b"%s-%d" % (sender, number))))
        await asyncio.sleep(0)
        for _ in range(9):
            meeting.may.release()
        return list(await asyncio.gather(*asked))

    answers = asyncio.run(run())
    assert meeting.groups == [[b"first"], [b"1-0", b"2-1", b"3-3"], [b"1-2", b"4-4"]]
    assert [said["to"] for _, said in answers] == ["first", "1-0", "2-1", "1-2", "3-3", "4-4"]


def test_a_group_that_fails_is_met_one_by_one_and_only_the_culprit_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meeting = Meeting()
    meeting.poison = b"bad"

    async def run() -> list[Any]:
        door = Hellos(meeting)
        for _ in range(9):
            meeting.may.release()
        said = (b"good", b"bad", b"fine")
        return list(await asyncio.gather(*(ask(door, one, one) for one in said)))

    assert [status for status, _ in asyncio.run(run())] == [200, 500, 200]
    assert "could not be kept" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_no_answer_leaves_before_what_it_answers_is_committed() -> None:
    """Another connection, as another process has it, finds every hello of the group kept when the first answer
    leaves."""
    lab, every = lab_of(3)
    refresh(lab.lab)
    kept: list[int] = []

    def look() -> None:
        with closing(sqlite3.connect(str(connection.settings_dict["NAME"]))) as other:
            rows = other.execute("SELECT count(*) FROM hub_node WHERE last_seen_at IS NOT NULL")
            kept.append(rows.fetchone()[0])

    async def run() -> list[Any]:
        door = Hellos()
        asked = (ask(door, hash_of(one), body(), look) for one in every)
        answers = await asyncio.gather(*asked)
        await asyncio.to_thread(door.close)
        return answers

    assert [status for status, _ in asyncio.run(run())] == [200] * 3
    assert kept == [3] * 6
