"""Unmodified gpiozero on both factories: one class of promises, kept in this process and across two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import gpiozero
import pytest
from gpiozero.exc import (
    GPIOPinInUse,
    PinFixedPull,
    PinInvalidFunction,
    PinInvalidPull,
    PinSetInput,
    PinSPIUnsupported,
)

from interlock.clock import SystemClock, perf_us
from interlock.config import NodeConfig
from interlock.core.model import Inputs
from interlock.errors import PinError
from interlock.node.pins import MachinePins
from interlock.sim.pin_factory import WorldFactory, local_factory, world_factory
from interlock.sim.world_wiring import Button
from tests.node.pin_contract import DOCUMENT, PinContract, pin_config
from tests.sim.worlds import (
    EMERGENCY,
    GREEN,
    MIRROR,
    RELAY,
    STOP,
    VirtualWorld,
    WorldProcess,
    config_of,
    short_directory,
    world_process,
)
from tests.waiting import wait_until

FREE_LINE = 20
"""Nothing is wired to it."""
ROUNDS = 3
"""A computer that stands still for a second does so now and then; a write that waits does so each time."""

FROZEN_US_MAX = 900_000
"""Below the shortest time-out of the port (1 s): who waited for the stopped world took longer."""


@dataclass
class Machine:
    """A world, and what a test needs of it whether it runs here or in a process of its own."""

    make_factory: Callable[[], WorldFactory]
    press: Callable[[Button], None]
    latch_emergency_stop: Callable[[bool], None]
    coil: Callable[[], bool]
    lamp: Callable[[], list[bool]]
    pass_ms: Callable[[int], None]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """`condition` has become true, in the world's own time."""
        for _ in range(500):
            if condition():
                return
            self.pass_ms(10)
        raise AssertionError("it did not become true within 5 s of the world's time")


def virtual_machine() -> Machine:
    bench = VirtualWorld(config_of())
    return Machine(
        make_factory=lambda: local_factory(bench.world),
        press=bench.world.press,
        latch_emergency_stop=bench.world.latch_emergency_stop,
        coil=lambda: bench.world.facts().coil,
        lamp=lambda: [bench.world.level(pin or 0) for pin in bench.world.wiring.lamp],
        pass_ms=bench.wait_ms,
    )


def real_machine(world: WorldProcess) -> Machine:
    return Machine(
        make_factory=lambda: world_factory(world.directory),
        press=lambda button: _done(world.ask("press", button=button.value)),
        latch_emergency_stop=lambda on: _done(world.ask("emergency_stop", on=on)),
        coil=lambda: bool(world.state()["coil"]),
        lamp=lambda: list(world.state()["lamp"]),
        pass_ms=lambda duration_ms: SystemClock().sleep(duration_ms / 1_000),
    )


def _done(answer: dict[str, object]) -> None:
    assert answer["ok"], answer


@pytest.fixture(
    params=[
        pytest.param("local", marks=pytest.mark.fast),
        pytest.param("process", marks=pytest.mark.real),
    ]
)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with ExitStack() as stack:
        if request.param == "local":
            yield virtual_machine()
        else:
            yield real_machine(stack.enter_context(world_process()))


@pytest.fixture
def factory(machine: Machine) -> Iterator[WorldFactory]:
    factory = machine.make_factory()
    yield factory
    factory.close()


# ------------------------------------------------------------------- promises of both factories


def test_an_output_drives_the_relay_on_and_off(machine: Machine, factory: WorldFactory) -> None:
    relay = gpiozero.OutputDevice(RELAY, initial_value=False, pin_factory=factory)
    assert not machine.coil()
    relay.on()
    machine.wait_until(machine.coil)
    assert relay.value == 1
    relay.off()
    machine.wait_until(lambda: not machine.coil())
    assert relay.value == 0


def test_an_input_shows_its_contact(machine: Machine, factory: WorldFactory) -> None:
    chain = gpiozero.DigitalInputDevice(EMERGENCY, pull_up=True, pin_factory=factory)
    assert chain.is_active
    machine.latch_emergency_stop(True)
    machine.wait_until(lambda: not chain.is_active)
    machine.latch_emergency_stop(False)
    machine.wait_until(lambda: chain.is_active)


def test_an_input_with_nothing_wired_to_it_shows_its_pull(factory: WorldFactory) -> None:
    with gpiozero.InputDevice(FREE_LINE, pull_up=True, pin_factory=factory) as up:
        assert up.pin.state == 1
        assert up.pull_up is True
    with gpiozero.InputDevice(FREE_LINE, pull_up=False, pin_factory=factory) as down:
        assert down.pin.state == 0
        assert down.pull_up is False


