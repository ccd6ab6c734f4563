"""A node as a process of its own, for measuring: a folder in, its memory and the moment it was ready out.

    python -m tests.bench.node_child FOLDER      one line of JSON when ready and settled, then it ends

The service is the real one with gpiozero's mock pins and a reader whose field stays empty.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import interlock.node.service
import interlock.readers.mfrc522
from interlock.clock import SystemClock
from interlock.config import parse_node
from interlock.node.loop import Loop
from tests.node.node_rig import KEYS, HandReader
from tests.node.pin_contract import DOCUMENT
from tests.node.test_pins import MockBench

SETTLE_S = 3.0
"""The first polls, the first slices of verification and the boot record are over by then."""


def resident_kib() -> int:
    """VmRSS of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def main(folder: Path) -> None:
    """Run until ready and settled, say what was measured, end."""
    bare_kib = resident_kib()
    clock = SystemClock()
    bench = MockBench()
    config = parse_node({**DOCUMENT, "paths": {"state_dir": str(folder)}})
    found: dict[str, int] = {"bare_kib": bare_kib}

    def settled(loop: Loop) -> None:
        clock.sleep(SETTLE_S)
        found["settled_kib"] = resident_kib()
        loop.request_termination()

    def ready(loop: Loop) -> None:
        found["ready_wall_ms"] = clock.wall_ms()
        threading.Thread(target=settled, args=(loop,), daemon=True).start()

    code = interlock.node.service.run_node(
        config,
        KEYS,
        pins=lambda _: bench.factory,
        open_reader=lambda _, __: HandReader(),
        clock=clock,
        environ={},
        ready=ready,
    )
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
