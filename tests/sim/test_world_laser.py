"""The surroundings of a laser: lid, air flow, bypass key and long-job button reach the lines they are soldered to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.config import parse_node
from interlock.sim.kernel_pins import Pull
from interlock.sim.world_talk import answer_to, state_of
from interlock.sim.world_wiring import Button
from tests.sim.worlds import VirtualWorld, document_of

pytestmark = pytest.mark.fast

NODE = 1
LONG_JOB, BYPASS, LID, AIR, FAN = 18, 19, 20, 21, 27


def laser() -> VirtualWorld:
    document = document_of()
    document["relay"]["extraction_pin"] = FAN
    document["inputs"]["long_job_button"] = {"pin": LONG_JOB}
    document["inputs"]["bypass_key"] = {"pin": BYPASS}
    document["interlocks"] = [
        {"name": "Lid", "pin": LID},
        {"name": "Air flow", "pin": AIR, "normally": "open", "needs_extraction": True},
        {"name": "Fire", "remote": "hall/fire"},
    ]
    bench = VirtualWorld(parse_node(document))
    for number in (LONG_JOB, BYPASS, LID, AIR):
        bench.world.claim_input(NODE, number, Pull.UP)
    bench.world.claim_output(NODE, FAN, False)
    return bench


def said(bench: VirtualWorld, **request: Any) -> dict[str, Any]:
    return answer_to(bench.world, json.dumps({"id": 1, **request}).encode())


def test_a_lid_that_opens_lets_its_line_rise_and_a_closed_one_pulls_it_down() -> None:
    bench = laser()
    assert bench.world.level(LID) is False
    bench.world.open_interlock("Lid", True)
    assert bench.world.level(LID) is True
    bench.world.open_interlock("Lid", False)
    assert bench.world.level(LID) is False


def test_the_air_flow_contact_follows_the_fan_and_not_its_pin() -> None:
    bench = laser()
    assert bench.world.level(AIR) is False, "a contact that is open while all is well is closed now"
    bench.world.write(NODE, FAN, True)
    assert bench.world.level(AIR) is False
    bench.wait_ms(1_500)
    assert bench.world.level(AIR) is True
    bench.world.break_extraction(True)
    bench.wait_ms(1_500)
    assert bench.world.level(AIR) is False


def test_a_pi_without_power_drives_no_fan() -> None:
    bench = laser()
    bench.world.write(NODE, FAN, True)
    bench.world.supply_pi(False)
    assert bench.world.facts().extraction is False


def test_the_bypass_key_and_the_long_job_button_pull_their_own_lines_down() -> None:
    bench = laser()
    bench.world.turn_bypass(True)
    bench.world.press(Button.LONG_JOB)
    assert (bench.world.level(BYPASS), bench.world.level(LONG_JOB)) == (False, False)
    bench.world.turn_bypass(False)
    bench.world.let_go(Button.LONG_JOB)
    assert (bench.world.level(BYPASS), bench.world.level(LONG_JOB)) == (True, True)


def test_hands_at_the_panel_open_a_lid_by_its_name_and_nothing_that_is_not_there() -> None:
    bench = laser()
    assert said(bench, op="interlock", name="Lid", on=True)["ok"]
    assert state_of(bench.world)["held_open"] == ["Lid"]
    assert state_of(bench.world)["open_interlocks"] == ["Air flow", "Lid"]
    for name in ("Door", "Fire"):
        answer = said(bench, op="interlock", name=name, on=True)
        assert (answer["ok"], name in answer["message"]) == (False, True)
