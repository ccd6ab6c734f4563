"""Nodes' hellos to the hub's: is it the journal we know, what time is it, which rights are current.

Many are met in one transaction (hub.hellos): after a restart of the hub every node is heard within a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub import live
from interlock.hub.alarms import raise_alarm
from interlock.hub.changes import log_change, log_changes
from interlock.hub.domain import unknown
from interlock.hub.domain.commands import waiting_commands
from interlock.hub.domain.epochs import raise_epoch
from interlock.hub.erased import note_told
from interlock.hub.ingest import head_of
from interlock.hub.models import Alarm, AlarmKind, Lab, Node, NodeRecord, Snapshot, Topic
from interlock.hub.snapshots import current_versions, tell_anew
from interlock.hub.timeline import moment
from interlock.protocol import fields
from interlock.protocol.hubtime import NONCE_BYTES, HubTime, signed_time
from interlock.protocol.records import GENESIS, Head, head_from_wire
from interlock.protocol.snapshots import DIGEST_BYTES, SnapshotVersion

SILENT_AFTER = timedelta(seconds=90)
"""Three missed hellos of 30 s: the board calls the node offline, and has to hear of its return."""

EPOCH_RAISED_EVERY = timedelta(seconds=60)
"""Per node: one that lies about its version costs the hub one signing a minute at most."""
BRANCH_GAP = 100
"""A card mends its own journal by raising its epoch by one, unasked: so often before it meets a branch's number, and
then it is found to differ and told another."""
LIST_REFUSED_LENGTH_MAX = 300
EPOCH_JUMP_MAX = 1_000_000
"""More restores than a lab lives to see: a liar must not use up the numbers that are left."""


class ChainDiffers(ProtocolError):
    """The node's journal is not the one the hub holds; `code` is the answer's word for programs, `branch` the
    epoch in which it goes on, `answer` what it is told all the same: a badge that was revoked has to be refused
    there too."""

    def __init__(self, code: AlarmKind, what: str) -> None:
        self.code = code.value
        self.kind = code
        self.branch: int | None = None
        self.answer: dict[str, Any] = {}
        super().__init__(
            what,
            where="journal",
            remedy="Was an SD card copied, or an old one put back? Use only one of them",
        )


@dataclass(frozen=True, slots=True)
class Hello:
    """What a node says of itself. `mode` is its state's name, `version` the snapshot it decides by, `digest` that
    of its entries as it counted them (None: not yet), `refused` why it did not take the last list."""

    software: str
    boot_id: str
    head: Head
    version: SnapshotVersion | None
    nonce: bytes
    mode: str
    digest: bytes | None = None
    refused: str = ""


def read_hello(message: dict[str, Any]) -> Hello:
    """The typed hello in a JSON object. Raises ProtocolError."""
    head = message.get("head")
    if not isinstance(head, dict):
        raise ProtocolError("head must be an object")
    return Hello(
        software=fields.text(message, "software", length_max=64),
        boot_id=fields.text(message, "boot_id", length_max=64),
        head=head_from_wire(head),
        version=_version(message.get("version")),
        nonce=fields.octets(message, "nonce", NONCE_BYTES),
        mode=fields.text(message, "mode", length_max=64),
        digest=None
        if message.get("digest") is None
        else fields.octets(message, "digest", DIGEST_BYTES),
        refused=fields.optional_text(message, "refused") or "",
    )


def greet(node: Node, hello: Hello, clock: Clock) -> dict[str, Any]:
    """The fields of the answer to one of them. Raises ChainDiffers: its journal is an older or another one than
    the hub holds, and an alarm says so."""
    answer = greet_all({node.pk: hello}, clock)[node.pk]
    if isinstance(answer, ChainDiffers):
        raise answer
    return answer


def greet_all(said: Mapping[int, Hello], clock: Clock) -> dict[int, dict[str, Any] | ChainDiffers]:
    """By node (its key): the fields of the answer to each, or how its journal differs; without those that were
    revoked meanwhile.

    Every node's own word is on its page when this returns, also of those that differ: one transaction for all of
    them, committed before any answer is made.
    """
    wall_ms = clock.wall_ms()
    met = _meet(said, moment(wall_ms))
    versions = current_versions([one.node for one in met])
    commands = waiting_commands(wall_ms)
    key = settings.HUB.signing_key()
    answers: dict[int, dict[str, Any] | ChainDiffers] = {}
    for node, differs in ((one.node, one.differs) for one in met if one.node.pk in versions):
        version, nonce = versions[node.pk], said[node.pk].nonce
        branch = None if differs is None else differs.branch
        time = HubTime(node.lab.slug, node.slug, nonce, wall_ms, version, branch)
        answer = {"time": signed_time(key, time), "version": list(version)}
        if differs is not None:
            differs.answer = answer
            answers[node.pk] = differs
        else:
            waiting = [json.loads(one) for one in commands.get(node.pk, ())]
            head = head_of(node).to_wire()
            answers[node.pk] = {"head": head, **answer, "commands": waiting}
    return answers


@dataclass(slots=True)
class _Met:
    """A node that said hello, as it is now, and how its journal differs from the hub's."""

    node: Node
    differs: ChainDiffers | None = None


