"""Parts H and I of the sheet: extraction, interlocks, bypass key, and the code in its envelope; results out."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.config import InterlockConfig
from interlock.node.commission_bench import Sample
from interlock.node.commission_signals import moves
from interlock.node.commission_site import (
    PRESS_MS,
    Result,
    Site,
    mirror_closed,
    mirror_open,
)
from interlock.node.commission_words import Act, Look
from interlock.node.words import N_

AIR_STOPS_MS = 30_000
"""A large fan runs down for half a minute; a switch that says "air" after that says it always."""

RUN_MS = 3_000
"""Where only ears tell: long enough to hear it start."""

AIR_MS_MIN = 1_000
"""Without a pre-run the air must move this soon, or nobody could ever start."""


def extraction(site: Site) -> Iterator[Result]:
    """Air moves within the pre-run and stops with the fan; a fire contact stops it."""
    air = [one for one in site.config.interlocks if one.needs_extraction]
    fire = [one for one in site.config.interlocks if one.stops_extraction and one.contact]
    try:
        yield _runs(site, air)
        for one in fire:
            yield _stopped_by(site, one, air)
    finally:
        site.bench.extraction(False)


def interlocks(site: Site) -> Iterator[Result]:
    """Each is opened by its name, moves alone and comes back; those of the extraction had their turn."""
    for one in own_interlocks(site.config.interlocks):
        site.person.told(Act.OPEN_INTERLOCK, name=one.name)
        yield moves(site, one.name)


def own_interlocks(declared: tuple[InterlockConfig, ...]) -> list[InterlockConfig]:
    """Those with a contact here that neither wait for the extraction nor stop it."""
    return [
        one
        for one in declared
        if one.contact is not None and not one.needs_extraction and not one.stops_extraction
    ]


def bypass(site: Site) -> Iterator[Result]:
    """The key powers the machine, is seen, and stands behind the emergency stop."""
    site.person.told(Act.TURN_KEY)
    powered = site.bench.watch(PRESS_MS, lambda sample: _by_key(site, sample))
    site.person.ready(Act.PRESS_EMERGENCY_ON_KEY)
    stopped = site.bench.watch(site.config.times.open_time_ms)
    told = site.has_mirror or site.person.sees(Look.KEY_AND_STOP)
    site.person.ready(Act.TURN_KEY_BACK)
    back = site.bench.watch(site.config.times.open_time_ms)
    why = ""
    if not _by_key(site, powered.last):
        why = site.say(N_("the key was not seen, or the contactor did not pull in"))
    elif not told or (site.has_mirror and stopped.settled_ms(mirror_closed) is None):
        why = site.say(N_("the emergency stop does not open what the key closes"))
    elif back.last.inputs.bypass_on is not False:
        why = site.say(N_("the key turned back was not seen"))
    yield site.result("", not why, why)


def break_glass(site: Site) -> Iterator[Result]:
    """A code is made, and stands on paper: somebody read it back from there."""
    code = site.new_code()
    copied = site.person.copies(code)
    site.break_glass = code if copied else None
    why = site.say(N_("the new code was not copied and does not count"))
    yield site.result("", copied, why)


def _runs(site: Site, air: list[InterlockConfig]) -> Result:
    if not air:
        site.person.told(Act.EXTRACTION_RUNS)
        site.bench.extraction(True)
        site.bench.watch(RUN_MS)
        site.bench.extraction(False)
        return site.result("", site.person.sees(Look.EXTRACTION_RAN))

    def moves_all(sample: Sample) -> bool:
        return all(site.closed(one.name, sample) for one in air)

    def moves_any(sample: Sample) -> bool:
        return any(site.closed(one.name, sample) for one in air)

    if moves_any(site.bench.watch(0).last):
        why = site.say(N_("its air flow switch says that air moves while the fan stands"))
        return site.result("", False, why)
    site.person.told(Act.EXTRACTION_RUNS)
    site.bench.extraction(True)
    allowed_ms = max(AIR_MS_MIN, site.config.times.pre_run_s * 1_000)
    air_ms = site.bench.watch(allowed_ms, moves_all).first_ms(moves_all)
    site.bench.extraction(False)
    stops_ms = site.bench.watch(AIR_STOPS_MS, lambda sample: not moves_any(sample)).last.at_ms
    if air_ms is None:
        why = site.say(
            N_("no air within %(s)d s, the pre-run: clogged, or times.pre_run_s too short")
        )
        return site.result("", False, why % {"s": allowed_ms // 1_000})
    why = site.say(N_("its air flow switch still says that air moves"))
    return site.result("", stops_ms < AIR_STOPS_MS, why, air_ms=air_ms, stops_ms=stops_ms)


def _stopped_by(site: Site, fire: InterlockConfig, air: list[InterlockConfig]) -> Result:
    """The fire contact is read while the extraction runs, and the extraction then stops, as under the node."""
    site.bench.extraction(True)
    site.person.told(Act.OPEN_FIRE, name=fire.name)
    opened = site.bench.watch(PRESS_MS, lambda sample: not site.closed(fire.name, sample)).last
    site.bench.extraction(False)
    seen = not site.closed(fire.name, opened)

    def still(sample: Sample) -> bool:
        return not any(site.closed(one.name, sample) for one in air)

    stopped = still(site.bench.watch(AIR_STOPS_MS, still).last) if air else True
    if seen and not air:
        stopped = site.person.sees(Look.EXTRACTION_STOPPED)
    back = site.bench.watch(PRESS_MS, lambda sample: site.closed(fire.name, sample)).last
    why = site.say(N_("was not seen open while the extraction ran"))
    if seen and not stopped:
        why = site.say(N_("the extraction did not stop"))
    elif seen:
        why = site.say(N_("did not come back"))
    return site.result(fire.name, seen and stopped and site.closed(fire.name, back), why)


def _by_key(site: Site, sample: Sample) -> bool:
    turned = sample.inputs.bypass_on is True
    return turned and (mirror_open(sample) or not site.has_mirror)
