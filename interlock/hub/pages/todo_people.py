"""Members, badges and trainings go in; what somebody has to do about them comes out, for the list "To do"."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Greatest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from interlock.hub.domain import unknown
from interlock.hub.domain.badges import random_tag
from interlock.hub.models import Authorisation, Badge, BadgeCondition, Member, Training
from interlock.hub.pages import formats, grants
from interlock.hub.pages.access import Viewer
from interlock.hub.pages.navigation import address_of
from interlock.hub.pages.waiting import Source, Waiting
from interlock.hub.permissions import Permission

AHEAD = timedelta(days=30)
"""A month: time to hold a refresher before people stand at a machine that refuses them."""


def grants_to_confirm(viewer: Viewer) -> Iterable[Waiting]:
    """Trainings that were granted at a machine and wait for a trainer's word."""
    count = len(grants.to_decide(viewer))
    if count:
        said = ngettext(
            "%(n)s training granted at a machine has to be confirmed",
            "%(n)s trainings granted at a machine have to be confirmed",
            count,
        )
        yield Waiting("ending", "training", said % {"n": count}, reverse("grants"))


def unknown_badges(viewer: Viewer) -> Iterable[Waiting]:
    """Badges that were held to a reader and that the hub does not know."""
    if not viewer.may(Permission.EDIT_BADGES):
        return
    met = unknown.listed(viewer.lab, viewer.now).exclude(tag=random_tag())
    count = met.values("tag").distinct().count()
    if count:
        said = ngettext(
            "%(n)s unknown badge was held to a reader",
            "%(n)s unknown badges were held to a reader",
            count,
        )
        yield Waiting("ending", "badge", said % {"n": count}, reverse("unknown-badges"))


def badges_to_enrol(viewer: Viewer) -> Iterable[Waiting]:
    """Badges with an old number that has to be read anew."""
    if not viewer.may(Permission.EDIT_BADGES):
        return
    count = Badge.objects.filter(lab=viewer.lab, condition=BadgeCondition.ENROL_AGAIN).count()
    if count:
        said = ngettext(
            "%(n)s badge has to be enrolled again", "%(n)s badges have to be enrolled again", count
        )
        yield Waiting("idle", "badge", said % {"n": count}, reverse("badges-to-enrol"))


def ending_trainings(viewer: Viewer) -> Iterable[Waiting]:
    """Trainings that end, or lapse for want of practice, within the next month."""
    if not viewer.may(Permission.GRANT_ANY, Permission.GRANT_OWN):
        return
    count = ending_soon(viewer).count()
    if count:
        said = ngettext(
            "%(n)s training expires or lapses by %(day)s",
            "%(n)s trainings expire or lapse by %(day)s",
            count,
        )
        day = formats.day(viewer.now + AHEAD, viewer.zone)
        address = address_of("trainings") or reverse("members")
        yield Waiting("idle", "training", said % {"n": count, "day": day}, address)


def consents_missing(viewer: Viewer) -> Iterable[Waiting]:
    """Members under 18 of whom no guardian's consent is noted: their membership is incomplete."""
    if not viewer.may(Permission.EDIT_MEMBERS):
        return
    count = Member.objects.filter(lab=viewer.lab, minor=True, consent_on=None).count()
    if count:
        said = ngettext(
            "%(n)s member under 18 lacks a guardian's consent",
            "%(n)s members under 18 lack a guardian's consent",
            count,
        )
        address = reverse("members") + "?status=consent"
        yield Waiting("ending", "person", said % {"n": count}, address)


def low_credit(viewer: Viewer) -> Iterable[Waiting]:
    """Members whom machines warn, or refuse, for want of credit."""
    if not viewer.may(Permission.EDIT_ACCOUNTS, Permission.EDIT_MEMBERS):
        return
    members = Member.objects.filter(lab=viewer.lab).exclude(credit=Member.Credit.OK)
    names = list(members.order_by("name").values_list("name", flat=True)[:2])
    if len(names) == 1:
        said = gettext("%(name)s has little credit left, or none") % {"name": names[0]}
        yield Waiting("idle", "billing", said, reverse("members") + f"?q={names[0]}")
    elif names:
        count = members.count()
        said = ngettext(
            "%(n)s member has little credit left, or none",
            "%(n)s members have little credit left, or none",
            count,
        )
        address = address_of("billing") or reverse("members")
        yield Waiting("idle", "billing", said % {"n": count}, address)


def ending_soon(viewer: Viewer) -> QuerySet[Authorisation]:
    """Authorisations in force that end or lapse within AHEAD, by the dates nodes decide by."""
    now, until = viewer.now, viewer.now + AHEAD
    ends = Q(until_at__gt=now, until_at__lte=until)
    for training, days in _lapsing(viewer):
        # SQLite cannot multiply a number of days: each training brings its own two dates.
        lapse = timedelta(days=days)
        ends |= Q(training=training, practised__gt=now - lapse, practised__lte=until - lapse)
    practised = Greatest("granted_at", Coalesce("practised_at", "granted_at"))
    in_force = Q(until_at=None) | Q(until_at__gt=now)
    belongs = Q(member__until_at=None) | Q(member__until_at__gt=now)
    held = Authorisation.objects.filter(
        lab=viewer.lab, revoked_at=None, member__status=Member.Status.ACTIVE
    )
    return held.annotate(practised=practised).filter(in_force, belongs, ends)


def _lapsing(viewer: Viewer) -> list[tuple[int, int]]:
    """The trainings that lapse for want of practice, each with its days."""
    known = Training.objects.filter(lab=viewer.lab).values_list("pk", "lapse_days")
    return [(training, days) for training, days in known if days is not None]


SOURCES: tuple[Source, ...] = (
    grants_to_confirm,
    unknown_badges,
    badges_to_enrol,
    ending_trainings,
    consents_missing,
    low_credit,
)
