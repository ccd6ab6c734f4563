"""The real demo: a badge reported stolen on the hub's page, and a copied SD card, as a visitor sees both."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.visitor import PATIENCE_MS, Hub, Station
from tests.sim.demos import RunningDemo
from tests.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def saw(demo: RunningDemo, context: BrowserContext, hub: Hub) -> Station:
    page = context.new_page()
    page.goto(demo.panel)
    station = Station(page, "saw")
    station.doing("Off")
    return station


def test_a_badge_reported_stolen_at_the_hub_is_refused_at_the_saw(
    saw: Station, hub: Hub, demo: RunningDemo
) -> None:
    """It had just opened the saw. Its holder's page says stolen, one click, and the saw knows: by itself,
    without anybody at it. How soon is measured where nothing else runs (tests/bench)."""
    machine = demo.machine("saw")
    saw.lay("Oliver Hughes")
    saw.coil("on")
    saw.lay("Oliver Hughes")
    saw.coil("off")
    known = machine.status()["cache"]["version"]
    hub.open("/members/")
    hub.page.get_by_role("link", name="Oliver Hughes").click()
    badges = hub.page.locator(".sheet", has=hub.page.locator("#badges"))
    badges.locator("summary", has_text="Block").click()
    badges.locator("button[value=stolen]").click()
    expect(badges).to_contain_text(re.compile("stolen", re.I))
    wait_until(
        lambda: machine.status().get("cache", {}).get("version", known) > known,
        20,
        "the saw's newer list",
    )
    saw.lay("Oliver Hughes")
    saw.shows("Badge blocked")
    saw.coil("off")


def test_an_old_copy_of_a_machines_sd_card_is_found_at_its_first_word_with_the_hub(
    saw: Station, hub: Hub, demo: RunningDemo
) -> None:
    """The copy was made when the demo began; the machine was used since. Put in, it boots, says hello, and
    everybody who looks at the board is told; the machine works on, with the copy and with its own card again."""
    machine = demo.machine("saw")

    def epoch() -> int:
        # Nothing while the node has no power, or boots.
        head = machine.status().get("journal", {}).get("head") or {"epoch": 0}
        return int(head["epoch"])

    first = epoch()
    use_and_deliver(saw, demo)
    saw.fault("old_card")
    # Older, or with records of its own: whichever its first word told.
    hub.reads("/", "Table saw", "SD card")
    wait_until(lambda: epoch() > first, PATIENCE_MS / 1_000, "records under numbers of its own")
    second = epoch()
    use_and_deliver(saw, demo)
    saw.fault("old_card")
    wait_until(lambda: epoch() > second, PATIENCE_MS / 1_000, "the first card's own numbers")
    use_and_deliver(saw, demo)
    assert sum("Table saw" in " ".join(row) for row in hub.ended(4)) == 4


def use_and_deliver(saw: Station, demo: RunningDemo) -> None:
    """Camille uses the saw, and the hub has heard of it."""
    machine = demo.machine("saw")
    wait_until(lambda: machine.status().get("state") == "locked", 20, "at rest")
    saw.lay("Camille Laurent", "Trained")
    saw.coil("on")
    saw.lay("Camille Laurent", "Trained")
    saw.coil("off")
    wait_until(lambda: machine.unsent() == 0, 20, "delivered")
