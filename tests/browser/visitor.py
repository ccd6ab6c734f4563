"""A visitor of the demo: a browser goes in; stations of the panel page and the hub's pages come out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, expect, sync_playwright

from tests.waiting import wait_until

CHROMIUM = "/usr/bin/chromium"
PASSWORD = "correct horse battery"

PATIENCE_MS = 20_000
"""A loaded machine of two cores; alone each step takes well under a second."""

EMPTY_FIELD_MS = 500
"""The arrival gap and two polls."""

expect.set_options(timeout=PATIENCE_MS)

HAND_MS = 400
"""Nobody sees a lamp and has pressed a key sooner; a start within 260 ms is the laser's fault."""

HELD_MS = 800
"""Longer than a press: a button held for so long stays down."""


@contextmanager
def browsing() -> Iterator[BrowserContext]:
    """An English browser on a desk, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser.new_context(locale="en-GB", viewport={"width": 1440, "height": 1100})
        browser.close()


class Station:
    """One machine on the demo's page, and the tray."""

    def __init__(self, page: Page, machine: str) -> None:
        self.page = page
        self.root = page.locator(f".station[data-machine={machine}]")

    def part(self, selector: str) -> Locator:
        return self.root.locator(selector)

    def pick(self, *words: str) -> None:
        """The badge with these words is in the hand; Camille has two, so a name may not be enough."""
        badge = self.page.locator(".badge")
        for one in words:
            badge = badge.filter(has_text=one)
        if badge.get_attribute("aria-pressed") != "true":
            badge.click()

    def lay(self, *words: str) -> None:
        """The badge comes to the reader. It arrives where the field was empty for 300 ms: nobody is faster."""
        expect(self.part(".reader")).not_to_have_class("reader full", timeout=PATIENCE_MS)
        self.page.wait_for_timeout(EMPTY_FIELD_MS)
        self.pick(*words)
        self.part(".reader").click()

    def take(self) -> None:
        """Whatever lies there is taken away."""
        self.page.keyboard.press("Escape")
        self.part(".reader.full").click()
        expect(self.part(".reader")).not_to_have_class("reader full", timeout=PATIENCE_MS)

    def push(self, name: str) -> None:
        """A button or key, as soon as a hand can."""
        self.page.wait_for_timeout(HAND_MS)
        self.part(f"[data-push={name}]").click()

    def turn(self, name: str) -> None:
        """A lid, an alarm or a key, by its name."""
        self.root.get_by_role("switch", name=name).click()

    def fault(self, name: str) -> None:
        if self.part("details.faults").get_attribute("open") is None:
            self.part("details.faults summary").click()
        self.part(f"[data-fault={name}], [data-world={name}], [data-jam={name}]").click()

    def lamp(self, light: str) -> None:
        expect(self.part(f".lamp[data-light={light}]")).to_be_visible(timeout=PATIENCE_MS)

    def fact(self, name: str, word: str) -> None:
        """An instrument in the cabinet shows `word`."""
        expect(self.part(f"[data-fact={name}]")).to_have_text(word, timeout=PATIENCE_MS)

    def coil(self, word: str) -> None:
        self.fact("coil", word)

    def doing(self, words: str) -> None:
        expect(self.part(".doing")).to_have_text(words, timeout=PATIENCE_MS)

    def motor(self, runs: bool) -> None:
        wanted = "on" if runs else "off"
        expect(self.root).to_have_attribute("data-motor", wanted, timeout=PATIENCE_MS)

    def shows(self, *words: str) -> str:
        """The screen, once it shows all `words`; lines are joined, for a long one may break anywhere."""

        def text() -> str | None:
            said = " ".join(self.part(".lcd").inner_text().split())
            return said if all(one in said for one in words) else None

        return wait_until(text, PATIENCE_MS / 1_000, f"{words} on the screen")


class Hub:
    """The hub's pages, signed in as the lab's first owner."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address.rstrip("/")

    def become_owner(self, link: str) -> None:
        self.page.goto(link)
        self.page.fill("#id_name", "Léa Martin")
        self.page.fill("#id_email", "lea@example.org")
        self.page.fill("#id_password", PASSWORD)
        self.page.fill("#id_again", PASSWORD)
        self.page.click("main form button.button")
        expect(self.page.locator("h1")).to_have_text("Board", timeout=PATIENCE_MS)

    def open(self, path: str) -> Locator:
        """What the page at `path` says."""
        self.page.goto(self.address + path)
        return self.page.locator("main")

    def reads(self, path: str, *words: str) -> None:
        """The page at `path` says all `words` soon; it is loaded again until it does."""

        def said() -> bool:
            text = self.open(path).inner_text()
            return all(one in text for one in words)

        wait_until(said, PATIENCE_MS / 1_000, f"{words} at {path}")

    def sessions(self) -> list[list[str]]:
        """The rows of the page of sessions, newest first: when, machine, member, ending, duration, price."""
        self.open("/sessions/")
        rows = self.page.locator("tbody tr").all()
        return [
            [" ".join(cell.inner_text().split()) for cell in row.locator("td").all()]
            for row in rows
        ]

    def ended(self, count: int) -> list[list[str]]:
        """The sessions once `count` of them stand there, none of them running."""

        def all_ended() -> list[list[str]] | None:
            rows = self.sessions()
            if len(rows) == count and not any("Running" in row[3] for row in rows):
                return rows
            return None

        return wait_until(all_ended, PATIENCE_MS / 1_000, f"{count} ended sessions")

    def newest(self) -> str:
        """What the page of the newest session says."""
        self.sessions()
        self.page.locator("tbody tr a").first.click()
        return self.page.locator("main").inner_text()
