"""Billing, page by page: who may see what, what is said with 0, 1 and many rows, in both languages."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.hub.domain import materials, passes, periods
from interlock.hub.domain.materials import MaterialPrice
from interlock.hub.models import (
    AuditRow,
    Line,
    LineKind,
    PassKind,
    Payer,
    Period,
    Purpose,
    Session,
    Statement,
    TariffVersion,
)
from tests.hub.billing_lab import BillingLab, billing_lab, line_of, payers
from tests.hub.lab import console
from tests.hub.page_lab import page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

QUERIES_MAX = 34
"""Four of them are the login's own; a payer's page shows six lists."""


def text(answer: Any) -> str:
    """What a reader sees."""
    raw = answer.content.decode()
    body = raw[raw.index("<main") : raw.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def close(made: BillingLab) -> Period:
    return periods.close(console(), made.lab, made.last)


def addresses(made: BillingLab) -> dict[str, str]:
    """Every page of the room that needs nothing closed."""
    year, month = made.last.year, made.last.month
    tariff, payer = made.pages.small.tariff.slug, made.firm.pk
    return {
        "billing": reverse("billing"),
        "month": reverse("billing-month", args=[year, month]),
        "close": reverse("billing-close", args=[year, month]),
        "payer month": reverse("billing-payer-month", args=[year, month, payer]),
        "head": reverse("billing-head"),
        "tariffs": reverse("billing-tariffs"),
        "new tariff": reverse("billing-new-tariff"),
        "tariff": reverse("billing-tariff", args=[tariff]),
        "prices": reverse("billing-prices", args=[tariff]),
        "payers": reverse("billing-payers"),
        "payers found": reverse("billing-payers") + "?q=a&kind=person",
        "new payer": reverse("billing-new-payer"),
        "payer": reverse("billing-payer", args=[payer]),
        "edit payer": reverse("billing-edit-payer", args=[payer]),
        "add": reverse("billing-add", args=[payer]),
        "sponsors": reverse("billing-sponsors"),
        "new sponsor": reverse("billing-new-sponsor"),
        "materials": reverse("billing-materials"),
        "line": reverse("billing-line", args=[Line.objects.earliest("pk").pk]),
        "session": reverse("session", args=[Session.objects.earliest("pk").pk]),
        "sessions": reverse("sessions") + "?payer=a&purpose=company",
        "correct": reverse("correct-session", args=[Session.objects.earliest("pk").pk]),
    }


def closed_addresses(made: BillingLab) -> dict[str, str]:
    """The pages of a month that is closed."""
    year, month = made.last.year, made.last.month
    number = Statement.objects.earliest("number").number
    return {
        "closed month": reverse("billing-month", args=[year, month]),
        "send": reverse("billing-send", args=[year, month]),
        "statement": reverse("billing-statement", args=[number]),
        "entries": reverse("billing-entries-csv", args=[year, month]),
        "statements": reverse("billing-statements-csv", args=[year, month]),
        "payer": reverse("billing-payer", args=[made.firm.pk]),
    }


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_opens_for_an_accountant(language: str) -> None:
    made = billing_lab()
    client = made.pages.client("owner", language)
    for name, where in addresses(made).items():
        assert client.get(where).status_code == 200, name
    close(made)
    for name, where in closed_addresses(made).items():
        assert client.get(where).status_code == 200, name


@pytest.mark.parametrize("role", ["trainer", "technician", "member"])
def test_who_sees_no_prices_sees_no_page_of_billing(role: str) -> None:
    made = billing_lab()
    client = made.pages.client(role)
    for name, where in addresses(made).items():
        if name not in ("session", "sessions"):
            assert client.get(where).status_code == 403, name
    close(made)
    for name, where in closed_addresses(made).items():
        assert client.get(where).status_code == 403, name


def test_a_technician_cannot_find_sessions_by_payer() -> None:
    made = billing_lab()
    answer = made.pages.client("technician").get(reverse("sessions") + "?payer=ukasz")
    assert "3 sessions" in text(answer)
    assert "ukasz" not in text(answer)


def test_queries_stay_the_same_however_many_rows_there_are() -> None:
    made = billing_lab(1)
    client = made.pages.client("owner")
    few = counts(client, addresses(made))
    payers(made, 20)
    assert counts(client, addresses(made)) == few
    close(made)
    shown = counts(client, closed_addresses(made))
    assert max([*few.values(), *shown.values()]) <= QUERIES_MAX
    # A closed month shows a statement for each payer: 22 of them, in as many queries as one.
    assert shown["closed month"] <= few["month"] + 4


def counts(client: Client, where: dict[str, str]) -> dict[str, int]:
    client.get(reverse("billing"))
    measured = {}
    for name, address in where.items():
        # The first look at somebody's use is noted in the audit log, once a day.
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200, name
        measured[name] = len(queries)
    return measured


# ------------------------------------------------------------------------------- the month


def test_an_empty_lab_says_what_comes_next() -> None:
    lab = page_lab()
    client = lab.client("owner")
    assert "Nothing to bill in this month yet" in text(client.get(reverse("billing")))
    assert "No sponsorship yet" in text(client.get(reverse("billing-sponsors")))
    assert "Nothing yet." in text(client.get(reverse("billing-materials")))


def test_the_first_open_month_is_shown_and_can_be_closed() -> None:
    made = billing_lab()
    page = made.pages.client("accountant").get(reverse("billing"))
    said = text(page)
    assert "Nothing is left to check: the month can be closed." in said
    # 2 × 1 h 30 at 12 € for Ada, 1 h for the firm.
    assert "€48.00" in said
    assert "Ada Martin" in said
    assert "Ébénisterie Łukasz & Fils" in said


def test_what_is_not_certain_is_shown_first_and_can_be_closed_all_the_same() -> None:
    made = billing_lab()
    Session.objects.filter(pk=Session.objects.earliest("pk").pk).update(estimated=True)
    client = made.pages.client("accountant")
    said = text(client.get(reverse("billing")))
    assert "1 session should be looked at before this month is closed." in said
    where = reverse("billing-close", args=[made.last.year, made.last.month])
    assert where.encode() in client.get(reverse("billing")).content
    assert "1 session has not been looked at" in text(client.get(where))


def test_a_long_list_of_sessions_to_check_unfolds() -> None:
    made = billing_lab(14)
    Session.objects.update(estimated=True)
    client = made.pages.client("accountant")
    where = reverse("billing-month", args=[made.last.year, made.last.month])
    short, whole = client.get(where), client.get(where + "?checks=all")
    assert (len(short.context["checks"]), len(whole.context["checks"])) == (10, 15)
    assert "All of them (15)" in text(short)
    assert "All of them" not in text(whole)


def test_closing_says_what_it_will_do_and_does_it_once() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    where = reverse("billing-close", args=[made.last.year, made.last.month])
    assert "2 statements, numbers 000001 to 000002" in text(client.get(where))
    page = client.post(where, follow=True)
    assert "2 statements are issued." in text(page)
    assert "2 statements are not sent yet." in text(page)
    assert [one.gross_cents for one in Statement.objects.order_by("number")] == [3_600, 1_200]
    # A second press, from a page that was left open, closes nothing again.
    client.post(where, follow=True)
    assert Statement.objects.count() == 2


def test_a_month_that_runs_cannot_be_closed_by_its_page() -> None:
    made = billing_lab()
    close(made)
    client = made.pages.client("accountant")
    running = (made.last + timedelta(days=32)).replace(day=1)
    where = reverse("billing-close", args=[running.year, running.month])
    client.post(where)
    assert Period.objects.filter(closed_at__isnull=False).count() == 1


def test_an_accountant_closes_and_somebody_who_only_sees_does_not() -> None:
    made = billing_lab()
    where = reverse("billing-close", args=[made.last.year, made.last.month])
    assert made.pages.client("technician").post(where).status_code == 403
    assert not Period.objects.exists()


@pytest.mark.parametrize("path", ["/billing/2026-13/", "/billing/1999-12/", "/billing/2100-1/"])
def test_a_month_that_cannot_be_is_no_page(path: str) -> None:
    assert page_lab().client("owner").get(path).status_code == 404


# --------------------------------------------------------------------- lines and corrections


def test_every_line_says_why_it_costs_what_it_costs_in_both_languages() -> None:
    made = billing_lab()
    payer = made.ada.payer
    assert payer is not None
    where = reverse("billing-payer-month", args=[made.last.year, made.last.month, payer.pk])
    said = text(made.pages.client("accountant").get(where))
    assert "1 h 30 min at €12.00 an hour" in said
    french = text(made.pages.client("accountant", "fr").get(where))
    assert "1 h 30 min à 12,00 € l’heure" in french


def test_a_session_is_corrected_with_a_reason_and_its_line_stays() -> None:
    made = billing_lab()
    close(made)
    session = Session.objects.order_by("pk").first()
    assert session is not None
    client = made.pages.client("accountant")
    where = reverse("correct-session", args=[session.pk])
    answer = client.post(
        where, {"what": "time", "time-minutes": "30", "time-why": "Badge forgotten"}, follow=True
    )
    assert "Corrected: a line of −€12.00" in text(answer)
    correction = Line.objects.get(kind=LineKind.CORRECTION)
    assert (correction.cents, correction.why) == (-1_200, "Badge forgotten")
    assert line_of(session).cents == 1_800
    row = AuditRow.objects.latest("seq")
    assert row.why == "Badge forgotten"


def test_a_correction_without_a_reason_is_none() -> None:
    made = billing_lab()
    session = Session.objects.earliest("pk")
    client = made.pages.client("accountant")
    where = reverse("correct-session", args=[session.pk])
    answer = client.post(where, {"what": "price", "price-euros": "5", "price-why": " "})
    assert "This field is required." in text(answer)
    assert not Line.objects.filter(kind=LineKind.CORRECTION).exists()


def test_a_technician_corrects_nothing() -> None:
    made = billing_lab()
    session = Session.objects.earliest("pk")
    client = made.pages.client("technician")
    where = reverse("correct-session", args=[session.pk])
    body = {"what": "price", "price-euros": "0", "price-why": "x"}
    assert client.post(where, body).status_code == 403
    assert where.encode() not in client.get(reverse("session", args=[session.pk])).content


def test_a_price_is_typed_with_a_comma_or_a_point() -> None:
    made = billing_lab()
    client = made.pages.client("accountant", "fr")
    for typed in ("5,50", "5.50"):
        session = Session.objects.exclude(line__corrections__isnull=False).earliest("pk")
        where = reverse("correct-session", args=[session.pk])
        client.post(where, {"what": "price", "price-euros": typed, "price-why": "forfait"})
    found = Line.objects.filter(kind=LineKind.CORRECTION).values_list("cents", flat=True)
    assert list(found) == [-1_250, -1_250]


def test_somebody_else_pays_for_a_session() -> None:
    made = billing_lab()
    session = Session.objects.earliest("pk")
    client = made.pages.client("accountant")
    body = {"what": "other", "other-payer": made.firm.name, "other-purpose": "company"}
    where = reverse("correct-session", args=[session.pk])
    client.post(where, {**body, "other-why": "It was for the firm"})
    session.refresh_from_db()
    assert (session.payer, session.purpose) == (made.firm, Purpose.COMPANY)
    answer = client.post(where, {**body, "other-payer": "Nobody", "other-why": "x"})
    assert "There is no payer of that name" in text(answer)


def test_a_material_and_an_amount_stand_on_the_next_statement() -> None:
    made = billing_lab()
    material = materials.create_material(
        console(), made.lab, "Plywood", "sheet", MaterialPrice(800, vat_bp=2_000)
    )
    client = made.pages.client("accountant")
    where = reverse("billing-add", args=[made.firm.pk])
    client.post(where, {"kind": "material", "m-material": material.pk, "m-quantity": "2,5"})
    client.post(
        where,
        {
            "kind": "adjust",
            "a-words": "Workshop",
            "a-euros": "-15",
            "a-vat": "20",
            "a-why": "agreed",
        },
    )
    added = Line.objects.exclude(kind=LineKind.SESSION).order_by("pk")
    assert [(one.kind, one.cents, one.vat_bp) for one in added] == [
        ("material", 2_000, 2_000),
        ("adjustment", -1_500, 2_000),
    ]


# ------------------------------------------------------------------------------- tariffs

TYPED = {
    "group": "firms",
    "hour": "30",
    "basis": "enabled",
    "rounding": "exact",
    "is_net": "",
    "vat": "20",
}


def test_last_month_is_shown_anew_before_anything_is_saved() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    where = reverse("billing-prices", args=[made.pages.small.tariff.slug])
    Session.objects.filter(payer=made.firm).update(group=made.group)
    before = TariffVersion.objects.count()
    page = client.post(where, {**TYPED, "try": "1"})
    said = text(page)
    assert "1 h 00 with Table saw: €25.00 before VAT, €30.00 with 20% VAT (Companies)" in said
    assert "Ébénisterie Łukasz & Fils Before €12.00 €30.00 +€18.00" in said
    assert TariffVersion.objects.count() == before
    tried = page.context["form"].data["tried"]
    saved = client.post(where, {**TYPED, "tried": tried, "save": "1"}, follow=True)
    assert "The new prices are kept." in text(saved)
    kept = TariffVersion.objects.latest("pk")
    assert (kept.group, kept.cents_per_hour, kept.vat_bp) == (made.group, 3_000, 2_000)


def test_prices_that_were_changed_after_the_trial_are_tried_again_first() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    where = reverse("billing-prices", args=[made.pages.small.tariff.slug])
    before = TariffVersion.objects.count()
    tried = client.post(where, {**TYPED, "try": "1"}).context["form"].data["tried"]
    answer = client.post(where, {**TYPED, "hour": "300", "tried": tried, "save": "1"})
    assert "You changed something" in text(answer)
    assert TariffVersion.objects.count() == before


def test_a_price_that_is_no_number_is_said_beside_its_field() -> None:
    made = billing_lab()
    where = reverse("billing-prices", args=[made.pages.small.tariff.slug])
    answer = made.pages.client("accountant", "fr").post(
        where, {**TYPED, "hour": "douze", "try": "1"}
    )
    assert "Écrivez un nombre" in text(answer)


def test_a_new_tariff_has_one_price_and_a_free_address() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    for _ in range(2):
        client.post(reverse("billing-new-tariff"), {"name": "Laser", "hour": "12,50"})
    assert sorted(made.lab.tariffs.values_list("slug", flat=True)) == ["laser", "laser-2", "wood"]
    assert TariffVersion.objects.filter(cents_per_hour=1_250).count() == 2


# --------------------------------------------------------------- payers, passes, sponsors


@pytest.mark.parametrize(
    ("siren", "says"),
    [
        ("732829320", ""),
        ("732 829 320", ""),
        ("73282932000074", ""),
        ("732829321", "One digit is wrong"),
        ("12345", "A SIREN has nine digits"),
    ],
)
def test_a_siren_is_checked_by_its_last_digit(siren: str, says: str) -> None:
    made = billing_lab()
    where = reverse("billing-edit-payer", args=[made.firm.pk])
    body = {"name": made.firm.name, "kind": "organisation", "siren": siren}
    said = text(made.pages.client("owner").post(where, body, follow=True))
    assert (says in said) if says else ("Kept." in said)
    made.firm.refresh_from_db()
    assert bool(made.firm.siren) is not bool(says)


@pytest.mark.parametrize(
    ("number", "good"),
    [("FR40303265045", True), ("fr 40 303 265 045", True), ("FR41303265045", False), ("X1", False)],
)
def test_a_french_vat_number_is_checked_by_its_key(number: str, good: bool) -> None:
    made = billing_lab()
    where = reverse("billing-edit-payer", args=[made.firm.pk])
    body = {"name": made.firm.name, "kind": "organisation", "vat_number": number}
    made.pages.client("owner").post(where, body)
    made.firm.refresh_from_db()
    assert made.firm.vat_number == ("FR40303265045" if good else "")


def test_euros_and_hours_cite_a_receipt() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    page = reverse("billing-payer", args=[made.firm.pk])
    client.post(reverse("billing-entitle", args=[made.firm.pk]), {"euros": "50", "receipt": ""})
    assert not made.firm.account_entries.exists()
    client.post(reverse("billing-entitle", args=[made.firm.pk]), {"euros": "50", "receipt": "F-12"})
    client.post(
        reverse("billing-sell-pass", args=[made.firm.pk]),
        {"kind": "time", "name": "Ten hours", "hours": "10", "receipt": "F-13"},
    )
    client.post(
        reverse("billing-give-time", args=[made.firm.pk]), {"hours": "2", "why": "Helped on Sunday"}
    )
    said = text(client.get(page))
    assert "receipt F-12" in said
    assert "Ten hours" in said
    entry = made.firm.account_entries.get()
    client.post(reverse("billing-take-back", args=[entry.pk]), {"why": "wrong payer"})
    assert "taken back: wrong payer" in text(client.get(page))


def test_a_sponsor_gets_a_report_of_who_used_what() -> None:
    made = billing_lab()
    client = made.pages.client("owner")
    region = Payer.objects.create(lab=made.lab, name="=Region", kind="organisation")
    body = {
        "sponsor": region.pk,
        "name": "Innovation",
        "kind": "time",
        "hours": "20",
        "share": "50",
    }
    client.post(reverse("billing-new-sponsor"), body)
    sponsorship = made.lab.sponsorships.get()
    client.post(
        reverse("billing-allot", args=[made.firm.pk]),
        {"sponsorship": sponsorship.pk, "amount": "7,5"},
    )
    assert passes.left(made.firm.passes.all())[made.firm.passes.get().pk].amount == 27_000
    where = reverse("billing-sponsor", args=[sponsorship.pk])
    assert "Nobody used it in these days." in text(client.get(where))
    assert "7 h 30" in text(client.get(where))
    csv = client.get(reverse("billing-sponsor-csv", args=[sponsorship.pk]))
    assert csv.content.startswith(b"\xef\xbb\xbfPayer;Machine;")


def test_a_pass_of_an_unknown_kind_is_refused_and_the_page_says_so() -> None:
    made = billing_lab()
    client = made.pages.client("accountant")
    body = {"kind": PassKind.MONEY.value, "name": "x", "hours": "3", "receipt": "F-1"}
    answer = client.post(reverse("billing-sell-pass", args=[made.firm.pk]), body)
    assert "How much?" in text(answer)
    assert not made.firm.passes.exists()


def test_nobody_reaches_another_labs_payer_line_or_statement() -> None:
    from tests.hub.lab import small_lab

    made = billing_lab()
    other = small_lab(slug="other")
    theirs = Payer.objects.filter(lab=other.lab).earliest("pk")
    client = made.pages.client("owner")
    for name in ("billing-payer", "billing-edit-payer", "billing-add"):
        assert client.get(reverse(name, args=[theirs.pk])).status_code == 404
    assert client.post(reverse("billing-entitle", args=[theirs.pk]), {}).status_code == 404
