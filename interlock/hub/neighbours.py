"""What nodes say of their interlocks in; what another node may know of them out, and unknown when they are silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Node
from interlock.protocol import fields, hubapi

NAME_MAX = 64


def read_levels(message: Mapping[str, Any]) -> dict[str, bool | None]:
    """The node's own interlocks by name: closed, open, or None. Raises ProtocolError."""
    own = message.get("own")
    if not isinstance(own, dict) or len(own) > hubapi.INTERLOCKS_MAX:
        raise ProtocolError(f"own must be an object of at most {hubapi.INTERLOCKS_MAX} interlocks")
    return {
        fields.text({"name": name}, "name", length_max=NAME_MAX): _level(own, name) for name in own
    }


def read_wanted(message: Mapping[str, Any]) -> list[str]:
    """The interlocks the node asks about, each "node/name". Raises ProtocolError."""
    wanted = message.get("wanted")
    if not isinstance(wanted, list) or len(wanted) > hubapi.INTERLOCKS_MAX:
        raise ProtocolError(f"wanted must be a list of at most {hubapi.INTERLOCKS_MAX} names")
    return [fields.text({"name": one}, "name", length_max=2 * NAME_MAX + 1) for one in wanted]


def exchange(
    node: Node, own: Mapping[str, bool | None], wanted: Sequence[str], clock: Clock
) -> dict[str, bool | None]:
    """The node's levels are kept, with their second; those it asks for, None where nobody knows now."""
    at = clock.wall_ms() // 1_000
    with transaction.atomic():
        Node.objects.filter(pk=node.pk).update(
            interlocks={name: [closed, at] for name, closed in own.items()}
        )
    return {one: _said(node, one, at) for one in wanted}


def _said(node: Node, wanted: str, at: int) -> bool | None:
    slug, _, name = wanted.partition("/")
    told = _in_service(node, slug)
    report = None if told is None else told.interlocks.get(name)
    if report is None:
        return None
    closed, since = report
    # A hub whose clock was set back does not make an old word young.
    fresh = 0 <= at - since <= SILENT_AFTER.total_seconds()
    return closed if fresh else None


def _in_service(asking: Node, slug: str) -> Node | None:
    """The node of that name, or the one that took its place at its machine."""
    named = Node.objects.filter(lab=asking.lab_id, slug=slug).first()
    if named is None or named.revoked_at is None:
        return named
    return Node.objects.filter(machine=named.machine_id, revoked_at=None).first()


def _level(own: Mapping[str, Any], name: str) -> bool | None:
    return None if own[name] is None else fields.flag(own, name)
