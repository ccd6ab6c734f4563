"""The launcher forks, the node never does; whatever a builder does, the launcher lives, and dies with its node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.node.build_orders import BuildOrders
from interlock.node.service import EXIT_FAULT
from interlock.node.snapshot_builder import EXIT_REFUSED
from interlock.protocol.control import Op
from tests.node.kernel import (
    children,
    command_line,
    is_alive,
    launchers,
    opened,
    status_kib,
)
from tests.node.node_rig import NodeBench
from tests.node.signed_snapshots import SIGNED_KEYS, entry, snapshot_bytes
from tests.waiting import wait_until

pytestmark = pytest.mark.real

BUILD_S_MAX = 20.0
LAUNCHER_KIB_MAX = 16_000
"""Of its own, not shared with the libraries' files: 11,500 after a build here, 5,100 before. It stays for as long as
the node."""


def arguments(folder: Path, spool: str = "snapshot") -> list[str]:
    return [
        *("--spool", str(folder / spool), "--state-dir", str(folder)),
        *("--public-key", SIGNED_KEYS.hub_public_key.hex()),
        *("--lab", SIGNED_KEYS.lab, "--node", SIGNED_KEYS.node),
    ]


def stuck(folder: Path) -> list[str]:
    """A builder that never ends: nobody writes to its spool."""
    os.mkfifo(folder / "stuck")
    return arguments(folder, "stuck")


@pytest.fixture(name="orders")
def started_orders() -> Iterator[BuildOrders]:
    orders = BuildOrders()
    orders.start()
    yield orders
    orders.close()


def builds(orders: BuildOrders, folder: Path, version: tuple[int, int]) -> bool:
    (folder / "snapshot").write_bytes(snapshot_bytes([entry(1)], version))
    built = orders.build(arguments(folder), BUILD_S_MAX)
    return built.code == 0 and json.loads(built.output)["version"] == list(version)


def order_in_the_background(orders: BuildOrders, order: list[str]) -> threading.Thread:
    def build() -> None:
        with pytest.raises(StoreError):
            orders.build(order, BUILD_S_MAX)

    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    return thread


def test_a_refusal_and_a_build_come_back_with_code_and_words(
    orders: BuildOrders, tmp_path: Path
) -> None:
    (tmp_path / "snapshot").write_bytes(b"noise\n")
    refused = orders.build(arguments(tmp_path), BUILD_S_MAX)
    assert (refused.code, json.loads(refused.output)["ok"]) == (EXIT_REFUSED, False)
    assert builds(orders, tmp_path, (1, 1))


def test_a_builder_that_takes_too_long_is_killed_and_the_next_one_runs(
    orders: BuildOrders, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="took too long"):
        orders.build(stuck(tmp_path), 0.5)
    assert children(orders.launcher_pid) == []
    assert builds(orders, tmp_path, (1, 1))


def test_a_builder_that_dies_leaves_the_launcher_alive(orders: BuildOrders, tmp_path: Path) -> None:
    found = []
    order = stuck(tmp_path)
    thread = threading.Thread(target=lambda: found.append(orders.build(order, BUILD_S_MAX)))
    thread.start()
    (builder,) = wait_until(lambda: children(orders.launcher_pid))
    os.kill(builder, signal.SIGKILL)
    thread.join(60)
    assert [(one.code, one.output) for one in found] == [(-signal.SIGKILL, b"")]
    assert builds(orders, tmp_path, (1, 1))


def test_a_second_order_waits_for_the_first(orders: BuildOrders, tmp_path: Path) -> None:
    first = order_in_the_background(orders, stuck(tmp_path))
    wait_until(lambda: children(orders.launcher_pid))
    second = order_in_the_background(orders, arguments(tmp_path))
    second.join(0.3)
    assert len(children(orders.launcher_pid)) == 1
    orders.close()
    first.join(60)
    second.join(60)


def test_the_end_of_the_line_ends_launcher_and_builder(orders: BuildOrders, tmp_path: Path) -> None:
    waiting = order_in_the_background(orders, stuck(tmp_path))
    launcher = orders.launcher_pid
    assert launcher is not None
    (builder,) = wait_until(lambda: children(launcher))
    orders.close()
    waiting.join(60)
    wait_until(lambda: not is_alive(launcher) and not is_alive(builder))


def test_a_killed_node_takes_launcher_and_builder_with_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from interlock.node.build_orders import BuildOrders\n"
        "orders = BuildOrders(); orders.start()\n"
        "print(orders.launcher_pid, flush=True)\n"
        "orders.build(sys.argv[1:], 20)\n"
    )
    command = [sys.executable, "-c", program, *stuck(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        launcher = int(node.stdout.readline())
        (builder,) = wait_until(lambda: children(launcher))
        node.kill()
    wait_until(lambda: not is_alive(launcher) and not is_alive(builder))


def test_a_dead_launcher_is_told_and_never_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    orders = BuildOrders(lambda: told.append("lost"))
    orders.start()
    launcher = orders.launcher_pid
    assert launcher is not None
    os.kill(launcher, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(StoreError, match="is dead"):
            orders.build(arguments(tmp_path), BUILD_S_MAX)
    assert told == ["lost", "lost"]
    wait_until(lambda: not is_alive(launcher))
    assert (orders.launcher_pid, children(os.getpid())) == (launcher, [])
    orders.close()


def test_without_a_launcher_an_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        BuildOrders().build(arguments(tmp_path), BUILD_S_MAX)


def test_a_launcher_that_hangs_holds_up_nobody_but_its_order(
    orders: BuildOrders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, it is as one that waits for a stalled SD card: it takes the order later, and its answer is dropped."""
    launcher = orders.launcher_pid
    assert launcher is not None
    monkeypatch.setattr("interlock.node.build_orders.ANSWER_S", 0.1)
    (tmp_path / "snapshot").write_bytes(b"noise\n")
    os.kill(launcher, signal.SIGSTOP)
    with pytest.raises(StoreError, match="does not answer"):
        orders.build(arguments(tmp_path), 0.1)
    monkeypatch.undo()
    os.kill(launcher, signal.SIGCONT)
    assert builds(orders, tmp_path, (1, 1))