@dataclass(slots=True)
class _Round:
    """What one transaction has to write for all nodes it met: each kind with one statement."""

    at: datetime
    unchanged: list[int] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    news: dict[Lab, list[str]] = field(default_factory=dict)

    def write(self) -> None:
        """Inside that transaction, once."""
        Node.objects.filter(pk__in=self.unchanged).update(last_seen_at=self.at)
        if self.confirmed:
            note_told(self.confirmed)
        for lab, slugs in self.news.items():
            # Every node says hello, also in a week without a single record: nothing is kept longer than a day.
            unknown.purge(lab, self.at)
            log_changes(lab, Topic.USE, "hello", slugs, self.at)


@transaction.atomic
def _meet(said: Mapping[int, Hello], at: datetime) -> list[_Met]:
    locked = Node.objects.select_for_update(of=("self",)).select_related("lab", "machine")
    nodes = list(locked.filter(pk__in=list(said), revoked_at=None).order_by("pk"))
    lists = Snapshot.objects.filter(node__in=nodes).only("node", "epoch", "counter", "digest")
    made = {one.node_id: one for one in lists}
    labs: dict[int, Lab] = {}
    this = _Round(at)
    met = []
    for node in nodes:
        # One object for each lab: its epoch that rises for one node has risen for the next.
        node.lab = labs.setdefault(node.lab_id, node.lab)
        this.news.setdefault(node.lab, [])
        met.append(_Met(node, _met(node, said[node.pk], made.get(node.pk), this)))
    this.write()
    return met


def _met(node: Node, hello: Hello, made: Snapshot | None, this: _Round) -> ChainDiffers | None:
    at = this.at
    before = {name: getattr(node, name) for name in _HEARD}
    returned = node.last_seen_at is None or at - node.last_seen_at > SILENT_AFTER
    node.last_seen_at, node.software, node.boot_id = at, hello.software, hello.boot_id
    node.journal_epoch = max(node.journal_epoch, hello.head.epoch)
    changed = node.mode != hello.mode
    node.mode = hello.mode
    epoch, counter = hello.version or (None, None)
    confirmed = (node.confirmed_epoch, node.confirmed_counter) != (epoch, counter)
    node.confirmed_epoch, node.confirmed_counter = epoch, counter
    changed |= _list_trouble(node, hello, made, at)
    if confirmed:
        this.confirmed.append(node.pk)
    changed |= _outdo(node, hello.version, made, at)
    if live.mode_reported(node.machine, hello.mode, at):
        node.machine.save(update_fields=["live_state", "live_since_at"])
    differs = _difference(node, hello.head)
    if differs is not None:
        changed |= raise_alarm(node, differs.kind, differs.what, at)
        differs.branch = node.branch_epoch = _next_branch(node)
    other = [name for name in _HEARD if getattr(node, name) != before[name]]
    if other:
        node.save(update_fields=["last_seen_at", *other])
    else:
        this.unchanged.append(node.pk)
    if returned or changed or confirmed:
        this.news[node.lab].append(node.slug)
    return differs


