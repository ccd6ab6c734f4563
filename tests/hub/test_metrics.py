"""/metrics: what a monitor is told of nodes, records, alarms, listeners and jobs, by whom, and that it names nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from interlock.hub import metrics
from interlock.hub.alarms import raise_alarm
from interlock.hub.api import access
from interlock.hub.domain import tokens
from interlock.hub.jobs.every import JOBS
from interlock.hub.models import (
    Alarm,
    AlarmKind,
    ApiToken,
    JobRun,
    Lab,
    Member,
    Node,
    NodeHealth,
    NodeRecord,
    Payer,
    RoleName,
    Snapshot,
    User,
)
from interlock.hub.permissions import ROLE_PERMISSIONS, Permission
from interlock.protocol.tags import short
from tests.hub.lab import UID, SmallLab, console, small_lab
from tests.hub.page_lab import grow, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def told(lab: Lab, now: datetime, feed: metrics.Feed | None = None) -> dict[str, float]:
    """Each sample by its name and labels, read with Prometheus' own parser."""
    text = metrics.exposition(lab, now, feed or metrics.Feed()).decode()
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def look(secret: str, address: str = "127.0.0.1") -> HttpResponse:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    answer = Client(headers=headers).get("/metrics", REMOTE_ADDR=address)
    assert isinstance(answer, HttpResponse)
    return answer


def monitor(small: SmallLab) -> str:
    return tokens.create_token(console(), small.lab, "monitor", [tokens.Scope.METRICS_READ]).secret


def test_nodes_are_online_late_or_never_heard_of_and_revoked_ones_are_none() -> None:
    lab, now = page_lab(), console().now()
    grow(lab, 3)
    nodes = list(Node.objects.order_by("pk"))
    for node, at in zip(
        nodes, (None, now - timedelta(seconds=89), now - timedelta(seconds=91), now), strict=True
    ):
        Node.objects.filter(pk=node.pk).update(last_seen_at=at)
    Node.objects.filter(pk=nodes[3].pk).update(revoked_at=now)
    found = told(lab.small.lab, now, metrics.Feed(frozenset({nodes[1].pk, 99_999}), 3))
    assert [found[f"interlock_nodes {state}"] for state in ("online", "late", "never")] == [1, 1, 1]
    assert found[f"interlock_node_silence_seconds {nodes[2].slug}"] == 91
    assert f"interlock_node_silence_seconds {nodes[3].slug}" not in found
    assert found["interlock_nodes_unconfirmed"] == 3
    assert (found["interlock_feed_nodes"], found["interlock_feed_streams"]) == (1, 3)


def test_a_node_that_confirmed_the_newest_list_is_not_counted_as_unconfirmed() -> None:
    small_lab()
    now, lab, node = console().now(), Lab.objects.get(), Node.objects.get()
    Snapshot.objects.filter(node=node).delete()
    Snapshot.objects.create(
        node=node,
        epoch=lab.hub_epoch,
        counter=7,
        rights_seq=lab.rights_seq,
        content_hash=b"",
        issued_at=now,
    )
    assert told(lab, now)["interlock_nodes_unconfirmed"] == 1
    Node.objects.update(confirmed_epoch=lab.hub_epoch, confirmed_counter=7)
    assert told(lab, now)["interlock_nodes_unconfirmed"] == 0


def test_records_are_counted_with_how_long_they_took_and_which_are_missing() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    newest = NodeRecord.objects.latest("epoch", "seq")
    made_at = datetime(2026, 1, 1, tzinfo=UTC)
    NodeRecord.objects.filter(pk=newest.pk).update(
        wall_ms=int(made_at.timestamp() * 1_000),
        wall_trusted=True,
        received_at=made_at + timedelta(seconds=40),
    )
    node, now = Node.objects.get(), made_at + timedelta(seconds=100)
    found = told(lab.small.lab, now)
    assert found["interlock_records_ingested_total"] == NodeRecord.objects.count() > 2
    assert found[f"interlock_node_ingest_lag_seconds {node.slug}"] == 40
    assert found[f"interlock_node_unsent_records {node.slug}"] == 0
    assert found[f"interlock_node_oldest_unsent_seconds {node.slug}"] == 0
    health = NodeHealth.objects.create(
        node=node, reported_at=now, told_epoch=node.head_epoch, told_seq=node.head_seq + 5
    )
    found = told(lab.small.lab, now)
    assert found[f"interlock_node_unsent_records {node.slug}"] == 5
    assert found[f"interlock_node_oldest_unsent_seconds {node.slug}"] == 100
    NodeHealth.objects.filter(pk=health.pk).update(told_epoch=node.head_epoch + 1, told_seq=2)
    assert told(lab.small.lab, now)[f"interlock_node_unsent_records {node.slug}"] == 2
    NodeHealth.objects.filter(pk=health.pk).update(told_epoch=node.head_epoch, told_seq=1)
    assert told(lab.small.lab, now)[f"interlock_node_unsent_records {node.slug}"] == 0
    NodeRecord.objects.filter(pk=newest.pk).update(wall_trusted=False)
    assert f"interlock_node_ingest_lag_seconds {node.slug}" not in told(lab.small.lab, now)


