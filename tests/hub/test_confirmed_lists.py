"""Who decides by what: lists that differ from what was signed, lists refused, and machines still to confirm."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.urls import reverse

from interlock.hub.confirming import write_confirmations
from interlock.hub.domain import machines, members, nodes
from interlock.hub.greeting import Hello, greet
from interlock.hub.models import Alarm, AlarmKind, BadgeCondition, Node, Snapshot
from interlock.hub.snapshots import current_version, refresh
from interlock.protocol.records import GENESIS, Head
from interlock.protocol.snapshots import SnapshotVersion
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

OTHER_DIGEST = bytes(32)


def hello(
    lab: SmallLab, version: SnapshotVersion, digest: bytes | None, refused: str = ""
) -> SnapshotVersion:
    """The node says what it holds; the version it is told of."""
    node = Node.objects.select_related("lab", "machine").get(pk=lab.enrolled.node.pk)
    head = Head(1, 0, GENESIS)
    said = Hello("1", "boot", head, version, bytes(16), "locked", digest=digest, refused=refused)
    epoch, counter = greet(node, said, settings.HUB_CLOCK)["version"]
    return epoch, counter


def alarms() -> list[tuple[str, str]]:
    return [(one.kind, one.detail) for one in Alarm.objects.order_by("pk")]


def test_a_node_whose_entries_are_not_those_that_were_signed_gets_a_new_list_and_an_alarm() -> None:
    lab = small_lab()
    current = current_version(lab.enrolled.node)
    told = hello(lab, current, OTHER_DIGEST)
    assert told == (current[0], current[1] + 1)
    assert [kind for kind, _ in alarms()] == [AlarmKind.LIST_DIFFERS]
    digest = bytes(Snapshot.objects.get(node=lab.enrolled.node).digest)
    assert hello(lab, told, digest) == told
    assert len(alarms()) == 1


@pytest.mark.parametrize("says", ["the right digest", "nothing yet", "another version"])
def test_what_cannot_be_told_apart_from_right_changes_nothing(says: str) -> None:
    lab = small_lab()
    current = current_version(lab.enrolled.node)
    signed = bytes(Snapshot.objects.get(node=lab.enrolled.node).digest)
    digest = {"the right digest": signed, "nothing yet": None}.get(says, OTHER_DIGEST)
    holds = (current[0], current[1] - 1) if says == "another version" else current
    assert (hello(lab, holds, digest), alarms()) == (current, [])


def test_a_list_that_a_node_refused_is_alarmed_once_with_its_reason() -> None:
    lab = small_lab()
    current = current_version(lab.enrolled.node)
    for _ in range(2):
        hello(lab, current, None, refused="the signature of this snapshot is not the hub's")
    assert alarms() == [(AlarmKind.LIST_REFUSED, "the signature of this snapshot is not the hub's")]


def two_machines() -> tuple[PageLab, dict[str, Node]]:
    """The lab with a second node, both of which have confirmed."""
    lab = page_lab()
    small = lab.small
    laser = machines.create_machine(console(), small.lab, "laser", "Laser", trainings=[])
    second = nodes.enrol_node(console(), laser, HUB_URL)
    both = {"Table saw": small.enrolled.node, "Laser": second.node}
    confirm(small, *both.values())
    return lab, both


def confirm(lab: SmallLab, *which: Node) -> None:
    """Those nodes say that they decide by their newest lists."""
    versions = refresh(lab.lab)
    heard = {node.pk: versions[node.pk] for node in which}
    write_confirmations(heard, settings.HUB_CLOCK.wall_ms())


def open_machines(lab: PageLab, every: dict[str, Node]) -> set[str]:
    """The machines that the page names."""
    page = lab.client("trainer").get(reverse("confirmations")).content.decode()
    assert ("Every machine has confirmed" in page) != ("Not confirmed yet" in page)
    return {name for name in every if f"<strong>{name}</strong>" in page}


def test_the_page_of_a_blocked_badge_counts_down_the_machines_until_each_has_confirmed() -> None:
    lab, both = two_machines()
    assert open_machines(lab, both) == set()
    badge = lab.small.member.badges.get()
    members.block_badge(console(), badge, BadgeCondition.LOST)
    history = [open_machines(lab, both)]
    confirm(lab.small, both["Laser"])
    history.append(open_machines(lab, both))
    confirm(lab.small, both["Table saw"])
    history.append(open_machines(lab, both))
    assert history == [{"Laser", "Table saw"}, {"Table saw"}, set()]


def test_a_revoked_nodes_word_confirms_nothing() -> None:
    lab, both = two_machines()
    versions = refresh(lab.small.lab)
    Node.objects.filter(pk=both["Laser"].pk).update(confirmed_epoch=None, confirmed_counter=None)
    nodes.revoke_node(console(), both["Laser"], "stolen")
    write_confirmations({both["Laser"].pk: versions[both["Laser"].pk]}, 0)
    assert Node.objects.get(pk=both["Laser"].pk).confirmed_counter is None
