"""One card and the keys it should hold go in; it holds them, or the ledger knows exactly what it may hold instead.

The rule of this file: **before the card hears a command that changes a key, the ledger has, on the disk, both what
was there and what comes.** Both can be derived from the site keys. So whenever a card is taken away, the desk knows
each of its keys up to one choice of two, tries those two when the card comes back, and goes on where it stopped.

Masters change first: from then on nobody but the desk can change anything else on the card.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from interlock.cards.authentication import Proof, authenticate
from interlock.cards.exchange import Draw, Transceive
from interlock.desk.chips import APPLICATION_MASTER, CARD_AID, CARD_MASTER, Chip, Key, master_of
from interlock.desk.ledger import Ledger
from interlock.desk.site_keys import FACTORY, Place, SiteKeys
from interlock.desk.words import _
from interlock.errors import CardError
from interlock.protocol.card_keys import CardSlot

Moved = Callable[[int, int], object]
"""Told after each step: how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class Change:
    """The key at `place` goes from one generation to another."""

    place: Place
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a card still needs; nothing when it is as it should be."""

    creates_application: bool
    changes: tuple[Change, ...]

    @property
    def steps(self) -> int:
        """How many commands will change the card."""
        return len(self.changes) + self.creates_application


class Workbench:
    """One card of the UID `uid` while it lies there; `chip` and `transceive` speak to it."""

    def __init__(
        self,
        chip: Chip,
        uid: bytes,
        keys: SiteKeys,
        ledger: Ledger,
    ) -> None:
        self._chip = chip
        self._uid = uid
        self._keys = keys
        self._ledger = ledger
        self._card = keys.card_tag(uid)
        self._found: dict[Place, int] = {}
        self._is_same_card = False

    def plan(self, keep: Collection[int] = ()) -> Plan:
        """What brings every key but the numbers to `keep` to the newest generation; nothing on the card is changed.

        Raises CardError: it left, or has keys that are not the lab's.
        """
        places = self._chip.places()
        has_application = self._chip.has_application()
        card_master = Place(CARD_AID, CARD_MASTER)
        if card_master in places:
            self._look_at_master(card_master)
        if has_application:
            self._look_at_master(Place(self._chip.aid, APPLICATION_MASTER))
        changes = []
        for place in places:
            is_made = has_application or place == card_master
            old = self._generation_at(place) if is_made else FACTORY
            is_kept = place.aid == self._chip.aid and place.number in keep
            if old != self._keys.newest and not is_kept:
                changes.append(Change(place, old, self._keys.newest))
        return Plan(not has_application, tuple(changes))

    def carry_out(self, plan: Plan, moved: Moved = lambda done, total: None) -> None:
        """The card is as planned. Raises CardError when it leaves before; then `plan` it anew."""
        self._note_what_was_found()
        masters: dict[Place, int] = dict(self._found)
        done = 0
        changes = list(plan.changes)
        if changes and changes[0].place.number == CARD_MASTER:
            self._change(changes.pop(0), masters)
            moved(done := done + 1, plan.steps)
        if plan.creates_application:
            authority = masters.get(Place(CARD_AID, CARD_MASTER))
            key = None if authority is None else self._key(authority, Place(CARD_AID, CARD_MASTER))
            self._chip.create_application(key, is_known=authority is not None)
            if not self._is_same_card:
                self._look_at_master(Place(self._chip.aid, APPLICATION_MASTER))
            masters[Place(self._chip.aid, APPLICATION_MASTER)] = FACTORY
            moved(done := done + 1, plan.steps)
        for change in changes:
            self._change(change, masters)
            moved(done := done + 1, plan.steps)

    def _note_what_was_found(self) -> None:
        """A choice of two that the card has answered is none any more."""
        for place, generation in self._found.items():
            noted = self._ledger.may_hold(self._card, place)
            if noted is not None and noted != (generation,):
                self._ledger.settle(self._card, place, generation)

    def _change(self, change: Change, masters: dict[Place, int]) -> None:
        place, master = change.place, master_of(change.place)
        authority = self._key(masters[master], master)
        new = self._keys.card_key(change.new, self._uid, place)
        self._ledger.intend(self._card, place, change.old, change.new)
        self._chip.change(place, self._key(change.old, place), new, change.new, authority)
        self._ledger.settle(self._card, place, change.new)
        self._found[place] = change.new
        if place == master:
            masters[place] = change.new

    def _look_at_master(self, place: Place) -> None:
        """Its generation is known because the card proved it, and the UID is the card's own.

        Keys derived from a misread UID would be lost with it.
        """
        generation = self._generation_at(place, is_asked=True)
        self._found[place] = generation
        if self._chip.told_uid() != self._uid:
            raise CardError(
                _("another card answers than the reader told"),
                where=_("card"),
                remedy=_("Lay one card down, alone"),
            )
        self._is_same_card = True

    def _generation_at(self, place: Place, *, is_asked: bool = False) -> int:
        """By what the card proved, by the ledger, or by the version beside the key; `is_asked`: proof alone."""
        if place in self._found:
            return self._found[place]
        noted = self._ledger.may_hold(self._card, place)
        version = self._chip.version(place)
        if not is_asked and self._is_certain(noted, version):
            found = noted[0] if noted else version or FACTORY
        else:
            found = self._proved(place, self._candidates(noted, version))
        self._found[place] = found
        return found

    def _is_certain(self, noted: tuple[int, ...] | None, version: int | None) -> bool:
        """Ledger and card say the same; ChangeKey itself fails, and changes nothing, should both be wrong."""
        if version is None or not self._exists(version):
            return False
        return noted in (None, (version,))

    def _candidates(self, noted: tuple[int, ...] | None, version: int | None) -> list[int]:
        """What to try, the likeliest first; NTAG 424s bear few failures, so no more than needed."""
        if noted is None and version is None:
            return [FACTORY, *sorted(self._keys.generations, reverse=True)]
        likely = [] if version is None else [version]
        likely += [one for one in sorted(noted or (), reverse=True) if one not in likely]
        return [one for one in likely if self._exists(one)]

    def _proved(self, place: Place, candidates: list[int]) -> int:
        for generation in candidates:
            if self._chip.knows(place, self._key(generation, place)):
                return generation
        raise CardError(
            _("it has keys that this desk does not know: it belongs to somebody else"),
            where=_("card"),
            remedy=_(
                "Take another card. If it is yours, restore the site keys it was made with: "
                "interlock desk keys restore"
            ),
        )

    def _exists(self, generation: int) -> bool:
        return generation == FACTORY or generation in self._keys.generations

    def _key(self, generation: int, place: Place) -> Key:
        if generation == FACTORY:
            return None
        return self._keys.card_key(generation, self._uid, place)


def prove(transceive: Transceive, slot: CardSlot, key: bytes, draw: Draw = os.urandom) -> None:
    """The card knows `key`, shown exactly as a machine will ask. Raises CardError."""
    if authenticate(transceive, slot, key, draw) is not Proof.GENUINE:
        raise CardError(
            _("it could not prove its new key"),
            where=_("card"),
            remedy=_("Lay it down once more; should that fail again, take another card"),
        )
