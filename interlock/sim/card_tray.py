"""The cards of the sample lab: what is printed on one and its UID go in, the card with its keys out.

The sample lab's site keys are made here, from words anybody can read, so they protect nothing but a
demo. They are used where a real lab uses its own: at the desk (`lab` gives the hub each badge's own
key) and in the cards. No node ever sees them; `tests/sim/test_cards_demo.py` searches for them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import Enum, auto

from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.sim.card_chip import Draw
from interlock.sim.card_crypto import AES_BYTES, KeyKind, diversified
from interlock.sim.card_desfire import PICC_AID, Application, DesfireKey, desfire_card
from interlock.sim.card_faults import copy_with_other_keys
from interlock.sim.card_ntag424 import KEYS as NTAG424_KEYS
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.cards import Card

SITE_ID = b"sample lab"
"""Last part of what a badge's key is derived from: 6 to 21 bytes beside a UID of 7 and the AID."""
AID = bytes.fromhex("0110f5")
"""The lab's DESFire application F51001, low byte first, as it is sent."""
NTAG424_AID = bytes(3)
MASTER_KEY, MACHINES_KEY, DOORS_KEY = 0, 1, 2
DESFIRE_KEYS = 5
CARD_MASTER = 13
"""Number of the site key from which the master keys of whole cards are derived; no application of
the sample lab has so many keys."""
KEY_VERSION = 1
SETTINGS = 0x0B
"""Keys change with the application's master key; reading the settings is free."""


class CardKind(Enum):
    """What a badge of the tray is made of."""

    UID_ONLY = auto()
    """Any cheap card: its number is all it has."""
    DESFIRE = auto()
    NTAG424 = auto()
    COPY = auto()
    """Somebody else's number on a DESFire of his own, without the key."""


@dataclass(frozen=True, slots=True)
class Made:
    """One card that exists: what is printed on it, its number and what it is made of."""

    printed: tuple[str, ...]
    uid: bytes
    kind: CardKind


def site_key(number: int) -> bytes:
    """K_site of key `number` of the sample lab: published with this program, and therefore no secret."""
    return hashlib.sha256(f"interlock sample lab, site key {number}".encode()).digest()[:AES_BYTES]


def card_key(uid: bytes, number: int, aid: bytes) -> bytes:
    """The key a genuine badge of the sample lab holds at `number`."""
    return diversified(site_key(number), uid, aid, SITE_ID)


def slot_of(kind: CardKind) -> CardSlot | None:
    """Where a badge of this kind keeps the key that machines ask for; None when it has none."""
    return {
        CardKind.DESFIRE: CardSlot(Scheme.DESFIRE_AES, AID, MACHINES_KEY),
        CardKind.NTAG424: CardSlot(Scheme.NTAG424_AES, NTAG424_AID, MACHINES_KEY),
    }.get(kind)


def machines_key_of(uid: bytes, kind: CardKind) -> bytes | None:
    """What the hub is told of a badge: its own key for machines, never the site's."""
    slot = slot_of(kind)
    return None if slot is None else card_key(uid, slot.key_number, slot.aid)


class CardBox:
    """The physical cards of one virtual world: the same badge is the same card each time it is laid down.

    `made` are those of the lab; any other badge is a cheap card with a number.
    """

    def __init__(self, made: tuple[Made, ...], draw: Draw = os.urandom) -> None:
        self._made = made
        self._draw = draw
        self._cards: dict[Made, Card] = {}

    def card(self, printed: str, uid: bytes) -> Card:
        """The card with this number; where there are several, the one on which `printed` is printed."""
        same = [one for one in self._made if one.uid == uid]
        named = [one for one in same if printed in one.printed]
        found = next(iter(named or same), None) or Made((printed,), uid, CardKind.UID_ONLY)
        if found not in self._cards:
            self._cards[found] = self._manufactured(found)
        return self._cards[found]

    def _manufactured(self, one: Made) -> Card:
        match one.kind:
            case CardKind.DESFIRE:
                return desfire_card(one.uid, self._draw, (_master(one.uid), _application(one.uid)))
            case CardKind.NTAG424:
                return ntag424_card(one.uid, self._draw, _ntag_keys(one.uid))
            case CardKind.COPY:
                return copy_with_other_keys(one.uid, self._draw, _application(one.uid))
        return Card(one.uid)


def _master(uid: bytes) -> Application:
    key = card_key(uid, CARD_MASTER, PICC_AID)
    return Application(PICC_AID, (DesfireKey(key, KeyKind.AES_128, KEY_VERSION),), SETTINGS)


def _application(uid: bytes) -> Application:
    keys = (DesfireKey(card_key(uid, n, AID), version=KEY_VERSION) for n in range(DESFIRE_KEYS))
    return Application(AID, tuple(keys), SETTINGS)


def _ntag_keys(uid: bytes) -> tuple[NtagKey, ...]:
    return tuple(
        NtagKey(card_key(uid, number, NTAG424_AID), KEY_VERSION) for number in range(NTAG424_KEYS)
    )
