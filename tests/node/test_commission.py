"""The walk through a virtual machine: what is sound is good, and each planted fault is found by its own step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from interlock.config.learned import Thresholds
from interlock.errors import PinError
from interlock.node.commission_bench import HOLD_MS_MAX, Bench
from interlock.node.commission_words import ACTS, LOOKS, PARTS, TITLES, Act, Look, Step
from interlock.node.pins import MachinePins
from interlock.sim.physics import StartControl
from interlock.sim.pin_factory import local_factory
from interlock.sim.world import World
from interlock.sim.world_wiring import Button, Contact, Signal
from tests.node.technician import (
    AIR,
    BROKEN,
    BUSY,
    DOOR,
    EMERGENCY,
    FIRE,
    KEY,
    LID,
    MIRROR,
    RELAY,
    SAW,
    STOP,
    SWITCH,
    Workshop,
)

pytestmark = pytest.mark.fast

CLOSING = {
    *(Step.RELAY, Step.DYNAMIC_ENABLE, Step.STOP_CHAIN, Step.DROP_OUT, Step.CURRENT),
    Step.UNEXPECTED_START,
}
SAMPLE_MS = 20
"""The virtual Pi is late: a sample in 20 ms."""


def document(**tables: Any) -> dict[str, Any]:
    """The saw's file with these keys of its tables changed; None takes a table or key away."""
    changed = copy.deepcopy(SAW)
    for table, keys in tables.items():
        if keys is None:
            del changed[table]
        elif isinstance(keys, list):
            changed[table] = keys
        else:
            for key, value in keys.items():
                changed.setdefault(table, {})[key] = value
                if value is None:
                    del changed[table][key]
    return changed


def check_the_coil(shop: Workshop) -> None:
    """The relay closed only inside steps that close it, never for longer than the bound, and is off."""
    begun = sorted((at_ms, step) for step, at_ms in shop.began_ms.items())
    for at_ms, lasted_ms in shop.relay_times():
        step = [step for began_ms, step in begun if began_ms <= at_ms][-1]
        assert step in CLOSING, f"the relay closed in {step}"
        assert lasted_ms <= HOLD_MS_MAX + SAMPLE_MS
    assert not shop.world.facts().relay
    assert not shop.world.facts().extraction


# -------------------------------------------------------------------------------------------- healthy


def test_a_sound_machine_is_good_all_over_in_the_order_of_the_sheet() -> None:
    shop = Workshop()
    found = shop.walk()
    assert set(found.values()) == {True}
    assert shop.is_good
    assert [(number, of) for number, of, _ in shop.steps] == [(n, 15) for n in range(1, 16)]
    assert [step for _, _, step in shop.steps] == list(Step)
    assert list(found) == [
        *("inputs", "buttons: stop_button", "buttons: broken_button", "buttons: machine_switch"),
        *("panel: lamp", "panel: buzzer", "reader", "relay", "mirror-wire", "dynamic-enable"),
        *("stop-chain", "drop-out", "current", "unexpected-start: inrush", "unexpected-start"),
        *("extraction", "extraction: Fire", "interlocks: Lid", "interlocks: Door", "bypass"),
        "break-glass",
    ]
    check_the_coil(shop)


def test_what_is_measured_is_the_machine_to_within_a_sample() -> None:
    shop = Workshop(
        late_us=0, plant=replace(Workshop().virtual.world.plant, close_us=61_000, open_us=83_000)
    )
    shop.walk(Step.RELAY, Step.DYNAMIC_ENABLE, Step.STOP_CHAIN, Step.EXTRACTION)
    measured = {one.name: one.measured for one in shop.results}
    # The mirror contact bounces for 2.8 ms; what is between two looks 5 ms apart is seen at the second.
    assert measured["relay"] == {"close_ms": 65, "open_ms": 85, "repetitions": 10}
    assert measured["stop-chain"] == {"drop_ms": 85}
    # 250 ms of the monostable behind the last turn, and the contactor's own time.
    assert measured["dynamic-enable"] == {"drop_ms": 335}
    assert measured["extraction"]["air_ms"] == 1_500


def test_a_small_machine_is_asked_only_what_its_file_declares() -> None:
    small = document(
        machine={"restart_protection": "none", "cannot_move_by_itself": True},
        relay={"dynamic_enable_pin": None, "extraction_pin": None},
        inputs={
            **dict.fromkeys(("mirror_contact", "machine_switch", "current_sensor")),
            **dict.fromkeys(("bypass_key", "emergency_stop", "broken_button")),
        },
        interlocks=[],
        panel=None,
        times={"pre_run_s": None, "unexpected_start_ms": None},
    )
    shop = Workshop(small)
    found = shop.walk()
    assert list(found) == [
        *("inputs", "buttons: stop_button", "reader", "relay", "stop-chain", "break-glass"),
    ]
    assert set(found.values()) == {True}
    assert Look.PULLED_IN in shop.person.said, "nothing but ears can tell"
    check_the_coil(shop)


