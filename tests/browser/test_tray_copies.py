"""The page's tray with a badge and a copy of its number: two cards for the eye, one number for the reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from interlock.sim.demo_badges import offers
from interlock.sim.lab import TRAY
from tests.browser.test_front_panel import CHROMIUM, badge, opened, part, uids
from tests.sim import labs
from tests.sim.labs import RunningLab, running_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

GENUINE = next(one for one in TRAY if one.key == "genuine")
COPY = next(one for one in TRAY if one.key == "copy")


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labs, "BADGES", offers())
        with running_lab() as running:
            yield running


@pytest.fixture
def page(lab: RunningLab) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        with opened(browser, lab) as page:
            yield page
        browser.close()


def lay(page: Page, label: str, machine: str) -> None:
    badge(page, label).click()
    part(page, machine, ".reader").click()


def test_a_copy_lies_there_under_its_own_name_and_the_original_stays_in_the_tray(
    page: Page, lab: RunningLab
) -> None:
    assert GENUINE.uid == COPY.uid
    lay(page, COPY.printed, "laser")
    wait_until(lambda: uids(lab, "laser") == [COPY.uid.hex()])
    expect(part(page, "laser", ".lying")).to_have_text(COPY.printed)
    expect(badge(page, COPY.printed).locator(".where")).to_have_text("on Laser cutter")
    expect(badge(page, GENUINE.printed).locator(".where")).to_be_empty()
    part(page, "laser", ".reader").click()
    wait_until(lambda: uids(lab, "laser") == [])
    lay(page, GENUINE.printed, "laser")
    expect(part(page, "laser", ".lying")).to_have_text(GENUINE.printed)
    expect(badge(page, COPY.printed).locator(".where")).to_be_empty()
