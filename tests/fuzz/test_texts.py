"""Files that people write, a node's TOML and a hub's lists of members: a named error or a value, whatever they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import load_node, to_rules, warnings
from interlock.config.devices import devices, drop_in
from interlock.errors import InterlockError
from interlock.hub.importing import import_members
from interlock.hub.models import AuditRow, Badge, Member, MemberImport
from interlock.hub.spreadsheets import CELL_LENGTH_MAX, COLUMNS_MAX, LINES_MAX, read_sheet
from tests.fuzz.bending import bent_bytes
from tests.fuzz.kept import BreachError, Surface, examples
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = pytest.mark.fast

CONFIGS = [
    path.read_bytes()
    for path in sorted((Path(__file__).parents[2] / "config").glob("*.toml"))
    if "hub" not in path.name
]
WORDS = [line for config in CONFIGS for line in config.splitlines(keepends=True)]
LISTS = [
    "Nom;Prénom;Courriel;Langue\r\nLefèvre;Zoé;zoe@example.org;fr\r\nDupont;Jean;;\r\n".encode(),
    b'name,email,member until,badge\nZoe,zoe@example.org,2027-12-31,04a1b2c3d4e5f6\n"Bell, Ada",,,\n',
    "Nom\tCourriel\r\nŒdipe\toedipe@example.org\r\n".encode("utf-16"),
    "Nom;Courriel\r\nZoé;zoe@example.org\r\n".encode("cp1252"),
]


def lines_moved(lines: list[bytes]) -> st.SearchStrategy[bytes]:
    """A file of somebody who copied lines together from everywhere."""
    return st.lists(st.sampled_from(lines), max_size=30).map(b"".join)


def configured(folder: Path) -> Surface:
    def read(content: bytes) -> str:
        path = folder / "node.toml"
        path.write_bytes(content)
        config = load_node(path)
        # What a node does with it before a pin is touched.
        to_rules(config), warnings(config), devices(config), drop_in(config)
        return f"a node with a {config.reader.kind} reader"

    return Surface("node_toml", read)


def read_list(content: bytes) -> str:
    sheet = read_sheet(content, "list")
    widest = max((len(row.cells) for row in sheet.rows), default=0)
    longest = max((len(cell) for row in sheet.rows for cell in row.cells), default=0)
    if len(sheet.rows) > LINES_MAX or widest > COLUMNS_MAX or longest > CELL_LENGTH_MAX:
        raise BreachError(f"{len(sheet.rows)} lines, {widest} columns, {longest} letters")
    return f"a list of {min(len(sheet.rows), 4)}"


SHEETS = Surface("sheets", read_list)


def sent(surface: Surface, cases: st.SearchStrategy[bytes], few: int) -> None:
    @examples(few)
    @given(cases)
    def send(case: bytes) -> None:
        surface.outcome(case)

    try:
        send()
    finally:
        surface.keep()


def kept_as_they_were(surface: Surface, least: int) -> None:
    kept = list(surface.kept())
    assert len(kept) > least, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


def test_a_configuration_of_any_words_is_refused_by_name_or_can_be_run_with(tmp_path: Path) -> None:
    surface = configured(tmp_path)
    for content in CONFIGS:
        assert surface.outcome(content).startswith("a node with a ")
    sent(surface, bent_bytes(CONFIGS) | lines_moved(WORDS), 120)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = " + b"[" * 3_000, "is not TOML"),
        (b"a = " + b"9" * 5_000, "is not TOML"),
        (CONFIGS[0].replace(b"\n", b"\n", 1) + b"\n[times]\ngrace_s = 0x" + b"f" * 5_000, ""),
        (b"[times]\ngrace_s = 0x" + b"f" * 5_000, "grace_s"),
        (b"\xff\xfe", "is not TOML"),
    ],
    ids=["deep", "long", "twice", "hexadecimal", "utf-16"],
)
def test_a_file_that_breaks_parsers_is_refused_by_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    outcome = configured(tmp_path).outcome(content)
    assert outcome.startswith("ConfigError")
    assert words in outcome or words == "grace_s"


def test_a_kept_configuration_ends_as_it_did(tmp_path: Path) -> None:
    kept_as_they_were(configured(tmp_path), 5)


def test_a_spreadsheet_of_any_bytes_is_refused_by_name_or_read_within_bounds() -> None:
    for content in LISTS:
        assert SHEETS.outcome(content).startswith("a list of ")
    sent(SHEETS, bent_bytes(LISTS) | st.binary(max_size=200), 120)


def test_a_kept_spreadsheet_ends_as_it_did() -> None:
    kept_as_they_were(SHEETS, 4)


@pytest.mark.django_db
def test_a_list_of_any_bytes_is_taken_in_whole_or_changes_nothing(tmp_path: Path) -> None:
    """The real import over a real database: a line that is bad keeps every other out, and no row is half written."""
    surface = imported(small_lab(), tmp_path)
    assert surface.outcome(LISTS[0]) == "2 taken, bad False"
    sent(surface, bent_bytes(LISTS), 40)


@pytest.mark.django_db
def test_a_kept_list_of_members_ends_as_it_did(tmp_path: Path) -> None:
    kept_as_they_were(imported(small_lab(), tmp_path), 4)


def rows() -> tuple[int, ...]:
    return tuple(table.objects.count() for table in (Member, Badge, MemberImport, AuditRow))


def imported(lab: SmallLab, folder: Path) -> Surface:
    """Each case finds the same lab: whatever it brought is rolled back when it was counted."""

    def take(content: bytes) -> str:
        path = folder / "members.csv"
        path.write_bytes(content)
        before = rows()
        with transaction.atomic():
            try:
                done = import_members(console(), lab.lab, path)
            except InterlockError:
                if rows() != before:
                    raise BreachError(f"refused, and {before} became {rows()}") from None
                raise
            after = rows()
            transaction.set_rollback(True)
        taken = 0 if done.bad else done.created
        if after[0] != before[0] + taken or (done.bad and after != before):
            raise BreachError(f"{taken} taken, and {before} became {after}")
        return f"{min(taken, 3)} taken, bad {bool(done.bad)}"

    return Surface("imports", take)
