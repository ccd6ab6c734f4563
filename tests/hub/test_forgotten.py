"""Which nodes have forgotten an erased member: by the lists they confirmed, not by the hub's hope; and its page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.hub import erased
from interlock.hub.confirming import write_confirmations
from interlock.hub.domain import machines, members, nodes
from interlock.hub.domain.erasure import erase_from_tables
from interlock.hub.greeting import Hello, greet
from interlock.hub.models import ErasedMember, Lab, Member, Node
from interlock.hub.snapshots import current_version
from interlock.hub.traces import needles_of
from interlock.protocol.records import GENESIS, Head
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import HUB_URL, LAB_BEGAN_MS, SmallLab, console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def erase(member: Member) -> ErasedMember:
    erase_from_tables(console(), member, needles_of(member), "asked")
    return ErasedMember.objects.latest("pk")


def stranger(lab: Lab, name: str = "Zoé Petit") -> Member:
    return members.create_member(console(), lab, name)


def says(node: Node, version: SnapshotVersion) -> None:
    """The node says hello, and by which list it decides."""
    hello = Hello("1", "boot", Head(1, 0, GENESIS), version, bytes(16), "locked")
    greet(node, hello, VirtualClock(wall_ms=LAB_BEGAN_MS))


def node_of(small: SmallLab) -> Node:
    return Node.objects.select_related("lab", "machine").get(pk=small.enrolled.node.pk)


def holding(row: ErasedMember) -> tuple[list[str], int]:
    """The machines that may know them still, and how many could."""
    lab = Lab.objects.get(pk=row.lab_id)
    found, knew = erased.holders(lab, [row])[row.pk]
    return [node.machine.slug for node in found], knew


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    node = node_of(made.small)
    says(node, current_version(node))
    return made


def test_a_node_has_forgotten_once_it_says_that_it_decides_by_a_list_made_since(
    lab: PageLab,
) -> None:
    node = node_of(lab.small)
    before = current_version(node)
    row = erase(stranger(lab.small.lab))
    assert holding(row) == (["saw"], 1)
    after = current_version(node)
    assert after > before
    # It was offered the list, and goes on by the old one.
    says(node, before)
    assert holding(row) == (["saw"], 1)
    says(node, after)
    assert holding(row) == ([], 1)


def test_it_stays_forgotten_when_the_next_change_never_reaches_the_machine(lab: PageLab) -> None:
    node = node_of(lab.small)
    row = erase(stranger(lab.small.lab))
    says(node, current_version(node))
    members.suspend_member(console(), lab.small.member, "fees")
    second = erase(stranger(lab.small.lab, "Łukasz Nowak"))
    current_version(node)
    assert (holding(row), holding(second)) == (([], 1), (["saw"], 1))


def test_what_a_long_poll_says_counts_as_well_as_a_hello(lab: PageLab) -> None:
    node = node_of(lab.small)
    row = erase(stranger(lab.small.lab))
    version = current_version(node)
    write_confirmations({node.pk: version}, LAB_BEGAN_MS)
    members.suspend_member(console(), lab.small.member, "fees")
    current_version(node)
    assert holding(row) == ([], 1)


def test_a_node_that_came_later_or_never_had_a_list_knew_nobody_and_a_revoked_one_may(
    lab: PageLab,
) -> None:
    actor, small = console(), lab.small
    silent = machines.create_machine(actor, small.lab, "lathe", "Lathe")
    nodes.enrol_node(actor, silent, HUB_URL)
    row = erase(stranger(small.lab))
    assert holding(row) == (["saw"], 1)
    nodes.revoke_node(actor, node_of(small), "dead")
    later = nodes.enrol_node(actor, small.machine, HUB_URL).node
    Node.objects.filter(pk=later.pk).update(
        enrolled_at=row.erased_at + timedelta(seconds=1), last_seen_at=actor.now()
    )
    assert holding(row) == (["saw"], 1)
    # Gone before they were erased: whoever took it away knew what was on it then.
    Node.objects.filter(pk=small.enrolled.node.pk).update(
        revoked_at=row.erased_at - timedelta(seconds=1)
    )
    assert holding(row) == ([], 0)


def test_whoever_was_erased_before_anybody_counted_needs_the_newest_list(lab: PageLab) -> None:
    """A restored hub knows of an erasure only that it was: an older list is not taken for a yes."""
    node = node_of(lab.small)
    row = erase(stranger(lab.small.lab))
    ErasedMember.objects.update(rights_seq=None)
    row.refresh_from_db()
    assert holding(row) == (["saw"], 1)
    version = current_version(node)
    says(node, version)
    assert holding(row) == ([], 1)
    members.suspend_member(console(), lab.small.member, "fees")
    assert holding(row) == (["saw"], 1)


def test_the_page_names_machines_and_nobody_and_says_since_when(lab: PageLab) -> None:
    manager = lab.client("manager")
    empty = manager.get(reverse("erasures")).content.decode()
    assert "Nobody was erased" in empty
    erase(stranger(lab.small.lab))
    Node.objects.update(last_seen_at=console().now() - timedelta(days=3))
    shown = manager.get(reverse("erasures")).content.decode()
    assert "0 of 1" in shown
    assert "<strong>Table saw</strong>" in shown
    assert "last contact 3 days ago" in shown
    assert "Zoé" not in shown
    Node.objects.update(revoked_at=console().now() + timedelta(seconds=1))
    assert "erase its SD card" in manager.get(reverse("erasures")).content.decode()
    node = node_of(lab.small)
    Node.objects.update(revoked_at=None)
    says(node, current_version(node))
    assert "1 of 1" in manager.get(reverse("erasures")).content.decode()


def test_ten_erasures_take_the_page_no_more_queries_than_one(lab: PageLab) -> None:
    manager = lab.client("manager")
    manager.get(reverse("erasures"))
    asked = []
    for number in (1, 9):
        for index in range(number):
            erase(stranger(lab.small.lab, f"Zoé {number}{index}"))
        with CaptureQueriesContext(connection) as queries:
            assert manager.get(reverse("erasures")).status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1]
