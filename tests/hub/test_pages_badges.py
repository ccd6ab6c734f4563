"""Unknown cards to their owners, a badge handed out by a tap, copies told to those who may know."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from interlock.hub.alarms import raise_alarm
from interlock.hub.domain import badges, members, unknown
from interlock.hub.domain.unknown import Tap
from interlock.hub.models import (
    Alarm,
    AlarmKind,
    ApiToken,
    AuditRow,
    Badge,
    BadgeCondition,
    UnknownBadge,
)
from interlock.hub.pages.badges import WINDOW_KEY
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.protocol.tags import badge_tag, short_code
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

STRANGER = bytes.fromhex("04feedface0001")


def tag_of(uid: bytes) -> bytes:
    return badge_tag(settings.HUB.badge_key(), uid)


def refuse(lab: PageLab, tag: bytes, ago_s: int = 0) -> int:
    """The saw refused a card as unknown; the number of its row."""
    now = console().now()
    node = lab.small.enrolled.node
    unknown.note(node, [Tap(tag, now - timedelta(seconds=ago_s), 1)], now)
    return UnknownBadge.objects.get(tag=tag, node=node).pk


def read(client: Client, name: str, *args: object, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def press(client: Client, name: str, *args: object, **fields: str) -> str:
    answer = client.post(reverse(name, args=args), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


# ------------------------------------------------------------------------------------ unknown badges


def test_the_board_asks_the_manager_to_look_at_unknown_badges_and_nobody_else() -> None:
    lab = page_lab()
    assert "unknown badge" not in read(lab.client("manager"), "board")
    refuse(lab, tag_of(STRANGER))
    refuse(lab, badges.random_tag())
    assert "1 unknown badge was held to a reader" in read(lab.client("manager"), "board")
    assert "1 unknown badge was held to a reader" in read(lab.client("owner"), "todo")
    for role in ("trainer", "technician", "accountant", "member"):
        assert "unknown badge" not in read(lab.client(role), "board")


def test_the_list_shows_the_code_of_the_screen_the_machine_and_the_time() -> None:
    lab = page_lab()
    refuse(lab, tag_of(STRANGER), ago_s=90)
    page = read(lab.client("manager"), "unknown-badges")
    assert short_code(tag_of(STRANGER)) in page
    assert "Table saw" in page
    assert tag_of(STRANGER).hex()[:8] not in page


def test_a_phone_is_listed_as_no_badge_and_is_offered_to_nobody() -> None:
    lab = page_lab()
    number = refuse(lab, badges.random_tag())
    client = lab.client("manager")
    page = read(client, "unknown-badges")
    assert "A phone, not a badge" in page
    assert reverse("unknown-badge", args=[number]) not in page
    assert "This is no badge" in read(client, "unknown-badge", number, q="Ada")
    member = lab.small.member.public_id
    assert "phones do" in press(client, "give-badge", member, number)
    assert Badge.objects.count() == 1


def test_two_clicks_give_an_unknown_card_to_whoever_was_found() -> None:
    lab = page_lab()
    number = refuse(lab, tag_of(STRANGER))
    client = lab.client("manager")
    found = read(client, "unknown-badge", number, q="ada")
    assert "Give it to Ada Martin" in found
    page = press(client, "give-badge", lab.small.member.public_id, number, label="red card")
    assert "red card" in page
    assert "The badge is Ada Martin&#x27;s" in page
    badge = Badge.objects.get(tag=tag_of(STRANGER))
    assert (badge.member, badge.condition) == (lab.small.member, BadgeCondition.ACTIVE)
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.actor) == ("badge_given", "Some manager")
    assert client.get(reverse("unknown-badge", args=[number])).status_code == 404


def test_a_search_without_a_hit_says_so_and_shows_nobody() -> None:
    lab = page_lab()
    number = refuse(lab, tag_of(STRANGER))
    client = lab.client("manager")
    assert "Nobody matches this search." in read(client, "unknown-badge", number, q="zzz")
    assert "Ada Martin" not in read(client, "unknown-badge", number)


def test_a_card_of_another_lab_or_of_yesterday_is_not_there() -> None:
    lab = page_lab()
    other = small_lab(slug="other")
    now = console().now()
    unknown.note(other.enrolled.node, [Tap(bytes(16), now, 1)], now)
    theirs = UnknownBadge.objects.get().pk
    old = refuse(lab, tag_of(STRANGER), ago_s=10)
    UnknownBadge.objects.filter(pk=old).update(seen_at=now - timedelta(hours=24))
    client = lab.client("manager")
    member = lab.small.member.public_id
    for number in (theirs, old):
        assert client.get(reverse("unknown-badge", args=[number])).status_code == 404
        assert client.post(reverse("give-badge", args=[member, number])).status_code == 404
    assert "No unknown badge in the last 24 hours." in read(client, "unknown-badges")
    assert Badge.objects.count() == 2


# --------------------------------------------------------------------------------- handed out by a tap


def test_a_tap_anywhere_appears_while_the_window_is_open_and_becomes_the_members_badge() -> None:
    lab = page_lab()
    member = lab.small.member.public_id
    client = lab.client("manager")
    page = read(client, "hand-out", member)
    assert "Begin" in page
    refuse(lab, tag_of(STRANGER), ago_s=5)
    assert short_code(tag_of(STRANGER)) not in read(client, "hand-out", member)
    page = press(client, "hand-out", member)
    assert "Hold the new badge to any machine" in page
    unknown.note_at_desk(console(), lab.small.lab, "front desk", tag_of(b"\x04" + bytes(6)))
    taps = read(client, "hand-out-taps", member)
    assert "front desk" in taps
    assert "just before you began" in taps
    number = UnknownBadge.objects.get(desk="front desk").pk
    assert reverse("give-badge", args=[member, number]) in taps
    question = read(client, "give-badge", member, number)
    assert "Give this card to Ada Martin?" in question
    assert short_code(tag_of(b"\x04" + bytes(6))) in question
    press(client, "give-badge", member, number, label="key ring")
    assert lab.small.member.badges.count() == 2
    assert "Begin" in read(client, "hand-out", member)


def test_after_two_minutes_the_page_offers_no_card_any_more() -> None:
    lab = page_lab()
    member = lab.small.member.public_id
    client = lab.client("manager")
    press(client, "hand-out", member)
    refuse(lab, tag_of(STRANGER))
    assert short_code(tag_of(STRANGER)) in read(client, "hand-out", member)
    session = client.session
    session[WINDOW_KEY] = [member, session[WINDOW_KEY][1] - 120]
    session.save()
    page = read(client, "hand-out", member)
    assert "The two minutes are over" in page
    assert short_code(tag_of(STRANGER)) not in page


def test_a_window_is_one_members_and_one_logins() -> None:
    lab = page_lab()
    bob = members.create_member(console(), lab.small.lab, "Bob")
    client = lab.client("manager")
    press(client, "hand-out", lab.small.member.public_id)
    refuse(lab, tag_of(STRANGER))
    code = short_code(tag_of(STRANGER))
    assert code not in read(client, "hand-out", bob.public_id)
    assert code not in read(lab.client("owner"), "hand-out", lab.small.member.public_id)


def test_an_old_tap_is_not_offered_to_somebody_who_begins_later() -> None:
    lab = page_lab()
    refuse(lab, tag_of(STRANGER), ago_s=300)
    client = lab.client("manager")
    page = press(client, "hand-out", lab.small.member.public_id)
    assert "Nothing tapped yet." in page


def test_a_card_that_somebody_else_was_quicker_to_give_is_refused_in_words() -> None:
    lab = page_lab()
    number = refuse(lab, tag_of(STRANGER))
    bob = members.create_member(console(), lab.small.lab, "Bob")
    badge = members.assign_tag(console(), bob, tag_of(STRANGER))
    again = UnknownBadge(lab=lab.small.lab, node=lab.small.enrolled.node, tag=tag_of(STRANGER))
    again.pk, again.seen_at = number, console().now()
    again.save(force_insert=True)
    page = press(lab.client("manager"), "give-badge", lab.small.member.public_id, number)
    assert "This badge belongs to Bob" in page
    badge.refresh_from_db()
    assert badge.member == bob


def test_the_page_of_a_member_offers_a_badge_to_those_who_may_give_one() -> None:
    lab = page_lab()
    member = lab.small.member.public_id
    where = reverse("hand-out", args=[member])
    assert where in read(lab.client("manager"), "member", member)
    for role in ("trainer", "accountant"):
        assert where not in read(lab.client(role), "member", member)


def test_badges_to_enrol_again_are_listed_and_shown_as_opening_nothing() -> None:
    lab = page_lab()
    client = lab.client("manager")
    assert "Nobody has to enrol" in read(client, "badges-to-enrol")
    badges.record_enrol_again(console(), lab.small.member, b"\x88\x04\x11\x22", "old card")
    assert "1 badge has to be enrolled again" in read(client, "board")
    page = read(client, "badges-to-enrol")
    assert "Ada Martin" in page
    assert "old card" in page
    page = read(client, "member", lab.small.member.public_id)
    assert "An old number that several cards share" in page


def test_a_genuine_badge_is_shown_as_one_and_its_key_nowhere() -> None:
    lab = page_lab()
    key = bytes.fromhex("c0ffee00c0ffee11c0ffee22c0ffee33")
    slot = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("f54952"), 1)
    member = lab.small.member.public_id
    assert "genuine" not in read(lab.client("owner"), "member", member)
    badges.set_card_key(console(), lab.small.badge, slot, key)
    page = read(lab.client("owner"), "member", member)
    assert "genuine: DESFire (AES)" in page
    assert key.hex() not in page


# --------------------------------------------------------------------------------------------- copies


def copy_seen(lab: PageLab) -> Alarm:
    node = lab.small.enrolled.node
    raise_alarm(node, AlarmKind.POSSIBLE_CLONE, "1.1", console().now(), badge=lab.small.badge)
    return Alarm.objects.get()


WORDS = "did not prove that it is genuine"


def test_a_possible_copy_is_told_to_those_who_look_after_machines_and_named_to_those_who_may() -> (
    None
):
    lab = page_lab()
    copy_seen(lab)
    for role, told, named in (
        ("owner", True, True),
        ("manager", True, True),
        ("technician", True, False),
        ("trainer", False, False),
        ("accountant", False, False),
    ):
        client = lab.client(role)
        board, machine = read(client, "board"), read(client, "machine", "saw")
        assert (WORDS in board, WORDS in machine) == (told, told), role
        assert ("Ada Martin" in machine, "blue key ring" in machine) == (named, named), role
        assert "Ada Martin" not in board
    assert WORDS not in read(lab.client("member"), "board")


def test_the_members_page_and_their_own_tell_of_the_copy() -> None:
    lab = page_lab()
    said = "may be a copy"
    assert said not in read(lab.client("owner"), "member", lab.small.member.public_id)
    copy_seen(lab)
    assert said in read(lab.client("owner"), "member", lab.small.member.public_id)
    link_to_member(lab, "member", lab.small.member)
    own = read(lab.client("member"), "me")
    assert said in own
    assert "Please tell the people at the desk." in own


def test_an_alarm_is_closed_with_a_reason_and_is_gone_from_every_page() -> None:
    lab = page_lab()
    alarm = copy_seen(lab)
    client = lab.client("technician")
    assert reverse("close-alarm", args=[alarm.pk]) in read(client, "machine", "saw")
    page = press(client, "close-alarm", alarm.pk, why="a worn card")
    assert "The alarm is closed." in page
    assert WORDS not in page
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.why, row.actor) == ("alarm_closed", "a worn card", "Some technician")
    assert WORDS not in read(lab.client("owner"), "board")


# --------------------------------------------------------------------------------------------- tokens


def test_a_token_is_shown_once_and_revoked_by_a_button() -> None:
    lab = page_lab()
    client = lab.client("owner")
    fields = {"name": "front desk", "scopes": ["badges:read"], "days": 30}
    page = client.post(reverse("tokens"), fields).content.decode()
    token = ApiToken.objects.get()
    secret = page.partition('class="secret">')[2].partition("<")[0]
    assert secret.startswith("ilk_")
    assert secret not in read(client, "tokens")
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client(headers=headers).get("/api/v1/badges").status_code == 200
    press(client, "revoke-token", token.pk)
    assert Client(headers=headers).get("/api/v1/badges").status_code == 401
    assert "No token yet." in read(client, "tokens")


def test_a_token_that_cannot_be_made_says_why() -> None:
    lab = page_lab()
    client = lab.client("owner")
    fields = {"name": "front desk", "scopes": ["badges:read"], "days": 30}
    client.post(reverse("tokens"), fields)
    assert "exists already" in client.post(reverse("tokens"), fields).content.decode()
    assert "ilk_" not in client.post(reverse("tokens"), {"name": "x"}).content.decode()
    assert ApiToken.objects.count() == 1