@pytest.mark.parametrize(
    ("protection", "start"),
    [
        ("no_volt_release", StartControl.NO_VOLT_RELEASE),
        ("mirror_contact", StartControl.MAINTAINED),
        ("stop_status", StartControl.MAINTAINED),
        ("self_holding", StartControl.SELF_HOLDING),
    ],
)
def test_each_restart_protection_is_tried_and_holds(protection: str, start: StartControl) -> None:
    inputs: dict[str, Any] = {
        "emergency_stop": {"pin": EMERGENCY, "supply_sense": protection == "stop_status"}
    }
    if protection == "self_holding":
        inputs |= {"machine_switch": None, "mirror_contact": None}
    shop = Workshop(document(machine={"restart_protection": protection}, inputs=inputs))
    shop.world.plant = replace(shop.world.plant, start_control=start)
    assert shop.walk(Step.DROP_OUT) == {"drop-out": True}
    ran = [motor for _, motor in shop.virtual.history("motor")]
    assert ran == [False, True, False], "it ran once, and not again"
    check_the_coil(shop)


def test_thresholds_are_learned_from_the_clamp() -> None:
    shop = Workshop(with_a_clamp())
    found = shop.walk()
    assert set(found.values()) == {True}
    assert shop.site.thresholds is not None
    learned = shop.site.thresholds
    assert learned.idle_ma == pytest.approx(60, abs=2)
    assert learned.busy_ma == pytest.approx(6_500, abs=65)
    assert learned == Thresholds(
        learned.idle_ma, learned.busy_ma, learned.busy_above_ma, learned.idle_below_ma
    )
    assert learned.idle_ma < learned.idle_below_ma < learned.busy_above_ma < learned.busy_ma
    check_the_coil(shop)


def with_a_clamp(**current: int) -> dict[str, Any]:
    return document(inputs={"current_sensor": None}, current={"kind": "ads1115", **current})


# ------------------------------------------------------------------------------------- planted faults

Fault = Callable[[Workshop], object]


def swapped(*pins: int) -> Fault:
    """The wires at the two pins are exchanged; each keeps the rest of its own contact."""

    def plant(shop: Workshop) -> None:
        one, other = pins
        contacts = {contact.pin: contact for contact in shop.world.wiring.contacts}
        signals = {one: contacts[other].signal, other: contacts[one].signal}
        rewire(shop, lambda c: replace(c, signal=signals.get(c.pin, c.signal)))

    return plant


def rewire(shop: Workshop, change: Callable[[Contact], Contact]) -> None:
    wiring = shop.world.wiring
    shop.world.wiring = replace(wiring, contacts=tuple(change(c) for c in wiring.contacts))
    shop.person.wiring = shop.world.wiring


def forced(pin: int, closed: bool) -> Fault:
    return lambda shop: shop.world.force_contact(pin, closed)


def built(**plant: Any) -> Fault:
    def change(shop: Workshop) -> None:
        shop.world.plant = replace(shop.world.plant, **plant)

    return change


def never(*acts: Act) -> Fault:
    """What these acts ask for has no effect: a dead switch, a bridge, a wire that was never connected."""

    def change(shop: Workshop) -> None:
        shop.person.lazy = frozenset(acts)

    return change


def bridged_stop(shop: Workshop) -> None:
    shop.person.stop_is_bridged = True


def colours_swapped(shop: Workshop) -> None:
    red, green, blue = shop.person.wiring.lamp
    shop.person.wiring = replace(shop.person.wiring, lamp=(blue, green, red))


def buzzer_dead(shop: Workshop) -> None:
    shop.person.wiring = replace(shop.person.wiring, buzzer=None)


def reader_dead(shop: Workshop) -> None:
    shop.reader.dead = True


def deaf_to_the_supply(shop: Workshop) -> None:
    rewire(
        shop,
        lambda c: (
            replace(c, signal=Signal.EMERGENCY_STOP_LATCHED)
            if c.signal is Signal.STOP_CHAIN_DEAD
            else c
        ),
    )


def draws_while_closing(shop: Workshop) -> None:
    """Somebody, or a charging supply, draws the current of work each time the relay has closed at rest."""
    do = shop.person._do

    def watched(act: Act, values: dict[str, str]) -> None:
        do(act, values)
        if act is Act.LEAVE_AT_REST and Act.WORK in shop.person.said:
            shop.world.after(2_050, lambda: shop.world.push(Button.MACHINE_START, 1_000))
            shop.world.after(3_100, lambda: shop.world.push(Button.MACHINE_STOP, 300))

    shop.person._do = watched  # type: ignore[method-assign] # this one fidgets


