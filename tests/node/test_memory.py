"""A ready node's pages stay in memory, its threads stay cheap, and a limit that forbids it stops nothing."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.node.memory import _has_capability, lock_memory

pytestmark = pytest.mark.real

STATUS = Path("/proc/self/status")
STACK_KIB = 8_192
UNLIMITED = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY

may_lock = pytest.mark.skipif(
    not UNLIMITED and not _has_capability(STATUS), reason="no CAP_IPC_LOCK and a memlock limit"
)


def run_node_process(folder: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.node.locked_node", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


@may_lock
def test_a_ready_node_is_locked_in_memory_and_a_new_thread_costs_no_stack(tmp_path: Path) -> None:
    found = run_node_process(tmp_path)
    assert found["locked_kib"] > 20_000, "Python and its libraries alone are more"
    assert found["threads_kib"] < STACK_KIB


@pytest.mark.parametrize("status", ["Name:\tnode\nCapEff:\t0000000000000000\n", "Name:\tnode\n"])
def test_a_limit_that_forbids_it_is_said_once_and_nothing_is_locked(
    tmp_path: Path, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    lowered = 65_536 if limits[1] == resource.RLIM_INFINITY else min(65_536, limits[1])
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (lowered, limits[1]))
    (tmp_path / "status").write_text(status)
    try:
        with caplog.at_level(logging.WARNING):
            assert not lock_memory(tmp_path / "status")
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)
    assert ["LimitMEMLOCK" in line for line in caplog.messages] == [True]


def test_the_capability_is_read_from_its_bit(tmp_path: Path) -> None:
    status = tmp_path / "status"
    for bits, has in (("0000000000004000", True), ("000001ffffffbfff", False)):
        status.write_text(f"CapEff:\t{bits}\n")
        assert _has_capability(status) is has
    assert not _has_capability(tmp_path / "missing")