def _list_trouble(node: Node, hello: Hello, made: Snapshot | None, at: datetime) -> bool:
    """Whether there is news of a list that the node refused, or that is not what the hub signed."""
    before, node.list_refused = node.list_refused, hello.refused[:LIST_REFUSED_LENGTH_MAX]
    news = before != node.list_refused
    if node.list_refused and news:
        raise_alarm(node, AlarmKind.LIST_REFUSED, node.list_refused, at)
    if made is None or hello.digest is None or hello.version != (made.epoch, made.counter):
        return news
    if not made.digest or hello.digest == bytes(made.digest):
        return news
    # A list of the same number in another history: a hub that was put back unnoticed. The next one is newer.
    tell_anew(node)
    log_change(node.lab, Topic.RIGHTS, "list_told_anew", node.slug, at)
    said = f"under {made.epoch}.{made.counter} it holds {hello.digest.hex()[:16]}"
    raise_alarm(node, AlarmKind.LIST_DIFFERS, f"{said}; it gets a new list", at)
    return True


def _outdo(node: Node, said: SnapshotVersion | None, made: Snapshot | None, at: datetime) -> bool:
    """Whether the node decides by a list this hub never made: it was restored from a back-up.

    Then the hub's epoch rises above the node's, so that the next list is newer than every lost one.
    """
    # The highest version that can have been given to this node.
    issued = (0, 0) if made is None else (made.epoch, made.counter)
    if said is None or said <= max(issued, (node.lab.hub_epoch, 0)):
        return False
    earlier = Alarm.objects.filter(node=node, kind=AlarmKind.HUB_BEHIND)
    if earlier.filter(last_at__gt=at - EPOCH_RAISED_EVERY).exists():
        return False
    lab = node.lab
    if said[0] <= Lab.objects.values_list("hub_epoch", flat=True).get(pk=lab.pk) + EPOCH_JUMP_MAX:
        raise_epoch(lab, at, above=said[0], why=node.slug)
    lab.refresh_from_db(fields=["hub_epoch"])
    detail = f"it decides by {said[0]}.{said[1]}; the hub's epoch is {lab.hub_epoch} now"
    raise_alarm(node, AlarmKind.HUB_BEHIND, detail, at)
    return True


_HEARD = [
    *("software", "boot_id", "mode", "journal_epoch", "branch_epoch"),
    *("confirmed_epoch", "confirmed_counter", "list_refused"),
]
"""What a hello can change of a node beside the time it was heard; most change nothing else."""


def _difference(node: Node, head: Head) -> ChainDiffers | None:
    """What is wrong between the node's head and the hub's, None when the hub's leads to the node's.

    The node's head is its newest record, acknowledged or not, so an honest one is never behind.
    """
    ours = head_of(node)
    if (head.epoch, head.seq) > (ours.epoch, ours.seq) or head.seq == ours.seq == 0:
        return None
    known = _hash_at(node, head)
    if known != head.hash:
        return ChainDiffers(
            AlarmKind.CHAIN_DIFFERS,
            f"its record {head.epoch}.{head.seq} is another one than the hub's",
        )
    if (head.epoch, head.seq) < (ours.epoch, ours.seq):
        return ChainDiffers(
            AlarmKind.NODE_BEHIND,
            f"it ends at {head.epoch}.{head.seq}, the hub holds records to {ours.epoch}.{ours.seq}",
        )
    return None


def _next_branch(node: Node) -> int:
    """An epoch that no card of `node` has begun, nor was told to: each card that differs gets its own."""
    newest = max(node.journal_epoch, node.head_epoch)
    return max(newest + BRANCH_GAP, node.branch_epoch + 1)


def _hash_at(node: Node, head: Head) -> bytes:
    if head.seq == 0:
        return GENESIS
    stored = NodeRecord.objects.filter(node=node, epoch=head.epoch, seq=head.seq)
    return bytes(stored.values_list("hash", flat=True).first() or b"")


def _version(value: Any) -> SnapshotVersion | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise ProtocolError("version must be [hub epoch, counter] or null")
    pair = {"hub_epoch": value[0], "counter": value[1]}
    return (fields.integer(pair, "hub_epoch"), fields.integer(pair, "counter"))
