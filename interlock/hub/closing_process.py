"""Somebody's wish to close a month goes in; a process of its own closes it, and how far it is comes out.

Ten thousand payers take most of a minute: too long for a request, and too much work for the process that
answers pages and nodes. So the hub starts another one, in which that person closes the month as anybody does
(domain.closing): with their rights, in their name, and all or nothing. How far it is stands in a small file.
The process holds that file's lock, which it was born with: nobody starts a second one, and a process that was
killed is known by its lock being free while its file still says that it runs.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing as closed_at_the_end
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path

from interlock.clock import SystemClock
from interlock.errors import InterlockError, StoreError
from interlock.hub.directory import KEY_MODE

PAYERS_AT_ONCE = 100
"""A month of so many is closed while its page waits: half a second (docs/performance.md), on a Pi two."""
NICENESS = 10
"""As `interlock hub jobs`: whoever stands at a machine goes first."""
TOLD_BYTES = 2_048
"""The file is written in one piece of this length, so that no reader sees half of it."""
TROUBLE_LENGTH_MAX = 300

log = logging.getLogger(__name__)


class State(StrEnum):
    """How a closing stands."""

    RUNNING = "running"
    CLOSED = "closed"
    REFUSED = "refused"
    """The lab's rules did not let it; `trouble` says why."""
    BROKEN = "broken"
    """It ended otherwise, killed with its computer for one. Nothing was closed."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far the closing of a month is: steps done, of how many, and what stopped it."""

    month: date
    state: State
    done: int = 0
    total: int = 0
    trouble: str = ""

    def to_json(self) -> str:
        """What the file says."""
        return json.dumps({**asdict(self), "month": self.month.isoformat()})


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants which month of which lab closed, and in which language they read."""

    lab: int
    user: int
    month: date
    language: str


def start(folder: Path, wish: Wish) -> bool:
    """A process closes the month; False: one that closes a month of this lab runs already. Raises StoreError."""
    path = _path(folder, wish.lab)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, KEY_MODE)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", where=str(path)) from error
    try:
        while not _locked(file):
            # Somebody who reads it has it for a moment; who runs keeps it.
            running = told(folder, wish.lab)
            if running is not None and running.state is State.RUNNING:
                return False
        _tell(file, Told(wish.month, State.RUNNING))
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), str(file), *_words(wish)],
            stdin=subprocess.DEVNULL,
            pass_fds=[file],
        )
    finally:
        # The child has the lock from here on: it ends with the last process that holds the file.
        os.close(file)
    threading.Thread(target=process.wait, daemon=True).start()
    return True


def told(folder: Path, lab: int) -> Told | None:
    """How the latest closing of that lab stands; None: none was started, or it is forgotten."""
    try:
        file = os.open(_path(folder, lab), os.O_RDONLY)
    except FileNotFoundError:
        return None
    with closed_at_the_end(os.fdopen(file, "rb")) as source:
        # Before the file is read: what ends in between has said so by then.
        is_free = _locked(source.fileno(), shared=True)
        said = _read(source.read(TOLD_BYTES))
    if said is not None and said.state is State.RUNNING and is_free:
        return replace(said, state=State.BROKEN)
    return said


def forget(folder: Path, lab: int) -> None:
    """Everybody who wanted to know has read how it ended; one that runs is not forgotten."""
    known = told(folder, lab)
    if known is not None and known.state is not State.RUNNING:
        _path(folder, lab).unlink(missing_ok=True)


def main(arguments: Sequence[str]) -> None:
    """The process itself: the month is closed in that person's name, or the file says why not."""
    folder, file, lab, user, month, language = arguments
    wish = Wish(int(lab), int(user), date.fromisoformat(month), language)
    os.nice(NICENESS)
    try:
        ended = _close(Path(folder), int(file), wish)
    except Exception as error:  # the top of a process: whoever waits reads that it failed
        log.exception("closing %s failed", month)
        ended = Told(wish.month, State.BROKEN, trouble=type(error).__name__)
    _tell(int(file), ended)


def _close(folder: Path, file: int, wish: Wish) -> Told:
    from interlock.hub import commands

    commands.open_hub(folder)
    from django.core.exceptions import PermissionDenied
    from django.utils import translation
    from django.utils.text import capfirst

    from interlock.hub.domain.closing import close
    from interlock.hub.models import Lab, User
    from interlock.hub.permissions import Actor

    def progress(done: int, total: int) -> None:
        _tell(file, Told(wish.month, State.RUNNING, done, total))

    with translation.override(wish.language):
        try:
            actor = Actor(SystemClock(), User.objects.get(pk=wish.user))
            close(actor, Lab.objects.get(pk=wish.lab), wish.month, progress)
        except InterlockError as error:
            said = ". ".join(part for part in (capfirst(error.what), error.remedy) if part)
            return Told(wish.month, State.REFUSED, trouble=f"{said}.")
        except (PermissionDenied, User.DoesNotExist) as error:
            return Told(wish.month, State.REFUSED, trouble=str(error))
    return Told(wish.month, State.CLOSED)


def _path(folder: Path, lab: int) -> Path:
    return folder / f"closing-{lab}.json"


def _words(wish: Wish) -> list[str]:
    return [str(wish.lab), str(wish.user), wish.month.isoformat(), wish.language]


def _locked(file: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _tell(file: int, said: Told) -> None:
    short = replace(said, trouble=said.trouble[:TROUBLE_LENGTH_MAX])
    os.pwrite(file, short.to_json().encode().ljust(TOLD_BYTES), 0)


def _read(content: bytes) -> Told | None:
    try:
        said = json.loads(content)
        return Told(
            date.fromisoformat(said["month"]),
            State(said["state"]),
            int(said["done"]),
            int(said["total"]),
            str(said["trouble"]),
        )
    except (ValueError, KeyError, TypeError):
        # An empty file of a computer that went down: as if there had been none.
        return None


if __name__ == "__main__":
    main(sys.argv[1:])
