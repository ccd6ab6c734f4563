"""A journal whose computer has become another node goes in; it is set aside whole, and its unsent records are counted.

A journal belongs to one node of one lab, and the node refuses any other (journal_marks.load). When the same SD card is
enrolled again, its old journal and lists of rights are moved into a folder of their own: nothing is deleted, nothing
old is taken for new, and the node begins with an empty journal. The hub says the same from its side: what the replaced
node had told it of and never sent (hub.domain.enrolment).
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import StoreError
from interlock.node import journal_marks
from interlock.node.journal_schema import UNREADABLE
from interlock.protocol.credentials import NodeKeys

JOURNAL_NAME = "journal.db"
KEPT = (f"{JOURNAL_NAME}*", "auth-*")
"""The journal with what SQLite keeps beside it, and every list of rights: they belong to the node that was."""
UNKNOWN_NODE = "unknown"
FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True)
class FormerLife:
    """What was set aside: where it lies, whose it was, and how many of its records no hub has (None: unreadable)."""

    folder: Path
    node: str
    unsent: int | None


def set_aside(state_dir: Path, keys: NodeKeys) -> FormerLife | None:
    """No journal of another node than `keys`' lies in `state_dir` any more; what was moved, None if nothing.

    The node must not run. Raises StoreError: the files cannot be moved.
    """
    journal = state_dir / JOURNAL_NAME
    if not journal.exists():
        return None
    owner, unsent = _told(journal, keys)
    if owner == (keys.lab, keys.node):
        return None
    name = UNKNOWN_NODE if owner is None else owner[1]
    try:
        folder = _fresh_folder(state_dir, name)
        for path in sorted(one for pattern in KEPT for one in state_dir.glob(pattern)):
            path.rename(folder / path.name)
    except OSError as error:
        raise StoreError(
            f"the journal of {name} cannot be moved aside: {error.strerror}",
            where=str(journal),
            remedy="Move journal.db* and auth-* into another folder, then start the node",
        ) from error
    return FormerLife(folder, name, unsent)


def _told(journal: Path, keys: NodeKeys) -> tuple[tuple[str, str] | None, int | None]:
    """Lab and node of whoever wrote `journal`, and its unsent records; None for what cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(journal)) as connection:
            rows = journal_marks.read_rows(connection)
            if not rows:
                return None, None
            stored = journal_marks.from_wire(rows, keys)
    except UNREADABLE:
        return None, None
    current = stored.epochs[-1]
    return (current.lab, current.node), stored.unsent


def _fresh_folder(state_dir: Path, node: str) -> Path:
    """An empty folder beside the journal that its owner alone may enter."""
    number, folder = 1, state_dir / f"before-{node}"
    while folder.exists():
        number += 1
        folder = state_dir / f"before-{node}-{number}"
    folder.mkdir(mode=FOLDER_MODE)
    return folder
