"""A card in the field, where its key lies and what it should be: whether the card knows that key comes out."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from interlock.cards import desfire, ntag424
from interlock.cards.exchange import Draw, Transceive

DESFIRE_AES = "desfire_aes"
NTAG424_AES = "ntag424_aes"
"""The schemes, as `protocol.card_keys.Scheme` spells them."""


class Slot(Protocol):
    """Where a badge keeps its key: `protocol.card_keys.CardSlot`."""

    @property
    def scheme(self) -> str:
        """How the badge proves itself."""

    @property
    def aid(self) -> bytes:
        """3 bytes in the order they are sent; without meaning for an NTAG 424."""

    @property
    def key_number(self) -> int:
        """Which key of the application."""


class Proof(Enum):
    """What the card showed."""

    GENUINE = auto()
    """It knows the key."""
    FORGED = auto()
    """It answered, and does not know the key, or has no place where it could be."""


def authenticate(transceive: Transceive, slot: Slot, key: bytes, draw: Draw) -> Proof:
    """Whether the card knows `key` (16 bytes). Raises CardError when it left or was not understood."""
    session: object
    if slot.scheme == DESFIRE_AES:
        session = desfire.authenticate(transceive, slot.aid, slot.key_number, key, draw)
    else:
        session = ntag424.authenticate(transceive, slot.key_number, key, draw)
    return Proof.FORGED if session is None else Proof.GENUINE
