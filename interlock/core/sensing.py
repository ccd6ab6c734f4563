"""Sampled levels in, signals out: what changed since the last tick, and whether the contacts obey the coil.

An opening signal counts on its first sample; only a permitting one may be debounced. The mirror contact (NC)
is closed when the contactor is open. After each command it has a bounded time to follow; once it has
followed, leaving again means the contactor moved without us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlock.core.events import (
    BrokenPressed,
    ContactLost,
    ContactorStuckClosed,
    ContactorStuckOpen,
    EmergencyStopClosed,
    EmergencyStopOpened,
    Event,
    MachineBecameBusy,
    MachineBecameIdle,
    StopPressed,
)
from interlock.core.model import Inputs, Rules

BOUNCE_MS = 20
"""Auxiliary contacts chatter for about 3 ms after they moved: one tick, so that no sample inside counts as lost."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The last sample, and how the contactor answered the last coil command.

    `followed` is True once the mirror contact agreed with the coil after `commanded_ms`, first at `followed_ms`;
    `reported` once a disagreement was reported, so that it is said one time.
    """

    inputs: Inputs
    coil_on: bool
    commanded_ms: int
    followed: bool = False
    followed_ms: int = 0
    reported: bool = False
    sampled_ms: int | None = None

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
    signals = [
        *_stop_signals(watch.inputs, inputs),
        *_busy_signals(watch.inputs, inputs),
    ]
    was_hung = hung(watch, rules, now_ms)
    watch = replace(watch, inputs=inputs, sampled_ms=now_ms)
    if was_hung:
        # What the mirror contact says now is the monostable's doing, not the contactor's fault.
        return watch, (ContactLost(), *signals)
    watch, contact = _contact_signals(watch, rules, now_ms)
    return watch, (*contact, *signals)


def _stop_signals(before: Inputs, after: Inputs) -> list[Event]:
    signals: list[Event] = []
    if after.emergency_stop_closed is False and before.emergency_stop_closed is not False:
        signals.append(EmergencyStopOpened())
    if after.stop_pressed and not before.stop_pressed:
        signals.append(StopPressed())
    if after.broken_pressed and not before.broken_pressed:
        signals.append(BrokenPressed())
    if after.emergency_stop_closed is True and before.emergency_stop_closed is False:
        signals.append(EmergencyStopClosed())
    return signals


def _busy_signals(before: Inputs, after: Inputs) -> list[Event]:
    if after.busy is before.busy or after.busy is None:
        return []
    return [MachineBecameBusy() if after.busy else MachineBecameIdle()]


def _contact_signals(watch: Watch, rules: Rules, now_ms: int) -> tuple[Watch, list[Event]]:
    if watch.inputs.mirror_closed is None:
        return watch, []
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
