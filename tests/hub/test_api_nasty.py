"""Whatever is sent to /api/v1, it is refused in words, and nothing fails or changes."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from interlock.hub.api import access
from interlock.hub.models import (
    AuditRow,
    Badge,
    Member,
)
from tests.hub.api_desk import (
    CARD_KEY,
    KEY,
    READS,
    WRITES,
    address_of,
    desk,
)

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


NASTY: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"uid": "' + b"04" * 100_000 + b'"}',
    b"[" * 100_000,
    b'{"uid": {"a": 1}}',
    b'{"uid": "04a1b2c3d4e5f6", "more": 1}',
    b'{"uid": "\\ud800\\udfff\\ud800"}',
    b'{"uid": "04a1b2c3d4e5f6\\u0000"}',
    b'{"uid": NaN}',
    b'{"uid": 1e999}',
    b'{"unknown": 99999999999999999999999999}',
    b'{"unknown": -1}',
    b'{"unknown": true}',
    b'{"uid": "04a1b2c3d4e5f6", "label": "\\ud800"}',
    b'{"uid": "04a1b2c3d4e5f6", "label": "a\\u0000b"}',
    b'{"condition": ["lost"]}',
    b'{"scheme": "desfire_aes", "aid": "f54952", "key_number": 1.5, "key": "00"}',
    b'{"lines": [' + b'{"member": "x", "old_id": 1},' * 300 + b"]}",
    b'{"lines": [{"member": "\\ud800", "old_id": 1}]}',
    b'{"lines": {"member": "x"}}',
    b'{"name": "\\ud800"}',
    b'{"name": "Bob", "email": "a\\u0000@example.org"}',
    b'{"name": "Bob", "joined_on": "9999-12-31", "until_at": -1}',
    b'{"status": "erased"}',
    b'{"training": "../../saw", "level": "alone"}',
    b'{"cents": 1e3, "words": "x", "why": "x"}',
    b'{"cents": 99999999999, "words": "x", "why": "\\u0007"}',
]


@pytest.mark.parametrize("body", NASTY, ids=range(len(NASTY)))
def test_no_body_makes_the_hub_fail_or_change_anything(body: bytes) -> None:
    one = desk()
    before = (Badge.objects.count(), AuditRow.objects.count(), Member.objects.count())
    paths = [(m, p) for m, p, b, _scope in READS + WRITES if b is not None]
    for method, path in paths:
        address = address_of(path, one.small)
        status, problem = one.ask(method, address, body)
        assert status in (400, 404, 409, 413, 422), (path, status)
        assert len(problem["what"]) < 300
    assert (Badge.objects.count(), AuditRow.objects.count(), Member.objects.count()) == before


@pytest.mark.parametrize(
    "address",
    [
        "/badges/99999999999999999999999",
        "/badges/0",
        "/badges/x",
        "/badges/%00",
        "/members/%ED%A0%80",
        "/members?page=999999999999999999999",
        "/members?page=0",
        "/members?size=1000",
        "/members?q=%00",
        "/members?q=" + "a" * 500,
        "/members?q=%ff",
        "/badges?key_number_below=x",
        "/badges?condition=%00",
        "/machines/%00",
        "/machines/%ED%A0%80",
        "/machines/" + "x" * 500,
        "/machines?locked_out=perhaps",
        "/sessions?from_day=9999-12-31",
        "/sessions?to_day=0001-01-01",
        "/sessions?member=%00&machine=%ff",
        "/authorisations?training=%00",
        "/lines?month=2020-13-01",
        "/lines?kind=gift",
        "/lines?payer=99999999999999999999999",
        "/statements/0",
        "/members/%00/data",
        "/nothing/here",
        "/",
    ],
)
def test_no_address_makes_the_hub_fail(address: str) -> None:
    one = desk()
    assert one.ask("GET", address, key=None)[0] in (200, 404, 422)


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "DELETE", "PUT", "BREW"])
def test_a_method_that_is_not_there_is_said_so(method: str) -> None:
    one = desk()
    assert one.refused(method, "/members") == (405, "method")


def test_what_was_sent_is_not_repeated_when_it_is_refused() -> None:
    one = desk()
    body = {**CARD_KEY, "key": KEY + "zz"}
    status, problem = one.ask("PUT", f"/badges/{one.small.badge.pk}/card-key", body)
    assert (status, problem["where"]) == (422, "body.key")
    assert KEY not in json.dumps(problem)


def test_problems_are_told_in_the_language_of_whoever_asks() -> None:
    one = desk()
    french = one.ask("GET", "/members/none", key=None, **{"Accept-Language": "fr"})[1]
    english = one.ask("GET", "/members/none", key=None, **{"Accept-Language": "en"})[1]
    assert french["what"] != english["what"]
    assert english["what"] == "There is no such member in this lab."


def test_the_description_loads_nothing_from_elsewhere() -> None:
    assert Client().get("/api/v1/openapi.json").status_code == 200
    assert Client().get("/api/v1/docs").status_code == 404
