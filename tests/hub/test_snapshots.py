"""What nodes are told: exactly the lab's rights, signed, and a new version only when it differs."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from interlock.core.model import BadgeState, Entry, Level, MemberStatus, Needs, Right
from interlock.hub import ingest
from interlock.hub.deltas import press
from interlock.hub.domain import labs, machines, members, tariffs, trainings
from interlock.hub.models import Authorisation, BadgeCondition, Lab, Node, Snapshot
from interlock.hub.snapshots import body_of, current_version, refresh
from interlock.protocol import canonical
from interlock.protocol.deltas import open_delta
from interlock.protocol.snapshots import SnapshotHeader, read_snapshot
from interlock.protocol.tags import badge_tag
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, UID, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def told(lab: SmallLab) -> tuple[SnapshotHeader, list[Entry]]:
    """What the node reads, verified with its pinned key."""
    keys = lab.enrolled.keys
    header, entries = read_snapshot(
        io.BytesIO(body_of(lab.enrolled.node)), keys.hub_key(), lab=keys.lab, node=keys.node
    )
    return header, list(entries)


def test_an_entry_says_what_the_lab_knows_and_names_nobody() -> None:
    lab = small_lab()
    header, entries = told(lab)
    assert (header.version, header.demands.trainings, header.demands.needs) == (
        (1, 1),
        ("saw-basics",),
        Needs.ALL,
    )
    assert header.machine_name == "Table saw"
    assert entries == [
        Entry(
            tag=badge_tag(settings.HUB.badge_key(), UID),
            member=lab.member.public_id,
            language="en",
            name=None,
            rights=(Right("saw-basics", Level.ALONE, since_at=LAB_BEGAN_MS // 1_000),),
        )
    ]


def test_names_are_sent_only_when_the_lab_asks_for_it() -> None:
    lab = small_lab()
    labs.send_names(console(), lab.lab, on=True)
    assert [entry.name for entry in told(lab)[1]] == ["Ada Martin"]


def test_rights_for_other_machines_are_not_told() -> None:
    lab = small_lab()
    other = trainings.create_training(console(), lab.lab, "laser", "Laser")
    trainings.grant_training(console(), lab.member, other)
    assert [right.training for right in told(lab)[1][0].rights] == ["saw-basics"]


def test_states_and_dates_are_told() -> None:
    lab = small_lab()
    actor = console()
    end = actor.now() + timedelta(days=3)
    trainings.grant_training(actor, lab.member, lab.training, "supervised", until_at=end)
    members.change_member(actor, lab.member, until_at=end, technician=True)
    members.suspend_member(actor, lab.member, "x")
    members.block_badge(actor, lab.badge, BadgeCondition.STOLEN)
    (entry,) = told(lab)[1]
    second = int(end.timestamp())
    assert (entry.badge, entry.status) == (BadgeState.BLOCKED, MemberStatus.SUSPENDED)
    assert (entry.member_until_at, entry.technician) == (second, True)
    assert [(right.level, right.until_at) for right in entry.rights] == [(Level.SUPERVISED, second)]


def test_a_right_lapses_that_long_after_the_last_practice() -> None:
    lab = small_lab()
    lab.training.lapse_days = 90
    lab.training.save()
    day = 86_400
    assert told(lab)[1][0].rights[0].lapses_at == LAB_BEGAN_MS // 1_000 + 90 * day
    journal = Journal.of(lab.enrolled)
    journal.anchor(LAB_BEGAN_MS + 10 * day * 1_000)
    journal.session(lab, 60)
    ingest.take(lab.enrolled.node, journal.wires(), settings.HUB_CLOCK)
    ended_at = Authorisation.objects.get().practised_at
    assert ended_at is not None
    assert told(lab)[1][0].rights[0].lapses_at == int(ended_at.timestamp()) + 90 * day
    assert current_version(lab.enrolled.node) == (1, 2)


CHANGES: dict[str, Callable[[SmallLab], object]] = {
    "block": lambda x: members.block_badge(console(), x.badge, BadgeCondition.LOST),
    "suspend": lambda x: members.suspend_member(console(), x.member, "x"),
    "revoke": lambda x: trainings.revoke_training(console(), Authorisation.objects.get()),
    "badge": lambda x: members.assign_badge(console(), x.member, bytes(7)),
    "lock": lambda x: machines.lock_out(console(), x.machine, "x"),
    "demands": lambda x: machines.set_demands(console(), x.machine, [], Needs.ALL),
}
NO_CHANGES: dict[str, Callable[[SmallLab], object]] = {
    "nothing": lambda x: None,
    "payer": lambda x: labs.create_payer(console(), x.lab, "P"),
    "price": lambda x: tariffs.set_prices(console(), x.tariff, tariffs.Prices()),
    "renamed": lambda x: members.change_member(console(), x.member, name="Ada L."),
    "a member without a badge": lambda x: members.create_member(console(), x.lab, "M"),
    "another training": lambda x: trainings.create_training(console(), x.lab, "t", "T"),
    "another machine": lambda x: machines.create_machine(console(), x.lab, "m", "M"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_for_this_node_raises_its_version_by_one(name: str) -> None:
    lab = small_lab()
    assert current_version(lab.enrolled.node) == (1, 1)
    CHANGES[name](lab)
    assert current_version(lab.enrolled.node) == (1, 2)
    assert told(lab)[0].version == (1, 2)


@pytest.mark.parametrize("name", NO_CHANGES)
def test_what_does_not_concern_this_node_leaves_its_version_and_bytes(name: str) -> None:
    lab = small_lab()
    before = body_of(lab.enrolled.node)
    NO_CHANGES[name](lab)
    assert current_version(lab.enrolled.node) == (1, 1)
    assert body_of(lab.enrolled.node) == before


def test_a_change_taken_back_still_rises() -> None:
    lab = small_lab()
    body_of(lab.enrolled.node)
    members.suspend_member(console(), lab.member, "x")
    assert current_version(lab.enrolled.node) == (1, 2)
    members.reinstate_member(console(), lab.member)
    assert current_version(lab.enrolled.node) == (1, 3)


def test_a_raised_hub_epoch_makes_a_higher_version() -> None:
    lab = small_lab()
    current_version(lab.enrolled.node)
    Lab.objects.update(hub_epoch=2)
    assert current_version(lab.enrolled.node) == (2, 2)


def test_a_restart_of_the_hub_changes_no_version() -> None:
    """What is compared is the content, not when it was signed."""
    lab = small_lab()
    first = body_of(lab.enrolled.node)
    Snapshot.objects.update(rights_seq=0)
    assert body_of(lab.enrolled.node) == first


def test_an_unchanged_version_costs_one_query_and_a_refresh_is_constant_in_members() -> None:
    lab = small_lab()
    node = Node.objects.select_related("lab").get(pk=lab.enrolled.node.pk)
    current_version(node)
    with CaptureQueriesContext(connection) as captured:
        current_version(node)
    assert len(captured) == 1
    counts = []
    for first in (0, 20):
        for number in range(first, first + 20):
            member = members.create_member(console(), lab.lab, f"M{number}")
            members.assign_badge(console(), member, number.to_bytes(7))
            trainings.grant_training(console(), member, lab.training)
        with CaptureQueriesContext(connection) as captured:
            refresh(lab.lab)
        counts.append(len(captured))
    assert counts[0] == counts[1]
    assert len(told(lab)[1]) == 41


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reaches_its_node_in_less_than_two_kilobytes(name: str) -> None:
    lab = small_lab()
    for number in range(1, 41):
        member = members.create_member(console(), lab.lab, f"M{number}")
        members.assign_badge(console(), member, number.to_bytes(7))
    node, keys = lab.enrolled.node, lab.enrolled.keys
    base = body_of(node)
    CHANGES[name](lab)
    version = current_version(node)
    delta = press().delta(bytes(node.credential_hash), (1, 1), version)
    assert delta is not None
    assert len(delta) <= 2_000
    head = canonical.loads(base.splitlines(True)[0], where="test")
    opened = open_delta(delta, head, keys.hub_key(), lab=keys.lab, node=keys.node)
    assert opened.head_line == body_of(node).splitlines(True)[0]
    assert len(opened.changes) == (0 if name == "lock" else 1)


def test_no_delta_from_a_version_nobody_remembers_and_none_for_another_node() -> None:
    lab, other = small_lab(), small_lab(slug="other")
    node = lab.enrolled.node
    body_of(node)
    members.suspend_member(console(), lab.member, "x")
    version = current_version(node)
    made = press()
    assert made.delta(bytes(node.credential_hash), (1, 0), version) is None
    assert made.delta(bytes(other.enrolled.node.credential_hash), (1, 1), version) is None
    assert made.delta(bytes(node.credential_hash), version, version) is None


def test_a_list_issued_by_a_clock_that_was_ahead_is_issued_anew_once_it_is_mended() -> None:
    lab = small_lab()
    assert current_version(lab.enrolled.node) == (1, 1)
    ahead = Snapshot.objects.get().issued_at + timedelta(days=30)
    Snapshot.objects.update(issued_at=ahead, rights_seq=0)
    assert current_version(lab.enrolled.node) == (1, 2)
