"""What every step of the commissioning has at hand: the machine's file, its pins, a person, and words for a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from interlock.clock import Clock
from interlock.config import NodeConfig
from interlock.config.learned import Found, Thresholds
from interlock.node.commission_bench import Bench, Sample
from interlock.node.commission_words import SIGNAL_WORDS, Act, Look
from interlock.node.currents import CURRENT_BY_CONVERTER
from interlock.node.displays import Display
from interlock.node.words import N_
from interlock.readers import Reader

PRESS_MS = 20_000
"""How long a person has to reach a button."""

Say = Callable[[str], str]
"""A msgid to the sentence in the reader's language."""


class Person(Protocol):
    """Whoever stands at the machine."""

    def told(self, act: Act, **values: str) -> None:
        """They read what to do, and it is looked at while they do it."""

    def ready(self, act: Act, **values: str) -> None:
        """They did it, or are ready for it, and said so."""

    def sees(self, look: Look) -> bool:
        """Their answer to what only eyes and ears can tell."""

    def copies(self, code: str) -> bool:
        """They were shown `code` and gave it back from their own paper."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the record: `good` None was not tested; `measured` are whole numbers, the unit in their name.

    `name` is the step's, and a colon and what of it, where a step has several.
    """

    name: str
    good: bool | None
    text: str = ""
    measured: dict[str, int] = field(default_factory=dict)

    def found(self) -> Found:
        """The line without its words."""
        return Found(self.name, self.good, self.measured)


@dataclass(slots=True)
class Site:
    """One machine being commissioned. `thresholds` and `break_glass` are what was learned and made on the way."""

    config: NodeConfig
    bench: Bench
    person: Person
    say: Say
    clock: Clock
    open_reader: Callable[[], Reader]
    open_display: Callable[[], Display]
    new_code: Callable[[], str]
    thresholds: Thresholds | None = None
    break_glass: str | None = None

    @property
    def has_mirror(self) -> bool:
        """Whether the contactor tells of itself."""
        return self.config.inputs.mirror_contact is not None

    @property
    def has_converter(self) -> bool:
        """Whether the current is a number, and not only a contact."""
        return self.config.current.kind in CURRENT_BY_CONVERTER

    @property
    def tells_busy(self) -> bool:
        """Whether the current sensor can tell work from idling, as far as is known by now."""
        known = self.thresholds is not None or self.config.current.busy_above_ma is not None
        return known if self.has_converter else self.config.inputs.current_sensor is not None

    def busy(self, sample: Sample) -> bool | None:
        """Whether the machine draws the current of work; None where nobody can say."""
        if not self.has_converter:
            return sample.inputs.busy
        above_ma = self.config.current.busy_above_ma
        if self.thresholds is not None and above_ma is None:
            above_ma = self.thresholds.busy_above_ma
        if above_ma is None or sample.rms_ma is None:
            return None
        return sample.rms_ma >= above_ma

    @contextmanager
    def air(self) -> Iterator[None]:
        """Where there is an extraction, it runs: a machine that works inside makes dust or smoke."""
        self.bench.extraction(True)
        try:
            yield
        finally:
            self.bench.extraction(False)

    def closed(self, name: str, sample: Sample) -> bool:
        """Whether the interlock `name` is as it is while all is well."""
        names = [one.name for one in self.config.interlocks]
        return sample.inputs.interlocks_closed[names.index(name)] is True

    def result(self, name: str, good: bool, why: str = "", /, **measured: int | None) -> Result:
        """What of a step (empty: all of it) is good, or `why` it is not, already in the reader's language."""
        text = self.say(N_("good")) if good else why or self.say(N_("NOT GOOD"))
        known = {key: value for key, value in measured.items() if value is not None}
        return Result(name, good, text, known)

    def untested(self, name: str, why: str) -> Result:
        """What of a step could not be tested, and why."""
        return Result(name, None, self.say(N_("not tested: %(why)s")) % {"why": why})

    def signal(self, name: str) -> str:
        """An input as people call it."""
        return self.say(SIGNAL_WORDS[name])


def mirror_open(sample: Sample) -> bool:
    """The contactor is in."""
    return sample.inputs.mirror_closed is False


def mirror_closed(sample: Sample) -> bool:
    """The contactor is out."""
    return sample.inputs.mirror_closed is True


def chain_open(sample: Sample) -> bool:
    """The stop chain says that it is open."""
    return sample.inputs.emergency_stop_closed is False


def chain_closed(sample: Sample) -> bool:
    """The stop chain says that it is closed."""
    return sample.inputs.emergency_stop_closed is True


def within(passed_ms: int | None, allowed_ms: int) -> bool:
    """It happened, and in time."""
    return passed_ms is not None and passed_ms <= allowed_ms
