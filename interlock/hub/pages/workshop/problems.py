"""A machine's QR code goes in; a page without login comes out, and for the staff what was written there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import machine_links, machines
from interlock.hub.domain import problems as deeds
from interlock.hub.models import Machine, MachineLink, Problem
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, hub_clock, page, public
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.workshop.parts import one_of, page_of, posted
from interlock.hub.pages.workshop.rates import Rates
from interlock.hub.permissions import Actor, Permission

VISITOR = "somebody at the machine"
ANSWERS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One problem in words."""

    number: int
    machine: str
    machine_slug: str
    text: str
    when: str
    answer: str
    closed: str
    locked_out: bool


class ReportForm(Form):
    """What is wrong."""

    text = forms.CharField(
        max_length=deeds.TEXT_LENGTH_MAX,
        label=gettext_lazy("What is wrong?"),
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=gettext_lazy(
            "Words only: a photo cannot be sent. Please name nobody, not even yourself."
        ),
    )


@never_cache
@require_http_methods(["GET", "POST"])
@public
def report(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind a machine's QR code."""
    found = machine_links.machine_behind(token, MachineLink.Purpose.PROBLEM)
    if found is None:
        raise Http404(gettext("This code is not valid any more. Please tell somebody of the lab."))
    form = ReportForm(posted(request))
    status = HTTPStatus.OK
    if form.is_bound and form.is_valid():
        if not _rates().admit(request.META.get("REMOTE_ADDR", ""), found.pk):
            status = HTTPStatus.TOO_MANY_REQUESTS
            form.add_error(
                None,
                gettext(
                    "Several reports came from here just now. Please tell somebody of the lab."
                ),
            )
        elif _reported(found, form):
            return redirect("problem-reported", token)
    return _shown(request, found, {"form": form}, status)


@never_cache
@require_GET
@public
def reported(request: HttpRequest, token: str) -> HttpResponse:
    """Thank you: what happens now."""
    found = machine_links.machine_behind(token, MachineLink.Purpose.PROBLEM)
    if found is None:
        raise Http404(gettext("This code is not valid any more. Please tell somebody of the lab."))
    return _shown(request, found, {"thanks": True, "token": token}, HTTPStatus.OK)


@require_GET
@page(Permission.MAINTAIN)
def problems(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What people wrote at machines: open ones, or those that are closed."""
    closed = request.GET.get("closed") == "1"
    found = Problem.objects.filter(lab=viewer.lab, closed_at__isnull=not closed)
    shown = page_of(request, found.select_related("machine", "closed_by"))
    context = {
        "page": shown,
        "rows": [_row(one, viewer) for one in shown],
        "closed": closed,
        "query": "closed=1" if closed else "",
        "may_lock_out": viewer.may(Permission.LOCK_OUT),
        "length_max": deeds.TEXT_LENGTH_MAX,
    }
    return render(request, "hub/workshop/problems.html", context)


@require_POST
@page(Permission.MAINTAIN)
def answer(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """Whoever scans the code next reads it."""
    found = _found(viewer, number)
    done = gettext("Whoever scans the code of %(machine)s reads your answer.")
    said = request.POST.get("answer", "")
    attempt(
        request,
        lambda: deeds.answer(viewer.actor, found, said),
        done % {"machine": found.machine.name},
    )
    return redirect("problems")


@require_POST
@page(Permission.MAINTAIN)
def close(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It is dealt with."""
    found = _found(viewer, number)
    done = gettext("The problem is closed. You find it under “Closed”.")
    attempt(request, lambda: deeds.close(viewer.actor, found), done)
    return redirect("problems")


@require_POST
@page(Permission.MAINTAIN)
def reopen(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """It is not dealt with after all."""
    found = _found(viewer, number)
    attempt(
        request,
        lambda: deeds.close(viewer.actor, found, closed=False),
        gettext("The problem is open again."),
    )
    return redirect("problems")


@require_POST
@page(Permission.LOCK_OUT)
def lock_out(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The machine it is about starts for nobody: with one click."""
    found = _found(viewer, number)
    done = gettext("%(machine)s is locked out as soon as its node confirms.")
    why = gettext("A problem was reported; it is being looked into.")
    attempt(
        request,
        lambda: machines.lock_out(viewer.actor, found.machine, why),
        done % {"machine": found.machine.name},
    )
    return redirect("machine", found.machine.slug)


def _reported(found: Machine, form: ReportForm) -> bool:
    try:
        deeds.report(Actor(hub_clock(), label=VISITOR), found, form.cleaned_data["text"])
    except InterlockError as error:
        form.add_error(None, sentence(error))
        return False
    return True


def _shown(
    request: HttpRequest, found: Machine, more: dict[str, object], status: HTTPStatus
) -> HttpResponse:
    answered = Problem.objects.filter(machine=found, closed_at=None).exclude(answer="")
    answers = answered.order_by("-answered_at").values_list("answer", flat=True)[:ANSWERS_SHOWN]
    context = {"machine": found, "lab_name": found.lab.name, "answers": list(answers), **more}
    return render(request, "hub/workshop/report.html", context, status=status)


def _row(one: Problem, viewer: Viewer) -> Row:
    closed = ""
    if one.closed_at is not None:
        when = formats.moment(one.closed_at, viewer.zone, viewer.now)
        closed = f"{when} · {one.closed_by.name}" if one.closed_by else when
    return Row(
        number=one.pk,
        machine=one.machine.name,
        machine_slug=one.machine.slug,
        text=one.text,
        when=formats.moment(one.reported_at, viewer.zone, viewer.now),
        answer=one.answer,
        closed=closed,
        locked_out=one.machine.locked_out_at is not None,
    )


def _found(viewer: Viewer, number: int) -> Problem:
    mine = Problem.objects.filter(lab=viewer.lab, pk=number)
    return one_of(mine.select_related("lab", "machine__lab"))


@cache
def _rates() -> Rates:
    """One count for the whole process, however many threads answer."""
    return Rates(hub_clock())
