"""The memory of this process in; locked, so that the supervision loop never waits for an evicted page.

Code lies on the SD card, and a kernel short of memory throws its pages away: the tick that needs one again would wait
for the disk, and no disk may delay a stop (1-architecture.md). What is mapped now is read in and stays; what is mapped
later stays once it was touched (MCL_ONFAULT: without it every thread would cost its whole stack of 8 MB).
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
from pathlib import Path

MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
"""mlockall(2); asm-generic/mman.h, the same on every processor of a Pi."""

CAP_IPC_LOCK = 14
"""capabilities(7): the limit does not count for whoever has it."""

_log = logging.getLogger(__name__)


def lock_memory(status: Path = Path("/proc/self/status")) -> bool:
    """Whether the pages of this process stay in memory from here on; a refusal is logged, and harmless.

    Call it before any thread starts: the stacks of those that run would be filled up.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and not _has_capability(status):
        # A limit would not only end this: under MCL_FUTURE it would refuse the next thread its stack.
        _log.warning("memory is not locked: set LimitMEMLOCK=infinity in the unit")
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (MCL_CURRENT, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT):
        if libc.mlockall(flags) != 0:
            _log.warning("memory is not locked: %s", os.strerror(ctypes.get_errno()))
            return False
    return True


def _has_capability(status: Path) -> bool:
    try:
        lines = status.read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    found = next((line for line in lines if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(found.split()[1], 16) >> CAP_IPC_LOCK & 1)
