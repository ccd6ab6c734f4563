"""A technician's walk through one machine: what is declared in, what was seen and measured out.

Each step says what is about to happen, asks whether the person is ready, does it, and believes what is measured
before what is answered. A step that fails does not stop the walk: all findings stand on one sheet. What was
learned and found goes into `commissioning.json`; the next start of the node puts it on record.

Two people, tool taken out, hands away: docs/commissioning-sheet.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from interlock.config import NodeConfig
from interlock.config.learned import Thresholds, thresholds_between
from interlock.core.model import Inputs
from interlock.errors import ConfigError
from interlock.node.commission_bench import Bench
from interlock.node.words import N_

PRESS_MS = 20_000
"""How long a person has to reach a button."""
PULL_IN_MS = 2_000
"""The contactor stays in for so long in the plain test: long enough to be heard."""
HANG_DROP_MS = 1_000
"""A dynamic enable that stands still has dropped the contactor by then (HANG_MS is 240)."""
CURRENT_MS = 5_000
"""250 windows of the mains: what is measured at rest and at work."""
PAUSE_MS = 2_000
"""Between off and on: a motor with a no-volt release has forgotten its start by then."""

Say = Callable[[str], str]
Seen = Callable[[Inputs], bool]


class Person(Protocol):
    """Whoever stands at the machine."""

    def tell(self, text: str) -> None:
        """They read this."""

    def ready(self, text: str) -> None:
        """They did what it says, and said so."""

    def sees(self, question: str) -> bool:
        """Their answer to what only eyes and ears can tell."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the sheet: `good` None was not tested, `measured` are numbers with their unit in the name."""

    name: str
    good: bool | None
    text: str
    measured: dict[str, int] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """The line as one JSON object, without its words."""
        return {"name": self.name, "good": self.good, "measured": self.measured}


