"""What nodes say of their interlocks in; what another node may know of them out, and unknown when they are silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from interlock.clock import Clock
from interlock.errors import ProtocolError
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Node
from interlock.protocol import fields, hubapi

NAME_MAX = 64


@dataclass(frozen=True, slots=True)
class Word:
    """What a node said of one of its interlocks, at most so long ago; None: nobody knows."""

    closed: bool | None
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """When a node looked at its interlocks, by its own boot's clock."""

    boot_id: str
    boot_ms: int


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


def read_moment(message: Mapping[str, Any]) -> Moment | None:
    """When the node looked; a node of before does not say. Raises ProtocolError."""
    if "boot_id" not in message:
        return None
    boot_id = fields.text(message, "boot_id", length_max=NAME_MAX)
    return Moment(boot_id, fields.integer(message, "boot_ms"))


def exchange(
    node: Node,
    own: Mapping[str, bool | None],
    wanted: Sequence[str],
    said: Moment | None,
    clock: Clock,
) -> dict[str, Word]:
    """The node's levels are kept, with their second; those it asks for, unknown where nobody knows now."""
    at = clock.wall_ms() // 1_000
    looked = [] if said is None else [said.boot_id, said.boot_ms]
    with transaction.atomic():
        kept = Node.objects.select_for_update().get(pk=node.pk)
        if said is None or not _is_overtaken(kept, said):
            kept.interlocks = {
                name: _report(kept.interlocks.get(name), [closed, at, *looked])
                for name, closed in own.items()
            }
            kept.save(update_fields=["interlocks"])
    return {one: _said(node, one, at) for one in wanted}


def _is_overtaken(kept: Node, said: Moment) -> bool:
    """Whether something newer is known: a request may lie on its way, or be sent again by a proxy, for a minute."""
    looked = [report[2:] for report in kept.interlocks.values()]
    return any(one and one[0] == said.boot_id and one[1] > said.boot_ms for one in looked)


def _report(known: list[Any] | None, told: list[Any]) -> list[Any]:
    """What is kept: a look that was told before is as old as when it first came."""
    closed, _, *looked = told
    if known is None or not looked or [known[0], *known[2:]] != [closed, *looked]:
        return told
    return known


def _said(node: Node, wanted: str, at: int) -> Word:
    slug, _, name = wanted.partition("/")
    told = _in_service(node, slug)
    report = None if told is None else told.interlocks.get(name)
    if report is None:
        return Word(None)
    closed, since, *_ = report
    # A hub whose clock was set back does not make an old word young.
    fresh = 0 <= at - since <= SILENT_AFTER.total_seconds()
    # Both seconds were rounded down: it may be nearly one more.
    return Word(closed, (at - since + 1) * 1_000) if fresh else Word(None)


def _in_service(asking: Node, slug: str) -> Node | None:
    """The node of that name, or the one that took its place at its machine."""
    named = Node.objects.filter(lab=asking.lab_id, slug=slug).first()
    if named is None or named.revoked_at is None:
        return named
    return Node.objects.filter(machine=named.machine_id, revoked_at=None).first()


def _level(own: Mapping[str, Any], name: str) -> bool | None:
    return None if own[name] is None else fields.flag(own, name)
