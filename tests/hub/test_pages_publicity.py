"""What others see: the public page only where the lab wants it, and the wall screen; neither names anybody unasked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from interlock.hub import ingest
from interlock.hub.domain import publicity
from interlock.hub.models import AuditRow, Lab, Node
from interlock.protocol.records import RecordType
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def in_use() -> PageLab:
    """Ada works at the table saw, whose node has just called."""
    pages = page_lab()
    small = pages.small
    pages.journal.write(
        RecordType.SESSION_STARTED,
        member=small.member.public_id,
        tag=bytes(small.badge.tag).hex(),
        badge_use="tap",
        evidence={},
    )
    ingest.take(small.enrolled.node, pages.journal.wires(), settings.HUB_CLOCK)
    Node.objects.update(last_seen_at=console().now())
    return pages


def opened(*, public: bool = False, names: bool = False) -> PageLab:
    pages = in_use()
    publicity.show_publicly(console(), pages.small.lab, public_page=public, wall_names=names)
    return pages


def public_address(pages: PageLab) -> str:
    return reverse("public-page", args=[pages.small.lab.slug])


def wall_address(pages: PageLab) -> str:
    key = publicity.make_wall_address(console(), pages.small.lab)
    return reverse("open-wall", args=[pages.small.lab.slug, key])


def said(where: str) -> str:
    answer = Client(headers={"accept-language": "en"}).get(where)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_lab_that_did_not_ask_for_a_public_page_has_none() -> None:
    pages = in_use()
    assert Client().get(public_address(pages)).status_code == 404
    publicity.show_publicly(console(), pages.small.lab, public_page=True, wall_names=False)
    assert Client().get(public_address(pages)).status_code == 200
    publicity.show_publicly(console(), pages.small.lab, public_page=False, wall_names=False)
    assert Client().get(public_address(pages)).status_code == 404


def test_the_public_page_says_that_a_machine_is_in_use_and_never_by_whom() -> None:
    pages = opened(public=True, names=True)
    page = said(public_address(pages))
    assert "In use" in page
    assert "€12.00 an hour" in page
    for part in pages.small.member.name.split():
        assert part not in page


def test_the_public_page_may_be_kept_for_a_minute_and_by_language() -> None:
    headers = Client().get(public_address(opened(public=True))).headers
    assert headers["Cache-Control"] == "public, max-age=60"
    assert "Accept-Language" in headers["Vary"]


@pytest.mark.parametrize("names", [False, True])
def test_the_wall_screen_names_people_only_where_the_lab_says_so(names: bool) -> None:
    pages = opened(names=names)
    page = said(wall_address(pages))
    assert "In use" in page
    assert (pages.small.member.name in page) is names


def test_a_wall_screen_never_shows_what_was_as_what_is() -> None:
    pages = opened()
    Node.objects.update(last_seen_at=console().now() - timedelta(hours=1))
    page = said(wall_address(pages))
    assert 'data-state="offline"' in page
    assert 'data-state="in-use"' not in page


def test_a_wall_address_that_was_replaced_or_guessed_shows_nothing() -> None:
    pages = opened()
    first = wall_address(pages)
    assert said(first)
    second = wall_address(pages)
    assert Client().get(first).status_code == 404
    publicity.end_wall_address(console(), Lab.objects.get())
    for address in (second, reverse("open-wall", args=[pages.small.lab.slug, "x"])):
        assert Client().get(address).status_code == 404


def test_the_settings_change_what_others_see_with_an_audit_row_and_only_for_who_runs_the_lab() -> (
    None
):
    pages = in_use()
    where = reverse("publicity")
    assert pages.client("trainer").post(where, {"public_page": "on"}).status_code == 403
    assert not Lab.objects.get().public_page
    assert pages.client("owner").post(where, {"public_page": "on"}).status_code == 302
    assert (Lab.objects.get().public_page, Lab.objects.get().wall_names) == (True, False)
    row = AuditRow.objects.latest("pk")
    assert (row.action, row.after) == (
        "publicity_changed",
        {"public_page": True, "wall_names": False},
    )
