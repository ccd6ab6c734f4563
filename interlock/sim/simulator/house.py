"""A seed in, what the house asks at one machine besides trainings out: opening hours, reservations, a daily limit.

Edges lie in the first minutes of a run, so that people meet both sides of them. Nothing here is random but by the
seed, and nothing shifts what `fitting` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from interlock.core.model import Demands, Reservation, Schedule, Window
from interlock.sim.simulator.schedule import BEGUN_MS

LAB_HOURS, ANY_TIME = "lab", "any"
"""As `hub.demands` names them."""
ZONE, EAST_S = "Europe/Paris", 7_200
"""Where the lab is, and how far east its clock is on the run's day, a Monday."""
BEGUN_AT = BEGUN_MS // 1_000
WEEK_MINUTES = 7 * 24 * 60
OPENED_MINUTE = 9 * 60
CLOSES_MINUTES = (974, 975, 976)
"""16:14 to 16:16: every run begins at 16:13:20 of the lab's clock."""
CLOSED_FOR_MINUTES = (1, 2)
CLOSES_LATE_MINUTE = 21 * 60
RESERVED_BY = ("ada", "ben", "exp", None)
RESERVED_UNTIL_S = 140
"""Before the end of the shortest runs: whoever comes last finds the machine free."""
LIMITS_S = (5, 12, 30)


@dataclass(frozen=True, slots=True)
class Booked:
    """From `from_s` until `until_s` of the run the machine is kept for `member` (a person's name; None: for nobody)."""

    from_s: int
    until_s: int
    member: str | None


@dataclass(frozen=True, slots=True)
class House:
    """What the hub asks; `opens` are minutes of the lab's Monday, `within_hours` says whether they count here."""

    opens: tuple[Window, ...]
    within_hours: bool
    booked: tuple[Booked, ...]
    daily_limit_s: int | None

    def to_demands(self, trainings: tuple[str, ...]) -> Demands:
        """The same as the hub would send it to the node."""
        schedules = (Schedule(LAB_HOURS, self.opens), Schedule(ANY_TIME, ((0, WEEK_MINUTES),)))
        return Demands(
            trainings=trainings,
            daily_limit_s=self.daily_limit_s,
            hours=LAB_HOURS if self.within_hours else None,
            schedules=schedules,
            offsets=((0, EAST_S),),
            reservations=tuple(
                Reservation(
                    BEGUN_AT + one.from_s,
                    BEGUN_AT + one.until_s,
                    None if one.member is None else f"m-{one.member}",
                )
                for one in self.booked
            ),
        )

    def told(self) -> list[str]:
        """The same in a few words each, for whoever reads a trace."""
        parts = [f"opening hours {self.opens}"] * self.within_hours
        parts += [f"kept for {one.member} {one.from_s}-{one.until_s} s" for one in self.booked]
        return parts + [f"{self.daily_limit_s} s a day"] * (self.daily_limit_s is not None)

    def is_open(self, second: int) -> bool:
        """Whether the lab is open at that second of the run."""
        minute = (BEGUN_AT + second + EAST_S) % 86_400 // 60
        return any(first <= minute < last for first, last in self.opens)

    def is_kept_from(self, name: str, second: int) -> bool:
        """Whether the machine is somebody else's then."""
        now = [one.member for one in self.booked if one.from_s <= second < one.until_s]
        return bool(now) and name not in now


def house(seed: int, node: int) -> House:
    """What is asked at machine `node` of the run `seed`; the lab's hours are those of all its machines."""
    lab, chance = Random(f"hours {seed}"), Random(f"house {seed} {node}")
    closes = lab.choice(CLOSES_MINUTES)
    opens_again = closes + lab.choice(CLOSED_FOR_MINUTES)
    return House(
        opens=((OPENED_MINUTE, closes), (opens_again, CLOSES_LATE_MINUTE)),
        within_hours=chance.random() < 0.2,
        booked=_booked(chance) if chance.random() < 0.25 else (),
        daily_limit_s=chance.choice(LIMITS_S) if chance.random() < 0.15 else None,
    )


def _booked(chance: Random) -> tuple[Booked, ...]:
    middle_s, free_s = chance.randrange(40, 90), chance.choice([0, 10])
    first = Booked(chance.randrange(5, 30), middle_s, chance.choice(RESERVED_BY))
    second = Booked(middle_s + free_s, RESERVED_UNTIL_S, chance.choice(RESERVED_BY))
    return first, second
