"""A file of old ids goes to the hub: looked at first, shown, and taken when somebody agrees; bad lines come out."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.desk.counter import new_key
from interlock.desk.hub import HubApi
from interlock.desk.old_ids import OldFile, OldLine

LINES_AT_ONCE = 200
"""What the hub takes in one request."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the hub says of a file: badges it takes, members who need a card enrolled again, what is so already."""

    taken: int
    enrol_again: int
    unchanged: int
    bad: tuple[tuple[int, str], ...]
    total: int


def look(hub: HubApi, file: OldFile) -> Looked:
    """What would become of the file; the hub is asked and not changed."""
    return _sent(hub, file, dry_run=True)


def take(hub: HubApi, file: OldFile) -> Looked:
    """The hub has the good lines. Sent again it changes nothing: what is so already counts as unchanged."""
    return _sent(hub, file, dry_run=False)


def _sent(hub: HubApi, file: OldFile, *, dry_run: bool) -> Looked:
    taken = enrol_again = unchanged = 0
    bad = list(file.bad)
    for first in range(0, len(file.lines), LINES_AT_ONCE):
        part: tuple[OldLine, ...] = file.lines[first : first + LINES_AT_ONCE]
        wire = [line.to_wire() for line in part]
        said = hub.send_old_ids(wire, new_key(), dry_run=dry_run, partial=not dry_run)
        taken, enrol_again = taken + said.taken, enrol_again + said.enrol_again
        unchanged += said.unchanged
        bad += [(part[line - 1].number, reason) for line, reason in said.bad]
    total = len(file.lines) + len(file.bad)
    return Looked(taken, enrol_again, unchanged, tuple(sorted(bad)), total)
