"""The world in virtual time: hands and pins act, whole histories are compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.config import NodeConfig, parse_node
from interlock.errors import PinError
from interlock.sim import world_talk
from interlock.sim.kernel_pins import Pull
from interlock.sim.physics import StartControl
from interlock.sim.world import Badge, PinChange
from interlock.sim.world_talk import ACTS, answer_to, state_of
from interlock.sim.world_wiring import Button, plant_of
from tests.sim.worlds import (
    BROKEN,
    BUSY,
    EMERGENCY,
    ENABLE,
    GREEN,
    MIRROR,
    RELAY,
    STOP,
    SWITCH,
    TRAINED_UID,
    VirtualWorld,
    config_of,
    document_of,
)

pytestmark = pytest.mark.fast

NODE = 1
ADA = Badge("Ada", bytes.fromhex(TRAINED_UID))
BOB = Badge("Bob", bytes.fromhex("04665544332211"))


@pytest.fixture
def bench() -> VirtualWorld:
    bench = VirtualWorld(config_of())
    for number in (STOP, BROKEN, EMERGENCY, MIRROR, BUSY, SWITCH):
        bench.world.claim_input(NODE, number, Pull.UP)
    bench.world.claim_output(NODE, RELAY, False)
    return bench


def levels(bench: VirtualWorld, *numbers: int) -> tuple[bool, ...]:
    return tuple(bench.world.level(number) for number in numbers)


def test_at_rest_only_the_two_closed_contacts_pull_their_lines_down(bench: VirtualWorld) -> None:
    shown = levels(bench, STOP, BROKEN, EMERGENCY, MIRROR, BUSY, SWITCH)
    assert shown == (True, True, False, False, True, True)


@pytest.mark.parametrize(
    ("button", "line"),
    [(Button.STOP, STOP), (Button.BROKEN, BROKEN), (Button.MACHINE_START, SWITCH)],
)
def test_a_pushed_button_pulls_its_own_line_down_and_lets_go(
    bench: VirtualWorld, button: Button, line: int
) -> None:
    bench.world.pin_history.clear()
    bench.world.push(button, 200)
    bench.wait_ms(1_000)
    assert list(bench.world.pin_history) == [
        PinChange(0, line, False),
        PinChange(200_000, line, True),
    ]


def test_a_cut_wire_reads_as_a_latched_emergency_stop(bench: VirtualWorld) -> None:
    bench.world.latch_emergency_stop(True)
    assert levels(bench, EMERGENCY) == (True,)
    bench.world.latch_emergency_stop(False)
    assert levels(bench, EMERGENCY) == (False,)


def test_a_whole_use_of_the_machine_has_this_history(bench: VirtualWorld) -> None:
    world = bench.world
    bench.wait_ms(1_000)
    world.write(NODE, RELAY, True)
    bench.wait_ms(500)
    world.push(Button.MACHINE_START, 200)
    bench.wait_ms(1_500)
    world.push(Button.MACHINE_STOP, 200)
    bench.wait_ms(1_000)
    world.write(NODE, RELAY, False)
    bench.wait_ms(1_000)
    assert bench.history("coil", "contacts", "motor", "current_ma") == [
        (0, False, False, False, 0),
        (1_000, True, False, False, 0),
        (1_015, True, True, False, 60),
        (1_500, True, True, True, 39_000),
        (1_680, True, True, True, 6_500),
        (3_000, True, True, False, 60),
        (4_000, False, True, False, 60),
        (4_009, False, False, False, 0),
    ]


def test_the_mirror_line_rings_when_the_contactor_moves(bench: VirtualWorld) -> None:
    bench.world.pin_history.clear()
    bench.world.write(NODE, RELAY, True)
    bench.wait_ms(100)
    mirror = [(one.at_us, one.level) for one in bench.world.pin_history if one.pin == MIRROR]
    assert mirror == [
        (15_000, True),
        (15_700, False),
        (16_400, True),
        (17_100, False),
        (17_800, True),
    ]


@pytest.mark.parametrize(("strict", "coil_after"), [(True, False), (False, True)])
def test_a_killed_node_leaves_the_coil_on_unless_the_kernel_is_strict(
    strict: bool, coil_after: bool
) -> None:
    bench = VirtualWorld(config_of(), strict_gpiod=strict)
    bench.world.claim_output(NODE, RELAY, True)
    bench.wait_ms(100)
    bench.world.release(NODE)
    bench.wait_ms(10_000)
    assert bench.world.facts().coil is coil_after


def test_dynamic_enable_saves_what_a_lax_kernel_leaves_on() -> None:
    bench = VirtualWorld(config_of(enable=True), strict_gpiod=False)
    world = bench.world
    world.claim_output(NODE, RELAY, True)
    world.claim_output(NODE, ENABLE, False)
    for tick in range(10):
        world.write(NODE, ENABLE, tick % 2 == 0)
        bench.wait_ms(20)
    world.release(NODE)
    bench.wait_ms(1_000)
    assert bench.history("coil") == [(0, False), (0, True), (180 + 250, False)]


def test_a_power_cut_of_the_pi_opens_the_coil_and_its_return_closes_nothing(
    bench: VirtualWorld,
) -> None:
    world = bench.world
    world.write(NODE, RELAY, True)
    bench.wait_ms(100)
    world.supply_pi(False)
    bench.wait_ms(100)
    world.supply_pi(True)
    bench.wait_ms(100)
    assert bench.history("coil") == [(0, False), (0, True), (100, False)]
    with pytest.raises(PinError):
        world.write(NODE, RELAY, True)


def test_an_active_low_relay_is_off_while_nobody_drives_it_and_off_without_power() -> None:
    document = config_of()
    wiring = VirtualWorld(document).world.wiring
    assert wiring.relay_active_high
    low = VirtualWorld(_active_low())
    assert low.world.facts().coil is False
    low.world.claim_output(NODE, RELAY, False)
    assert low.world.facts().coil is True
    low.world.supply_pi(False)
    assert low.world.facts().coil is False


def _active_low() -> NodeConfig:
    document = document_of()
    document["relay"]["active_high"] = False
    return parse_node(document)


def test_mains_coming_back_closes_the_contactor_again_but_starts_no_machine(
    bench: VirtualWorld,
) -> None:
    """The restart hazard: the Pi still drives the coil; the no-volt release is what saves."""
    world = bench.world
    world.write(NODE, RELAY, True)
    bench.wait_ms(100)
    world.push(Button.MACHINE_START, 100)
    bench.wait_ms(400)
    world.supply_mains(False)
    bench.wait_ms(500)
    world.supply_mains(True)
    bench.wait_ms(1_000)
    assert bench.history("contacts", "motor") == [
        (0, False, False),
        (15, True, False),
        (100, True, True),
        (500, True, False),
        (509, False, False),
        (1_015, True, False),
    ]


def labels(bench: VirtualWorld) -> list[str]:
    return [badge.label for badge in bench.world.badges]


@pytest.mark.parametrize(
    ("protection", "switch_sensed", "built"),
    [
        ("no_volt_release", True, StartControl.NO_VOLT_RELEASE),
        ("no_volt_release", False, StartControl.NO_VOLT_RELEASE),
        ("mirror_contact", True, StartControl.MAINTAINED),
        ("mirror_contact", False, StartControl.NO_VOLT_RELEASE),
        ("self_holding", False, StartControl.SELF_HOLDING),
    ],
)
def test_a_machine_is_built_as_its_file_says(
    protection: str, switch_sensed: bool, built: StartControl
) -> None:
    document = document_of(restart_protection=protection)
    if not switch_sensed:
        del document["inputs"]["machine_switch"]
    assert plant_of(parse_node(document)).start_control is built


def test_a_tapped_badge_lies_in_the_field_for_as_long_as_said(bench: VirtualWorld) -> None:
    world = bench.world
    world.tap(ADA, 600)
    assert labels(bench) == ["Ada"]
    assert len(world.chip.air.cards) == 1
    bench.wait_ms(599)
    assert labels(bench) == ["Ada"]
    bench.wait_ms(1)
    assert labels(bench) == []
    assert list(world.chip.air.cards) == []


def test_two_badges_lie_there_until_each_is_taken(bench: VirtualWorld) -> None:
    world = bench.world
    world.put(ADA)
    world.put(ADA)
    world.put(BOB)
    assert labels(bench) == ["Ada", "Bob"]
    world.take(ADA)
    assert labels(bench) == ["Bob"]
    world.put(ADA)
    world.take()
    assert labels(bench) == []


def test_an_unplugged_reader_reads_as_ones(bench: VirtualWorld) -> None:
    version = [0x37 << 1 | 0x80, 0]
    assert bench.world.xfer2(version) == [0, 0x92]
    bench.world.plug_reader(False)
    assert bench.world.xfer2(version) == [0xFF, 0xFF]
    bench.world.plug_reader(True)
    assert bench.world.xfer2(version) == [0, 0x92]


def test_the_supply_sense_of_the_stop_chain_tells_a_mains_cut() -> None:
    document = document_of(restart_protection="stop_status")
    document["inputs"]["emergency_stop"]["supply_sense"] = True
    bench = VirtualWorld(parse_node(document))
    bench.world.claim_input(NODE, EMERGENCY, Pull.UP)
    assert levels(bench, EMERGENCY) == (False,)
    bench.world.supply_mains(False)
    assert levels(bench, EMERGENCY) == (True,)


# ------------------------------------------------------------------------------------ world.sock


def ask(bench: VirtualWorld, op: str, **arguments: Any) -> dict[str, Any]:
    return answer_to(bench.world, json.dumps({"id": 1, "op": op, **arguments}).encode())


def test_what_a_panel_asks_happens_and_shows(bench: VirtualWorld) -> None:
    before = state_of(bench.world)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("put", {"label": "Ada", "uid": TRAINED_UID}),
        ("press", {"button": "stop"}),
        ("emergency_stop", {"on": True}),
        ("weld", {"on": True}),
        ("stick_open", {"on": True}),
        ("mains", {"on": False}),
        ("reader", {"on": False}),
    ]
    for op, arguments in asked:
        assert ask(bench, op, **arguments) == {"id": 1, "ok": True}
    after = ask(bench, "state")["state"]
    changed = {key: value for key, value in after.items() if before[key] != value}
    assert changed == {
        "badges": [{"label": "Ada", "uid": TRAINED_UID}],
        "pressed": ["stop"],
        "emergency_stop": True,
        "welded": True,
        "stuck_open": True,
        "mains": False,
        "reader": False,
    }


def test_lamp_and_buzzer_show_what_their_pins_do(bench: VirtualWorld) -> None:
    bench.world.claim_output(NODE, GREEN, True)
    assert state_of(bench.world)["lamp"] == [False, True, False]
    assert state_of(bench.world)["buzzer"] is True, "GPIO 4 is pulled up until somebody claims it"
    bench.world.claim_output(NODE, 4, False)
    assert state_of(bench.world)["buzzer"] is False


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"id": 1}',
        b'{"id": 1, "op": "explode"}',
        b'{"id": -1, "op": "state"}',
        b'{"id": 1, "op": "put"}',
        b'{"id": 1, "op": "put", "label": "x", "uid": "zz"}',
        b'{"id": 1, "op": "put", "label": "x", "uid": "0411"}',
        b'{"id": 1, "op": "press", "button": "self destruct"}',
        b'{"id": 1, "op": "push", "button": "stop", "ms": 0}',
        b'{"id": 1, "op": "weld"}',
        b'{"id": 1, "op": "weld", "on": "yes"}',
        b'{"id": 1, "op": "tap", "label": "x", "uid": "04112233445566", "ms": 1e9}',
    ],
)
def test_a_malformed_request_gets_an_error_and_changes_nothing(
    bench: VirtualWorld, request_line: bytes
) -> None:
    before = state_of(bench.world)
    answer = answer_to(bench.world, request_line)
    assert answer["ok"] is False
    assert answer["message"]
    assert state_of(bench.world) == before


def test_every_op_is_described_where_the_protocol_is_described() -> None:
    assert world_talk.__doc__
    missing = [op for op in ACTS if op not in world_talk.__doc__]
    assert missing == []


def test_a_cut_wire_and_a_bridged_contact_read_as_what_they_are(bench: VirtualWorld) -> None:
    world = bench.world
    world.force_contact(EMERGENCY, False)
    assert levels(bench, EMERGENCY) == (True,), "a cut wire must read like a stop"
    world.force_contact(EMERGENCY, True)
    world.latch_emergency_stop(True)
    assert levels(bench, EMERGENCY) == (False,), "a bridged contact tells nothing any more"
    world.force_contact(EMERGENCY, None)
    assert levels(bench, EMERGENCY) == (True,)
