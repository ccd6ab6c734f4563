"""Statements that were asked for go in; e-mails with their PDFs wait in the outbox."""

from __future__ import annotations

from django.utils import translation

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

EVERY_S = 60
AT_ONCE = 250
"""A PDF takes a tenth of a second or two: a run stays under a minute, and 250 go out in it."""


def run(actor: Actor, lab: Lab) -> str:
    """As many as fit into one run."""
    from interlock.hub.domain.statements import deliver
    from interlock.hub.statements.letter import letter_of

    # What goes wrong is told in the lab's own language, not in that of each letter.
    with translation.override(lab.language):
        return f"{deliver(actor, lab, AT_ONCE, letter_of)} statements put into words"


JOB = Job("statements", EVERY_S, run)
