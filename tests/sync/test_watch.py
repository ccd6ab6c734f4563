"""The threads of sync and who watches them: waking, hanging, dying, and the words for systemd."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from interlock.config.sections import InterlockConfig
from interlock.protocol.credentials import HubAccess
from interlock.sim.clocks import VirtualClock
from interlock.sync.courier import Courier
from interlock.sync.notify import Notifier
from interlock.sync.service import SyncSettings, Worker, _assemble, _watch
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

LONG_MS = 3_600_000


@contextlib.contextmanager
def listening() -> Iterator[tuple[Notifier, socket.socket]]:
    """A notifier and the socket that hears it."""
    with (
        tempfile.TemporaryDirectory(prefix="il-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        path = Path(folder) / "notify"
        ear.bind(str(path))
        ear.setblocking(False)
        yield Notifier({"NOTIFY_SOCKET": str(path)}), ear


def test_the_courier_that_reached_the_hub_wakes_everybody_who_waits_for_it() -> None:
    """Else whoever asks for another node's interlock sits out a minute, and with it the member at the machine."""
    chiller = InterlockConfig("Chiller", None, "cellar/Chiller", 500, 0, False, False)
    access = HubAccess("lab", "node", "http://127.0.0.1:9", "credential")
    settings = SyncSettings(Path("socket"), Path("spool"), access, interlocks=(chiller,))
    hubs, workers = _assemble(settings, VirtualClock(), Random(1), Notifier({}))
    courier = workers[0]._stepper
    assert isinstance(courier, Courier)
    courier._reached()
    assert [one._woken.is_set() for one in workers] == [False, True, True]
    for hub in hubs:
        hub.close()


class Steps:
    """A stepper that does what it is told and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False

    def step(self) -> int:
        self.count += 1
        self.gate.wait()
        if self.fails:
            raise ZeroDivisionError
        return LONG_MS

    def wake(self) -> None:
        """Nothing is kept that waking could end."""


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def worker(steps: Steps, clock: VirtualClock) -> Iterator[Worker]:
    worker = Worker("courier", steps, clock, step_s_max=10)
    yield worker
    steps.gate.set()
    worker.leave()
    worker.join()


def test_a_woken_worker_steps_at_once_although_its_wait_is_long(
    worker: Worker, steps: Steps
) -> None:
    worker.start()
    wait_until(lambda: steps.count == 1)
    worker.wake()
    wait_until(lambda: steps.count == 2)
    assert worker.trouble() is None


def test_a_step_that_never_returns_is_a_hang_and_no_sooner_than_its_time(
    worker: Worker, steps: Steps, clock: VirtualClock
) -> None:
    steps.gate.clear()
    worker.start()
    wait_until(lambda: steps.count == 1)
    clock.sleep(10)
    assert worker.trouble() is None
    clock.sleep(1)
    assert worker.trouble() == "the courier thread hangs"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_ends_the_process_and_the_watchdog_is_not_fed_again(
    worker: Worker, steps: Steps
) -> None:
    steps.fails = True
    worker.start()
    wait_until(lambda: not worker.is_alive())
    with listening() as (notifier, ear):
        assert _watch((worker,), threading.Event(), notifier) == 1
        with pytest.raises(BlockingIOError):
            ear.recv(100)


def test_while_all_is_well_the_watchdog_is_fed_until_the_end_is_asked(worker: Worker) -> None:
    worker.start()
    stop = threading.Event()
    with listening() as (notifier, ear):
        watching = threading.Thread(target=_watch, args=((worker,), stop, notifier))
        watching.start()
        ear.setblocking(True)
        ear.settimeout(60)
        assert [ear.recv(100), ear.recv(100)] == [b"WATCHDOG=1"] * 2
        stop.set()
        watching.join()


def test_each_word_for_systemd_is_one_datagram_on_one_line() -> None:
    with listening() as (notifier, ear):
        notifier.ready()
        notifier.status("hub not reached:\nno route")
        notifier.stopping()
        heard = [ear.recv(100) for _ in range(3)]
    assert heard == [b"READY=1", b"STATUS=hub not reached: no route", b"STOPPING=1"]


def test_an_abstract_socket_hears_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        name = f"il-notify-{os.getpid()}"
        ear.bind(f"\0{name}")
        ear.settimeout(60)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert ear.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    Notifier({"NOTIFY_SOCKET": address}).ready()


def test_a_manager_that_does_not_read_holds_nobody_up() -> None:
    with listening() as (notifier, _):
        for _ in range(5_000):
            notifier.alive()
