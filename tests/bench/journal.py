"""What the node's disk costs: durable records, lookups, building a snapshot, and opening a full journal."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.clock import perf_us
from interlock.node.cache import BadgeCache
from interlock.node.journal import TAIL_RECORDS, Journal
from interlock.node.journal_facts import Draft
from interlock.protocol.records import RecordType
from tests.bench.row import Row, percentile, percentiles
from tests.node.journals import KEYS, NOW, boot, new_journal, opened
from tests.node.signed_snapshots import HUB, entry, snapshot_bytes, tag

APPENDS = 1_000
LOOKUPS = 20_000
BADGES = 100_000
RECORDS = 1_000_000
FILL_BATCH = 5_000
OPENINGS = 5
READY_MS_MAX = 1_500

EVIDENCE = {
    "state": "locked",
    "entry": entry(1).to_wire(),
    "rules": {"text": "x" * 500},
    "snapshot": [1, 7],
    "age_s": 5,
}
START = Draft(
    RecordType.SESSION_STARTED,
    {"member": "m1", "tag": "0" * 32, "badge_use": "tap", "evidence": EVIDENCE},
    NOW,
)

RESIDENT = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)
"""
"""A small parent: the kernel counts the memory of whoever forked into its child's peak."""


def rows() -> Iterable[Row]:
    """One row each; the journal of 1,000,000 records takes about a minute and 600 MB to make."""
    with folder() as home:
        yield durable_append(home)
    with folder() as home:
        spool = home / "snapshot"
        spool.write_bytes(snapshot_bytes([entry(n) for n in range(BADGES)]))
        yield snapshot_build(home, spool)
        yield lookup(home)
        yield lookup_during_build(home, spool)
    with folder() as home:
        yield opening(home)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-", dir=os.environ.get("BENCH_DIR")) as name:
        yield Path(name)


def timed_ms(started_us: int) -> float:
    return (perf_us() - started_us) / 1_000


def durable_append(home: Path) -> Row:
    journal = opened(home)
    samples = []
    for number in range(APPENDS):
        started_us = perf_us()
        journal.append([START])
        samples.append(timed_ms(started_us))
        if number % 200 == 199:
            journal.checkpoint()
    journal.close()
    bare = bare_fsync(home)
    ratio = percentile(samples, 50) / percentile(bare, 50)
    return Row(
        "journal: one start record with its evidence, durable",
        f"{percentiles(samples)}; {ratio:.1f} × a bare 4 KiB write + fdatasync beside it",
        "part of badge-to-relay (p50 ≤ 45 ms)",
        "an SD card, whose flush is far slower; the worker's queue; checkpoints run while idle",
    )


def bare_fsync(home: Path) -> list[float]:
    samples = []
    with (home / "bare").open("wb", buffering=0) as target:
        for _ in range(APPENDS):
            started_us = perf_us()
            target.write(bytes(4_096))
            os.fdatasync(target.fileno())
            samples.append(timed_ms(started_us))
    return samples


def builder(home: Path, spool: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "interlock.node.snapshot_builder"),
        *("--spool", str(spool), "--state-dir", str(home)),
        *("--public-key", HUB.public_key().public_bytes_raw().hex()),
        *("--lab", KEYS.lab, "--node", KEYS.node),
    ]


def snapshot_build(home: Path, spool: Path) -> Row:
    started_us = perf_us()
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, *builder(home, spool)], stdout=subprocess.PIPE, check=True
    )
    spent_s = timed_ms(started_us) / 1_000
    resident_kib, code = map(int, done.stdout.split())
    assert code == 0
    size_mb = spool.stat().st_size / 1e6
    return Row(
        f"snapshot of {BADGES:,} badges ({size_mb:.0f} MB): verified, built, on the disk",
        f"{spent_s:.1f} s in a child of {resident_kib / 1024:.0f} MB resident",
        "no thread of the node works on it",
        "downloading it, or a delta of it; a Pi was not measured",
    )


def open_cache(home: Path) -> BadgeCache:
    return BadgeCache(home / "auth-1-1.db", HUB.public_key(), lab=KEYS.lab, node=KEYS.node)


def lookup(home: Path) -> Row:
    cache = open_cache(home)
    samples = timed_lookups(cache, LOOKUPS)
    cache.close()
    return Row(
        f"lookup of a badge among {BADGES:,}, random, known",
        percentiles(samples, digits=3),
        "p99 ≤ 5 ms",
        "a cold SD card: the file is in the page cache here",
    )


def timed_lookups(cache: BadgeCache, count: int) -> list[float]:
    rng = random.Random(1)
    samples = []
    for _ in range(count):
        wanted = tag(rng.randrange(BADGES))
        started_us = perf_us()
        found = cache.lookup(wanted)
        samples.append(timed_ms(started_us))
        assert found is not None
    return samples


def lookup_during_build(home: Path, spool: Path) -> Row:
    cache = open_cache(home)
    child = subprocess.Popen(builder(home, spool), stdout=subprocess.PIPE)
    samples: list[float] = []
    while child.poll() is None:
        samples += timed_lookups(cache, 100)
    assert child.stdout is not None
    assert json.loads(child.stdout.read())["ok"] is True
    child.stdout.close()
    started_us = perf_us()
    fresh = open_cache(home)
    switch_ms = timed_ms(started_us)
    cache.close()
    samples += timed_lookups(fresh, 1_000)
    fresh.close()
    return Row(
        f"the same while a child builds the next {BADGES:,} badges, switch included",
        f"{percentiles(samples, digits=3)}; the switch itself {switch_ms:.1f} ms",
        "p99 ≤ 5 ms",
        "the loop's lateness, which has its own row; one core is free for the child here",
    )


def opening(home: Path) -> Row:
    samples = openings_ms(home, RECORDS)
    size_mb = (home / "journal.db").stat().st_size / 1e6
    return Row(
        f"journal of {RECORDS:,} unsent records ({size_mb:.0f} MB): open, recover, first record",
        percentiles(samples, digits=1),
        f"well below {READY_MS_MAX:,} ms, the whole node's start",
        f"all but the last {TAIL_RECORDS} records, verified in slices afterwards; a cold page cache",
    )


def openings_ms(home: Path, records: int) -> list[float]:
    """What opening a journal of `records` unsent ones took until the next was durable, OPENINGS times."""
    journal = opened(home)
    fill(journal, records)
    journal.checkpoint()
    journal.close()
    samples = []
    for number in range(OPENINGS):
        journal = new_journal(home, boot_id=f"boot-{number}")
        started_us = perf_us()
        journal.open(NOW)
        journal.recover(NOW)
        journal.append([boot()])
        samples.append(timed_ms(started_us))
        assert journal.unsent == records + number + 1
        journal.close()
    return samples


def fill(journal: Journal, records: int) -> None:
    draft = boot()
    while journal.head.seq < records:
        journal.append([draft] * FILL_BATCH)
