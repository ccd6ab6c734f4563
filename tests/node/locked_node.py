"""A node as a process of its own; how much of its memory is locked when it is ready, as one line of JSON.

python -m tests.node.locked_node FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from interlock.clock import SystemClock
from interlock.config import parse_node
from interlock.node.loop import Loop
from interlock.node.service import run_node
from tests.node.kernel import status_kib
from tests.node.node_rig import KEYS, HandReader
from tests.node.pin_contract import DOCUMENT
from tests.node.test_pins import MockBench

THREADS = 8
"""As many as the control socket may add."""


def main(folder: Path) -> int:
    """Run until ready, measure, end."""
    bench, found = MockBench(), {}

    def ready(loop: Loop) -> None:
        found["locked_kib"] = status_kib(os.getpid(), "VmLck")
        before_kib = status_kib(os.getpid(), "VmRSS")
        done = threading.Event()
        more = [threading.Thread(target=done.wait) for _ in range(THREADS)]
        for thread in more:
            thread.start()
        found["threads_kib"] = status_kib(os.getpid(), "VmRSS") - before_kib
        done.set()
        for thread in more:
            thread.join()
        loop.request_termination()

    code = run_node(
        parse_node({**DOCUMENT, "paths": {"state_dir": str(folder)}}),
        KEYS,
        pins=lambda _: bench.factory,
        open_reader=lambda _, __: HandReader(),
        clock=SystemClock(),
        environ={},
        ready=ready,
    )
    sys.stdout.write(json.dumps(found) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
