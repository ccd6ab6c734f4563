"""The demo's last resort: sessions to watch come in on stdin, and when it ends none of them is left.

A process that is killed with SIGKILL can clean nothing up. Its children die with it (PR_SET_PDEATHSIG),
their children do not; so this small process reads `+SESSION` and `-SESSION` lines from the demo, and at
the end of the file, however the demo ended, kills whatever still belongs to one of the sessions.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
ROUND_S = 0.02
ROUNDS_MAX = 250
"""Five seconds: SIGKILL takes effect in milliseconds, except in the kernel's uninterruptible sleep."""


def main() -> None:
    """Watch until stdin ends, then leave nothing behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        sign, session = line[:1], int(line[1:])
        if sign == "+":
            sessions.add(session)
        else:
            sessions.discard(session)
    end_sessions(sessions)


def end_sessions(sessions: Iterable[int]) -> None:
    """No process of `sessions` is left, unless the kernel itself holds one."""
    ends = frozenset(sessions)
    for _ in range(ROUNDS_MAX):
        left = list(members(ends))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        select.select([], [], [], ROUND_S)


def members(sessions: frozenset[int]) -> Iterator[int]:
    """The living processes of `sessions`; zombies do not count."""
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name in parentheses may hold spaces and parentheses itself (proc_pid_stat(5)).
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) in sessions and state not in "ZX":
                    yield int(folder.name)


if __name__ == "__main__":
    main()
