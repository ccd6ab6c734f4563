"""Cards of members go in; genuine badges come out: the card proved its key, the hub has it or will have it.

The order never changes: the card takes its keys and proves the one for machines, then the key waits on this disk,
then the hub is told. Whatever stops in between, the next tap of the same card goes on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from interlock.desk.chips import Chip, Kind, OpenChip, kind_of
from interlock.desk.counter import Counter
from interlock.desk.hub import Badge, CardKey, Member
from interlock.desk.ledger import Ledger
from interlock.desk.ntag424_keys import Ntag424Chip
from interlock.desk.personalising import Plan, Workbench, prove
from interlock.desk.site_keys import Place, SiteKeys
from interlock.desk.uploads import Refused, Uploads
from interlock.desk.words import _
from interlock.errors import CardError, LinkError
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen

ACTIVE = "active"
DOORS = 2
"""The key number that doors ask for (3-cards.md); machines never do."""


class Outcome(Enum):
    """What became of one tap."""

    MADE = auto()
    """A genuine badge that the hub knows."""
    WAITS_FOR_HUB = auto()
    ALREADY = auto()
    LEFT = auto()
    """It was taken away or not understood: tap it again."""
    REFUSED = auto()
    SHOWN = auto()
    """A dry run."""


@dataclass(frozen=True, slots=True)
class Made:
    """One line of the list: whose card, which kind, and what became of it."""

    outcome: Outcome
    member: str = ""
    member_id: str = ""
    kind: str = ""
    key_number: int | None = None
    generation: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose card it is, and its badge at the hub; None where it is to be given first."""

    member_id: str
    name: str
    badge: Badge | None


