"""A UTC second and the lab's own offsets in; its local day, its minute of the week and what is open then, out.

The lab's time zone comes with the snapshot as a list of changes, (UTC second, seconds east from then on), so
that no node needs a time zone database and everybody decides alike. A night on which the clock is set forward
has no minute between two and three; on the night it is set back that hour happens twice, and is open twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from interlock.core.model import Demands, Entry, Now, Reason, Reservation, Schedule

DAY_S = 86_400
WEEK_MINUTES = 7 * 24 * 60
ANY_TIME = ((0, WEEK_MINUTES),)
"""The windows of a schedule that bounds nothing: its people need no clock."""
FIRST_WEEKDAY = 3
"""1970-01-01 was a Thursday; a week begins on Monday, 0."""

Offsets = tuple[tuple[int, int], ...]


def local_s(at: int, offsets: Offsets) -> int | None:
    """`at` as the lab's clock shows it, in seconds since 1970 of that clock; None before the first offset."""
    easts = [east for start_at, east in offsets if start_at <= at]
    return at + easts[-1] if easts else None


def local_day(at: int, offsets: Offsets) -> int:
    """The lab's day, counted from 1970; UTC's where nobody said how far east the lab is."""
    local = local_s(at, offsets)
    return (at if local is None else local) // DAY_S


def offsets_around(offsets: Offsets, at: int | None) -> Offsets:
    """Those that matter to a decision at `at`: the one in force, and any that begins before the next day is over."""
    if at is None:
        return ()
    return tuple(
        (start_at, east)
        for start_at, east, end_at in _stretches(offsets)
        if start_at <= at + 2 * DAY_S and (end_at is None or end_at > at)
    )


def week_minute(local: int) -> int:
    """Minutes since Monday 00:00 of the lab's own clock."""
    return (local // 60 + FIRST_WEEKDAY * 24 * 60) % WEEK_MINUTES


def midnight_after(at: int, offsets: Offsets) -> int | None:
    """The UTC second at which the lab's next day begins; None where its clock is unknown."""
    if local_s(at, offsets) is None:
        return None
    next_day_s = (local_day(at, offsets) + 1) * DAY_S
    # A clock set forward over midnight skips it: the day then begins with the change itself. The last stretch has
    # no end, so there always is a midnight.
    midnights = (
        (max(next_day_s - east, start_at), end_at)
        for start_at, east, end_at in _stretches(offsets)
        if end_at is None or end_at > at
    )
    return next(day_at for day_at, end_at in midnights if end_at is None or day_at < end_at)


def schedule_of(entry: Entry, demands: Demands) -> Schedule | None:
    """The schedule this member keeps to, None when any hour is theirs; one nobody described is never open."""
    name = entry.hours if entry.hours is not None else demands.hours
    if name is None:
        return None
    described = [schedule for schedule in demands.schedules if schedule.name == name]
    return described[0] if described else Schedule(name, ())


def foreign_reservation(entry: Entry, demands: Demands, now: Now) -> Reservation | None:
    """The reservation that keeps the machine from this member now; their own at the same time goes first.

    With an untrusted clock nobody knows which one it is: any of another's.
    """
    others = [one for one in demands.reservations if one.member != entry.member]
    if not now.wall_trusted or now.wall_at is None:
        return others[0] if others else None
    own = [one for one in demands.reservations if one.member == entry.member]
    if _covering(own, now.wall_at) is not None:
        return None
    return _covering(others, now.wall_at)


def not_now(entry: Entry, demands: Demands, now: Now) -> Reason | None:
    """What the hour of the day has against this member; None when nothing."""
    schedule, reservation = (
        schedule_of(entry, demands),
        foreign_reservation(entry, demands, now),
    )
    if schedule is not None and schedule.windows == ANY_TIME:
        schedule = None
    if schedule is None and reservation is None:
        return None
    if not now.wall_trusted or now.wall_at is None:
        return Reason.CLOCK_UNTRUSTED
    if schedule is not None:
        local = local_s(now.wall_at, demands.offsets)
        if local is None:
            return Reason.CLOCK_UNTRUSTED
        minute = week_minute(local)
        if not any(first <= minute < last for first, last in schedule.windows):
            return Reason.OUTSIDE_HOURS
    return Reason.RESERVED if reservation is not None else None


def _stretches(offsets: Offsets) -> Iterator[tuple[int, int, int | None]]:
    """Each offset with the UTC second at which the next one begins, None for the last."""
    for index, (start_at, east) in enumerate(offsets):
        is_last = index + 1 == len(offsets)
        yield start_at, east, None if is_last else offsets[index + 1][0]


def _covering(reservations: Iterable[Reservation], at: int) -> Reservation | None:
    return next((one for one in reservations if one.from_at <= at < one.until_at), None)
