"""A badge in the field and the key it must know go in; whether it proved itself comes out, within 600 ms.

The key arrives wrapped twice: under this node's wrapping key, and that sealed to the node's own key. Both are opened
here, for one authentication, in local names of one function; nothing keeps them, prints them or writes them.

Why a badge that lies in the slot (`hold`) cannot be swapped for a clone: its UID alone keeps nothing alive. It must
prove itself again in the very poll that sees it after any poll that did not see it alone (missed, several cards, a
reader's error), and every `RENEW_MS` in any case, because a clone laid over the badge before that is lifted leaves no
poll unseen. A clone fails, and counts as removed at once; a badge that cannot answer counts as missed, and as removed
after the arrival gap. Either way it has to leave the field before it counts again (`presence`). So a clone lives for
`RENEW_MS` at most, less than the grace time a removed badge has anyway.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from interlock.cards.authentication import Proof, authenticate
from interlock.cards.exchange import REMEDY
from interlock.clock import Clock
from interlock.errors import CardError, ProtocolError
from interlock.protocol.card_keys import WrappedKey, open_sealed, unwrap
from interlock.readers import CardSeen, Reader, Sight, Transceive

TRANSACTION_MS_MAX = 600
"""From the first command to the last answer, the retry included (3-cards.md); later answers do not count."""
RETRY_MS_MAX = 300
"""An attempt that failed after this leaves no time for another; an RC522 gives one 270 ms."""
RENEW_MS = 1_000
"""How old a proof may be while the badge lies there; a renewal is some 55 transfers and 13 ms of the reader's time."""

LOG = logging.getLogger(__name__)


class Finding(Enum):
    """What an examination found."""

    GENUINE = auto()
    FORGED = auto()
    """Wrong key, no key, or a card that could not hold one."""
    UNSURE = auto()
    """It left, was not understood, took too long; or its key cannot be opened here."""
    UNASKED = auto()
    """The reader tells a number and cannot speak to cards, so no badge with a key can use it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a badge claims to be: its tag, its wrapped key, and the sealed key that opens it (None: missing)."""

    tag: bytes
    key: WrappedKey = field(repr=False)
    wrapping_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Asks badges for proof through `reader`; `decryption_key` is the node's own X25519 key (None: none was given)."""

    reader: Reader
    clock: Clock
    node: str
    decryption_key: bytes | None = field(repr=False)
    draw: Callable[[int], bytes] = os.urandom

    def examine(self, card: CardSeen, claim: Claim) -> Finding:
        """Whether `card` is the badge of `claim`; it may be woken once. Raises ReaderError for a dead reader."""
        if not any(card.atqa):
            # Every ISO 14443 card has a bit of its ATQA set (ISO 14443-3, 6.5.2.1); a number typed by a reader none.
            return Finding.UNASKED
        began_ms = self.clock.boot_ms()
        try:
            finding = self._attempt(card, claim, began_ms)
            if finding is Finding.UNSURE and self._since_ms(began_ms) <= RETRY_MS_MAX:
                woken = self.reader.wake(card)
                finding = Finding.UNSURE if woken is None else self._attempt(woken, claim, began_ms)
        except ProtocolError as error:
            # The member is not to blame, and UID alone would be no proof.
            LOG.error("a badge's key cannot be opened: %s", error)
            return Finding.UNSURE
        if finding is Finding.GENUINE and self._since_ms(began_ms) > TRANSACTION_MS_MAX:
            return Finding.UNSURE
        return finding

    def _attempt(self, card: CardSeen, claim: Claim, began_ms: int) -> Finding:
        line = card.transceive
        if line is None:
            return Finding.FORGED

        def in_time(command: bytes) -> bytes:
            if self._since_ms(began_ms) > TRANSACTION_MS_MAX:
                raise CardError("it took too long", where="card", remedy=REMEDY)
            return line(command)

        try:
            return self._asked(in_time, claim)
        except CardError as error:
            LOG.info("a badge could not prove itself: %s", error)
            return Finding.UNSURE

    def _asked(self, transceive: Transceive, claim: Claim) -> Finding:
        if self.decryption_key is None or claim.wrapping_key is None:
            raise ProtocolError("this node has no key for it", where="card key")
        wrapping_key = open_sealed(self.decryption_key, claim.wrapping_key)
        card_key = unwrap(wrapping_key, claim.key, node=self.node, tag=claim.tag)
        proof = authenticate(transceive, claim.key.slot, card_key, self.draw)
        return Finding.GENUINE if proof is Proof.GENUINE else Finding.FORGED

    def _since_ms(self, began_ms: int) -> int:
        return self.clock.boot_ms() - began_ms


@dataclass(slots=True)
class Vigil:
    """The badge that proved itself and lies there: when it has to do so again."""

    uid: bytes
    claim: Claim
    proved_ms: int
    interrupted: bool = False

    def saw(self, sight: Sight | None) -> None:
        """A poll saw `sight`: anything but this badge alone is an interruption."""
        if not (isinstance(sight, CardSeen) and sight.uid == self.uid):
            self.interrupted = True

    def is_due(self, now_ms: int) -> bool:
        """Whether the badge has to prove itself before it counts as still there."""
        return self.interrupted or now_ms - self.proved_ms >= RENEW_MS

    def renewed(self, now_ms: int) -> None:
        """The badge proved itself again."""
        self.proved_ms, self.interrupted = now_ms, False