def test_edges_are_told_once_each(machine: Machine, factory: WorldFactory) -> None:
    seen: list[str] = []
    told = threading.Event()

    def pressed() -> None:
        seen.append("pressed")
        told.set()

    button = gpiozero.Button(STOP, pull_up=True, pin_factory=factory)
    button.when_pressed = pressed
    machine.press(Button.STOP)
    assert told.wait(60)
    assert seen == ["pressed"]
    assert button.is_pressed


def test_a_line_has_one_owner(machine: Machine, factory: WorldFactory) -> None:
    relay = gpiozero.OutputDevice(RELAY, initial_value=True, pin_factory=factory)
    with pytest.raises(GPIOPinInUse):
        gpiozero.OutputDevice(RELAY, pin_factory=factory)
    other = machine.make_factory()
    try:
        with pytest.raises(PinError, match="another process"):
            gpiozero.OutputDevice(RELAY, pin_factory=other)
    finally:
        other.close()
    assert relay.value == 1
    assert machine.coil(), "the attempt of the other process must not have touched the relay"


def test_a_closed_output_is_off_and_another_process_may_have_it(
    machine: Machine, factory: WorldFactory
) -> None:
    relay = gpiozero.OutputDevice(RELAY, initial_value=True, pin_factory=factory)
    machine.wait_until(machine.coil)
    assert relay.value == 1
    factory.close()
    machine.wait_until(lambda: not machine.coil())
    other = machine.make_factory()
    gpiozero.OutputDevice(RELAY, pin_factory=other).close()
    other.close()


def test_the_pins_refuse_what_gpiozero_says_pins_refuse(factory: WorldFactory) -> None:
    pin = factory.pin(FREE_LINE)
    pin.function = "input"
    with pytest.raises(PinSetInput):
        pin.state = 1
    with pytest.raises(PinInvalidPull):
        pin.pull = "sideways"
    with pytest.raises(PinInvalidFunction):
        pin.function = "spi"
    pin.output_with_state(False)
    with pytest.raises(PinFixedPull):
        pin.pull = "up"
    with pytest.raises(PinFixedPull):
        factory.pin(2).input_with_pull("down")
    with pytest.raises(PinSPIUnsupported):
        factory.spi(port=0, device=0)


def test_closed_lines_say_so_instead_of_pretending(factory: WorldFactory) -> None:
    chain = factory.pin(EMERGENCY)
    chain.input_with_pull("up")
    factory.close()
    factory.close()
    with pytest.raises(PinError):
        _ = chain.state


def test_a_node_runs_its_whole_panel_on_it(machine: Machine, factory: WorldFactory) -> None:
    pins = MachinePins(config_of(), factory)
    rest = Inputs(
        emergency_stop_closed=True, mirror_closed=True, machine_switch_on=False, busy=False
    )
    assert pins.sample() == rest
    pins.relay(True)
    machine.wait_until(lambda: pins.sample().mirror_closed is False)
    pins.show((False, True, False), sounding=False)
    machine.wait_until(lambda: machine.lamp() == [False, True, False])
    machine.press(Button.MACHINE_START)
    machine.wait_until(
        lambda: pins.sample().busy is True and pins.sample().machine_switch_on is True
    )
    machine.press(Button.BROKEN)
    machine.wait_until(lambda: pins.sample().broken_pressed)
    pins.close()
    machine.wait_until(lambda: not machine.coil())


# --------------------------------------------------------------------------------- only in process


@pytest.mark.fast
def test_an_output_that_starts_high_was_never_low() -> None:
    """gpiozero's own Pin.output_with_state claims low first: an active-low relay would click."""
    bench = VirtualWorld(config_of())
    factory = local_factory(bench.world)
    bench.world.pins.wire(RELAY, True)
    bench.world.catch_up()
    factory.pin(RELAY).input_with_pull("up")
    bench.world.pin_history.clear()
    gpiozero.OutputDevice(RELAY, active_high=False, initial_value=False, pin_factory=factory)
    assert [one for one in bench.world.pin_history if one.pin == RELAY] == []


@pytest.mark.fast
def test_bounce_time_swallows_the_ringing_of_a_contactor() -> None:
    bench = VirtualWorld(config_of())
    factory = local_factory(bench.world)
    seen: list[bool] = []
    mirror = gpiozero.DigitalInputDevice(
        MIRROR, pull_up=True, bounce_time=0.05, pin_factory=factory
    )
    mirror.when_deactivated = lambda: seen.append(False)
    mirror.when_activated = lambda: seen.append(True)
    relay = gpiozero.OutputDevice(RELAY, pin_factory=factory)
    for on in (True, False):
        relay.value = on
        for _ in range(200):
            bench.wait_ms(1)
    assert seen == [False, True]


