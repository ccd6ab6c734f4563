"""What the panel shows goes in, the screen follows: on a thread of its own, the latest text only.

The worker looks at the panel ten times a second; nobody hands it anything and nobody waits for it,
so a dead or slow screen cannot delay the loop. It is said once, and comes back by itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from interlock.clock import Clock
from interlock.config import ScreenConfig
from interlock.core.effects import Panel
from interlock.errors import DeviceError
from interlock.node.displays import Display, display_of
from interlock.node.panel import screen as words_on

LOG = logging.getLogger(__name__)

LOOK_S: Final = 0.1
"""People take twice as long to notice that a text changed."""

RETRY_S: Final = 5.0
"""How soon a screen that came loose shows something again."""

RENEW_MS: Final = 600_000
"""The spark of a contactor can garble an HD44780, which nobody can ask: every ten minutes it is set up anew."""

STOP_S: Final = 0.5
"""A bus that hangs is left to die with the process."""


class ScreenWorker:
    """Keeps one screen in step with the panel; `start()`, `stop()`."""

    def __init__(
        self,
        screen: ScreenConfig,
        language: str,
        shown: Callable[[], Panel],
        clock: Clock,
        make: Callable[[ScreenConfig], Display] = display_of,
    ) -> None:
        """`shown` says at once what the panel shows now."""
        self._screen = screen
        self._language = language
        self._shown = shown
        self._clock = clock
        self._make = make
        self._display: Display | None = None
        self._written: tuple[str, ...] | None = None
        self._renew_ms = 0
        self._awake = False
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def start(self) -> None:
        """The screen follows from here on; its libraries are loaded before this returns.

        Loading them holds the interpreter for longer than the loop may be late.
        """
        try:
            self._display = self._make(self._screen)
        except DeviceError as error:
            self._lost(error)
            return
        self._thread.start()

    def stop(self) -> None:
        """The screen is dark, unless its bus hangs; harmless when called again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the screen; None: nothing."""
        return self._trouble

    def turn(self) -> None:
        """The screen shows the panel's text of now, or is known to be gone."""
        if self._display is None:
            return
        lines = words_on(self._shown(), self._language, self._screen.columns, self._screen.lines)
        now_ms = self._clock.boot_ms()
        try:
            if not self._awake or now_ms >= self._renew_ms:
                self._display.wake()
                self._awake, self._written, self._renew_ms = True, None, now_ms + RENEW_MS
            if lines != self._written:
                self._display.show(lines)
                self._written = lines
        except DeviceError as error:
            self._lost(error)
            return
        if self._trouble is not None:
            LOG.warning("the screen is back")
            self._trouble = None

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(LOOK_S if self._awake else RETRY_S)
        if self._display is not None:
            self._display.close()

    def _lost(self, error: DeviceError) -> None:
        if self._trouble is None:
            LOG.error("nothing can be read on the screen: %s", error)
        self._trouble = str(error)
        self._awake = False
