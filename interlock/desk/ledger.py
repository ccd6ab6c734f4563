"""What the desk is about to do to a card goes to the disk before the card hears of it; what a key may be comes back.

A card can be taken away at any moment: then a key that was being changed is the old one or the new one, and
nobody knows which. The ledger knows the two. It is a file of JSON lines, each on the disk before the command it
speaks of is sent, and it names generations of site keys, never keys: those are derived anew. Cards are named by
tags (`SiteKeys.card_tag`).

    {"card": "…", "aid": "0110f5", "number": 1, "may": [0, 1]}     about to change from generation 0 to 1
    {"card": "…", "aid": "0110f5", "number": 1, "may": [1]}        the card confirmed it
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

from interlock.desk import private_files
from interlock.desk.site_keys import GENERATION_MAX, Place
from interlock.desk.words import _
from interlock.errors import StoreError

Generations = tuple[int, ...]


class Ledger:
    """The ledger in `path`, of one process at a time, until `close`."""

    def __init__(self, path: Path, sync: Callable[[int], object] = os.fsync) -> None:
        """Raises StoreError: damaged, or another desk has it."""
        self._path = path
        self._sync = sync
        self._known: dict[tuple[str, Place], Generations] = {}
        self._file = private_files.open_for_appending(path)
        try:
            self._lock()
            self._read()
        except StoreError:
            self.close()
            raise

    def may_hold(self, card: str, place: Place) -> Generations | None:
        """The generations one of which `card` holds at `place`; None when the ledger does not know the place."""
        return self._known.get((card, place))

    def intend(self, card: str, place: Place, old: int, new: int) -> None:
        """From now on, and after a power cut, `place` may hold `old` or `new`. Raises StoreError."""
        self._write(card, place, (old, new))

    def settle(self, card: str, place: Place, generation: int) -> None:
        """`place` holds `generation`: the card said so. Raises StoreError."""
        self._write(card, place, (generation,))

    def unfinished(self) -> int:
        """How many cards were taken away in mid-sentence and have not come back."""
        return len({card for (card, _place), may in self._known.items() if len(may) > 1})

    def close(self) -> None:
        """Another process may have it; harmless when called again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(
                _("another desk on this computer is at work"),
                where=str(self._path),
                remedy=_("Finish there first: one card at a time"),
            ) from error

    def _read(self) -> None:
        content = private_files.read(self._path)
        lines = content.split(b"\n")
        # What follows the last end of a line was never finished, so its command was never sent.
        if lines.pop():
            os.ftruncate(self._file, content.rfind(b"\n") + 1)
        for number, line in enumerate(lines, 1):
            try:
                card, place, may = _entry(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    _("line %d is damaged") % number,
                    where=str(self._path),
                    remedy=_(
                        "Keep a copy, and take the line out: a card's own key versions tell the rest"
                    ),
                ) from error
            self._known[card, place] = may

    def _write(self, card: str, place: Place, may: Generations) -> None:
        said = {"card": card, "aid": place.aid.hex(), "number": place.number, "may": may}
        line = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        private_files.append(self._file, line, self._sync)
        self._known[card, place] = may


def _entry(said: dict[str, object]) -> tuple[str, Place, Generations]:
    card, aid, number, may = said["card"], said["aid"], said["number"], said["may"]
    if not (isinstance(card, str) and isinstance(aid, str) and isinstance(number, int)):
        raise TypeError
    if not isinstance(may, list) or not 1 <= len(may) <= 2:
        raise TypeError
    if not all(type(one) is int and 0 <= one <= GENERATION_MAX for one in may):
        raise ValueError
    return card, Place(bytes.fromhex(aid), number), tuple(may)
