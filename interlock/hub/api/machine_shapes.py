"""Machines, who is on them, and who was: their JSON, as types and as made of rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Schema

from interlock.hub.api.shapes import Asked, Named, Why, named, second
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Machine, Session


class LockOutBody(Asked):
    """Why nobody may start the machine: it stands in front of whoever tries."""

    why: Why


class LockOutOut(Schema):
    """The hub's own lock-out."""

    since_at: int
    why: str


class MachineOut(Schema):
    """A machine. `state` is free, in_use, ending, fault, locked_out or unmetered, by its records; `is_heard`
    says whether its node spoke of late. `locked_at_machine` are lock-outs that the hub cannot release."""

    slug: str
    name: str
    place: str
    state: str
    since_at: int | None
    busy: bool | None
    faults: list[str]
    lock_out: LockOutOut | None
    locked_at_machine: list[str]
    trainings: list[str]
    needs: str
    tariff: str | None
    is_heard: bool
    heard_at: int | None
    retired_at: int | None


class MachinePage(Schema):
    """Some of the machines."""

    items: list[MachineOut]
    page: int
    pages: int
    total: int


class MachineNamed(Schema):
    """Which machine it is."""

    slug: str
    name: str


class SessionOut(Schema):
    """One use of a machine; `how` it ended is empty while it runs. Times in milliseconds are the node's own
    measure, instants are `provisional` until its clock is known."""

    number: int
    machine: MachineNamed
    member: Named | None
    purpose: str
    group: str | None
    started_at: int
    ended_at: int | None
    how: str
    enabled_ms: int
    busy_ms: int
    idle_ms: int
    estimated: bool
    provisional: bool
    voided: bool


class SessionPage(Schema):
    """Some of the sessions."""

    items: list[SessionOut]
    page: int
    pages: int
    total: int


def machine_told(machine: Machine, now: datetime) -> dict[str, Any]:
    """A machine with its tariff selected, its trainings and the node in service prefetched."""
    nodes = list(machine.nodes.all())
    heard_at = nodes[0].last_seen_at if nodes else None
    locked_at = machine.locked_out_at
    return {
        "slug": machine.slug,
        "name": machine.name,
        "place": machine.location,
        "state": machine.live_state,
        "since_at": second(machine.live_since_at),
        "busy": machine.live_busy,
        "faults": machine.live_faults,
        "lock_out": None
        if locked_at is None
        else {"since_at": second(locked_at), "why": machine.locked_out_why},
        "locked_at_machine": machine.live_lock_outs,
        "trainings": sorted(training.slug for training in machine.trainings.all()),
        "needs": machine.needs,
        "tariff": None if machine.tariff is None else machine.tariff.slug,
        "is_heard": heard_at is not None and now - heard_at < SILENT_AFTER,
        "heard_at": second(heard_at),
        "retired_at": second(machine.retired_at),
    }


def session_told(session: Session) -> dict[str, Any]:
    """A session with its machine, member and group selected."""
    return {
        "number": session.pk,
        "machine": {"slug": session.machine.slug, "name": session.machine.name},
        "member": named(session.member),
        "purpose": session.purpose,
        "group": None if session.group is None else session.group.slug,
        "started_at": second(session.started_at),
        "ended_at": second(session.ended_at),
        "how": session.how,
        "enabled_ms": session.enabled_ms,
        "busy_ms": session.busy_ms,
        "idle_ms": session.idle_ms,
        "estimated": session.estimated,
        "provisional": session.provisional,
        "voided": session.voided,
    }
