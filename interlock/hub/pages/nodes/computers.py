"""The computers at machines: one line each, a page each, and the click that ends one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_POST

from interlock.hub.authority import Certificates
from interlock.hub.domain import authorities
from interlock.hub.domain import nodes as deeds
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Enrolment, Machine, Node, NodeHealth, Snapshot
from interlock.hub.pages import formats
from interlock.hub.pages.access import Viewer, hub_clock, page
from interlock.hub.pages.actions import WHY_LENGTH_MAX, attempt
from interlock.hub.pages.confirmations import is_confirmed
from interlock.hub.pages.machine_facts import Fact
from interlock.hub.pages.machines import node_facts
from interlock.hub.permissions import Permission

ROWS_PER_PAGE = 50
CLOCK_MS_MAX = 60_000
"""A minute is what an opening hour may be wrong by before anybody asks."""
DISK_MB_MIN = 500
"""Below this a Pi's next update fails."""
HOT_DC = 800
"""A Raspberry Pi slows itself down at 80 °C (its documentation, "Frequency management")."""


@dataclass(frozen=True, slots=True)
class Row:
    """One machine and its computer, if it has one."""

    slug: str
    machine: str
    number: int | None
    name: str
    state: str
    words: str
    software: str
    rights: Fact
    computer: str
    waits: bool


