"""A code on paper in; a latched fault cleared, once, where no list of rights could vouch for a technician.

The code is made at commissioning and stands nowhere but on paper: 19 letters of an alphabet of 23 without
look-alikes (no 0/O, 1/I/L, 2/Z, 5/S, 8/B, U/V), which is 85 bits, and one that checks them. Its check is a weighted
sum modulo the prime 23 with weights 1 to 20, so that one wrong letter, or two exchanged, always shows.

What is kept is scrypt of it. A code of 85 bits cannot be guessed from that at any price of the function, so its
cost is small: a node's memory is locked and its processor serves a machine.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from interlock.clock import Clock
from interlock.config.learned import BreakGlass, read_break_glass, write_break_glass
from interlock.errors import ConfigError, ProtocolError

ALPHABET: Final = "34679ACDEFGHJKMNPQRTWXY"
RANDOM_LETTERS: Final = 19
GROUP_LETTERS: Final = 5
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**12, 8, 1
"""4 MiB for some 20 ms of one core of a Pi Zero 2 W."""

WAIT_MS: Final = 5_000
"""One try in five seconds, whoever asks: 2^85 of them outlast the machine."""

BY: Final = "break-glass"
"""Who cleared the fault, in its record."""


def new_code(choose: Callable[[str], str]) -> str:
    """A code for the envelope, in groups; `choose` takes one letter at random (`SystemRandom().choice`)."""
    letters = "".join(choose(ALPHABET) for _ in range(RANDOM_LETTERS))
    last_weight = RANDOM_LETTERS + 1
    # weight * value + sum = 0 (mod 23): the weight has an inverse because 23 is prime.
    value = -_sum(letters) * pow(last_weight, -1, len(ALPHABET)) % len(ALPHABET)
    whole = letters + ALPHABET[value]
    return "-".join(whole[at : at + GROUP_LETTERS] for at in range(0, len(whole), GROUP_LETTERS))


def normalised(text: str) -> str:
    """The letters of a code as somebody typed it. Raises ProtocolError: it is none, or one letter is wrong."""
    letters = "".join(text.split()).replace("-", "").upper()
    right = len(letters) == RANDOM_LETTERS + 1 and all(one in ALPHABET for one in letters)
    if not right or _sum(letters) % len(ALPHABET):
        raise ProtocolError(
            "this is no break-glass code: a letter is missing or wrong",
            remedy="Type the 20 letters as they stand on the paper; spaces and case do not count",
        )
    return letters


def sealed(code: str, salt: bytes, made_at: int) -> BreakGlass:
    """What is kept of `code`. Raises ProtocolError for what is no code."""
    return BreakGlass(salt, _hash(normalised(code), salt), made_at)


class BreakGlassDoor:
    """Judges codes for a running node; any of its threads may call it."""

    def __init__(self, learned: Path, clock: Clock) -> None:
        self._learned = learned
        self._clock = clock
        self._lock = threading.Lock()
        self._tried_ms: int | None = None

    def open(
        self, typed: str, *, has_fault: bool, has_rights: bool, clear: Callable[[], object]
    ) -> None:
        """`clear` was called and the code is spent. Raises ProtocolError: it was not, and why.

        `has_fault`: one is latched. `has_rights`: a list of rights is there that would know a technician's badge.
        """
        with self._lock:
            self._wait()
            if not has_fault:
                raise ProtocolError("no fault is latched: there is nothing to clear")
            if has_rights:
                raise ProtocolError(
                    "the list of rights is here",
                    remedy="Clear the fault with a technician's badge, or at the hub",
                )
            kept = self._recognised(normalised(typed))
            # Struck out before anything is cleared: a code that worked twice would be no one-time code.
            self._write(replace(kept, used_at=self._clock.wall_ms() // 1_000))
            try:
                clear()
            except ProtocolError:
                self._write(kept)
                raise

    def state(self) -> str | None:
        """ "ready", "used", or None where no code was ever made."""
        try:
            kept = read_break_glass(self._learned)
        except ConfigError:
            return None
        if kept is None:
            return None
        return "ready" if kept.used_at is None else "used"

    def _wait(self) -> None:
        now_ms = self._clock.boot_ms()
        if self._tried_ms is not None and now_ms - self._tried_ms < WAIT_MS:
            raise ProtocolError("one try in 5 s", remedy="Wait a moment, then type it again")
        self._tried_ms = now_ms

    def _recognised(self, letters: str) -> BreakGlass:
        """The seal that `letters` are the code of. Raises ProtocolError."""
        try:
            kept = read_break_glass(self._learned)
        except ConfigError as error:
            raise ProtocolError(str(error)) from error
        if kept is None or kept.used_at is not None:
            raise ProtocolError(
                "there is no code for this machine that was not used yet",
                remedy="Make one: interlock commission --only break-glass",
            )
        if not hmac.compare_digest(_hash(letters, kept.salt), kept.hash):
            raise ProtocolError("this is not the code of this machine")
        return kept

    def _write(self, seal: BreakGlass) -> None:
        try:
            write_break_glass(self._learned, seal)
        except ConfigError as error:
            raise ProtocolError(f"the code cannot be struck out: {error}") from error


def _sum(letters: str) -> int:
    return sum(weight * ALPHABET.index(one) for weight, one in enumerate(letters, 1))


def _hash(letters: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        letters.encode("ascii"), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=HASH_BYTES
    )
