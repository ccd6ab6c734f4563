"""Cards that nobody has go in; somebody's badges come out: by a search, or by a tap at any reader.

Handing out a badge opens a short window, kept in the login's own session: nothing is stored, and whoever
hands out another badge at another desk has a window of their own. The code on the machine's screen is the
code on the page, so two people who tap at once are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from interlock.errors import InterlockError
from interlock.hub.domain import unknown
from interlock.hub.domain.members import assign_tag
from interlock.hub.models import Badge, BadgeCondition, Member, UnknownBadge
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.member import member_of
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50
FOUND_MAX = 20
"""More namesakes than fit a screen ask for a longer search."""
WINDOW = timedelta(minutes=2)
"""To walk to a machine and back; longer, and the page would offer other people's cards."""
LOOK_BACK = timedelta(minutes=2)
"""A node tells of the same card once a minute (node.refusals): a tap just before the window is not told again."""
TAPS_MAX = 10
WINDOW_KEY = "hand_out"
"""In the session: [member's id, second at which the window was opened]."""


@dataclass(frozen=True, slots=True)
class Met:
    """One card that nobody has, as the lists show it."""

    number: int
    code: str
    place: str
    when: str
    count: int
    is_badge: bool
    before: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member who might be given the card."""

    public_id: str
    name: str
    email: str
    group: str


@require_GET
@page(Permission.EDIT_BADGES)
def unknown_badges(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Cards that machines and desks met within the last day and nobody has."""
    shown = Paginator(unknown.listed(viewer.lab, viewer.now), ROWS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    context = {"page": shown, "rows": [_met(one, viewer) for one in shown.object_list]}
    return render(request, "hub/unknown_badges.html", context)


@require_GET
@page(Permission.EDIT_BADGES)
def unknown_badge(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Whose is this card? A search, and a button for each who is found."""
    wanted = request.GET.get("q", "").strip()[:100]
    found = list(_candidates(viewer, wanted)[: FOUND_MAX + 1]) if wanted else []
    context = {
        "met": _met(_unknown(viewer, number), viewer),
        "wanted": wanted,
        "candidates": [
            Candidate(m.public_id, m.name, m.email, m.group.name if m.group else "")
            for m in found[:FOUND_MAX]
        ],
        "more": len(found) > FOUND_MAX,
    }
    return render(request, "hub/unknown_badge.html", context)


@require_GET
@page(Permission.EDIT_BADGES)
def to_enrol(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Members whose old id says nothing of their card: they need it held to a reader."""
    waiting = Badge.objects.filter(lab=viewer.lab, condition=BadgeCondition.ENROL_AGAIN)
    ordered = waiting.select_related("member").order_by("member__name", "pk")
    shown = Paginator(ordered, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "hub/badges_to_enrol.html", {"page": shown, "rows": shown.object_list})


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_BADGES)
def hand_out(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """A badge for the member, by tapping it anywhere: the window is opened (POST), then taps appear."""
    found = member_of(viewer, public_id)
    if request.method == "POST":
        request.session[WINDOW_KEY] = [public_id, int(viewer.now.timestamp())]
        return redirect("hand-out", public_id)
    return render(request, "hub/hand_out.html", _window(request, viewer, found))


@require_GET
@page(Permission.EDIT_BADGES)
def hand_out_taps(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """Only the taps: what live.js fetches when something changed."""
    context = _window(request, viewer, member_of(viewer, public_id))
    return render(request, "hub/parts/hand_out_taps.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_BADGES)
def give(request: HttpRequest, viewer: Viewer, public_id: str, number: int) -> HttpResponse:
    """Is it this card? Then it is the member's."""
    found = member_of(viewer, public_id)
    met = _unknown(viewer, number)
    error = ""
    if request.method == "POST":
        label = request.POST.get("label", "")
        try:
            assign_tag(viewer.actor, found, bytes(met.tag), label)
        except InterlockError as refused:
            error = sentence(refused)
        else:
            request.session.pop(WINDOW_KEY, None)
            said = gettext(
                "The badge is %(name)s's. Each machine knows it as soon as its node confirms."
            )
            messages.success(request, said % {"name": found.name})
            return redirect("member", public_id)
    context = {"member": found, "met": _met(met, viewer), "error": error}
    return render(request, "hub/give_badge.html", context)


def _window(request: HttpRequest, viewer: Viewer, found: Member) -> dict[str, Any]:
    """Whether the window for this member is open, and what was tapped in it."""
    began = _began(request, found)
    ends = None if began is None else began + WINDOW
    is_open = ends is not None and viewer.now < ends
    taps: list[Met] = []
    if began is not None and is_open:
        since = began - LOOK_BACK
        rows = unknown.listed(viewer.lab, viewer.now).filter(seen_at__gte=since)[:TAPS_MAX]
        taps = [_met(row, viewer, began) for row in rows]
    return {
        "member": found,
        "is_open": is_open,
        "was_open": began is not None and not is_open,
        "until": formats.time_of_day(ends, viewer.zone) if ends is not None else "",
        "taps": taps,
    }


def _began(request: HttpRequest, found: Member) -> datetime | None:
    kept = request.session.get(WINDOW_KEY)
    if not kept or kept[0] != found.public_id:
        return None
    return datetime.fromtimestamp(kept[1], UTC)


def _unknown(viewer: Viewer, number: int) -> UnknownBadge:
    found = unknown.listed(viewer.lab, viewer.now).filter(pk=number).first()
    if found is None:
        raise Http404(
            gettext("This card is no longer on the list: hold it to a machine once more.")
        )
    return found


def _candidates(viewer: Viewer, wanted: str) -> QuerySet[Member]:
    named = Q(name__icontains=wanted) | Q(email__icontains=wanted)
    found = Member.objects.filter(named, lab=viewer.lab)
    return found.select_related("group").order_by("name", "pk")


def _met(row: UnknownBadge, viewer: Viewer, began: datetime | None = None) -> Met:
    return Met(
        number=row.pk,
        code=unknown.code_of(bytes(row.tag)),
        place=unknown.place_of(row),
        when=formats.moment(row.seen_at, viewer.zone, viewer.now),
        count=row.count,
        is_badge=unknown.is_badge(row),
        before=began is not None and row.seen_at < began,
    )
