"""Old ids of the PyPI library mfrc522: what they say, what they cannot say, and whole lists of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.hub import importing_badges, old_ids
from interlock.hub.domain import accounts, members
from interlock.hub.importing import import_members
from interlock.hub.importing_badges import BadgeLine, import_badges
from interlock.hub.models import AuditRow, Badge, BadgeCondition, Member, RoleName
from interlock.hub.permissions import Actor
from interlock.hub.snapshots import entries_of
from interlock.protocol.tags import badge_tag
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

UID = bytes.fromhex("deadbeef")
SEVEN = bytes.fromhex("04112233445566")


def library_number(first_round: bytes) -> int:
    """As SimpleMFRC522.uid_to_num makes it of the five bytes of an anticollision round."""
    number = 0
    for byte in first_round:
        number = number * 256 + byte
    return number


def with_check(four: bytes) -> bytes:
    return four + bytes([four[0] ^ four[1] ^ four[2] ^ four[3]])


def old_id(uid: bytes) -> int:
    """The integer that library prints of a card with that UID."""
    if len(uid) == 4:
        return library_number(with_check(uid))
    return library_number(with_check(b"\x88" + uid[:3]))


def test_the_number_is_the_one_the_library_prints() -> None:
    """A worked example by hand: DE^AD^BE^EF = 22."""
    assert old_id(UID) == 0xDEADBEEF22 == 956_397_711_138
    assert old_ids.read("956397711138").uid == UID
    assert old_ids.read("956 397 711 138").uid == UID


@given(st.binary(min_size=4, max_size=4))
def test_every_four_byte_uid_survives_its_old_id(uid: bytes) -> None:
    read = old_ids.read(str(old_id(uid)))
    assert read.uid == (None if uid[0] == 0x88 else uid)


@given(st.binary(min_size=4, max_size=4), st.integers(1, 255))
def test_a_wrong_check_byte_is_never_taken(uid: bytes, wrong: int) -> None:
    with pytest.raises(ConfigError, match="check byte"):
        old_ids.read(str(old_id(uid) ^ wrong))


@given(st.binary(min_size=7, max_size=7))
def test_a_longer_uid_says_nothing_that_a_badge_is_known_by(uid: bytes) -> None:
    read = old_ids.read(str(old_id(uid)))
    assert (read.uid, read.head) == (None, b"\x88" + uid[:3])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no id of the old readers"),
        ("-5", "no id of the old readers"),
        ("deadbeef", "no id of the old readers"),
        (str(1 << 40), "no id of the old readers"),
        ("9" * 500, "no id of the old readers"),
        ("٣٤", "no id of the old readers"),
        ("9,56398E+11", "rounded by a spreadsheet"),
        ("9.56398E+11", "rounded by a spreadsheet"),
    ],
)
def test_what_is_no_old_id_is_said_so(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        old_ids.read(text)


# ------------------------------------------------------------------------------------------- lists


def tag_of(uid: bytes) -> bytes:
    return badge_tag(settings.HUB.badge_key(), uid)


def line(number: int, member: str, uid: bytes, label: str = "") -> BadgeLine:
    return BadgeLine(number, member, old_id=str(old_id(uid)), label=label)


def conditions(lab: SmallLab) -> list[tuple[str, str]]:
    found = Badge.objects.filter(lab=lab.lab).exclude(pk=lab.badge.pk).order_by("pk")
    return [(badge.member.name, badge.condition) for badge in found]


def test_an_old_id_becomes_a_badge_and_a_cut_off_one_waits_to_be_enrolled_again() -> None:
    lab = small_lab()
    lines = [line(2, "ADA@example.org", UID, "old card"), line(3, "ada martin", SEVEN)]
    done = import_badges(console(), lab.lab, lines)
    assert (done.given, done.enrol_again, done.unchanged, done.bad) == (1, 1, 0, ())
    assert conditions(lab) == [("Ada Martin", "active"), ("Ada Martin", "enrol_again")]
    assert Badge.objects.get(tag=tag_of(UID)).label == "old card"


def test_what_waits_opens_nothing_anywhere_and_no_card_has_its_tag() -> None:
    lab = small_lab()
    import_badges(console(), lab.lab, [line(2, "Ada Martin", SEVEN)])
    waits = Badge.objects.get(condition=BadgeCondition.ENROL_AGAIN)
    told = {entry.tag for entry in entries_of(lab.lab, frozenset())[0]}
    assert told == {bytes(lab.badge.tag)}
    assert bytes(waits.tag) not in {tag_of(SEVEN), tag_of(b"\x88" + SEVEN[:3])}
    with pytest.raises(ConfigError, match="says nothing of the card"):
        members.unblock_badge(console(), waits)
    with pytest.raises(ConfigError, match="lost, stolen or retired"):
        members.block_badge(console(), lab.badge, BadgeCondition.ENROL_AGAIN)


def test_two_members_whose_cards_looked_alike_both_wait() -> None:
    lab = small_lab()
    members.create_member(console(), lab.lab, "Bob")
    alike = SEVEN[:3] + bytes.fromhex("aabbccdd")
    done = import_badges(console(), lab.lab, [line(2, "Ada Martin", SEVEN), line(3, "Bob", alike)])
    assert (done.enrol_again, done.bad) == (2, ())
    assert conditions(lab) == [("Ada Martin", "enrol_again"), ("Bob", "enrol_again")]


def test_a_new_badge_ends_the_oldest_wait_of_its_member_and_of_nobody_else() -> None:
    lab = small_lab()
    bob = members.create_member(console(), lab.lab, "Bob")
    other = bytes.fromhex("04998877665544")
    lines = [line(2, "Ada Martin", SEVEN), line(3, "Ada Martin", other), line(4, "Bob", SEVEN)]
    import_badges(console(), lab.lab, lines)
    members.assign_badge(console(), lab.member, SEVEN)
    waiting = Badge.objects.filter(condition=BadgeCondition.ENROL_AGAIN)
    assert sorted(waiting.values_list("member__name", flat=True)) == ["Ada Martin", "Bob"]
    assert AuditRow.objects.filter(action="badge_enrolled_again").count() == 1
    assert bob.badges.get().condition == BadgeCondition.ENROL_AGAIN


def test_a_list_is_looked_at_first_and_then_changes_nothing() -> None:
    lab = small_lab()
    lines = [line(2, "Ada Martin", UID), line(3, "Nobody", SEVEN)]
    rows = AuditRow.objects.count()
    looked = import_badges(console(), lab.lab, lines, dry_run=True)
    assert (looked.given, [bad.number for bad in looked.bad]) == (1, [3])
    assert (Badge.objects.count(), AuditRow.objects.count()) == (1, rows)


def test_one_bad_line_keeps_all_of_them_out_unless_the_good_ones_are_asked_for() -> None:
    lab = small_lab()
    lines = [line(2, "Ada Martin", UID), line(3, "Nobody", SEVEN)]
    assert import_badges(console(), lab.lab, lines).given == 0
    assert conditions(lab) == []
    assert import_badges(console(), lab.lab, lines, partial=True).given == 1
    assert conditions(lab) == [("Ada Martin", "active")]


def test_the_same_list_twice_gives_nothing_twice() -> None:
    lab = small_lab()
    lines = [line(2, "Ada Martin", UID), line(3, "Ada Martin", SEVEN)]
    import_badges(console(), lab.lab, lines)
    again = import_badges(console(), lab.lab, lines)
    assert (again.given, again.enrol_again, again.unchanged, again.bad) == (0, 0, 2, ())
    assert Badge.objects.count() == 3


def test_each_bad_line_says_why() -> None:
    lab = small_lab()
    for name in ("Bob", "Bob", "Zoé"):
        members.create_member(console(), lab.lab, name)
    lines = [
        line(2, "Zoé", UID),
        line(3, "Ada Martin", UID),
        line(4, "Bob", SEVEN),
        line(5, "Ada Martin", bytes.fromhex("08112233")),
        BadgeLine(6, "Ada Martin", old_id="956397711139"),
        BadgeLine(7, "Ada Martin", old_id="1", uid="04"),
        BadgeLine(8, "Ada Martin"),
        BadgeLine(9, "Zoé", uid="04a1b2c3d4e5f6"),
        BadgeLine(10, "", uid="04a1b2c3d4e5f7"),
    ]
    done = import_badges(console(), lab.lab, lines, dry_run=True)
    said = {bad.number: bad.reason for bad in done.bad}
    expected = {
        3: "in line 2 already",
        4: "2 members are called Bob",
        5: "phones",
        6: "check byte is 23 and would have to be 22",
        7: "one of the two",
        8: "one of the two",
        9: "belongs to Ada Martin",
        10: "there is no —",
    }
    assert set(said) == set(expected)
    assert all(expected[number] in said[number] for number in expected), said


def test_a_file_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    lab = small_lab()
    file = tmp_path / "badges.csv"
    head = "Membre;Ancien identifiant;Étiquette\r\n"
    file.write_bytes((head + f"Ada Martin;{old_id(UID)};carte n° 5\r\n").encode("cp1252"))
    lines = importing_badges.lines_of(file)
    assert lines == [BadgeLine(2, "Ada Martin", str(old_id(UID)), "", "carte n° 5")]
    assert import_badges(console(), lab.lab, lines).given == 1
    file.write_text("nobody;knows\n1;2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="only member is required"):
        importing_badges.lines_of(file)


def test_a_list_of_members_may_carry_old_ids_too(tmp_path: Path) -> None:
    lab = small_lab()
    file = tmp_path / "members.csv"
    file.write_text(
        "name;old_id;badge\n"
        f"Bob;{old_id(UID)};\n"
        f"Zoé;{old_id(SEVEN)};\n"
        f"Max;{old_id(UID) ^ 1};\n"
        f"Eve;{old_id(UID)};04a1b2c3d4e5f7\n",
        encoding="utf-8",
    )
    done = import_members(console(), lab.lab, file, partial=True)
    assert (done.created, [bad.number for bad in done.bad]) == (2, [4, 5])
    assert conditions(lab) == [("Bob", "active"), ("Zoé", "enrol_again")]
    assert Member.objects.get(name="Bob").badges.get().tag == tag_of(UID)


def test_who_gives_no_badges_imports_none() -> None:
    lab = small_lab()
    user = accounts.create_user("a@example.org", "Accountant")
    accounts.give_role(console(), lab.lab, user, RoleName.ACCOUNTANT)
    with pytest.raises(PermissionDenied):
        import_badges(Actor(settings.HUB_CLOCK, user), lab.lab, [line(2, "Ada Martin", UID)])


def test_more_lines_than_one_transaction_holds_are_split_or_taken_a_few_at_a_time() -> None:
    lab = small_lab()
    count = importing_badges.LINES_AT_ONCE_MAX + 1
    uids = [bytes([1, *number.to_bytes(3, "big")]) for number in range(count)]
    lines = [line(number, "Ada Martin", uid) for number, uid in enumerate(uids, start=2)]
    with pytest.raises(ConfigError, match="--partial"):
        import_badges(console(), lab.lab, lines)
    assert Badge.objects.count() == 1
