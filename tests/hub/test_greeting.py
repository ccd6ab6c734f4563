"""A node's hello: whose rights are newer, and what a hub that was restored does about it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from interlock.hub.domain import labs, members, trainings
from interlock.hub.greeting import EPOCH_JUMP_MAX, EPOCH_RAISED_EVERY, ChainDiffers, Hello, greet
from interlock.hub.models import Alarm, AlarmKind, Authorisation, ChangeLog, Lab, Node, Topic
from interlock.hub.snapshots import body_of, current_version
from interlock.protocol.fields import INT_MAX
from interlock.protocol.records import GENESIS, Head
from interlock.protocol.snapshots import SnapshotVersion, read_snapshot
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


class Desk:
    """The node's hellos to the hub, at a time the test sets."""

    def __init__(self) -> None:
        self.lab: SmallLab = small_lab()
        self.clock = VirtualClock(wall_ms=LAB_BEGAN_MS)

    def node(self) -> Node:
        return Node.objects.select_related("lab", "machine").get(pk=self.lab.enrolled.node.pk)

    def hello(self, version: SnapshotVersion | None) -> dict[str, Any]:
        said = Hello("1", "boot", Head(1, 0, GENESIS), version, bytes(16), "locked")
        return greet(self.node(), said, self.clock)

    def differs(self, head: Head) -> int | None:
        """The epoch in which a node with another journal than the hub's is told to go on."""
        with pytest.raises(ChainDiffers) as found:
            greet(self.node(), Hello("1", "boot", head, None, bytes(16), "locked"), self.clock)
        return found.value.branch

    def told(self) -> tuple[SnapshotVersion, list[list[str]]]:
        """The version and the rights of each badge in the list the hub has now."""
        keys = self.lab.enrolled.keys
        source = io.BytesIO(body_of(self.node()))
        header, entries = read_snapshot(source, keys.hub_key(), lab=keys.lab, node=keys.node)
        return header.version, [[right.training for right in one.rights] for one in entries]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def rights_changes() -> list[str]:
    found = ChangeLog.objects.filter(topic=Topic.RIGHTS, what="hub_epoch_raised")
    return list(found.values_list("subject", flat=True))


def test_a_restored_hub_outdoes_every_list_that_its_node_can_hold(desk: Desk) -> None:
    """The evening's back-up is put back: numbers that were given out would be given out again."""
    desk.told()
    labs.send_names(console(), desk.lab.lab, on=True)
    held = (1, 9)
    answer = desk.hello(held)
    assert answer["version"][0] == 2
    assert rights_changes() == ["saw"]
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.closed_at) == (AlarmKind.HUB_BEHIND, None)
    assert "1.9" in alarm.detail
    trainings.revoke_training(console(), Authorisation.objects.get(revoked_at=None))
    version, rights = desk.told()
    assert version > held
    assert rights == [[]]


def test_every_number_the_node_could_say_is_outdone_whichever_changes_followed(desk: Desk) -> None:
    """The same version again, with other rights in it, must never look confirmed."""
    held = (1, 3)
    desk.told()
    desk.hello(held)
    members.change_member(console(), desk.lab.member, language="fr")
    assert desk.told()[0] > held
    assert (desk.node().confirmed_epoch, desk.node().confirmed_counter) == held
    assert current_version(desk.node()) > held


def test_a_node_with_the_current_or_an_older_list_changes_nothing(desk: Desk) -> None:
    current = desk.told()[0]
    for version in (None, (0, 5), current):
        assert desk.hello(version)["version"] == list(current)
    assert (Lab.objects.get().hub_epoch, Alarm.objects.count(), rights_changes()) == (1, 0, [])


def test_the_epoch_rises_once_for_all_nodes_that_held_lost_lists(desk: Desk) -> None:
    desk.told()
    desk.hello((1, 9))
    desk.clock.sleep(EPOCH_RAISED_EVERY.total_seconds() + 1)
    desk.hello((1, 9))
    assert Lab.objects.get().hub_epoch == 2


def test_a_lying_node_costs_one_signing_a_minute(desk: Desk) -> None:
    desk.told()
    for number in range(2, 6):
        desk.hello((number, 1))
    assert Lab.objects.get().hub_epoch == 3
    desk.clock.sleep(EPOCH_RAISED_EVERY.total_seconds() + 1)
    desk.hello((5, 1))
    assert Lab.objects.get().hub_epoch == 6
    assert Alarm.objects.get().count == 2


def test_a_liar_cannot_use_the_numbers_up(desk: Desk) -> None:
    desk.told()
    answer = desk.hello((INT_MAX, INT_MAX))
    assert answer["version"] == [1, 1]
    assert Alarm.objects.get().kind == AlarmKind.HUB_BEHIND
    desk.clock.sleep(EPOCH_RAISED_EVERY.total_seconds() + 1)
    desk.hello((1 + EPOCH_JUMP_MAX, INT_MAX))
    assert Lab.objects.get().hub_epoch == 2 + EPOCH_JUMP_MAX


def test_no_two_cards_are_told_the_same_epoch_whatever_their_journals_say(desk: Desk) -> None:
    """An old card, a copy of it, and the newest: each goes on under numbers that are nobody else's."""
    Node.objects.update(head_epoch=1, head_seq=20, head_hash=b"h" * 32)
    given = [desk.differs(Head(1, seq, b"x" * 32)) for seq in (10, 10, 12)]
    assert given == [101, 102, 103]
    Node.objects.update(head_epoch=103, head_seq=4)
    assert desk.differs(Head(1, 21, b"y" * 32)) == 203
    assert Alarm.objects.get(kind=AlarmKind.CHAIN_DIFFERS).count == 4
