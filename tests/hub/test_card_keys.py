"""Keys of genuine badges: sealed in the database, wrapped for one node, and named nowhere."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied

from interlock.core.model import Entry
from interlock.errors import ConfigError, ProtocolError, StoreError
from interlock.hub.card_keys import Vault
from interlock.hub.domain import accounts, badges, machines, members, nodes
from interlock.hub.domain.nodes import Enrolled
from interlock.hub.models import Alarm, AuditRow, BadgeCondition, CardKey, RoleName
from interlock.hub.permissions import Actor
from interlock.hub.snapshots import body_of, current_version
from interlock.protocol import canonical, card_keys
from interlock.protocol.card_keys import CardSlot, Scheme, WrappedKey
from interlock.protocol.snapshots import (
    SnapshotHeader,
    card_key_from_wire,
    entry_lines,
    open_header,
    read_snapshot,
)
from interlock.protocol.tags import badge_tag
from tests.hub.lab import HUB_URL, UID, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

SLOT = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("f54952"), 1)
KEY = bytes.fromhex("a8dd63a3b89d54b37ca802473fda9175")
OTHER_UID = bytes.fromhex("04112233445566")


@dataclass
class Told:
    """What one node reads: the verified header, its entries and their wrapped keys."""

    header: SnapshotHeader
    entries: list[Entry]
    wrapped: dict[bytes, WrappedKey]
    lines: list[bytes]

    def open(self, enrolled: Enrolled, tag: bytes) -> bytes:
        """The badge's key, as that node opens it."""
        assert self.header.wrapping_key is not None
        key = card_keys.open_sealed(enrolled.keys.decryption_key, self.header.wrapping_key)
        return card_keys.unwrap(key, self.wrapped[tag], node=enrolled.keys.node, tag=tag)


def told(enrolled: Enrolled) -> Told:
    """The snapshot of that node, taken apart."""
    keys, body = enrolled.keys, body_of(enrolled.node)
    header, entries = read_snapshot(io.BytesIO(body), keys.hub_key(), lab=keys.lab, node=keys.node)
    found = list(entries)
    lines = body.splitlines(keepends=True)[1:]
    wires = [canonical.loads(line, where="test") for line in lines]
    wrapped = {bytes.fromhex(w["tag"]): card_key_from_wire(w) for w in wires}
    return Told(header, found, {tag: key for tag, key in wrapped.items() if key}, lines)


def genuine_lab() -> tuple[SmallLab, bytes]:
    """The small lab, whose badge has a key; and the badge's tag."""
    lab = small_lab()
    badges.set_card_key(console(), lab.badge, SLOT, KEY)
    return lab, bytes(lab.badge.tag)


def second_node(lab: SmallLab) -> Enrolled:
    """A machine that asks for the same, with a node of its own."""
    other = machines.create_machine(
        console(), lab.lab, "planer", "Planer", trainings=[lab.training]
    )
    return nodes.enrol_node(console(), other, HUB_URL)


def test_a_node_opens_the_keys_of_the_badges_it_may_meet() -> None:
    lab, tag = genuine_lab()
    seen = told(lab.enrolled)
    assert seen.wrapped[tag].slot == SLOT
    assert seen.open(lab.enrolled, tag) == KEY


def test_a_lab_without_genuine_badges_sends_no_key_at_all() -> None:
    lab = small_lab()
    seen = told(lab.enrolled)
    assert (seen.header.wrapping_key, seen.wrapped) == (None, {})


def test_what_is_wrapped_for_one_node_opens_at_no_other() -> None:
    lab, tag = genuine_lab()
    other = second_node(lab)
    mine, theirs = told(lab.enrolled), told(other)
    assert theirs.open(other, tag) == mine.open(lab.enrolled, tag) == KEY
    assert mine.wrapped[tag].wrapped != theirs.wrapped[tag].wrapped
    with pytest.raises(ProtocolError):
        mine.open(other, tag)
    assert theirs.header.wrapping_key is not None
    stolen = card_keys.open_sealed(other.keys.decryption_key, theirs.header.wrapping_key)
    with pytest.raises(ProtocolError):
        card_keys.unwrap(stolen, mine.wrapped[tag], node=lab.enrolled.keys.node, tag=tag)


def test_the_lines_are_those_the_protocol_would_write() -> None:
    """They are cut open and filled in, because most of a line is the same for every node."""
    lab, tag = genuine_lab()
    members.assign_badge(console(), lab.member, OTHER_UID)
    seen = told(lab.enrolled)
    assert seen.lines == entry_lines(seen.entries, seen.wrapped)
    assert list(seen.wrapped) == [tag]


