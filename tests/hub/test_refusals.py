"""Refused records: unknown cards are listed for a day, and a badge that fails its proof is an alarm."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied

from interlock.core.model import Reason
from interlock.errors import ConfigError
from interlock.hub import ingest
from interlock.hub.domain import accounts, badges, members, nodes, unknown
from interlock.hub.greeting import Hello, greet
from interlock.hub.models import Alarm, AlarmKind, Badge, NodeRecord, RoleName, UnknownBadge
from interlock.hub.permissions import Actor
from interlock.protocol.records import RecordType
from interlock.protocol.tags import badge_tag
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NOW_MS = 1_750_000_000_000
STRANGER = bytes.fromhex("04feedface0001")


def tag_of(uid: bytes) -> bytes:
    return badge_tag(settings.HUB.badge_key(), uid)


class Door:
    """The small lab's node, refusing; the hub hears of it at `clock`."""

    def __init__(self) -> None:
        self.small: SmallLab = small_lab()
        self.clock = VirtualClock(wall_ms=NOW_MS)
        self.journal = Journal.of(self.small.enrolled)
        self.journal.anchor(NOW_MS - 60_000)
        self.sent = 0

    @property
    def now(self) -> datetime:
        return Actor(self.clock).now()

    def refuse(self, reason: str, tag: bytes | None, count: object = 1) -> str:
        """One record in the journal; its id."""
        return self.journal.write(
            RecordType.REFUSED,
            reason=reason,
            tag=None if tag is None else tag.hex(),
            member=None,
            training=None,
            count=count,
            evidence=None,
        ).id

    def deliver(self) -> None:
        wires = self.journal.wires(self.sent)
        self.sent += len(wires)
        ingest.take(self.small.enrolled.node, wires, self.clock)

    def listed(self) -> list[tuple[bytes, int, str]]:
        found = unknown.listed(self.small.lab, self.now)
        return [
            (bytes(row.tag), row.count, row.node.machine.slug if row.node else row.desk)
            for row in found
        ]


def test_an_unknown_card_is_listed_with_its_machine_and_counted_not_repeated() -> None:
    door = Door()
    tag = tag_of(STRANGER)
    door.refuse(Reason.UNKNOWN_BADGE, tag)
    door.refuse(Reason.UNKNOWN_BADGE, tag, count=4)
    door.deliver()
    door.refuse(Reason.UNKNOWN_BADGE, tag)
    door.deliver()
    assert door.listed() == [(tag, 6, "saw")]
    at = UnknownBadge.objects.get().seen_at
    assert timedelta() < door.now - at < timedelta(seconds=60)


def test_the_same_batch_twice_counts_once() -> None:
    door = Door()
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.deliver()
    door.sent = 0
    door.deliver()
    assert door.listed() == [(tag_of(STRANGER), 1, "saw")]


def test_every_other_refusal_lists_nothing() -> None:
    door = Door()
    for reason in set(Reason) - {Reason.UNKNOWN_BADGE}:
        door.refuse(reason, tag_of(STRANGER))
    # The rest of a flood names no card.
    door.refuse(Reason.UNKNOWN_BADGE, None, count=500)
    door.deliver()
    assert not UnknownBadge.objects.exists()


def test_what_was_refused_more_than_a_day_ago_is_not_listed_when_it_arrives() -> None:
    door = Door()
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.clock.sleep(24 * 3_600 + 1)
    door.deliver()
    assert not UnknownBadge.objects.exists()


def test_after_a_day_the_tag_is_gone_from_the_list_and_then_from_the_table() -> None:
    door = Door()
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.deliver()
    door.clock.sleep(24 * 3_600 + 1)
    assert door.listed() == []
    assert UnknownBadge.objects.count() == 1
    door.journal.session(door.small, 60)
    door.deliver()
    assert UnknownBadge.objects.count() == 0


def test_a_quiet_day_ends_the_list_too() -> None:
    """A node without a single record says hello all the same."""
    door = Door()
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.deliver()
    door.clock.sleep(24 * 3_600 + 1)
    hello = Hello("0.1.0", "boot-1", door.journal.head, None, bytes(16), "locked")
    greet(door.small.enrolled.node, hello, door.clock)
    assert UnknownBadge.objects.count() == 0


def test_a_card_that_has_an_owner_by_now_is_not_unknown() -> None:
    door = Door()
    door.refuse(Reason.UNKNOWN_BADGE, bytes(door.small.badge.tag))
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.deliver()
    assert door.listed() == [(tag_of(STRANGER), 1, "saw")]
    members.assign_tag(console(), door.small.member, tag_of(STRANGER))
    assert door.listed() == []
    assert not UnknownBadge.objects.exists()


