"""The node as a process: signals, systemd's watchdog and the log go in and out without holding the loop up."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from interlock.clock import Clock
from interlock.node.log_queue import LogQueue
from interlock.node.notify import Notifier

FEEDS_PER_WATCHDOG = 8
"""systemd asks for two; more make a single lost datagram harmless, and cost nothing."""


def feeder(notifier: Notifier, environ: Mapping[str, str], clock: Clock) -> Callable[[], None]:
    """Says WATCHDOG=1 often enough and not at every tick; nothing where nobody watches."""
    asked = environ.get("WATCHDOG_USEC", "")
    if not asked.isdecimal():
        return lambda: None
    every_ms = max(1, int(asked) // 1_000 // FEEDS_PER_WATCHDOG)
    next_ms = 0

    def feed() -> None:
        nonlocal next_ms
        now_ms = clock.boot_ms()
        if now_ms >= next_ms:
            next_ms = now_ms + every_ms
            notifier.say("WATCHDOG=1")

    return feed


def is_whole_process() -> bool:
    """Whether the process is ours; tests run nodes in threads of theirs."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def terminated_by_signals(terminate: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT ask for the end; only the main thread hears signals (tests run us in another)."""
    if not is_whole_process():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: terminate())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unblocking_log() -> Iterator[None]:
    """Everything the package logs goes to stderr, and nobody waits for stderr."""
    logger = logging.getLogger("interlock")
    lines = LogQueue(sys.stderr)
    level, logger.level = logger.level, logging.INFO
    logger.addHandler(lines)
    lines.start()
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
        lines.stop()
