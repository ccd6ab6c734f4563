"""What others may see of the lab, as a form goes in: the public page, the wall screen and its address."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from interlock.errors import InterlockError
from interlock.hub.domain import publicity as deeds
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.permissions import Permission


class PublicityForm(Form):
    """Two things that are off until the lab wants them."""

    public_page = forms.BooleanField(
        required=False, label=gettext_lazy("A page for everybody: machines, opening hours, prices")
    )
    wall_names = forms.BooleanField(
        required=False, label=gettext_lazy("The wall screen says who uses a machine")
    )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_LAB)
def publicity(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What is shown to whom, and where."""
    lab = viewer.lab
    known = {"public_page": lab.public_page, "wall_names": lab.wall_names}
    form = PublicityForm(request.POST if request.method == "POST" else None, initial=known)
    if form.is_bound and form.is_valid():
        deeds.show_publicly(viewer.actor, lab, **form.cleaned_data)
        messages.success(request, gettext("Kept."))
        return redirect("publicity")
    context = {
        "form": form,
        "public_address": request.build_absolute_uri(reverse("public-page", args=[lab.slug])),
        "wall_address": _wall_address(request, viewer),
        "is_public": lab.public_page,
    }
    return render(request, "hub/reports/publicity.html", context)


@require_POST
@page(Permission.EDIT_LAB)
def make_wall(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The wall screen has a new address; an earlier one shows nothing any more."""
    deeds.make_wall_address(viewer.actor, viewer.lab)
    messages.success(request, gettext("The wall screen has a new address."))
    return redirect("publicity")


@require_POST
@page(Permission.EDIT_LAB)
def end_wall(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """No screen shows the board without a login any more."""
    try:
        deeds.end_wall_address(viewer.actor, viewer.lab)
    except InterlockError as error:
        messages.error(request, sentence(error))
    else:
        messages.success(request, gettext("The wall screen's address shows nothing any more."))
    return redirect("publicity")


def _wall_address(request: HttpRequest, viewer: Viewer) -> str:
    lab = viewer.lab
    if not lab.wall_key:
        return ""
    return request.build_absolute_uri(reverse("open-wall", args=[lab.slug, lab.wall_key]))