@require_GET
@page(Permission.VIEW_NODES)
def nodes(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every machine of the lab with its computer, what each is in need of, and the certificates."""
    machines = Machine.objects.filter(lab=viewer.lab).order_by("name", "pk")
    shown = Paginator(_with_nodes(machines), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "rows": [_row(one, viewer) for one in shown],
        "page": shown,
        "may_edit": viewer.may(Permission.EDIT_NODES),
        **_certificates(viewer),
    }
    return render(request, "hub/nodes/nodes.html", context)


@require_GET
@page(Permission.VIEW_NODES)
def node(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """One computer: what it says of itself, what it left behind, and who came before it."""
    found = _node_of(viewer, number)
    before = Node.objects.filter(machine=found.machine).exclude(pk=found.pk).order_by("-pk")
    context = {
        "node": found,
        "facts": [*node_facts(found, viewer), *_health_facts(_health_of(found), viewer)],
        "history": list(_history(found, viewer)),
        "others": [(one.pk, one.slug, formats.day(one.enrolled_at, viewer.zone)) for one in before],
        "may_edit": viewer.may(Permission.EDIT_NODES) and found.revoked_at is None,
    }
    return render(request, "hub/nodes/node.html", context)


@require_POST
@page(Permission.EDIT_NODES)
def revoke(request: HttpRequest, viewer: Viewer, number: int) -> HttpResponse:
    """The computer is nobody from its next request on."""
    found = _node_of(viewer, number)
    why = request.POST.get("why", "")[:WHY_LENGTH_MAX]
    attempt(
        request,
        lambda: deeds.revoke_node(viewer.actor, found, why),
        gettext("%(node)s is revoked: the hub no longer speaks with it.") % {"node": found.slug},
    )
    return redirect("node", number)


@require_POST
@page(Permission.EDIT_NODES)
def next_authority(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The nodes are told of the next certificate authority; the hub changes over when all know it."""
    attempt(
        request,
        lambda: authorities.begin_rollover(viewer.actor, viewer.lab),
        gettext("The next authority is made. Every computer hears of it by itself."),
    )
    return redirect("nodes")


def _with_nodes(machines: QuerySet[Machine]) -> QuerySet[Machine]:
    live = Node.objects.filter(revoked_at=None).select_related("health")
    current = Prefetch("snapshot", Snapshot.objects.defer("head"))
    waiting = Enrolment.objects.filter(ended_at=None, confirmed_at=None, claimed_at__isnull=False)
    return machines.prefetch_related(
        Prefetch("nodes", live.prefetch_related(current), to_attr="live_nodes"),
        Prefetch("enrolments", waiting, to_attr="waiting"),
    )


def _row(machine: Machine, viewer: Viewer) -> Row:
    found: Node | None = next(iter(machine.live_nodes), None)  # type: ignore[attr-defined]
    waits = bool(machine.waiting)  # type: ignore[attr-defined]
    if found is None:
        none = Fact("", "")
        return Row(machine.slug, machine.name, None, "", "", "", "", none, "", waits)
    state, words = _contact(found, viewer)
    health = _health_of(found)
    return Row(
        slug=machine.slug,
        machine=machine.name,
        number=found.pk,
        name=found.slug,
        state=state,
        words=words,
        software=found.software,
        rights=_rights(found, viewer),
        computer=", ".join(fact.value for fact in _health_facts(health, viewer) if fact.state),
        waits=waits,
    )


def _contact(found: Node, viewer: Viewer) -> tuple[str, str]:
    if found.last_seen_at is None:
        return "offline", gettext("never heard of yet")
    silent = viewer.now - found.last_seen_at
    said = formats.ago(max(0, int(silent.total_seconds())))
    return ("offline" if silent > SILENT_AFTER else "free"), said


def _rights(found: Node, viewer: Viewer) -> Fact:
    name = gettext("List of rights")
    if found.confirmed_epoch is None:
        return Fact(name, gettext("none: it refuses everybody"), "ending")
    version = f"{found.confirmed_epoch}.{found.confirmed_counter}"
    if is_confirmed(found, viewer.lab):
        return Fact(name, gettext("%(version)s, the newest") % {"version": version})
    return Fact(name, gettext("%(version)s, an older one") % {"version": version}, "ending")


def _health_of(found: Node) -> NodeHealth | None:
    try:
        return found.health
    except NodeHealth.DoesNotExist:
        return None


def _health_facts(health: NodeHealth | None, viewer: Viewer) -> Iterable[Fact]:
    """What its network process told; a `state` marks what somebody should look at."""
    if health is None:
        return
    ahead = health.clock_ahead_ms
    if ahead is not None:
        off = abs(ahead) > CLOCK_MS_MAX
        said = formats.duration(abs(ahead) // 1_000)
        wrong = gettext("%(time)s ahead") if ahead > 0 else gettext("%(time)s behind")
        words = wrong % {"time": said} if off else gettext("right")
        yield Fact(gettext("The computer's own clock"), words, "ending" if off else "")
    if health.disk_free_mb is not None and health.disk_mb:
        free = gettext("%(free)s of %(all)s GB free") % {
            "free": _gigabytes(health.disk_free_mb),
            "all": _gigabytes(health.disk_mb),
        }
        state = "ending" if health.disk_free_mb < DISK_MB_MIN else ""
        yield Fact(gettext("SD card"), free, state)
    if health.temperature_dc is not None:
        state = "ending" if health.temperature_dc >= HOT_DC else ""
        yield Fact(gettext("Temperature"), f"{health.temperature_dc // 10}\u00a0°C", state)
    yield _authority_fact(health)


def _authority_fact(health: NodeHealth) -> Fact:
    name = gettext("Connection")
    if health.authorities is None:
        return Fact(name, gettext("plain HTTP: not enrolled by a code"), "ending")
    return Fact(name, gettext("HTTPS, the lab's own authority"))


def _gigabytes(megabytes: int) -> str:
    whole = f"{megabytes / 1_000:.1f}"
    return whole.replace(".", ",") if formats.is_french() else whole


def _history(found: Node, viewer: Viewer) -> Iterable[str]:
    """How it came and went, and what the one before it may have kept to itself."""
    day = formats.moment(found.enrolled_at, viewer.zone, viewer.now)
    yield gettext("Enrolled: %(when)s") % {"when": day}
    enrolment = Enrolment.objects.filter(node=found).select_related("replaced").first()
    if enrolment is not None and enrolment.replaced is not None:
        yield gettext("It replaces %(node)s.") % {"node": enrolment.replaced.slug}
        sessions, records = enrolment.missing_sessions, enrolment.missing_records
        if sessions:
            yield ngettext(
                "%(n)s session of the old computer ended unseen; it is closed at its last proof of life.",
                "%(n)s sessions of the old computer ended unseen; they are closed at their last proof of life.",
                sessions,
            ) % {"n": sessions}
        if records:
            yield ngettext(
                "%(n)s record of the old computer never arrived: sessions in it may be missing.",
                "%(n)s records of the old computer never arrived: sessions in them may be missing.",
                records,
            ) % {"n": records}
    if found.revoked_at is not None:
        gone = formats.moment(found.revoked_at, viewer.zone, viewer.now)
        yield gettext("Revoked: %(when)s") % {"when": gone}


def _certificates(viewer: Viewer) -> dict[str, object]:
    certificates: Certificates = settings.HUB.certificates(hub_clock())
    found = certificates.authorities()
    context: dict[str, object] = {
        "authority_until": formats.day(found[0].ends_at, viewer.zone),
        "server_until": (
            formats.day(certificates.server().not_valid_after_utc, viewer.zone)
            if certificates.server_file.exists()
            else gettext("not issued yet")
        ),
        "is_rolling_over": len(found) > 1,
    }
    if len(found) > 1:
        context["unaware"] = authorities.unaware_of_next(viewer.lab, hub_clock())
    return context


def _node_of(viewer: Viewer, number: int) -> Node:
    found = (
        Node.objects.filter(lab=viewer.lab, pk=number)
        .select_related("lab", "machine", "health")
        .prefetch_related(Prefetch("snapshot", Snapshot.objects.defer("head")))
        .first()
    )
    if found is None:
        raise Http404(gettext("There is no such computer in this lab."))
    return found
