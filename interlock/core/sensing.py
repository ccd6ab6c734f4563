"""Sampled levels in, signals out: what changed since the last tick, and whether the contacts obey the coil.

An opening signal counts on its first sample; only a permitting one may be debounced. The mirror contact (NC)
is closed when the contactor is open. After each command it has a bounded time to follow; once it has
followed, leaving again means the contactor moved without us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlock.core import interlocks
from interlock.core.events import (
    BrokenPressed,
    BypassTurnedOff,
    BypassTurnedOn,
    ContactLost,
    ContactorStuckClosed,
    ContactorStuckOpen,
    EmergencyStopClosed,
    EmergencyStopOpened,
    Event,
    InterlockOpened,
    LongJobPressed,
    MachineBecameBusy,
    MachineBecameIdle,
    MachineBecameUnknown,
    MachineStartedByItself,
    StopPressed,
)
from interlock.core.interlocks import Contact
from interlock.core.model import Inputs, Rules

BOUNCE_MS = 20
"""Auxiliary contacts chatter for about 3 ms after they moved: one tick, so that no sample inside counts as lost."""

KEY_BOUNCE_MS = 100
"""A key switch turned by hand chatters for tens of milliseconds, and every turn is a record."""

YES_MS_MAX = 10_000
"""A button pressed for longer than anybody holds it while a badge is presented is stuck, and says nothing."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The last sample, and how the contactor answered the last coil command.

    `followed` is True once the mirror contact agreed with the coil after `commanded_ms`, first at `followed_ms`;
    `reported` once a disagreement was reported, so that it is said one time. `contacts` are those of
    `Rules.interlocks`. `key_on` is the bypass key without its chatter, its level unlike that since `key_turned_ms`.
    `yes_since_ms`: since when the long-job button is pressed.
    """

    inputs: Inputs
    coil_on: bool
    commanded_ms: int
    followed: bool = False
    followed_ms: int = 0
    reported: bool = False
    sampled_ms: int | None = None
    contacts: tuple[Contact, ...] = ()
    key_on: bool = False
    key_turned_ms: int | None = None
    yes_since_ms: int | None = None

    def says_yes(self, now_ms: int) -> bool:
        """Whether somebody holds the long-job ("yes") button."""
        return self.yes_since_ms is not None and now_ms - self.yes_since_ms <= YES_MS_MAX

    def command(self, coil_on: bool, now_ms: int) -> Watch:
        """The watch after the coil's commanded level became `coil_on`."""
        if coil_on == self.coil_on:
            return self
        return replace(self, coil_on=coil_on, commanded_ms=now_ms, followed=False, reported=False)

    def retest(self, now_ms: int) -> Watch:
        """The watch with its contactor finding forgotten: a technician says the contactor was mended."""
        return replace(self, commanded_ms=now_ms, followed=False, reported=False)


def hung(watch: Watch, rules: Rules, now_ms: int) -> bool:
    """Whether nobody looked for so long that the dynamic enable has let go of the closed contactor."""
    if rules.hang_ms is None or watch.sampled_ms is None:
        return False
    return watch.coil_on and now_ms - watch.sampled_ms > rules.hang_ms


def sense(
    watch: Watch, inputs: Inputs, rules: Rules, now_ms: int
) -> tuple[Watch, tuple[Event, ...]]:
    """The watch after this sample and what it signals, opening signals first."""
    before, was_hung = watch, hung(watch, rules, now_ms)
    contacts = interlocks.sampled(
        watch.contacts, rules.interlocks, inputs.interlocks_closed, now_ms
    )
    pressed_ms = now_ms if before.yes_since_ms is None else before.yes_since_ms
    yes_since_ms = pressed_ms if inputs.long_job_pressed else None
    watch = replace(
        watch, inputs=inputs, sampled_ms=now_ms, contacts=contacts, yes_since_ms=yes_since_ms
    )
    watch, key = _key_signals(watch, now_ms)
    signals = [
        *_interlock_signals(before, watch, rules),
        *_stop_signals(before.inputs, inputs),
        *key,
        *_busy_signals(before.inputs, inputs),
    ]
    if was_hung:
        # What the mirror contact says now is the monostable's doing, not the contactor's fault.
        return watch, (ContactLost(), *signals)
    watch, contact = _contact_signals(watch, rules, now_ms)
    if _started_by_itself(watch, rules, now_ms):
        contact.append(MachineStartedByItself())
    return watch, (*contact, *signals)


