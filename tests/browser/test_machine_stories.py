"""The real demo as a visitor sees it: people beside each other, air before power, badges that are no good."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.visitor import HELD_MS, PATIENCE_MS, Hub, Station
from tests.sim.demos import RunningDemo
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

GRACE_MS = 6_000
"""A badge may be out of the laser's slot for 5 s; after that a session without a long job has ended."""


@pytest.fixture
def saw(demo: RunningDemo, context: BrowserContext) -> Iterator[Station]:
    yield from station(demo, context, "saw")


@pytest.fixture
def laser(demo: RunningDemo, context: BrowserContext) -> Iterator[Station]:
    yield from station(demo, context, "laser")


def station(demo: RunningDemo, context: BrowserContext, machine: str) -> Iterator[Station]:
    """The machine on a fresh page, at rest and ready; the page is closed afterwards."""
    put_right(demo, machine)
    wait_until(lambda: demo.machine(machine).status().get("state") == "locked", 20, "at rest")
    page = context.new_page()
    page.goto(demo.panel)
    station = Station(page, machine)
    station.doing("Off")
    yield station
    page.close()


def put_right(demo: RunningDemo, machine: str) -> None:
    """As whoever tidies up leaves it: a story that broke off leaves badges, lids and keys to the next, or to itself."""

    def act(op: str, **how: object) -> None:
        demo.post("/act", machine=machine, op=op, **how)

    act("take")
    if machine == "saw":
        act("bypass", on=False)
    else:
        act("extraction_broken", on=False)
        act("jam", button="machine_start", on=False)
        for name in demo.machine(machine).world()["held_open"]:
            act("interlock", name=name, on=False)
    if demo.machine(machine).status().get("state") == "enabled":
        act("push", button="stop")
    if demo.machine(machine).status().get("state") == "fault":
        demo.fault("clear_faults", machine)


# ------------------------------------------------------------------------------------------ people


def test_a_trainee_saws_beside_a_trainer_who_grants_the_training(saw: Station, hub: Hub) -> None:
    hub.open("/")
    on_the_board = hub.page.locator(".tile", has_text="Table saw")

    saw.lay("Noah Fischer")
    saw.doing("Waiting for a trainer")
    saw.shows("Trainer badge?")
    saw.coil("off")
    saw.lay("Jeanne Roux")
    saw.coil("on")
    saw.shows("Supervised")
    expect(on_the_board).to_contain_text("Noah Fischer", timeout=PATIENCE_MS)
    assert "Supervised by Jeanne Roux" in " ".join(hub.newest().split())

    yes = saw.part("[data-hold]")
    yes.click(delay=HELD_MS)
    expect(yes).to_have_attribute("aria-pressed", "true")
    saw.lay("Jeanne Roux")
    saw.shows("Training granted")
    yes.click()
    expect(yes).to_have_attribute("aria-pressed", "false")
    saw.lay("Noah Fischer")
    saw.coil("off")

    saw.lay("Noah Fischer")
    saw.coil("on")
    assert "Supervised" not in saw.shows("In use")
    saw.lay("Noah Fischer")
    saw.coil("off")


def test_a_blade_turns_on_after_the_power_is_off_and_everybody_is_told(saw: Station) -> None:
    saw.lay("Oliver Hughes")
    saw.coil("on")
    saw.push("machine_start")
    saw.motor(True)
    saw.push("stop")
    saw.coil("off")
    saw.doing("Still turning")
    saw.fact("tool", "turns")
    saw.shows("Still turning!")
    saw.fact("tool", "stands still")
    saw.doing("Off")


def test_the_bypass_key_powers_the_saw_past_interlock_and_the_hub_knows(
    saw: Station, hub: Hub
) -> None:
    saw.turn("Bypass key")
    saw.shows("Bypass key on")
    saw.doing("Powered by the key")
    hub.open("/")
    on_the_board = hub.page.locator(".tile", has_text="Table saw")
    expect(on_the_board).to_contain_text(re.compile("bypass key", re.I), timeout=PATIENCE_MS)
    saw.lay("Oliver Hughes")
    saw.shows("Already in use")
    saw.push("machine_start")
    saw.doing("Runs past Interlock")
    saw.turn("Bypass key")
    saw.motor(False)
    saw.shows("Present badge")
    hub.reads("/machines/saw/", "ypass key")


# ------------------------------------------------------------------------------------------- badges


