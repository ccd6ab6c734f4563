"""The desk's file is strict, its spreadsheets are read and written as people's programs do it, taps come one by one."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlock.desk import lists, old_ids, settings
from interlock.desk.making import Made, Outcome
from interlock.desk.taps import CARD_MS_MAX, Taps, reader_of
from interlock.errors import ConfigError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.sim.clocks import VirtualClock
from tests.desk.desk_rig import STEPS_MAX

pytestmark = pytest.mark.fast

SOUND: dict[str, dict[str, Any]] = {
    "hub": {"url": "https://hub.example.org"},
    "cards": {"site_id": "my-lab.org"},
}


def test_a_short_file_is_enough_and_its_paths_begin_beside_it(tmp_path: Path) -> None:
    chosen = settings.parse(SOUND, tmp_path)
    assert chosen.reader.kind == "pcsc"
    assert chosen.aid == bytes.fromhex("0110f5")
    assert chosen.looks_after_card
    folders = {chosen.token_file.parent, chosen.site_key_file.parent, chosen.state_dir.parent}
    assert folders == {tmp_path}


def test_what_connect_writes_is_what_is_read(tmp_path: Path) -> None:
    document = {**SOUND, "reader": {"kind": "pn532", "device": 'a "quoted" \\ path'}}
    path = tmp_path / "desk.toml"
    path.write_text(settings.to_toml(document))
    assert tomllib.loads(path.read_text()) == document
    assert settings.load(path).reader.device == 'a "quoted" \\ path'


@pytest.mark.parametrize(
    ("table", "key", "value", "says"),
    [
        ("hub", "url", "http://hub.example.org", "https://"),
        ("hub", "url", "ftp://127.0.0.1", "https://"),
        ("hub", "url", "https://", "https://"),
        ("hub", "url", "http://127.0.0.1.example.org", "https://"),
        ("hub", "token", "x", "nearest known key is hub.token_file"),
        ("reader", "kind", "camera", "pcsc"),
        ("cards", "aid", "A51001", "F5"),
        ("cards", "aid", "F5100", "F5"),
        ("cards", "site_id", "short", "6 to 21"),
        ("cards", "site_id", "fablab-é.org", "6 to 21"),
        ("cards", "master_key", "perhaps", "ours"),
        ("colour", "wall", "green", "nearest"),
    ],
)
def test_a_wrong_file_is_refused_with_what_to_write(
    table: str, key: str, value: str, says: str, tmp_path: Path
) -> None:
    document = {**SOUND, table: {**SOUND.get(table, {}), key: value}}
    with pytest.raises(ConfigError, match=says):
        settings.parse(document, tmp_path)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://[::1]:80", "http://localhost"])
def test_the_hubs_own_computer_needs_no_certificate(url: str, tmp_path: Path) -> None:
    settings.parse({**SOUND, "hub": {"url": url}}, tmp_path)


def test_a_desk_that_was_never_connected_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="interlock desk connect"):
        settings.load(tmp_path / "nowhere.toml")


# --------------------------------------------------------------------------------------- old ids


def sheet(tmp_path: Path, content: bytes) -> old_ids.OldFile:
    (tmp_path / "old.csv").write_bytes(content)
    return old_ids.read(tmp_path / "old.csv")


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_sheets_of_any_program_are_read(separator: str, encoding: str, tmp_path: Path) -> None:
    rows = [["Libellé", "Nom", "Ancien id"], ["bleu", "Zoé", "149 469 399 799"], ["", "", ""]]
    text = "\r\n".join(separator.join(row) for row in rows)
    read = sheet(tmp_path, text.encode(encoding))
    assert read == old_ids.OldFile((old_ids.OldLine(2, "Zoé", 149469399799, "bleu"),), ())


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1.49E+11", "rounded"),
        ("1,49e11", "rounded"),
        ("-5", "no id"),
        ("abc", "no id"),
        ("", "no id"),
        ("1099511627776", "no id"),
        ("12345678901234", "no id"),
    ],
)
def test_what_is_no_old_id_is_named_with_its_line(cell: str, says: str, tmp_path: Path) -> None:
    read = sheet(tmp_path, f"member;old_id\nAda;1\nEve;{cell}\n".encode())
    assert [line.number for line in read.lines] == [2]
    assert [(number, says in why) for number, why in read.bad] == [(3, True)]


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "is empty"), (b"who;what\n", "no column member, old_id")]
)
def test_a_sheet_without_its_columns_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        sheet(tmp_path, content)


# ----------------------------------------------------------------------------------------- lists


def test_a_list_is_text_to_a_spreadsheet_and_to_a_browser(tmp_path: Path) -> None:
    rows = [
        Made(Outcome.MADE, "=cmd|' /C calc'!A1", "1", "DESFire", 1, 2),
        Made(Outcome.REFUSED, "<script>alert(1)</script>", reason='says "no"; twice'),
    ]
    csv_path, html_path = lists.write(tmp_path, rows, "my-lab", 1_790_000_000_000)
    read = list(csv.reader(csv_path.read_text("utf-8-sig").splitlines(), delimiter=";"))
    assert read[1] == ["'=cmd|' /C calc'!A1", "DESFire", "1", "2", "genuine"]
    assert read[2][-1] == 'says "no"; twice'
    page = html_path.read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


# ------------------------------------------------------------------------------------------ taps


class Polls:
    """A reader whose polls are written down; afterwards its field is empty."""

    def __init__(self, *sights: Sight | None) -> None:
        self.sights = list(sights)

    def open(self) -> None:
        """It is."""

    def poll(self) -> Sight | None:
        return self.sights.pop(0) if self.sights else None

    def wake(self, card: CardSeen) -> CardSeen | None:
        return card

    def close(self) -> None:
        """It may stay open."""


ADA, EVE = (CardSeen(bytes((4, n, 0, 0)), b"\x04\x00", 0x20) for n in (1, 2))


def taken(*sights: Sight | None) -> tuple[list[CardSeen], int]:
    """The cards that come one by one, and how often "several" was told."""
    told: list[int] = []
    reader = Polls(*sights)
    taps = Taps(reader, VirtualClock(), lambda: told.append(1))
    steps = iter([False] * STEPS_MAX)
    found = []
    while (card := taps.next(lambda: next(steps, True))) is not None:
        found.append(card)
    return found, len(told)


def test_a_card_that_lies_there_is_one_tap_and_one_that_comes_back_is_another() -> None:
    assert taken(ADA, ADA, ADA) == ([ADA], 0)
    assert taken(ADA, *[None] * 5, ADA) == ([ADA], 0), "a poll that missed it is no tap"
    assert taken(ADA, *[None] * 8, ADA) == ([ADA, ADA], 0)
    assert taken(ADA, EVE, ADA) == ([ADA, EVE, ADA], 0)


def test_several_cards_are_told_once_and_none_of_them_counts() -> None:
    assert taken(SeveralCards(), SeveralCards(), ADA) == ([ADA], 1)


def test_a_card_is_found_again_or_not_in_bounded_time() -> None:
    clock = VirtualClock()
    assert Taps(Polls(None, None, ADA), clock).again(ADA) == ADA
    began_ms = clock.boot_ms()
    assert Taps(Polls(), clock).again(ADA) is None
    assert clock.boot_ms() - began_ms < 1_000


def test_the_desks_rc522_gives_cards_time_to_be_written(tmp_path: Path) -> None:
    chosen = settings.parse({**SOUND, "reader": {"kind": "mfrc522"}}, tmp_path)
    reader = reader_of(chosen.reader, VirtualClock())
    assert reader._field._attempt_ms_max == CARD_MS_MAX  # type: ignore[attr-defined] # the one thing that differs
