"""A machine's page for a new computer: a code to copy or scan, a file for its SD card, six words and two buttons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import segno
from django import forms
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.directory import bare_host
from interlock.hub.domain import enrolment as deeds
from interlock.hub.domain.enrolment import Opened
from interlock.hub.models import Enrolment, Machine, Node
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import attempt, sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.pages.machine_facts import machine_of
from interlock.hub.permissions import Permission
from interlock.protocol.enrolment import EnrolmentCode

QR_SCALE = 6
QR_BORDER = 4
"""The quiet zone of ISO/IEC 18004."""
HOST_LENGTH_MAX = 253
"""RFC 1035."""


class Address(Form):
    """Where the computer will look for the hub."""

    host = forms.CharField(
        max_length=HOST_LENGTH_MAX,
        label=gettext_lazy("The hub's name or address, as the machine reaches it"),
        help_text=gettext_lazy("Without port. It stays in the computer: choose one that lasts."),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an enrolment stands: a step, six words once there are some, and until when."""

    number: int
    step: str
    words: tuple[str, ...] = ()
    until: str = ""
    is_there: bool = False
    node: int | None = None
    name: str = ""


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_NODES)
def add(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """What to do, and after the button the code: it is on this answer and nowhere else."""
    machine = machine_of(viewer, slug)
    form = Address(request.POST or None, initial={"host": _host_of(request)})
    opened = _opened(form, viewer, machine, Enrolment.Kind.CODE)
    context = {**_context(viewer, machine), "form": form}
    if opened is not None:
        text = opened.code.to_text()
        code = segno.make(text, error="m", micro=False)
        context |= {
            "code": text,
            "qr": code.svg_data_uri(scale=QR_SCALE, border=QR_BORDER, dark="#000", light="#fff"),
        }
    return render(request, "hub/nodes/add.html", context)


@require_POST
@page(Permission.EDIT_NODES)
def card(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """interlock.toml, to be put on the boot partition of a freshly written SD card."""
    machine = machine_of(viewer, slug)
    form = Address(request.POST)
    opened = _opened(form, viewer, machine, Enrolment.Kind.FILE)
    if opened is None:
        return render(request, "hub/nodes/add.html", {**_context(viewer, machine), "form": form})
    until = formats.moment(opened.enrolment.expires_at, viewer.zone, viewer.now)
    content = card_file(machine, opened.code, until)
    response = HttpResponse(content, content_type="application/toml; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="interlock.toml"'
    return response


@require_GET
@page(Permission.EDIT_NODES)
def state(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """Only where it stands: what live.js fetches when something changed."""
    machine = machine_of(viewer, slug)
    return render(request, "hub/nodes/standing.html", _context(viewer, machine))


@require_POST
@page(Permission.EDIT_NODES)
def confirm(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The words are the same: the computer is the machine's node."""
    found = _enrolment_of(viewer, number)
    attempt(
        request,
        lambda: deeds.confirm(viewer.actor, found),
        gettext("%(machine)s has its computer. It fetches its list of rights by itself.")
        % {"machine": found.machine.name},
    )
    return redirect("add-computer", found.machine.slug)


@require_POST
@page(Permission.EDIT_NODES)
def end(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The words differ, or the code is not wanted any more."""
    found = _enrolment_of(viewer, number)
    differ = found.claimed_at is not None
    ending = Enrolment.Ending.REFUSED if differ else Enrolment.Ending.CANCELLED
    attempt(
        request,
        lambda: deeds.cancel(viewer.actor, found, ending),
        gettext("That computer is refused. Look for who used the code before you make another.")
        if differ
        else gettext("The code works no more."),
    )
    return redirect("add-computer", found.machine.slug)


def card_file(machine: Machine, code: EnrolmentCode, until: str) -> str:
    """The file of an SD card, with words for whoever finds it (sync/card_file.py reads it)."""
    return (
        f"# Interlock: {_comment(machine.name)}\n"
        "# Put this file on the first partition of a freshly written SD card (it is called bootfs).\n"
        "# Mettez ce fichier sur la première partition d'une carte SD fraîchement écrite (bootfs).\n"
        f"# One use, until / un seul usage, avant : {until}\n\n"
        "[enrolment]\n"
        f'machine = "{machine.slug}"\n'
        f'code = "{code.to_text()}"\n'
        "\n# No node.toml of the machine beside this file? Then say which ready one it is; without the marks #.\n"
        "# Pas de node.toml de la machine à côté de ce fichier ? Dites alors laquelle c'est, sans les marques #.\n"
        "# [computer]\n"
        '# profile = "saw"      # "saw", "laser", "printer"\n'
        '# language = "fr"      # "fr", "en"\n'
        f'# hostname = "{_label(machine.slug)}"\n'
    )


def _label(slug: str) -> str:
    """A computer's name in the network: letters, digits and hyphens (sync/card_file.py)."""
    return slug.lower().replace("_", "-").strip("-")[:63].rstrip("-")


def _comment(text: str) -> str:
    """A name on one line of a comment, whatever it holds."""
    return "".join(letter for letter in text if letter.isprintable())


def _opened(form: Address, viewer: Viewer, machine: Machine, kind: str) -> Opened | None:
    if not (form.is_bound and form.is_valid()):
        return None
    host, port = form.cleaned_data["host"], settings.NODE_PORT
    try:
        return deeds.open_enrolment(viewer.actor, machine, kind, host, port)
    except InterlockError as error:
        form.add_error("host", sentence(error))
        return None


def _host_of(request: HttpRequest) -> str:
    """hub.toml's, else the one in the address line of whoever looks."""
    chosen: str = settings.HUB.config().node_address
    return chosen or bare_host(split_domain_port(request.get_host())[0])


def _context(viewer: Viewer, machine: Machine) -> dict[str, object]:
    return {
        "machine": machine,
        "present": Node.objects.filter(machine=machine, revoked_at=None).first(),
        "standing": _standing(viewer, machine),
    }


def _standing(viewer: Viewer, machine: Machine) -> Standing | None:
    """The newest enrolment of the machine, while there is something to be said of it."""
    found = (
        Enrolment.objects.filter(machine=machine)
        .exclude(ending=Enrolment.Ending.REPLACED)
        .select_related("node")
        .first()
    )
    if found is None or (found.ended_at is not None and found.claimed_at is None):
        return None
    if found.node is not None:
        recent = found.node.revoked_at is None
        step = "done" if recent else ""
        return Standing(found.pk, step, node=found.node.pk, name=found.node.slug) if step else None
    if found.ended_at is not None:
        return Standing(found.pk, "refused")
    until = deeds.deadline_of(found)
    if viewer.now >= until:
        return Standing(found.pk, "late")
    said = formats.moment(until, viewer.zone, viewer.now)
    if found.claimed_at is None:
        return Standing(found.pk, "waiting", until=said)
    there = _is_there(found.asked_at, viewer.now)
    return Standing(found.pk, "words", tuple(found.words.split()), said, there)


def _is_there(asked_at: datetime | None, now: datetime) -> bool:
    """Whether the computer still waits: it asks every two seconds."""
    return asked_at is not None and now - asked_at < deeds.WAITING_AFTER


def _enrolment_of(viewer: Viewer, number: int) -> Enrolment:
    found = (
        Enrolment.objects.filter(lab=viewer.lab, pk=number).select_related("lab", "machine").first()
    )
    if found is None:
        raise Http404(gettext("There is no such code in this lab."))
    return found
