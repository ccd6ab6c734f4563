"""Lists that were sent and never taken in: gone after an hour, also when nobody opens the page again."""

from __future__ import annotations

from interlock.hub import uploads
from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

EVERY_S = 600


def _run(actor: Actor, _lab: Lab) -> str:
    return f"{uploads.drop_old(actor.clock)} old lists dropped"


JOB = Job("uploads", EVERY_S, _run)
