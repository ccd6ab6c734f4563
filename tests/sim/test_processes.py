"""The service manager over small real processes: readiness, watchdog, restart, and nothing left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.errors import LinkError
from interlock.sim.keeper import members
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import Phase, Unit
from tests.waiting import wait_until

pytestmark = pytest.mark.real

SCRIPTS = "tests.sim.service_scripts"
WATCHDOG_S = 2.0
"""Twenty times what the small programs need: none is on time on a computer that others use."""


def unit(script: str, name: str = "one", **changes: float | bool) -> Unit:
    settings: dict[str, float | bool] = {"watchdog_s": WATCHDOG_S, "abort_s": 0.3, "restart_s": 0.1}
    settings |= {"start_s": 30, "stop_s": 10}
    return Unit(name, (sys.executable, "-m", SCRIPTS, script), **(settings | changes))  # type: ignore[arg-type]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        yield Path(path)


@pytest.fixture
def manager(folder: Path) -> Iterator[ServiceManager]:
    manager = ServiceManager(folder, SystemClock())
    yield manager
    manager.close()


def pid_of(manager: ServiceManager, name: str = "one") -> int:
    pid = manager.report(name).pid
    assert pid is not None
    return pid


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def sessions_of(manager: ServiceManager, *names: str) -> frozenset[int]:
    return frozenset(pid_of(manager, name) for name in names)


def test_a_service_runs_as_nicely_as_its_unit_says(manager: ServiceManager) -> None:
    manager.start(replace(unit("well"), nice=5))
    manager.wait_ready("one")
    assert os.getpriority(os.PRIO_PROCESS, pid_of(manager)) == 5
    group = Path(f"/proc/{pid_of(manager)}/autogroup")
    if group.exists():
        # Each service is a session of its own: where the kernel groups by session, only this counts.
        assert group.read_text().endswith(" nice 5\n")


def test_a_service_is_ready_when_it_says_so(manager: ServiceManager) -> None:
    manager.start(unit("well"))
    manager.wait_ready("one")
    assert manager.report("one").phase is Phase.RUNNING
    wait_until(lambda: manager.report("one").status == "all is well")


def test_a_service_that_feeds_the_watchdog_lives_longer_than_its_time(
    manager: ServiceManager,
) -> None:
    manager.start(unit("well"))
    manager.wait_ready("one")
    assert not manager.wait_until(lambda: manager.report("one").phase is not Phase.RUNNING, 3)
    assert manager.report("one").starts == 1


def test_a_service_is_heard_also_when_the_manager_was_kept_from_listening(
    manager: ServiceManager,
) -> None:
    """Starting another one took the manager longer than the watchdog's time: that is nobody's hang."""
    manager.start(unit("well"))
    manager.wait_ready("one")
    manager._order(lambda: SystemClock().sleep(1.5 * WATCHDOG_S))
    assert not manager.wait_until(lambda: manager.report("one").phase is not Phase.RUNNING, 0.5)
    assert manager.report("one").watchdog_kills == 0


def test_a_hanging_service_gets_sigabrt_and_is_started_again(manager: ServiceManager) -> None:
    manager.start(unit("hangs"))
    assert manager.wait_until(lambda: manager.report("one").starts >= 2, 40)
    log = manager.log_of("one").read_text()
    assert "the watchdog has not been fed" in log
    assert "ended: signal SIGABRT" in log


def test_a_service_deaf_to_sigabrt_is_killed(manager: ServiceManager) -> None:
    manager.start(unit("hangs_for_good"))
    assert manager.wait_until(lambda: manager.report("one").starts >= 2, 40)
    assert "ended: signal SIGKILL" in manager.log_of("one").read_text()


def test_a_frozen_service_is_killed_and_comes_back(manager: ServiceManager) -> None:
    manager.start(unit("well"))
    manager.wait_ready("one")
    first = pid_of(manager)
    manager.freeze("one")
    assert manager.wait_until(lambda: manager.report("one").starts == 2, 40)
    manager.wait_ready("one")
    assert manager.report("one").watchdog_kills == 1
    assert not is_alive(first)


def test_a_killed_service_comes_back_after_its_pause(manager: ServiceManager) -> None:
    clock = SystemClock()
    manager.start(unit("well", restart_s=0.6))
    manager.wait_ready("one")
    manager.kill("one")
    began_ms = clock.boot_ms()
    assert manager.wait_until(lambda: manager.report("one").starts == 2, 40)
    assert clock.boot_ms() - began_ms >= 500
    assert manager.report("one").watchdog_kills == 0


def test_a_service_that_is_never_ready_is_tried_again(manager: ServiceManager) -> None:
    manager.start(unit("never_ready", start_s=0.4))
    assert manager.wait_until(lambda: manager.report("one").starts >= 2, 40)


def test_a_late_service_is_reported_with_its_last_words(manager: ServiceManager) -> None:
    manager.start(unit("fails", start_s=4, restart_s=60))
    with pytest.raises(LinkError, match="made of cheese"):
        manager.wait_ready("one")


def test_a_stopped_service_ends_cleanly_and_stays_away(manager: ServiceManager) -> None:
    manager.start(unit("well"))
    manager.wait_ready("one")
    manager.stop("one")
    assert manager.report("one").phase is Phase.STOPPED
    assert manager.report("one").ending == "exit code 0"
    assert not manager.wait_until(lambda: manager.report("one").starts > 1, 0.5)


def test_a_service_deaf_to_sigterm_is_killed_within_its_bound(manager: ServiceManager) -> None:
    manager.start(unit("hangs_for_good", watchdog_s=60, stop_s=0.3))
    manager.wait_ready("one")
    manager.stop("one")
    assert manager.report("one").ending == "signal SIGKILL"


def test_a_frozen_service_can_be_stopped(manager: ServiceManager) -> None:
    manager.start(unit("well", watchdog_s=60))
    manager.wait_ready("one")
    manager.freeze("one")
    manager.stop("one")
    assert manager.report("one").ending == "exit code 0"


def test_a_stopped_service_can_be_started_again(manager: ServiceManager) -> None:
    manager.start(unit("well"))
    manager.wait_ready("one")
    manager.cut("one")
    manager.start(unit("well"))
    manager.wait_ready("one")
    assert manager.report("one").starts == 2


def test_grandchildren_end_with_their_service(manager: ServiceManager) -> None:
    manager.start(unit("has_children"))
    manager.wait_ready("one")
    session = sessions_of(manager, "one")
    wait_until(lambda: len(list(members(session))) == 2)
    manager.cut("one")
    assert list(members(session)) == []


def test_the_environment_tells_the_watchdog_time_and_whose_it_is(manager: ServiceManager) -> None:
    manager.start(unit("tells"))
    manager.wait_ready("one")
    microseconds, for_pid, pid = manager.log_of("one").read_text().split()[:3]
    assert microseconds == str(round(WATCHDOG_S * 1_000_000))
    assert for_pid == pid == str(pid_of(manager))


def test_closing_leaves_no_process(folder: Path) -> None:
    manager = ServiceManager(folder, SystemClock())
    names = ("a", "b", "c")
    for name, script in zip(names, ("well", "has_children", "hangs_for_good"), strict=True):
        manager.start(unit(script, name, watchdog_s=60, stop_s=0.3))
    manager.wait_ready(*names)
    sessions = sessions_of(manager, *names)
    assert len(list(members(sessions))) >= 3
    manager.close()
    assert list(members(sessions)) == []
    assert not list(folder.glob("*.notify"))


DEMO = f"""
import sys, threading
from pathlib import Path
from interlock.clock import SystemClock
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import Unit
manager = ServiceManager(Path(sys.argv[1]), SystemClock())
for script in ("well", "has_children"):
    manager.start(Unit(script, (sys.executable, "-m", "{SCRIPTS}", script)))
