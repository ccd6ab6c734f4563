"""What the desk keeps: site keys and their paper, the ledger, what waits for the hub; and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cards.keys import diversified_key
from interlock.desk import paper, private_files, site_keys
from interlock.desk.hub import CardKey
from interlock.desk.ledger import Ledger
from interlock.desk.site_keys import Place, SiteKeys
from interlock.desk.uploads import Upload, Uploads
from interlock.errors import ConfigError, LinkError, StoreError
from interlock.protocol.card_keys import CardSlot, Scheme
from tests.desk.card_rig import AID, ONE, SITE_ID, TWO, UID
from tests.desk.fake_hub import FakeHub

pytestmark = pytest.mark.fast

PLACE = Place(AID, 1)
SLOT = CardSlot(Scheme.DESFIRE_AES, AID, 1)
CARD = CardKey(SLOT, 1)


# ------------------------------------------------------------------------------------- site keys


def test_keys_of_different_places_cards_and_generations_have_nothing_in_common() -> None:
    other_uid = bytes.fromhex("04782e21801d81")
    keys = [
        TWO.card_key(generation, uid, Place(aid, number))
        for generation in (1, 2)
        for uid in (UID, other_uid)
        for aid in (AID, bytes(3))
        for number in (0, 1, 2, 13, 255)
    ]
    assert len(set(keys)) == len(keys)


def test_a_card_key_is_the_an10922_diversification_of_a_key_of_its_place() -> None:
    """Not of the site key itself: a node's key must not lead to the card's master key."""
    direct = diversified_key(ONE.generations[1], uid=UID, aid=AID, site_id=SITE_ID.encode())
    keys = {ONE.card_key(1, UID, Place(AID, number)) for number in range(14)}
    assert direct not in keys


def test_keys_come_back_from_their_file_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    site_keys.create(path, TWO)
    assert path.stat().st_mode & 0o777 == 0o600
    assert site_keys.load(path, SITE_ID) == TWO
    with pytest.raises(ConfigError, match="exists already"):
        site_keys.create(path, ONE)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        site_keys.load(path, SITE_ID)


def test_keys_of_another_site_id_are_refused(tmp_path: Path) -> None:
    site_keys.create(tmp_path / "keys", ONE)
    with pytest.raises(ConfigError, match="made for the site id"):
        site_keys.load(tmp_path / "keys", "another lab")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"v":1,"site_id":"test lab","keys":{}}',
        b'{"v":1,"site_id":"test lab","keys":{"1":"00"}}',
        b'{"v":2,"site_id":"test lab","keys":{"1":"00000000000000000000000000000000"}}',
        b'{"v":1,"site_id":"test lab","keys":{"0":"00000000000000000000000000000000"}}',
        b'{"v":1,"site_id":"test lab","keys":["1"]}',
    ],
)
def test_a_damaged_file_of_keys_is_refused(content: bytes, tmp_path: Path) -> None:
    private_files.create(tmp_path / "keys", content)
    with pytest.raises(ConfigError, match="damaged"):
        site_keys.load(tmp_path / "keys", SITE_ID)


def test_keys_show_themselves_to_nobody_who_prints_them() -> None:
    assert ONE.generations[1].hex() not in repr(ONE)
    assert str(ONE.generations[1]) not in repr(ONE)


def test_a_key_that_is_here_already_with_other_digits_is_never_overwritten() -> None:
    with pytest.raises(ConfigError, match="different keys number 1"):
        ONE.with_restored(1, bytes(16))
    assert ONE.with_restored(2, TWO.generations[2]) == TWO


# ----------------------------------------------------------------------------------------- paper


@given(st.integers(1, 255), st.binary(min_size=16, max_size=16))
def test_what_stands_on_paper_is_the_key(number: int, key: bytes) -> None:
    assert paper.read(paper.written(number, key).lower()) == (number, key)


@given(
    st.integers(1, 255),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 7),
    st.integers(0, 3),
    st.sampled_from("0123456789ABCDEF"),
)
def test_one_wrong_digit_is_always_found_and_its_group_named(
    number: int, key: bytes, group: int, digit: int, typed: str
) -> None:
    words = paper.written(number, key).split(" ")
    word = words[1 + group]
    words[1 + group] = word[:digit] + typed + word[digit + 1 :]
    if words[1 + group] != word:
        with pytest.raises(ConfigError, match=f"group {group + 1} "):
            paper.read(" ".join(words))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 7), st.integers(0, 2))
def test_two_swapped_neighbours_are_always_found(key: bytes, group: int, digit: int) -> None:
    words = paper.written(1, key).split(" ")
    word = words[1 + group]
    swapped = word[:digit] + word[digit + 1] + word[digit] + word[digit + 2 :]
    words[1 + group] = swapped
    if swapped != word:
        with pytest.raises(ConfigError, match=f"group {group + 1} "):
            paper.read(" ".join(words))


def test_swapped_groups_and_a_line_of_another_number_are_found() -> None:
    words = paper.written(1, bytes(range(16))).split(" ")
    swapped = [words[0], words[2], words[1], *words[3:]]
    for wrong in (" ".join(swapped), " ".join(["2:", *words[1:]]), " ".join(words[:-1])):
        with pytest.raises(ConfigError):
            paper.read(wrong)


def test_a_mistyped_group_is_named() -> None:
    line = paper.written(1, bytes(range(16))).replace("0405", "0406")
    with pytest.raises(ConfigError, match=r"group 3 \(0406"):
        paper.read(line)


@pytest.mark.parametrize("line", ["", "1", "0: 0", ":", "x: y", "300:" + " 0000-G" * 8 + " GGG"])
def test_what_is_no_line_of_the_paper_is_refused(line: str) -> None:
    with pytest.raises(ConfigError):
        paper.read(line)


# ---------------------------------------------------------------------------------------- ledger


def test_a_ledger_knows_after_a_restart_what_it_knew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state" / "ledger")
    ledger.intend("card", PLACE, 0, 1)
    ledger.intend("other", PLACE, 1, 2)
    ledger.settle("card", PLACE, 1)
    ledger.close()
    again = Ledger(tmp_path / "state" / "ledger")
    assert again.may_hold("card", PLACE) == (1,)
    assert again.may_hold("other", PLACE) == (1, 2)
    assert again.may_hold("card", Place(AID, 2)) is None
    assert again.unfinished() == 1
    assert (tmp_path / "state" / "ledger").stat().st_mode & 0o777 == 0o600
    again.close()


def test_a_line_that_was_cut_off_was_never_acted_on_and_does_not_spoil_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path)
    ledger.intend("card", PLACE, 0, 1)
    ledger.close()
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        ledger = Ledger(path)
        ledger.settle("card", PLACE, 1)
        ledger.close()
        ledger = Ledger(path)
        assert ledger.may_hold("card", PLACE) == (1,)
        ledger.close()
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "{}",
        '{"card":"c","aid":"0110f5","number":1,"may":[]}',
        '{"card":"c","aid":"0110f5","number":1,"may":[0,1,2]}',
        '{"card":"c","aid":"zz","number":1,"may":[0]}',
        '{"card":"c","aid":"0110f5","number":1,"may":[999]}',
        '{"card":1,"aid":"0110f5","number":1,"may":[1]}',
    ],
)
def test_a_damaged_line_in_the_middle_stops_the_desk_and_is_named(
    line: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    private_files.create(path, f"{line}\n".encode())
    with pytest.raises(StoreError, match="line 1"):
        Ledger(path)


def test_two_desks_never_have_the_same_ledger(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "ledger")
    with pytest.raises(StoreError, match="another desk"):
        Ledger(tmp_path / "ledger")
    first.close()
    Ledger(tmp_path / "ledger").close()


def test_a_disk_that_does_not_keep_stops_the_desk(tmp_path: Path) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    ledger = Ledger(tmp_path / "ledger", broken)
    with pytest.raises(StoreError, match="does not keep"):
        ledger.intend("card", PLACE, 0, 1)
    assert ledger.may_hold("card", PLACE) is None
    ledger.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_stops_the_desk() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(StoreError, match="does not keep"):
        private_files.append(descriptor, b"x")
    os.close(descriptor)


# --------------------------------------------------------------------------------------- uploads


def uploads(folder: Path) -> Uploads:
    numbers = iter(range(1000))
    return Uploads(folder / "waiting", lambda: f"key-{next(numbers):05}")


def test_a_new_badge_is_given_and_its_key_told_and_nothing_waits_then(tmp_path: Path) -> None:
    hub, waiting = FakeHub(), uploads(tmp_path)
    waiting.add(UID, None, ("ada", "Ada"), CARD)
    assert waiting.send(hub, ONE) == []
    assert hub.keys == {1: (CARD, ONE.card_key(1, UID, PLACE))}
    assert len(uploads(tmp_path)) == 0


@pytest.mark.parametrize("away_after", [0, 1])
def test_a_hub_that_is_away_gets_it_after_a_restart_of_the_desk(
    away_after: int, tmp_path: Path
) -> None:
    hub, waiting = FakeHub(), uploads(tmp_path)
    hub.away_after = away_after
    waiting.add(UID, None, ("ada", "Ada"), CARD)
    with pytest.raises(LinkError):
        waiting.send(hub, ONE)
    assert len(uploads(tmp_path)) == 1
    hub.away_after = 99
    assert uploads(tmp_path).send(hub, ONE) == []
    assert list(hub.keys) == [1]


def test_an_answer_that_was_lost_longer_ago_than_the_hub_remembers_is_no_refusal(
    tmp_path: Path,
) -> None:
    hub, waiting = FakeHub(), uploads(tmp_path)
    hub.loses_answers = True
    waiting.add(UID, None, ("ada", "Ada"), CARD)
    with pytest.raises(LinkError):
        waiting.send(hub, ONE)
    assert uploads(tmp_path).send(hub, ONE) == []
    assert list(hub.keys) == [1]


def test_a_card_that_became_somebody_elses_meanwhile_is_refused_and_waits_no_more(
    tmp_path: Path,
) -> None:
    hub, waiting = FakeHub(), uploads(tmp_path)
    hub.owners[UID] = "eve"
    waiting.add(UID, None, ("ada", "Ada"), CARD)
    refused = waiting.send(hub, ONE)
    assert [(one.upload.member_name, one.refusal.code) for one in refused] == [("Ada", "conflict")]
    assert hub.keys == {}
    assert len(uploads(tmp_path)) == 0


def test_a_newer_key_of_the_same_card_replaces_the_one_that_waited(tmp_path: Path) -> None:
    hub, waiting = FakeHub(), uploads(tmp_path)
    hub.owners[UID] = "ada"
    badge = hub.lookup(UID).badge
    waiting.add(UID, badge, ("ada", "Ada"), CARD)
    newer = CardKey(CardSlot(Scheme.DESFIRE_AES, AID, 3), 2)
    waiting.add(UID, badge, ("ada", "Ada"), newer)
    assert len(waiting) == 1
    assert waiting.send(hub, TWO) == []
    assert hub.keys == {1: (newer, TWO.card_key(2, UID, Place(AID, 3)))}


def test_what_waits_holds_no_key(tmp_path: Path) -> None:
    uploads(tmp_path).add(UID, None, ("ada", "Ada"), CARD)
    content = (tmp_path / "waiting").read_text()
    assert ONE.card_key(1, UID, PLACE).hex() not in content
    assert not {field for field in Upload.__slots__ if field == "key"}
    assert (tmp_path / "waiting").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_of_what_waits_is_told(tmp_path: Path) -> None:
    private_files.create(tmp_path / "waiting", b'[{"uid": 1}]')
    with pytest.raises(StoreError, match="damaged"):
        uploads(tmp_path)


def test_site_keys_of_a_lab_that_began_are_not_those_of_a_lab_that_did_not() -> None:
    first, second = site_keys.new_site_keys("test lab"), site_keys.new_site_keys("test lab")
    assert first.generations[1] != second.generations[1]
    assert sorted(first.with_another().generations) == [1, 2]
    assert SiteKeys("x", {255: bytes(16)}).newest == 255
    with pytest.raises(ConfigError, match="255"):
        SiteKeys("x", {255: bytes(16)}).with_another()
