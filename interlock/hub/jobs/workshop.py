"""Sessions and booking calendars go in; maintenance that is due and reservations come out."""

from __future__ import annotations

from interlock.hub.jobs import Job
from interlock.hub.models import Lab
from interlock.hub.permissions import Actor

CALENDARS_EVERY_S = 900
"""A quarter of an hour: booking tools ask not to be asked more often."""
MAINTENANCE_EVERY_S = 600


def run_calendars(actor: Actor, lab: Lab) -> str:
    """Every booking calendar was read once."""
    from django.conf import settings

    from interlock.hub.domain.bookings import read_all

    allowed = settings.HUB.config().lan_servers
    good, bad = read_all(actor, lab, allowed)
    return f"{good} calendars read, {bad} that could not be"


def run_maintenance(actor: Actor, lab: Lab) -> str:
    """Every plan's hours are counted."""
    from interlock.hub.domain.maintenance import recount

    due, locked = recount(actor, lab)
    return f"{due} plans due, {locked} machines locked out"


CALENDARS = Job("calendars", CALENDARS_EVERY_S, run_calendars)
MAINTENANCE = Job("maintenance", MAINTENANCE_EVERY_S, run_maintenance)
