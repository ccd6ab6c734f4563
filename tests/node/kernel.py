"""Process ids in, what the kernel says of them out: for tests that look at real processes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def children(pid: int | None) -> list[int]:
    """The processes that `pid` started and that live."""
    assert pid is not None
    lists = (PROC / str(pid) / "task").glob("*/children")
    found = [int(child) for listed in lists for child in _text(listed).split()]
    return [child for child in found if is_alive(child)]


def launchers() -> list[int]:
    """The snapshot launchers of the nodes of this process."""
    mine = children(os.getpid())
    return [pid for pid in mine if "snapshot_launcher" in command_line(pid)]


def command_line(pid: int) -> str:
    """What it was started with; empty when it has ended."""
    return _text(PROC / str(pid) / "cmdline")


def opened(pid: int) -> dict[int, str]:
    """By descriptor: the file, or the kind of socket or pipe, that `pid` has open."""
    found = {}
    for link in (PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(link.name)] = os.readlink(link)
    return found


def is_alive(pid: int) -> bool:
    """Whether `pid` runs; one that ended and waits for its parent to look does not."""
    stat = _text(PROC / str(pid) / "stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] not in "ZX"


def status_kib(pid: int, name: str) -> int:
    """What /proc says under `name` of the memory of `pid`: VmRSS, RssAnon, VmLck."""
    lines = _text(PROC / str(pid) / "status").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        # It ended while we looked.
        return ""
