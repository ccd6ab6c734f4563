"""Parts E, F and G of the sheet: the machine itself under power: drop-out, current, unexpected start; results out.

The drop-out test asks what the file claims (`machine.restart_protection`):

    no_volt_release, self_holding   the machine keeps itself still: our coil stays driven all the time
    mirror_contact, stop_status     the node keeps it still: the coil goes off once that contact tells of the cut,
                                    as the node would do it, and the test is whether it tells
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from interlock.config.learned import SIGNAL_TO_NOISE_MIN, thresholds_between
from interlock.core.sensing import BOUNCE_MS
from interlock.errors import ConfigError
from interlock.node.commission_bench import HOLD_MS_MAX, Sample, Trace
from interlock.node.commission_site import (
    Result,
    Site,
    chain_open,
    mirror_closed,
    mirror_open,
)
from interlock.node.commission_words import Act, Look
from interlock.node.words import N_

STILL_MS = 3_000
"""A motor that starts again when the supply returns does so at once; three seconds leave no doubt."""

IDLE_MS = 5_000
"""25 windows of a clamp at rest."""

WORK_MS = 30_000
"""To start a machine and let it do its lightest work."""

AT_WORK_MS = 4_000
"""Work that has lasted so long is work, and no inrush."""

INRUSH_LEFT_OUT_MS = 1_000
"""Of those, the first second is left out: six times the running current, for 200 ms (physics of a motor)."""

RUNNING_MS = 300
"""Before the cut the machine must have run for so long: more than any inrush of an idle supply."""


def drop_out(site: Site) -> Iterator[Result]:
    """A machine that ran when the mains went stays still when the mains return."""
    by_node: Callable[[Sample], bool] | None = {
        "mirror_contact": mirror_closed,
        "stop_status": chain_open,
    }.get(site.config.machine.restart_protection)
    site.person.ready(Act.CUT_MAINS_WHILE_ON)
    cut = _Cut(site, ends_at=by_node)
    with site.air():
        site.bench.hold(HOLD_MS_MAX, cut, chain_may_open=True)
    site.person.ready(Act.RESTORE_MAINS)
    after = site.bench.watch(STILL_MS)
    site.person.ready(Act.SWITCH_OFF)
    yield _drop_out_result(site, cut, after, by_node is not None)


def current(site: Site) -> Iterator[Result]:
    """Idle and busy can be told apart; with a converter, by thresholds that are learned here."""
    site.person.ready(Act.LEAVE_AT_REST)
    idle = site.bench.hold(IDLE_MS)
    site.person.ready(Act.WORK)
    if site.has_converter:
        idle_ma = max((ma for ma in _measured(idle, site.config.times.inrush_ms)), default=None)
        with site.air():
            work = site.bench.hold(WORK_MS, _at_work(idle_ma))
        site.person.ready(Act.SWITCH_OFF)
        yield _learned(site, idle_ma, work)
        return
    with site.air():
        busy = site.bench.hold(WORK_MS, lambda sample: sample.inputs.busy is True)
    site.person.ready(Act.SWITCH_OFF)
    rested = _after(idle, site.config.times.inrush_ms)
    if any(sample.inputs.busy for sample in rested):
        why = site.say(N_("the contact says busy at a machine that only idles"))
        yield site.result("", False, why)
        return
    busy_ms = busy.first_ms(lambda sample: sample.inputs.busy is True)
    why = site.say(N_("the contact never said busy while the machine worked"))
    yield site.result("", busy_ms is not None, why, busy_ms=busy_ms)


def unexpected_start(site: Site) -> Iterator[Result]:
    """Closing alone is not taken for work; a machine whose start is held on is cut off."""
    times = site.config.times
    assert times.unexpected_start_ms is not None
    site.person.ready(Act.LEAVE_AT_REST)
    quiet = site.bench.hold(times.close_time_ms + times.unexpected_start_ms)
    inrush_ms = _inrush_ms(site, quiet)
    good = inrush_ms < times.inrush_ms or inrush_ms == 0
    why = site.say(N_("closing alone draws current for %(ms)d ms: raise times.inrush_ms"))
    yield site.result("inrush", good, why % {"ms": inrush_ms}, inrush_ms=inrush_ms)
    site.person.ready(Act.HOLD_SWITCH_ON)
    started = _Started(site)
    trace = site.bench.hold(times.close_time_ms + times.unexpected_start_ms, started)
    off = site.bench.watch(times.open_time_ms)
    site.person.ready(Act.PUT_SENSE_WIRE)
    cut_ms = trace.last.at_ms - (started.closed_ms or 0) if started.seen else None
    let_go = not site.has_mirror or off.settled_ms(mirror_closed) is not None
    why = site.say(N_("a machine that starts by itself was not noticed"))
    yield site.result("", started.seen and let_go, why, cut_ms=cut_ms)


# ------------------------------------------------------------------------------------------ drop-out


class _Cut:
    """Follows the machine through its start, the cut of its mains and their return; ends a hold after it.

    Where the node is the protection, the hold ends as soon as its contact told of the cut. `again`: the machine ran
    once more by itself, and the hold is over at once.
    """

    def __init__(self, site: Site, ends_at: Callable[[Sample], bool] | None) -> None:
        self.ran_ms = self.lost_ms = self.back_ms = None  # type: int | None
        self.again = False
        self._site = site
        self._ends_at = ends_at
        self._was_in = False

    def __call__(self, sample: Sample) -> bool:
        busy = self._site.busy(sample)
        self._was_in = self._was_in or mirror_open(sample)
        if busy and self.lost_ms is None and self.ran_ms is None:
            self.ran_ms = sample.at_ms
        if self.lost_ms is None:
            self.lost_ms = sample.at_ms if self._is_lost(sample, busy) else None
            return False
        if self._ends_at is not None:
            return sample.at_ms - self.lost_ms > BOUNCE_MS
        if self.back_ms is None and mirror_open(sample):
            self.back_ms = sample.at_ms
        self.again = busy is True
        since_ms = self.back_ms
        return self.again or (since_ms is not None and sample.at_ms - since_ms > STILL_MS)

    def _is_lost(self, sample: Sample, busy: bool | None) -> bool:
        if self._ends_at is not None:
            ran = self._was_in or not self._site.has_mirror
            return ran and self._ends_at(sample)
        if self._site.has_mirror:
            return self._was_in and mirror_closed(sample)
        return self.ran_ms is not None and busy is False


def _drop_out_result(site: Site, cut: _Cut, after: Trace, by_node: bool) -> Result:
    senses = site.tells_busy
    restarted = cut.again or any(site.busy(sample) for sample in after.samples)
    moved_in = site.has_mirror and not all(mirror_closed(sample) for sample in after.samples)
    sees_cut = by_node or site.has_mirror or senses
    why = ""
    if restarted or moved_in:
        why = site.say(N_("THE MACHINE STARTED AGAIN BY ITSELF: cut the mains"))
    elif senses and cut.ran_ms is None:
        return site.untested("", site.say(N_("the machine was not seen running")))
    elif sees_cut and cut.lost_ms is None:
        why = site.say(N_("the cut of the mains was not noticed"))
    elif not site.person.sees(Look.STOOD_STILL):
        why = site.say(N_("the machine did not stay still, or was not tried"))
    return site.result("", not why, why)


# ------------------------------------------------------------------------------------------- current


def _measured(trace: Trace, from_ms: int) -> list[int]:
    return [one.rms_ma for one in _after(trace, from_ms) if one.rms_ma is not None]


def _after(trace: Trace, from_ms: int) -> list[Sample]:
    return [sample for sample in trace.samples if sample.at_ms >= from_ms]


def _at_work(idle_ma: int | None) -> Callable[[Sample], bool]:
    """True once the current stood clearly above idle for AT_WORK_MS."""
    since_ms: int | None = None

    def seen(sample: Sample) -> bool:
        nonlocal since_ms
        clear_ma = SIGNAL_TO_NOISE_MIN * max(1, idle_ma or 0)
        if sample.rms_ma is None or sample.rms_ma < clear_ma:
            since_ms = None
        elif since_ms is None:
            since_ms = sample.at_ms
        return since_ms is not None and sample.at_ms - since_ms >= AT_WORK_MS

    return seen


def _learned(site: Site, idle_ma: int | None, work: Trace) -> Result:
    """The result of the converter's step; thresholds are learned unless the file says them."""
    at_work = _measured(work, max(0, work.last.at_ms - (AT_WORK_MS - INRUSH_LEFT_OUT_MS)))
    if idle_ma is None or not at_work:
        why = site.say(N_("the current sensor says nothing: check clamp and converter"))
        return site.result("", False, why)
    busy_ma, said = min(at_work), site.config.current
    seen = {"idle_ma": idle_ma, "busy_ma": busy_ma}
    apart = site.say(N_("%(idle_ma)d mA idle and %(busy_ma)d mA busy cannot be told apart")) % seen
    if said.busy_above_ma is not None and said.idle_below_ma is not None:
        good = idle_ma <= said.idle_below_ma and busy_ma >= said.busy_above_ma
        return site.result("", good, apart, **seen)
    try:
        site.thresholds = thresholds_between(idle_ma, busy_ma)
    except ConfigError:
        return site.result("", False, apart, **seen)
    learned = site.thresholds
    levels = {"busy_above_ma": learned.busy_above_ma, "idle_below_ma": learned.idle_below_ma}
    return site.result("", True, "", **seen, **levels)


# ----------------------------------------------------------------------------------- unexpected start


def _inrush_ms(site: Site, trace: Trace) -> int:
    """How long after the contacts closed the current of work was last seen; 0: never."""
    closed_ms = (trace.first_ms(mirror_open) if site.has_mirror else 0) or 0
    drawn = [one.at_ms for one in trace.samples if site.busy(one)]
    return max(0, drawn[-1] - closed_ms) if drawn else 0


class _Started:
    """Ends a hold as the node would: the current of work behind the inrush."""

    def __init__(self, site: Site) -> None:
        self.seen = False
        self.closed_ms: int | None = None if site.has_mirror else 0
        self._site = site

    def __call__(self, sample: Sample) -> bool:
        if self.closed_ms is None and mirror_open(sample):
            self.closed_ms = sample.at_ms
        if self.closed_ms is None:
            return False
        passed_ms = sample.at_ms - self.closed_ms
        self.seen = passed_ms > self._site.config.times.inrush_ms and bool(self._site.busy(sample))
        return self.seen
