"""What a witness knows of interlocks in, the first broken rule of theirs out: this machine's own and another one's.

2-machine.md declares them without a number. What is asked here is what docs/what-opens-the-relay.md and docs/faults.md
promise: one of this machine's own cuts; one at another machine keeps every next job back and cuts none that runs.
That it cuts no job is asked by S8.
"""

from __future__ import annotations

from interlock.core.effects import Message
from interlock.sim.simulator.witness import LOOK_US, MS, Witness

AS_EVER = frozenset({Message.IN_USE, Message.LONG_JOB, Message.SUPERVISED})
"""What the screen says of a session while nothing is amiss."""


def i1_never_with_an_interlock_open(w: Witness) -> str | None:
    """I1: never close with an interlock open, nor with another machine's that is not known to be closed."""
    for name, since_us in w.interlocks_open.items():
        if w.now_us - since_us > LOOK_US:
            return f"the relay closed while {name} was open"
    if not w.fit.waits_for_another:
        return None
    hearsay, now_us = w.hearsay, w.now_us
    lost_us = hearsay.lost_since_us(now_us)
    if lost_us is not None and now_us - lost_us > LOOK_US:
        return "the relay closed while next door was not known to be closed"
    if hearsay.is_surely_told(w.ready_us, now_us):
        return "the relay closed while next door was open for so long that everybody had to know"
    return None


def i2_an_interlock_that_opens_cuts(w: Witness) -> str | None:
    """I2: an interlock of this machine that stays open for its time opens the coil."""
    if not w.relay or not w.interlocks_open:
        return None
    trip_us = {one.name: one.trip_after_ms * MS for one in w.fit.rules.interlocks}
    for name, since_us in w.interlocks_open.items():
        if w.served_us(since_us) > trip_us[name] + LOOK_US:
            return f"{name} is open and the coil is commanded on"
    return None


def i3_no_next_job_begins(w: Witness) -> str | None:
    """I3: with another machine's interlock not known to be closed a machine that rests is switched off: no next job."""
    since_us = w.hearsay.lost_since_us(w.now_us) if w.fit.waits_for_another else None
    if since_us is None or w.session is None or not w.relay:
        return None
    since_us = max(since_us, w.session.closed_us)
    if w.served_us(since_us) <= LOOK_US:
        return None
    if w.fit.busy_sensed and w.idle_since_us is not None:
        rested_us = max(since_us, w.idle_since_us)
        if w.served_us(rested_us) > LOOK_US:
            return (
                "next door is not known to be closed, nothing works, and the coil is commanded on"
            )
    return (
        "next door is not known to be closed and no screen says so"
        if w.message in AS_EVER
        else None
    )
