"""The node's clock and the hub's signed answers in, a trustworthy `Now` and the cache's age out.

Three sources, in order of belief. (1) A time signed by the hub over our own fresh nonce: from
then on, for this boot, the wall is that anchor plus monotonic time and the system's wall clock is
not asked again. (2) The last such time ever, plus all the time this Pi was powered since: a lower
bound that no clock setting can move. (3) The system's wall clock, which may be wrong. Before (1),
end dates are compared with the larger of (2) and (3), so a clock that is set back extends nothing
(2-machine.md A5, A11).

One answer alone moves time neither by days nor back: a hub whose own clock is wrong for a moment
must not lock members out for years. Two answers that agree, asked for one after the other, do
both; so a hub that was mended takes back what it said, and a Pi that was off for a week waits half
a minute for its trust.

Powered time is an odometer: it runs with CLOCK_BOOTTIME and is saved every ten minutes (`Marks`),
so a power cut loses at most that much of it, in the member's favour.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.clock import Clock
from interlock.core.model import Now
from interlock.errors import ProtocolError
from interlock.protocol import fields, hubtime
from interlock.protocol.snapshots import SnapshotVersion

EARLIEST_WALL_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: no node ran this software before; a system clock that says so was never
set.
"""

NONCE_LIFE_MS = 60_000
"""An answer that took longer would date us too far in the past; sync's own total timeout is
shorter.
"""

JUMP_MS_MAX = 86_400_000
"""A day ahead of all we know is believed at once; a Pi that was off for longer asks twice."""

CONFIRM_AFTER_MS = 20_000
"""The second question comes so long after the first answer; sync greets the hub every 30 s."""

AGREE_MS = 60_000
"""Two answers agree within what one may have waited for us (`NONCE_LIFE_MS`)."""

NONCES_MAX = 8
"""Questions that may be open at once: sync, and people who look with `interlock node status`."""

CACHE_AGE_UNKNOWN_S = 10 * 365 * 86_400
"""Older than any bound of `max_offline_s`: a snapshot nobody ever confirmed is stale."""


@dataclass(frozen=True, slots=True)
class TimeMarks:
    """What survives a power cut (the journal worker keeps it): odometer, trusted time, the
    cache's last proof.

    `powered_ms` is all powered time until `boot_ms` of `boot_id`; `trusted_wall_ms` was true when
    the odometer showed `trusted_powered_ms`, in the boot `trusted_boot_id`; `current_version` was
    known current at `current_powered_ms` and, where time was trusted then, at `current_wall_ms`.
    """

    boot_id: str = ""
    boot_ms: int = 0
    powered_ms: int = 0
    trusted_wall_ms: int | None = None
    trusted_powered_ms: int = 0
    trusted_boot_id: str = ""
    current_version: SnapshotVersion | None = None
    current_powered_ms: int = 0
    current_wall_ms: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """The marks as one JSON object."""
        version = self.current_version
        return {
            "boot_id": self.boot_id,
            "boot_ms": self.boot_ms,
            "powered_ms": self.powered_ms,
            "trusted_wall_ms": self.trusted_wall_ms,
            "trusted_powered_ms": self.trusted_powered_ms,
            "trusted_boot_id": self.trusted_boot_id,
            "current_version": None if version is None else list(version),
            "current_powered_ms": self.current_powered_ms,
            "current_wall_ms": self.current_wall_ms,
        }


