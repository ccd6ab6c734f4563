"""Tasks 7, 8 and 9 of a fab manager, in French and in English, each within its budget of clicks.

One hub with two months to close: in French the older one, in English the newer. The tasks follow each other
as they do in life, so they stand in one test for each language.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.billing_hub import FIRM, TARIFF, fill_in
from tests.browser.budgets import BUDGETS, Hand
from tests.browser.guide import picture
from tests.browser.hub_process import PASSWORD, Hub, running_hub
from tests.browser.visitor import CHROMIUM, PATIENCE_MS

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Words:
    """What the buttons of the three tasks are called in one language."""

    locale: str
    billing: str
    tariffs: str
    new_prices: str
    try_it: str
    save: str
    correct: str
    correct_time: str
    close: str
    send: str
    send_them: str
    entries: str
    before: str
    kept: str
    corrected: str


ENGLISH = Words(
    locale="en-GB",
    billing="Billing",
    tariffs="Tariffs",
    new_prices=f"New prices {TARIFF}",
    try_it="See what last month would have cost",
    save="Save these prices",
    correct="Correct",
    correct_time="Correct the time",
    close="Close",
    send="Send the statements",
    send_them="Send",
    entries="Entries (Excel)",
    before="The month before",
    kept="The new prices are kept.",
    corrected="Corrected: a line of",
)
FRENCH = Words(
    locale="fr-FR",
    billing="Facturation",
    tariffs="Tarifs",
    new_prices=f"Nouveaux prix {TARIFF}",
    try_it="Voir ce qu’aurait coûté le mois dernier",
    save="Enregistrer ces prix",
    correct="Corriger",
    correct_time="Corriger la durée",
    close="Clôturer",
    send="Envoyer les relevés",
    send_them="Envoyer",
    entries="Écritures (Excel)",
    before="Le mois précédent",
    kept="Les nouveaux prix sont enregistrés.",
    corrected="C’est corrigé",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder, running_hub(Path(folder)) as one:
        yield one


@pytest.fixture(scope="module")
def months(hub: Hub) -> list[list[int]]:
    """The two months that can be closed, as year and number."""
    found: list[list[int]] = fill_in(hub)["months"]
    return found


@contextmanager
def morning(browser: Browser, hub: Hub, words: Words) -> Iterator[Page]:
    """The board, as the manager finds it."""
    context = browser.new_context(locale=words.locale, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.goto(f"{hub.address}sign-in/")
    opened.fill("[name=email]", "manager@example.org")
    opened.fill("[name=password]", PASSWORD)
    opened.press("[name=password]", "Enter")
    expect(opened.locator(".nav").first).to_be_visible()
    try:
        yield opened
    finally:
        context.close()


@pytest.mark.parametrize(("number", "words"), [(0, FRENCH), (1, ENGLISH)], ids=["fr", "en"])
def test_tasks_7_8_and_9_keep_their_budgets(
    browser: Browser, hub: Hub, months: list[list[int]], number: int, words: Words
) -> None:
    if number == 1:
        # Also where the French test ran in another process: the older month is closed first.
        close_older(browser, hub, months[0])
    with morning(browser, hub, words) as page:
        set_a_tariff_for_companies(page, words)
        correct_a_session_and_close(page, words)
        send_statements_and_hand_over_a_file(page, words, months[number])


def set_a_tariff_for_companies(page: Page, words: Words) -> None:
    """Task 7: last month is seen anew before the prices are saved."""
    hand = Hand(page)
    hand.go(words.billing)
    hand.press(words.tariffs, shown="task-07-billing")
    hand.press(words.new_prices, shown="task-07-tariffs")
    page.select_option("#id_group", "companies")
    page.fill("#id_hour", "30" if words is ENGLISH else "30,00")
    picture(page, "task-07-companies", page.locator("#id_hour"))
    hand.press(words.try_it, shown="task-07-prices")
    expect(page.locator("section:has(#tried)")).to_contain_text(FIRM)
    hand.press(words.save, shown="task-07-tried")
    expect(page.locator(".messages")).to_contain_text(words.kept)
    assert hand.clicks <= BUDGETS[7]


def correct_a_session_and_close(page: Page, words: Words) -> None:
    """Task 8: fourteen hours, because somebody forgot their badge in the reader."""
    hand = Hand(page)
    hand.go(words.billing)
    doubtful = page.locator("section:has(#to-check)")
    hand.press("Scie à format", within=doubtful, shown="task-08-to-check")
    hand.press(words.correct, shown="task-08-session")
    page.fill("#id_time-minutes", "60")
    page.fill("#id_time-why", "Badge oublié dans le lecteur")
    hand.press(words.correct_time, shown="task-08-why")
    expect(page.locator(".messages")).to_contain_text(words.corrected)
    hand.go(words.billing)
    hand.press(words.close)
    hand.press(words.close, shown="task-08-close")
    expect(page.locator("#statements")).to_be_visible()
    picture(page, "task-08-closed")
    assert hand.clicks <= BUDGETS[8]


def send_statements_and_hand_over_a_file(page: Page, words: Words, month: list[int]) -> None:
    """Task 9: what Excel would open is read back."""
    hand = Hand(page)
    hand.go(words.billing)
    hand.press(words.before, shown="task-09-billing")
    hand.press(words.send, shown="task-09-month")
    hand.press(words.send_them, shown="task-09-send")
    expect(page.locator(".message")).to_be_visible()
    with page.expect_download() as download:
        hand.press(words.entries, shown="task-09-file")
    assert hand.clicks <= BUDGETS[9]
    sheet: Any = load_workbook(io.BytesIO(Path(download.value.path()).read_bytes())).active
    rows = list(sheet.iter_rows(min_row=2, values_only=True))
    numbers = sorted({int(row[0]) for row in rows})
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    # One row per entry: numbers that Excel adds up, days that it knows as days.
    assert all(row[11] + row[12] == pytest.approx(row[13]) for row in rows)
    assert {row[9] for row in rows} == {0.2}
    assert {row[2] for row in rows} == {f"{month[0]}-{month[1]:02}"}
    assert all(row[1].hour == 0 for row in rows)
    assert FIRM in {row[3] for row in rows}


def close_older(browser: Browser, hub: Hub, month: list[int]) -> None:
    """The month is closed; it may be so already."""
    with morning(browser, hub, ENGLISH) as page:
        page.goto(f"{hub.address}billing/{month[0]}-{month[1]}/close/")
        button = page.locator("main form button")
        if button.count():
            button.click()
        expect(page.locator("#statements")).to_be_visible()