@dataclass(frozen=True, slots=True)
class Maker:
    """The desk with its site keys; `open_desfire` speaks to DESFire cards. `is_dry`: nothing is changed anywhere."""

    counter: Counter
    keys: SiteKeys
    ledger: Ledger
    uploads: Uploads
    open_desfire: OpenChip
    is_dry: bool = False

    def send(self) -> list[Refused]:
        """The hub hears what waited for it; what it refuses is told, what it cannot hear waits on."""
        if self.is_dry or not len(self.uploads):
            return []
        hear = self.counter.person.hear
        try:
            refused = self.uploads.send(self.counter.hub, self.keys)
        except LinkError as error:
            hear(str(error))
            hear(_("Keys that wait on this computer until the hub is back: %d") % len(self.uploads))
            return []
        for one in refused:
            hear(
                _("The hub does not take the badge of %(name)s: %(why)s")
                % {"name": one.upload.member_name, "why": one.refusal}
            )
        return refused

    def make(self, card: CardSeen, owner: Member | None) -> Made:
        """`card` is a genuine badge: its member's, or `owner`'s when it was nobody's."""
        self.send()
        badge = self.counter.hub.lookup(card.uid).badge
        if badge is not None:
            holder = Holder(badge.member_id, badge.member_name, badge)
        elif owner is not None:
            holder = Holder(owner.id, owner.name, None)
        else:
            return Made(Outcome.REFUSED, reason=_("it is nobody's badge yet"))
        return self._worked(card, holder, number=None)

    def rotate(self, card: CardSeen, target: Mapping[Scheme, int]) -> Made:
        """`card` proves itself by the key number `target` from now on, in the newest generation."""
        self.send()
        badge = self.counter.hub.lookup(card.uid).badge
        if badge is None:
            return Made(Outcome.REFUSED, reason=_("it is nobody's badge yet"))
        holder = Holder(badge.member_id, badge.member_name, badge)
        if badge.card is None:
            return _refused(
                holder, _("it is not genuine yet: interlock desk personalise makes it so")
            )
        number = target.get(badge.card.slot.scheme)
        if number is None:
            return _refused(holder, _("this kind of card has no key number left"))
        return self._worked(card, holder, number)

    # ------------------------------------------------------------------------------ one card at work

    def _worked(self, card: CardSeen, holder: Holder, number: int | None) -> Made:
        """Machines will ask for key `number`; None: the one they ask for, or the lab's."""
        if holder.badge is not None and holder.badge.condition != ACTIVE:
            return _refused(holder, _("this badge is blocked (%s)") % holder.badge.condition)
        try:
            chip = self._chip(card)
            if chip is None:
                return _refused(holder, cannot_become_genuine())
            in_use = _in_use(chip, holder.badge)
            slot = CardSlot(chip.scheme, chip.aid, self._number(chip, in_use, number))
            is_older = in_use is not None and in_use.generation != self.keys.newest
            if is_older and in_use is not None and in_use.slot == slot:
                # Machines ask for this very key: it must not change before they know another one.
                return _refused(
                    holder, _("its key is an older one: interlock desk rotate renews it")
                )
            if in_use is not None and slot.key_number < in_use.slot.key_number:
                why = _("it uses key %d already, and keys only go up") % in_use.slot.key_number
                return _refused(holder, why)
            return self._keyed(card, chip, slot, holder)
        except CardError as error:
            self.counter.person.hear(str(error))
            return Made(Outcome.LEFT, holder.name, holder.member_id, reason=error.what)

    def _keyed(self, card: CardSeen, chip: Chip, slot: CardSlot, holder: Holder) -> Made:
        """The card takes what it needs, proves the key of `slot`, and the hub is told."""
        in_use = _in_use(chip, holder.badge)
        bench = Workbench(chip, card.uid, self.keys, self.ledger)
        plan = bench.plan(() if in_use is None else asked_for(in_use))

        def line(outcome: Outcome) -> Made:
            name, number = holder.name, slot.key_number
            return Made(outcome, name, holder.member_id, chip.name, number, self.keys.newest)

        if self.is_dry:
            self._show(chip, plan, holder.name)
            return line(Outcome.SHOWN)
        if plan.steps:
            with self.counter.person.watches(_("Leave it there …")) as moved:
                bench.carry_out(plan, moved)
        assert card.transceive is not None
        key = self.keys.card_key(self.keys.newest, card.uid, Place(slot.aid, slot.key_number))
        prove(card.transceive, slot, key)
        wanted = CardKey(slot, self.keys.newest)
        if in_use == wanted:
            return line(Outcome.ALREADY)
        self.uploads.add(card.uid, holder.badge, (holder.member_id, holder.name), wanted)
        refused = [one for one in self.send() if one.upload.uid == card.uid.hex()]
        if refused:
            return _refused(holder, str(refused[0].refusal))
        return line(Outcome.WAITS_FOR_HUB if len(self.uploads) else Outcome.MADE)

    def _chip(self, card: CardSeen) -> Chip | None:
        if card.transceive is None:
            return None
        kind = kind_of(card.transceive)
        if kind is Kind.DESFIRE:
            return self.open_desfire(card.transceive)
        return Ntag424Chip(card.transceive) if kind is Kind.NTAG424 else None

    def _number(self, chip: Chip, in_use: CardKey | None, number: int | None) -> int:
        if number is not None:
            return number
        if in_use is not None:
            return in_use.slot.key_number
        return self.counter.hub.current_key_number(chip.scheme)

    def _show(self, chip: Chip, plan: Plan, name: str) -> None:
        hear = self.counter.person.hear
        hear(f"{chip.name}, {name}:")
        if plan.creates_application:
            hear("  " + _("would get the application %s") % chip.aid[::-1].hex().upper())
        for change in plan.changes:
            hear(
                "  "
                + _("key %(number)d: generation %(old)d would become %(new)d")
                % {"number": change.place.number, "old": change.old, "new": change.new}
            )
        if not plan.steps:
            hear("  " + _("has all its keys"))


def asked_for(in_use: CardKey) -> Collection[int]:
    """The numbers some machine may ask for: the one in use, and, where a machine has not heard of it yet, older ones.

    They stay as they are for ever: nobody who heard believes the older ones, and a card has numbers enough.
    """
    return frozenset(range(1, in_use.slot.key_number)) - {DOORS} | {in_use.slot.key_number}


def cannot_become_genuine() -> str:
    """Why a card stays a number."""
    return _(
        "this card only has a number, which can be copied; take a DESFire EV2/EV3 or an NTAG 424 DNA"
    )


def _in_use(chip: Chip, badge: Badge | None) -> CardKey | None:
    """What machines ask this card for at this moment."""
    card = None if badge is None else badge.card
    if card is None or (card.slot.scheme, card.slot.aid) != (chip.scheme, chip.aid):
        return None
    return card


def _refused(holder: Holder, why: str) -> Made:
    return Made(Outcome.REFUSED, holder.name, holder.member_id, reason=why)
