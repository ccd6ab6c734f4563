"""Each night: the sums that reports are read from are made again where sessions changed: nobody waits for it."""

from __future__ import annotations

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

EVERY_S = 86_400


def run(actor: Actor, lab: Lab) -> str:
    """How many days were made again."""
    from interlock.hub.rollup import refresh

    return f"{refresh(lab)} days added up"


JOB = Job("reports", EVERY_S, run)
