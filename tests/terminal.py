"""A command on a terminal of its own: lines typed in, everything it shows out; what a person and a cable can do."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from interlock.clock import SystemClock

STYLES = re.compile(r"\x1b\[[0-9;]*m")
END_S = 20


class Terminal:
    """`interlock ARGUMENTS` in a session of its own, whose controlling terminal is ours to type at and to tear off."""

    def __init__(self, *arguments: str) -> None:
        self._master: int | None
        self._master, slave = pty.openpty()
        self.shown = ""
        command = ["setsid", "--ctty", sys.executable, "-m", "interlock", *arguments]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def read(self, for_s: float = 0.05) -> str:
        """What it has shown since the last time."""
        assert self._master is not None
        ready, _, _ = select.select([self._master], [], [], for_s)
        if not ready:
            return ""
        try:
            more = os.read(self._master, 65_536).decode(errors="replace")
        except OSError:
            # EIO: nobody holds the other end any more.
            return ""
        more = STYLES.sub("", more).replace("\r\n", "\n")
        self.shown += more
        return more

    def type(self, text: str) -> None:
        """The keys are pressed."""
        assert self._master is not None
        os.write(self._master, text.encode())

    def tear_off(self) -> None:
        """The terminal is gone: the network of an SSH session, a closed window."""
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def exit_code(self) -> int:
        """The command has ended by itself."""
        clock = SystemClock()
        until_ms = clock.boot_ms() + END_S * 1_000
        while self.process.poll() is None:
            assert clock.boot_ms() < until_ms, f"it does not end:\n{self.shown}"
            if self._master is None:
                clock.sleep(0.02)
            else:
                self.read()
        if self._master is not None:
            self.read(0)
        return self.process.returncode


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    """The command is over at the end of the block, however it went."""
    made = Terminal(*arguments)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
        made.process.wait(END_S)
        made.tear_off()
