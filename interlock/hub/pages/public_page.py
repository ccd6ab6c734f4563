"""A lab that wants it goes in; its page for everybody comes out: machines, whether they are free, prices. No names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from interlock.hub.domain.hours import DAY_MINUTES
from interlock.hub.models import Basis, Lab, Machine, TariffVersion
from interlock.hub.pages import formats
from interlock.hub.pages.access import hub_now, public
from interlock.hub.pages.tiles import last_seen_at, live_state, machines_of
from interlock.hub.pages.words import WEEKDAYS

CACHED_S = 60
"""So often at most somebody's curiosity costs the hub anything, however many look."""


@dataclass(frozen=True, slots=True)
class PublicMachine:
    """One machine: whether somebody may come and use it."""

    name: str
    place: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Price:
    """What one tariff costs one public."""

    public: str
    price: str
    notes: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """One tariff: the machines that cost by it, and its prices by public."""

    name: str
    machines: tuple[str, ...]
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class OpenOn:
    """A weekday and its opening hours."""

    day: str
    hours: str


@require_GET
@public
def public_page(request: HttpRequest, lab: str) -> HttpResponse:
    """The lab for everybody, where it asked for such a page."""
    found = Lab.objects.filter(slug=lab, public_page=True).first()
    if found is None:
        raise Http404(gettext("There is no such page."))
    zone, now = ZoneInfo(found.time_zone), hub_now()
    machines = list(machines_of(found))
    context = {
        "shown_lab": found,
        "machines": [_machine(one, now) for one in machines],
        "prices": _prices(machines, now),
        "hours": _hours(found.hours),
        "at": formats.time_of_day(now, zone),
    }
    response = render(request, "hub/public.html", context)
    response.headers["Cache-Control"] = f"public, max-age={CACHED_S}"
    response.headers["Vary"] = "Accept-Language, Cookie"
    return response


def _machine(machine: Machine, now: datetime) -> PublicMachine:
    state = live_state(machine, last_seen_at(machine), now)
    if state == "free":
        said = gettext("Free")
    elif state in ("in-use", "idle", "ending"):
        state, said = "in-use", gettext("In use")
    elif state == "offline":
        said = gettext("Not known")
    else:
        state, said = "locked-out", gettext("Out of order")
    return PublicMachine(machine.name, machine.location, state, said)


def _prices(machines: Iterable[Machine], now: datetime) -> list[PriceList]:
    """The prices in force of the tariffs that machines cost by, everybody's first."""
    of_tariff: dict[int, list[str]] = defaultdict(list)
    for machine in machines:
        if machine.tariff_id is not None:
            of_tariff[machine.tariff_id].append(machine.name)
    versions = (
        TariffVersion.objects.filter(Q(starts_at__lte=now), tariff__in=of_tariff)
        .select_related("tariff", "group")
        .order_by("tariff__name", "-starts_at", "-pk")
    )
    in_force: dict[int, dict[int | None, TariffVersion]] = defaultdict(dict)
    for version in versions:
        in_force[version.tariff_id].setdefault(version.group_id, version)
    return [
        PriceList(
            name=next(iter(known.values())).tariff.name,
            machines=tuple(of_tariff[tariff]),
            prices=tuple(
                _price(one)
                for one in sorted(known.values(), key=lambda v: (v.group is not None, str(v.group)))
            ),
        )
        for tariff, known in in_force.items()
    ]


def _price(version: TariffVersion) -> Price:
    said = gettext("%(price)s an hour") % {"price": formats.euros(version.cents_per_hour)}
    if version.basis == Basis.BUSY:
        said = gettext("%(price)s an hour of work") % {
            "price": formats.euros(version.cents_per_hour)
        }
    notes = [
        gettext("%(price)s to start") % {"price": formats.euros(version.setup_cents)}
        if version.setup_cents
        else "",
        gettext("at least %(price)s") % {"price": formats.euros(version.minimum_cents)}
        if version.minimum_cents
        else "",
        gettext("at most %(price)s a day") % {"price": formats.euros(version.daily_cap_cents)}
        if version.daily_cap_cents
        else "",
        gettext("without VAT") if version.is_net else "",
    ]
    public = version.group.name if version.group else gettext("Everybody")
    free = gettext("free of charge")
    return Price(
        public,
        said if version.cents_per_hour or version.setup_cents else free,
        ", ".join(note for note in notes if note),
    )


def _hours(spans: Iterable[Iterable[int]]) -> list[OpenOn]:
    """Each weekday with its hours; none at all where the lab keeps none."""
    by_day: dict[int, list[str]] = defaultdict(list)
    for day, first, last in sorted(tuple(span) for span in spans):
        by_day[day].append(f"{_clock(first)}–{_clock(last)}")
    if not by_day:
        return []
    closed = gettext("closed")
    return [
        OpenOn(str(name), ", ".join(by_day[day]) or closed) for day, name in enumerate(WEEKDAYS)
    ]


def _clock(minute: int) -> str:
    return f"{minute % DAY_MINUTES // 60:02}:{minute % 60:02}"
