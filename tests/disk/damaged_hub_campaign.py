"""Minutes in, damaged pages of a hub's database out: it goes on where the last run stopped, over one and the same hub.

    python -m tests.disk.damaged_hub_campaign --dir D --minutes 4     until every page was damaged in every way
    python -m tests.disk.damaged_hub_campaign --dir D --table         what came of it, for docs/proof.md

D/turns.jsonl holds a line for each turn. Exit code 1: something is not as promised; its lines say what.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from interlock.clock import perf_us
from tests.disk.damaged_hub import WAYS, Ended, Hub

US_PER_MINUTE = 60_000_000
LEDGER = "turns.jsonl"


def sample(folder: Path, count: int) -> None:
    """So many turns, spread over all pages, in ways that take turns; where a way leaves a page as it is, the next."""
    hub = Hub.kept(folder)
    for number in range(count):
        way, page = WAYS[number % len(WAYS)], number * hub.pages // count
        there = (hub.turn(way, at % hub.pages) for at in range(page, page + hub.pages))
        _note(folder, next(one for one in there if one is not None))


def campaign(folder: Path, minutes: float) -> bool:
    """Work for so long; whether every turn there is has been done."""
    deadline_us = perf_us() + int(minutes * US_PER_MINUTE)
    folder.mkdir(parents=True, exist_ok=True)
    hub = Hub.kept(folder)
    ledger = folder / LEDGER
    done = len(ledger.read_text("utf-8").splitlines()) if ledger.exists() else 0
    every = [(way, page) for page in range(hub.pages) for way in WAYS]
    for way, page in every[done:]:
        if perf_us() > deadline_us:
            return False
        _note(folder, hub.turn(way, page))
    return True


def ends(folder: Path) -> list[Ended]:
    """Every turn so far in which something was damaged."""
    lines = (folder / LEDGER).read_text("utf-8").splitlines()
    return [Ended(**wire) for line in lines if (wire := json.loads(line)) is not None]


def table(found: list[Ended]) -> Iterator[str]:
    """By way of damage how many pages ended how."""
    yield "| damage | pages | named by the doctor | by `hub verify` alone | nothing that is read changed | unnoticed |"
    yield "|---|---|---|---|---|---|"
    for way in WAYS:
        here = [one for one in found if one.way == way]
        silent = [one for one in here if not one.verify]
        counts = (
            len(here),
            sum(one.doctor == "bad" for one in here),
            sum(bool(one.verify) and one.doctor != "bad" for one in here),
            sum(not one.read for one in silent),
            sum(bool(one.read) for one in silent),
        )
        yield f"| {way} | " + " | ".join(f"{count:,}" for count in counts) + " |"
    unseen = Counter(name for one in found if not one.verify for name in one.read)
    yield ""
    yield f"Unnoticed in: {', '.join(f'{name} {count}' for name, count in unseen.most_common())}."
    yield f"Of those that were noticed, the back-up: {dict(Counter(one.back_up for one in found if one.verify))}."


def _note(folder: Path, ended: Ended | None) -> None:
    with (folder / LEDGER).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(None if ended is None else asdict(ended)) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign, or print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.disk.damaged_hub_campaign")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--sample", type=int, default=0, metavar="TURNS", help="What CI does.")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(arguments)
    if given.minutes:
        whole = campaign(given.dir.resolve(), given.minutes)
        sys.stdout.write("every page in every way\n" if whole else "not yet every page\n")
    if given.sample:
        sample(given.dir.resolve(), given.sample)
    found = ends(given.dir)
    if given.table:
        sys.stdout.write("\n".join(table(found)) + "\n")
    breaches = [one for one in found if one.breach]
    for one in breaches:
        sys.stdout.write(f"{one.way}, page {one.page}: {one.breach}\n")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
