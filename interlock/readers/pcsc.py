"""A PC/SC reader through pcscd: APDUs flow out, the UID of the card on it and its answers flow in.

For ACR122U, ACR1252U, Omnikey and the like, mostly at the enrolment desk. The reader itself selects
the card and speaks ISO 14443-4; PC/SC part 3 says what it tells of it:

- The UID answers the pseudo-APDU FF CA 00 00 00, asked anew at every poll.
- A storage card's ATR names its kind; SAK follows from that. Every other card speaks ISO 14443-4
  (SAK 20). ATQA is not told at all: the one that goes with the length of the UID stands for it.
- A reader with one slot shows one of several cards, or none: `SeveralCards` cannot be told, and what
  lies beside a badge is not noticed. At a machine use an RC522 or a PN532.
- `wake` asks for a cold reset; whether and how long that takes the field off is the reader's choice.

DESFire commands in their native form (one byte and parameters) are no APDUs: they are wrapped as
90 CMD 00 00 Lc … 00 and their answers unwrapped (status first), as the card's data sheet has it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Any

from interlock.cards.iso14443a import is_uid
from interlock.clock import Clock
from interlock.errors import CardError, ReaderError
from interlock.readers import CardSeen, Sight

GET_UID = [0xFF, 0xCA, 0x00, 0x00, 0x00]
GET_HISTORICAL = [0xFF, 0xCA, 0x01, 0x00, 0x00]
DONE = (0x90, 0x00)
NO_ATS = (0x6A, 0x81)
"""The card has none: "function not supported" (PC/SC part 3, 3.2.2.1.3)."""
SW_BYTES = 2
ISO_CLASSES = (0x00, 0x90)
"""First bytes of APDUs; no native command of DESFire begins so."""
NATIVE_CLASS, NATIVE_STATUS = 0x90, 0x91
STORAGE = bytes.fromhex("804f0ca000000306")
"""Historical bytes of a storage card begin so; its standard and its name follow (PC/SC part 3, 3.1.3.2.3)."""
ISO_14443_A_PART_3 = 0x03
SAK_TYPE_2, SAK_ISO_14443_4 = 0x00, 0x20
ATQA_OF_UID_SIZE = {4: b"\x04\x00", 7: b"\x44\x00", 10: b"\x84\x00"}
HISTORICAL_AT = 4
"""TS, T0, TD1 and TD2 stand before them in a contactless card's ATR."""
EVENTS_SHIFT = 16
"""The upper half of a state counts the cards that came and went."""
COLD_RESET_OFF_S = 0.010