# -------------------------------------------------------------------------------- only across two


@pytest.mark.real
def test_a_frozen_world_blocks_no_write_and_no_read() -> None:
    with world_process() as world:
        factory = world_factory(world.directory)
        relay = gpiozero.OutputDevice(RELAY, pin_factory=factory)
        lamp = gpiozero.OutputDevice(GREEN, pin_factory=factory)
        chain = gpiozero.InputDevice(EMERGENCY, pull_up=True, pin_factory=factory)
        world.signal(signal.SIGSTOP)
        slowest_us = []
        for _ in range(ROUNDS):
            slowest_us.append(0)
            for turn in range(5_000):
                began_us = perf_us()
                relay.value = turn % 2 == 0
                assert chain.is_active
                slowest_us[-1] = max(slowest_us[-1], perf_us() - began_us)
            if slowest_us[-1] < FROZEN_US_MAX:
                break
        relay.on()
        lamp.on()
        assert min(slowest_us) < FROZEN_US_MAX, f"a write or read took {slowest_us} µs"
        world.signal(signal.SIGCONT)
        wait_until(lambda: world.state()["coil"] and world.state()["lamp"][1])
        relay.off()
        wait_until(lambda: not world.state()["coil"])
        factory.close()


@pytest.mark.real
def test_a_claim_from_a_frozen_world_ends_with_words() -> None:
    from interlock.sim.pin_port import SocketPort

    with world_process() as world:
        factory = WorldFactory(SocketPort(world.directory / "pins.sock", claim_timeout_s=0.2))
        world.signal(signal.SIGSTOP)
        with pytest.raises(PinError, match="does not answer"):
            gpiozero.OutputDevice(RELAY, pin_factory=factory)
        world.signal(signal.SIGCONT)
        factory.close()


@pytest.mark.real
def test_lines_of_a_world_that_died_say_so() -> None:
    with world_process() as world:
        factory = world_factory(world.directory)
        relay = gpiozero.OutputDevice(RELAY, pin_factory=factory)
        chain = gpiozero.InputDevice(EMERGENCY, pull_up=True, pin_factory=factory)
        world.ask("pi", on=False)

        def refused() -> bool:
            try:
                _ = chain.value
                relay.on()
            except PinError:
                return True
            return False

        wait_until(refused)
        relay.close()
        chain.close()
        factory.close()


@pytest.mark.real
def test_without_a_world_there_are_no_pins() -> None:
    with short_directory() as directory, pytest.raises(PinError, match="Start the world"):
        world_factory(directory)


@pytest.mark.fast
def test_both_factories_serve_the_wiring_of_a_node_file() -> None:
    config: NodeConfig = config_of(enable=True)
    pins = MachinePins(config, local_factory(VirtualWorld(config).world))
    assert pins.sample().stop_pressed is False
    pins.close()


# ------------------------------------------------------- the contract of every factory under a node


class _VirtualBench:
    """The contract's bench on a world in this process."""

    def __init__(self) -> None:
        self.bench = VirtualWorld(pin_config())
        self.factory = local_factory(self.bench.world)

    def conduct(self, pin: int, closed: bool) -> None:
        self.bench.world.force_contact(pin, closed)

    def level(self, pin: int) -> bool:
        return self.bench.world.level(pin)


class _ProcessBench:
    """The contract's bench on a world process."""

    def __init__(self, world: WorldProcess) -> None:
        self.world = world
        self.factory = world_factory(world.directory)

    def conduct(self, pin: int, closed: bool) -> None:
        _done(self.world.ask("contact", pin=pin, closed=closed))

    def level(self, pin: int) -> bool:
        return bool(self.world.ask("levels")["levels"][pin])


@pytest.mark.fast
class TestLocalFactory(PinContract):
    @pytest.fixture
    def bench(self) -> Iterator[_VirtualBench]:
        bench = _VirtualBench()
        yield bench
        bench.factory.close()


@pytest.mark.real
class TestFactoryAcrossProcesses(PinContract):
    @pytest.fixture
    def bench(self) -> Iterator[_ProcessBench]:
        with world_process(document=DOCUMENT) as world:
            bench = _ProcessBench(world)
            yield bench
            bench.factory.close()