def test_an_unchanged_badge_raises_no_version_and_changes_no_line() -> None:
    lab, _tag = genuine_lab()
    first = told(lab.enrolled)
    badges.set_card_key(console(), lab.badge, SLOT, KEY)
    assert told(lab.enrolled).header == first.header
    members.assign_badge(console(), lab.member, OTHER_UID)
    later = told(lab.enrolled)
    assert later.header.version == (1, first.header.version[1] + 1)
    assert set(first.lines) < set(later.lines)


def test_another_key_another_slot_and_none_are_each_a_new_version() -> None:
    lab, tag = genuine_lab()
    seen = [current_version(lab.enrolled.node)]
    badges.set_card_key(console(), lab.badge, SLOT, bytes(16))
    seen.append(current_version(lab.enrolled.node))
    third = CardSlot(SLOT.scheme, SLOT.aid, 3)
    badges.set_card_key(console(), lab.badge, third, bytes(16))
    seen.append(current_version(lab.enrolled.node))
    assert told(lab.enrolled).wrapped[tag].slot == third
    badges.forget_card_key(console(), lab.badge)
    seen.append(current_version(lab.enrolled.node))
    assert seen == sorted(set(seen))
    assert told(lab.enrolled).wrapped == {}


def test_a_blocked_badge_takes_its_key_off_every_node() -> None:
    lab, _tag = genuine_lab()
    members.block_badge(console(), lab.badge, BadgeCondition.STOLEN)
    seen = told(lab.enrolled)
    assert (len(seen.entries), seen.wrapped, seen.header.wrapping_key) == (1, {}, None)


def test_a_node_enrolled_anew_has_another_wrapping_key() -> None:
    lab, tag = genuine_lab()
    before = told(lab.enrolled)
    nodes.revoke_node(console(), lab.enrolled.node, "stolen")
    again = nodes.enrol_node(console(), lab.machine, HUB_URL)
    after = told(again)
    assert after.open(again, tag) == KEY
    assert after.wrapped[tag].wrapped != before.wrapped[tag].wrapped
    assert before.header.wrapping_key is not None
    old = card_keys.open_sealed(lab.enrolled.keys.decryption_key, before.header.wrapping_key)
    with pytest.raises(ProtocolError):
        card_keys.unwrap(old, after.wrapped[tag], node=again.keys.node, tag=tag)


def test_the_wrapping_key_follows_epoch_and_public_key_too() -> None:
    """Whoever had the earlier ones must open nothing that is wrapped from now on."""
    lab, _tag = genuine_lab()
    node, vault = lab.enrolled.node, Vault(settings.HUB.card_key())
    first = vault.wrapping_key("lab", node)
    assert vault.wrapping_key("lab", node) == first
    node.epoch += 1
    second = vault.wrapping_key("lab", node)
    node.decryption_public_key = card_keys.public_half(card_keys.new_private_key())
    third = vault.wrapping_key("lab", node)
    assert len({first, second, third, vault.wrapping_key("other", node)}) == 4


def test_the_hub_keeps_only_the_public_half_of_a_nodes_key() -> None:
    lab = small_lab()
    private = lab.enrolled.keys.decryption_key
    assert bytes(lab.enrolled.node.decryption_public_key or b"") == card_keys.public_half(private)
    kept = [bytes(v) for v in vars(lab.enrolled.node).values() if isinstance(v, bytes | memoryview)]
    assert private not in kept


def test_a_key_that_cannot_be_opened_keeps_its_badge_off_the_list_and_is_said() -> None:
    """Without its key a copy would count as the badge."""
    lab, tag = genuine_lab()
    members.assign_badge(console(), lab.member, OTHER_UID)
    row = CardKey.objects.get()
    row.sealed = bytes(32)
    row.save()
    badges_told = told(lab.enrolled).entries
    assert [entry.tag for entry in badges_told] == [badge_tag(settings.HUB.badge_key(), OTHER_UID)]
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.detail) == (
        "badge_left_out",
        f"{tag[:4].hex()}: its card key cannot be opened",
    )


def test_a_sealed_key_moved_to_another_badge_opens_nothing() -> None:
    lab, tag = genuine_lab()
    vault, row = Vault(settings.HUB.card_key()), CardKey.objects.get()
    assert vault.open("lab", tag, row) == KEY
    other = members.assign_badge(console(), lab.member, OTHER_UID)
    for lab_slug, asked in (("lab", bytes(other.tag)), ("other", tag)):
        with pytest.raises(StoreError):
            vault.open(lab_slug, asked, row)
    row.key_number = 3
    with pytest.raises(StoreError):
        vault.open("lab", tag, row)
    with pytest.raises(StoreError):
        Vault(bytes(32)).open("lab", tag, CardKey.objects.get())


