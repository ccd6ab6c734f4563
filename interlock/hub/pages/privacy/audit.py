"""A filter goes in; who changed what, and who looked at whose usage, come out, under the state of the chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from interlock.errors import StoreError
from interlock.hub import days
from interlock.hub.changes import verify_audit
from interlock.hub.models import AuditRow, Lab, UsageView
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.pages.formfields import DATE_WIDGET, Form
from interlock.hub.pages.sessions import query_without_page
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50

_verified: dict[int, tuple[bytes, int, str]] = {}
"""By lab: the head of the chain that was walked, how many rows it had and what was wrong with it. A chain
whose head has not moved is not walked again for every page."""


@dataclass(frozen=True, slots=True)
class Row:
    """One deed in words; an emptied row says only when it was."""

    number: int
    when: str
    actor: str
    action: str
    subject: str
    changed: tuple[tuple[str, str, str], ...]
    why: str
    forgotten: bool


class Filter(Form):
    """Which deeds to show; empty fields ask nothing."""

    q = forms.CharField(
        required=False, max_length=100, label=gettext_lazy("Who, what or about whom")
    )
    from_day = forms.DateField(
        required=False, label=gettext_lazy("From"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )
    to_day = forms.DateField(
        required=False, label=gettext_lazy("To"), widget=DATE_WIDGET, validators=days.VALIDATORS
    )

    def apply(self, found: QuerySet[AuditRow], viewer: Viewer) -> QuerySet[AuditRow]:
        """The deeds that match; days begin and end where the lab is."""
        if not self.is_valid():
            return found.none()
        wanted = self.cleaned_data
        if word := wanted["q"]:
            said = Q(actor__icontains=word) | Q(action__icontains=word.replace(" ", "_"))
            found = found.filter(said | Q(subject__icontains=word) | Q(why__icontains=word))
        if wanted["from_day"]:
            found = found.filter(done_at__gte=days.begin_of(wanted["from_day"], viewer.zone))
        if wanted["to_day"]:
            found = found.filter(done_at__lt=days.end_of(wanted["to_day"], viewer.zone))
        return found


@require_GET
@page(Permission.VIEW_AUDIT)
def audit(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who changed what, newest first."""
    form = Filter(request.GET or None)
    found = AuditRow.objects.filter(lab=viewer.lab)
    if form.is_bound:
        found = form.apply(found, viewer)
    shown = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    count, wrong = chain_of(viewer.lab)
    context = {
        "form": form,
        "page": shown,
        "rows": [_row(one, viewer) for one in shown.object_list],
        "filtered": form.is_bound and any(request.GET.get(name) for name in form.fields),
        "query": query_without_page(request),
        "count": count,
        "wrong": wrong,
    }
    return render(request, "hub/privacy/audit.html", context)


@require_GET
@page(Permission.VIEW_AUDIT)
def looks(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who looked at whose usage, newest first."""
    found = UsageView.objects.filter(lab=viewer.lab).select_related("viewer", "member")
    shown = Paginator(found.order_by("-day", "viewer__name", "pk"), ROWS_PER_PAGE).get_page(
        request.GET.get("page")
    )
    rows = [(_day(one, viewer), one.viewer.name, one.member) for one in shown.object_list]
    return render(request, "hub/privacy/looks.html", {"page": shown, "rows": rows})


def chain_of(lab: Lab) -> tuple[int, str]:
    """How many rows the audit chain has, and what is wrong with it; empty when every link holds."""
    fresh = Lab.objects.only("audit_head", "audit_seq").get(pk=lab.pk)
    known = _verified.get(lab.pk)
    if known is None or known[0] != bytes(fresh.audit_head):
        try:
            found = (bytes(fresh.audit_head), verify_audit(lab), "")
        except StoreError as error:
            found = (bytes(fresh.audit_head), fresh.audit_seq, str(error))
        _verified[lab.pk] = known = found
    return known[1], known[2]


def _day(look: UsageView, viewer: Viewer) -> str:
    return formats.day(datetime.combine(look.day, time(12), viewer.zone), viewer.zone)


def _row(row: AuditRow, viewer: Viewer) -> Row:
    return Row(
        number=row.seq,
        when=formats.moment(row.done_at, viewer.zone, viewer.now),
        actor=row.actor,
        action=row.action.replace("_", " "),
        subject=row.subject,
        changed=tuple(_changed(row.before or {}, row.after or {})),
        why=row.why,
        forgotten=row.salt is None,
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, old and new value of what differs."""
    names = [*before, *(name for name in after if name not in before)]
    pairs = [(name, before.get(name), after.get(name)) for name in names]
    return [(name.replace("_", " "), _said(a), _said(b)) for name, a, b in pairs if a != b]


def _said(value: Any) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