def test_open_alarms_are_counted_by_kind_and_closed_ones_are_not() -> None:
    small, now = small_lab(), console().now()
    node = Node.objects.get()
    raise_alarm(node, AlarmKind.CHAIN_DIFFERS, "x", now)
    raise_alarm(node, AlarmKind.RECORDS_LOST, "x", now)
    Alarm.objects.filter(kind=AlarmKind.RECORDS_LOST).update(closed_at=now)
    found = told(small.lab, now)
    counted = {name: value for name, value in found.items() if "alarms_open" in name and value}
    assert counted == {"interlock_alarms_open chain_differs": 1}


def test_a_job_is_late_from_when_it_is_due_and_without_end_when_it_never_ran() -> None:
    small, now = small_lab(), console().now()
    due, missed = JOBS[0].name, JOBS[1].name
    for name, due_at, failed in (
        (due, now + timedelta(seconds=5), False),
        (missed, now - timedelta(seconds=70), True),
    ):
        JobRun.objects.create(
            lab=small.lab, name=name, began_at=now, ended_at=now, due_at=due_at, failed=failed
        )
    found = told(small.lab, now)
    late = {job.name: found[f"interlock_job_lateness_seconds {job.name}"] for job in JOBS}
    assert (late.pop(due), late.pop(missed)) == (0, 70)
    assert set(late.values()) == {float("inf")}
    failed_jobs = [job.name for job in JOBS if found[f"interlock_job_failed {job.name}"]]
    assert failed_jobs == [missed]


def test_it_names_nobody_and_no_badge() -> None:
    lab = page_lab()
    grow(lab, 2)
    # A name that is part of no word of the program, on everybody.
    Member.objects.update(name="Zebulon Quixworth", email="")
    Payer.objects.filter(members=lab.small.member).update(name="Zebulon Quixworth")
    User.objects.update(name="Zebulon Quixworth")
    secret = monitor(lab.small)
    answer = look(secret)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]
    said = answer.content.decode().lower()
    assert "interlock_nodes" in said
    tag = bytes(lab.small.badge.tag)
    words = [UID.hex(), tag.hex(), tag[:4].hex(), short(tag), "zebulon", "quixworth", "@"]
    words += [*Member.objects.values_list("public_id", flat=True), "key ring"]
    assert [word for word in words if word.lower() in said] == []


def test_another_labs_nodes_and_records_are_not_in_it() -> None:
    lab, other = page_lab(), small_lab(slug="other")
    grow(lab, 1)
    Node.objects.filter(lab=other.lab).update(slug="theirs", last_seen_at=console().now())
    found = told(other.lab, console().now())
    assert found["interlock_nodes online"] == 1
    assert found["interlock_records_ingested_total"] == 0
    assert not [name for name in found if "machine-0" in name]


def test_only_a_token_made_for_it_is_told_and_nobody_over_an_open_wire() -> None:
    small = small_lab()
    secret = monitor(small)
    others = [scope for scope in tokens.Scope if scope is not tokens.Scope.METRICS_READ]
    wide = tokens.create_token(console(), small.lab, "wide", others).secret
    assert look(secret).status_code == 200
    refused = {
        "nobody": look(""),
        "wrong": look("ilk_wrong"),
        "other scope": look(wide),
        "open wire": look(secret, "192.168.1.20"),
    }
    said = {name: (answer.status_code, answer.json()["code"]) for name, answer in refused.items()}  # type: ignore[attr-defined]
    assert said == {
        "nobody": (401, "token"),
        "wrong": (401, "token"),
        "other scope": (403, "scope"),
        "open wire": (403, "insecure"),
    }
    assert Client(headers={"Authorization": f"Bearer {secret}"}).post("/metrics").status_code == 405
    tokens.revoke_token(console(), ApiToken.objects.get(name="monitor"))
    assert look(secret).status_code == 401


@pytest.mark.parametrize("role", [role.value for role in RoleName])
def test_a_monitors_token_is_worth_what_its_maker_may_today(role: str) -> None:
    lab = page_lab()
    secret = monitor(lab.small)
    ApiToken.objects.update(maker=lab.users[role])
    may = Permission.VIEW_NODES in ROLE_PERMISSIONS[role]
    assert look(secret).status_code == (200 if may else 403)


def test_a_longer_lab_asks_the_database_no_more_often() -> None:
    lab = page_lab()
    asked = []
    for number in (1, 6):
        grow(lab, number, first=number * 10)
        with CaptureQueriesContext(connection) as queries:
            metrics.exposition(lab.small.lab, console().now(), metrics.Feed())
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 6