NO_VOLT = document(machine={"restart_protection": "no_volt_release"})
SAID = with_a_clamp(busy_above_ma=5_000, idle_below_ma=500)
STOP_STATUS = document(
    machine={"restart_protection": "stop_status"},
    inputs={"emergency_stop": {"pin": EMERGENCY, "supply_sense": True}},
)


@pytest.mark.parametrize(
    ("fault", "step", "file"),
    [
        pytest.param(forced(DOOR, False), Step.INPUTS, SAW, id="a door's wire is cut"),
        pytest.param(swapped(BROKEN, SWITCH), Step.BUTTONS, SAW, id="button and switch swapped"),
        pytest.param(swapped(STOP, DOOR), None, SAW, id="stop button and door swapped"),
        pytest.param(forced(BROKEN, False), Step.BUTTONS, SAW, id="a button is dead"),
        pytest.param(colours_swapped, Step.PANEL, SAW, id="red and blue swapped"),
        pytest.param(buzzer_dead, Step.PANEL, SAW, id="no buzzer"),
        pytest.param(reader_dead, Step.READER, SAW, id="a dead reader"),
        pytest.param(never(Act.SHOW_BADGE), Step.READER, SAW, id="a blind reader"),
        pytest.param(lambda shop: shop.world.weld(True), Step.RELAY, SAW, id="welded"),
        pytest.param(lambda shop: shop.world.stick_open(True), Step.RELAY, SAW, id="jammed"),
        pytest.param(built(close_us=210_000), Step.RELAY, SAW, id="closes too slowly"),
        pytest.param(built(open_us=510_000), Step.RELAY, SAW, id="opens too slowly"),
        pytest.param(forced(MIRROR, True), Step.RELAY, SAW, id="mirror contact bridged"),
        pytest.param(never(Act.PULL_MIRROR_WIRE), Step.MIRROR_WIRE, SAW, id="wire goes nowhere"),
        pytest.param(built(monostable_us=None), Step.DYNAMIC_ENABLE, SAW, id="no monostable"),
        pytest.param(built(monostable_us=9_000_000), Step.DYNAMIC_ENABLE, SAW, id="holds for ever"),
        pytest.param(built(monostable_us=100_000), Step.DYNAMIC_ENABLE, SAW, id="holds too shortly"),
        pytest.param(bridged_stop, Step.STOP_CHAIN, SAW, id="stop chain bridged"),
        pytest.param(forced(EMERGENCY, True), Step.STOP_CHAIN, SAW, id="stop status bridged"),
        pytest.param(never(Act.PRESS_EMERGENCY), Step.STOP_CHAIN, SAW, id="stop not wired"),
        pytest.param(
            built(start_control=StartControl.MAINTAINED), Step.DROP_OUT, NO_VOLT, id="no no-volt release"
        ),
        pytest.param(deaf_to_the_supply, Step.DROP_OUT, STOP_STATUS, id="no supply sense"),
        pytest.param(forced(BUSY, False), Step.CURRENT, SAW, id="current switch dead"),
        pytest.param(built(running_ma=90), Step.CURRENT, with_a_clamp(), id="work is no more than idling"),
        pytest.param(built(running_ma=900), Step.CURRENT, SAID, id="below the file's threshold"),
        pytest.param(draws_while_closing, Step.UNEXPECTED_START, SAW, id="draws while closing"),
        pytest.param(never(Act.HOLD_SWITCH_ON), Step.UNEXPECTED_START, SAW, id="start not noticed"),
        pytest.param(lambda shop: shop.world.break_extraction(True), Step.EXTRACTION, SAW, id="clogged"),
        pytest.param(forced(AIR, True), Step.EXTRACTION, SAW, id="air flow switch bridged"),
        pytest.param(forced(FIRE, True), Step.EXTRACTION, SAW, id="fire contact bridged"),
        pytest.param(forced(LID, True), Step.INTERLOCKS, SAW, id="lid bridged"),
        pytest.param(swapped(LID, DOOR), Step.INTERLOCKS, SAW, id="lid and door swapped"),
        pytest.param(forced(KEY, False), Step.BYPASS, SAW, id="key contact dead"),
        pytest.param(never(Act.PRESS_EMERGENCY_ON_KEY), Step.BYPASS, SAW, id="key before the stop"),
    ],
)  # fmt: skip
def test_a_planted_fault_makes_exactly_its_step_not_good(
    fault: Fault, step: Step | None, file: dict[str, Any]
) -> None:
    shop = Workshop(file)
    fault(shop)
    shop.walk()
    assert shop.not_good() == ({step} if step else {Step.BUTTONS, Step.INTERLOCKS})
    assert not shop.is_good
    check_the_coil(shop)


