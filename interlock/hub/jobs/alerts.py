"""The lab as it is goes in; alerts, reminders to members and the morning's digest wait in the outbox."""

from __future__ import annotations

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

ALERTS_EVERY_S = 60
"""A welded contact is told within a minute or two."""
REMINDERS_EVERY_S = 3_600
DIGEST_EVERY_S = 900


def run_alerts(actor: Actor, lab: Lab) -> str:
    """Those who look after machines are told what is new."""
    from interlock.hub.telling import alerts

    return f"{alerts(actor, lab)} alerts"


def run_reminders(actor: Actor, lab: Lab) -> str:
    """Members are told what is about to end for them."""
    from interlock.hub.telling import reminders

    return f"{reminders(actor, lab)} reminders"


def run_digest(actor: Actor, lab: Lab) -> str:
    """In the morning, everybody with something to do is told what."""
    from interlock.hub.telling import digest

    return f"{digest(actor, lab)} digests"


ALERTS = Job("alerts", ALERTS_EVERY_S, run_alerts)
REMINDERS = Job("reminders", REMINDERS_EVERY_S, run_reminders)
DIGEST = Job("digest", DIGEST_EVERY_S, run_digest)
