"""A campaign's folder in, docs/proof-disk.md out: `python -m tests.disk.table --dir D [--write]`.

Planted bugs are looked for while the table is made; cuts are those that the campaign's ledgers hold. Nothing in the
table is typed by hand but what the model leaves out, and the diary.
"""

from __future__ import annotations

import argparse
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.disk.campaign import KINDS, Run, runs, total
from tests.disk.histories import DEPTH_MAX, SEQUENCES, STEPS, cuts_until_broken
from tests.disk.lives import room
from tests.disk.planted import PLANTED

PAGE = Path(__file__).parents[2] / "docs" / "proof-disk.md"
CUTS_MAX = 5_000

HEAD = """# Proof: the simulated disk

Made by `python -m tests.disk.table --dir D --write`; do not edit. What is tested is what ships: the standard
`sqlite3` module and the unmodified journal, on a VFS in memory (`interlock/sim/disk*.py`). Every write, truncation,
sync, rename and removal is a crash point. At a cut, what was synced is there; of the rest every 512-byte sector of
every file holds any version it had since its last sync, independently of the others, a file has any length it had,
and names survive as a prefix of their changes. Then the real journal opens what is left, and D1 (everything called
durable is there; of what was in flight, all or nothing), D7 (the chain), D8 (a sound database), D11 (no number
twice), the facts (the fold of the records) and the marks are checked.

## What it does not model

- A sector that is half old and half new, or rubbish; rot of what was synced (the damage tests do that); a card that
  loses what lies beside a write. SQLite's own promise of safe overwriting is taken as kept.
- File systems that reorder names, or keep what was written behind a truncation that did not happen.
- Other processes. The journal is exclusive before it turns to WAL and shares nothing. The hub's database is in WAL
  with several connections: they share memory (`disk_shm.py`, of one process; no cut can leave any of it), and the
  test cuts the ingest of three deliveries by the real Django in one process, not a hub of several.
- Of a snapshot's installation: the builder's process, the installer's and the reader's threads, the spool file. Its
  database, renames and syncs are cut, in the installer's order.
- Timing: a stall is a jump of the virtual clock inside one operation.
"""

DIARY = """
## Diary: what it found

- 2026-11-21, exhaustive, a cut of the first opening. **A power cut in the first moment of a new journal locked the
  machine out**: the header was read before SQLite had rolled back the hot journal beside it, taken for damage, and
  salvaged into epoch 2 as `journal_lost`. Mended: `refuse_strange_format` waits for the rollback.
- 2026-11-21, random seed 62. **A start that was answered "failed" came back**: a failed flush, a close that removed
  the WAL, a power cut before the folder was synced. Mended: opening the journal syncs the folder.
- 2026-11-21, random seeds 85, 98, 126, 301, 371, 542, 598. **Durable records undone, or the database damaged, after
  failed flushes**: the WAL was whole in the kernel's memory and had holes on the disk; the reopened journal appended
  to it and checkpointed it, and a power cut in between left an older WAL to be replayed over a newer, half-written
  database. Mended: opening writes the WAL again and flushes it before SQLite builds on it.
- 2026-11-21, random seeds 1234, 1376, 1412: no bug of the journal. The model lost half of a truncated file, which no
  journalling file system does; it is shortened or not now, never half.
- 2026-11-21, the model's own test: a sync made good what a failed one had left behind. Mended in the model.
"""


PLANTED_HEAD = "## Bugs planted on purpose"


def page(folder: Path, *, keep_planted: bool = False) -> str:
    """The whole page; the planted bugs are looked for, or stand as they stood."""
    lines = [HEAD, "## What was run", "", *_totals(folder), "", *_faults(folder)]
    lines += ["", PLANTED_HEAD, "", *(_kept() if keep_planted else _planted()), DIARY]
    return "\n".join(lines)


def _kept() -> Iterator[str]:
    """What the page says of the planted bugs now."""
    _, _, rest = PAGE.read_text("utf-8").partition(f"{PLANTED_HEAD}\n\n")
    kept, _, _ = rest.partition(DIARY)
    yield kept.rstrip("\n")


def _totals(folder: Path) -> Iterator[str]:
    yield f"At commit {_commit()}, SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}."
    yield ""
    yield "| campaign | done | lives | cuts | of them in a recovery | broken | cuts/s | hours |"
    yield "|---|---|---|---|---|---|---|---|"
    cuts = 0
    for kind in sorted(KINDS):
        whole = total(runs(folder, kind))
        cuts += whole.tried.cuts
        yield _row(kind, whole)
    yield ""
    yield f"{cuts:,} cuts in all, of the 10,000,000 on the road; the suite adds 5,000 with every run."


def _row(kind: str, whole: Run) -> str:
    tried = whole.tried
    done = f"{whole.end:,} seeds"
    if kind == "exhaustive":
        done = (
            f"{whole.end:,} of {SEQUENCES:,} sequences of up to {DEPTH_MAX} of {len(STEPS)} steps"
        )
    rate = tried.cuts / whole.seconds if whole.seconds else 0.0
    return (
        f"| {kind} | {done} | {tried.lives:,} | {tried.cuts:,} | {tried.recoveries_cut:,} "
        f"| {len(whole.broken)} | {rate:,.0f} | {whole.seconds / 3_600:.2f} |"
    )


def _faults(folder: Path) -> Iterator[str]:
    yield "| fault of the disk, in the random campaign | how often |"
    yield "|---|---|"
    for fault, count in total(runs(folder, "random")).tried.faults.most_common():
        yield f"| {fault} | {count:,} |"


def _planted() -> Iterator[str]:
    yield "Each in a test-only subclass or in the nature of the disk; the same seeds pass without it."
    yield ""
    yield "| bug | breaks | seeds needed | cuts needed |"
    yield "|---|---|---|---|"
    with room() as folder:
        for bug in PLANTED:
            with bug.in_place() as setting:
                found = cuts_until_broken(folder, setting, bug.breaks, CUTS_MAX)
            needed = f"{found[0]} | {found[1]:,}" if found else f"not found | {CUTS_MAX:,}"
            yield f"| {bug.name} | {', '.join(sorted(bug.breaks))} | {needed} |"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(
        command, cwd=PAGE.parent, capture_output=True, text=True, check=True
    ).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.disk.table", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keep-planted", action="store_true", help="Do not look for them again.")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    text = page(given.dir, keep_planted=given.keep_planted)
    if given.write:
        PAGE.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