# ----------------------------------------------------------------------------------------- ways out


def test_asked_to_end_while_the_coil_is_on_the_coil_is_off_at_the_next_sample() -> None:
    shop = Workshop(late_us=0)
    asked_ms: list[int] = []

    def ask() -> None:
        asked_ms.append(shop.clock.boot_ms())
        shop.ending.ask()
        shop.ending.ask()

    shop.world.watch(
        lambda line, level: shop.world.after(100, ask) if line == RELAY and level else None
    )
    with pytest.raises(KeyboardInterrupt):
        shop.walk()
    ((closed_ms, lasted_ms),) = shop.relay_times()
    assert closed_ms + lasted_ms <= asked_ms[0] + 5
    check_the_coil(shop)


def test_asked_to_end_between_two_steps_nothing_closes_any_more() -> None:
    shop = Workshop()
    with pytest.raises(KeyboardInterrupt):
        shop.ending.ask()
    with pytest.raises(KeyboardInterrupt):
        shop.walk()
    assert shop.relay_times() == []


@pytest.mark.parametrize("error", [PinError("broken"), ValueError("a bug")])
def test_whatever_goes_wrong_while_the_coil_is_on_the_coil_is_off(error: Exception) -> None:
    shop = Workshop()
    sleep = shop.clock.sleep

    def fail(seconds: float) -> None:
        if shop.world.facts().contacts:
            raise error
        sleep(seconds)

    shop.clock.sleep = fail  # type: ignore[method-assign] # the hardware fails under us
    with pytest.raises(type(error)):
        shop.walk()
    assert len(shop.relay_times()) == 1
    check_the_coil(shop)


@pytest.mark.parametrize(
    ("hand", "signal"),
    [
        (lambda world: world.press(Button.STOP), "stop button"),
        (lambda world: world.latch_emergency_stop(True), "emergency stop"),
    ],
)
def test_a_hand_on_a_stop_opens_the_relay_and_the_step_is_not_tested(
    hand: Callable[[World], None], signal: str
) -> None:
    shop = Workshop(late_us=0)
    shop.world.watch(
        lambda line, level: (
            shop.world.after(150, lambda: hand(shop.world)) if line == RELAY and level else None
        )
    )
    assert shop.walk(Step.CURRENT) == {"current": None}
    assert signal in shop.results[0].text
    ((_, lasted_ms),) = shop.relay_times()
    assert lasted_ms <= 160


@pytest.mark.parametrize(
    "hand",
    [
        lambda world: world.force_contact(SWITCH, True),
        lambda world: world.force_contact(MIRROR, False),
        lambda world: world.latch_emergency_stop(True),
        lambda world: world.turn_bypass(True),
        lambda world: world.press(Button.STOP),
    ],
)
def test_the_relay_never_closes_against_a_signal_that_forbids_it(
    hand: Callable[[World], object],
) -> None:
    shop = Workshop()
    hand(shop.world)
    found = shop.walk(Step.RELAY, Step.DYNAMIC_ENABLE)
    assert found == {"relay": None, "dynamic-enable": None}
    assert shop.relay_times() == []
    assert not shop.is_good


def test_a_hold_without_an_end_ends_at_the_bound() -> None:
    shop = Workshop()
    shop.person.lazy = frozenset({Act.CUT_MAINS_WHILE_ON})
    assert shop.walk(Step.DROP_OUT) == {"drop-out": None}
    ((_, lasted_ms),) = shop.relay_times()
    assert HOLD_MS_MAX <= lasted_ms <= HOLD_MS_MAX + SAMPLE_MS


def test_nobody_can_ask_for_more_than_the_bound() -> None:
    shop = Workshop()
    bench = Bench(MachinePins(shop.config, local_factory(shop.world)), shop.clock)
    bench.hold(10 * HOLD_MS_MAX)
    ((_, lasted_ms),) = shop.relay_times()
    assert lasted_ms <= HOLD_MS_MAX + SAMPLE_MS
    assert not shop.world.facts().relay
    bench.close()


def test_every_code_of_the_walk_has_its_words() -> None:
    assert set(ACTS) == set(Act)
    assert set(LOOKS) == set(Look)
    assert list(TITLES) == list(PARTS) == list(Step)
    assert "".join(PARTS.values()) == "".join(sorted(PARTS.values())), "the order of the sheet"
