"""Certificates that end by and by: the hub's is renewed, its authority gets a successor that nodes learn in time."""

from __future__ import annotations

from django.conf import settings

from interlock.hub.domain import authorities
from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

DAY_S = 86_400


def keep_certificates(actor: Actor, lab: Lab) -> str:
    """Renew what ends, begin a rollover in time, finish one that every node has heard of."""
    certificates = settings.HUB.certificates(actor.clock)
    done = []
    if certificates.is_rolling_over:
        unaware = authorities.unaware_of_next(None, actor.clock)
        if not unaware or certificates.must_change_over():
            authorities.finish_rollover(actor, lab)
            done.append("the next authority signs now")
        else:
            done.append(f"{len(unaware)} computers have not heard of the next authority")
    elif certificates.must_roll_over():
        authorities.begin_rollover(actor, lab)
        done.append("the next authority is made")
    if certificates.ensure_server(settings.HUB.config().names()):
        done.append("the hub has a new certificate")
    return ", ".join(done) or "nothing ends soon"


JOB = Job("certificates", DAY_S, keep_certificates)
