"""The page that closes a month, while another process closes it, and after that one was killed or refused."""

from __future__ import annotations

import fcntl
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse

from interlock.hub.closing_process import State, Told
from tests.hub.billing_lab import BillingLab, billing_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def text(answer: Any) -> str:
    """What a reader sees, of a page or of a part of one."""
    raw = answer.content.decode()
    body = raw[raw.index("<main") :] if "<main" in raw else raw
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@contextmanager
def being_closed(made: BillingLab, said: Told) -> Iterator[None]:
    """As while another process closes: it holds the lock of its file, and the file says how far it is."""
    path = settings.HUB.path / f"closing-{made.lab.pk}.json"
    with path.open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(said.to_json().encode())
        file.flush()
        yield


@pytest.mark.parametrize(
    ("done", "says"),
    [
        (0, "Everything is priced once more: 0 of 5,000 payers."),
        (4_900, "Everything is priced once more: 4,900 of 5,000 payers."),
        (5_001, "Statements are written: 1 of 5,000."),
        (10_000, "Statements are written: 5,000 of 5,000."),
    ],
)
def test_a_month_that_is_being_closed_shows_how_far_it_is(done: int, says: str) -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    month = [made.last.year, made.last.month]
    where, part = (
        reverse("billing-close", args=month),
        reverse("billing-closing-progress", args=month),
    )
    with being_closed(made, Told(made.last, State.RUNNING, done, 10_000)):
        for page in (client.get(where), client.get(part)):
            assert says in text(page)
            assert f'max="10000" value="{done}"' in page.content.decode()
        assert where in client.get(reverse("billing")).content.decode()
        assert "is being closed" in text(client.get(reverse("billing")))
    # The file still says that it runs, and nobody holds its lock: that process was killed.
    assert client.get(part).headers["HX-Refresh"] == "true"
    assert "Closing was interrupted. Nothing is closed" in text(client.get(where))
    assert "2 statements are issued." in text(client.post(where, follow=True))


def test_why_a_closing_was_refused_stands_on_its_page() -> None:
    made = billing_lab()
    with being_closed(
        made, Told(made.last, State.REFUSED, trouble="An earlier month is still open.")
    ):
        pass
    where = reverse("billing-close", args=[made.last.year, made.last.month])
    assert "An earlier month is still open." in text(made.pages.client("accountant").get(where))
