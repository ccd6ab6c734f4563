"""A technician's walk through one machine: its file, its pins and a person in; measured results out.

The steps are those of the printed sheet (docs/commissioning-sheet.md, parts B to I) that the machine's file asks for,
in the sheet's order. Each says what is about to happen, does it, and believes what is measured before what is
answered. A step that fails does not stop the walk; but a contactor that does not obey is not closed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from interlock.config import NodeConfig
from interlock.config.learned import Found
from interlock.node import commission_guards as guards
from interlock.node import commission_power as power
from interlock.node import commission_relay as relay
from interlock.node import commission_signals as signals
from interlock.node.commission_bench import NotSafe
from interlock.node.commission_site import Result, Site
from interlock.node.commission_words import Act, Step
from interlock.node.words import N_

Take = Callable[[Site], Iterator[Result]]
Asked = Callable[[NodeConfig], bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: whether a machine's file asks for it, how it goes, and whether it closes the relay."""

    step: Step
    asked: Asked
    take: Take
    closes: bool = False
    weighs: bool = False
    """It goes by the current sensor, which must be known to tell the truth."""


def _buttons(config: NodeConfig) -> bool:
    inputs = config.inputs
    return any(
        (inputs.stop_button, inputs.broken_button, inputs.long_job_button, inputs.machine_switch)
    )


def _panel(config: NodeConfig) -> bool:
    panel = config.panel
    pins = (panel.lamp_red_pin, panel.lamp_green_pin, panel.lamp_blue_pin, panel.buzzer_pin)
    return config.screen.kind != "none" or any(pins)


def _always(config: NodeConfig) -> bool:
    return True


def _mirror(config: NodeConfig) -> bool:
    return config.inputs.mirror_contact is not None


PLANS = (
    Plan(Step.INPUTS, _always, signals.at_rest),
    Plan(Step.BUTTONS, _buttons, signals.buttons),
    Plan(Step.PANEL, _panel, signals.panel),
    Plan(Step.READER, _always, signals.reader),
    Plan(Step.RELAY, _always, relay.relay, closes=True),
    Plan(Step.MIRROR_WIRE, _mirror, relay.mirror_wire),
    Plan(
        Step.DYNAMIC_ENABLE,
        lambda config: config.relay.dynamic_enable_pin is not None,
        relay.dynamic_enable,
        closes=True,
    ),
    Plan(Step.STOP_CHAIN, _always, relay.stop_chain, closes=True),
    Plan(
        Step.DROP_OUT,
        lambda config: config.machine.restart_protection != "none",
        power.drop_out,
        closes=True,
        weighs=True,
    ),
    Plan(
        Step.CURRENT,
        lambda config: config.current.kind != "none",
        power.current,
        closes=True,
        weighs=True,
    ),
    Plan(
        Step.UNEXPECTED_START,
        lambda config: config.times.unexpected_start_ms is not None,
        power.unexpected_start,
        closes=True,
        weighs=True,
    ),
    Plan(
        Step.EXTRACTION,
        lambda config: config.relay.extraction_pin is not None,
        guards.extraction,
    ),
    Plan(
        Step.INTERLOCKS,
        lambda config: bool(guards.own_interlocks(config.interlocks)),
        guards.interlocks,
    ),
    Plan(
        Step.BYPASS,
        lambda config: config.inputs.bypass_key is not None,
        guards.bypass,
        closes=True,
    ),
    Plan(Step.BREAK_GLASS, _always, guards.break_glass),
)


def steps_of(config: NodeConfig) -> tuple[Step, ...]:
    """Every step that this machine's file asks for, in the order of the sheet."""
    return tuple(plan.step for plan in PLANS if plan.asked(config))


@dataclass(slots=True)
class Walk:
    """One walk through `steps`; `results` of each stand there once it was taken."""

    site: Site
    steps: tuple[Step, ...]
    results: dict[Step, tuple[Result, ...]] = field(default_factory=dict)

    def run(self, announce: Callable[[int, int, Step], None]) -> None:
        """Every step, announced by its number, of how many, and itself. The coil is off when this returns or raises."""
        self.site.person.ready(Act.MAKE_SAFE)
        for number, step in enumerate(self.steps, 1):
            announce(number, len(self.steps), step)
            taken = self._taken(_plan(step))
            self.results[step] = tuple(replace(one, name=_named(step, one.name)) for one in taken)

    @property
    def is_good(self) -> bool:
        """Everything that was walked through was tested and is good."""
        return all(one.good is True for results in self.results.values() for one in results)

    def _taken(self, plan: Plan) -> Iterable[Result]:
        site, why = self.site, ""
        # A contactor that follows neither us nor the emergency stop is not closed again.
        if plan.closes and (self._failed(Step.RELAY) or self._failed(Step.STOP_CHAIN)):
            why = site.say(N_("the contactor does not obey"))
        elif plan.weighs and (self._failed(Step.CURRENT) or self._is_busy_at_rest()):
            why = site.say(N_("the current sensor does not tell the truth"))
        if why:
            return [site.untested("", why)]
        try:
            return list(plan.take(site))
        except NotSafe as refused:
            why = site.say(N_("it forbids to close the relay: %(name)s"))
            return [site.untested("", why % {"name": site.signal(refused.signal)})]

    def _failed(self, step: Step) -> bool:
        return any(one.good is False for one in self.results.get(step, ()))

    def _is_busy_at_rest(self) -> bool:
        return self.site.bench.levels().busy is True


def findings(config: NodeConfig, walk: Walk, known: Iterable[Found]) -> tuple[Found, ...]:
    """Every step of the machine: as walked now, else as `known` from before, else not tested."""
    lines: list[Found] = []
    earlier = tuple(known)
    for step in steps_of(config):
        if step in walk.results:
            lines += [one.found() for one in walk.results[step]]
            continue
        kept = [one for one in earlier if step_of(one.name) == step.value]
        lines += kept or [Found(step.value, None, {})]
    return tuple(lines)


def step_of(name: str) -> str:
    """The step that a result of this name belongs to."""
    return name.partition(":")[0]


def _named(step: Step, part: str) -> str:
    return f"{step.value}: {part}" if part else step.value


def _plan(step: Step) -> Plan:
    return next(plan for plan in PLANS if plan.step is step)
