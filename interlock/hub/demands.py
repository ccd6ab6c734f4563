"""What a machine asks of people, as stored, to what its node decides by (core.model.Demands).

Everything here is the same from one day to the next unless somebody changed something: reservations travel by
the week, offsets by the year, so that no list of rights is renewed because time passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from interlock.core import model as core
from interlock.hub.domain import hours
from interlock.hub.models import Group, Lab, Machine, Reservation
from interlock.protocol.demands import RESERVATIONS_MAX

WEEK_S = 7 * 86_400
RESERVED_WEEKS = 3
"""This week and two more: a node that hears nothing for 14 days still knows what is reserved."""

LAB_HOURS = "lab"
ANY_TIME = "any"


@dataclass(frozen=True, slots=True)
class Hours:
    """Every schedule of a lab, and which one the members of a group keep where hours are asked for."""

    schedules: tuple[core.Schedule, ...]
    of_group: dict[int, str]

    def of(self, group_id: int | None) -> str | None:
        """The name of that group's own schedule; None: the lab's."""
        return None if group_id is None else self.of_group.get(group_id)


def hours_of(lab: Lab) -> Hours:
    """The opening hours of `lab` and of the groups that keep others: one query."""
    schedules = [core.Schedule(LAB_HOURS, hours.windows(lab.hours))]
    of_group: dict[int, str] = {}
    for group in Group.objects.filter(lab=lab).exclude(keeps=Group.Keeps.LAB).order_by("pk"):
        if group.keeps == Group.Keeps.ANY:
            of_group[group.pk] = ANY_TIME
        else:
            # By number: what a lab calls its groups is nothing a stolen node should tell.
            name = of_group[group.pk] = f"group-{group.pk}"
            schedules.append(core.Schedule(name, hours.windows(group.hours)))
    if ANY_TIME in of_group.values():
        schedules.append(core.Schedule(ANY_TIME, hours.ANY_TIME))
    return Hours(tuple(schedules), of_group)


def demands_of(machine: Machine, kept: Hours, at: int) -> core.Demands:
    """What `machine` asks of people in the week of the UTC second `at`."""
    return all_demands([machine], kept, at)[machine.pk]


def all_demands(machines: Sequence[Machine], kept: Hours, at: int) -> dict[int, core.Demands]:
    """What each of these machines of one lab asks of people in the week of `at`: two queries."""
    asked: dict[int, list[str]] = {machine.pk: [] for machine in machines}
    links = Machine.trainings.through.objects.filter(machine__in=asked)
    for machine, training in links.values_list("machine", "training__slug"):
        asked[machine].append(training)
    booked = _reservations(machines, at)
    year = datetime.fromtimestamp(_week(at), UTC).year
    offsets = {zone: hours.offsets(zone, year) for zone in {one.lab.time_zone for one in machines}}
    return {
        machine.pk: core.Demands(
            trainings=tuple(sorted(asked[machine.pk])),
            needs=core.Needs(machine.needs),
            max_offline_s=machine.max_offline_s,
            locked_out=machine.locked_out_at is not None,
            second_person=machine.second_person,
            daily_limit_s=machine.daily_limit_s,
            hours=LAB_HOURS if machine.within_hours else None,
            schedules=kept.schedules if machine.within_hours else (),
            offsets=offsets[machine.lab.time_zone],
            reservations=tuple(_told(booked.get(machine.pk, []))),
        )
        for machine in machines
    }


def calendar_of(at: int) -> int:
    """A number that changes when lists of rights have to be made anew because time has passed: weekly."""
    return at // WEEK_S


def _week(at: int) -> int:
    """The UTC second at which the week of `at` begins (they are counted from 1970, a Thursday)."""
    return calendar_of(at) * WEEK_S


def _reservations(machines: Sequence[Machine], at: int) -> dict[int, list[Reservation]]:
    begin = _week(at)
    found = Reservation.objects.filter(
        machine__in=machines,
        until_at__gt=_moment(begin),
        from_at__lt=_moment(begin + RESERVED_WEEKS * WEEK_S),
    )
    booked: dict[int, list[Reservation]] = defaultdict(list)
    for row in found.select_related("member"):
        booked[row.machine_id].append(row)
    for machine, rows in booked.items():
        if len(rows) > RESERVATIONS_MAX:
            # Only then does one that is over make room at once, for a new version.
            left = [row for row in rows if row.until_at > _moment(at)]
            booked[machine] = left[:RESERVATIONS_MAX]
    return booked


def _told(rows: Iterable[Reservation]) -> Iterable[core.Reservation]:
    for row in rows:
        yield core.Reservation(
            from_at=int(row.from_at.timestamp()),
            until_at=int(row.until_at.timestamp()),
            member=None if row.member is None else row.member.public_id,
        )


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
