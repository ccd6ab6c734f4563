"""Small real programs for the service manager to look after; `python -m` runs one by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

from interlock.sync.notify import Notifier

FEED_S = 0.1


def well(notifier: Notifier) -> None:
    """Serves and feeds the watchdog until SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    notifier.ready()
    notifier.status("all is well")
    while not over.wait(FEED_S):
        notifier.alive()
    notifier.stopping()


def hangs(notifier: Notifier) -> None:
    """Ready, and then silent."""
    notifier.ready()
    threading.Event().wait()


def hangs_for_good(notifier: Notifier) -> None:
    """Silent, and deaf to SIGABRT and SIGTERM as well."""
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hangs(notifier)


def never_ready(notifier: Notifier) -> None:
    """Busy for ever with its start."""
    threading.Event().wait()


def fails(notifier: Notifier) -> None:
    """Ends before it is ready, with a word why."""
    sys.stderr.write("the disk is made of cheese\n")
    sys.exit(3)


def has_children(notifier: Notifier) -> None:
    """Serves, with a child in its own process group that knows nothing of being watched."""
    child = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    subprocess.Popen(child, process_group=0, env={})
    well(notifier)


def tells(notifier: Notifier) -> None:
    """Prints what a service is told by its environment."""
    sys.stdout.write(f"{os.environ['WATCHDOG_USEC']} {os.environ['WATCHDOG_PID']} {os.getpid()}\n")
    sys.stdout.flush()
    well(notifier)


if __name__ == "__main__":
    globals()[sys.argv[1]](Notifier())
