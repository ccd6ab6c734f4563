"""A button pressed by somebody goes in; the domain function runs, and a message says what is so now.

Permissions are asked twice on purpose: here for the page, and by the domain function for the change.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import grants as grant_deeds
from interlock.hub.domain import machines as machine_deeds
from interlock.hub.domain import members as member_deeds
from interlock.hub.domain import nodes as node_deeds
from interlock.hub.domain import trainings as training_deeds
from interlock.hub.models import (
    Alarm,
    Authorisation,
    Badge,
    BadgeCondition,
    PendingGrant,
    Training,
)
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.pages.member import member_of
from interlock.hub.permissions import Permission

WHY_LENGTH_MAX = 200
"""What the column of a lock-out's reason holds; a sentence is enough."""


@require_POST
@page(Permission.GRANT_ANY, Permission.GRANT_OWN)
def grant(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """The member holds the training whose button was pressed."""
    found = member_of(viewer, public_id)
    training = _training(viewer, request.POST.get("training", ""))
    attempt(
        request,
        lambda: training_deeds.grant_training(viewer.actor, found, training),
        gettext(
            "%(name)s holds “%(training)s”. Each machine knows it as soon as its node confirms."
        )
        % {"name": found.name, "training": training.name},
    )
    return redirect("member", public_id)


@require_POST
@page(Permission.GRANT_ANY, Permission.GRANT_OWN)
def revoke(request: HttpRequest, viewer: Viewer, public_id: str, training: str) -> HttpResponse:
    """The member no longer holds the training."""
    found = member_of(viewer, public_id)
    held = (
        Authorisation.objects.filter(member=found, training__slug=training, revoked_at=None)
        .select_related("training", "member", "lab")
        .first()
    )
    if held is None:
        messages.error(request, gettext("They do not hold this training."))
        return redirect("member", public_id)
    attempt(
        request,
        lambda: training_deeds.revoke_training(viewer.actor, held),
        gettext("“%(training)s” is revoked. Each machine refuses as soon as its node confirms.")
        % {"training": held.training.name},
    )
    return redirect("member", public_id)


@require_POST
@page(Permission.GRANT_ANY, Permission.GRANT_OWN)
def confirm_grant(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The member holds what was granted at a machine from now on, at every machine."""
    found = _pending(viewer, number)
    attempt(
        request,
        lambda: grant_deeds.confirm(viewer.actor, found),
        gettext(
            "%(name)s holds “%(training)s”. Each machine knows it as soon as its node confirms."
        )
        % {"name": found.member.name, "training": found.training.name},
    )
    return redirect("member", found.member.public_id)


@require_POST
@page(Permission.GRANT_ANY, Permission.GRANT_OWN)
def reject_grant(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It was not the trainer, or a mistake: the machine forgets it at midnight."""
    found = _pending(viewer, number)
    attempt(
        request,
        lambda: grant_deeds.reject(viewer.actor, found, _why(request)),
        gettext("The grant is rejected. The machine itself forgets it at midnight."),
    )
    return redirect("member", found.member.public_id)


@require_POST
@page(Permission.EDIT_BADGES)
def block(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The badge is lost, stolen or retired."""
    badge = Badge.objects.filter(lab=viewer.lab, pk=number).select_related("member", "lab").first()
    given = request.POST.get("condition", "")
    if badge is None or given not in BadgeCondition.values:
        raise Http404(gettext("There is no such badge in this lab."))
    attempt(
        request,
        lambda: member_deeds.block_badge(viewer.actor, badge, BadgeCondition(given)),
        gettext("“%(badge)s” is blocked. Each machine refuses it as soon as its node confirms.")
        % {"badge": badge},
    )
    return redirect("member", badge.member.public_id)


@require_POST
@page(Permission.EDIT_MEMBERS)
def suspend(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """The member starts nothing any more."""
    found = member_of(viewer, public_id)
    attempt(
        request,
        lambda: member_deeds.suspend_member(viewer.actor, found, _why(request)),
        gettext("%(name)s is suspended. Each machine refuses them as soon as its node confirms.")
        % {"name": found.name},
    )
    return redirect("member", public_id)


@require_POST
@page(Permission.EDIT_MEMBERS)
def reinstate(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """The suspension is over."""
    found = member_of(viewer, public_id)
    attempt(
        request,
        lambda: member_deeds.reinstate_member(viewer.actor, found),
        gettext("The suspension of %(name)s is over as soon as each machine's node confirms.")
        % {"name": found.name},
    )
    return redirect("member", public_id)


@require_POST
@page(Permission.EDIT_MEMBERS)
def set_credit(request: HttpRequest, viewer: Viewer, public_id: str) -> HttpResponse:
    """The member's credit is as somebody says, until the hub counts it."""
    found = member_of(viewer, public_id)
    attempt(
        request,
        lambda: member_deeds.set_credit(
            viewer.actor, found, request.POST.get("credit", ""), _why(request)
        ),
        gettext("The credit of %(name)s is noted. Each machine knows as soon as its node confirms.")
        % {"name": found.name},
    )
    return redirect("member", public_id)


@require_POST
@page(Permission.LOCK_OUT)
def lock_out(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Nobody starts the machine any more."""
    found = machine_of(viewer, slug)
    attempt(
        request,
        lambda: machine_deeds.lock_out(viewer.actor, found, _why(request)),
        gettext("%(machine)s is locked out as soon as its node confirms.")
        % {"machine": found.name},
    )
    return redirect("machine", slug)


@require_POST
@page(Permission.LOCK_OUT)
def clear_lock_out(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The hub's lock-out is over."""
    found = machine_of(viewer, slug)
    attempt(
        request,
        lambda: machine_deeds.clear_lock_out(viewer.actor, found),
        gettext("The hub's lock-out of %(machine)s is over as soon as its node confirms.")
        % {"machine": found.name},
    )
    return redirect("machine", slug)


@require_POST
@page(Permission.CLOSE_ALARMS)
def close_alarm(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Somebody has looked at it."""
    alarm = (
        Alarm.objects.filter(lab=viewer.lab, pk=number)
        .select_related("lab", "node__machine")
        .first()
    )
    if alarm is None:
        raise Http404(gettext("There is no such alarm in this lab."))
    attempt(
        request,
        lambda: node_deeds.close_alarm(viewer.actor, alarm, _why(request)),
        gettext("The alarm is closed. The next case opens a new one."),
    )
    return redirect("machine", alarm.node.machine.slug)


def sentence(error: InterlockError) -> str:
    """What an error says to the person at the page: what is wrong, and what to do."""
    said = [capfirst(part) for part in (error.what, error.remedy) if part]
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in said)


def attempt(request: HttpRequest, deed: Callable[[], object], done: str) -> None:
    """Run the deed and say so; what the domain refuses is said too, and changes nothing."""
    try:
        deed()
    except InterlockError as error:
        messages.error(request, sentence(error))
    else:
        messages.success(request, done)


def _training(viewer: Viewer, slug: str) -> Training:
    found = Training.objects.filter(lab=viewer.lab, slug=slug).first()
    if found is None:
        raise Http404(gettext("There is no such training in this lab."))
    return found


def _pending(viewer: Viewer, number: int) -> PendingGrant:
    found = (
        PendingGrant.objects.filter(lab=viewer.lab, pk=number)
        .select_related("lab", "member", "training", "trainer", "node")
        .first()
    )
    if found is None:
        raise Http404(gettext("There is no such grant in this lab."))
    return found


def _why(request: HttpRequest) -> str:
    return request.POST.get("why", "").strip()[:WHY_LENGTH_MAX]
