"""Who was erased goes in, without a name; which machines have forgotten them, and which not yet, comes out."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.erased import TOLD_FOR, holders
from interlock.hub.models import ErasedMember, Node
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, page
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Row:
    """One erasure: when, how many machines could have known them, and which may still."""

    when: str
    machines: int
    forgot: int
    holding: tuple[tuple[str, str], ...]


@require_GET
@page(Permission.ERASE_MEMBERS)
def erasures(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The erasures that nodes are told of, the newest first."""
    found = ErasedMember.objects.filter(lab=viewer.lab, erased_at__gt=viewer.now - TOLD_FOR)
    pages = Paginator(found.order_by("-erased_at", "-pk"), ROWS_PER_PAGE)
    shown = pages.get_page(request.GET.get("page"))
    listed = list(shown.object_list)
    held = holders(viewer.lab, listed)
    rows = [_row(one, *held[one.pk], viewer) for one in listed]
    return render(request, "hub/privacy/erasures.html", {"page": shown, "rows": rows})


def _row(erased: ErasedMember, holding: list[Node], machines: int, viewer: Viewer) -> Row:
    return Row(
        when=formats.moment(erased.erased_at, viewer.zone, viewer.now),
        machines=machines,
        forgot=machines - len(holding),
        holding=tuple((node.machine.name, _since(node, viewer)) for node in holding),
    )


def _since(node: Node, viewer: Viewer) -> str:
    """Why it has not, in words: out of reach since when, or out of service for good."""
    if node.revoked_at is not None:
        said = gettext(
            "its computer was taken out of service on %(day)s before it did: erase its SD card"
        )
        return said % {"day": formats.day(node.revoked_at, viewer.zone)}
    if node.last_seen_at is None:
        return gettext("never heard of yet")
    silent_s = int((viewer.now - node.last_seen_at).total_seconds())
    return gettext("last contact %(ago)s") % {"ago": formats.ago(max(0, silent_s))}
