"""Log records from every thread in, lines on stderr out, written by a thread of their own.

journald on a dying SD card can stop reading for seconds; whoever logs must not wait for it, least
of all the loop. A full queue drops lines and says later how many.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TextIO

LINES_MAX = 1_000
"""A minute of a busy node; more than that, written by a loop of errors, would say nothing new."""

STOP_S = 1.0
"""What the last lines may take when the process ends."""

FORMAT = "%(levelname)s %(name)s: %(message)s"
"""journald adds time, host and unit."""


class LogQueue(logging.Handler):
    """Attach to a logger, `start()`, and detach before `stop()`."""

    def __init__(self, stream: TextIO, lines_max: int = LINES_MAX) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(lines_max)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def start(self) -> None:
        """Lines are written from here on."""
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """`record` waits to be written, or was counted as dropped; never blocks."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1

    def stop(self) -> None:
        """What was logged before is written, if stderr takes it in time."""
        try:
            self._lines.put(None, timeout=STOP_S)
        except queue.Full:
            return
        self._thread.join(STOP_S)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            try:
                if dropped:
                    self._stream.write(f"WARNING log: {dropped} lines were dropped\n")
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # stderr is gone: there is nobody left to tell, and the machine goes on.
                continue
