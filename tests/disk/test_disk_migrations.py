"""A migration cut off at any write ends in N or N+1 and runs to its end the next time (D9)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from interlock.node import journal_schema as schema
from interlock.sim.disk import Disk, Image, cut_points
from tests.disk.lives import VFS, Life, Step, on_disk, room

pytestmark = pytest.mark.real

DRAWS = 6
FILL = (Step.BATCH, Step.START, Step.REFUSALS, Step.END, Step.MARK)

Migrations = tuple[tuple[str, tuple[str, ...]], ...]

NEXT: Migrations = (
    *schema.MIGRATIONS,
    (
        "0002_a_release_to_come",
        (
            "ALTER TABLE records ADD COLUMN erased INTEGER NOT NULL DEFAULT 0",
            "CREATE INDEX records_by_type ON records (type)",
            "UPDATE records SET erased = 1 WHERE type = 'refused'",
            "CREATE TABLE moved (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
            "INSERT INTO moved SELECT name, value FROM marks",
            "DROP TABLE marks",
        ),
    ),
)
"""What a real one does: a column, an index over every row, an update, a table moved to another."""

Migrate = Callable[[Connection, Migrations], object]


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    with room() as folder:
        yield folder


@pytest.fixture(name="old")
def journal_of_release_n(folder: Path) -> dict[str, bytes]:
    with on_disk(folder, {}) as disk:
        life = Life(disk)
        life.begin()
        for step in FILL * 4:
            life.step(step)
        life.stop()
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def schema_of(connection: Connection) -> list[str]:
    return sorted(sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql)


def content_of(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT {schema.COLUMNS} FROM records ORDER BY place").fetchall()


def migrated(disk: Disk, migrate: Migrate) -> tuple[list[str], list[tuple[object, ...]]]:
    with closing(schema.connect(disk.folder / "journal.db", VFS.uri)) as connection:
        migrate(connection, NEXT)
        return schema_of(connection), content_of(connection)


def ends(folder: Path, old: Image, migrate: Migrate) -> dict[str, int]:
    """How many cuts of the migration ended before and after it; fails at one that ended between."""
    with on_disk(folder, old) as disk:
        with closing(schema.connect(folder / "journal.db", VFS.uri)) as connection:
            before, rows = schema_of(connection), content_of(connection)
        begin = len(disk.log)
        after, rows_after = migrated(disk, migrate)
    assert rows_after == rows
    assert before != after
    found = {"N": 0, "N+1": 0}
    rng = random.Random(9)
    for _ in range(DRAWS):
        for _, platter in cut_points(disk, begin):
            with on_disk(folder, platter.cut(rng)) as left:
                with closing(schema.connect(folder / "journal.db", VFS.uri)) as connection:
                    here = schema_of(connection)
                    assert here in (before, after), "it ended between two releases"
                    assert content_of(connection) == rows
                    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    found["N" if here == before else "N+1"] += 1
                assert migrated(left, schema.migrate) == (after, rows), "it did not run to its end"
    return found


def test_a_migration_cut_at_every_write_ends_before_or_after_it(
    folder: Path, old: dict[str, bytes]
) -> None:
    found = ends(folder, old, schema.migrate)
    assert min(found.values()) > DRAWS, found


def test_the_first_migration_cut_at_every_write_ends_in_an_empty_file_or_a_journal(
    folder: Path,
) -> None:
    tables = {"records", "marks", "migrations"}
    with (
        on_disk(folder, {}) as disk,
        closing(schema.connect(folder / "journal.db", VFS.uri)) as connection,
    ):
        schema.migrate(connection)
    rng = random.Random(9)
    seen = set()
    for _ in range(DRAWS):
        for _, platter in cut_points(disk):
            with (
                on_disk(folder, platter.cut(rng)),
                closing(schema.connect(folder / "journal.db", VFS.uri)) as connection,
            ):
                names = {n for (n,) in connection.execute("SELECT name FROM sqlite_master")}
                assert names in (set(), {"migrations"}, tables)
                seen.add(len(names))
                schema.migrate(connection)
                applied = connection.execute("SELECT name FROM migrations").fetchall()
                assert applied == [("0001_records",)]
    assert seen == {0, 1, 3}


def statement_by_statement(connection: Connection, migrations: Migrations) -> None:
    """The planted bug: each statement, and the migration's own record, in a transaction of its own."""
    applied = {name for (name,) in connection.execute("SELECT name FROM migrations")}
    for name, statements in migrations:
        if name not in applied:
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))


def test_a_migration_without_a_transaction_is_caught(folder: Path, old: dict[str, bytes]) -> None:
    with pytest.raises(AssertionError, match="between two releases"):
        ends(folder, old, statement_by_statement)
