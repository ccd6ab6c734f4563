"""One machine as the page sees it: its world's pushes and its node's panel in, one picture out.

Two connections to other processes, each of which may be late, stopped or gone at any moment;
whatever they do, the picture stays the last one known and says which part of it is alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import LinkError, ProtocolError
from interlock.protocol import control

if TYPE_CHECKING:
    from interlock.sim.panel_server import MachineAddress

ANSWER_TIMEOUT_S = 1.0
RETRY_S = 0.1
POLL_S = 0.08
"""The node is asked for its screen so often: 100 ms old at most."""
LINE_BYTES_MAX = 65_536

SHORT_LINES, LONG_LINES = 2, 4
BLANK: dict[str, Any] = {"lines": [""] * SHORT_LINES, "long_lines": [""] * LONG_LINES}


class MachineLink:
    """Keeps `picture` up to date from `run()` on; `on_change` is called whenever it has changed."""

    def __init__(self, machine: MachineAddress) -> None:
        self.machine = machine
        self.world: dict[str, Any] | None = None
        self.screen: dict[str, Any] = BLANK
        self.node_answers = False
        self._on_change: Callable[[], None] = lambda: None
        self._writer: asyncio.StreamWriter | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    def picture(self) -> dict[str, Any]:
        """What the page draws of this machine; `world` is None while no world answers."""
        return {
            "world": self.world,
            # A character display keeps its text when its Pi hangs or dies; without power it is
            # dark.
            "screen": self.screen if self.world and self.world["pi"] else BLANK,
            "node_answers": self.node_answers,
        }

    async def run(self, on_change: Callable[[], None]) -> None:
        """Stay connected to world and node until cancelled."""
        self._on_change = on_change
        await asyncio.gather(self._follow_world(), self._poll_node())

    async def ask(self, op: str, **arguments: Any) -> None:
        """The world has done `op`. Raises LinkError when it is not there or says no."""
        where = f"world of {self.machine.id}"
        writer = self._writer
        if writer is None:
            raise LinkError("it does not run", where=where)
        number = next(self._ids)
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answered
        try:
            writer.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await answered
        except (TimeoutError, OSError) as error:
            raise LinkError(f"no answer to {op}", where=where) from error
        finally:
            self._answers.pop(number, None)
        if not answer.get("ok"):
            raise LinkError(str(answer.get("message")), where=where)

    # ------------------------------------------------------------------------------------ the world

    async def _follow_world(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError):
                await self._follow_world_once()
            self._writer = None
            self._set(world=None)
            await asyncio.sleep(RETRY_S)

    async def _follow_world_once(self) -> None:
        reader, writer = await _connected(self.machine.world_socket)
        try:
            writer.write(b'{"id":0,"op":"subscribe"}\n')
            self._writer = writer
            while line := await reader.readline():
                message: dict[str, Any] = json.loads(line)
                if "state" in message:
                    self._set(world=message["state"])
                answered = self._answers.get(message.get("id", -1))
                if answered is not None and not answered.done():
                    answered.set_result(message)
        finally:
            writer.close()

    # ------------------------------------------------------------------------------------- the node

    async def _poll_node(self) -> None:
        while True:
            with contextlib.suppress(OSError, ProtocolError, TimeoutError):
                await self._poll_node_while_it_answers()
            self._set(node_answers=False)
            await asyncio.sleep(RETRY_S)

    async def _poll_node_while_it_answers(self) -> None:
        request = json.dumps(control.request(control.Op.PANEL)).encode() + b"\n"
        reader, writer = await _connected(self.machine.control_socket)
        try:
            while True:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    writer.write(request)
                    line = await reader.readline()
                if not line:
                    return
                answer = control.read_answer(line)
                self._set(screen=_screen_of(answer), node_answers=True)
                await asyncio.sleep(POLL_S)
        finally:
            writer.close()

    def _set(self, **parts: Any) -> None:
        changed = [name for name, value in parts.items() if getattr(self, name) != value]
        for name in changed:
            setattr(self, name, parts[name])
        if changed:
            self._on_change()


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        return await asyncio.open_unix_connection(str(path), limit=LINE_BYTES_MAX)


def _screen_of(answer: dict[str, Any]) -> dict[str, Any]:
    """What the page draws of the node's panel; what blinks is taken from the pins instead."""
    words = {
        name: answer.get(name)
        for name in ("colour", "lamp", "buzzer", "message", "reason", "fault")
    }
    return {
        "lines": _lines(answer.get("lines"), SHORT_LINES),
        "long_lines": _lines(answer.get("long_lines"), LONG_LINES),
        **words,
    }


def _lines(said: Any, count: int) -> list[str]:
    """Exactly `count` lines, whatever the node said."""
    lines = [str(line) for line in said[:count]] if isinstance(said, list) else []
    return lines + [""] * (count - len(lines))
