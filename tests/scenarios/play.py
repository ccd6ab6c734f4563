"""A scenario's sentences in, acts and looks at a stage out; a sentence nobody understands is an error.

Two stages know the same sentences: `core_stage` (the pure core, its own virtual seconds) and `real_stage` (the
demo's processes).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from tests.scenarios.script import Script, ScriptError, Step


class Stage(Protocol):
    """What people and things do to the machine, and what can be seen of it."""

    def mark(self) -> None: ...
    def tap(self, who: str) -> None: ...
    def lay(self, who: str) -> None: ...
    def take(self) -> None: ...
    def crowd(self, first: str, second: str) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def work(self, on: bool) -> None: ...
    def own_switch(self, on: bool) -> None: ...
    def push(self, button: str) -> None: ...
    def hold(self, button: str, down: bool) -> None: ...
    def emergency_stop(self, latched: bool) -> None: ...
    def interlock(self, name: str, opened: bool) -> None: ...
    def fan(self, works: bool) -> None: ...
    def bypass(self, on: bool) -> None: ...
    def contactor(self, fault: str) -> None: ...
    def mains(self, on: bool) -> None: ...
    def reader(self, alive: bool) -> None: ...
    def journal(self, alive: bool) -> None: ...
    def power(self, on: bool) -> None: ...
    def hub(self, who: str, change: str) -> None: ...
    def lock_out(self, on: bool) -> None: ...
    def local_time(self, when: str) -> None: ...
    def clock_jumps(self, days: int) -> None: ...
    def told(self, trusted: bool) -> None: ...
    def reserve(self, who: str, minutes: int) -> None: ...
    def see(self, expected: str) -> None: ...


Act = Callable[[Stage, re.Match[str]], None]

SENTENCES: list[tuple[str, Act]] = [
    (r"(\w+) taps", lambda s, m: s.tap(m[1])),
    (r"(\w+) puts the badge in", lambda s, m: s.lay(m[1])),
    (r"the badge is taken away", lambda s, m: s.take()),
    (r"(\w+) and (\w+) present two badges at once", lambda s, m: s.crowd(m[1], m[2])),
    (r"after (\d+(?:\.\d+)?) s", lambda s, m: s.wait(float(m[1]))),
    (r"after (\d+) min", lambda s, m: s.wait(60 * float(m[1]))),
    (r"the machine works", lambda s, m: s.work(True)),
    (r"the machine rests", lambda s, m: s.work(False)),
    (r"somebody leaves the machine's own switch on", lambda s, m: s.own_switch(True)),
    (r"the machine's own switch is off again", lambda s, m: s.own_switch(False)),
    (r"the (stop|broken|long-job) button is pressed", lambda s, m: s.push(m[1])),
    (r"the (long-job) button is held", lambda s, m: s.hold(m[1], True)),
    (r"the (long-job) button is let go", lambda s, m: s.hold(m[1], False)),
    (r"the emergency stop is pressed", lambda s, m: s.emergency_stop(True)),
    (r"the emergency stop is released", lambda s, m: s.emergency_stop(False)),
    (r'"([^"]+)" opens', lambda s, m: s.interlock(m[1], True)),
    (r'"([^"]+)" closes', lambda s, m: s.interlock(m[1], False)),
    (r"the extraction's filter is clogged", lambda s, m: s.fan(False)),
    (r"the bypass key is turned", lambda s, m: s.bypass(True)),
    (r"the bypass key is turned back", lambda s, m: s.bypass(False)),
    (r"the contactor (welds|jams open)", lambda s, m: s.contactor(m[1])),
    (r"the contactor is mended", lambda s, m: s.contactor("")),
    (r"the mains are cut", lambda s, m: s.mains(False)),
    (r"the mains come back", lambda s, m: s.mains(True)),
    (r"the reader dies", lambda s, m: s.reader(False)),
    (r"the reader answers again", lambda s, m: s.reader(True)),
    (r"the journal dies", lambda s, m: s.journal(False)),
    (r"the journal writes again", lambda s, m: s.journal(True)),
    (r"the Pi loses its power", lambda s, m: s.power(False)),
    (r"the Pi has power again", lambda s, m: s.power(True)),
    (r"(\w+) is now (.+) at the hub", lambda s, m: s.hub(m[1], m[2])),
    (r"the hub locks the machine out", lambda s, m: s.lock_out(True)),
    (r"the hub takes its lock-out back", lambda s, m: s.lock_out(False)),
    (r"the lab's clocks show (.+)", lambda s, m: s.local_time(m[1])),
    (r"the Pi's clock jumps (-?\d+) days", lambda s, m: s.clock_jumps(int(m[1]))),
    (r"nobody has told the Pi the time", lambda s, m: s.told(False)),
    (r"the hub tells the time", lambda s, m: s.told(True)),
    (r"(\w+) has reserved the next (\d+) min", lambda s, m: s.reserve(m[1], int(m[2]))),
    (r"nothing happens", lambda s, m: None),
]
"""Every sentence a scenario may say, and what it does to the stage."""


def play(script: Script, stage: Stage) -> None:
    """The scenario happens on `stage`, and everything it expects is seen. Raises AssertionError, ScriptError."""
    for step in script.steps:
        stage.mark()
        _do(script, stage, step)
        for expected in step.expected:
            try:
                stage.see(expected)
            except AssertionError as error:
                where = f"{script.name}.txt:{step.line}: after {step.act!r}, {expected!r}: {error}"
                raise AssertionError(where) from error


def _do(script: Script, stage: Stage, step: Step) -> None:
    for pattern, act in SENTENCES:
        match = re.fullmatch(pattern, step.act)
        if match is not None:
            act(stage, match)
            return
    raise ScriptError(f"{script.name}.txt:{step.line}: nobody understands {step.act!r}")
