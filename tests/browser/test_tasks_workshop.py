"""Two of the ten tasks, in both languages and within their clicks: who left it running, and locking a machine
out until every node has confirmed; and the problem page behind a machine's QR code, on a phone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from interlock.protocol.records import RecordType
from tests.browser.budgets import Hand
from tests.browser.guide import picture
from tests.browser.hub_process import Hub, SpokenNode, running_hub
from tests.browser.test_hub_pages import AXE, CHROMIUM, context, signed_in
from tests.browser.workshop_hub import work_in
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
PHONE = {"width": 360, "height": 740}
MACHINE = "Scie à format"
LANGUAGES = ("en-GB", "fr-FR")
WORDS = {
    "en-GB": {
        "lock": "Lock it out",
        "why": "Why",
        "sure": "Lock the machine out",
        "waits": "has not confirmed the lock-out yet",
        "done": "its node has confirmed the lock-out",
        "give": "Give it back",
        "end": "End the lock-out",
        "wrong": "What is wrong?",
        "send": "Send",
        "thanks": "Thank you",
    },
    "fr-FR": {
        "lock": "Consigner",
        "why": "Pourquoi",
        "sure": "Consigner la machine",
        "waits": "n’a pas encore confirmé",
        "done": "a confirmé la consignation",
        "give": "Remettre en service",
        "end": "Lever la consignation",
        "wrong": "Qu’est-ce qui ne va pas",
        "send": "Envoyer",
        "thanks": "Merci",
    },
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder, running_hub(Path(folder)) as one:
        yield one


@pytest.fixture(scope="module")
def links(hub: Hub) -> dict[str, str]:
    return work_in(hub)


@pytest.fixture(scope="module")
def node(hub: Hub) -> SpokenNode:
    spoken = hub.node()
    spoken.hello()
    return spoken


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_task_5_the_board_says_what_is_in_use_and_who_left_it_running(
    browser: Browser, hub: Hub, node: SpokenNode, language: str
) -> None:
    session = node.start(hub.sample["ada"])
    node.write(
        RecordType.SESSION_PROGRESS,
        session=session,
        enabled_ms=900_000,
        busy_ms=0,
        idle_ms=600_000,
    )
    node.send()
    node.hello(mode="enabled")
    with context(browser, locale=language) as opened:
        page = signed_in(opened, hub)
        hand = Hand(page)
        tile = page.locator(".tile", has_text=MACHINE)
        expect(tile).to_contain_text("Ada Martin")
        expect(tile.locator(".plate")).to_have_attribute("data-state", "idle")
        hand.press(MACHINE, within=tile, shown="task-05-board")
        expect(page.locator("main")).to_contain_text("Ada Martin")
        picture(page, "task-05-machine")
        assert hand.keeps(5)
    node.end(session, 900)


@pytest.mark.parametrize("language", LANGUAGES)
def test_task_6_a_machine_is_locked_out_and_the_page_says_when_its_node_confirms(
    browser: Browser, hub: Hub, node: SpokenNode, language: str
) -> None:
    said = WORDS[language]
    before = node.hello()["version"]
    with context(browser, locale=language) as opened:
        page = signed_in(opened, hub)
        hand = Hand(page)
        hand.press(MACHINE, within=page.locator(".tile", has_text=MACHINE))
        hand.press(said["lock"], shown="task-06-machine")
        page.locator("#why").fill("Lame cassée")
        hand.press(said["sure"], shown="task-06-why")
        expect(page.locator("main")).to_contain_text(said["waits"])
        picture(page, "task-06-waiting")
        node.hello(version=wait_until(lambda: newer_than(before, node), PATIENCE_MS / 1_000))
        expect(page.locator("main")).to_contain_text(said["done"], timeout=PATIENCE_MS)
        picture(page, "task-06-confirmed")
        assert hand.keeps(6)
        hand.press(said["give"])
        hand.press(said["end"])
        expect(page.locator("main")).not_to_contain_text("Lame cassée")


@pytest.mark.parametrize("language", LANGUAGES)
def test_somebody_without_a_login_scans_the_code_and_writes_what_is_wrong(
    browser: Browser, hub: Hub, links: dict[str, str], language: str
) -> None:
    said = WORDS[language]
    with context(browser, locale=language, viewport=PHONE, has_touch=True) as opened:
        page = opened.new_page()
        page.goto(f"{hub.address}problem/{links['problem']}/")
        expect(page.get_by_role("heading", level=1)).to_have_text(MACHINE)
        expect(page.locator("main")).to_contain_text("Le roulement est commandé")
        nothing_sticks_out_and_axe_is_content(page)
        page.get_by_label(said["wrong"]).fill("Ça sent le brûlé.")
        page.get_by_role("button", name=said["send"], exact=True).tap()
        expect(page.get_by_role("heading", name=said["thanks"])).to_be_visible()
    with context(browser, locale=language) as opened:
        page = signed_in(opened, hub)
        page.goto(f"{hub.address}problems/")
        expect(page.locator("main")).to_contain_text("Ça sent le brûlé.")


def newer_than(before: list[int], node: SpokenNode) -> tuple[int, int] | None:
    """The version of the rights that the hub has for the node by now, once it is another."""
    epoch, counter = node.hello()["version"]
    return (epoch, counter) if [epoch, counter] > before else None


def nothing_sticks_out_and_axe_is_content(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document).then((all) => all.violations)")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
