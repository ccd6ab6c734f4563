"""Parts C and D of the sheet: the contactor, what it says of itself, and what drops it without us; results out."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.config.node import HANG_MS
from interlock.node.commission_bench import Sample
from interlock.node.commission_site import (
    PRESS_MS,
    Result,
    Site,
    chain_closed,
    chain_open,
    mirror_closed,
    mirror_open,
    within,
)
from interlock.node.commission_words import Act, Look
from interlock.node.words import N_

REPETITIONS = 10
"""The sheet's: a contact that sticks now and then shows itself, and a contactor is good for a million."""

SETTLED_MS = 100
"""Behind the bound, the mirror contact is watched for so long: it must stay what it became."""

AUDIBLE_MS = 1_000
"""Where nothing but ears can tell, in and out last long enough to be heard."""

SELF_HOLDING_MS = 10_000
"""Long enough to press the machine's own start button."""

ENABLED_MS = 500
"""The contactor is in by then, and the dynamic enable has turned 25 times."""

HANG_DROP_MS_MAX = 1_000
"""A monostable that holds longer than that protects nobody; the one drawn in docs/wiring.md holds 300 to 480 ms."""

STAYS_OUT_MS = 2_000
"""After the emergency stop's release nothing may pull in; a relay with a delay of its own would by then."""


def relay(site: Site) -> Iterator[Result]:
    """The contactor follows the coil in time, ten times of ten; the worst times are written down."""
    times = site.config.times
    if not site.has_mirror:
        yield site.result("", _heard(site))
        return
    site.person.told(Act.LISTEN)
    worst_close_ms = worst_open_ms = 0
    for _ in range(REPETITIONS):
        on = site.bench.hold(times.close_time_ms + SETTLED_MS)
        off = site.bench.watch(times.open_time_ms + SETTLED_MS)
        close_ms, open_ms = on.settled_ms(mirror_open), off.settled_ms(mirror_closed)
        worst_close_ms = max(worst_close_ms, close_ms or 0)
        worst_open_ms = max(worst_open_ms, open_ms or 0)
        worst = {"close_ms": worst_close_ms, "open_ms": worst_open_ms}
        if not within(close_ms, times.close_time_ms):
            why = site.say(N_("the contactor did not pull in within %(ms)d ms"))
            yield site.result("", False, why % {"ms": times.close_time_ms}, **worst)
            return
        if not within(open_ms, times.open_time_ms):
            why = site.say(N_("the contactor did not let go within %(ms)d ms: cut the mains"))
            yield site.result("", False, why % {"ms": times.open_time_ms}, **worst)
            return
    yield site.result("", True, **worst, repetitions=REPETITIONS)


def mirror_wire(site: Site) -> Iterator[Result]:
    """A broken wire of the mirror contact reads as "not released", never as "all well"."""
    if not mirror_closed(site.bench.watch(0).last):
        yield site.untested("", site.say(N_("it is not at rest")))
        return
    site.person.told(Act.PULL_MIRROR_WIRE)
    seen = site.bench.watch(PRESS_MS, mirror_open).first_ms(mirror_open) is not None
    site.person.told(Act.PUT_MIRROR_WIRE)
    back = site.bench.watch(PRESS_MS, mirror_closed).first_ms(mirror_closed) is not None
    why = site.say(N_("its wire taken off was not noticed"))
    if seen:
        why = site.say(N_("its wire put back was not noticed"))
    yield site.result("", seen and back, why)


def dynamic_enable(site: Site) -> Iterator[Result]:
    """With the pin on and the dynamic enable standing still the contactor drops, after a hang and not before."""
    if not site.has_mirror:
        site.person.ready(Act.WATCH_HANG)
        site.bench.hold(SELF_HOLDING_MS, enabled_ms=0)
        yield site.result("", site.person.sees(Look.STAYED_OUT))
        return
    site.person.told(Act.WATCH_HANG)
    trace = site.bench.hold(
        ENABLED_MS + HANG_DROP_MS_MAX + site.config.times.open_time_ms, enabled_ms=ENABLED_MS
    )
    dropped_ms = trace.settled_ms(mirror_closed, trace.turned_ms)
    if dropped_ms is None or dropped_ms - trace.turned_ms > HANG_DROP_MS_MAX:
        why = site.say(N_("the contactor stays in under a hung node"))
        yield site.result("", False, why)
        return
    drop_ms = dropped_ms - trace.turned_ms
    why = site.say(N_("drops after %(ms)d ms: sooner than a late node, which would close it again"))
    yield site.result("", drop_ms > HANG_MS, why % {"ms": drop_ms}, drop_ms=drop_ms)


def stop_chain(site: Site) -> Iterator[Result]:
    """The emergency stop drops the contactor while our coil is still driven; its release closes nothing."""
    has_status = site.config.inputs.emergency_stop is not None
    site.person.ready(Act.PRESS_EMERGENCY)
    pressed = _Pressed(site)
    trace = site.bench.hold(PRESS_MS, pressed, chain_may_open=True)
    opened_ms = trace.first_ms(chain_open) if has_status else pressed.since_ms
    dropped_ms = trace.settled_ms(mirror_closed, opened_ms or 0) if site.has_mirror else None
    let_go = site.has_mirror or site.person.sees(Look.LET_GO)
    site.person.ready(Act.RELEASE_EMERGENCY)
    after = site.bench.watch(STAYS_OUT_MS)
    drop_ms = None
    if has_status and dropped_ms is not None and opened_ms is not None:
        drop_ms = dropped_ms - opened_ms
    why = ""
    if has_status and opened_ms is None:
        why = site.say(N_("its status contact did not open"))
    elif site.has_mirror and (
        dropped_ms is None or not within(drop_ms or 0, site.config.times.open_time_ms)
    ):
        why = site.say(N_("the contactor stays in: the emergency stop is bridged"))
    elif not let_go:
        why = site.say(N_("the contactor does not let go at the emergency stop"))
    elif has_status and not chain_closed(after.last):
        why = site.say(N_("its status contact stays open after the release"))
    elif site.has_mirror and not all(mirror_closed(sample) for sample in after.samples):
        why = site.say(N_("the contactor pulled in at the release"))
    yield site.result("", not why, why, drop_ms=drop_ms)


class _Pressed:
    """Ends a hold once the emergency stop was pressed and the contactor had its opening time."""

    def __init__(self, site: Site) -> None:
        self.since_ms: int | None = None
        self._has_status = site.config.inputs.emergency_stop is not None
        self._was_in = False
        self._allowed_ms = site.config.times.open_time_ms + SETTLED_MS

    def __call__(self, sample: Sample) -> bool:
        self._was_in = self._was_in or mirror_open(sample)
        told = chain_open(sample) if self._has_status else self._was_in and mirror_closed(sample)
        if self.since_ms is None and told:
            self.since_ms = sample.at_ms
        return self.since_ms is not None and sample.at_ms - self.since_ms > self._allowed_ms


def _heard(site: Site) -> bool:
    """Without a mirror contact only ears tell; a self-holding contactor waits for its own start button."""
    if site.config.machine.restart_protection == "self_holding":
        site.person.ready(Act.LISTEN_SELF_HOLDING)
        site.bench.hold(SELF_HOLDING_MS)
        return site.person.sees(Look.PULLED_IN)
    site.person.told(Act.LISTEN)
    for _ in range(REPETITIONS):
        site.bench.hold(AUDIBLE_MS)
        site.bench.watch(AUDIBLE_MS)
    return site.person.sees(Look.PULLED_IN)
