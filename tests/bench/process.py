"""The node and sync as processes: resident memory above bare imports, and time until ready."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from interlock.clock import SystemClock
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Stamp
from interlock.protocol.records import RecordType
from tests.bench.row import Row, percentile
from tests.node.node_rig import KEYS
from tests.node.signed_snapshots import built, entry

BADGES = 100_000
RECORDS = 1_000_000
BATCH = 5_000
STARTS = 5
KIB_PER_MB = 1_000

SYNC_IMPORTS = "import interlock.sync.service, requests, urllib3"
RSS = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"


def rows() -> Iterator[Row]:
    """Memory of a node with few and with many badges, its start with many records, and sync's memory."""
    small = node_folder(badges=10, records=0)
    large = node_folder(badges=BADGES, records=RECORDS)
    try:
        for folder, what in (
            (small, "10 badges"),
            (large, f"{BADGES:,} badges, {RECORDS:,} records"),
        ):
            runs = [run_node(folder) for _ in range(STARTS)]
            above = [run["settled_kib"] - run["bare_kib"] for run in runs]
            whole = max(run["settled_kib"] for run in runs) / KIB_PER_MB
            yield Row(
                f"node process, memory above bare imports, {what}",
                f"max {max(above) / KIB_PER_MB:.1f} MB of {whole:.1f} MB resident (n = {STARTS})",
                "≤ 25 MB above its bare imports",
                "mock pins and an empty field instead of hardware; the tests' own modules count as bare",
            )
            ready = [run["ready_ms"] for run in runs]
            yield Row(
                f"node process, start → ready, {what}",
                f"p50 {percentile(ready, 50):,.0f} ms, max {max(ready):,.0f} ms (n = {STARTS})",
                "≤ 1.5 s",
                "Python's own start is in it, a Pi's slower processor is not",
            )
    finally:
        shutil.rmtree(small)
        shutil.rmtree(large)
    yield _sync()


def node_folder(badges: int, records: int) -> Path:
    """The state of a node with so many badges and unsent records; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix="il-"))
    built(folder, [entry(number) for number in range(badges)])
    journal = Journal(folder / "journal.db", KEYS, boot_id="bench")
    stamp = Stamp(boot_ms=1)
    journal.open(stamp)
    body = {"session": "1.1", "enabled_ms": 60_000, "busy_ms": 30_000, "idle_ms": 30_000}
    for _ in range(records // BATCH):
        journal.append([Draft(RecordType.SESSION_PROGRESS, body, stamp)] * BATCH)
    journal.close(clean=True)
    return folder


def run_node(folder: Path) -> dict[str, int]:
    """What one start of a node there said: when it was ready, and its memory bare and settled."""
    started_ms = SystemClock().wall_ms()
    found = subprocess.run(
        [sys.executable, "-m", "tests.bench.node_child", str(folder)],
        capture_output=True,
        check=True,
        text=True,
    )
    run: dict[str, int] = json.loads(found.stdout)
    run["ready_ms"] = run["ready_wall_ms"] - started_ms
    return run


def _sync() -> Row:
    found = subprocess.run(
        [sys.executable, "-c", f"{SYNC_IMPORTS}\n{RSS}"], capture_output=True, check=True, text=True
    )
    return Row(
        "sync process, its imports alone",
        f"{int(found.stdout) / KIB_PER_MB:.1f} MB resident",
        "≤ 45 MB for the running process",
        "the buffers of requests under way: a batch and a snapshot's chunk, under 2 MB",
    )
