"""Minutes in, cuts out: `python -m tests.disk.campaign --dir D --minutes N` goes on where the last run stopped.

    --kind random       histories of lives, faults and cuts, one seed each, without end (the default)
    --kind exhaustive   all sequences of up to 4 steps, cut at each write and sync of the last step; it ends

D/KIND.jsonl holds a line for each run: the numbers it did, what happened in them, how long it took. The totals are
their sum and nothing else. A number whose promise broke is written to D/KIND-NUMBER.txt, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlock.clock import perf_us
from tests.disk.histories import SEQUENCES, Tried, exhaustive, random_history
from tests.disk.judge import Broken
from tests.disk.lives import room

US_PER_S = 1_000_000
SAVE_EVERY_US = 20 * US_PER_S
"""A run that is killed loses no more than that."""

KINDS: dict[str, tuple[Callable[[Path, int, Tried], None], int | None]] = {
    "random": (random_history, None),
    "exhaustive": (exhaustive, SEQUENCES),
}


@dataclass(slots=True)
class Run:
    """What one run did: the numbers from `first` up to, not including, `end`."""

    kind: str
    first: int
    end: int
    tried: Tried = field(default_factory=Tried)
    broken: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """One line of the ledger."""
        return {
            "kind": self.kind,
            "first": self.first,
            "end": self.end,
            "cuts": self.tried.cuts,
            "lives": self.tried.lives,
            "recoveries_cut": self.tried.recoveries_cut,
            "faults": dict(sorted(self.tried.faults.items())),
            "broken": self.broken,
            "seconds": round(self.seconds, 1),
        }


def runs(folder: Path, kind: str) -> list[Run]:
    """Every run of the ledger, in order. Raises ValueError when two of them overlap or leave a gap."""
    ledger = _ledger(folder, kind)
    found: list[Run] = []
    for line in ledger.read_text("utf-8").splitlines() if ledger.exists() else []:
        wire = json.loads(line)
        tried = Tried(wire["cuts"], wire["lives"], wire["recoveries_cut"], Counter(wire["faults"]))
        run = Run(kind, wire["first"], wire["end"], tried, wire["broken"], wire["seconds"])
        if run.first != (found[-1].end if found else 0):
            raise ValueError(f"{ledger}: the runs do not add up at {run.first}")
        found.append(run)
    return found


def total(done: list[Run]) -> Run:
    """All runs as one."""
    whole = Run(done[0].kind if done else "", 0, done[-1].end if done else 0)
    for run in done:
        whole.tried.add(run.tried)
        whole.broken += run.broken
        whole.seconds += run.seconds
    return whole


def campaign(folder: Path, kind: str, minutes: float, tell: Callable[[str], object]) -> Run:
    """Work for so long, saving now and then; the total of all runs so far is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline_us = perf_us() + int(minutes * 60 * US_PER_S)
    while perf_us() < deadline_us:
        done = total(runs(folder, kind))
        run = _slice(folder, kind, done.end, min(deadline_us, perf_us() + SAVE_EVERY_US))
        if run.end == run.first:
            break
        with _ledger(folder, kind).open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(run.to_wire()) + "\n")
        tell(spoken(total(runs(folder, kind)), run))
    return total(runs(folder, kind))


def spoken(whole: Run, last: Run) -> str:
    """A line for whoever watches."""
    tried = whole.tried
    rate = last.tried.cuts / last.seconds if last.seconds else 0.0
    faults = sum(tried.faults.values())
    return (
        f"{whole.kind}: {whole.end:,} numbers, {tried.cuts:,} cuts ({tried.recoveries_cut:,} of them in a"
        f" recovery), {tried.lives:,} lives, {faults:,} faults, {len(whole.broken)} broken;"
        f" {rate:,.0f} cuts/s, {whole.seconds / 60:,.1f} minutes in all"
    )


def _slice(folder: Path, kind: str, first: int, deadline_us: int) -> Run:
    do, end = KINDS[kind]
    run = Run(kind, first, first)
    begun_us = perf_us()
    with room() as disk:
        while perf_us() < deadline_us and (end is None or run.end < end):
            try:
                do(disk, run.end, run.tried)
            except Broken:
                run.broken.append(run.end)
                (folder / f"{kind}-{run.end}.txt").write_text(traceback.format_exc(), "utf-8")
            run.end += 1
    run.seconds = (perf_us() - begun_us) / US_PER_S
    return run


def _ledger(folder: Path, kind: str) -> Path:
    return folder / f"{kind}.jsonl"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.disk.campaign", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--kind", choices=sorted(KINDS), default="random")
    given = parser.parse_args(arguments)
    # Every planned failure is logged by the journal, as it should be.
    logging.disable(logging.CRITICAL)
    whole = campaign(given.dir, given.kind, given.minutes, _say)
    if not whole.broken:
        return 0
    _say(f"broken: {', '.join(map(str, whole.broken))}; see {given.dir}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
