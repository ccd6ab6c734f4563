"""A journal told that the hub holds other records than its own: it goes on in the epoch it is given, once, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.errors import ProtocolError
from interlock.node.journal_schema import EPOCH_MAX
from interlock.protocol.records import Head, RecordType
from tests.node.journals import NOW, boot, ended, everything, opened, reopened, started

pytestmark = pytest.mark.fast


def test_the_branch_says_so_in_its_first_record_and_no_earlier_one_changes(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    before = journal.append([boot(), boot()])
    assert journal.branch(101, NOW)
    after = journal.append([boot()])
    held = everything(journal)
    assert held[:2] == before
    assert held[3:] == after
    assert [one.id for one in held[2:]] == ["101.1", "101.2"]
    assert (held[2].body or {})["problem"] == "journal_branched"
    assert journal.unsent == 4
    journal.close()
    again, recovery = reopened(tmp_path)
    assert (everything(again), recovery.lost) == (held, ())
    while again.verify_slice(50):
        pass
    assert again.damage is None
    again.close()


def test_a_branch_begins_once_and_never_goes_back(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal.branch(101, NOW)
    assert not journal.branch(101, NOW)
    assert not journal.branch(7, NOW)
    with pytest.raises(ProtocolError):
        journal.branch(EPOCH_MAX + 1, NOW)
    assert [one.id for one in everything(journal)] == ["101.1"]
    journal.close()


def test_the_records_of_an_open_session_stay_together(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    [start] = journal.append([started()])
    assert not journal.branch(101, NOW)
    journal.append([ended(start.id)])
    assert journal.branch(101, NOW)
    assert [one.header.type for one in everything(journal)] == [
        *(RecordType.SESSION_STARTED, RecordType.SESSION_ENDED, RecordType.PROBLEM_REPORTED)
    ]
    journal.close()


def test_an_acknowledgement_of_the_other_cards_record_is_refused_and_one_of_ours_counts(
    tmp_path: Path,
) -> None:
    journal = opened(tmp_path)
    journal.append([boot(), boot()])
    journal.branch(101, NOW)
    with pytest.raises(ProtocolError):
        journal.acknowledge(Head(1, 9, bytes(32)))
    assert journal.acknowledge(journal.head) == journal.head
    assert journal.unsent == 0
    journal.close()
