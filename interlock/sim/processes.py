"""Plays systemd for the demo: units go in, running processes with watchdog and restart come out.

What units of Type=notify with WatchdogSec, Restart=always and KillMode=control-group would get, with a
session in place of the control group. One thread starts, watches and ends every process: the
kernel's PR_SET_PDEATHSIG watches the *thread* that started a child, so it must be one that stays.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from interlock.clock import Clock
from interlock.errors import InterlockError, LinkError
from interlock.sim.supervised import MESSAGE_BYTES_MAX, Phase, Report, Service, Unit

GRACE_S = 5.0
"""How much longer than its `stop_s` a process may take to end: SIGKILL itself needs milliseconds."""

ALIVE_S = 1.0
"""How often somebody who waits for the thread makes sure that there still is one."""


class ServiceManager:
    """Starts units and keeps them running until told otherwise. Safe to use from any thread.

    Notify sockets and logs stand in `folder`, whose path must be short enough for a Unix socket.
    `lock_fd` is handed to the keeper, so that whoever waits for that lock waits for its work too.
    """

    def __init__(self, folder: Path, clock: Clock, lock_fd: int | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._lock_fd = lock_fd
        self._services: dict[str, Service] = {}
        self._orders: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service manager", daemon=True)
        self._thread.start()
        self._started.wait()

    # ------------------------------------------------------------------------------------- orders

    def start(self, unit: Unit) -> None:
        """`unit` is on its way; a unit that runs already is left alone."""
        self._order(lambda: self._service(unit).want())

    def stop(self, *names: str) -> None:
        """The named services have ended: SIGTERM first, SIGKILL after their `stop_s`."""
        self._order(lambda: self._each(names, Service.stop))
        self._wait_gone(names)

    def cut(self, *names: str) -> None:
        """The named services are gone at once, as when the power is cut; nothing restarts them."""
        self._order(lambda: self._each(names, Service.cut))
        self._wait_gone(names)

    def kill(self, name: str) -> None:
        """SIGKILL, as by a crash; the service is started again after its `restart_s`."""
        self._order(lambda: self._services[name].signal(signal.SIGKILL))

    def freeze(self, name: str) -> None:
        """SIGSTOP, as by a hang; the watchdog will notice."""
        self._order(lambda: self._services[name].signal(signal.SIGSTOP))

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._order(lambda: self._services[name].signal(signal.SIGCONT))

    def report(self, name: str) -> Report:
        """How the named service stands."""
        service = self._services.get(name)
        return Report() if service is None else service.report

    def log_of(self, name: str) -> Path:
        """Where the named service's output goes."""
        return self._folder / "logs" / f"{name}.log"

    def wait_until(self, truth: Callable[[], bool], deadline_s: float) -> bool:
        """True as soon as `truth()` holds; looked at whenever a service changes. False when late."""
        with self._changed:
            return self._changed.wait_for(truth, deadline_s)

    def wait_ready(self, *names: str) -> None:
        """Every named service has said READY. Raises LinkError with the end of the log of a late one."""

        def all_run() -> bool:
            return all(self.report(name).phase is Phase.RUNNING for name in names)

        longest_s = max(self._services[name].unit.start_s for name in names)
        if not self.wait_until(all_run, longest_s):
            late = next(name for name in names if self.report(name).phase is not Phase.RUNNING)
            raise LinkError(
                f"it was not ready within {longest_s:g} s. Its last words:\n{self._tail(late)}",
                where=late,
                remedy=f"The whole log is {self.log_of(late)}",
            )

    def close(self) -> None:
        """Every service has ended; harmless when called again."""
        names = [name for name in self._services if self.report(name).phase is not Phase.STOPPED]
        if self._thread.is_alive():
            with contextlib.suppress(InterlockError):
                self.stop(*names)
            self._order(self._end)
            self._thread.join()

    # ---------------------------------------------------------------------------------- the thread

    def _each(self, names: Iterable[str], act: Callable[[Service], None]) -> None:
        for name in names:
            act(self._services[name])

    def _order(self, order: Callable[[], object]) -> None:
        """`order` has been carried out by the thread; what it raised is raised here."""
        done = threading.Event()
        raised: list[InterlockError] = []

        def carry_out() -> None:
            try:
                order()
            except InterlockError as error:
                raised.append(error)
            finally:
                done.set()

        self._orders.append(carry_out)
        self._wake.send(b"!")
        while not done.wait(ALIVE_S):
            if not self._thread.is_alive():
                raise LinkError("it has ended", where="the service manager")
        if raised:
            raise raised[0]

    def _end(self) -> None:
        self._closing = True

    def _run(self) -> None:
        keeper = self._start_keeper()
        self._keeper = keeper
        self._started.set()
        try:
            while not self._closing:
                self._once()
        finally:
            self._each(self._services, Service.cut)
            while any(one.report.phase is not Phase.STOPPED for one in self._services.values()):
                self._once()
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait()
            self._each(self._services, Service.bury_socket)
            self._wake.close()
            self._woken.close()

    def _once(self) -> None:
        now_ms = self._clock.boot_ms()
        dues = [s.due_ms for s in self._services.values() if s.due_ms is not None]
        wait_s = max(0, min(dues) - now_ms) / 1000 if dues else None
        for key, _ in self._selector.select(wait_s):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(MESSAGE_BYTES_MAX)
            else:
                key.data()
        while self._orders:
            self._orders.popleft()()
        for service in list(self._services.values()):
            if service.is_late():
                service.expire()
        with self._changed:
            self._changed.notify_all()

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "interlock.sim.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=() if self._lock_fd is None else (self._lock_fd,),
        )

    def _tell_keeper(self, line: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{line}\n".encode())
        self._keeper.stdin.flush()

    def _service(self, unit: Unit) -> Service:
        service = self._services.get(unit.name)
        if service is None:
            service = Service(
                unit,
                self._folder / f"{unit.name}.notify",
                self.log_of(unit.name),
                self._clock,
                self._selector,
                self._tell_keeper,
            )
            self._services[unit.name] = service
        service.unit = unit
        return service

    def _wait_gone(self, names: tuple[str, ...]) -> None:
        def all_gone() -> bool:
            return all(self.report(name).phase is Phase.STOPPED for name in names)

        longest_s = max((self._services[name].unit.stop_s for name in names), default=0.0)
        if not self.wait_until(all_gone, longest_s + GRACE_S):
            raise LinkError("a process does not end, not even by SIGKILL", where=", ".join(names))

    def _tail(self, name: str) -> str:
        with contextlib.suppress(OSError):
            lines = self.log_of(name).read_text(errors="replace").splitlines()
            return "\n".join(f"    {line}" for line in lines[-4:])
        return "    (nothing)"
