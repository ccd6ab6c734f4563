"""A contact at another machine in, what is told of it at this one out: closed, open or unknown; late, twice, or never.

In between stand that machine's node, the hub and this node's own sync, as values: the hub keeps the newest word and
says "unknown" of an old one, and this node asks every ten seconds. What is told in the end is `Hearsay`, which the
rules judge by: nobody at this machine can know more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from interlock.sim.simulator.schedule import Act, Schedule

NEXT_DOOR = "next door"
"""What this machine calls the interlock."""
MS, S = 1_000, 1_000_000
KEPT_US = 90 * S
"""For so long a word is good, wherever it lies: behind it nothing is known (docs/what-opens-the-relay.md)."""
LOOK_US = 1 * S
"""That node looks at its contact every second, and believes a closing at the second look."""
SAY_US, ASK_US = 30 * S, 10 * S
AGAIN_US = 40 * S
"""An answer may arrive once more so much later."""
NEWS_US = LOOK_US + ASK_US + 3 * S
"""While nothing is in the way an opening has been told by then."""
LONG_US = KEPT_US + 2 * LOOK_US + 3 * S
"""Whatever is in the way: the last word that called it closed is too old by then."""
LOSS = 0.5
MANNERS = ("late", "lossy", "half_open", "again")


@dataclass(slots=True)
class Hearsay:
    """What this node was told, when, and what was so there; times are microseconds of the run."""

    opened_us: int | None = None
    """Since when the contact is open; None: it is closed."""
    word: bool | None = None
    word_us: int = 0
    """When that was said there."""
    heard_us: int = 0
    was_unknown: bool = True
    """Whether it was not known to be closed when that word came."""
    unknown_us: int = 0
    """Since when no good word was told, where the last one is none."""
    well_us: int | None = 0
    """Since when nothing is in the way of a word; None: something is."""
    settled_us: int = 0
    """How long after a trouble everybody asks and tells as often as ever."""
    doubt_us: int = 0
    """By how much a word may be older than the world can tell, having been late on its way."""
    again_us: int = -(10**12)
    """When an old word may last have arrived once more."""

    def told(self, word: bool | None, age_us: int, now_us: int) -> None:
        """The node heard now what was said there so long ago."""
        since_us = self.lost_since_us(now_us)
        self.was_unknown = since_us is not None
        if word is not True:
            self.unknown_us = now_us if since_us is None else since_us
        self.word, self.word_us, self.heard_us = word, now_us - age_us, now_us

    def forgotten(self, now_us: int) -> None:
        """A new process knows nothing."""
        self.word, self.unknown_us = None, now_us

    def lost_since_us(self, now_us: int) -> int | None:
        """Since when it is not known to be closed; None: it is."""
        if self.word is not True:
            return self.unknown_us
        ends_us = self.word_us + KEPT_US
        return ends_us if now_us > ends_us else None

    def is_surely_told(self, served_us: int, now_us: int) -> bool:
        """Whether it is open for so long that this node, which serves since `served_us`, cannot call it closed."""
        if self.opened_us is None:
            return False
        if now_us - self.opened_us > LONG_US:
            return True
        if self.well_us is None or now_us - self.again_us < AGAIN_US + KEPT_US:
            return False
        begun_us = max(self.well_us + self.settled_us, self.opened_us, served_us)
        return now_us - begun_us > NEWS_US

    def way_changed(self, *, is_well: bool, repeats: bool, now_us: int) -> None:
        """Something came between the contact and this node, or went; `repeats`: old words may come again."""
        self.well_us = (self.well_us if self.well_us is not None else now_us) if is_well else None
        if repeats:
            self.again_us = now_us


class Neighbour(Protocol):
    """A contact at another machine, and what is between it and this one."""

    @property
    def manner(self) -> str:
        """What befalls its words: `ok`, or one of `MANNERS`."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is in the way of a word."""

    def move(self, closed: bool) -> None:
        """Somebody opens or closes it."""

    def behave(self, manner: str) -> None:
        """`away` and `back`: that machine's node; `ok` and the others: the way of its words."""


class NextDoor:
    """The contact and everybody who passes its words on."""

    def __init__(
        self,
        schedule: Schedule,
        node: int,
        chance: Random,
        *,
        is_linked: Callable[[], bool],
        tell: Callable[[bool | None, int], None],
    ) -> None:
        """`is_linked`: whether this node reaches the hub; `tell` is called with each word that arrives, and its age."""
        self._schedule, self._node, self._chance = schedule, node, chance
        self._is_linked, self._tell = is_linked, tell
        self._closed_us: int | None = -LOOK_US
        """Since when it is closed; None: it is open."""
        self._manner = "ok"
        self._is_away = False
        self._kept: tuple[bool, int] | None = None
        """The newest word at the hub, and when it came."""
        self._later(chance.randrange(LOOK_US), self._say_again)
        self._later(chance.randrange(LOOK_US, 3 * LOOK_US), self._ask_again)

    @property
    def manner(self) -> str:
        """What befalls the answers."""
        return self._manner

    @property
    def is_well(self) -> bool:
        """Whether nothing is in the way of a word."""
        return self._manner == "ok" and not self._is_away and self._is_linked()

    def move(self, closed: bool) -> None:
        """Somebody opens or closes it."""
        self._closed_us = self._schedule.now_us if closed else None
        seen_us = self._chance.randrange(50 * MS, LOOK_US)
        self._later(seen_us + LOOK_US if closed else seen_us, self._say)

    def behave(self, manner: str) -> None:
        """`away` and `back`: that machine's node; `ok` and the others: the way from the hub to this one."""
        if manner in ("away", "back"):
            self._is_away = manner == "away"
            self._later(self._chance.randrange(LOOK_US), self._say)
        else:
            self._manner = manner

    # ------------------------------------------------------------------------------ that node

    def _say_again(self) -> None:
        self._say()
        self._later(SAY_US, self._say_again)

    def _say(self) -> None:
        if not self._is_away:
            now_us = self._schedule.now_us
            settled = self._closed_us is not None and now_us - self._closed_us >= LOOK_US
            self._kept = settled, now_us

    # ------------------------------------------------------------------------------ this node

    def _ask_again(self) -> None:
        self._ask()
        self._later(ASK_US, self._ask_again)

    def _ask(self) -> None:
        chance, manner = self._chance, self._manner
        is_lost = manner == "half_open" or (manner == "lossy" and chance.random() < LOSS)
        if is_lost or not self._is_linked():
            return
        now_us = self._schedule.now_us
        word, said_us = self._said(), now_us if self._kept is None else self._kept[1]
        travels_us = chance.randrange(20 * MS, 400 * MS)
        if manner == "late":
            travels_us += chance.randrange(1 * S, 9 * S)
        self._later(travels_us, lambda: self._arrive(word, said_us))
        if manner == "again":
            self._later(
                travels_us + chance.randrange(AGAIN_US), lambda: self._arrive(word, said_us)
            )

    def _said(self) -> bool | None:
        if self._kept is None:
            return None
        closed, at_us = self._kept
        return closed if self._schedule.now_us - at_us <= KEPT_US else None

    def _arrive(self, word: bool | None, said_us: int) -> None:
        if self._is_linked():
            self._tell(word, self._schedule.now_us - said_us)

    def _later(self, us: int, act: Act) -> None:
        self._schedule.at(self._schedule.now_us + us, act, self._node)