def test_the_launcher_is_small(orders: BuildOrders, tmp_path: Path) -> None:
    assert builds(orders, tmp_path, (1, 1))
    launcher = orders.launcher_pid
    assert launcher is not None
    assert status_kib(launcher, "RssAnon") < LAUNCHER_KIB_MAX


def test_a_builder_comes_from_the_launcher_s_memory_and_not_from_the_disk(
    orders: BuildOrders, tmp_path: Path
) -> None:
    """Python's start and its imports were most of the time that a blocked badge needed to be refused."""
    assert orders.launcher_pid is not None
    waiting = order_in_the_background(orders, stuck(tmp_path))
    (builder,) = wait_until(lambda: children(orders.launcher_pid))
    assert command_line(builder) == command_line(orders.launcher_pid)
    orders.close()
    waiting.join(60)


def test_a_builder_without_the_right_arguments_ends_alone(
    orders: BuildOrders, tmp_path: Path
) -> None:
    assert orders.build(["--nonsense"], BUILD_S_MAX).code == 2
    assert orders.build([*arguments(tmp_path), "--mark", "one.two"], BUILD_S_MAX).code == 2
    assert builds(orders, tmp_path, (1, 1))


def test_a_builder_does_not_hold_the_line_to_the_node(orders: BuildOrders, tmp_path: Path) -> None:
    waiting = order_in_the_background(orders, stuck(tmp_path))
    (builder,) = wait_until(lambda: children(orders.launcher_pid))
    wait_until(lambda: opened(builder)[0] == os.devnull)
    assert [name for name in opened(builder).values() if name.startswith("socket")] == []
    orders.close()
    waiting.join(60)


def watched(*more: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.node.fork_watch", *more],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_from_ready_on_the_node_forks_nothing_whatever_it_installs() -> None:
    assert watched() == {
        "before": ["subprocess.Popen"],
        "after": [],
        "children": 1,
        "left": 0,
    }


def test_a_fork_planted_after_ready_is_caught() -> None:
    assert watched("--plant")["after"] == ["subprocess.Popen"] * 2


def test_a_dead_launcher_starts_the_node_anew_but_never_under_a_session() -> None:
    """Rights would grow old in silence, and nothing forks beside a coil that is on."""
    bench = NodeBench()
    bench.start()
    bench.install()
    bench.work()
    (launcher,) = launchers()
    os.kill(launcher, signal.SIGKILL)
    bench.ask(Op.SNAPSHOT, file=bench.snapshot((1, 2)))
    wait_until(lambda: not is_alive(launcher))
    assert bench.relay_on
    assert bench.exit_codes == []
    bench.tap()
    assert bench.wait_for_exit() == EXIT_FAULT
    bench.start()
    bench.install((1, 2))
    bench.close()
