"""A recording in, a file of JSON lines that names nobody out; and the file in, whether it is decided again alike.

{"format", "software", "boot_id", "why", "moments"}   what it is, and what happened last
{"state"}                                             of the machine, before the first event
{"event", "now", "run", "effects"}                    each event; effects null: the step never ended
{"state", "unlike"}                                   afterwards; events that had other effects when they
                                                      happened than when this was written
{"sum"}                                               of all lines above
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from interlock.core.events import InputsSampled
from interlock.core.model import Now
from interlock.errors import ProtocolError, StoreError
from interlock.node.flight import Moment, Recording, Step, stepped, sum_of
from interlock.node.flight_wire import Pseudonyms, from_wire, to_wire

FORMAT = "interlock flight 1"
SUM_BYTES = 16
DIFFERENCES_MAX = 100
"""Enough to see what changed."""

LINE_CHARACTERS_MAX = 4 * 1_024 * 1_024
"""The largest line is a snapshot's demands: ten years of offsets, all reservations, some 100 kB."""

LINES_MAX = 20_000
"""Twice what a recorder keeps."""

DIES = (AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a mistake of the core raises."""


@dataclass(frozen=True, slots=True)
class Flown:
    """A file decided again: how many events it has, and where effects or end are others than it says."""

    why: str
    software: str
    moments: int
    differences: tuple[str, ...]


def write_flight(
    target: Path,
    recording: Recording,
    step: Step,
    about: dict[str, Any],
    pause: Callable[[], object] = lambda: None,
) -> None:
    """`target` is there, whole, or nothing is; `about` says software, boot_id and why, `pause` is called after each
    event. Raises StoreError.
    """
    half = target.with_suffix(".part")
    try:
        with gzip.open(half, "wt", encoding="utf-8", compresslevel=1) as file:
            sum_ = blake2b(digest_size=SUM_BYTES)
            for told in _told(recording, step, about, pause):
                line = _line(told)
                sum_.update(line.encode())
                file.write(line)
            file.write(_line({"sum": sum_.hexdigest()}))
        half.replace(target)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}", where=str(target), remedy="Look at the disk"
        ) from error
    finally:
        half.unlink(missing_ok=True)


def replay_flight(path: Path, step: Step) -> Flown:
    """Every event of the file, decided again by `step`. Raises StoreError when it is damaged or cut short."""
    head, first, *between, last = _read(path)
    state = _of(path, first, "state")
    differences = [f"event {n} had other effects when it happened" for n in last["unlike"]]
    for number, told in enumerate(between):
        moment = Moment(_of(path, told, "event"), Now(*told["now"]), told["run"])
        try:
            state, effects = stepped(step, state, moment)
        except DIES as error:
            differences.append(f"event {number}, {_named(moment)}: the step dies of {error!r}")
            break
        decided = to_wire(effects, Pseudonyms(()))
        if decided != told["effects"]:
            recorded = json.dumps(told["effects"])
            said = f"recorded {recorded}, decided again {json.dumps(decided)}"
            differences.append(f"event {number}, {_named(moment)}: {said}")
    else:
        if to_wire(state, Pseudonyms(())) != last["state"]:
            differences.append("the machine ends in another state than it did")
    return Flown(head["why"], head["software"], len(between), tuple(differences[:DIFFERENCES_MAX]))


def _told(
    recording: Recording, step: Step, about: dict[str, Any], pause: Callable[[], object]
) -> Iterator[dict[str, Any]]:
    state, moments = recording.first, recording.moments
    # A sample of levels names nobody, and most events are one.
    telling = (one.event for one in moments if not isinstance(one.event, InputsSampled))
    people = Pseudonyms((state, *telling))
    yield {"format": FORMAT, **about, "moments": len(moments)}
    yield {"state": to_wire(state, people)}
    unlike: list[int] = []
    for number, moment in enumerate(moments):
        told = {
            "event": to_wire(moment.event, people),
            "now": [moment.now.boot_ms, moment.now.wall_at, moment.now.wall_trusted],
            "run": moment.ends_a_run,
        }
        if moment.sum_ is None:
            # What it died of is in the log; stepping it again would be the same death.
            yield {**told, "effects": None}
            continue
        state, effects = stepped(step, state, moment)
        if sum_of(effects) != moment.sum_:
            unlike.append(number)
        yield {**told, "effects": to_wire(effects, people)}
        pause()
    yield {"state": to_wire(state, people), "unlike": unlike}


def _read(path: Path) -> list[dict[str, Any]]:
    """Every line but the sum, which is theirs."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = list(_lines(file.readline))
        told: list[dict[str, Any]] = [json.loads(line) for line in lines]
    except (OSError, EOFError, UnicodeDecodeError, ValueError, zlib.error) as error:
        raise _damaged(path, repr(error)) from error
    if not told or told[0].get("format") != FORMAT:
        raise _damaged(path, "it is no flight recording of this format")
    found = blake2b("".join(lines[:-1]).encode(), digest_size=SUM_BYTES).hexdigest()
    if told[-1] != {"sum": found} or len(told) != told[0]["moments"] + 4:
        raise _damaged(path, "it is not what was written")
    return told[:-1]


def _lines(next_line: Callable[[int], str]) -> Iterator[str]:
    for _ in range(LINES_MAX):
        line = next_line(LINE_CHARACTERS_MAX)
        if not line:
            return
        yield line


def _of(path: Path, told: dict[str, Any], name: str) -> Any:
    try:
        return from_wire(told[name])
    except (ProtocolError, KeyError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> StoreError:
    remedy = "Ask for the file again, or take the version that wrote it"
    return StoreError(f"cannot be replayed: {why}", where=str(path), remedy=remedy)


def _named(moment: Moment) -> str:
    return f"{type(moment.event).__name__} at {moment.now.boot_ms} ms"


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"