manager.wait_ready("well", "has_children")
print(manager.report("well").pid, manager.report("has_children").pid, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_manager_leaves_no_child_and_no_grandchild(folder: Path, number: int) -> None:
    demo = subprocess.Popen([sys.executable, "-c", DEMO, str(folder)], stdout=subprocess.PIPE)
    with demo:
        assert demo.stdout is not None
        sessions = frozenset(int(pid) for pid in demo.stdout.readline().split())
        wait_until(lambda: len(list(members(sessions))) == 3)
        keepers = children_of(demo.pid) - sessions
        assert len(keepers) == 1
        os.kill(demo.pid, number)
    wait_until(lambda: not list(members(sessions)), what="no process is left")
    wait_until(lambda: not any(is_alive(pid) for pid in keepers), what="the keeper has gone")


def test_without_the_keeper_a_grandchild_would_be_left(folder: Path) -> None:
    """What the test above sees when its safeguard is missing."""
    demo = subprocess.Popen([sys.executable, "-c", DEMO, str(folder)], stdout=subprocess.PIPE)
    with demo:
        assert demo.stdout is not None
        sessions = frozenset(int(pid) for pid in demo.stdout.readline().split())
        wait_until(lambda: len(list(members(sessions))) == 3)
        for keeper in children_of(demo.pid) - sessions:
            os.kill(keeper, signal.SIGKILL)
        os.kill(demo.pid, signal.SIGKILL)
    wait_until(lambda: len(list(members(sessions))) == 1, what="only the grandchild is left")
    for pid in members(sessions):
        os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> frozenset[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found |= {int(child) for child in (task / "children").read_text().split()}
    return frozenset(found)
