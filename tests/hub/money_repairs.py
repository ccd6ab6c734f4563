"""What staff put right after closing: done to the hub by its own functions, and told to the oracle as plain sums.

The oracle's side is a list of closed bills and what was said about each since; what a payer has used up is
added up from it anew each time it is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from interlock.errors import ConfigError
from interlock.hub.domain.corrections import correct_line, correct_session, reassign
from interlock.hub.models import Line, Payer, Session
from interlock.hub.permissions import Actor
from interlock.hub.pricing import Use
from tests.hub.oracle import Bill, bills

Written = list[tuple[int, int]] | None
"""(payer, cents) of each line that was written; None: refused."""


@dataclass(frozen=True)
class Repair:
    """One session of a closed month should have been another payer's, another amount, or of another length:
    one of the three."""

    session: int
    payer: int | None = None
    cents: int | None = None
    enabled_s: int | None = None


def repairs(sessions: int) -> st.SearchStrategy[list[Repair]]:
    """A few of them, of so many sessions."""
    which = st.integers(0, sessions - 1)
    return st.lists(
        st.one_of(
            # Twice as likely: a move to whom it belongs already is refused.
            st.builds(Repair, which, payer=st.integers(0, 2)),
            st.builds(Repair, which, payer=st.integers(0, 2)),
            st.builds(Repair, which, cents=st.sampled_from([0, 250, 1_400])),
            st.builds(Repair, which, enabled_s=st.sampled_from([0, 700, 5_000])),
        ),
        max_size=3,
    )


def done(actor: Actor, wanted: Repair, payer: Payer | None, seq: int) -> Written:
    """The hub was asked for it."""
    line = Line.objects.get(session__seq=seq)
    session = Session.objects.get(seq=seq)
    try:
        if payer is not None:
            lines = reassign(actor, session, payer=payer, why="was theirs")
        elif wanted.cents is not None:
            lines = [correct_line(actor, line, wanted.cents, "a gesture")]
        else:
            enabled_s = wanted.enabled_s or 0
            lines = [correct_session(actor, session, enabled_s=enabled_s, why="forgotten")]
    except ConfigError:
        return None
    return [(one.payer_id, one.cents) for one in lines]


class Standing:
    """The oracle's closed months: bills as they were closed, and what was said about them since."""

    def __init__(self) -> None:
        self._closed: dict[int, tuple[int, Bill]] = {}
        self._said: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
        self._moved: dict[int, tuple[int, Bill]] = {}

    def close(self, payer: int, bill: Bill) -> None:
        """That bill changes no more."""
        self._closed[bill.use.seq] = (payer, bill)

    def is_closed(self, seq: int) -> bool:
        """Whether it stands on a statement."""
        return seq in self._closed

    def can_repair(self, seq: int) -> bool:
        """Whether it is closed, and still of whom it was closed for."""
        return seq in self._closed and seq not in self._moved

    def used_by(self, payer: int) -> list[Bill]:
        """What counts as used up for whatever of that payer is priced now."""
        return [
            *(
                replace(bill, price_cents=0, included_s=0)
                if seq in self._moved
                else replace(bill, price_cents=max(0, bill.price_cents + self._corrected(seq)))
                for seq, (theirs, bill) in self._closed.items()
                if theirs == payer
            ),
            *self._came_to(payer),
        ]

    def repair(self, wanted: Repair, payer: int | None, late: Iterable[Bill]) -> Written:
        """What that repair writes; `late` is what stands open of closed months, of the payer it goes to."""
        seq = wanted.session
        theirs, bill = self._closed[seq]
        owed = bill.owed_cents + self._corrected(seq)
        if payer is not None:
            return self._move(seq, owed, payer, late)
        should = wanted.cents
        if should is None:
            as_it_was = self._month(seq, bill.use.enabled_ms)
            instead = self._month(seq, (wanted.enabled_s or 0) * 1_000)
            should = max(0, bill.owed_cents + instead - as_it_was)
        if should == owed:
            return None
        self._said[seq].append((should - owed, wanted.enabled_s))
        return [(theirs, should - owed)]

    def _move(self, seq: int, owed: int, payer: int, late: Iterable[Bill]) -> Written:
        theirs, bill = self._closed[seq]
        if payer == theirs or not owed:
            return None
        use, by_amount = bill.use, False
        if self._said[seq]:
            _, enabled_s = self._said[seq][-1]
            by_amount = enabled_s is None
            if enabled_s is not None:
                use = _as_long(use, enabled_s * 1_000)
        (beside,) = bills([use], (), [*self.used_by(payer), *late])
        (alone,) = bills([use])
        cents = beside.price_cents
        if by_amount:
            cents = owed if cents == alone.price_cents else min(cents, owed)
        self._moved[seq] = (payer, replace(beside, price_cents=cents, carried={}))
        due = [(payer, cents)] if cents or beside.included_s else []
        return [(theirs, -owed), *due]

    def _month(self, seq: int, enabled_ms: int) -> int:
        """What the closed sessions of its payer cost in its month if it had been that long."""
        payer, bill = self._closed[seq]
        uses = [
            _as_long(one.use, enabled_ms) if number == seq else one.use
            for number, (theirs, one) in self._closed.items()
            if theirs == payer and number not in self._moved and one.use.month == bill.use.month
        ]
        return sum(one.price_cents for one in bills(uses, (), self._came_to(payer)))

    def _came_to(self, payer: int) -> Sequence[Bill]:
        return [bill for theirs, bill in self._moved.values() if theirs == payer]

    def _corrected(self, seq: int) -> int:
        return sum(cents for cents, _ in self._said[seq])


def _as_long(use: Use, enabled_ms: int) -> Use:
    return replace(use, enabled_ms=enabled_ms, busy_ms=min(use.busy_ms, enabled_ms))
