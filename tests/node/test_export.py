"""An export proves the chain: whatever was altered, left out, repeated or moved is named with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import StoreError
from interlock.node.export import BREAKS_MAX, show_export, verify_export, write_export
from interlock.protocol.records import Head, Record, RecordType
from tests.node.journals import KEYS, boot, draft, ended, everything, opened, progress, started

pytestmark = pytest.mark.fast


@pytest.fixture(name="exported", scope="module")
def exported_journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    folder = tmp_path_factory.mktemp("export")
    journal = opened(folder)
    journal.append([boot(), started(), progress("1.2", 60_000), ended("1.2")])
    journal.append([draft(RecordType.REFUSED, reason="UNKNOWN_BADGE", tag="ab" * 16, count=3)])
    journal.append([boot() for _ in range(5)])
    records = everything(journal)
    journal.close()
    path = folder / "export.jsonl"
    with path.open("wb") as target:
        assert write_export(records, target) == 10
    return path, records


def rewritten(tmp_path: Path, lines: list[bytes]) -> Path:
    path = tmp_path / "changed.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_a_complete_export_is_whole(exported: tuple[Path, list[Record]]) -> None:
    path, records = exported
    last = records[-1]
    head = Head(1, 10, last.hash)
    verdict = verify_export(path, KEYS.chain_key, head=head)
    assert verdict.is_whole
    assert (verdict.count, verdict.head, verdict.breaks) == (10, head, ())


def test_an_erased_body_leaves_the_chain_whole(
    exported: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    _, records = exported
    records = [replace(r, body=None, salt=None) if r.id == "1.2" else r for r in records]
    path = tmp_path / "erased.jsonl"
    with path.open("wb") as target:
        write_export(records, target)
    verdict = verify_export(path, KEYS.chain_key)
    assert (verdict.is_whole, verdict.erased) == (True, 1)
    assert "(erased)" in list(show_export(path))[1]


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (lambda x: [*x[:3], x[3].replace(b"60000", b"60001"), *x[4:]], 4, "body was altered"),
        (
            lambda x: [*x[:3], x[3].replace(b'"boot_ms":1000', b'"boot_ms":999'), *x[4:]],
            4,
            "header",
        ),
        (lambda x: [*x[:4], *x[6:]], 5, "records 1.5 to 1.6 are missing before it"),
        (lambda x: [*x[:4], x[3], *x[4:]], 5, "stands behind record 1.4"),
        (lambda x: [*x[:2], x[3], x[2], *x[4:]], 3, "missing"),
        (lambda x: [*x[:5], b"noise\n", *x[5:]], 6, "not JSON"),
        (lambda x: [*x[:5], b"x" * 70_000 + b"\n", *x[5:]], 6, "larger than"),
        (lambda x: [*x[:5], x[5][:-40] + b"\n", *x[6:]], 6, "not JSON"),
    ],
)
def test_what_was_done_to_an_export_is_named_with_its_line(
    exported: tuple[Path, list[Record]], tmp_path: Path, change: Change, line: int, says: str
) -> None:
    lines = exported[0].read_bytes().splitlines(keepends=True)
    verdict = verify_export(rewritten(tmp_path, change(lines)), KEYS.chain_key)
    assert not verdict.is_whole
    assert verdict.breaks[0].line == line
    assert says in verdict.breaks[0].what
    assert verdict.count >= 8, "the walk stopped at the first break"


def test_a_sound_record_of_another_branch_breaks_the_chain(
    exported: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    journal = opened(tmp_path, boot_id="twin")
    twin = journal.append([boot() for _ in range(5)])[-1]
    journal.close()
    _, records = exported
    path = tmp_path / "twin.jsonl"
    with path.open("wb") as target:
        write_export([*records[:4], twin, *records[5:]], target)
    verdict = verify_export(path, KEYS.chain_key)
    assert [(one.line, one.what) for one in verdict.breaks] == [
        (5, "it does not follow the record before it"),
        (6, "it does not follow the record before it"),
    ]


def test_a_cut_end_shows_against_the_hub_s_head(
    exported: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    path, records = exported
    lines = path.read_bytes().splitlines(keepends=True)
    cut = rewritten(tmp_path, lines[:8])
    assert verify_export(cut, KEYS.chain_key).is_whole
    verdict = verify_export(cut, KEYS.chain_key, head=Head(1, 10, records[-1].hash))
    assert "should end at 1.10" in verdict.breaks[0].what


def test_an_export_of_the_last_records_only_is_whole(
    exported: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    lines = exported[0].read_bytes().splitlines(keepends=True)
    verdict = verify_export(rewritten(tmp_path, lines[4:]), KEYS.chain_key)
    assert verdict.is_whole
    assert verdict.first is not None
    assert verdict.first.seq == 5


def test_another_key_proves_nothing(exported: tuple[Path, list[Record]]) -> None:
    assert verify_export(exported[0], b"x" * 32).break_count == 10


def test_a_gap_that_the_node_declared_lost_is_told_as_such(
    exported: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    _, records = exported
    journal = opened(tmp_path, replace(KEYS, epoch=2))
    (declared,) = journal.append(
        [draft(RecordType.PROBLEM_REPORTED, problem="records_lost", lost=[[1, 4, 6]])]
    )
    journal.close()
    path = tmp_path / "gap.jsonl"
    with path.open("wb") as target:
        write_export([*records[:3], *records[6:], declared], target)
    verdict = verify_export(path, KEYS.chain_key)
    assert (verdict.is_whole, verdict.declared) == (True, ("1.4 to 1.6",))
    with path.open("wb") as target:
        write_export([*records[:2], *records[6:], declared], target)
    assert not verify_export(path, KEYS.chain_key).is_whole


def test_every_record_is_shown_in_one_line(exported: tuple[Path, list[Record]]) -> None:
    lines = list(show_export(exported[0]))
    assert len(lines) == 10
    assert "2026-01-01T00:00:00Z" in lines[0]
    assert "session_ended" in lines[3]
    assert "how=tap_off" in lines[3]
    assert "evidence" not in lines[1]


def test_a_list_of_breaks_is_bounded(exported: tuple[Path, list[Record]], tmp_path: Path) -> None:
    path = rewritten(tmp_path, [b"noise\n"] * (BREAKS_MAX + 50))
    verdict = verify_export(path, KEYS.chain_key)
    assert (len(verdict.breaks), verdict.break_count) == (BREAKS_MAX, BREAKS_MAX + 50)


def test_a_missing_export_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        verify_export(tmp_path / "nowhere.jsonl", KEYS.chain_key)


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(
    exported: tuple[Path, list[Record]], position: int, bit: int
) -> None:
    path, records = exported
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    changed = path.with_name("flipped.jsonl")
    changed.write_bytes(content)
    head = Head(1, 10, records[-1].hash)
    verdict = verify_export(changed, KEYS.chain_key, head=head)
    if verdict.is_whole:
        # JSON has one other spelling of a line: whitespace. Nothing it says may differ then.
        told = [json.loads(line) for line in bytes(content).splitlines()]
        assert told == [record.to_wire() for record in records]
