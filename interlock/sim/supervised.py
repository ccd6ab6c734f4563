"""One service under the demo's service manager: its process, its words, the time it has left.

Every method runs in the manager's thread (processes.py), which also says when time is up.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from interlock.clock import Clock
from interlock.sim.keeper import end_sessions

_SHIM = """
import ctypes, os, sys
parent, command = int(sys.argv[1]), sys.argv[2:]
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != parent: os._exit(1)
if "WATCHDOG_USEC" in os.environ: os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(command[0], command)
"""
"""prctl(PR_SET_PDEATHSIG, SIGKILL), then the program itself. Between fork and exec this would need
preexec_fn, which is unsafe beside other threads."""

MESSAGE_BYTES_MAX = 4_096

NODE_NICE, SYNC_NICE, JOBS_NICE = -5, 5, 10
"""As our units in systemd/ have it."""

WORLD_NICE = -10
"""Hardware waits for no program: a monostable of 240 ms drops the contactor while its world is not scheduled."""


class Phase(Enum):
    """Where a service stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    ABORTING = "aborting"
    STOPPING = "stopping"
    KILLED = "killed"
    RESTARTING = "restarting"


@dataclass(frozen=True, slots=True)
class Unit:
    """One service; the defaults are those of our units in systemd/ (8-installation.md).

    `nice` below 0 needs root; without it the service runs like everybody else.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    notifies: bool = True
    watchdog_s: float | None = 2.0
    abort_s: float = 1.0
    restart_s: float = 1.0
    start_s: float = 30.0
    stop_s: float = 5.0
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """One service as it stands: `status` are its own last words to systemd, `ending` how it ended."""

    phase: Phase = Phase.STOPPED
    pid: int | None = None
    starts: int = 0
    watchdog_kills: int = 0
    status: str = ""
    ending: str = ""


WATCHDOG_US_PER_S = 1_000_000


def dying_with_us(command: Sequence[str]) -> list[str]:
    """`command` (its program by full path) as one that is killed when the calling thread ends."""
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), *command]


class Service:
    """One unit and, while it runs, its process."""

    def __init__(
        self,
        unit: Unit,
        notify_path: Path,
        log_path: Path,
        clock: Clock,
        selector: selectors.BaseSelector,
        tell_keeper: Callable[[str], None],
    ) -> None:
        self.unit = unit
        self.due_ms: int | None = None
        self.report = Report()
        self._wanted = False
        self._log_path = log_path
        self._clock = clock
        self._selector = selector
        self._tell_keeper = tell_keeper
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._notify_path = notify_path
        notify_path.unlink(missing_ok=True)
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(notify_path))
        self._ear.setblocking(False)
        selector.register(self._ear, selectors.EVENT_READ, self._hear)

    def want(self) -> None:
        """It runs, now and whenever it ends by itself."""
        self._wanted = True
        if self._process is None:
            self._spawn()

    def stop(self) -> None:
        """It is asked to end, and does not come back."""
        self._wanted = False
        if self._process is None:
            self._enter(Phase.STOPPED)
        elif self.report.phase is not Phase.KILLED:
            self.signal(signal.SIGTERM)
            # A frozen process would not see SIGTERM; systemd sends SIGCONT along too.
            self.signal(signal.SIGCONT)
            self._enter(Phase.STOPPING, self.unit.stop_s)

    def cut(self) -> None:
        """It is killed with everything it started, and does not come back."""
        self._wanted = False
        if self._process is None:
            self._enter(Phase.STOPPED)
        else:
            self._kill()

    def signal(self, number: int) -> None:
        """Its main process gets the signal, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def is_late(self) -> bool:
        """The time of the present phase is over, whatever it has said until now."""
        if self._is_over():
            # Somebody else's start may have kept the manager from listening.
            self._hear()
        return self._is_over()

    def _is_over(self) -> bool:
        return self.due_ms is not None and self.due_ms <= self._clock.boot_ms()

    def expire(self) -> None:
        """The time of the present phase is over."""
        phase = self.report.phase
        if phase is Phase.RESTARTING:
            self._spawn()
        elif phase is Phase.RUNNING:
            self._say("the watchdog has not been fed: SIGABRT")
            self._set(watchdog_kills=self.report.watchdog_kills + 1)
            self.signal(signal.SIGABRT)
            self._enter(Phase.ABORTING, self.unit.abort_s)
        else:
            self._say(f"still {phase.value}: SIGKILL")
            self._kill()

    def bury_socket(self) -> None:
        """Its notify socket is gone."""
        self._ear.close()
        self._notify_path.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------- the process

    def _spawn(self) -> None:
        unit = self.unit
        self._drain()
        environment = dict(os.environ) | dict(unit.environment)
        environment["NOTIFY_SOCKET"] = str(self._notify_path)
        environment.pop("WATCHDOG_USEC", None)
        if unit.watchdog_s is not None:
            environment["WATCHDOG_USEC"] = str(round(unit.watchdog_s * WATCHDOG_US_PER_S))
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_us(unit.command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # It is still the shim, of one thread: what it becomes inherits this.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, unit.nice)
        # A desktop's kernel shares the processor between sessions first, and this one is a session of its own:
        # nice counts within it alone, unless the session is given it as well (sched(7), autogroup).
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text(f"{unit.nice}\n")
        self._tell_keeper(f"+{self._process.pid}")
        self._pidfd = os.pidfd_open(self._process.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ, self._ended)
        self._set(pid=self._process.pid, starts=self.report.starts + 1, status="", ending="")
        if unit.notifies:
            self._enter(Phase.STARTING, unit.start_s)
        else:
            self._enter(Phase.RUNNING)

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._enter(Phase.KILLED)

    def _ended(self) -> None:
        """The main process is gone: so is, from now on, everything it started."""
        assert self._process is not None
        process, self._process = self._process, None
        self._selector.unregister(self._pidfd)
        os.close(self._pidfd)
        code = process.wait()
        end_sessions({process.pid})
        self._tell_keeper(f"-{process.pid}")
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._say(f"ended: {ending}")
        self._set(pid=None, ending=ending)
        if self._wanted:
            self._enter(Phase.RESTARTING, self.unit.restart_s)
        else:
            self._enter(Phase.STOPPED)

    # --------------------------------------------------------------------------------- its words

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                words = self._ear.recv(MESSAGE_BYTES_MAX).decode(errors="replace")
                for line in words.splitlines():
                    self._understand(line)

    def _understand(self, line: str) -> None:
        phase = self.report.phase
        if (line, phase) in (("READY=1", Phase.STARTING), ("WATCHDOG=1", Phase.RUNNING)):
            self._enter(Phase.RUNNING, self.unit.watchdog_s)
        elif line == "STOPPING=1" and phase in (Phase.STARTING, Phase.RUNNING):
            self._enter(Phase.STOPPING, self.unit.stop_s)
        elif line.startswith("STATUS="):
            self._set(status=line.removeprefix("STATUS="))

    def _drain(self) -> None:
        """What an earlier process said last does not count for the next one."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._ear.recv(MESSAGE_BYTES_MAX)

    # --------------------------------------------------------------------------------- book-keeping

    def _enter(self, phase: Phase, for_s: float | None = None) -> None:
        self.due_ms = None if for_s is None else self._clock.boot_ms() + round(for_s * 1000)
        self._set(phase=phase)

    def _set(self, **changes: Any) -> None:
        self.report = replace(self.report, **changes)

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError), self._log_path.open("a", encoding="utf-8") as log:
            log.write(f"--- service manager: {self.unit.name} {text}\n")
