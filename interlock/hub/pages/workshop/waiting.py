"""A viewer goes in; what this room has for their list of things to do comes out."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from interlock.hub.domain import maintenance
from interlock.hub.models import CalendarEvent, OutboxMail, Problem, VolunteerTime
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.waiting import Waiting
from interlock.hub.permissions import Permission

PLANS_NAMED = 5
"""More overdue plans than that are one line: the list is behind it."""


def waiting_for(viewer: Viewer) -> list[Waiting]:
    """What the viewer may do something about, the most serious first."""
    return [
        *_problems(viewer),
        *_maintenance(viewer),
        *_bookings(viewer),
        *_volunteering(viewer),
        *_mail(viewer),
    ]


def _problems(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.MAINTAIN):
        return []
    count = Problem.objects.filter(lab=viewer.lab, closed_at=None).count()
    said = ngettext(
        "%(n)s problem was reported at a machine", "%(n)s problems were reported at machines", count
    )
    waiting = Waiting("fault", "problems", said % {"n": count}, reverse("problems"))
    return [waiting] if count else []


def _maintenance(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.MAINTAIN):
        return []
    due = list(maintenance.overdue(viewer.lab, viewer.now)[: PLANS_NAMED + 1])
    if len(due) > PLANS_NAMED:
        said = gettext("More than %(n)s maintenance tasks are due") % {"n": PLANS_NAMED}
        return [Waiting("ending", "maintenance", said, reverse("maintenance"))]
    words = gettext("%(machine)s: maintenance is due (%(task)s)")
    return [
        Waiting(
            "ending",
            "maintenance",
            words % {"machine": one.machine.name, "task": one.task},
            reverse("machine-maintenance", args=[one.machine.slug]),
        )
        for one in due
    ]


def _bookings(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.EDIT_MACHINES):
        return []
    lost = CalendarEvent.objects.filter(
        source__lab=viewer.lab, reservation=None, until_at__gt=viewer.now
    ).values_list("source__machine__slug", flat=True)
    slugs = list(lost[:1_000])
    if not slugs:
        return []
    said = ngettext(
        "%(n)s booking of the calendar reserves nothing",
        "%(n)s bookings of the calendar reserve nothing",
        len(slugs),
    )
    address = reverse("machine-calendar", args=[slugs[0]])
    return [Waiting("ending", "machines", said % {"n": len(slugs)}, address)]


def _volunteering(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.RUN_ACTIVITIES):
        return []
    declared = VolunteerTime.State.DECLARED
    count = VolunteerTime.objects.filter(lab=viewer.lab, state=declared).count()
    said = ngettext(
        "%(n)s entry of volunteer time has to be confirmed",
        "%(n)s entries of volunteer time have to be confirmed",
        count,
    )
    waiting = Waiting("idle", "activities", said % {"n": count}, reverse("volunteering"))
    return [waiting] if count else []


def _mail(viewer: Viewer) -> list[Waiting]:
    if not viewer.may(Permission.EDIT_LAB):
        return []
    states = (OutboxMail.State.GIVEN_UP, OutboxMail.State.UNCERTAIN)
    count = OutboxMail.objects.filter(lab=viewer.lab, state__in=states).count()
    said = ngettext("%(n)s e-mail did not go", "%(n)s e-mails did not go", count)
    waiting = Waiting("ending", "mail", said % {"n": count}, reverse("mail"))
    return [waiting] if count else []
