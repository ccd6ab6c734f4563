"""A node as a process of its own that counts every fork it makes: a folder in, one line of JSON out.

    python -m tests.node.fork_watch [--plant]

Python itself reports each way to start a process (PEP 578), so nothing slips through unseen. With `--plant` the
node forks once while it installs a snapshot, as it used to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from interlock.node.snapshot_installer import SnapshotInstaller
from tests.node.kernel import children
from tests.node.node_rig import NodeBench
from tests.waiting import wait_until

STARTS_A_PROCESS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn"}
    | {"subprocess.Popen"}
)


def main(plant: bool) -> None:
    """A snapshot, a session and an end; what forked before READY, what after, and who was our child."""
    bench = NodeBench()
    before: list[str] = []
    after: list[str] = []
    seen: set[int] = set()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STARTS_A_PROCESS:
            (before if bench.loop is None else after).append(event)

    sys.addaudithook(audit)
    if plant:
        _plant()
    bench.start()
    bench.install()
    seen.update(children(os.getpid()))
    bench.work()
    bench.install((1, 2))
    seen.update(children(os.getpid()))
    bench.reader.take_away()
    bench.tap()
    wait_until(lambda: not bench.relay_on)
    bench.stop()
    found = {"before": before, "after": after, "children": len(seen)}
    found["left"] = len(children(os.getpid()))
    bench.close()
    sys.stdout.write(json.dumps(found) + "\n")


def _plant() -> None:
    real = SnapshotInstaller._install

    def forking(self: SnapshotInstaller, name: str) -> Any:
        subprocess.run(["true"], check=True)
        return real(self, name)

    SnapshotInstaller._install = forking  # type: ignore[method-assign]


if __name__ == "__main__":
    main("--plant" in sys.argv)
