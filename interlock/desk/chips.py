"""A card on the reader goes in; what kind of chip it is, and how its keys are asked for and changed, comes out."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from interlock.cards.exchange import Transceive
from interlock.desk.site_keys import Place
from interlock.desk.words import _
from interlock.errors import CardError
from interlock.protocol.card_keys import Scheme

Key = bytes | None
"""16 bytes of AES; None for the key that the factory left there."""
CARD_AID = bytes(3)
CARD_MASTER = 255
"""The number by which the desk calls the master key of a whole DESFire card; no application has so many keys."""
APPLICATION_MASTER = 0

GET_VERSION = b"\x60"
GET_VERSION_WRAPPED = bytes.fromhex("9060000000")
MORE = b"\xaf"
MORE_WRAPPED = bytes.fromhex("90af000000")
SAYS_MORE, SAYS_MORE_WRAPPED = 0xAF, b"\x91\xaf"
VERSION_FRAMES = 3
TYPE_AT = 1
"""Vendor, then type of the chip: the first bytes of what GetVersion tells of the hardware."""


class Kind(Enum):
    """What a chip says it is."""

    DESFIRE = auto()
    NTAG424 = auto()
    OTHER = auto()


KINDS = {0x01: Kind.DESFIRE, 0x04: Kind.NTAG424}
"""Hardware types of NXP (MF3D(H)x3 and NT4H2421Gx, GetVersion); 08, DESFire Light, has no room for our keys."""
NXP = 0x04


class Chip(Protocol):
    """One card in the field, as far as keys go. Everything raises CardError when the card leaves."""

    @property
    def name(self) -> str:
        """What people call this kind of card."""

    @property
    def scheme(self) -> Scheme:
        """How it proves itself to a machine."""

    @property
    def aid(self) -> bytes:
        """The application that holds the keys, as the hub and the nodes call it."""

    def has_application(self) -> bool:
        """Whether that application is there."""

    def places(self) -> tuple[Place, ...]:
        """Every key the desk looks after, in the order they are changed: masters before the others."""

    def version(self, place: Place) -> int | None:
        """What was written beside the key; None where the card does not tell."""

    def knows(self, place: Place, key: Key) -> bool:
        """Whether the card proved that it holds `key` at `place`."""

    def told_uid(self) -> bytes:
        """The UID under the protection of the last key it proved to `know`."""

    def create_application(self, authority: Key, *, is_known: bool) -> None:
        """The application is there with keys of the factory; `authority`, if known, is the card's master key."""

    def change(self, place: Place, old: Key, new: bytes, version: int, authority: Key) -> None:
        """The card holds `new` at `place` instead of `old`; `authority` is the master key of its application."""


OpenChip = Callable[[Transceive], Chip]


def kind_of(transceive: Transceive) -> Kind:
    """What lies on the reader. Raises CardError when it leaves."""
    told = _version(transceive, GET_VERSION, MORE, wrapped=False)
    if told is None:
        told = _version(transceive, GET_VERSION_WRAPPED, MORE_WRAPPED, wrapped=True)
    if told is None or len(told) <= TYPE_AT or told[0] != NXP:
        return Kind.OTHER
    return KINDS.get(told[TYPE_AT], Kind.OTHER)


def master_of(place: Place) -> Place:
    """The place whose key may change the key at `place`."""
    return place if place.number == CARD_MASTER else Place(place.aid, APPLICATION_MASTER)


def refused(what: str) -> CardError:
    """A card that does not do what it should."""
    return CardError(what, where=_("card"), remedy=_("Lay it down once more, and leave it there"))


def _version(transceive: Transceive, ask: bytes, more: bytes, *, wrapped: bool) -> bytes | None:
    """The first of its frames; the others are fetched, so that the card expects a command again."""
    first = _frame(transceive(ask), wrapped=wrapped)
    if first is None:
        return None
    for _rest in range(VERSION_FRAMES - 1):
        transceive(more)
    return first


def _frame(answer: bytes, *, wrapped: bool) -> bytes | None:
    if wrapped:
        return answer[:-2] if answer[-2:] == SAYS_MORE_WRAPPED else None
    return answer[1:] if answer[:1] == bytes((SAYS_MORE,)) else None
