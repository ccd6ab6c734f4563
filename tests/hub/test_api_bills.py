"""What programs read and write of bills through /api/v1; a month that is closed changes by no call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from interlock.hub.api import access
from interlock.hub.api.v1 import api
from interlock.hub.domain import materials, periods, tokens
from interlock.hub.domain.materials import MaterialPrice
from interlock.hub.ledger import verify_ledger
from interlock.hub.models import (
    AccountEntry,
    AuditRow,
    Lab,
    Line,
    Payer,
    Period,
    Statement,
    TariffVersion,
)
from tests.hub.api_desk import ALL, Desk
from tests.hub.billing_lab import BillingLab, billing_lab
from tests.hub.lab import console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def fresh_throttle() -> None:
    access._throttle.cache_clear()


def program(made: BillingLab) -> Desk:
    token = tokens.create_token(console(), made.lab, "accounts", ALL)
    return Desk(made.pages.small, token.token, token.secret)


def wood(made: BillingLab) -> int:
    price = MaterialPrice(unit_cents=1_250, vat_bp=2_000)
    return materials.create_material(console(), made.lab, "Plywood", "sheet", price).pk


def get(one: Desk, path: str) -> Any:
    status, told = one.ask("GET", path, key=None)
    assert status == 200
    return told


def test_lines_are_read_by_month_payer_and_kind_and_say_how_they_were_priced() -> None:
    made = billing_lab()
    one, firm = program(made), made.firm.pk
    told = get(one, f"/lines?month={made.last}")
    assert told["total"] == 3
    (firms,) = get(one, f"/lines?payer={firm}")["items"]
    line = Line.objects.get(payer=made.firm)
    assert firms == {
        "number": line.pk,
        "kind": "session",
        "payer": {"number": firm, "name": "Ébénisterie Łukasz & Fils"},
        "day": str(line.day),
        "month": str(made.last),
        "cents": 1_200,
        "is_net": False,
        "vat_bp": 2_000,
        "words": "Table saw",
        "why": "",
        "late": False,
        "session": line.session_id,
        "corrects": None,
        "material": None,
        "statement": None,
        "account": "7083",
        "analytic": "BOIS",
        "steps": line.steps,
    }
    assert get(one, f"/lines/{line.pk}") == firms
    assert get(one, "/lines?kind=adjustment")["total"] == 0
    assert [row["state"] for row in get(one, "/months")["items"]] == ["open"]


def test_a_material_an_adjustment_and_a_correction_become_lines_once_each() -> None:
    made = billing_lab()
    one, firm = program(made), made.firm.pk
    taken = {"material": wood(made), "quantity_milli": 2_500, "member": made.ada.public_id}
    assert [row["unit_cents"] for row in get(one, "/materials")["items"]] == [1_250]
    path = f"/payers/{firm}/materials"
    first = one.ask("POST", path, taken, key="two-and-a-half")
    assert (first[0], first[1]["cents"], first[1]["kind"]) == (201, 3_125, "material")
    assert one.ask("POST", path, taken, key="two-and-a-half") == first
    words = {"cents": -1_500, "words": "Workshop for the school", "why": "agreed"}
    back = one.ask("POST", f"/payers/{firm}/adjustments", words)[1]
    assert (back["cents"], back["words"], back["kind"]) == (-1_500, words["words"], "adjustment")
    wrong = Line.objects.get(payer=made.firm, kind="session")
    path = f"/lines/{wrong.pk}/corrections"
    right = one.ask("POST", path, {"cents": 200, "why": "the blade stuck"})[1]
    assert (right["cents"], right["corrects"], right["month"]) == (-1_000, wrong.pk, str(made.last))
    assert one.refused("POST", path, {"cents": 200, "why": "again"}) == (409, "conflict")
    assert Line.objects.filter(payer=made.firm).count() == 4
    rows = AuditRow.objects.filter(actor="API: accounts").order_by("seq")
    assert list(rows.values_list("action", flat=True)) == [
        "material_added",
        "line_adjustment",
        "line_correction",
    ]


def test_nothing_is_written_for_another_labs_payer_line_session_or_member() -> None:
    made = billing_lab()
    one, other = program(made), small_lab(slug="other")
    theirs, mine = other.member.payer_id, made.firm.pk
    material = wood(made)
    before = Line.objects.count()
    words = {"cents": 100, "words": "x", "why": "x"}
    assert one.refused("POST", f"/payers/{theirs}/adjustments", words) == (404, "not_found")
    for body in (
        {"material": 99_999, "quantity_milli": 1},
        {"material": material, "quantity_milli": 1, "member": other.member.public_id},
        {"material": material, "quantity_milli": 1, "session": 99_999},
    ):
        assert one.refused("POST", f"/payers/{mine}/materials", body) == (404, "not_found")
    for body in (
        {"cents": 0, "words": "x", "why": "x"},
        {**words, "why": " "},
        {**words, "cents": 1.5},
    ):
        assert one.ask("POST", f"/payers/{mine}/adjustments", body)[0] in (409, 422)
    assert Line.objects.count() == before


def closed(lab: Lab) -> str:
    """Every byte of what is closed: lines that stand on statements, the statements, their month, its prices."""
    tables: list[Any] = [
        Line.objects.filter(lab=lab, statement__isnull=False),
        Statement.objects.filter(lab=lab),
        Period.objects.filter(lab=lab),
        AccountEntry.objects.filter(lab=lab),
        TariffVersion.objects.all(),
    ]
    rows = [list(table.order_by("pk").values_list()) for table in tables]
    heads = Lab.objects.values_list("ledger_head", "statement_seq", "open_month").get(pk=lab.pk)
    return repr((rows, heads))


def writing() -> Iterator[tuple[str, str]]:
    """Method and path of every call that changes something, from the routers themselves."""
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for verb in operation.methods:
                    if verb != "GET":
                        yield verb, prefix + path


def test_a_month_that_is_closed_changes_by_no_call() -> None:
    made = billing_lab()
    one, ada = program(made), made.ada
    material = wood(made)
    periods.close(console(), made.lab, made.last)
    before = closed(made.lab)
    line = Line.objects.filter(session__member=ada, payer=ada.payer).earliest("pk")
    assert line.session is not None
    session = line.session
    bodies: dict[tuple[str, str], object] = {
        ("POST", "/members"): {"name": "Bob", "payer": line.payer_id},
        ("PATCH", "/members/{member_id}"): {"payer": made.firm.pk, "group": "firms"},
        ("PUT", "/members/{member_id}/status"): {"status": "suspended"},
        ("POST", "/members/{member_id}/authorisations"): {"training": "saw-basics"},
        ("PUT", "/machines/{slug}/lock-out"): {"why": "blade"},
        ("PUT", "/authorisations/{number}/revocation"): {},
        ("POST", "/payers/{number}/materials"): {
            "material": material,
            "quantity_milli": 1_000,
            "session": session.pk,
            "member": ada.public_id,
        },
        ("POST", "/payers/{number}/adjustments"): {"cents": 5, "words": "x", "why": "x"},
        ("POST", "/lines/{number}/corrections"): {"cents": 0, "why": "x"},
    }
    seen = {}
    for verb, path in writing():
        number = line.payer_id if "payers" in path else line.pk
        if "authorisations" in path:
            number = ada.authorisations.latest("pk").pk
        address = path.format(member_id=ada.public_id, slug="saw", number=number)
        status = one.ask(verb, address, bodies.get((verb, path), {}))[0]
        seen[verb, path] = status
        assert closed(made.lab) == before, (verb, path)
    # Those with a body of their own were not refused at the door: they did what they do.
    assert {way: seen[way] for way in bodies if seen[way] not in (200, 201)} == {}
    # Three lines were written, and each where it will be billed: in a month that is not closed.
    written = Line.objects.filter(lab=made.lab, statement=None)
    assert [one.month > made.last for one in written] == [True] * 3
    assert Line.objects.filter(corrects=line).count() == 1
    assert get(one, f"/lines/{line.pk}")["statement"] == line.statement.number  # type: ignore[union-attr]
    verify_ledger(made.lab)


def test_statements_are_read_with_their_lines_and_the_hash_that_is_printed_on_them() -> None:
    made = billing_lab()
    periods.close(console(), made.lab, made.last)
    one = program(made)
    told = get(one, f"/statements?month={made.last}")["items"]
    assert [row["number"] for row in told] == [1, 2]
    found = Statement.objects.get(payer=made.firm)
    (firms,) = get(one, f"/statements?payer={made.firm.pk}")["items"]
    assert get(one, f"/statements/{found.number}") == firms
    assert (firms["gross_cents"], firms["due_cents"], firms["hash"]) == (
        1_200,
        1_200,
        bytes(found.hash).hex(),
    )
    lines = get(one, f"/lines?statement={found.number}")["items"]
    assert [(row["cents"], row["statement"]) for row in lines] == [(1_200, found.number)]
    assert one.refused("GET", "/statements/99", key=None) == (404, "not_found")
    assert json.dumps(get(one, "/months")).count("closed") == 1


def test_payers_are_found_by_name() -> None:
    made = billing_lab()
    one = program(made)
    (found,) = get(one, "/payers?q=Łuk")["items"]
    assert (found["number"], found["kind"], found["prepays"]) == (
        made.firm.pk,
        "organisation",
        False,
    )
    assert get(one, "/payers")["total"] == Payer.objects.filter(lab=made.lab).count()
