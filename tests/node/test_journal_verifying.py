"""`interlock journal verify` on a journal's file: whole is called whole, and every flipped bit is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from interlock.cli.journal import journal as commands
from interlock.config.secret_files import write_node_keys
from interlock.errors import StoreError
from interlock.node.journal_verifying import Found, verify_journal, walk
from interlock.protocol.records import RecordType
from tests.node.journals import KEYS, NOW, boot, draft, ended, opened, started

pytestmark = pytest.mark.real

COLUMNS = "boot_id boot_ms wall_ms wall_trusted type body salt sealed prev hash".split()
INT_BITS = 63
TRUST_BITS = 1


def written(folder: Path) -> Path:
    journal = opened(folder, boot_id="b")
    journal.append([draft(RecordType.PROBLEM_REPORTED, problem="x", detail="\x1f")])
    journal.branch(101, NOW)
    journal.append([boot()])
    journal.close(clean=True)
    return folder / "journal.db"


def flips(value: object, column: str) -> Iterator[object]:
    """`value` with each of its bits flipped in turn."""
    if isinstance(value, int):
        for bit in range(TRUST_BITS if column == "wall_trusted" else INT_BITS):
            yield value ^ 1 << bit
        return
    content = value.encode() if isinstance(value, str) else value
    assert isinstance(content, bytes)
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_a_journal_that_holds_is_whole_and_its_file_is_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    found = verify_journal(path, KEYS)
    assert (found.faults, found.records, found.epochs) == ([], 3, 2)
    assert found.head is not None
    assert (found.head.epoch, found.head.seq) == (101, 2)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["journal.db"]


def test_every_flipped_bit_of_every_record_is_found_and_its_record_named(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(written(tmp_path))) as source,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        source.backup(copy)
        tried = 0
        for place, *row in copy.execute(
            f"SELECT place, {', '.join(COLUMNS)} FROM records ORDER BY place"
        ).fetchall():
            name = f"record {place >> 40}.{place & (1 << 40) - 1}: "
            for column, value in zip(COLUMNS, row, strict=True):
                kind = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
                change = f"UPDATE records SET {column} = {kind} WHERE place = ?"
                for flipped in flips(value, column):
                    copy.execute(change, (flipped, place))
                    found = Found()
                    walk(copy, KEYS, found)
                    assert any(one.startswith(name) for one in found.faults), (
                        column,
                        flipped,
                        found,
                    )
                    tried += 1
                copy.execute(change, (value, place))
        assert tried > 4_000


def test_every_flipped_bit_of_a_place_and_of_the_marks_is_found(tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(written(tmp_path))) as source,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        source.backup(copy)
        places = [place for (place,) in copy.execute("SELECT place FROM records").fetchall()]
        for place in places:
            for flipped in flips(place, "place"):
                if flipped in places:
                    continue
                copy.execute("UPDATE records SET place = ? WHERE place = ?", (flipped, place))
                found = Found()
                walk(copy, KEYS, found)
                assert not found.is_whole, (place, flipped)
                copy.execute("UPDATE records SET place = ? WHERE place = ?", (place, flipped))
        for name, value in copy.execute("SELECT name, value FROM marks").fetchall():
            for flipped in flips(value, name):
                copy.execute("UPDATE marks SET value = ? WHERE name = ?", (flipped, name))
                found = Found()
                walk(copy, KEYS, found)
                assert not found.is_whole, name
            copy.execute("UPDATE marks SET value = ? WHERE name = ?", (value, name))


DAMAGE: dict[str, tuple[str, str]] = {
    "a record taken out": (
        "DELETE FROM records WHERE place & 255 = 2",
        "record 1.3: records before",
    ),
    "the first": ("DELETE FROM records WHERE place & 255 = 1", "record 1.2: records before"),
    "the last": ("DELETE FROM records WHERE place & 255 = 4", "up to 1.4"),
    "the marks": ("DELETE FROM marks WHERE name = 'head'", "marks: "),
}


@pytest.mark.parametrize("what", list(DAMAGE))
def test_what_is_missing_is_named_with_its_place(tmp_path: Path, what: str) -> None:
    journal = opened(tmp_path)
    [start] = journal.append([started()])
    journal.append([boot(), ended(start.id), boot()])
    journal.close()
    statement, said = DAMAGE[what]
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as connection:
        connection.execute(statement)
    faults = verify_journal(tmp_path / "journal.db", KEYS).faults
    assert any(said in fault for fault in faults), faults


def test_a_damaged_page_is_named_and_hides_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.find(b"problem_reported") + 3] ^= 0x80
    path.write_bytes(content)
    assert any(fault.startswith("record ") for fault in verify_journal(path, KEYS).faults)


def test_a_running_nodes_file_is_left_alone(tmp_path: Path) -> None:
    """In another process: a process does not meet its own locks."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match="running"):
            verify_journal(tmp_path / "journal.db", KEYS)
    finally:
        holder.communicate()


HOLD = """
import sys
from pathlib import Path
from tests.node.journals import boot, opened
journal = opened(Path(sys.argv[1]))
journal.append([boot()])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("meddle", [False, True], ids=["whole", "altered"])
def test_the_command_takes_the_file_and_says_where_it_breaks(tmp_path: Path, meddle: bool) -> None:
    path, keys = written(tmp_path), tmp_path / "saw.node.json"
    write_node_keys(keys, KEYS)
    if meddle:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE records SET boot_ms = 7 WHERE place >> 40 = 101")
    asked = ["verify", str(path), "--keys", str(keys)]
    done = CliRunner().invoke(commands, asked, standalone_mode=False)
    assert done.return_value == (1 if meddle else 0), done.output
    assert ("record 101.1" in done.output) is meddle
