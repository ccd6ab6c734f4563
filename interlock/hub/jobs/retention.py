"""Each night: what is older than promised is forgotten, and gone from the database's free pages too."""

from __future__ import annotations

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

EVERY_S = 86_400


def run(actor: Actor, lab: Lab) -> str:
    """How many rows were forgotten."""
    from interlock.hub.retention import forget_old
    from interlock.hub.scrubbing import clean_file

    forgotten = forget_old(lab, actor.now())
    clean_file()
    return str(forgotten)


JOB = Job("retention", EVERY_S, run)
