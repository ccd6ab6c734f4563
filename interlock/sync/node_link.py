"""Questions to a node's control socket in, its answers out: a JSON line each, in bounded time.

Used by sync, by `interlock node status` and by the demo. One connection carries one question: on a
Unix socket that costs a tenth of a millisecond and leaves no state to repair when either side dies.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from interlock.clock import Clock
from interlock.errors import LinkError, ProtocolError
from interlock.protocol import canonical, control, fields
from interlock.protocol.control import Op
from interlock.protocol.hubapi import ANSWER_LENGTH_MAX, INTERLOCKS_MAX
from interlock.protocol.records import GENESIS, Head, Record, from_wire, head_from_wire
from interlock.sync.links import (
    Installation,
    No,
    NodeHello,
    RecordPage,
    Wire,
    said_by,
    version_from_wire,
)

TOTAL_S = 5.0
"""Longest wait for one whole answer: the node answers from memory in milliseconds, and waits for
its disk (which it gives 2 s) at worst."""

RECORDS_MAX = 1_000
"""More records than any 64 KiB frame can hold: the smallest is above 400 bytes."""

TROUBLES = frozenset({"store", "failed", "busy"})
"""Error codes that say the node cannot just now; the others say that it will not."""

EMPTY = Head(0, 0, GENESIS)
"""Behind this point stands every record."""

_CHUNK_BYTES = 65_536


class NodeClient:
    """The control socket at `path`; holds nothing between two questions. A `links.NodeLink`."""

    def __init__(self, path: Path, clock: Clock, total_s: float = TOTAL_S) -> None:
        self._path = path
        self._name = f"the node at {path}"
        self._clock = clock
        self._total_ms = round(total_s * 1000)

    def ask(self, op: Op, **arguments: Any) -> dict[str, Any]:
        """The fields of the node's good answer. Raises LinkError, ProtocolError when it said no."""
        answer = self._ask(op, **arguments)
        if isinstance(answer, No):
            raise ProtocolError(answer.message, where=f"{self._name} answered")
        return answer

    def hello(self) -> NodeHello:
        """Who the node is and where its journal stands."""
        wire = self.ask(Op.HELLO)
        with said_by(self._name):
            return NodeHello(
                lab=fields.text(wire, "lab"),
                node=fields.text(wire, "node"),
                software=fields.text(wire, "software"),
                boot_id=fields.text(wire, "boot_id"),
                mode=fields.text(wire, "mode"),
                head=head_from_wire(_object(wire, "head")),
                acked=head_from_wire(_object(wire, "acked")),
                version=version_from_wire(wire),
                nonce=fields.text(wire, "nonce"),
                digest=fields.optional_text(wire, "digest"),
                refused=fields.optional_text(wire, "refused") or "",
            )

    def records(self, after: Head) -> RecordPage:
        """The next records behind `after`, as many as fit one frame."""
        wire = self.ask(Op.RECORDS, epoch=after.epoch, seq=after.seq)
        with said_by(self._name):
            records = fields.objects(wire, "records", length_max=RECORDS_MAX)
            return RecordPage(tuple(records), fields.flag(wire, "next"))

    def journal(self, progress: Callable[[int, int], None]) -> Iterator[Record]:
        """Every record the node still holds, oldest first; `progress` gets (sequence, of)."""
        end, after, more = self.hello().head, EMPTY, True
        while more:
            page = self.records(after)
            for wire in page.records:
                with said_by(self._name):
                    record = from_wire(wire)
                after = Head(record.header.epoch, record.header.seq, record.hash)
                yield record
            progress(after.seq, max(after.seq, end.seq))
            more = page.more

    def ack(self, head: Head) -> No | None:
        """Tell the node that the hub holds everything up to `head`."""
        return self._tell(Op.ACK, **head.to_wire())

    def snapshot(self, file: str) -> No | None:
        """Tell the node that a signed snapshot lies in the spool under the plain name `file`."""
        return self._tell(Op.SNAPSHOT, file=file)

    def installed(self) -> Installation:
        """What became of the last list it was told of."""
        wire = self.ask(Op.INSTALLED)
        with said_by(self._name):
            refused = wire.get("refused")
            if refused is not None:
                name, why = refused if isinstance(refused, list) else (None, None)
                pair = {"name": name, "why": why}
                refused = fields.text(pair, "name"), fields.text(pair, "why")
            return Installation(version_from_wire(wire), fields.flag(wire, "busy"), refused)

    def command(self, message: Wire) -> str | No:
        """Hand over a signed command of the hub; what the node has to say to it."""
        answer = self._asked(Op.COMMAND, message=dict(message))
        if isinstance(answer, No):
            return answer
        with said_by(self._name):
            return fields.text(answer, "answer", length_max=ANSWER_LENGTH_MAX)

    def time(self, message: Wire) -> No | None:
        """Hand over the hub's signed answer to the node's last nonce."""
        return self._tell(Op.TIME, message=dict(message))

    def contacts(self) -> list[bool | None]:
        """The level of every declared interlock now, in the order of node.toml; None for remote ones."""
        wire = self.ask(Op.STATUS)
        with said_by(self._name):
            inputs = _object(wire, "inputs")
            levels = inputs.get("interlocks_closed")
            if not isinstance(levels, list) or len(levels) > INTERLOCKS_MAX:
                raise ProtocolError("interlocks_closed must be a list")
            return [None if one is None else fields.flag({"level": one}, "level") for one in levels]

    def interlock(self, name: str, closed: bool | None, age_ms: int) -> No | None:
        """Tell the node what another node said, `age_ms` ago, of the remote interlock it calls `name`."""
        return self._tell(Op.INTERLOCK, name=name, closed=closed, age_ms=age_ms)

    def _tell(self, op: Op, **arguments: Any) -> No | None:
        answer = self._asked(op, **arguments)
        return answer if isinstance(answer, No) else None

    def _asked(self, op: Op, **arguments: Any) -> dict[str, Any] | No:
        """Its answer, or its refusal. Raises LinkError also when it cannot just now."""
        answer = self._ask(op, **arguments)
        if isinstance(answer, No) and answer.code in TROUBLES:
            raise LinkError(answer.message, where=f"{self._name} answered")
        return answer

    def _ask(self, op: Op, **arguments: Any) -> dict[str, Any] | No:
        question = canonical.dumps(control.request(op, **arguments)) + b"\n"
        line = self._exchange(question)
        wire = canonical.loads(line, where=self._name)
        with said_by(self._name):
            if not fields.flag(wire, "ok"):
                message = fields.text(wire, "message", length_max=2_000)
                return No(fields.text(wire, "error"), message)
            return control.read_answer(line)

    def _exchange(self, question: bytes) -> bytes:
        end_ms = self._clock.boot_ms() + self._total_ms
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._left_s(end_ms))
                connection.connect(str(self._path))
                connection.sendall(question)
                return self._line(connection, end_ms)
        except TimeoutError as error:
            raise self._silent(f"no answer within {self._total_ms} ms") from error
        except OSError as error:
            raise self._silent(error.strerror or str(error)) from error

    def _line(self, connection: socket.socket, end_ms: int) -> bytes:
        frame = bytearray()
        while not frame.endswith(b"\n"):
            connection.settimeout(self._left_s(end_ms))
            chunk = connection.recv(_CHUNK_BYTES)
            if not chunk:
                raise self._silent("it hung up in the middle of an answer")
            frame += chunk
            if len(frame) > canonical.FRAME_BYTES_MAX + 1:
                raise ProtocolError(
                    f"its answer is longer than {canonical.FRAME_BYTES_MAX} bytes",
                    where=self._name,
                )
        return bytes(frame[:-1])

    def _left_s(self, end_ms: int) -> float:
        left_ms = end_ms - self._clock.boot_ms()
        if left_ms <= 0:
            raise TimeoutError
        return left_ms / 1000

    def _silent(self, why: str) -> LinkError:
        return LinkError(
            why,
            where=self._name,
            remedy="Check that `interlock node run` is running on this machine",
        )


def _object(wire: Wire, key: str) -> dict[str, Any]:
    value = wire.get(key)
    if not isinstance(value, dict):
        raise ProtocolError(f"{key} must be an object, not {value!r:.60}")
    return value
