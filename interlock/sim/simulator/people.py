"""Who comes to the machines and what the hub holds of them: plain facts, and the entries made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b

from interlock.core.model import BadgeState, Credit, Entry, Level, MemberStatus, Right
from interlock.sim.simulator.fitting import TRAINING
from interlock.sim.simulator.house import ANY_TIME

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Person:
    """One member as the hub holds them; `level` None: no training. Times are UTC seconds."""

    name: str
    level: Level | None = Level.ALONE
    aes: bool = False
    """Whether their badge has a key that cannot be cloned."""
    technician: bool = False
    blocked: bool = False
    suspended: bool = False
    spent: bool = False
    """Nothing is left on the account that they pay from in advance."""
    any_time: bool = False
    """Opening hours are not theirs."""
    until_at: int | None = None
    """The end of the training."""
    since_at: int | None = None

    @property
    def tag(self) -> bytes:
        """What a reader makes of their badge."""
        return tag_of(self.name)

    def to_entry(self) -> Entry:
        """What the hub's snapshot says of them."""
        right = None if self.level is None else _right(self, self.level)
        return Entry(
            tag=self.tag,
            member=f"m-{self.name}",
            name=None,
            badge=BadgeState.BLOCKED if self.blocked else BadgeState.ACTIVE,
            status=MemberStatus.SUSPENDED if self.suspended else MemberStatus.ACTIVE,
            rights=() if right is None else (right,),
            technician=self.technician,
            hours=ANY_TIME if self.any_time else None,
            credit=Credit.NONE if self.spent else Credit.OK,
        )


@dataclass(frozen=True, slots=True)
class Card:
    """Something that is laid on a reader: `person` is whose it pretends to be, None for an unknown one."""

    label: str
    person: str | None
    genuine: bool = True
    """False: the UID was copied and the key was not."""

    @property
    def tag(self) -> bytes:
        """What the reader makes of it."""
        return tag_of(self.person or self.label)


def tag_of(name: str) -> bytes:
    """16 bytes that stand for a badge."""
    return blake2b(name.encode(), digest_size=16).digest()


def members(begun_at: int, run_s: int) -> dict[str, Person]:
    """The lab's members at the begin of a run of `run_s`: some of them stop being entitled in its middle."""
    half_at = begun_at + run_s // 2
    people = (
        Person("ada"),
        Person("ben"),
        Person("eve", aes=True, any_time=True),
        Person("fin", aes=True, any_time=True),
        Person("tin", level=Level.SUPERVISED),
        Person("ted", level=Level.SUPERVISED, aes=True),
        Person("tra", level=Level.TRAINER),
        Person("tom", level=Level.TRAINER, aes=True),
        Person("tec", level=None, aes=True, technician=True),
        Person("new", level=None),
        Person("sus", suspended=True),
        Person("lost", blocked=True),
        Person("exp", until_at=half_at, since_at=begun_at - 90 * DAY_S),
        Person("day", until_at=half_at + DAY_S // 2, since_at=half_at - DAY_S // 2),
        Person("old", until_at=begun_at - DAY_S, since_at=begun_at - 90 * DAY_S),
    )
    return {person.name: person for person in people}


CARDS = {
    **{
        name: Card(name, name)
        for name in (
            *("ada", "ben", "eve", "fin", "tin", "ted", "tra", "tom", "tec", "new"),
            *("sus", "lost", "exp", "day", "old"),
        )
    },
    "copy": Card("copy", "eve", genuine=False),
    "stranger": Card("stranger", None),
}
"""Every badge there is; `lost` is in a thief's hand, `copy` is a clone of Eve's."""


def changed(person: Person, change: str) -> Person:
    """The member after an operator's `change`. Raises KeyError for one there is not."""
    changes = {
        "block": replace(person, blocked=True),
        "unblock": replace(person, blocked=False),
        "suspend": replace(person, suspended=True),
        "reinstate": replace(person, suspended=False),
        "untrain": replace(person, level=None),
        "train": replace(person, level=Level.ALONE),
        "spend": replace(person, spent=True),
        "top_up": replace(person, spent=False),
    }
    return changes[change]


def _right(person: Person, level: Level) -> Right:
    return Right(TRAINING, level, person.since_at, person.until_at)
