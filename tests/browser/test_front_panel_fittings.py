"""Lids, alarms, keys, held buttons, fans and blades on the demo's page: by every hand, and nothing jumps."""

from __future__ import annotations

from collections.abc import Iterator

import gpiozero
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from interlock.sim.pin_factory import world_factory
from tests.browser.test_front_panel import CHROMIUM, WIDTHS, opened, part
from tests.sim.labs import ADA, RunningLab, running_lab
from tests.sim.worlds import RELAY
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

FAN, LONG_JOB = 27, 18

GATES = {"Lid": "lifted", "Fire alarm": "triggered"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running_lab() as lab:
        yield lab


@pytest.fixture
def page(browser: Browser, lab: RunningLab) -> Iterator[Page]:
    with opened(browser, lab) as page:
        yield page


@pytest.mark.parametrize("how", ["mouse", "keyboard", "touch"])
def test_lid_fire_alarm_and_bypass_key_turn_by_every_hand(
    browser: Browser, lab: RunningLab, how: str
) -> None:
    def turn(switch: Locator) -> None:
        if how == "keyboard":
            switch.focus()
            switch.page.keyboard.press("Space")
        else:
            switch.tap() if how == "touch" else switch.click()

    world = lab.worlds["laser"]
    with opened(browser, lab, has_touch=how == "touch") as page:
        station = page.locator(".station[data-machine=laser]")
        for name, state in (*GATES.items(), ("Bypass key", "turned")):
            switch = station.get_by_role("switch", name=f"{name}: {state}")
            expect(switch).to_have_attribute("aria-checked", "false")
            turn(switch)
            expect(switch).to_have_attribute("aria-checked", "true")
            expect(switch.locator("small")).to_have_text(state)
        seen = world.state()
        assert (seen["held_open"], seen["bypass"]) == (["Fire", "Lid"], True)
        for name in (*GATES, "Bypass key"):
            turn(station.get_by_role("switch", name=name))
        wait_until(lambda: not world.state()["held_open"] and not world.state()["bypass"])


def test_an_interlock_without_a_hand_has_no_switch(page: Page) -> None:
    names = part(page, "laser", ".fitting b").all_inner_texts()
    assert names == ["Lid", "Fire alarm", "Bypass key"], "nobody opens the air flow switch by hand"


@pytest.fixture
def seen(lab: RunningLab) -> Iterator[list[str]]:
    """What comes in at the long job button's pin: of nobody at first, and the pin is free again however it ends."""
    world = lab.worlds["laser"]
    world.ask("let_go", button="long_job")
    factory = world_factory(world.directory)
    heard: list[str] = []
    try:
        contact = gpiozero.Button(LONG_JOB, pull_up=True, pin_factory=factory)
        contact.when_pressed = lambda: heard.append("down")
        contact.when_released = lambda: heard.append("up")
        yield heard
    finally:
        factory.close()


@pytest.mark.parametrize("how", ["mouse", "keyboard", "touch"])
def test_a_short_press_of_the_long_job_button_is_short_and_a_long_one_stays(
    browser: Browser, lab: RunningLab, seen: list[str], how: str
) -> None:
    def press(button: Locator, for_ms: int) -> None:
        if how == "mouse":
            button.click(delay=for_ms)
        elif how == "keyboard":
            button.press("Space", delay=for_ms)
        else:
            finger = {"pointerId": 1, "pointerType": "touch", "button": 0, "isPrimary": True}
            button.evaluate("one => (one.setPointerCapture = () => {})")
            button.dispatch_event("pointerdown", finger)
            button.page.wait_for_timeout(for_ms)
            button.dispatch_event("pointerup", finger)
            button.dispatch_event("click")

    with opened(browser, lab, has_touch=how == "touch") as page:
        button = part(page, "laser", "[data-hold]")
        press(button, 30)
        wait_until(lambda: seen == ["down", "up"], what="a press as short as a finger's")
        expect(button).to_have_attribute("aria-pressed", "false")
        press(button, 800)
        expect(button).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(600)
        assert seen == ["down", "up", "down"], "nobody pressed again"
        expect(button).to_contain_text("held down")
        press(button, 30)
        expect(button).to_have_attribute("aria-pressed", "false")
        wait_until(lambda: seen == ["down", "up", "down", "up"])


def test_a_screen_reader_s_click_is_a_press_too(page: Page, seen: list[str]) -> None:
    part(page, "laser", "[data-hold]").evaluate("one => one.click()")
    wait_until(lambda: seen == ["down", "up"], what="a press and its end")


def test_a_fan_turns_while_the_extraction_runs_and_air_is_seen_when_it_moves(
    page: Page, lab: RunningLab
) -> None:
    turning = """() => document.querySelector('[data-machine=laser] .fan').getAnimations()
      .filter((one) => one.playState === 'running').length"""
    factory = world_factory(lab.worlds["laser"].directory)
    fan = gpiozero.OutputDevice(FAN, pin_factory=factory)
    assert page.evaluate(turning) == 0
    fan.on()
    wait_until(lambda: page.evaluate(turning) == 1)
    expect(page.locator(".station[data-machine=laser]")).to_have_attribute("data-air", "on")
    expect(part(page, "laser", ".doing")).to_have_text("Extraction runs on")
    fan.off()
    wait_until(lambda: page.evaluate(turning) == 0)
    factory.close()


def test_a_blade_coasts_slower_and_slower_until_it_stands(page: Page, lab: RunningLab) -> None:
    rate = "document.querySelector('[data-machine=saw] .spin').getAnimations()[0].playbackRate"
    factory = world_factory(lab.worlds["saw"].directory)
    relay = gpiozero.OutputDevice(RELAY, initial_value=True, pin_factory=factory)
    page.locator(".station[data-machine=saw]").get_by_role("button", name="Start").click()
    wait_until(lambda: page.evaluate(rate) == 1.6, what="full speed")
    relay.off()
    expect(part(page, "saw", ".doing")).to_have_text("Still turning")
    wait_until(lambda: 0 < page.evaluate(rate) < 1.0, what="half speed")
    expect(part(page, "saw", ".doing")).to_have_text("Off")
    factory.close()


@pytest.mark.parametrize("message", ["waiting_for_trainer", "pre_run", "starting"])
def test_what_the_node_waits_for_is_said_beside_the_machine(
    page: Page, lab: RunningLab, message: str
) -> None:
    shows = lab.panels["laser"].shows
    before = dict(shows)
    shows.update(message=message)
    words = {"waiting_for_trainer": "Waiting for a trainer", "pre_run": "Extraction first"}
    expect(part(page, "laser", ".doing")).to_have_text(words.get(message, "Starting"))
    shows.update(before)


@pytest.mark.parametrize("language", ["en-GB", "fr-FR"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_jumps_whatever_happens(
    browser: Browser, lab: RunningLab, width: int, language: str
) -> None:
    """Where everything stands before is where it stands while much goes on."""
    places = """() => [...document.querySelectorAll(
        ".plate, .machine, .box, .lamp, .screen, .reader, .rounds, .cabinet, .faults, .tray, .group")]
      .map((one) => [one.classList[0], ...["top", "left", "width", "height"].map(
        (side) => Math.round(one.getBoundingClientRect()[side]))])"""
    shows = lab.panels["laser"].shows
    size = {"width": width, "height": 900}
    with opened(browser, lab, viewport=size, locale=language) as page:
        before, shown = page.evaluate(places), dict(shows)
        shows.update(
            long_lines=["x" * 21] * 4,
            message="waiting_for_second",
            colour="yellow",
            lamp="double_blink",
        )
        world = lab.worlds["laser"]
        acts = {"emergency_stop": {}, "bypass": {}, "interlock": {"name": "Lid"}}
        for op, more in acts.items():
            world.ask(op, on=True, **more)
        world.ask("press", button="long_job")
        world.ask("put", label="Ada Moreau", uid=ADA)
        expect(part(page, "laser", ".lying")).to_have_text("Ada Moreau")
        expect(part(page, "laser", ".lcd span").last).to_have_text("x" * 21)
        expect(part(page, "laser", "[data-hold]")).to_have_attribute("aria-pressed", "true")
        during = page.evaluate(places)
        shows.update(shown)
        world.ask("let_go", button="long_job")
        for op, more in acts.items():
            world.ask(op, on=False, **more)
        assert during == before
