"""Tap after tap: cards go in one by one, each with its sentence; the list of the day comes out."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from functools import partial

from interlock.desk.counter import described
from interlock.desk.hub import Badge, HubApi, Member
from interlock.desk.making import ACTIVE, Made, Maker, Outcome
from interlock.desk.words import _
from interlock.errors import LinkError
from interlock.protocol.card_keys import Scheme
from interlock.readers import CardSeen

DONE = (Outcome.MADE, Outcome.WAITS_FOR_HUB, Outcome.ALREADY)
"""Outcomes after which a member needs no card any more."""


def personalise_one(maker: Maker) -> Made | None:
    """One card; its owner is asked for when it has none. None when nobody wanted to go on."""
    hear, counter = maker.counter.person.hear, maker.counter
    hear(_("Lay the card on the reader, and leave it there."))
    card = counter.badge(counter.person.has_pressed_enter)
    if card is None:
        return None
    seen = counter.hub.lookup(card.uid) if maker.is_dry else counter.show_to_the_hub(card)
    owner: Member | None = None
    if seen.badge is None:
        hear(_("Nobody's badge so far. Its code is %s.") % seen.code)
        owner = counter.member(counter.person.answer(_("For whom (name or e-mail)")).strip())
        if owner is None:
            return None
    else:
        hear(_("The badge of %s.") % seen.badge.member_name)
    return _with_patience(maker, card, lambda still: maker.make(still, owner))


def personalise_all(maker: Maker) -> list[Made]:
    """Badges that are somebody's become genuine as they come; a new card becomes the next member's.

    Ends when the list of members does and somebody presses Enter, or at Ctrl-C: what was done is in the list.
    """
    hub, person = maker.counter.hub, maker.counter.person
    genuine = {badge.member_id for badge in hub.badges_with_keys()}
    waiting = [one for one in hub.members() if one.status == ACTIVE and one.id not in genuine]
    person.hear(_("Members without a genuine badge: %d") % len(waiting))
    person.hear(
        _(
            "A badge that is somebody's already becomes genuine for them; a new card becomes the badge of the "
            "member named here. Enter: skip this member. Ctrl-C: stop and print the list."
        )
    )
    lines: list[Made] = []
    announced = ""
    try:
        while True:
            owner = waiting[0] if waiting else None
            line = described(owner) if owner else _("nobody; any badge may come, Enter ends")
            if line != announced:
                person.hear(_("Next: %s") % line)
                announced = line
            card = maker.counter.badge(person.has_pressed_enter)
            if card is None and not waiting:
                break
            if card is None:
                waiting.pop(0)
                continue
            made = _tapped(maker, partial(maker.make, card, owner))
            lines += [made] if made.outcome is not Outcome.LEFT else []
            if made.outcome in DONE or maker.is_dry:
                waiting = [one for one in waiting if one.id != made.member_id]
    except KeyboardInterrupt:
        person.hear(_("Stopped."))
    return lines


def rotate_all(maker: Maker, to: int | None) -> list[Made]:
    """Every card that comes proves itself by the next key number from now on, one tap each."""
    hub, person = maker.counter.hub, maker.counter.person
    with_keys = list(hub.badges_with_keys())
    target = {
        scheme: number
        for scheme in Scheme
        if (number := to or rotation_target(hub, scheme, with_keys, maker.keys.newest)) is not None
    }
    for scheme, number in target.items():
        left = [one for one in _of(scheme, with_keys) if not _is_at(one, number, maker)]
        if left:
            person.hear(
                _(
                    "%(scheme)s: to key %(number)d, generation %(generation)d. Badges still to come: %(count)d"
                )
                % {
                    "scheme": scheme.value,
                    "count": len(left),
                    "number": number,
                    "generation": maker.keys.newest,
                }
            )
    person.hear(_("Lay one badge after the other on the reader. Enter ends."))
    lines: list[Made] = []
    try:
        while (card := maker.counter.badge(person.has_pressed_enter)) is not None:
            made = _tapped(maker, partial(maker.rotate, card, target))
            lines += [made] if made.outcome is not Outcome.LEFT else []
    except KeyboardInterrupt:
        person.hear(_("Stopped."))
    return lines


def rotation_target(hub: HubApi, scheme: Scheme, badges: list[Badge], newest: int) -> int | None:
    """The number cards move to: that of a rotation under way, else the next; None when there is none left."""
    used = Tally(
        (one.card.slot.key_number, one.card.generation)
        for one in _of(scheme, badges)
        if one.card is not None
    )
    renewed = [number for number, generation in used if generation == newest]
    if renewed and len(used) > 1:
        return max(renewed)
    return hub.next_key_number(scheme)


def sentence(made: Made) -> str:
    """What became of one tap, for the person who tapped."""
    name = made.member or _("This card")
    match made.outcome:
        case Outcome.MADE:
            return _("Done: %(name)s has a genuine badge (%(kind)s, key %(number)s).") % {
                "name": name,
                "kind": made.kind,
                "number": made.key_number,
            }
        case Outcome.WAITS_FOR_HUB:
            return _("The card of %s is done; the hub will be told as soon as it answers.") % name
        case Outcome.ALREADY:
            return _("The badge of %s is genuine already.") % name
        case Outcome.LEFT:
            return _("Not finished. Lay it down once more: it goes on where it stopped.")
        case Outcome.SHOWN:
            return _("Nothing was changed.")
        case Outcome.REFUSED:
            return f"{name}: {made.reason}."


def _tapped(maker: Maker, deed: Callable[[], Made]) -> Made:
    """The deed's outcome, told; without the hub the card was not touched."""
    try:
        made = deed()
    except LinkError as error:
        maker.counter.person.hear(str(error))
        made = Made(Outcome.LEFT, reason=error.what)
    maker.counter.person.hear(sentence(made))
    return made


def _with_patience(maker: Maker, card: CardSeen, deed: Callable[[CardSeen], Made]) -> Made | None:
    """The deed, again as often as the card comes back; None when somebody pressed Enter instead."""
    counter = maker.counter
    still: CardSeen | None = counter.taps.again(card)
    while True:
        if still is not None and still.uid == card.uid:
            made = _tapped(maker, partial(deed, still))
            if made.outcome is not Outcome.LEFT:
                return made
        else:
            counter.person.hear(_("Lay the same card on the reader again. Enter stops."))
        still = counter.badge(counter.person.has_pressed_enter)
        if still is None:
            return None


def _of(scheme: Scheme, badges: list[Badge]) -> list[Badge]:
    return [one for one in badges if one.card is not None and one.card.slot.scheme is scheme]


def _is_at(badge: Badge, number: int, maker: Maker) -> bool:
    card = badge.card
    return (
        card is not None and card.slot.key_number == number and card.generation == maker.keys.newest
    )
