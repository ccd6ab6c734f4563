"""What the hub asks of people at one machine, to JSON values and back: part of a snapshot's signed header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlock.core.model import Demands, Needs, Reservation, Schedule, Window
from interlock.errors import ProtocolError
from interlock.protocol import fields

TRAININGS_MAX = 64
"""Trainings one machine can ask for; a machine asks for a handful."""
SCHEDULES_MAX = 64
WINDOWS_MAX = 7 * 8
"""Eight windows a day are more than any lab keeps."""
OFFSETS_MAX = 64
"""Two changes of the clock a year, ten years, and room for a parliament that changes its mind."""
RESERVATIONS_MAX = 500
"""A machine booked by the half hour for ten days."""
MINUTES_PER_WEEK = 7 * 24 * 60
OFFSET_S_MAX = 14 * 3_600
"""Kiribati is fourteen hours east of Greenwich; nothing is further, either way."""

_WHERE = "snapshot"


def to_wire(demands: Demands) -> dict[str, Any]:
    """The demands as one JSON object."""
    return {
        "trainings": list(demands.trainings),
        "needs": demands.needs.value,
        "max_offline_s": demands.max_offline_s,
        "locked_out": demands.locked_out,
        "second_person": demands.second_person,
        "daily_limit_s": demands.daily_limit_s,
        "hours": demands.hours,
        "schedules": [
            {"name": one.name, "windows": [list(window) for window in one.windows]}
            for one in demands.schedules
        ],
        "offsets": [list(pair) for pair in demands.offsets],
        "reservations": [
            {"from_at": one.from_at, "until_at": one.until_at, "member": one.member}
            for one in demands.reservations
        ],
    }


def from_wire(wire: Mapping[str, Any]) -> Demands:
    """The demands a JSON object describes. Raises ProtocolError."""
    demands = Demands(
        trainings=_trainings(wire.get("trainings")),
        needs=fields.choice(wire, "needs", Needs),
        max_offline_s=fields.optional_integer(wire, "max_offline_s"),
        locked_out=fields.flag(wire, "locked_out"),
        second_person=fields.flag(wire, "second_person"),
        daily_limit_s=fields.optional_integer(wire, "daily_limit_s"),
        hours=fields.optional_text(wire, "hours"),
        schedules=tuple(
            Schedule(fields.text(one, "name", length_max=64), _windows(one))
            for one in fields.objects(wire, "schedules", length_max=SCHEDULES_MAX)
        ),
        offsets=_offsets(wire),
        reservations=tuple(
            _reservation(one)
            for one in fields.objects(wire, "reservations", length_max=RESERVATIONS_MAX)
        ),
    )
    if demands.needs is Needs.ANY and not demands.trainings:
        raise ProtocolError("it asks for any of no trainings, which nobody can hold", where=_WHERE)
    named = {schedule.name for schedule in demands.schedules}
    if demands.hours is not None and demands.hours not in named:
        raise ProtocolError(f"its schedule {demands.hours!r} is missing", where=_WHERE)
    return demands


def _trainings(wire: Any) -> tuple[str, ...]:
    if not isinstance(wire, list) or len(wire) > TRAININGS_MAX:
        raise ProtocolError(f"trainings must be a list of at most {TRAININGS_MAX}", where=_WHERE)
    return tuple(fields.text({"training": item}, "training", length_max=64) for item in wire)


def _windows(wire: Mapping[str, Any]) -> tuple[Window, ...]:
    windows = _pairs(wire, "windows", WINDOWS_MAX)
    for first, last in windows:
        if not 0 <= first < last <= MINUTES_PER_WEEK:
            raise ProtocolError(
                f"a window from minute {first} to {last} is not within one week", where=_WHERE
            )
    return windows


def _offsets(wire: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    offsets = _pairs(wire, "offsets", OFFSETS_MAX)
    starts = [start for start, _ in offsets]
    if starts != sorted(set(starts)) or any(abs(east) > OFFSET_S_MAX for _, east in offsets):
        raise ProtocolError("its offsets from UTC do not rise or are impossible", where=_WHERE)
    return offsets


def _reservation(wire: Mapping[str, Any]) -> Reservation:
    return Reservation(
        from_at=fields.integer(wire, "from_at"),
        until_at=fields.integer(wire, "until_at"),
        member=fields.optional_text(wire, "member"),
    )


def _pairs(wire: Mapping[str, Any], key: str, length_max: int) -> tuple[tuple[int, int], ...]:
    pairs = wire.get(key)
    if not isinstance(pairs, list) or len(pairs) > length_max:
        raise ProtocolError(f"{key} must be a list of at most {length_max}", where=_WHERE)
    for pair in pairs:
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(one) is int for one in pair)
        if not whole:
            raise ProtocolError(f"{key} must be pairs of whole numbers", where=_WHERE)
    return tuple((pair[0], pair[1]) for pair in pairs)
