"""A scenario's text in, its machine, its people and its steps out; or an error with the line's number.

    Who may take over a machine that rests                   the title, then why it matters

    machine: tap, current sensor, warning 5 s                what the machine has and asks
    Ada: trained, French                                     who the people are

    Ada taps                  => relay on, screen IN_USE     what happens => what is so afterwards
    after 5 s                 => relay off

A step without `=>` only happens. Everything after `#` is a remark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "files"
ARROW = "=>"
PERSON = re.compile(r"[A-Z][a-zé]+")


class ScriptError(ValueError):
    """A line that is not understood; the message names file and line."""


@dataclass(frozen=True)
class Step:
    """One thing that happens, and everything that is so afterwards."""

    line: int
    act: str
    expected: tuple[str, ...]


@dataclass
class Script:
    """One scenario. `people` maps a name to its traits, `machine` are the machine's."""

    name: str
    title: str = ""
    why: str = ""
    machine: tuple[str, ...] = ()
    people: dict[str, tuple[str, ...]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @property
    def on_real_processes(self) -> bool:
        """Whether it is played with a node, a world, a hub and their sync too."""
        return "also on real processes" in self.machine


def read(path: Path) -> Script:
    """The scenario in `path`. Raises ScriptError."""
    script = Script(path.stem)
    told: list[str] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.split("#")[0].strip()
        if not line:
            continue
        head, colon, rest = line.partition(":")
        if not script.title:
            script.title = line
        elif colon and head == "machine":
            script.machine = _traits(rest)
        elif colon and script.machine and not script.steps and PERSON.fullmatch(head):
            script.people[head] = _traits(rest)
        elif not script.machine:
            told.append(line)
        else:
            script.steps.append(_step(line, number))
    script.why = " ".join(told)
    if not (script.why and script.machine and script.steps):
        raise ScriptError(f"{path.name}: it needs a title, a reason, a machine and steps")
    if not any(step.expected for step in script.steps):
        raise ScriptError(f"{path.name}: nothing is expected of it, so it cannot fail")
    return script


def scripts() -> list[Script]:
    """Every scenario, by name."""
    return [read(path) for path in sorted(FOLDER.glob("*.txt"))]


def _step(line: str, number: int) -> Step:
    act, _, expected = line.partition(ARROW)
    return Step(number, act.strip(), _traits(expected))


def _traits(text: str) -> tuple[str, ...]:
    return tuple(part for part in (one.strip() for one in text.split(",")) if part)
