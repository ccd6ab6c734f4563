"""Minutes in; a used machine's processes out, with what each held over time: `python -m tests.real.soak --minutes 60`.

Sessions, strangers, a cable that is pulled and plugged, a page that is looked at. Every second the resident memory,
descriptors and threads of node, sync and hub are read from /proc; a straight line through each (least squares) says
by how much it grew while the soak lasted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import requests

from interlock.clock import SystemClock
from tests.real.lab import HOST, HUB, NODE, SYNC, Lab, lab_from, make_template
from tests.waiting import wait_until

WATCHED = (NODE, SYNC, HUB)
SAMPLE_MS = 1_000
WARM_MS = 15_000
"""Pages, statements and caches that are made once; what comes after that has to stay."""

UNPLUG_EVERY, PLUG_AFTER = 8, 2
"""In sessions."""

PAGE_S = 20
TAPS_MAX = 5
TAP_AGAIN_MS = 5_000


@dataclass(frozen=True, slots=True)
class Held:
    """What one process held at one moment."""

    at_s: float
    memory_kib: int
    descriptors: int
    threads: int


@dataclass(slots=True)
class Soak:
    """What happened and what the processes held, by name, oldest first."""

    sessions: int = 0
    strangers: int = 0
    pages: int = 0
    held: dict[str, list[Held]] = field(default_factory=dict)

    def grown(self, name: str, of: Callable[[Held], float]) -> float:
        """By how much the named process grew between its first sample and its last, by the line through all."""
        seen = self.held[name]
        return growth([(one.at_s, of(one)) for one in seen])


MEASURES: dict[str, Callable[[Held], float]] = {
    "KiB resident": lambda one: one.memory_kib,
    "descriptors": lambda one: one.descriptors,
    "threads": lambda one: one.threads,
}


def growth(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through `points` (least squares), times the span of its first coordinate."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        return 0.0
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope * (points[-1][0] - points[0][0])


def held_by(pid: int, at_s: float) -> Held:
    """What /proc says of the process now (proc(5)). Raises OSError: it is gone."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Held(at_s, int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"]))


def soak(
    lab: Lab, minutes: float, found: Soak, say: Callable[[str], object] = lambda words: None
) -> Soak:
    """The machine is used until the time is over; nothing may have been restarted meanwhile. `found` fills as it
    goes: a soak that breaks off has seen what it has seen."""
    clock = SystemClock()
    begun_ms = clock.boot_ms()
    pids = {name: lab.pid(name) for name in WATCHED}
    due_ms = begun_ms + WARM_MS
    with requests.Session() as visitor:
        for act in _acts(lab, visitor, found):
            now_ms = clock.boot_ms()
            if now_ms - begun_ms >= WARM_MS + minutes * 60_000:
                break
            if now_ms >= due_ms:
                due_ms = now_ms + SAMPLE_MS
                for name, pid in pids.items():
                    seen = held_by(pid, (now_ms - begun_ms) / 1_000)
                    found.held.setdefault(name, []).append(seen)
            act()
            if found.sessions and found.sessions % 200 == 0:
                say(f"{found.sessions} sessions, {(now_ms - begun_ms) / 60_000:.0f} minutes")
    lab.cable.plug()
    assert {name: lab.pid(name) for name in WATCHED} == pids, "a process died and was started anew"
    return found


def _acts(lab: Lab, visitor: requests.Session, found: Soak) -> Iterator[Callable[[], object]]:
    """One thing after the other, for ever."""
    while True:
        yield lambda: _work(lab, found)
        yield lambda: _stranger(lab, found)
        yield lambda: _look(lab, visitor, found)
        if found.sessions % UNPLUG_EVERY == 0:
            yield lambda: lab.cable.unplug(silent=found.sessions % (2 * UNPLUG_EVERY) == 0)
        elif found.sessions % UNPLUG_EVERY == PLUG_AFTER:
            yield lab.cable.plug


def _work(lab: Lab, found: Soak) -> None:
    """A session, begun by a badge and ended by the stop button. On a computer that is too busy for its monostable one
    ends by itself now and then, before anybody saw it perhaps; then there is nothing to stop, and one more to count."""
    for _ in range(TAPS_MAX):
        lab.tap()
        if lab.comes_true(lambda: bool(lab.world()["contacts"]), TAP_AGAIN_MS):
            break
    else:
        raise AssertionError(f"{TAPS_MAX} taps, and no session")
    found.sessions += 1
    lab.idle_for(SAMPLE_MS // 2)
    lab.push("stop")
    wait_until(lambda: not lab.world()["contacts"], 20, "open contacts")
    wait_until(lambda: "stop" not in lab.world()["pressed"], 20, "a button let go")


def _stranger(lab: Lab, found: Soak) -> None:
    """Another unknown badge each time: nothing may remember them all."""
    lab.leave_empty()
    found.strangers += 1
    lab.hands.ask("tap", label="unknown", uid=f"{0xD0000000 + found.strangers:08x}", ms=200)


def _look(lab: Lab, visitor: requests.Session, found: Soak) -> None:
    """Somebody who is nobody looks at the hub and at the node."""
    answer = visitor.get(f"http://{HOST}:{lab.hub_port}/", timeout=PAGE_S)
    assert answer.status_code == 200, answer.status_code
    lab.status()
    found.pages += 1


def table(found: Soak) -> Iterator[str]:
    """A row for each process and measure."""
    yield "| process | measure | first | last | grown, by the line |"
    yield "|---|---|---|---|---|"
    for name, seen in found.held.items():
        for measure, of in MEASURES.items():
            grown = found.grown(name, of)
            yield f"| {name} | {measure} | {of(seen[0]):g} | {of(seen[-1]):g} | {grown:+.1f} |"


def main(arguments: list[str] | None = None) -> int:
    """A lab of its own, soaked; the table on standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--series", type=Path, help="Every sample, as JSON, for a closer look.")
    given = parser.parse_args(arguments)
    found = Soak()
    try:
        with tempfile.TemporaryDirectory(prefix="il-") as folder:
            make_template(Path(folder))
            with lab_from(Path(folder)) as lab:
                lab.start()
                lab.locked()
                soak(lab, given.minutes, found, lambda words: sys.stderr.write(f"{words}\n"))
    finally:
        if given.series is not None:
            told = {name: [asdict(one) for one in seen] for name, seen in found.held.items()}
            given.series.write_text(json.dumps(told))
        happened = (
            f"{found.sessions} sessions, {found.strangers} unknown badges, {found.pages} pages"
        )
        sys.stdout.write("\n".join([happened, *table(found)]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