@dataclass(slots=True)
class Walk:
    """One walk; `run()` yields the results as they come, `thresholds` are what was learned on the way."""

    config: NodeConfig
    bench: Bench
    person: Person
    say: Say
    thresholds: Thresholds | None = None

    def run(self) -> Iterator[Result]:
        """Every step that this machine's file asks for, in the order of the sheet."""
        say = self.say
        self.person.ready(
            say(
                N_(
                    "Tool taken out, hands away, machine's own switch off, somebody at the main switch. "
                    "The relay will close several times"
                )
            )
        )
        yield self._at_rest()
        yield from self._buttons()
        yield from self._contactor()
        yield from self._hang()
        yield from self._stop_chain()
        yield from self._drop_out()
        yield from self._current()
        yield from self._extraction()
        yield from self._interlocks()

    # --------------------------------------------------------------------------------------- steps

    def _at_rest(self) -> Result:
        odd = [name for name, wrong in _AT_REST.items() if wrong(self.bench.levels())]
        if odd:
            what = self.say(N_("At rest these inputs are not as they should be: %(names)s"))
            return Result("inputs at rest", False, what % {"names": ", ".join(odd)})
        return Result("inputs at rest", True, self.say(N_("Every input is as it is at rest")))

    def _buttons(self) -> Iterator[Result]:
        for name, (asked, pressed) in _BUTTONS.items():
            if getattr(self.config.inputs, name) is None:
                continue
            self.person.tell(self.say(asked))
            seen = self.bench.watch(PRESS_MS, pressed).first_ms(pressed) is not None
            back = self.bench.watch(PRESS_MS, _not(pressed)).last
            good = seen and not pressed(back)
            yield Result(name, good, self._verdict(good))

    def _contactor(self) -> Iterator[Result]:
        times = self.config.times
        self.person.tell(self.say(N_("The relay closes for two seconds: listen")))
        on = self.bench.hold(PULL_IN_MS)
        off = self.bench.watch(max(PULL_IN_MS, times.open_time_ms))
        if self.config.inputs.mirror_contact is None:
            good = self.person.sees(
                self.say(N_("Did the contactor pull in, and let go after two seconds?"))
            )
            yield Result("contactor", good, self._verdict(good))
            return
        closed_ms = on.settled_ms(lambda inputs: inputs.mirror_closed is False)
        opened_ms = off.settled_ms(lambda inputs: inputs.mirror_closed is True)
        good = _within(closed_ms, times.close_time_ms) and _within(opened_ms, times.open_time_ms)
        measured = {"close_ms": closed_ms, "open_ms": opened_ms}
        yield Result("contactor", good, self._verdict(good), _known(measured))

    def _hang(self) -> Iterator[Result]:
        if self.config.relay.dynamic_enable_pin is None:
            yield Result("dynamic enable", None, self.say(N_("No dynamic enable is declared")))
            return
        self.person.tell(
            self.say(
                N_("The relay's pin is on and the dynamic enable stands still, as in a hung node")
            )
        )
        if self.config.inputs.mirror_contact is None:
            self.bench.hold(PULL_IN_MS, enable=False)
            good = self.person.sees(self.say(N_("Did the contactor stay out?")))
            yield Result("dynamic enable", good, self._verdict(good))
            return
        # The monostable may hold from an earlier turn; within a second it must have let go, and stay.
        trace = self.bench.hold(HANG_DROP_MS, enable=False)
        good = trace.last.mirror_closed is True
        yield Result("dynamic enable", good, self._verdict(good))

    def _stop_chain(self) -> Iterator[Result]:
        if self.config.inputs.emergency_stop is None:
            yield Result(
                "stop chain", None, self.say(N_("No status of the emergency stop is declared"))
            )
            return
        self.person.tell(self.say(N_("The relay closes: press the emergency stop now")))
        opened: Seen = lambda inputs: inputs.emergency_stop_closed is False  # noqa: E731 - a name for a look
        trace = self.bench.hold(PRESS_MS, opened)
        seen = trace.first_ms(opened) is not None
        good = seen and self._contactor_is_out(N_("Did the contactor let go by itself?"))
        self.person.ready(self.say(N_("Release the emergency stop")))
        good = good and self.bench.levels().emergency_stop_closed is True
        yield Result("stop chain", good, self._verdict(good))

    def _drop_out(self) -> Iterator[Result]:
        if self.config.machine.restart_protection in ("none", "mirror_contact"):
            return
        self.person.ready(
            self.say(
                N_(
                    "The relay closes for ten seconds: start the machine by its own control, leave it"
                )
            )
        )
        self.bench.hold(10_000)
        self.bench.watch(PAUSE_MS)
        self.person.tell(self.say(N_("The relay closes again: the machine must stand still")))
        trace = self.bench.hold(PULL_IN_MS)
        if trace.last.busy is not None:
            good = trace.last.busy is False
        else:
            good = self.person.sees(self.say(N_("Did the machine stand still?")))
        yield Result("drop-out", good, self._verdict(good))

    def _current(self) -> Iterator[Result]:
        if self.config.current.kind not in ("ads1115", "mcp3008"):
            return
        self.person.tell(
            self.say(N_("The relay closes for five seconds: leave the machine at rest"))
        )
        idle = self._measured(CURRENT_MS)
        self.person.ready(
            self.say(
                N_("The relay closes for fifteen seconds: start the machine, do its lightest work")
            )
        )
        busy = self._measured(15_000)
        if not idle or not busy:
            what = self.say(
                N_("The current sensor says nothing: check the clamp and its converter")
            )
            yield Result("current", False, what)
            return
        # The machine is started by hand within the time: what it drew in the last third was work.
        at_work = busy[-len(busy) // 3 :]
        measured = {"idle_ma": max(idle), "busy_ma": min(at_work)}
        try:
            self.thresholds = thresholds_between(max(idle), min(at_work))
        except ConfigError as error:
            yield Result("current", False, str(error), measured)
            return
        yield Result("current", True, self._verdict(True), measured)

    def _extraction(self) -> Iterator[Result]:
        waited = [one.name for one in self.config.interlocks if one.needs_extraction]
        if self.config.relay.extraction_pin is None:
            return
        self.person.tell(self.say(N_("The extraction runs")))
        self.bench.extraction(True)
        try:
            closed = lambda inputs: all(self._closed(name, inputs) for name in waited)  # noqa: E731 - as above
            allowed_ms = max(1, self.config.times.pre_run_s) * 1_000
            trace = self.bench.watch(allowed_ms, closed if waited else None)
        finally:
            self.bench.extraction(False)
        if waited:
            moved_ms = trace.first_ms(closed)
            good = moved_ms is not None
            yield Result("extraction", good, self._verdict(good), _known({"airflow_ms": moved_ms}))
            return
        good = self.person.sees(self.say(N_("Did the extraction run?")))
        yield Result("extraction", good, self._verdict(good))

    def _interlocks(self) -> Iterator[Result]:
        for one in self.config.interlocks:
            if one.contact is None or one.needs_extraction:
                continue
            name = one.name
            self.person.tell(self.say(N_("Open “%(name)s”, then close it again")) % {"name": name})
            opens: Seen = lambda inputs, name=name: not self._closed(name, inputs)  # type: ignore[misc] # noqa: E731
            seen = self.bench.watch(PRESS_MS, opens).first_ms(opens) is not None
            shuts: Seen = lambda inputs, name=name: self._closed(name, inputs)  # type: ignore[misc] # noqa: E731
            good = seen and self.bench.watch(PRESS_MS, shuts).first_ms(shuts) is not None
            yield Result(f"interlock {name}", good, self._verdict(good))

    # -------------------------------------------------------------------------------------- inside

    def _measured(self, for_ms: int) -> list[int]:
        values: list[int] = []

        def note() -> None:
            value = self.bench.rms_ma()
            if value is not None:
                values.append(value)

        self.bench.hold(for_ms, each=note)
        return values

    def _contactor_is_out(self, question: str) -> bool:
        if self.config.inputs.mirror_contact is None:
            return self.person.sees(self.say(question))
        return self.bench.levels().mirror_closed is True

    def _closed(self, name: str, inputs: Inputs) -> bool:
        names = [one.name for one in self.config.interlocks]
        return inputs.interlocks_closed[names.index(name)] is True

    def _verdict(self, good: bool) -> str:
        return self.say(N_("good")) if good else self.say(N_("NOT GOOD"))


def _within(passed_ms: int | None, allowed_ms: int) -> bool:
    return passed_ms is not None and passed_ms <= allowed_ms


def _known(measured: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in measured.items() if value is not None}


def _not(seen: Seen) -> Seen:
    return lambda inputs: not seen(inputs)


_AT_REST: dict[str, Seen] = {
    "emergency_stop": lambda inputs: inputs.emergency_stop_closed is False,
    "mirror_contact": lambda inputs: inputs.mirror_closed is False,
    "machine_switch": lambda inputs: inputs.machine_switch_on is True,
    "current_sensor": lambda inputs: inputs.busy is True,
    "bypass_key": lambda inputs: inputs.bypass_on is True,
    "stop_button": lambda inputs: inputs.stop_pressed,
    "broken_button": lambda inputs: inputs.broken_pressed,
    "long_job_button": lambda inputs: inputs.long_job_pressed,
}

_BUTTONS: dict[str, tuple[str, Seen]] = {
    "stop_button": (N_("Press the stop button, then let go"), lambda one: one.stop_pressed),
    "broken_button": (N_("Press the “broken” button, then let go"), lambda one: one.broken_pressed),
    "long_job_button": (N_("Press the long-job button, then let go"), lambda one: one.long_job_pressed),
    "machine_switch": (
        N_("Switch the machine's own switch on, then off (it has no power)"),
        lambda one: one.machine_switch_on is True,
    ),
    "bypass_key": (
        N_("Turn the bypass key, then back (the machine has power meanwhile)"),
        lambda one: one.bypass_on is True,
    ),
}  # fmt: skip