def marks_from_wire(wire: Mapping[str, Any]) -> TimeMarks:
    """The marks a JSON object describes. Raises ProtocolError."""
    version = wire.get("current_version")
    if version is not None and not (isinstance(version, list | tuple) and len(version) == 2):
        raise ProtocolError("current_version must be [hub epoch, counter]", where="time marks")
    pair = {} if version is None else {"hub_epoch": version[0], "counter": version[1]}
    return TimeMarks(
        boot_id=fields.text(wire, "boot_id", length_max=64),
        boot_ms=fields.integer(wire, "boot_ms"),
        powered_ms=fields.integer(wire, "powered_ms"),
        trusted_wall_ms=fields.optional_integer(wire, "trusted_wall_ms"),
        trusted_powered_ms=fields.integer(wire, "trusted_powered_ms"),
        trusted_boot_id=fields.text(wire, "trusted_boot_id", length_max=64),
        current_version=(
            (fields.integer(pair, "hub_epoch"), fields.integer(pair, "counter")) if pair else None
        ),
        current_powered_ms=fields.integer(wire, "current_powered_ms"),
        current_wall_ms=fields.optional_integer(wire, "current_wall_ms"),
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the hub said its time was, and when it was handed in here."""

    wall_ms: int
    boot_ms: int


class Timekeeper:
    """One per process, used by every thread: reading never blocks, writing holds a lock for
    microseconds.
    """

    def __init__(
        self,
        clock: Clock,
        marks: TimeMarks | None = None,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._lock = threading.Lock()
        self._nonces: dict[bytes, int] = {}
        self._unconfirmed: _Answer | None = None
        self._marks = self._wound_on(marks or TimeMarks())

    def now(self) -> Now:
        """This instant, as the decision takes it."""
        boot_ms, marks = self._clock.boot_ms(), self._marks
        wall_ms = self._wall_ms(marks, boot_ms)
        wall_at = None if wall_ms is None else wall_ms // 1_000
        return Now(boot_ms, wall_at, self._is_trusted(marks))

    def wall(self) -> tuple[int | None, bool]:
        """UTC milliseconds (None: never known) and whether they are trusted, for a record's
        header.
        """
        marks = self._marks
        return self._wall_ms(marks, self._clock.boot_ms()), self._is_trusted(marks)

    def powered_ms(self) -> int:
        """All the time this node was ever powered, as far as it was saved."""
        return self._powered_ms(self._marks, self._clock.boot_ms())

    def since_told_s(self) -> int | None:
        """Powered seconds since the hub last told its time; None when it never did."""
        marks = self._marks
        if marks.trusted_wall_ms is None:
            return None
        powered_ms = self._powered_ms(marks, self._clock.boot_ms())
        return (powered_ms - marks.trusted_powered_ms) // 1_000

    def marks(self) -> TimeMarks:
        """What to keep on the disk now."""
        return self._wound_on(self._marks)

    # ------------------------------------------------------------------------------- the hub's time

    def fresh_nonce(self) -> bytes:
        """A new question for the hub; its answer counts once and for a minute."""
        nonce = self._entropy(hubtime.NONCE_BYTES)
        with self._lock:
            while len(self._nonces) >= NONCES_MAX:
                del self._nonces[next(iter(self._nonces))]
            self._nonces[nonce] = self._clock.boot_ms()
        return nonce

    def accept(
        self, message: Mapping[str, Any], key: Ed25519PublicKey, *, lab: str, node: str
    ) -> hubtime.HubTime:
        """Time is trusted from here on, as the hub signed it over one of our open nonces.

        An answer more than a day ahead of all we know is refused until a second one agrees; one
        behind trusted time leaves that as it is until then: a hub whose own clock was set back for
        a moment must not revive an ended right. Raises ProtocolError, changing no time.
        """
        nonce, asked_ms = self._open_nonce(message)
        time = hubtime.open_time(message, key, lab=lab, node=node, nonce=nonce)
        with self._lock:
            if self._nonces.pop(nonce, None) is None:
                raise ProtocolError("its question was answered already", where="hub time")
            marks = self._wound_on(self._marks)
            self._marks = replace(
                marks,
                trusted_wall_ms=self._believed_ms(time.wall_ms, asked_ms, marks),
                trusted_powered_ms=marks.powered_ms,
                trusted_boot_id=marks.boot_id,
            )
        return time

    def confirm_current(self, version: SnapshotVersion, issued_at: int | None = None) -> None:
        """`version` is what the hub holds for this node, now (or at `issued_at`, when it comes
        with a snapshot).
        """
        with self._lock:
            self._marks = self.marks_once_current(version, issued_at)

    def carry_proof(self, old: SnapshotVersion, new: SnapshotVersion) -> TimeMarks:
        """What proved `old` current proves `new`, which the hub signed later, and makes it no younger; to keep."""
        with self._lock:
            marks = self._wound_on(self._marks)
            if marks.current_version == old:
                marks = replace(marks, current_version=new)
            self._marks = marks
        return marks

    def marks_once_current(self, version: SnapshotVersion, issued_at: int | None) -> TimeMarks:
        """What `confirm_current` would make of the marks; to keep on the disk before the switch."""
        marks = self._wound_on(self._marks)
        wall_ms = self._floor_ms(marks, marks.powered_ms)
        if issued_at is not None:
            # A snapshot that lay on a shelf is as old as its signature says.
            wall_ms = issued_at * 1_000 if wall_ms is None else min(wall_ms, issued_at * 1_000)
        return replace(
            marks,
            current_version=version,
            current_powered_ms=marks.powered_ms,
            current_wall_ms=wall_ms,
        )

    def cache_age_s(self, version: SnapshotVersion | None) -> int:
        """Seconds since `version` was known to be current: powered or trusted wall time,
        whichever is more.
        """
        marks, boot_ms = self._marks, self._clock.boot_ms()
        if version is None or version != marks.current_version:
            return CACHE_AGE_UNKNOWN_S
        powered_ms = self._powered_ms(marks, boot_ms)
        ages_ms = [powered_ms - marks.current_powered_ms]
        floor_ms = self._floor_ms(marks, powered_ms)
        if floor_ms is not None and marks.current_wall_ms is not None:
            ages_ms.append(floor_ms - marks.current_wall_ms)
        return max(ages_ms) // 1_000

    # ----------------------------------------------------------------------------------- arithmetic

    def _believed_ms(self, wall_ms: int, asked_ms: int, marks: TimeMarks) -> int:
        """What is taken of the hub's `wall_ms`, asked for at `asked_ms`. Raises ProtocolError."""
        floor_ms = self._floor_ms(marks, marks.powered_ms)
        known_ms = self._later_of_system_and(floor_ms)
        ahead = known_ms is not None and wall_ms > known_ms + JUMP_MS_MAX
        behind = floor_ms is not None and wall_ms < floor_ms - AGREE_MS
        if not ahead and not behind:
            self._unconfirmed = None
            return wall_ms if floor_ms is None else max(wall_ms, floor_ms)
        if self._is_confirmed(wall_ms, asked_ms, marks.boot_ms):
            self._unconfirmed = None
            return wall_ms
        if ahead:
            raise ProtocolError(
                "it is more than a day ahead of all this node knows",
                where="hub time",
                remedy="It counts once a second answer agrees, half a minute later",
            )
        assert floor_ms is not None
        return floor_ms

    def _is_confirmed(self, wall_ms: int, asked_ms: int, boot_ms: int) -> bool:
        """Whether an earlier answer says the same and the hub was asked anew since; else remember this one."""
        first = self._unconfirmed
        if first is not None:
            passed_ms = boot_ms - first.boot_ms
            if abs(wall_ms - first.wall_ms - passed_ms) <= AGREE_MS:
                return asked_ms - first.boot_ms >= CONFIRM_AFTER_MS
        self._unconfirmed = _Answer(wall_ms, boot_ms)
        return False

    def _open_nonce(self, message: Mapping[str, Any]) -> tuple[bytes, int]:
        statement = message.get("statement")
        if not isinstance(statement, dict):
            raise ProtocolError("this is not a signed time", where="hub time")
        nonce = fields.octets(statement, "nonce", hubtime.NONCE_BYTES)
        asked_ms = self._nonces.get(nonce)
        if asked_ms is None or self._clock.boot_ms() - asked_ms > NONCE_LIFE_MS:
            raise ProtocolError(
                "it answers no question of the last minute",
                where="hub time",
                remedy="Ask again with hello and hand in the answer at once",
            )
        return nonce, asked_ms

    def _is_trusted(self, marks: TimeMarks) -> bool:
        return marks.trusted_wall_ms is not None and marks.trusted_boot_id == self._clock.boot_id

    def _powered_ms(self, marks: TimeMarks, boot_ms: int) -> int:
        passed_ms = boot_ms - marks.boot_ms if marks.boot_id == self._clock.boot_id else boot_ms
        return marks.powered_ms + max(0, passed_ms)

    def _wound_on(self, marks: TimeMarks) -> TimeMarks:
        boot_ms = self._clock.boot_ms()
        return replace(
            marks,
            boot_id=self._clock.boot_id,
            boot_ms=boot_ms,
            powered_ms=self._powered_ms(marks, boot_ms),
        )

    def _floor_ms(self, marks: TimeMarks, powered_ms: int) -> int | None:
        if marks.trusted_wall_ms is None:
            return None
        return marks.trusted_wall_ms + powered_ms - marks.trusted_powered_ms

    def _wall_ms(self, marks: TimeMarks, boot_ms: int) -> int | None:
        floor_ms = self._floor_ms(marks, self._powered_ms(marks, boot_ms))
        if self._is_trusted(marks):
            return floor_ms
        return self._later_of_system_and(floor_ms)

    def _later_of_system_and(self, floor_ms: int | None) -> int | None:
        system_ms = self._clock.wall_ms()
        if system_ms < EARLIEST_WALL_MS:
            return floor_ms
        return system_ms if floor_ms is None else max(system_ms, floor_ms)