def _interlock_signals(before: Watch, after: Watch, rules: Rules) -> list[Event]:
    names = interlocks.opened(before.contacts, after.contacts, rules.interlocks)
    return [InterlockOpened(names)] if names else []


def _key_signals(watch: Watch, now_ms: int) -> tuple[Watch, list[Event]]:
    if (watch.inputs.bypass_on is True) is watch.key_on:
        return replace(watch, key_turned_ms=None), []
    since_ms = now_ms if watch.key_turned_ms is None else watch.key_turned_ms
    if now_ms - since_ms < KEY_BOUNCE_MS:
        return replace(watch, key_turned_ms=since_ms), []
    turned = replace(watch, key_on=not watch.key_on, key_turned_ms=None)
    return turned, [BypassTurnedOn() if turned.key_on else BypassTurnedOff()]


def _started_by_itself(watch: Watch, rules: Rules, now_ms: int) -> bool:
    """Whether work is drawn in the forbidden time after the contacts closed, the inrush left aside."""
    if rules.unexpected_start_ms is None or not watch.coil_on or watch.inputs.busy is not True:
        return False
    sensed = watch.inputs.mirror_closed is not None
    if sensed and not watch.followed:
        return False
    passed_ms = now_ms - (watch.followed_ms if sensed else watch.commanded_ms)
    return rules.inrush_ms < passed_ms <= rules.unexpected_start_ms


def _stop_signals(before: Inputs, after: Inputs) -> list[Event]:
    signals: list[Event] = []
    if after.emergency_stop_closed is False and before.emergency_stop_closed is not False:
        signals.append(EmergencyStopOpened())
    if after.stop_pressed and not before.stop_pressed:
        signals.append(StopPressed())
    if after.broken_pressed and not before.broken_pressed:
        signals.append(BrokenPressed())
    if after.long_job_pressed and not before.long_job_pressed:
        signals.append(LongJobPressed())
    if after.emergency_stop_closed is True and before.emergency_stop_closed is False:
        signals.append(EmergencyStopClosed())
    return signals


def _busy_signals(before: Inputs, after: Inputs) -> list[Event]:
    if after.busy is before.busy:
        return []
    if after.busy is None:
        return [MachineBecameUnknown()]
    return [MachineBecameBusy() if after.busy else MachineBecameIdle()]


def _contact_signals(watch: Watch, rules: Rules, now_ms: int) -> tuple[Watch, list[Event]]:
    if watch.inputs.mirror_closed is None:
        return watch, []
    if watch.inputs.bypass_on is True and not watch.coil_on:
        # The key closes the contactor without our coil; once it is back, the opening time runs.
        return replace(watch, commanded_ms=now_ms, followed=False), []
    agrees = watch.inputs.mirror_closed is not watch.coil_on
    if agrees:
        # A weld that lets go is still a weld: `reported` stays until a new command or a retest.
        since_ms = watch.followed_ms if watch.followed else now_ms
        return replace(watch, followed=True, followed_ms=since_ms), []
    if watch.coil_on and watch.followed and not watch.reported:
        if now_ms - watch.followed_ms <= BOUNCE_MS:
            return watch, []
        return replace(watch, reported=True), [ContactLost()]
    if watch.followed:
        # Coil off and the contactor moved without a command: it has the opening time to come back.
        watch = replace(watch, commanded_ms=now_ms, followed=False)
    allowed_ms = rules.close_time_ms if watch.coil_on else rules.open_time_ms
    if watch.reported or now_ms - watch.commanded_ms <= allowed_ms:
        return watch, []
    stuck: Event = ContactorStuckOpen() if watch.coil_on else ContactorStuckClosed()
    return replace(watch, reported=True), [stuck]