def test_a_plain_badge_at_the_laser_is_told_to_become_a_secure_one(laser: Station) -> None:
    laser.lay("Inès Moreau")
    said = laser.shows("Badge sûr exigé")
    assert "accueil" in said, "and where: her language is French"
    laser.coil("off")
    laser.take()


def test_a_copied_badge_is_refused_and_the_board_has_an_alarm(laser: Station, hub: Hub) -> None:
    laser.lay("Copied badge")
    laser.shows("Badge not valid", "copy")
    laser.coil("off")
    laser.take()
    hub.reads("/", "Laser cutter", "did not prove that it is genuine")
    laser.shows("Ready")
    laser.lay("Amelia Wright")
    laser.coil("on")
    laser.take()
    laser.coil("off")


def test_an_unknown_badge_shows_a_code_that_the_hub_lists_and_gives_to_a_member(
    saw: Station, hub: Hub, demo: RunningDemo
) -> None:
    machine = demo.machine("saw")
    before = machine.status()["cache"]["version"]
    saw.lay("Unknown badge")
    found = re.search(r"Code (\w+)", saw.shows("Unknown badge", "Code"))
    assert found
    code = found.group(1)
    hub.reads("/badges/unknown/", code)
    hub.page.locator("li", has_text=code).get_by_role("link").click()
    hub.page.fill("#q", "Oliver")
    hub.page.keyboard.press("Enter")
    hub.page.locator("summary", has_text="Oliver Hughes").click()
    hub.page.get_by_role("button", name="Give it to Oliver Hughes").click()
    expect(hub.page.locator("h1")).to_have_text("Oliver Hughes")
    wait_until(
        lambda: machine.status().get("cache", {}).get("version", before) != before,
        10,
        "the node has heard",
    )
    saw.lay("Unknown badge")
    saw.coil("on")
    saw.shows("In use")
    saw.lay("Unknown badge")
    saw.coil("off")


# --------------------------------------------------------------------------------- air, lids and fire


def test_a_genuine_badge_gets_air_then_power_and_an_open_lid_takes_the_power(
    laser: Station, hub: Hub
) -> None:
    laser.lay("Amelia Wright")
    laser.doing("Extraction first")
    laser.fact("extraction", "runs")
    laser.coil("off")
    laser.coil("on")
    laser.fact("air", "flows")
    laser.push("machine_start")
    laser.motor(True)
    laser.turn("Lid")
    laser.coil("off")
    laser.shows("Stopped by Lid")
    laser.fact("extraction", "runs")
    laser.doing("Extraction runs on")
    laser.turn("Lid")
    laser.shows("Extraction runs It stops in")
    laser.coil("off")
    laser.fact("extraction", "stands still")
    laser.take()
    assert "A door or an extraction contact opened" in hub.sessions()[0][3]


def test_without_air_no_power_and_the_screen_says_so(laser: Station) -> None:
    laser.fault("extraction_broken")
    laser.lay("Amelia Wright")
    laser.fact("extraction", "runs")
    laser.shows("Air flow")
    laser.coil("off")
    laser.fact("air", "does not flow")
    laser.fault("extraction_broken")
    laser.take()


def test_fire_stops_the_extraction_too(laser: Station) -> None:
    laser.lay("Amelia Wright")
    laser.coil("on")
    laser.turn("Fire alarm")
    laser.coil("off")
    laser.fact("extraction", "stands still")
    laser.shows("Stopped by Fire")
    laser.take()
    laser.turn("Fire alarm")


def test_a_long_job_goes_on_when_its_badge_has_left(laser: Station) -> None:
    laser.lay("Amelia Wright")
    laser.coil("on")
    laser.push("machine_start")
    laser.motor(True)
    laser.part("[data-hold]").click()
    laser.shows("Long job runs")
    laser.take()
    laser.page.wait_for_timeout(GRACE_MS)
    laser.coil("on")
    laser.motor(True)
    laser.push("stop")
    laser.coil("off")


def test_a_laser_whose_start_key_is_jammed_is_cut_off_until_a_technician_comes(
    laser: Station, demo: RunningDemo
) -> None:
    laser.fault("machine_start")
    laser.lay("Amelia Wright")
    laser.shows("Started unasked")
    laser.coil("off")
    laser.motor(False)
    laser.take()
    laser.lay("Amelia Wright")
    laser.shows("Machine fault")
    laser.take()
    laser.fault("machine_start")
    laser.lay("Fatou Diallo")
    wait_until(lambda: demo.machine("laser").status().get("state") in ("locked", "run_on"), 10)
    laser.coil("off")
    laser.take()
