"""Part B of the sheet: inputs at rest, buttons, panel and reader, all with the relay off; results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from interlock.core.model import Inputs
from interlock.errors import DeviceError
from interlock.node.commission_bench import Sample
from interlock.node.commission_site import PRESS_MS, Result, Site
from interlock.node.commission_words import Act, Look
from interlock.node.words import N_
from interlock.readers import CardSeen

REST_MS = 500
"""A contact that chatters at rest shows itself within half a second."""

BEEP_MS = 1_000

BADGE_MS = 30_000
"""Long enough to find a badge and hold it there."""

SCREEN_LINES = ("Interlock", "0123456789")

_WRONG_AT_REST: dict[str, Callable[[Inputs], bool]] = {
    "emergency_stop": lambda inputs: inputs.emergency_stop_closed is False,
    "mirror_contact": lambda inputs: inputs.mirror_closed is False,
    "machine_switch": lambda inputs: inputs.machine_switch_on is True,
    "current_sensor": lambda inputs: inputs.busy is True,
    "bypass_key": lambda inputs: inputs.bypass_on is True,
    "stop_button": lambda inputs: inputs.stop_pressed,
    "broken_button": lambda inputs: inputs.broken_pressed,
    "long_job_button": lambda inputs: inputs.long_job_pressed,
}

_BUTTONS = {
    "stop_button": Act.PRESS_STOP,
    "broken_button": Act.PRESS_BROKEN,
    "long_job_button": Act.PRESS_LONG_JOB,
    "machine_switch": Act.TURN_SWITCH,
}

_COLOURS = {
    "lamp_red_pin": ((True, False, False), Look.LAMP_RED),
    "lamp_green_pin": ((False, True, False), Look.LAMP_GREEN),
    "lamp_blue_pin": ((False, False, True), Look.LAMP_BLUE),
}


def at_rest(site: Site) -> Iterator[Result]:
    """Every declared input is as it is at a machine that nobody touches."""
    trace = site.bench.watch(REST_MS)
    odd = sorted({name for sample in trace.samples for name in odd_inputs(site, sample)})
    why = site.say(N_("not at rest: %(names)s")) % {"names": _named(site, odd)}
    yield site.result("", not odd, why)


def buttons(site: Site) -> Iterator[Result]:
    """Each button moves its own input, no other, and comes back."""
    for name, act in _BUTTONS.items():
        if getattr(site.config.inputs, name) is None:
            continue
        site.person.told(act)
        yield moves(site, name)


def moves(site: Site, name: str) -> Result:
    """The next input that leaves its rest is `name` alone, and it comes back.

    What was not at rest before is told by the step of the inputs, and not once more here.
    """
    before = odd_inputs(site, site.bench.watch(0).last)
    if name in before:
        return site.untested(name, site.say(N_("it is not at rest")))

    def odd(sample: Sample) -> list[str]:
        return [one for one in odd_inputs(site, sample) if one not in before]

    moved = odd(site.bench.watch(PRESS_MS, lambda sample: bool(odd(sample))).last)
    back = site.bench.watch(PRESS_MS, lambda sample: not odd(sample)).last
    if not moved:
        return site.result(name, False, site.say(N_("nothing moved within 20 s")))
    if moved != [name]:
        why = site.say(N_("this moved instead: %(names)s. Are wires swapped?"))
        return site.result(name, False, why % {"names": _named(site, moved)})
    stuck = odd(back)
    why = site.say(N_("did not come back: %(names)s")) % {"names": _named(site, stuck)}
    return site.result(name, not stuck, why)


def panel(site: Site) -> Iterator[Result]:
    """Each colour alone, the buzzer, and two lines of text, as far as they are declared."""
    declared = site.config.panel
    colours = [(light, look) for pin, (light, look) in _COLOURS.items() if getattr(declared, pin)]
    if colours:
        yield site.result("lamp", all(_lit(site, light, look) for light, look in colours))
    if declared.buzzer_pin is not None:
        site.bench.show((False, False, False), sounding=True)
        site.bench.watch(BEEP_MS)
        site.bench.show((False, False, False))
        yield site.result("buzzer", site.person.sees(Look.BUZZER))
    if site.config.screen.kind != "none":
        yield _screen(site)


def reader(site: Site) -> Iterator[Result]:
    """The reader answers, and sees a badge. Which one is nobody's business."""
    found = None
    try:
        found = site.open_reader()
        found.open()
        site.person.told(Act.SHOW_BADGE)
        began_ms = site.clock.boot_ms()
        every_s = 1 / site.config.reader.polls_per_s
        while (passed_ms := site.clock.boot_ms() - began_ms) < BADGE_MS:
            if isinstance(found.poll(), CardSeen):
                yield site.result("", True, seen_ms=passed_ms)
                return
            site.clock.sleep(every_s)
        yield site.result("", False, site.say(N_("no badge was seen within 30 s")))
    except DeviceError as error:
        yield site.result("", False, str(error))
    finally:
        if found is not None:
            found.close()


def odd_inputs(site: Site, sample: Sample) -> list[str]:
    """Inputs and interlocks that are not at rest, by the names in the machine's file.

    An air flow switch rests open: it is told by the extraction's own step.
    """
    odd = [name for name, wrong in _WRONG_AT_REST.items() if wrong(sample.inputs)]
    for one, closed in zip(site.config.interlocks, sample.inputs.interlocks_closed, strict=True):
        if closed is False and not one.needs_extraction:
            odd.append(one.name)
    return odd


def _lit(site: Site, light: tuple[bool, bool, bool], look: Look) -> bool:
    site.bench.show(light)
    try:
        return site.person.sees(look)
    finally:
        site.bench.show((False, False, False))


def _screen(site: Site) -> Result:
    display = None
    try:
        display = site.open_display()
        display.wake()
        display.show(SCREEN_LINES)
        return site.result("screen", site.person.sees(Look.SCREEN))
    except DeviceError as error:
        return site.result("screen", False, str(error))
    finally:
        if display is not None:
            display.close()


def _named(site: Site, names: list[str]) -> str:
    interlocks = {one.name for one in site.config.interlocks}
    return ", ".join(name if name in interlocks else site.signal(name) for name in names)
