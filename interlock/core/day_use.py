"""Who used this machine for how long today: sessions' growing totals in, a daily limit's answer out.

A day begins only when the clock is trusted: while it is not, today goes on, so that no wrong clock gives a
second day. What is counted is recorded with its day (`day` in progress and end), so that the journal counts alike.
"""

from __future__ import annotations

from interlock.core.hours import Offsets, local_day
from interlock.core.model import DayUse, Now

MEMBERS_MAX = 500
"""More people than can follow each other on one machine in a day; beyond it the smallest use is forgotten."""


def day_of(use: DayUse, now: Now, offsets: Offsets) -> int:
    """The local day it is; the last one known while the clock is untrusted, and never an earlier one."""
    if not now.wall_trusted or now.wall_at is None:
        return use.day
    return max(use.day, local_day(now.wall_at, offsets))


def used_ms(use: DayUse, member: str, day: int) -> int:
    """What `member` has had on `day`."""
    return dict(use.used).get(member, 0) if use.day == day else 0


def counted(use: DayUse, member: str, more_ms: int, day: int) -> DayUse:
    """The use after `member` had `more_ms` more on `day`; an earlier day is forgotten."""
    used = {} if day > use.day else dict(use.used)
    used[member] = used.get(member, 0) + max(0, more_ms)
    if len(used) > MEMBERS_MAX:
        del used[min(used, key=lambda one: used[one])]
    return DayUse(max(day, use.day), tuple(sorted(used.items())))