def test_a_phone_is_listed_as_no_badge_and_can_be_given_to_nobody() -> None:
    door = Door()
    phone = badges.random_tag()
    door.refuse(Reason.UNKNOWN_BADGE, phone)
    door.refuse(Reason.UNKNOWN_BADGE, tag_of(STRANGER))
    door.deliver()
    told = {bytes(r.tag): unknown.is_badge(r) for r in unknown.listed(door.small.lab, door.now)}
    assert told == {phone: False, tag_of(STRANGER): True}
    with pytest.raises(ConfigError, match="phones"):
        members.assign_tag(console(), door.small.member, phone)


@pytest.mark.parametrize("uid", [bytes.fromhex("08010203"), bytes.fromhex("88041122")])
def test_a_number_that_names_no_card_is_given_to_nobody(uid: bytes) -> None:
    lab = small_lab()
    with pytest.raises(ConfigError):
        members.assign_badge(console(), lab.member, uid)
    assert Badge.objects.count() == 1


def test_seven_bytes_that_begin_like_a_phone_are_a_badge() -> None:
    lab = small_lab()
    badge = members.assign_badge(console(), lab.member, bytes.fromhex("08112233445566"))
    assert badge.member == lab.member


def test_a_lying_node_fills_no_list() -> None:
    door = Door()
    many = {bytes([n // 256, n % 256]) + bytes(14): 1 for n in range(unknown.PER_PLACE_MAX + 5)}
    taps = [unknown.Tap(tag, door.now, count) for tag, count in many.items()]
    unknown.note(door.small.enrolled.node, taps, door.now)
    assert UnknownBadge.objects.count() == unknown.PER_PLACE_MAX


@pytest.mark.parametrize(
    "field",
    [{"tag": "zz"}, {"tag": 7}, {"count": 0}, {"count": "many"}, {"reason": ["x"]}, {"reason": {}}],
)
def test_a_refusal_that_makes_no_sense_is_stored_and_said(field: dict[str, object]) -> None:
    door = Door()
    body = {"reason": Reason.UNKNOWN_BADGE.value, "tag": tag_of(STRANGER).hex(), "count": 1}
    door.journal.write(RecordType.REFUSED, **{**body, **field})
    door.deliver()
    assert not UnknownBadge.objects.exists()
    assert NodeRecord.objects.filter(type="refused").count() == 1
    assert Alarm.objects.get().kind == AlarmKind.RECORD_UNREADABLE


def test_a_tap_at_the_desk_is_listed_under_the_desks_name() -> None:
    door = Door()
    actor, lab = Actor(door.clock), door.small.lab
    assert unknown.note_at_desk(actor, lab, "front desk", tag_of(STRANGER)) is None
    assert unknown.note_at_desk(actor, lab, "front desk", tag_of(STRANGER)) is None
    assert door.listed() == [(tag_of(STRANGER), 2, "front desk")]
    known = unknown.note_at_desk(actor, lab, "front desk", bytes(door.small.badge.tag))
    assert known == door.small.badge
    user = accounts.create_user("a@example.org", "Accountant")
    accounts.give_role(console(), lab, user, RoleName.ACCOUNTANT)
    with pytest.raises(PermissionDenied):
        unknown.note_at_desk(Actor(door.clock, user), lab, "x", tag_of(STRANGER))


def test_a_badge_that_is_not_genuine_is_an_alarm_about_that_badge_and_names_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door()
    badge = door.small.badge
    other = members.assign_badge(console(), door.small.member, STRANGER)
    with caplog.at_level(logging.DEBUG):
        first = door.refuse(Reason.BADGE_NOT_GENUINE, bytes(badge.tag))
        door.refuse(Reason.BADGE_NOT_GENUINE, bytes(other.tag))
        door.deliver()
        again = door.refuse(Reason.BADGE_NOT_GENUINE, bytes(badge.tag))
        door.deliver()
    alarms = Alarm.objects.filter(badge=badge)
    assert [(a.kind, a.detail, a.count) for a in alarms] == [("possible_clone", again, 2)]
    assert first != again
    assert Alarm.objects.filter(badge=other).count() == 1
    said = caplog.text + "".join(Alarm.objects.values_list("detail", flat=True))
    for secret in ("Ada", badge.label, bytes(badge.tag).hex()[:8], door.small.member.public_id):
        assert secret not in said


def test_a_closed_alarm_is_raised_anew_by_the_next_copy() -> None:
    door = Door()
    tag = bytes(door.small.badge.tag)
    door.refuse(Reason.BADGE_NOT_GENUINE, tag)
    door.deliver()
    nodes.close_alarm(console(), Alarm.objects.get(), "it was a broken card")
    door.refuse(Reason.BADGE_NOT_GENUINE, tag)
    door.deliver()
    assert Alarm.objects.filter(closed_at=None, badge=door.small.badge).count() == 1
    assert Alarm.objects.count() == 2


def test_a_flood_of_copies_without_a_tag_is_an_alarm_too() -> None:
    door = Door()
    door.refuse(Reason.BADGE_NOT_GENUINE, None, count=90)
    door.deliver()
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.badge) == (AlarmKind.POSSIBLE_CLONE, None)
