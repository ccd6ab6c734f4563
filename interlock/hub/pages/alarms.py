"""Open alarms as stored go in; sentences for whoever may know them come out.

A badge that failed its proof is named, with its member, to those who may see members; everybody else who
looks after machines reads that there was one.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext

from interlock.hub.models import Alarm, AlarmKind, Machine, Member
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.words import Words
from interlock.hub.permissions import Permission


@dataclass(frozen=True, slots=True)
class Shown:
    """One open alarm, in words. `subject` is the badge and its member, empty for who may not know, or where
    something is done about it."""

    number: int
    words: str
    when: str
    subject: str
    address: str
    may_close: bool


def of_machine(found: Machine, viewer: Viewer) -> list[Shown]:
    """What somebody has to look at, of earlier nodes too; for those who look after nodes."""
    if not viewer.may(Permission.VIEW_NODES):
        return []
    alarms = Alarm.objects.filter(node__machine=found, closed_at=None)
    return [
        _shown(alarm, viewer)
        for alarm in alarms.select_related("badge__member", "node__machine").order_by("-last_at")
    ]


def of_member(found: Member, viewer: Viewer) -> list[str]:
    """What is to be said on the page of somebody whose badge failed its proof, or is in the wrong hand."""
    alarms = Alarm.objects.filter(
        badge__member=found, kind__in=list(_ABOUT_BADGES), closed_at=None
    ).select_related("badge", "node__machine")
    return [
        str(_ABOUT_BADGES[AlarmKind(alarm.kind)])
        % {
            "badge": alarm.badge,
            "machine": alarm.node.machine.name,
            "moment": formats.moment(alarm.last_at, viewer.zone, viewer.now),
        }
        for alarm in alarms.order_by("-last_at")
    ]


def _shown(alarm: Alarm, viewer: Viewer) -> Shown:
    names = alarm.badge is not None and viewer.may(Permission.VIEW_MEMBERS)
    subject, address = "", ""
    if names and alarm.badge is not None:
        subject = gettext("“%(badge)s” of %(member)s") % {
            "badge": alarm.badge,
            "member": alarm.badge.member.name,
        }
        address = reverse("member", args=[alarm.badge.member.public_id])
    if alarm.kind == AlarmKind.RECORDS_SET_ASIDE and viewer.may(Permission.CORRECT_USE):
        subject, address = gettext("Uses to bill or to leave out"), reverse("set-aside")
    when = formats.moment(alarm.last_at, viewer.zone, viewer.now)
    if alarm.count > 1:
        times = ngettext("%(n)s time", "%(n)s times", alarm.count) % {"n": alarm.count}
        when = f"{when}, {times}"
    return Shown(
        number=alarm.pk,
        words=alarm.get_kind_display(),
        when=when,
        subject=subject,
        address=address,
        may_close=viewer.may(Permission.CLOSE_ALARMS),
    )


_ABOUT_BADGES: dict[AlarmKind, Words] = {
    AlarmKind.POSSIBLE_CLONE: gettext_lazy(
        "A card that passed itself off as “%(badge)s” did not prove it at %(machine)s (%(moment)s)."
        " It may be a copy."
    ),
    AlarmKind.STOLEN_BADGE: gettext_lazy(
        "“%(badge)s”, which was reported lost or stolen, was presented at %(machine)s (%(moment)s)."
        " It was refused."
    ),
}
