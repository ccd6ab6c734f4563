"""Orders to build a snapshot in, a builder process each, its answer out: who forks so that the node need not.

A fork in the node would be a stalled disk's way to the relay: from vfork to exec the parent holds Python's lock,
and an exec that waits for the SD card stops every thread, the supervision loop with them. So the node starts this
process once, before READY and before any coil, and forks never again. One order is carried out at a time. The link
is a socket pair on standard input; when it ends the node is gone, and so are we, with the builder.

With the first order it imports what a builder needs, and forks every builder from there: Python's own start and
the imports were 75 of the 86 ms of processor time that a change of one badge took, and a Pi is slower by far. It
costs 6 MB for as long as the node is there.

An order is a line {"number", "arguments", "silence_ms"}; its answer a line {"number", "code", "output"}, where the
code of a builder that was killed is minus the signal, or {"number", "error"} when there was none or it took too long.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

LINK = 0
"""Standard input; a socket goes both ways."""

EXIT_FAILED = 1
"""Of a builder that fell over its own feet, as Python's own."""

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
    except (OSError, ImportError) as error:
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
    """The builder's process id, and where it says what it built. Raises OSError, ImportError."""
    # Here, with the first order: the node's start does not wait for it.
    from interlock.node import snapshot_builder

    # What is shared with every builder stays shared: none looks through it for rubbish.
    gc.freeze()
    heard, said = os.pipe()
    try:
        builder = os.fork()
        if builder == 0:
            _become_a_builder(snapshot_builder.main, arguments, said)
    except OSError:
        os.close(heard)
        raise
    finally:
        os.close(said)
    return builder, heard


def _become_a_builder(
    build: Callable[[list[str]], int], arguments: list[str], said: int
) -> NoReturn:
    """In the new process: build, and end without going back to the launcher's loop, whatever happens."""
    code: Any = EXIT_FAILED
    try:
        # The link is the launcher's: its end must not wait for us.
        os.dup2(os.open(os.devnull, os.O_RDONLY), LINK)
        os.dup2(said, sys.stdout.fileno())
        code = build(arguments)
    except SystemExit as end:
        code = end.code
    except Exception:
        traceback.print_exc()
        raise
    finally:
        os._exit(code if isinstance(code, int) else EXIT_FAILED)


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