def test_no_audit_row_holds_a_key() -> None:
    lab, _tag = genuine_lab()
    badges.forget_card_key(console(), lab.badge, "a test")
    said = list(AuditRow.objects.order_by("seq").values("action", "before", "after", "why"))
    what = {"scheme": "desfire_aes", "aid": "f54952", "key_number": 1, "key_version": 0}
    assert said[-2:] == [
        {"action": "card_key_set", "before": None, "after": what, "why": ""},
        {"action": "card_key_forgotten", "before": what, "after": None, "why": "a test"},
    ]
    assert KEY.hex() not in json.dumps(said)


def test_who_may_give_no_badges_sets_no_keys() -> None:
    lab = small_lab()
    user = accounts.create_user("t@example.org", "Technician")
    accounts.give_role(console(), lab.lab, user, RoleName.TECHNICIAN)
    technician = Actor(settings.HUB_CLOCK, user)
    with pytest.raises(PermissionDenied):
        badges.set_card_key(technician, lab.badge, SLOT, KEY)
    badges.set_card_key(console(), lab.badge, SLOT, KEY)
    with pytest.raises(PermissionDenied):
        badges.forget_card_key(technician, lab.badge)
    assert CardKey.objects.count() == 1


@pytest.mark.parametrize(
    ("slot", "key", "version", "where"),
    [
        (SLOT, KEY[:15], 0, "key"),
        (SLOT, KEY, 256, "key_version"),
        (SLOT, KEY, -1, "key_version"),
        (CardSlot(Scheme.DESFIRE_AES, SLOT.aid, 0), KEY, 0, "key_number"),
        (CardSlot(Scheme.DESFIRE_AES, SLOT.aid, 14), KEY, 0, "key_number"),
        (CardSlot(Scheme.NTAG424_AES, bytes(3), 5), KEY, 0, "key_number"),
        (CardSlot(Scheme.DESFIRE_AES, bytes(3), 1), KEY, 0, "aid"),
        (CardSlot(Scheme.NTAG424_AES, SLOT.aid, 1), KEY, 0, "aid"),
        (CardSlot(Scheme.DESFIRE_AES, b"\xf5", 1), KEY, 0, "aid"),
    ],
)
def test_what_no_card_has_is_refused(slot: CardSlot, key: bytes, version: int, where: str) -> None:
    lab = small_lab()
    with pytest.raises(ConfigError) as caught:
        badges.set_card_key(console(), lab.badge, slot, key, version)
    assert caught.value.where == where
    assert not CardKey.objects.exists()


def test_a_badge_that_opens_nothing_gets_no_key() -> None:
    lab = small_lab()
    members.block_badge(console(), lab.badge, BadgeCondition.LOST)
    with pytest.raises(ConfigError, match="opens nothing"):
        badges.set_card_key(console(), lab.badge, SLOT, KEY)
    with pytest.raises(ConfigError, match="no key"):
        badges.forget_card_key(console(), lab.badge)


@pytest.mark.parametrize(
    ("current", "scheme", "following"),
    [
        (1, Scheme.DESFIRE_AES, 3),
        (3, Scheme.DESFIRE_AES, 4),
        (12, Scheme.DESFIRE_AES, 13),
        (13, Scheme.DESFIRE_AES, None),
        (0, Scheme.NTAG424_AES, 1),
        (4, Scheme.NTAG424_AES, None),
    ],
)
def test_the_next_key_number_is_never_the_doors_and_ends_with_the_card(
    current: int, scheme: Scheme, following: int | None
) -> None:
    assert badges.next_key_number(current, scheme) == following


def test_key_numbers_in_use_are_counted_by_scheme() -> None:
    lab, _tag = genuine_lab()
    other = members.assign_badge(console(), lab.member, OTHER_UID)
    badges.set_card_key(console(), other, CardSlot(Scheme.NTAG424_AES, bytes(3), 1), KEY)
    assert badges.key_numbers(lab.lab, Scheme.DESFIRE_AES) == {1: 1}
    members.block_badge(console(), lab.badge, BadgeCondition.RETIRED)
    assert badges.key_numbers(lab.lab, Scheme.DESFIRE_AES) == {}
    assert badges.key_numbers(lab.lab, Scheme.NTAG424_AES) == {1: 1}


def test_the_stored_list_for_a_node_holds_no_key_in_clear() -> None:
    lab, _tag = genuine_lab()
    body = body_of(lab.enrolled.node)
    for form in (KEY, KEY.hex().encode(), base64.b64encode(KEY)):
        assert form not in body
    keys = lab.enrolled.keys
    header = open_header(body.splitlines(True)[0], keys.hub_key(), lab=keys.lab, node=keys.node)
    assert header.wrapping_key is not None
    assert UID.hex().encode() not in body
