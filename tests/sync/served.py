"""A model node behind a real control socket, with the keys a real hub gave it."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import Any

from interlock.protocol import canonical, control
from interlock.protocol.control import Op
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.records import Head, Header, RecordType, seal
from interlock.sync.links import No, version_to_wire
from tests.sync.models import ModelNode

BODY = {
    "reason": "UNKNOWN_BADGE",
    "tag": "00" * 16,
    "member": None,
    "training": None,
    "count": 1,
    "evidence": None,
}


@dataclass
class KeyedNode(ModelNode):
    """A model node with the keys the hub gave it, so that the real hub believes its chain."""

    keys: NodeKeys | None = None

    def write(self, count: int = 1) -> None:
        keys = self.keys
        assert keys is not None
        for _ in range(count):
            seq = len(self.journal) + 1
            header = Header(
                keys.node, keys.epoch, seq, "boot", 1000 + seq, None, False, RecordType.REFUSED
            )
            salt = seq.to_bytes(16, "big")
            self.journal.append(
                seal(header, BODY, salt=salt, prev=self.head.hash, chain_key=keys.chain_key)
            )

    def answer(self, op: Op, request: dict[str, Any]) -> dict[str, Any]:
        assert self.keys is not None
        said: No | None = None
        if op is Op.HELLO:
            hello = self.hello()
            return {
                "lab": self.keys.lab,
                "node": self.keys.node,
                "software": "model",
                "boot_id": "boot",
                "mode": "locked",
                "head": hello.head.to_wire(),
                "acked": hello.acked.to_wire(),
                "version": version_to_wire(hello.version),
                "nonce": "ab" * 16,
            }
        if op is Op.RECORDS:
            page = self.records(Head(request["epoch"], request["seq"], bytes(32)))
            return {"records": [dict(record) for record in page.records], "next": page.more}
        if op is Op.ACK:
            said = self.ack(Head(request["epoch"], request["seq"], bytes.fromhex(request["hash"])))
        elif op is Op.SNAPSHOT:
            said = self.snapshot(request["file"])
        elif op is Op.TIME:
            self.times.append(request["message"])
        if said is not None:
            return control.error_answer("refused", said.message)
        return {}

    def serve(self, connection: socket.socket, over: threading.Event) -> None:
        for line in connection.makefile("rb"):
            op, request = control.read_request(line)
            answer = self.answer(op, request)
            wire = answer if answer.get("ok") is False else control.answer(**answer)
            connection.sendall(canonical.dumps(wire) + b"\n")
