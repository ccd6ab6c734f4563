"""A running process in, its disk full, failing or slow: strace changes what the kernel answers, and leaves again.

Only calls on the files of one journal are touched (`strace -P`), in every thread of the one process; what
the process does elsewhere is real, and so is the file: nothing it wrote before is changed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
ATTACH_S = 20
DETACH_S = 20

FULL = "pwrite64,write,ftruncate,fallocate:error=ENOSPC"
FAILING = "fdatasync,fsync:error=EIO"
DYING = "pwrite64,write,fdatasync,fsync:error=EIO"


def stalled(for_s: float) -> str:
    """Every flush takes so long."""
    return f"fdatasync,fsync:delay_enter={round(for_s * 1_000_000)}"


def may_attach() -> bool:
    """Whether this user may trace processes of its own that are no children (Yama, ptrace(2))."""
    scope = YAMA.read_text().strip() if YAMA.exists() else "0"
    return os.getuid() == 0 or scope == "0"


needs_strace = pytest.mark.skipif(
    not may_attach(), reason="kernel.yama.ptrace_scope keeps strace from attaching; run as root"
)


@contextlib.contextmanager
def broken_disk(pid: int, journal: Path, how: str, *, wal: bool = True) -> Iterator[Path]:
    """Calls of process `pid` on its database (and `wal`) behave as `how` says until the block is left;
    the value is what strace wrote down of them."""
    trace = journal.with_name("strace.txt")
    trace.unlink(missing_ok=True)
    calls = how.split(":", 1)[0]
    command = ["strace", "-f", "-tt", "-o", str(trace), "-p", str(pid)]
    for path in files_of(journal)[: 2 if wal else 1]:
        command += ["-P", str(path)]
    command += ["-e", f"trace={calls}", "-e", f"inject={how}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: _all_traced(pid, tracer), ATTACH_S, "strace on every thread")
        yield trace
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.communicate(timeout=DETACH_S)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.communicate()


def files_of(journal: Path) -> tuple[Path, ...]:
    """The database and what SQLite keeps beside it in WAL mode."""
    return (journal, journal.with_name(f"{journal.name}-wal"))


def injected(trace: Path) -> int:
    """How many calls got another answer, or a later one, than the kernel's."""
    with contextlib.suppress(FileNotFoundError):
        return sum("(INJECTED)" in line or "(DELAYED)" in line for line in _lines(trace))
    return 0


def _lines(trace: Path) -> list[str]:
    return trace.read_text(errors="replace").splitlines()


def _all_traced(pid: int, tracer: subprocess.Popen[str]) -> bool:
    if tracer.poll() is not None:
        assert tracer.stderr is not None
        raise AssertionError(f"strace ended: {tracer.stderr.read()}")
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    return all(f"TracerPid:\t{tracer.pid}\n" in (task / "status").read_text() for task in tasks)
