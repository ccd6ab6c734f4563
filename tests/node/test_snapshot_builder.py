"""Only a snapshot the hub signed for this node, newer than the mark and whole, becomes a cache file."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.errors import ProtocolError
from interlock.node.cache import BadgeCache
from interlock.node.snapshot_builder import EXIT_DISK, EXIT_REFUSED, TEMPORARY, build
from interlock.protocol import snapshots
from tests.node.journals import KEYS
from tests.node.signed_snapshots import (
    HUB,
    STRANGER,
    entry,
    header,
    order,
    snapshot_bytes,
    tag,
)

pytestmark = pytest.mark.real

ENTRIES = [entry(n) for n in range(50)]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(name="state_dir")
def state_with_older_files(tmp_path: Path) -> Path:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / "journal.db").write_bytes(b"the journal")
    (state_dir / "auth-1-4.db").write_bytes(b"the live cache")
    return state_dir


def spooled(tmp_path: Path, content: bytes) -> Path:
    spool = tmp_path / "snapshot.in"
    spool.write_bytes(content)
    return spool


def test_a_built_cache_holds_exactly_the_signed_entries(tmp_path: Path, state_dir: Path) -> None:
    spool = spooled(tmp_path, snapshot_bytes(ENTRIES, (1, 5)))
    made = build(order(spool, state_dir, mark=(1, 4)))
    cache = BadgeCache(state_dir / "auth-1-5.db", HUB.public_key(), lab=KEYS.lab, node=KEYS.node)
    assert [cache.lookup(tag(n)) for n in range(50)] == ENTRIES
    assert cache.header == made
    assert not cache.verify_slice(1_000)
    cache.close()
    assert sorted(folder_bytes(state_dir)) == ["auth-1-4.db", "auth-1-5.db", "journal.db"]


def test_a_snapshot_without_entries_is_a_cache_that_knows_nobody(
    tmp_path: Path, state_dir: Path
) -> None:
    build(order(spooled(tmp_path, snapshot_bytes([], (1, 5))), state_dir))
    cache = BadgeCache(state_dir / "auth-1-5.db", HUB.public_key(), lab=KEYS.lab, node=KEYS.node)
    assert cache.lookup(tag(1)) is None
    cache.close()


def flipped(content: bytes) -> bytes:
    return content.replace(b'"technician":false', b'"technician":true', 1)


def unsorted() -> bytes:
    lines = snapshots.entry_lines(ENTRIES)[::-1]
    return snapshots.signed_snapshot(HUB, header(lines, (1, 5)), lines)


GOOD = snapshot_bytes(ENTRIES, (1, 5))
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "signed by a stranger": (lambda: snapshot_bytes(ENTRIES, (1, 5), STRANGER), "signature"),
    "for another node": (lambda: snapshot_bytes(ENTRIES, (1, 5), node="laser"), "not for"),
    "of another lab": (lambda: snapshot_bytes(ENTRIES, (1, 5), lab="elsewhere"), "not for"),
    "older": (lambda: snapshot_bytes(ENTRIES, (1, 3)), "not newer"),
    "the same version": (lambda: snapshot_bytes(ENTRIES, (1, 4)), "not newer"),
    "an older hub epoch": (lambda: snapshot_bytes(ENTRIES, (0, 99)), "hub_epoch"),
    "one entry changed": (lambda: flipped(GOOD), "not those the hub signed"),
    "cut short": (lambda: GOOD[:-5], "cut short"),
    "one entry missing": (lambda: GOOD[: GOOD.rindex(b"\n", 0, -1) + 1], "cut short"),
    "something behind it": (lambda: GOOD + b"x", "not those the hub signed"),
    "not sorted": (unsorted, "not in order"),
    "empty": (lambda: b"", "cut short"),
    "noise": (lambda: b"\x00\xff" * 5_000 + b"\n", "not JSON"),
    "an endless line": (lambda: b"x" * 200_000, "oversized"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_snapshot_leaves_every_byte_as_it_was(
    tmp_path: Path, state_dir: Path, name: str
) -> None:
    make, says = REFUSED[name]
    before = folder_bytes(state_dir)
    with pytest.raises(ProtocolError, match=says):
        build(order(spooled(tmp_path, make()), state_dir, mark=(1, 4)))
    assert folder_bytes(state_dir) == before


def test_the_accepted_version_may_be_built_again_only_when_its_file_is_damaged(
    tmp_path: Path, state_dir: Path
) -> None:
    spool = spooled(tmp_path, snapshot_bytes(ENTRIES, (1, 4)))
    build(order(spool, state_dir, mark=(1, 4), replace_damaged=True))
    assert (state_dir / "auth-1-4.db").read_bytes() != b"the live cache"
    older = spooled(tmp_path, snapshot_bytes(ENTRIES, (1, 3)))
    with pytest.raises(ProtocolError, match="not newer"):
        build(order(older, state_dir, mark=(1, 4), replace_damaged=True))


def run_builder(
    spool: Path, state_dir: Path, *more: str, file_bytes_max: int | None = None
) -> tuple[int, dict[str, object]]:
    def limit() -> None:
        if file_bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "interlock.node.snapshot_builder"),
            *("--spool", str(spool), "--state-dir", str(state_dir)),
            *("--public-key", HUB.public_key().public_bytes_raw().hex()),
            *("--lab", KEYS.lab, "--node", KEYS.node, *more),
        ],
        stdout=subprocess.PIPE,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_child_says_what_it_built(tmp_path: Path, state_dir: Path) -> None:
    told = run_builder(spooled(tmp_path, GOOD), state_dir, "--mark", "1.4")
    assert told == (
        0,
        {"ok": True, "version": [1, 5], "entries": 50, "issued_at": 1_767_225_600},
    )
    assert (state_dir / "auth-1-5.db").exists()


def test_the_child_says_why_it_refuses(tmp_path: Path, state_dir: Path) -> None:
    code, told = run_builder(spooled(tmp_path, flipped(GOOD)), state_dir)
    assert (code, told["ok"]) == (EXIT_REFUSED, False)
    assert "not those the hub signed" in str(told["error"])


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, state_dir: Path) -> None:
    before = folder_bytes(state_dir)
    many = snapshot_bytes([entry(n) for n in range(500)], (1, 5))
    spool = spooled(tmp_path, many)
    code, told = run_builder(spool, state_dir, file_bytes_max=40_000)
    assert (code, told["ok"]) == (EXIT_DISK, False)
    assert folder_bytes(state_dir) == before
    assert run_builder(spool, state_dir)[0] == 0


def test_a_builder_killed_half_way_leaves_no_cache_and_the_next_one_works(
    tmp_path: Path, state_dir: Path
) -> None:
    (state_dir / TEMPORARY).write_bytes(b"half a database")
    build(order(spooled(tmp_path, GOOD), state_dir))
    assert sorted(folder_bytes(state_dir)) == ["auth-1-4.db", "auth-1-5.db", "journal.db"]
