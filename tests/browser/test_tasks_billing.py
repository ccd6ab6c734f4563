"""Tasks 7, 8 and 9 of a fab manager, in French and in English, each within its budget of clicks.

One hub for all of them: the months are told apart by what each test does to them, in this order.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.billing_hub import FIRM, TARIFF, fill_in
from tests.browser.budgets import BUDGETS, Hand
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


@pytest.fixture(scope="module", params=[FRENCH, ENGLISH], ids=["fr", "en"])
def lab(request: pytest.FixtureRequest) -> Iterator[tuple[Words, Hub, dict[str, Any]]]:
    """A hub of its own for each language: a month is closed only once."""
    with tempfile.TemporaryDirectory(prefix="il-") as folder, running_hub(Path(folder)) as hub:
        yield request.param, hub, fill_in(hub)


@pytest.fixture
def page(browser: Browser, lab: tuple[Words, Hub, dict[str, Any]]) -> Iterator[Page]:
    """The board, as the manager finds it in the morning."""
    words, hub, _ = lab
    context = browser.new_context(locale=words.locale, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.goto(f"{hub.address}sign-in/")
    opened.fill("[name=email]", "manager@example.org")
    opened.fill("[name=password]", PASSWORD)
    opened.press("[name=password]", "Enter")
    expect(opened.locator(".nav").first).to_be_visible()
    yield opened
    context.close()


def test_7_a_tariff_for_companies_is_seen_on_last_month_before_it_is_saved(
    page: Page, lab: tuple[Words, Hub, dict[str, Any]]
) -> None:
    words = lab[0]
    hand = Hand(page)
    hand.go(words.billing)
    hand.press(words.tariffs)
    hand.press(words.new_prices)
    page.select_option("#id_group", "companies")
    page.fill("#id_hour", "30" if words is ENGLISH else "30,00")
    hand.press(words.try_it)
    # The firm's four sessions at 2.5 times the price, before anything is saved.
    expect(page.locator("main")).to_contain_text(FIRM)
    expect(page.locator("#tried")).to_be_visible()
    hand.press(words.save)
    expect(page.locator(".messages")).to_contain_text(words.kept)
    assert hand.clicks <= BUDGETS[7]


def test_8_a_wrong_session_is_corrected_and_the_month_is_closed(
    page: Page, lab: tuple[Words, Hub, dict[str, Any]]
) -> None:
    words = lab[0]
    hand = Hand(page)
    hand.go(words.billing)
    # Fourteen hours: somebody forgot their badge.
    hand.press("Scie à format", within=page.locator("section:has(#to-check)"))
    hand.press(words.correct)
    page.fill("#id_time-minutes", "60")
    page.fill("#id_time-why", "Badge oublié dans le lecteur")
    hand.press(words.correct_time)
    expect(page.locator(".messages")).to_contain_text(words.corrected)
    hand.go(words.billing)
    hand.press(words.close)
    hand.press(words.close)
    expect(page.locator("#statements")).to_be_visible()
    assert hand.clicks <= BUDGETS[8]


def test_9_statements_are_sent_and_the_accountant_gets_a_file(
    page: Page, lab: tuple[Words, Hub, dict[str, Any]]
) -> None:
    words, _, filled = lab
    hand = Hand(page)
    hand.go(words.billing)
    hand.press(words.before)
    hand.press(words.send)
    hand.press(words.send_them)
    expect(page.locator(".message")).to_be_visible()
    with page.expect_download() as download:
        hand.press(words.entries)
    assert hand.clicks <= BUDGETS[9]
    file = Path(download.value.path()).read_bytes()
    sheet = load_workbook(io.BytesIO(file)).active
    rows = list(sheet.iter_rows(values_only=True))
    assert len(rows) > 1
    numbers = {row[0] for row in rows[1:]}
    assert numbers == {f"{n:06}" for n in range(1, len(numbers) + 1)}
    # One row per entry, VAT of 20 % in numbers that Excel adds up, days as days.
    assert all(round(row[11] * 0.2, 2) == pytest.approx(row[12], abs=0.011) for row in rows[1:])
    assert {row[2] for row in rows[1:]} == {f"{filled['year']}-{filled['month']:02}"}
    assert all(row[1].hour == 0 for row in rows[1:])
    assert FIRM in {row[3] for row in rows[1:]}