class PcscReader:
    """An `interlock.readers.Reader` on the PC/SC reader whose name contains `name`; "" for the first."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._wanted = name
        self._clock = clock
        self._scard: Any = None
        self._context: int | None = None
        self._name = ""
        self._card: int | None = None
        self._protocol = 0
        self._events: int | None = None
        self._looks = 0

    @property
    def chip_name(self) -> str:
        """The reader's own name while it is open."""
        return self._name if self._context is not None else ""

    def open(self) -> None:
        """pcscd answers and the reader is plugged in."""
        self.close()
        scard = self._scard = _scard()
        result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        self._check(result)
        self._context = context
        try:
            self._name = _chosen(self._listed(), self._wanted)
            self._state()
        except ReaderError:
            self.close()
            raise

    def poll(self) -> Sight | None:
        """The card the reader has selected, or None. Raises ReaderError when reader or pcscd is gone."""
        self._looks += 1
        state, atr = self._state()
        if not state & self._scard.SCARD_STATE_PRESENT:
            self._release()
            return None
        events = state >> EVENTS_SHIFT
        if self._card is not None and events != self._events:
            self._release()
        self._events = events
        if self._card is None and not self._connect():
            return None
        return self._seen(atr)

    def wake(self, card: CardSeen) -> CardSeen | None:
        """`card` once more, after a cold reset; None when it is not the one that answers."""
        self._looks += 1
        if self._context is None:
            raise _closed()
        self._release(self._scard.SCARD_UNPOWER_CARD)
        self._clock.sleep(COLD_RESET_OFF_S)
        sight = self.poll()
        return sight if isinstance(sight, CardSeen) and sight == card else None

    def close(self) -> None:
        """Card and reader are everybody's again; harmless when called twice, and without pcscd."""
        context = self._context
        self._looks += 1
        with suppress(ReaderError):
            self._release()
        self._context, self._card = None, None
        if context is not None:
            # Its result says at most that pcscd is gone, and then there is nothing to release.
            self._scard.SCardReleaseContext(context)

    # -------------------------------------------------------------------------------- the reader

    def _listed(self) -> list[str]:
        scard = self._scard
        result, names = scard.SCardListReaders(self._context, [])
        if result == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        self._check(result)
        return list(names)

    def _state(self) -> tuple[int, bytes]:
        """Flags and event count of the reader now, and the ATR of the card on it."""
        scard = self._scard
        if self._context is None:
            raise _closed()
        result, states = scard.SCardGetStatusChange(
            self._context, 0, [(self._name, scard.SCARD_STATE_UNAWARE)]
        )
        self._check(result)
        _, state, atr = states[0]
        gone = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE | scard.SCARD_STATE_IGNORE
        if state & gone:
            raise _fault(f"{self._name} is not there any more", "Check its USB cable")
        return state, bytes(atr)

    # ---------------------------------------------------------------------------------- the card

    def _connect(self) -> bool:
        """The card is connected; False when it left, or does not answer."""
        scard = self._scard
        either = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, protocol = scard.SCardConnect(
            self._context, self._name, scard.SCARD_SHARE_SHARED, either
        )
        if result in self._card_troubles():
            return False
        self._check(result)
        self._card, self._protocol = card, protocol
        return True

    def _release(self, how: int | None = None) -> None:
        card, self._card, self._events = self._card, None, None
        if card is not None:
            # A card that has left cannot be left in any state: the result says nothing new.
            self._scard.SCardDisconnect(card, self._scard.SCARD_LEAVE_CARD if how is None else how)

    def _seen(self, atr: bytes) -> CardSeen | None:
        try:
            answer, ats = self._transmit(GET_UID), self._transmit(GET_HISTORICAL)
        except CardError:
            return None
        uid, by_atr = bytes(answer[:-SW_BYTES]), _speaks_by_atr(atr)
        if tuple(answer[-SW_BYTES:]) != DONE or not is_uid(uid) or by_atr is None:
            # A contact card in a dual reader, or none of type A: no badge.
            return None
        # pcscd misses a card changed between two of its looks and keeps the ATR of the one before, so the card is asked
        # itself (PC/SC part 3, 3.2.2.1.3); the ATR counts where the reader does not know that question.
        word = tuple(ats[-SW_BYTES:])
        has_ats = word == DONE or (by_atr and word != NO_ATS)
        sak = SAK_ISO_14443_4 if has_ats else SAK_TYPE_2
        speaks = partial(self._exchange, self._looks) if sak == SAK_ISO_14443_4 else None
        return CardSeen(uid, ATQA_OF_UID_SIZE[len(uid)], sak, speaks)

    def _exchange(self, look: int, command: bytes) -> bytes:
        if look != self._looks or self._card is None:
            raise _card_error("the card is not selected any more")
        if command[:1] and command[0] in ISO_CLASSES:
            return bytes(self._transmit(list(command)))
        answer = bytes(self._transmit(list(_wrapped(command))))
        if len(answer) < SW_BYTES or answer[-2] != NATIVE_STATUS:
            # The reader's own word, or a card that knows no wrapped commands.
            raise _card_error(f"the card refused the command ({answer[-2:].hex()})")
        return answer[-1:] + answer[:-SW_BYTES]

    def _transmit(self, apdu: list[int]) -> Sequence[int]:
        """What comes back, status word included, of at least two bytes."""
        scard = self._scard
        header = scard.SCARD_PCI_T0
        if self._protocol == scard.SCARD_PROTOCOL_T1:
            header = scard.SCARD_PCI_T1
        result, answer = scard.SCardTransmit(self._card, header, apdu)
        if result in self._card_troubles():
            self._release()
            raise _card_error("the card has gone")
        self._check(result)
        if len(answer) < SW_BYTES:
            self._release()
            raise _card_error("the card's answer is too short")
        return list(answer)

    def _card_troubles(self) -> tuple[int, ...]:
        """Results that blame the card and not the reader."""
        scard = self._scard
        return (
            scard.SCARD_W_REMOVED_CARD,
            scard.SCARD_W_RESET_CARD,
            scard.SCARD_W_UNPOWERED_CARD,
            scard.SCARD_W_UNRESPONSIVE_CARD,
            scard.SCARD_W_UNSUPPORTED_CARD,
            scard.SCARD_E_NO_SMARTCARD,
            scard.SCARD_E_NOT_TRANSACTED,
            scard.SCARD_E_PROTO_MISMATCH,
        )

    def _check(self, result: int) -> None:
        scard = self._scard
        if result == scard.SCARD_S_SUCCESS:
            return
        said = scard.SCardGetErrorMessage(result).rstrip(". ")
        if result in (scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED):
            raise _fault("pcscd does not run", "Start it: systemctl start pcscd.socket")
        if result == scard.SCARD_E_SHARING_VIOLATION:
            raise _fault(
                "another program has the reader", "End it (gpg-agent and browsers do that)"
            )
        if result == scard.SCARD_W_SECURITY_VIOLATION:
            raise _fault("pcscd refuses this user", "Allow it with a polkit rule, or run as root")
        raise _fault(said, "Check its USB cable, and pcscd: journalctl -u pcscd")


def _scard() -> ModuleType:
    """pyscard's plain functions; raises ReaderError where it is not installed."""
    try:
        return importlib.import_module("smartcard.scard")
    except ImportError as missing:
        raise _fault(
            "pyscard is not installed", "Install it: apt install pcscd python3-pyscard"
        ) from missing


def _chosen(names: list[str], wanted: str) -> str:
    """The reader whose name contains `wanted`, else the first that is no slot for a SAM."""
    fitting = [name for name in names if wanted in name]
    if not fitting:
        there = ", ".join(names) or "none"
        raise _fault(f"no reader {wanted!r}; there is: {there}", "Plug it in, or correct its name")
    return next((name for name in fitting if "SAM" not in name or "SAM" in wanted), fitting[0])


def _speaks_by_atr(atr: bytes) -> bool | None:
    """Whether this is the ATR of a card of ISO 14443-4; None for a storage card of another standard."""
    historical = atr[HISTORICAL_AT:-1]
    if not historical.startswith(STORAGE):
        return True
    standard = historical[len(STORAGE) :][:1]
    return False if standard == bytes((ISO_14443_A_PART_3,)) else None


def _wrapped(command: bytes) -> bytes:
    """A native DESFire command as an APDU (data sheet, "ISO/IEC 7816-4 wrapping")."""
    code, parameters = command[:1], command[1:]
    length = bytes((len(parameters),)) if parameters else b""
    return bytes((NATIVE_CLASS,)) + code + b"\x00\x00" + length + parameters + b"\x00"


def _fault(what: str, remedy: str) -> ReaderError:
    return ReaderError(what, where="reader pcsc", remedy=remedy)


def _closed() -> ReaderError:
    return _fault("the reader is not open", "Call open() first")


def _card_error(what: str) -> CardError:
    return CardError(what, where="reader pcsc", remedy="Present the badge once more and hold still")
