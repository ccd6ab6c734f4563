"""The sampled level of every declared pin against what it shows at an idle machine in, a finding for each out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from interlock.config import NodeConfig
from interlock.findings import Finding, Say, Verdict
from interlock.node.words import N_

_LET_GO = N_("Let go of it; else its contact or wire is broken")
_INPUTS = {
    "emergency_stop": (
        "emergency_stop_closed",
        True,
        N_("The stop chain is open"),
        N_("Release the emergency stop; else its wire is broken"),
    ),
    "mirror_contact": (
        "mirror_closed",
        True,
        N_("The mirror contact says that the contactor is closed, with its coil off"),
        N_("Cut the mains: the contactor may be welded"),
    ),
    "machine_switch": (
        "machine_switch_on",
        False,
        N_("The machine's own switch is on"),
        N_("Switch it off: nobody can start while it is on"),
    ),
    "current_sensor": (
        "busy",
        False,
        N_("The machine draws its working current with the relay off"),
        N_("Cut the mains: it is powered past the relay, or the sensor is wired wrongly"),
    ),
    "bypass_key": (
        "bypass_on",
        False,
        N_("The bypass key is turned: use is not metered"),
        N_("Turn it back, unless you need it now"),
    ),
    "stop_button": ("stop_pressed", False, N_("The stop button is pressed"), _LET_GO),
    "broken_button": ("broken_pressed", False, N_('The "broken" button is pressed'), _LET_GO),
    "long_job_button": ("long_job_pressed", False, N_("The long-job button is pressed"), _LET_GO),
}
"""By the key of node.toml: the level's name, what it is at an idle machine, and what it means when it is not."""


def examine_pins(status: Mapping[str, Any], config: NodeConfig, say: Say) -> Iterator[Finding]:
    """A finding for each declared pin; while somebody works there is nothing to compare with."""
    if status["relay_on"]:
        yield Finding(
            "pins",
            Verdict.UNKNOWN,
            say(N_("Somebody works: levels are compared at an idle machine only")),
            say(N_("Run it again when the session is over")),
        )
        return
    yield _good("relay", config.relay.pin, say(N_("off")), say)
    levels = status["inputs"]
    for name, (level, expected, what, remedy) in _INPUTS.items():
        declared = getattr(config.inputs, name)
        if declared is None:
            continue
        if levels.get(level) is (not expected):
            yield Finding(f"pin {name}", Verdict.BAD, say(what), say(remedy))
        else:
            yield _good(name, declared.pin, say(N_("as at rest")), say)
    closed = levels.get("interlocks_closed") or [None] * len(config.interlocks)
    for one, is_closed in zip(config.interlocks, closed, strict=False):
        if one.contact is None or one.needs_extraction:
            continue
        if is_closed is False:
            what = say(N_("“%(name)s” is open: nobody can start")) % {"name": one.name}
            remedy = say(N_("Close it; else its contact or wire is broken"))
            yield Finding(f"pin {one.name}", Verdict.CARE, what, remedy)
        else:
            yield _good(one.name, one.contact.pin, say(N_("as at rest")), say)


def _good(name: str, pin: int, shown: str, say: Say) -> Finding:
    seen = {"pin": pin, "name": name.replace("_", " "), "shown": shown}
    return Finding(f"pin {name}", Verdict.GOOD, say(N_("GPIO %(pin)d, %(name)s: %(shown)s")) % seen)
