"""The node's control socket: one JSON object a line, `{"v": 1, "op": …}`, one answer each.

    hello                          identity, boot, journal head, acknowledged head, snapshot version, fresh nonce;
                                   digest of the entries, why the last list was refused
    records EPOCH SEQ              records behind that point, cut by bytes; `next` says whether more wait
    ack EPOCH SEQ HASH             the hub holds everything up to there; refused when the hash is another
    snapshot FILE                  a signed snapshot lies in the spool folder under this plain name
    installed                      what became of it: version in use, whether one is being installed, which was refused
    time MESSAGE                   the hub's signed answer to the last nonce
    command MESSAGE                a signed command of the hub (protocol/commands.py): what became of it
    interlock NAME CLOSED [AGE_MS] what another node said of a declared remote interlock, so long ago: true, false, null
                                   (unknown)
    status, panel, metrics, diagnose
    clear_faults BY                a technician at the Pi's own console says the fault is mended; BY is who
    break_glass CODE               the code of the envelope clears it where no list of rights is there to ask
    end_session, cut_now           the session ends when the machine is idle; the power goes off now

Answers carry `"ok": true` and their fields, or `"ok": false, "error": CODE, "message": …`. An unknown,
oversized or malformed request gets an error answer and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields

VERSION = 1


class Op(StrEnum):
    """What a peer may ask."""

    HELLO = "hello"
    RECORDS = "records"
    ACK = "ack"
    SNAPSHOT = "snapshot"
    INSTALLED = "installed"
    TIME = "time"
    INTERLOCK = "interlock"
    COMMAND = "command"
    STATUS = "status"
    PANEL = "panel"
    METRICS = "metrics"
    DIAGNOSE = "diagnose"
    CLEAR_FAULTS = "clear_faults"
    BREAK_GLASS = "break_glass"
    END_SESSION = "end_session"
    CUT_NOW = "cut_now"


OPERATOR_OPS = frozenset(Op)
"""What root and the node's own user may ask: whoever has the Pi's console is its technician. None closes a relay."""

SYNC_OPS = OPERATOR_OPS - {Op.CLEAR_FAULTS, Op.BREAK_GLASS, Op.END_SESSION, Op.CUT_NOW}
"""What `interlock-sync` may ask: nothing that acts of itself. A remote interlock's word keeps starts back and closes
nothing; a command acts because the hub signed it for this node and this hour, and only ever takes power away."""

WATCHER_OPS = frozenset({Op.STATUS, Op.PANEL, Op.BREAK_GLASS})
"""What any other local user who can open the socket may ask: nothing that names a badge. The code of the envelope is
its own proof; `interlock-sync` may not even try, for it hears the network.
"""


def request(op: Op, **arguments: Any) -> dict[str, Any]:
    """A request object."""
    return {"v": VERSION, "op": op.value, **arguments}


def read_request(line: bytes) -> tuple[Op, dict[str, Any]]:
    """The operation and arguments of one line. Raises ProtocolError."""
    wire = canonical.loads(line, where="control request")
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    return fields.choice(wire, "op", Op), wire


def answer(**values: Any) -> dict[str, Any]:
    """A good answer."""
    return {"v": VERSION, "ok": True, **values}


def error_answer(code: str, message: str) -> dict[str, Any]:
    """A refusal to answer; `code` is one word for programs, `message` for people."""
    return {"v": VERSION, "ok": False, "error": code, "message": message}


def read_answer(line: bytes) -> dict[str, Any]:
    """The fields of a good answer. Raises ProtocolError, also when the node said no."""
    wire = canonical.loads(line, where="control answer")
    fields.integer(wire, "v", low=VERSION, high=VERSION)
    if not fields.flag(wire, "ok"):
        raise ProtocolError(
            fields.text(wire, "message", length_max=2_000), where="the node answered"
        )
    return wire
