"""Every page of the URL table, in both languages: axe finds nothing serious, nothing comes from elsewhere,
nothing is wider than a phone, and the keyboard's focus is seen. A new page is included by being there."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.browser.budgets import Hand
from tests.hub.process import HubFolder, HubProcess

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
CHROMIUM = "/usr/bin/chromium"
MAKE_S_MAX = 120
ONLY_FORMS = (405, 501)
"""An address that takes a form, and shows no page."""

ELSEWHERE = {
    "assistant": "leads to its first step, which is looked at",
    "import-look": "looks at a file that was sent: test_tasks_people.py",
    "logout": "a form's answer",
    "second-step": "between a password and a code: test_second_factor.py",
    "set_language": "a form's answer",
    "welcome": "a spent link: test_hub_pages.py",
}
"""Pages that are looked at by another test, and which."""

AT_THE_DOOR = ("login", "public-page", "open-wall", "report-problem", "problem-reported")
"""Pages that nobody signs in for."""

SEEN: dict[str, Any] = {
    "fr-FR": {"viewport": {"width": 360, "height": 780}, "color_scheme": "dark"},
    "en-GB": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
}
"""Each language on another screen: together they cost one walk, not four."""

FOCUS = """() => {
    const one = document.activeElement;
    const style = getComputedStyle(one);
    return one === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none"
        || getComputedStyle(one.closest("li, tr, div") || one).outlineStyle !== "none";
}"""


@dataclass
class Walk:
    """What was found on the pages of one language."""

    looked_at: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    serious: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    unseen_focus: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@dataclass
class Table:
    """A running hub, who looks at it, and where its pages are."""

    address: str
    session: str
    own: str
    pages: dict[str, str]

    def visitor(self, name: str) -> str:
        """Who looks at that page: nobody yet at the door, a member at what is theirs, the owner elsewhere."""
        if name in AT_THE_DOOR:
            return ""
        return self.own if self.pages[name].startswith("/me/") else self.session


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        path = Path(folder) / "hub"
        done = subprocess.run(
            [sys.executable, "-m", "tests.browser.every_hub", str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=MAKE_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        hub = HubProcess(HubFolder(path, "", ""))
        try:
            yield Table(hub.url, made["session"], made["own"], made["pages"])
        finally:
            hub.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


def test_every_page_of_the_table_has_an_address(table: Table) -> None:
    assert sorted(name for name, where in table.pages.items() if not where) == []


@pytest.mark.parametrize("locale", sorted(SEEN))
def test_every_page_can_be_read_by_everybody_and_asks_nobody_else(
    table: Table, browser: Browser, locale: str
) -> None:
    found = walked(table, browser, locale)
    wrong = {name: value for name, value in vars_of(found).items() if value}
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)
    assert len(found.looked_at) >= 60


@pytest.mark.parametrize(
    ("locale", "reports", "last_year", "heading"),
    [
        ("en-GB", "Reports", "Last year", "Hours by month"),
        ("fr-FR", "Rapports", "L’an dernier", "Heures par mois"),
    ],
    ids=["en", "fr"],
)
def test_task_10_the_region_gets_its_yearly_report(
    table: Table, browser: Browser, locale: str, reports: str, last_year: str, heading: str
) -> None:
    context = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900})
    cookie = {"name": "interlock_session", "value": table.session, "url": table.address}
    context.add_cookies([cookie])  # type: ignore[list-item] # a mapping of its three keys
    page = context.new_page()
    page.goto(table.address)
    hand = Hand(page)
    hand.go(reports)
    hand.press(last_year, shown="task-10-reports")
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    with page.expect_download() as got:
        hand.press("PDF", shown="task-10-last-year")
    assert got.value.suggested_filename.endswith(".pdf")
    assert Path(got.value.path()).read_bytes()[:4] == b"%PDF"
    assert hand.keeps(10)
    context.close()


def vars_of(found: Walk) -> dict[str, list[str]]:
    """What must be empty, by name: all of it is told at once."""
    names = ("broken", "moved", "serious", "foreign", "wide", "unseen_focus", "complaints")
    return {name: getattr(found, name) for name in names}


def walked(table: Table, browser: Browser, locale: str) -> Walk:
    """Every page that answers with a whole page, looked at in that language."""
    found = Walk()
    visitors = {one: _visitor(table, browser, locale, one, found) for one in _logins(table)}
    for name, where in sorted(table.pages.items()):
        page = visitors[table.visitor(name)]
        if where and name not in ELSEWHERE and _is_page(found, page, table.address + where, name):
            _look(found, page, name)
    for page in visitors.values():
        page.context.close()
    return found


def _logins(table: Table) -> tuple[str, str, str]:
    return ("", table.own, table.session)


def _visitor(table: Table, browser: Browser, locale: str, login: str, found: Walk) -> Page:
    context = browser.new_context(locale=locale, **SEEN[locale])
    if login:
        cookie = {"name": "interlock_session", "value": login, "url": table.address}
        context.add_cookies([cookie])  # type: ignore[list-item] # a mapping of its three keys
    page = context.new_page()
    page.on("request", lambda one: _note_foreign(found, table, one.url))
    page.on("console", lambda said: _note_complaint(found, page, said))
    return page


def _is_page(found: Walk, page: Page, address: str, name: str) -> bool:
    """Whether a whole page is there: not a file, a fragment, or an address that only takes forms."""
    answer = page.context.request.get(address)
    if answer.status in ONLY_FORMS:
        return False
    if answer.status >= 400:
        found.broken.append(f"{name}: {answer.status}")
        return False
    kind = answer.headers.get("content-type", "")
    if not kind.startswith("text/html") or "<html" not in answer.text():
        return False
    if answer.url != address:
        found.moved.append(f"{name}: {answer.url}")
        return False
    page.goto(address)
    return True


def _look(found: Walk, page: Page, name: str) -> None:
    found.looked_at.append(name)
    width = page.viewport_size["width"] if page.viewport_size else 0
    needed = page.evaluate("document.documentElement.scrollWidth")
    if needed > width:
        found.wide.append(f"{name}: {needed} px")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate(AXE)
    told = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    for violation in told["violations"]:
        if violation["impact"] in ("serious", "critical"):
            target = violation["nodes"][0]["html"][:120]
            found.serious.append(f"{name}: {violation['id']} at {target}")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    if not page.evaluate(FOCUS):
        found.unseen_focus.append(name)


def _note_complaint(found: Walk, page: Page, said: ConsoleMessage) -> None:
    if said.type == "error":
        found.complaints.append(f"{page.url}: {said.text}")


def _note_foreign(found: Walk, table: Table, address: str) -> None:
    if not address.startswith((table.address, "data:")):
        found.foreign.append(address)
