"""What every errand at the desk shares: the hub, the reader and the person go in, members and cards come out."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from interlock.cards.iso14443a import is_random_uid
from interlock.desk.hub import HubApi, Member, Refusal, Seen
from interlock.desk.person import Person
from interlock.desk.taps import Taps
from interlock.desk.words import _
from interlock.readers import CardSeen

MEMBERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Counter:
    """The desk as somebody sits down at it."""

    hub: HubApi
    taps: Taps
    person: Person

    def member(self, query: str) -> Member | None:
        """The member meant by `query` (part of a name or e-mail), chosen among several; None when nobody is."""
        while True:
            found = [one for one in self.hub.members(query) if one.status == "active"]
            if not found:
                self.person.hear(_("No active member is called %r.") % query)
            elif len(found) == 1:
                return found[0]
            elif len(found) <= MEMBERS_SHOWN:
                return self._chosen(found)
            else:
                self.person.hear(_("Members found: %d. Write more of the name.") % len(found))
            query = self.person.answer(_("Name or e-mail (Enter: stop)")).strip()
            if not query:
                return None

    def badge(self, is_over: Callable[[], bool] = lambda: False) -> CardSeen | None:
        """The next card that can be somebody's; others are refused in words. None once `is_over`."""
        while True:
            card = self.taps.next(is_over)
            if card is None or not is_random_uid(card.uid):
                return card
            self.person.hear(random_number())

    def show_to_the_hub(self, card: CardSeen) -> Seen:
        """The hub's page for handing out badges shows the card, and we hear whose it is."""
        return self.hub.tap(card.uid, new_key())

    def _chosen(self, found: list[Member]) -> Member | None:
        for number, one in enumerate(found, 1):
            self.person.hear(f"{number:3}  {described(one)}")
        while True:
            typed = self.person.answer(_("Which number (Enter: none of them)")).strip()
            if not typed:
                return None
            if typed.isdecimal() and 1 <= int(typed) <= len(found):
                return found[int(typed) - 1]
            self.person.hear(_("There is no number %s in the list.") % typed)


def assign(counter: Counter, query: str, label: str) -> bool:
    """A member and a card found each other; whether they did."""
    hear = counter.person.hear
    member = counter.member(query)
    if member is None:
        return False
    hear(_("Lay the badge for %s on the reader.") % described(member))
    card = counter.badge(counter.person.has_pressed_enter)
    if card is None:
        return False
    seen = counter.show_to_the_hub(card)
    if seen.badge is not None:
        if seen.badge.member_id == member.id:
            hear(_("This badge is theirs already: nothing to do."))
            return True
        hear(_("This badge belongs to %s. Give out another one.") % seen.badge.member_name)
        return False
    hear(_("Nobody's badge so far. Its code is %s.") % seen.code)
    if not counter.person.agrees(_("Give it to %s?") % member.name):
        return False
    given = counter.hub.give(member.id, card.uid, label, new_key())
    if isinstance(given, Refusal):
        hear(str(given))
        return False
    hear(_("Done: %s can use it within a minute.") % member.name)
    return True


def described(member: Member) -> str:
    """A member as a list shows them."""
    return f"{member.name} <{member.email}>" if member.email else member.name


def random_number() -> str:
    """Why a phone is no badge."""
    return _(
        "This shows another number at each tap, as phones and some bank cards do: it can be nobody's badge. "
        "Take a card or a key ring."
    )


def new_key() -> str:
    """An idempotency key for one thing that is done."""
    return str(uuid.uuid4())
