"""The demo's page in Debian's Chromium over real world processes: hands, eyes, keyboard, screen reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gpiozero
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from interlock.sim.pin_factory import world_factory
from tests.browser.visitor import PATIENCE_MS
from tests.sim.labs import ADA, BOB, RunningLab, running_lab
from tests.sim.worlds import BUZZER, GREEN, RELAY
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
CHROMIUM = "/usr/bin/chromium"
WIDTHS = (320, 390, 820, 1440)
TARGET_PX_MIN = 24
"""WCAG 2.2, 2.5.8; the controls of the machine itself are far larger."""


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


@pytest.fixture(autouse=True)
def _at_rest(lab: RunningLab) -> Iterator[None]:
    yield
    for name, world in lab.worlds.items():
        world.ask("take")
        for op, on in (("emergency_stop", False), ("weld", False), ("mains", True), ("pi", True)):
            world.ask(op, on=on)
        lab.faults.cut_power(name, False)
        lab.faults.unplug(name, False)
        lab.faults.old_card(name, False)
    lab.faults.stop_hub(False)


@contextmanager
def opened(browser: Browser, lab: RunningLab, **options: Any) -> Iterator[Page]:
    """The page in a fresh profile; what its console complains about fails the test."""
    options.setdefault("locale", "en-GB")
    options.setdefault("viewport", {"width": 1440, "height": 1000})
    context = browser.new_context(**options)
    complaints: list[str] = []
    context.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(lab.server.url)
    expect(page.locator("body.ready")).to_be_visible()
    expect(part(page, "saw", ".doing")).not_to_be_empty()
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


@pytest.fixture
def page(browser: Browser, lab: RunningLab) -> Iterator[Page]:
    with opened(browser, lab) as page:
        yield page


def part(page: Page, machine: str, selector: str) -> Locator:
    return page.locator(f".station[data-machine={machine}] {selector}")


def badge(page: Page, label: str) -> Locator:
    return page.locator(".badge", has_text=label)


def uids(lab: RunningLab, machine: str) -> list[str]:
    return [one["uid"] for one in lab.worlds[machine].state()["badges"]]


def cards_in_field(lab: RunningLab, machine: str) -> Callable[[list[str]], bool]:
    return lambda wanted: uids(lab, machine) == wanted


# --------------------------------------------------------------------------------------- the badges


def test_a_badge_dragged_onto_a_slot_lies_in_the_reader_s_field(
    page: Page, lab: RunningLab
) -> None:
    box = badge(page, "Ada Moreau").bounding_box()
    target = part(page, "laser", ".reader").bounding_box()
    assert box
    assert target
    page.mouse.move(box["x"] + 20, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(target["x"] + 60, target["y"] + 30, steps=8)
    expect(part(page, "laser", ".reader")).to_have_class("reader target")
    page.mouse.up()
    wait_until(lambda: uids(lab, "laser") == [ADA])
    expect(part(page, "laser", ".lying")).to_have_text("Ada Moreau")
    expect(badge(page, "Ada Moreau").locator(".where")).to_have_text("on Laser cutter")
    expect(badge(page, "Ada Moreau")).to_have_attribute("aria-pressed", "false")


def test_a_badge_dropped_beside_a_reader_lies_nowhere(page: Page, lab: RunningLab) -> None:
    box = badge(page, "Ada Moreau").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(700, 40, steps=5)
    page.mouse.up()
    expect(page.locator(".ghost")).to_have_count(0)
    assert uids(lab, "saw") == uids(lab, "laser") == []


def test_a_tap_is_as_short_as_a_tap(page: Page, lab: RunningLab) -> None:
    badge(page, "Ada Moreau").click()
    part(page, "saw", ".reader").click()
    expect(part(page, "saw", ".lying")).to_have_text("Ada Moreau")
    wait_until(lambda: uids(lab, "saw") == [])
    expect(part(page, "saw", ".lying")).to_have_text("")


def test_a_badge_can_be_left_lying_on_a_tap_reader(page: Page, lab: RunningLab) -> None:
    part(page, "saw", ".leave input").check()
    badge(page, "Ada Moreau").click()
    part(page, "saw", ".reader").click()
    wait_until(lambda: uids(lab, "saw") == [ADA])
    page.wait_for_timeout(900)
    assert uids(lab, "saw") == [ADA], "it should outlast a tap"
    part(page, "saw", ".reader").click()
    wait_until(lambda: uids(lab, "saw") == [])


def test_the_keyboard_alone_puts_a_badge_in_and_takes_it_out(page: Page, lab: RunningLab) -> None:
    badge(page, "Bob Hughes").focus()
    page.keyboard.press("Enter")
    expect(badge(page, "Bob Hughes")).to_have_attribute("aria-pressed", "true")
    reader = page.get_by_role("button", name="Reader of Laser cutter")
    reader.focus()
    page.keyboard.press("Space")
    wait_until(lambda: uids(lab, "laser") == [BOB])
    taking = page.get_by_role("button", name="Reader of Laser cutter. Bob Hughes Take it away")
    taking.focus()
    page.keyboard.press("Enter")
    wait_until(lambda: uids(lab, "laser") == [])


def test_escape_empties_the_hand(page: Page) -> None:
    badge(page, "Ada Moreau").click()
    expect(page.locator("#hand")).to_contain_text("Ada Moreau is in your hand")
    page.keyboard.press("Escape")
    expect(page.locator("#hand")).to_contain_text("Drag a badge")
    expect(badge(page, "Ada Moreau")).to_have_attribute("aria-pressed", "false")


def test_an_empty_hand_is_told_to_pick_a_badge(page: Page) -> None:
    part(page, "saw", ".reader").click()
    expect(page.locator("#news")).to_have_text("Pick a badge first, then the reader.")


def test_two_at_once_are_two_cards_in_the_field(page: Page, lab: RunningLab) -> None:
    badge(page, "Two at once").click()
    part(page, "laser", ".reader").click()
    wait_until(lambda: uids(lab, "laser") == [ADA, BOB])


def test_a_badge_is_never_in_two_places(page: Page, lab: RunningLab) -> None:
    badge(page, "Ada Moreau").click()
    part(page, "laser", ".reader").click()
    wait_until(lambda: uids(lab, "laser") == [ADA])
    expect(badge(page, "Ada Moreau").locator(".where")).to_have_text("on Laser cutter")
    part(page, "saw", ".leave input").check()
    badge(page, "Ada Moreau").click()
    part(page, "saw", ".reader").click()
    wait_until(lambda: uids(lab, "saw") == [ADA])
    assert uids(lab, "laser") == []


# ------------------------------------------------------------------------------ buttons and machines


@pytest.mark.parametrize(
    ("name", "button", "pin"),
    [("Stop button", "stop", 5), ("“Broken” button", "broken", 6), ("Start", "machine_start", 16)],
)
def test_a_button_on_the_page_reaches_its_pin(
    page: Page, lab: RunningLab, name: str, button: str, pin: int
) -> None:
    factory = world_factory(lab.worlds["saw"].directory)
    contact = gpiozero.Button(pin, pull_up=True, pin_factory=factory)
    page.locator(".station[data-machine=saw]").get_by_role("button", name=name).click()
    assert contact.wait_for_press(5)
    assert contact.wait_for_release(5)
    factory.close()


def test_the_emergency_stop_latches_until_it_is_twisted(page: Page, lab: RunningLab) -> None:
    mushroom = part(page, "saw", ".mushroom")
    mushroom.click()
    expect(mushroom).to_have_attribute("aria-pressed", "true")
    assert lab.worlds["saw"].state()["emergency_stop"] is True
    mushroom.click()
    expect(mushroom).to_have_attribute("aria-pressed", "false")
    assert lab.worlds["saw"].state()["emergency_stop"] is False


def test_contactor_motor_lamp_and_buzzer_are_drawn_as_they_are(page: Page, lab: RunningLab) -> None:
    station = page.locator(".station[data-machine=saw]")
    expect(part(page, "saw", ".doing")).to_have_text("Off")
    factory = world_factory(lab.worlds["saw"].directory)
    devices = [gpiozero.OutputDevice(pin, pin_factory=factory) for pin in (RELAY, GREEN, BUZZER)]
    relay, green, buzzer = devices
    relay.on()
    green.on()
    expect(part(page, "saw", ".doing")).to_have_text("Enabled, standing still")
    expect(part(page, "saw", "[data-fact=contacts]")).to_have_text("closed")
    expect(part(page, "saw", ".lamp")).to_have_attribute("data-light", "green")
    station.get_by_role("button", name="Start").click()
    expect(station).to_have_attribute("data-motor", "on")
    expect(part(page, "saw", "[data-fact=current]")).to_have_text("6.5 A")
    buzzer.on()
    expect(part(page, "saw", ".buzzer small")).to_have_text("sounds")
    relay.off()
    expect(part(page, "saw", ".doing")).to_have_text("Off")
    expect(station).to_have_attribute("data-motor", "off")
    buzzer.off()
    expect(part(page, "saw", ".buzzer small")).to_have_text("silent")
    factory.close()


def test_a_refusal_on_the_screen_is_shown_and_said_aloud(page: Page, lab: RunningLab) -> None:
    shows = lab.panels["saw"].shows
    expect(part(page, "saw", ".lcd")).to_contain_text("Present badge")
    before = dict(shows)
    shows.update(
        lines=["Not trained", "Book a training"],
        message="refused",
        reason="NOT_TRAINED",
        colour="yellow",
        lamp="fast_blink",
    )
    expect(part(page, "saw", ".lcd")).to_contain_text("Book a training")
    expect(part(page, "saw", ".lamp-words")).to_have_text("yellow, fast blink")
    expect(page.locator("#news")).to_contain_text("Table saw: Not trained. Book a training.")
    shows.update(before)


# -------------------------------------------------------------------------------------------- faults


def test_faults_reach_who_plays_systemd_and_show_as_done(page: Page, lab: RunningLab) -> None:
    part(page, "saw", "summary").click()
    station = page.locator(".station[data-machine=saw]")
    switches = {
        "Unplug the network": ("unplug", "saw", True),
        "Freeze the node": ("freeze_node", "saw", True),
        "Put in an old copy of the SD card": ("old_card", "saw", True),
        "Cut the power": ("cut_power", "saw", True),
    }
    for name, asked in switches.items():
        switch = station.get_by_role("switch", name=name)
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "true")
        # Whoever changes a card takes the power off first, and gives it back.
        assert asked in lab.faults.asked[-2:]
    expect(part(page, "saw", ".broken-count")).to_have_text("4 broken")
    expect(part(page, "saw", ".doing")).to_have_text("No supply")
    for name in reversed(switches):
        switch = station.get_by_role("switch", name=name)
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "false")
    station.get_by_role("button", name="Kill the node").click()
    wait_until(lambda: lab.faults.asked[-1] == ("kill_node", "saw"))


def test_a_contactor_is_welded_and_mended_from_the_page(page: Page, lab: RunningLab) -> None:
    part(page, "saw", "summary").click()
    switch = page.locator(".station[data-machine=saw]").get_by_role(
        "switch", name="Weld the contactor"
    )
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert lab.worlds["saw"].state()["welded"] is True
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert lab.worlds["saw"].state()["welded"] is False


def test_the_hub_is_stopped_and_started_from_the_page(page: Page, lab: RunningLab) -> None:
    switch = page.get_by_role("switch", name="Stop the hub")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert lab.faults.asked[-2:] == [("stop_hub", True), ("stop_hub", False)]


def test_the_hub_s_pages_are_linked(page: Page) -> None:
    link = page.get_by_role("link", name="Board")
    expect(link).to_have_attribute("href", "http://127.0.0.1:9/board")


def test_a_demo_that_ended_is_said_so(browser: Browser) -> None:
    with running_lab() as lab:
        context = browser.new_context(locale="en-GB")
        page = context.new_page()
        page.goto(lab.server.url)
        expect(page.locator("body.ready")).to_be_visible()
        lab.server.stop()
        expect(page.get_by_role("alert")).to_contain_text("The demo does not answer")
        context.close()


# ------------------------------------------------------------------------- languages, eyes, fingers


def test_the_page_switches_between_english_and_french_and_remembers(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(part(page, "saw", "h2")).to_have_text("Scie à format")
    expect(part(page, "saw", ".doing")).to_have_text("Hors tension")
    expect(badge(page, "Ada Moreau").locator(".hint")).to_have_text("formée")
    expect(page.get_by_role("button", name="Arrêt d’urgence").first).to_be_visible()
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.get_by_role("button", name="English").click()
    expect(part(page, "saw", "h2")).to_have_text("Table saw")


def test_a_french_browser_is_spoken_to_in_french(browser: Browser, lab: RunningLab) -> None:
    with opened(browser, lab, locale="fr-FR") as page:
        expect(part(page, "laser", "h2")).to_have_text("Découpe laser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_and_axe_finds_nothing(
    browser: Browser, lab: RunningLab, width: int, scheme: Any
) -> None:
    size = {"width": width, "height": 900}
    with opened(browser, lab, viewport=size, color_scheme=scheme, locale="fr-FR") as page:
        for summary in page.locator("summary").all():
            summary.click()
        badge(page, "Ada Moreau").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert overflowing(page) == []
        page.evaluate(AXE)
        found = page.evaluate("axe.run(document).then((all) => all.violations)")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


def overflowing(page: Page) -> list[str]:
    """Texts wider than the box they stand in."""
    script = """() => [...document.querySelectorAll("button, b, dd, dt, h2, small, .doing, .lcd span")]
      .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth + 1
        && getComputedStyle(one).display !== "inline")
      .map((one) => one.textContent.trim())"""
    found: list[str] = page.evaluate(script)
    return found


def test_everything_that_can_be_pressed_has_a_name_a_size_and_a_visible_focus(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()
    page.locator(".skip").focus()
    seen: list[str] = []
    for _ in range(120):
        page.keyboard.press("Tab")
        now = page.evaluate(
            """() => { const one = document.activeElement, box = one.getBoundingClientRect();
              return { name: (one.ariaLabel ?? one.innerText ?? "").trim() || one.closest("label")?.innerText,
                body: one === document.body, width: box.width, height: box.height,
                outline: parseFloat(getComputedStyle(one).outlineWidth) }; }"""
        )
        if now["body"]:
            break
        assert now["name"], now
        assert now["outline"] >= 2, now
        seen.append(now["name"])
    buttons = page.locator("button:visible").count()
    assert len(seen) >= buttons, "the keyboard must reach every button"
    for one in page.locator("button:visible, summary:visible").all():
        box = one.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= TARGET_PX_MIN, one.inner_text()


def test_who_wants_no_motion_gets_none_but_is_told_that_it_runs(
    browser: Browser, lab: RunningLab
) -> None:
    factory = world_factory(lab.worlds["saw"].directory)
    relay = gpiozero.OutputDevice(RELAY, initial_value=True, pin_factory=factory)
    with opened(browser, lab, reduced_motion="reduce") as page:
        page.locator(".station[data-machine=saw]").get_by_role("button", name="Start").click()
        expect(part(page, "saw", ".doing")).to_have_text("Running")
        running = "document.getAnimations().filter((one) => one.playState === 'running').length"
        assert page.evaluate(running) == 0
    relay.off()
    factory.close()


def test_a_running_machine_moves_and_a_stopped_one_comes_to_rest(
    page: Page, lab: RunningLab
) -> None:
    factory = world_factory(lab.worlds["saw"].directory)
    relay = gpiozero.OutputDevice(RELAY, initial_value=True, pin_factory=factory)
    turning = """() => document.querySelector('[data-machine=saw] .spin').getAnimations()
      .filter((one) => one.playState === 'running').length"""
    wait_until(lambda: page.evaluate(turning) == 0)
    page.locator(".station[data-machine=saw]").get_by_role("button", name="Start").click()
    wait_until(lambda: page.evaluate(turning) == 1)
    relay.off()
    wait_until(lambda: page.evaluate(turning) == 0)
    factory.close()
