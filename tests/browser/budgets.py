"""The ten tasks of a fab manager: how many clicks each may take, and the hand that counts them.

A click is a press on a link, a button, a box or a line that unfolds. Typing into a field and choosing from
its list are work of the mind, not of finding one's way, so they are free; so is opening the first page.
A budget is what the straight way takes plus one for a second look.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from tests.browser.guide import picture

BUDGETS: dict[int, int] = {
    # The board is the first page: looking is free; the machine itself, and one.
    5: 2,
    # The machine, Lock it out, (why), lock it out; and one. Who confirms shows by itself.
    6: 4,
    # Save the password, Continue, a kind of lab, Continue, Add the machine, Finish; and one.
    1: 7,
    # Members, Import, (choose the file), Look at it, Import; and one.
    2: 5,
    # The member, Hand out a badge, Begin, (tap), This one, Give it; and one.
    3: 6,
    # Trainings, Hold it, (paste the names), Make the list, eight ticks, Authorise; and one.
    4: 13,
    # Billing, Tariffs, New prices, (two fields), try, save, and one to look around.
    7: 6,
    # Billing, the session to check, Correct, correct it; Billing, Close, close it; and one.
    8: 8,
    # Billing, the month, Send, send them; the month's file; and one.
    9: 6,
    # Reports, last year, PDF; and one.
    10: 4,
}
"""Clicks, by the number of the task (issue 7)."""


@dataclass
class Hand:
    """A hand at a page: everything it presses is counted."""

    page: Page
    clicks: int = 0

    def press(self, words: str, *, within: Locator | None = None, shown: str = "") -> None:
        """The link, button or unfolding line that is called so; `shown` in that picture of the guide."""
        where = within or self.page.locator("main")
        name = re.compile(f"^{re.escape(words)}")
        found = where.get_by_role("link", name=name).or_(where.get_by_role("button", name=name))
        self._click(found.or_(where.locator("summary").filter(has_text=name)).first, shown)

    def tick(self, words: str, *, shown: str = "") -> None:
        """The box, or the choice, whose line says so."""
        self._click(self.page.locator("main label").filter(has_text=words).first, shown)

    def go(self, words: str, *, shown: str = "") -> None:
        """An entry of the bar at the top."""
        self._click(self.page.locator(".nav").get_by_role("link", name=words).first, shown)

    def keeps(self, task: int) -> bool:
        """Whether the task was done within its budget."""
        return self.clicks <= BUDGETS[task]

    def _click(self, what: Locator, shown: str) -> None:
        if shown:
            picture(self.page, shown, what)
        what.click()
        self.clicks += 1
