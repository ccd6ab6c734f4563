"""Whoever looks goes in; their own page, and the one on which their lost badge is blocked, come out."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from interlock.hub import credit
from interlock.hub.domain import members as deeds
from interlock.hub.domain import passes
from interlock.hub.models import (
    Badge,
    BadgeCondition,
    Member,
    Pass,
    Payer,
    PayerKind,
    Statement,
)
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt
from interlock.hub.pages.billing.payers import PassRow, pass_row
from interlock.hub.pages.billing.words import month_words
from interlock.hub.pages.member import member_context, of_lab
from interlock.hub.permissions import Permission
from interlock.hub.standing import standing_of

STATEMENTS_SHOWN = 6
"""Half a year: what somebody looks for is the last one."""
ENDS = (BadgeCondition.LOST, BadgeCondition.STOLEN)


@dataclass(frozen=True, slots=True)
class OwnStatement:
    """One statement as its payer reads it."""

    number: str
    month: str
    gross: str


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """Who pays for the member; everything else stays empty where that is an organisation."""

    payer: str
    is_shared: bool
    left: str
    unbilled: str
    state: str
    colour: str
    passes: tuple[PassRow, ...]
    statements: tuple[OwnStatement, ...]


def account_of(member: Member, viewer: Viewer) -> OwnAccount | None:
    """What the member may know of what they pay; None: nobody pays for them. Six queries at most.

    A company's account is the company's business: its members see that it pays, and no sum.
    """
    payer = Payer.objects.filter(pk=standing_of(member).pays() or 0).select_related("lab").first()
    if payer is None:
        return None
    if payer.kind != PayerKind.PERSON:
        return OwnAccount(payer.name, True, "", "", "", "", (), ())
    balance = credit.balance_of(payer, viewer.now)
    state = Member.Credit(member.credit)
    return OwnAccount(
        payer=payer.name,
        is_shared=False,
        left=formats.euros(balance.left_cents) if payer.prepays else "",
        unbilled=formats.euros(balance.open_cents),
        state="" if state == Member.Credit.OK else str(state.label),
        colour="fault" if state == Member.Credit.NONE else "ending",
        passes=_live_passes(payer, viewer),
        statements=_statements(payer),
    )


@require_GET
@page(Permission.VIEW_OWN)
def me(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The page of the member whom this account belongs to."""
    own = of_lab(viewer).filter(roles__user=viewer.user, roles__lab=viewer.lab).first()
    if own is None:
        return render(request, "hub/no_member.html")
    context = member_context(own, viewer) | {"own": True, "account": account_of(own, viewer)}
    return render(request, "hub/member.html", context)


@require_http_methods(["GET", "POST"])
@page(Permission.VIEW_OWN)
def badge_lost(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """What happens when one's own badge is blocked; with the form, it is."""
    badge = (
        Badge.objects.filter(
            pk=number, lab=viewer.lab, member__roles__user=viewer.user, member__lab=viewer.lab
        )
        .select_related("lab", "member")
        .first()
    )
    if badge is None:
        raise Http404(gettext("You have no such badge."))
    if request.method == "POST":
        condition = BadgeCondition.STOLEN if "stolen" in request.POST else BadgeCondition.LOST
        attempt(
            request,
            lambda: deeds.block_own_badge(viewer.actor, badge, condition),
            gettext("“%(badge)s” is blocked. Each machine refuses it as soon as its node confirms.")
            % {"badge": badge},
        )
        return redirect("me")
    others = badge.member.badges.filter(condition=BadgeCondition.ACTIVE).exclude(pk=badge.pk)
    context = {
        "badge": badge,
        "is_active": badge.condition == BadgeCondition.ACTIVE,
        "others": [str(one) for one in others],
    }
    return render(request, "hub/badge_lost.html", context)


def _live_passes(payer: Payer, viewer: Viewer) -> tuple[PassRow, ...]:
    running = Q(expires_at=None) | Q(expires_at__gt=viewer.now)
    owned = list(Pass.objects.filter(running, payer=payer).prefetch_related("machines"))
    left = passes.left(owned)
    return tuple(pass_row(one, left, viewer) for one in owned)


def _statements(payer: Payer) -> tuple[OwnStatement, ...]:
    found = Statement.objects.filter(payer=payer).select_related("lab", "period")
    return tuple(
        OwnStatement(str(one), month_words(one.period.month), formats.euros(one.gross_cents))
        for one in found.order_by("-number")[:STATEMENTS_SHOWN]
    )
