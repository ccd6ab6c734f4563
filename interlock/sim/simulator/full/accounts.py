"""What the office says of accounts and what sessions cost in, who has nothing left out: counted a second time.

Some members pay in advance here, so little that a few sessions use it up. What a session costs is the hub's own line,
which the judge compares with the card (D5); the sum, and what follows from it, are counted here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BEGIN_CENTS = {"ada": 6, "ben": 3}
"""By member: a cent is three seconds at the first price, and a session lasts one to fifteen."""
TOP_UP_CENTS = 5


@dataclass(slots=True)
class Accounts:
    """By member: what they were given, and what they bought besides sessions."""

    given: dict[str, int] = field(default_factory=dict)
    bought: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Accounts:
        """As they stand now: for a back-up of the hub."""
        return Accounts(dict(self.given), dict(self.bought))

    def open(self, actor: Any, member: Any, name: str) -> None:
        """The member has paid their first cents."""
        self._give(actor, member, name, BEGIN_CENTS[name])

    def deed(self, what: str, actor: Any, member: Any, name: str) -> Callable[[], None] | None:
        """What to do for `top_up`, or for `spend`: they buy material for all that is left. None: nothing is left."""
        if what == "top_up":
            return lambda: self._give(actor, member, name, TOP_UP_CENTS)
        left = self.left(member, name)
        return (lambda: self._buy(actor, member, name, left)) if left > 0 else None

    def left(self, member: Any, name: str) -> int:
        """Cents that nothing has used yet; below zero where the last session cost more than there was."""
        from interlock.hub.models import Line, LineKind

        lines = Line.objects.filter(payer_id=member.payer_id, kind=LineKind.SESSION)
        used = sum(lines.values_list("cents", flat=True))
        return self.given[name] - self.bought.get(name, 0) - used

    def _give(self, actor: Any, member: Any, name: str, cents: int) -> None:
        from interlock.hub.domain import entitlements

        entitlements.credit_account(actor, member.payer, cents, "simulated receipt")
        self.given[name] = self.given.get(name, 0) + cents

    def _buy(self, actor: Any, member: Any, name: str, cents: int) -> None:
        from interlock.hub.domain import corrections

        corrections.adjust(actor, member.payer, cents, "Material", "simulated")
        self.bought[name] = self.bought.get(name, 0) + cents
