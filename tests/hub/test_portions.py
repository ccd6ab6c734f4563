"""Lists renewed some nodes at a time: committed before they are told, and never from what is no longer so."""

from __future__ import annotations

import io

import pytest
from django.db import connection

from interlock.core.model import MemberStatus
from interlock.hub import snapshots
from interlock.hub.card_keys import Vault
from interlock.hub.contents import SHELF
from interlock.hub.domain import machines, members, nodes
from interlock.hub.domain.nodes import Enrolled
from interlock.hub.models import Lab, Node, Snapshot
from interlock.hub.snapshots import body_of, portions, refresh
from interlock.protocol.snapshots import read_snapshot
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[SmallLab, Enrolled, Enrolled]:
    """A lab with two nodes that know its one member, a portion each."""
    monkeypatch.setattr(snapshots, "PORTION", 1)
    lab = small_lab()
    machine = machines.create_machine(
        console(), lab.lab, "lathe", "Lathe", trainings=[lab.training]
    )
    second = nodes.enrol_node(console(), machine, HUB_URL)
    assert refresh(lab.lab) == {lab.enrolled.node.pk: (1, 1), second.node.pk: (1, 1)}
    return lab, lab.enrolled, second


def status_at(enrolled: Enrolled) -> MemberStatus:
    """What the database's own list for that node says of the member: signed, and not made anew."""
    snapshot = Snapshot.objects.get(node=enrolled.node)
    content = SHELF.content(bytes(snapshot.content))
    assert content is not None
    body = bytes(snapshot.head) + b"".join(content.lines_for(Vault(bytes(32)), enrolled.node))
    keys = enrolled.keys
    _, entries = read_snapshot(io.BytesIO(body), keys.hub_key(), lab=keys.lab, node=keys.node)
    (entry,) = entries
    return entry.status


def test_a_portion_is_committed_when_it_is_told_and_the_rest_has_not_begun(
    two: tuple[SmallLab, Enrolled, Enrolled],
) -> None:
    lab, first, second = two
    members.suspend_member(console(), lab.member, "x")
    told = portions(lab.lab)
    assert next(told) == {first.node.pk: (1, 2)}
    assert not connection.in_atomic_block
    assert (status_at(first), status_at(second)) == (MemberStatus.SUSPENDED, MemberStatus.ACTIVE)
    assert list(told) == [{second.node.pk: (1, 2)}]
    assert status_at(second) is MemberStatus.SUSPENDED


def test_a_right_that_is_lost_between_two_portions_is_lost_in_the_second(
    two: tuple[SmallLab, Enrolled, Enrolled],
) -> None:
    lab, first, second = two
    members.change_member(console(), lab.member, language="fr")
    told = portions(lab.lab)
    next(told)
    members.suspend_member(console(), lab.member, "x")
    assert next(told) == {second.node.pk: (1, 2)}
    assert status_at(second) is MemberStatus.SUSPENDED
    rights = Lab.objects.get().rights_seq
    assert Snapshot.objects.get(node=second.node).rights_seq == rights
    assert Snapshot.objects.get(node=first.node).rights_seq < rights, "its turn comes again"
    assert refresh(lab.lab) == {first.node.pk: (1, 3), second.node.pk: (1, 2)}
    assert status_at(first) is MemberStatus.SUSPENDED


def test_a_node_that_asked_meanwhile_keeps_its_number_which_only_rises(
    two: tuple[SmallLab, Enrolled, Enrolled],
) -> None:
    lab, _, second = two
    members.suspend_member(console(), lab.member, "x")
    told = portions(lab.lab)
    next(told)
    before = body_of(second.node)
    assert list(told) == [{second.node.pk: (1, 2)}]
    assert body_of(second.node) == before, "one number, one list"


def test_a_node_revoked_between_two_portions_is_told_nothing(
    two: tuple[SmallLab, Enrolled, Enrolled],
) -> None:
    lab, _, second = two
    members.suspend_member(console(), lab.member, "x")
    told = portions(lab.lab)
    next(told)
    nodes.revoke_node(console(), Node.objects.get(pk=second.node.pk), "stolen")
    assert list(told) == [{}]
