"""A power cut in the first moment of a new journal is no damage: a node that is installed is not locked out by it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from interlock.node.journal_facts import Facts
from interlock.protocol.records import Head
from interlock.sim.disk import Kind
from tests.disk.lives import Life, cuts, on_disk, room, survives
from tests.node.journals import boot, reopened

pytestmark = pytest.mark.real

DRAWS = 40
"""The one state that matters is drawn once in ten at one of the crash points."""

HOT_JOURNAL = bytes.fromhex("d9d505f920a163d7 00000000 00000000 00000000 00000200 00001000")
"""The rollback journal of a file that was empty: magic, no pages, 0 pages before, sectors of 512, pages of 4096."""


def test_a_header_that_was_never_finished_is_rolled_back_and_not_salvaged(tmp_path: Path) -> None:
    """Found by the simulated disk: a header of zeros was read before SQLite had rolled it back."""
    (tmp_path / "journal.db").write_bytes(bytes(4_096))
    (tmp_path / "journal.db-journal").write_bytes(HOT_JOURNAL.ljust(512, b"\0"))
    journal, recovery = reopened(tmp_path)
    assert (recovery.lost, recovery.facts) == ((), Facts()), "an installed node was locked out"
    (first,) = journal.append([boot()])
    assert journal.head == Head(1, 1, first.hash)
    journal.close()


def test_every_cut_of_the_first_opening_leaves_a_journal_that_begins_or_has_begun() -> None:
    rng = random.Random(1)
    with room() as folder:
        with on_disk(folder, {}) as disk:
            life = Life(disk)
            life.begin()
            life.stop()
        assert sum(operation.kind is Kind.WRITE for operation in disk.log) > 15
        for _ in range(DRAWS):
            for moment, image in cuts(life, rng):
                survives(folder, moment, image)
