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
]


@pytest.mark.parametrize("body", NASTY, ids=range(len(NASTY)))
def test_no_body_makes_the_hub_fail_or_change_anything(body: bytes) -> None:
    one = desk()
    before = (Badge.objects.count(), AuditRow.objects.count(), Member.objects.count())
    paths = [(m, p) for m, p, b in READS + WRITES if b is not None]
    for method, path in paths:
        address = path.format(member=one.small.member.public_id, badge=one.small.badge.pk)
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


def test_the_description_names_every_address_and_loads_nothing_from_elsewhere() -> None:
    told = Client().get("/api/v1/openapi.json").json()
    served = {f"{method.upper()} {path}" for path, ways in told["paths"].items() for method in ways}
    known = {"GET /api/v1/me"}
    for method, path, _body in READS + WRITES:
        plain = path.split("?")[0].replace("{member}", "{member_id}").replace("{badge}", "{number}")
        known.add(f"{method} /api/v1{plain}")
    assert served == known
    assert Client().get("/api/v1/docs").status_code == 404
