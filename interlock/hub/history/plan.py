"""How large an invented past is, and when it ends: what every part of the generator is given."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from interlock.hub.models import Lab

Progress = Callable[[int, int], None]
"""(sessions written, sessions in all)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything; machines and members that the lab has already count."""

    machines: int = 3
    members: int = 260
    sessions: int = 9_000
    years: int = 2
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A past of those sizes for a lab, up to the end of the day before `now`."""

    lab: Lab
    sizes: Sizes
    now: datetime
    chance: random.Random = field(repr=False)

    @property
    def zone(self) -> ZoneInfo:
        """Where the lab is."""
        return ZoneInfo(self.lab.time_zone)

    @property
    def last(self) -> date:
        """The last day of the past: today belongs to the machines."""
        return self.now.astimezone(self.zone).date() - timedelta(days=1)

    @property
    def first(self) -> date:
        """The first day of the past."""
        return self.last - timedelta(days=365 * self.sizes.years - 1)

    def word(self, names: tuple[str, str]) -> str:
        """The English or the French of them, as the lab speaks."""
        return names[1] if self.lab.language == "fr" else names[0]

    def midnight(self, day: date) -> datetime:
        """When that day began where the lab is."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)
