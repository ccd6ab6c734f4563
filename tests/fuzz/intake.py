"""What a node that has lost its mind reports, rightly sealed with its own key, goes in; the hub's answer comes out.

A case is a JSON list of drafts. A draft is a record without its seals; `seq` and `epoch` count from the hub's head,
`prev` "chain" is the record before it, and words with an @ stand for what is drawn anew with every lab. Whatever else
a draft says is sealed as it stands: the key is right, the words are not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from interlock.errors import InterlockError, ProtocolError
from interlock.hub.ingest import head_of
from interlock.hub.models import Alarm, AlarmKind, Line, Node, Session
from interlock.hub.sessions import SESSION_MS_MAX
from interlock.hub.verifying import verify_hub
from interlock.protocol import hubapi
from interlock.protocol.records import HASH_BYTES, VERSION
from tests.fuzz.bending import spelled
from tests.fuzz.kept import BreachError
from tests.hub.lab import Journal, SmallLab

WALL_MS = 1_750_000_000_000
CENTS_PER_HOUR = 1_200
MS_PER_HOUR = 3_600_000
MEANT = (
    "hub_noderecord",
    "hub_session",
    "hub_line",
    "hub_machine",
    "hub_node",
    "hub_clockanchor",
    "hub_boot",
)
"""What a refused batch must leave to the last bit, and a repeated one too."""


@dataclass
class Intake:
    """The hub's door for records with one node behind it; every case finds the same lab."""

    lab: SmallLab
    other: str
    client: Client = field(init=False)
    words: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """The node has told of a use that is over, and of one that runs."""
        journal = Journal.of(self.lab.enrolled)
        journal.anchor(WALL_MS)
        journal.end(journal.start(self.lab), 600, 300, 200)
        running = journal.start(self.lab)
        journal.progress(running, 60, 30, 10)
        credential = self.lab.enrolled.access.credential
        self.client = Client(headers={"Authorization": f"Bearer {credential}"})
        self.words = {
            "@node": journal.node,
            "@other": self.other,
            "@member": self.lab.member.public_id,
            "@tag": bytes(self.lab.badge.tag).hex(),
            "@running": running,
            "@over": f"1.{int(running.partition('.')[2]) - 2}",
        }
        assert self._send(spelled({"v": hubapi.VERSION, "records": journal.wires()}))[0] == 200

    def run(self, case: bytes) -> str:
        """What the hub made of `case`. Raises BreachError, ProtocolError: the hub refused all of it."""
        request = self.sealed(case)
        with transaction.atomic():
            try:
                return self._judged(request)
            finally:
                transaction.set_rollback(True)

    def sealed(self, case: bytes) -> bytes:
        """The request: `case` itself when it is no list of drafts."""
        try:
            drafts = json.loads(case)
        except (ValueError, RecursionError):
            return case
        if not isinstance(drafts, list):
            return case
        key, head = self.lab.enrolled.keys.chain_key, head_of(self._node())
        prev, wires = head.hash, []
        for number, draft in enumerate(drafts):
            if not isinstance(draft, dict):
                wires.append(draft)
                continue
            wire = self._named(draft)
            for name, begin in (("epoch", head.epoch), ("seq", head.seq)):
                if type(wire.get(name)) is int:
                    wire[name] += begin
            wires.append(_sealed(wire, key, prev, number))
            prev = bytes.fromhex(wires[-1]["hash"])
        return spelled({"v": hubapi.VERSION, "records": wires})

    def _judged(self, request: bytes) -> str:
        before = _rows()
        status, answer = self._send(request)
        if status != 200:
            if (status, answer.get("error")) != (400, "malformed"):
                raise BreachError(f"{status} {answer}")
            if _rows() != before:
                raise BreachError(f"refused, and yet something changed: {answer}")
            raise ProtocolError(answer["message"].removeprefix("node saw: "))
        after = _rows()
        try:
            self._fair()
            self._provable()
        except InterlockError as error:
            # Not a refusal any more: the batch was taken.
            raise BreachError(f"what was taken cannot be verified: {error}") from error
        if self._send(request)[0] != 200 or _rows() != after:
            raise BreachError("the same batch again changed something")
        return self._in_words(answer)

    def _fair(self) -> None:
        """Nobody pays less than nothing, nor more than the longest time a node can claim costs."""
        for line in Line.objects.select_related("session"):
            session = line.session
            assert session is not None
            ended = session.ended_at is not None and session.ended_at >= session.started_at
            parts = session.busy_ms + session.idle_ms
            if not (ended and 0 <= parts <= session.enabled_ms <= SESSION_MS_MAX):
                raise BreachError(
                    f"session {session}: {session.enabled_ms} ms, {parts} of them in parts"
                )
            if not 0 <= line.cents <= CENTS_PER_HOUR * session.enabled_ms / MS_PER_HOUR + 1:
                raise BreachError(f"session {session}: {line.cents} cents")
        if Line.objects.count() > Session.objects.count():
            raise BreachError("a use is billed twice")

    def _provable(self) -> None:
        """Verification names nothing but a hole in the node's own numbers, and of that somebody has been told."""
        faults = verify_hub(settings.HUB_CLOCK).faults
        if Alarm.objects.filter(kind=AlarmKind.RECORDS_LOST).exists():
            faults = [one for one in faults if not one.endswith("it declared no such loss")]
        if faults:
            raise BreachError(f"what was taken does not verify: {faults}")

    def _in_words(self, answer: dict[str, Any]) -> str:
        aside = sorted({one["why"] for one in answer["set_aside"]})
        alarms = sorted(Alarm.objects.values_list("kind", flat=True))
        return f"taken, {Session.objects.count()} uses, alarms {alarms}, aside {aside}"

    def _send(self, request: bytes) -> tuple[int, dict[str, Any]]:
        answer = self.client.generic("POST", hubapi.PATH_RECORDS, request, "application/json")
        return answer.status_code, answer.json()

    def _named(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._named(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._named(one) for one in value]
        return self.words.get(value, value) if isinstance(value, str) else value

    def _node(self) -> Node:
        return Node.objects.get(pk=self.lab.enrolled.node.pk)


def draft(kind: str, seq: int = 1, /, **body: Any) -> dict[str, Any]:
    """A record of that kind, so many numbers behind the hub's head."""
    return {
        "v": VERSION,
        "node": "@node",
        "epoch": 0,
        "seq": seq,
        "boot_id": "boot-1",
        "boot_ms": 9_000_000 + 1_000 * seq,
        "wall_ms": None,
        "wall_trusted": False,
        "type": kind,
        "body": body,
        "prev": "chain",
    }


def batch(*drafts: dict[str, Any]) -> list[dict[str, Any]]:
    """`drafts` one behind the other."""
    return [
        one | {"seq": number, "boot_ms": 9_000_000 + 1_000 * number}
        for number, one in enumerate(drafts, start=1)
    ]


def _sealed(wire: dict[str, Any], key: bytes, before: bytes, number: int) -> dict[str, Any]:
    """As the journal seals a record, also what the journal would never spell."""
    body, said = wire.pop("body", None), wire.pop("prev", "chain")
    salt = bytes([number % 256]) * 16
    commit = blake2b(salt + spelled(body), digest_size=HASH_BYTES).digest()
    prev = before if said == "chain" else bytes(HASH_BYTES)
    link = blake2b(prev + spelled(wire) + commit, digest_size=HASH_BYTES, key=key).digest()
    seals = {"salt": salt.hex(), "commit": commit.hex(), "prev": prev.hex(), "hash": link.hex()}
    return wire | {"body": body} | seals


def _rows() -> dict[str, Sequence[tuple[Any, ...]]]:
    found = {}
    with connection.cursor() as cursor:
        for table in MEANT:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")
            found[table] = cursor.fetchall()
    return found
