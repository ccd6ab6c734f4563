"""Two labs on one hub: what a program of one is told and may do is the same whatever the other one holds."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from django.test import Client

from interlock.hub.api import access
from interlock.hub.api.sessions import LOOKED
from interlock.hub.directory import HubConfig
from interlock.hub.domain import labs, materials, members, periods, tokens, trainings
from interlock.hub.domain.materials import MaterialPrice
from interlock.hub.models import AuditRow, Authorisation, Line, Session, Statement
from tests.hub.api_desk import ALL, CARD_KEY, STRANGER, Desk
from tests.hub.billing_lab import BillingLab, billing_lab
from tests.hub.everywhere import row_of
from tests.hub.lab import console
from tests.hub.test_api_matrix import PREFIX, RULES

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

LISTS = [path.removeprefix("GET ") for path in RULES if path.startswith("GET ") and "{" not in path]
SHEET = MaterialPrice(unit_cents=1_250, vat_bp=2_000)


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


class Small:
    """A lab with one member, a training and a material, and a program with a token for everything in it."""

    def __init__(self) -> None:
        config = HubConfig(name="Small", time_zone="Europe/Paris", language="en")
        self.lab = labs.create_lab(console(), "small", config)
        self.member = members.create_member(console(), self.lab, "Zoe")
        self.training = trainings.create_training(console(), self.lab, "lathe", "Lathe")
        self.material = materials.create_material(console(), self.lab, "Steel", "kg", SHEET)
        self._asked = itertools.count(1)
        self._secret = tokens.create_token(console(), self.lab, "all", ALL).secret

    def some_steel(self, **changed: Any) -> dict[str, Any]:
        """What it takes to sell some of the lab's own material."""
        return {"material": self.material.pk, "quantity_milli": 1_000, **changed}

    def ask(self, verb: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one request."""
        headers = {
            "Authorization": f"Bearer {self._secret}",
            "Idempotency-Key": f"request-{next(self._asked)}",
        }
        sent = b"" if body is None else json.dumps(body).encode()
        answer = Client(headers=headers).generic(verb, PREFIX + path, sent, "application/json")
        return answer.status_code, answer.json()


def a_lab_with_everything() -> BillingLab:
    """Use, bills of a closed month, a badge with a key, a card that nobody has: all that the lists tell of."""
    made = billing_lab()
    token = tokens.create_token(console(), made.lab, "all", ALL)
    program = Desk(made.pages.small, token.token, token.secret)
    materials.create_material(console(), made.lab, "Plywood", "sheet", SHEET)
    badge = made.pages.small.badge.pk
    assert program.ask("PUT", f"/badges/{badge}/card-key", CARD_KEY)[0] == 200
    assert program.ask("POST", "/taps", {"uid": STRANGER})[0] in (200, 201)
    periods.close(console(), made.lab, made.last)
    row_of(Session, made.lab, {"lab": made.lab, "machine": made.pages.small.machine, "how": ""})
    for path in LISTS:
        told = program.ask("GET", address(path), key=None)[1]
        lists = [value for value in told.values() if isinstance(value, list)]
        assert all(lists), f"{path} tells of nothing, so nothing could leak: {told}"
    return made


def address(path: str) -> str:
    return f"{path}?scheme=desfire_aes" if path == "/card-keys" else path


def test_what_a_program_is_told_is_the_same_whatever_another_lab_holds() -> None:
    small = Small()
    before = {path: small.ask("GET", address(path)) for path in LISTS}
    a_lab_with_everything()
    assert {path: small.ask("GET", address(path)) for path in LISTS} == before
    assert {status for status, _told in before.values()} == {200}


def test_nothing_of_another_lab_is_found_by_its_number() -> None:
    small, made = Small(), a_lab_with_everything()
    numbers = {
        "authorisations": Authorisation.objects.get(lab=made.lab).pk,
        "badges": made.pages.small.badge.pk,
        "lines": Line.objects.filter(lab=made.lab).latest("pk").pk,
        "payers": made.firm.pk,
        "sessions": Session.objects.filter(lab=made.lab).latest("pk").pk,
        "statements": Statement.objects.filter(lab=made.lab).latest("pk").number,
    }
    bodies: dict[str, object] = {
        "POST /lines/{number}/corrections": {"cents": 100, "why": "x"},
        "POST /members/{member_id}/authorisations": {"training": "lathe"},
        "POST /members/{member_id}/badges": {"uid": "04feedface0002"},
        "POST /payers/{number}/adjustments": {"cents": 100, "words": "x", "why": "x"},
        "POST /payers/{number}/materials": small.some_steel(),
        "PATCH /members/{member_id}": {"language": "fr"},
        "PUT /authorisations/{number}/revocation": {"why": "x"},
        "PUT /badges/{number}/card-key": CARD_KEY,
        "PUT /badges/{number}/condition": {"condition": "lost"},
        "PUT /machines/{slug}/lock-out": {"why": "x"},
        "PUT /members/{member_id}/erasure": {"name": "Ada Martin", "why": "x"},
        "PUT /members/{member_id}/status": {"status": "suspended"},
    }
    deeds = AuditRow.objects.filter(lab=made.lab).count()
    answers = {}
    for name in sorted(name for name in RULES if "{" in name):
        verb, _, path = name.partition(" ")
        number = numbers.get(path.split("/")[1])
        theirs = path.format(number=number, member_id=made.ada.public_id, slug="saw")
        answers[name] = small.ask(verb, theirs, bodies.get(name))[0]
    assert answers == dict.fromkeys(answers, 404)
    assert AuditRow.objects.filter(lab=made.lab).count() == deeds


def test_nothing_of_another_lab_is_named_in_what_is_written_for_ones_own() -> None:
    small, made = Small(), a_lab_with_everything()
    granted = f"/members/{small.member.public_id}/authorisations"
    taken = f"/payers/{small.member.payer_id}/materials"
    session = Session.objects.filter(lab=made.lab).latest("pk").pk
    asked: list[tuple[str, dict[str, Any]]] = [
        (granted, {"training": "saw-basics"}),
        (taken, small.some_steel(member=made.ada.public_id)),
        (taken, small.some_steel(session=session)),
        (taken, small.some_steel(material=made.lab.materials.get().pk)),
    ]
    answers = [small.ask("POST", path, body)[0] for path, body in asked]
    assert answers == [404] * len(asked)
    assert small.ask("POST", taken, small.some_steel())[0] == 201
    assert small.ask("POST", granted, {"training": "lathe"})[0] == 201


def test_a_look_is_written_down_though_a_program_of_that_name_looked_at_another_lab_today() -> None:
    small, _made = Small(), a_lab_with_everything()
    row_of(Session, small.lab, {"member": small.member})
    assert small.ask("GET", "/sessions")[1]["total"] == 1
    assert AuditRow.objects.filter(lab=small.lab, action=LOOKED, subject="all").count() == 1
