"""A machine whose state changed goes in; since when, or until when, nobody could use it is written down."""

from __future__ import annotations

from datetime import datetime

from interlock.hub.models import Downtime, LiveState, Machine

BARRED = frozenset({LiveState.FAULT, LiveState.LOCKED_OUT})


def follow(machine: Machine, at: datetime) -> None:
    """An open downtime stands for the machine exactly while it is faulty or locked out. Call it in the
    transaction of the change."""
    open_one = Downtime.objects.filter(machine=machine, until_at=None)
    if machine.live_state not in BARRED and machine.locked_out_at is None:
        open_one.update(until_at=at)
    elif not open_one.exists():
        since = machine.locked_out_at or machine.live_since_at or at
        Downtime.objects.create(lab_id=machine.lab_id, machine=machine, from_at=min(since, at))
