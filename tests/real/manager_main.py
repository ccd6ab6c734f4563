"""Whoever sits at the hub's page, as one process: a command a line in, its answer as JSON a line out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from interlock.clock import SystemClock
from interlock.hub import commands


def main() -> None:
    """Answer until the end of the input."""
    commands.open_hub(Path(sys.argv[1]))
    deeds = _deeds()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(deeds[name](*arguments)) + "\n")
        sys.stdout.flush()


def _deeds() -> dict[str, Callable[..., Any]]:
    """Django is set up when this is called."""
    from django.conf import settings

    from interlock.hub.domain import enrolment, nodes
    from interlock.hub.models import Enrolment, Machine, Node
    from interlock.hub.permissions import Actor

    clock = SystemClock()
    actor = Actor(clock, label="test")

    def latest(machine: str) -> Enrolment:
        found = Enrolment.objects.filter(machine__slug=machine).order_by("pk").last()
        assert found is not None
        return found

    def opened(machine: str, kind: str, host: str, port: int) -> str:
        wanted = Machine.objects.get(slug=machine)
        return enrolment.open_enrolment(actor, wanted, kind, host, port).code.to_text()

    def expire(machine: str) -> None:
        over = actor.now() - timedelta(seconds=1)
        Enrolment.objects.filter(pk=latest(machine).pk).update(expires_at=over)

    def all_nodes(machine: str) -> list[list[Any]]:
        found = Node.objects.filter(machine__slug=machine).order_by("pk")
        return [[one.slug, one.epoch, one.revoked_at is None] for one in found]

    def trusts(machine: str) -> int | None:
        node = Node.objects.get(machine__slug=machine, revoked_at=None)
        health = getattr(node, "health", None)
        return None if health is None else health.authorities

    return {
        "open": opened,
        "words": lambda machine: latest(machine).words,
        "confirm": lambda machine: enrolment.confirm(actor, latest(machine)).slug,
        "refuse": lambda machine: enrolment.cancel(
            actor, latest(machine), Enrolment.Ending.REFUSED
        ),
        "expire": expire,
        "nodes": all_nodes,
        "claimed": lambda machine: latest(machine).claimed_at is not None,
        "revoke": lambda slug: nodes.revoke_node(actor, Node.objects.get(slug=slug), "test"),
        "roll": lambda: settings.HUB.certificates(clock).begin_rollover("lab"),
        "finish": lambda: settings.HUB.certificates(clock).finish_rollover(
            settings.HUB.config().names()
        ),
        "trusts": trusts,
    }


if __name__ == "__main__":
    main()
