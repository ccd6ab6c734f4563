"""A node's hello to the hub's: is it the journal we know, what time is it, which rights are current."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub import live
from interlock.hub.alarms import raise_alarm
from interlock.hub.changes import log_change
from interlock.hub.domain import unknown
from interlock.hub.domain.commands import waiting_commands
from interlock.hub.domain.epochs import raise_epoch
from interlock.hub.erased import note_told
from interlock.hub.ingest import head_of
from interlock.hub.models import Alarm, AlarmKind, Lab, Node, NodeRecord, Snapshot, Topic
from interlock.hub.snapshots import current_version, tell_anew
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
    epoch in which it goes on."""

    def __init__(self, code: AlarmKind, what: str) -> None:
        self.code = code.value
        self.kind = code
        self.branch: int | None = None
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
    """The fields of the answer. The node's own word is on its page afterwards, also when this raises
    ChainDiffers: then its journal is an older or another one than the hub holds, and an alarm says so.
    """
    wall_ms = clock.wall_ms()
    differs = _met(node, hello, moment(wall_ms))
    if differs is not None:
        raise differs
    version = current_version(node)
    time = HubTime(node.lab.slug, node.slug, hello.nonce, wall_ms, version)
    return {
        "head": head_of(node).to_wire(),
        "time": signed_time(settings.HUB.signing_key(), time),
        "version": list(version),
        "commands": [json.loads(one) for one in waiting_commands(wall_ms, node).get(node.pk, ())],
    }


@transaction.atomic
def _met(node: Node, hello: Hello, at: datetime) -> ChainDiffers | None:
    locked = Node.objects.select_for_update(of=("self",)).select_related("lab", "machine")
    node = locked.get(pk=node.pk)
    returned = node.last_seen_at is None or at - node.last_seen_at > SILENT_AFTER
    node.last_seen_at, node.software, node.boot_id = at, hello.software, hello.boot_id
    node.journal_epoch = max(node.journal_epoch, hello.head.epoch)
    changed = node.mode != hello.mode
    node.mode = hello.mode
    epoch, counter = hello.version or (None, None)
    confirmed = (node.confirmed_epoch, node.confirmed_counter) != (epoch, counter)
    node.confirmed_epoch, node.confirmed_counter = epoch, counter
    made = Snapshot.objects.filter(node=node).only("epoch", "counter", "digest").first()
    changed |= _list_trouble(node, hello, made, at)
    node.save(update_fields=_HEARD)
    if confirmed:
        note_told([node.pk])
    # Every node says hello, also in a week without a single record: nothing is kept longer than a day.
    unknown.purge(node.lab, at)
    changed |= _outdo(node, hello.version, made, at)
    if live.mode_reported(node.machine, hello.mode, at):
        node.machine.save(update_fields=["live_state", "live_since_at"])
    differs = _difference(node, hello.head)
    if differs is not None:
        changed |= raise_alarm(node, differs.kind, differs.what, at)
        differs.branch = node.branch_epoch = _next_branch(node)
        node.save(update_fields=["branch_epoch"])
    if returned or changed or confirmed:
        log_change(node.lab, Topic.USE, "hello", node.slug, at)
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
    *("last_seen_at", "software", "boot_id", "mode", "journal_epoch"),
    *("confirmed_epoch", "confirmed_counter", "list_refused"),
]


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
