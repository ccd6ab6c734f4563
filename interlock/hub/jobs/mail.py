"""E-mails that wait go in; they are with the mail server, or wait for their next try."""

from __future__ import annotations

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

EVERY_S = 60


def run(actor: Actor, lab: Lab) -> str:
    """Whatever is due, once."""
    from interlock.hub.sending import send_waiting

    return send_waiting(actor, lab)


JOB = Job("mail", EVERY_S, run)
