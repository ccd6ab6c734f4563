"""Orders to build a snapshot in, a builder process each, its answer out: who forks so that the node need not.

A fork in the node would be a stalled disk's way to the relay: from vfork to exec the parent holds Python's lock,
and an exec that waits for the SD card stops every thread, the supervision loop with them. So the node starts this
process once, before READY and before any coil, and forks never again. One order is carried out at a time. The link
is a socket pair on standard input; when it ends the node is gone, and so are we, with the builder.

An order is a line {"number", "arguments", "silence_ms"}; its answer a line {"number", "code", "output"}, where the
code of a builder that was killed is minus the signal, or {"number", "error"} when there was none or it took too long.
It imports little on purpose: it is there for as long as the node.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from typing import Any

LINK = 0
"""Standard input; a socket goes both ways."""

BUILDER = "interlock.node.snapshot_builder"

OUTPUT_BYTES_MAX = 4_096
"""A builder says one short line; one that says more is not ours."""

CHUNK_BYTES = 65_536


def main() -> int:
    """Carry out orders until the node is gone."""
    # Ctrl-C on a terminal reaches the whole group; the node decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rest = b""
    while chunk := os.read(LINK, CHUNK_BYTES):
        *orders, rest = (rest + chunk).split(b"\n")
        for order in orders:
            answer = json.dumps(carried_out(json.loads(order)))
            os.write(LINK, answer.encode() + b"\n")
    return 0


def carried_out(order: dict[str, Any]) -> dict[str, Any]:
    """The answer to one order, once its builder has ended or was ended."""
    try:
        builder, output = _started(order["arguments"])
    except OSError as error:
        return {"number": order["number"], "error": f"cannot start the builder: {error}"}
    said = None
    try:
        said = _heard(output, order["silence_ms"])
    finally:
        os.close(output)
        if said is None:
            os.kill(builder, signal.SIGKILL)
        _, status = os.waitpid(builder, 0)
    if said is None:
        return {"number": order["number"], "error": "building took too long, or said too much"}
    code = os.waitstatus_to_exitcode(status)
    return {"number": order["number"], "code": code, "output": said.decode("utf-8", "replace")}


def _started(arguments: list[str]) -> tuple[int, int]:
    """The builder's process id, and where it says what it built."""
    heard, said = os.pipe()
    try:
        builder = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", BUILDER, *arguments],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, said, 1),
            ],
        )
    except OSError:
        os.close(heard)
        raise
    finally:
        os.close(said)
    return builder, heard


def _heard(output: int, silence_ms: int) -> bytes | None:
    """All that the builder said until it closed its output; None when it was silent for too long or said too much.

    Ends the process when the node is gone.
    """
    poller = select.poll()
    poller.register(output, select.POLLIN)
    # Only its end is news: another order waits until this one is done.
    poller.register(LINK, select.POLLRDHUP)
    said = b""
    while len(said) <= OUTPUT_BYTES_MAX:
        events = dict(poller.poll(silence_ms))
        if LINK in events:
            raise SystemExit(0)
        if not events:
            return None
        chunk = os.read(output, OUTPUT_BYTES_MAX)
        if not chunk:
            return said
        said += chunk
    return None


if __name__ == "__main__":
    sys.exit(main())
