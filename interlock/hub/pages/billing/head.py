"""The lab's address and numbers go in; every statement bears them from then on."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from interlock.errors import InterlockError
from interlock.hub.domain import statements as deeds
from interlock.hub.domain.statements import HEAD_LENGTH_MAX
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.actions import sentence
from interlock.hub.pages.formfields import Form
from interlock.hub.permissions import Permission


class HeadForm(Form):
    """What stands under the lab's name."""

    head = forms.CharField(
        required=False,
        max_length=HEAD_LENGTH_MAX,
        label=gettext_lazy("Under the lab's name"),
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=gettext_lazy(
            "Address, SIREN, VAT number: one a line, as your accountant wants to read them."
        ),
    )


@require_http_methods(["GET", "POST"])
@page(Permission.EDIT_TARIFFS)
def head(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The head of statements, to be changed."""
    form = HeadForm(
        request.POST if request.method == "POST" else None,
        initial={"head": viewer.lab.statement_head},
    )
    if form.is_bound and form.is_valid():
        try:
            deeds.set_head(viewer.actor, viewer.lab, form.cleaned_data["head"])
        except InterlockError as error:
            form.add_error(None, sentence(error))
        else:
            messages.success(request, gettext("Statements bear this from now on."))
            return redirect("billing")
    return render(request, "hub/billing/head.html", {"form": form})
