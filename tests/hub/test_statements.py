"""Statements after the month is closed: on paper, on their way, and in the accountant's books."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from pypdf import PdfReader

from interlock.errors import ConfigError
from interlock.hub.accounting import entries_of, shares, statements_of
from interlock.hub.domain import payers, periods
from interlock.hub.domain import statements as deeds
from interlock.hub.jobs import statements as job
from interlock.hub.models import (
    MailSettings,
    OutboxMail,
    Period,
    Statement,
    StatementDelivery,
    TariffVersion,
)
from interlock.hub.permissions import Actor
from interlock.hub.statements.pdf import render
from interlock.hub.statements.words import sheet_of
from interlock.hub.vat import Amount, totals
from tests.hub.billing_lab import ZONE, BillingLab, billing_lab
from tests.hub.billing_lab import payers as more_payers
from tests.hub.lab import console

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def closed(made: BillingLab) -> Period:
    return periods.close(console(), made.lab, made.last)


def with_mail(made: BillingLab) -> None:
    MailSettings.objects.create(
        lab=made.lab, backend=MailSettings.Backend.MAILBOX, sender="lab@example.org"
    )


def statement_of(made: BillingLab, name: str) -> Statement:
    return Statement.objects.select_related("lab", "period", "payer").get(payer__name=name)


def pdf_of(statement: Statement) -> PdfReader:
    return PdfReader(io.BytesIO(render(sheet_of(statement))))


def words_of(reader: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text().split()) for page in reader.pages)


# -------------------------------------------------------------------------------- on paper


def test_a_pdf_says_who_owes_what_and_why_with_every_accent() -> None:
    made = billing_lab()
    deeds.set_head(console(), made.lab, "12 rue des Bœufs\nSIREN 732 829 320")
    closed(made)
    with translation.override("fr"):
        reader = pdf_of(statement_of(made, made.firm.name))
    said = words_of(reader)
    for words in (
        "Relevé –",
        "Ébénisterie Łukasz & Fils",
        "12 rue des Bœufs",
        "Table saw",
        "Ada Martin",
        "12,00 €",
        "TVA",
        "ni une facture, ni un reçu",
        "Sceau du registre",
        "1 sur 1",
    ):
        assert words in said.replace("\u00a0", " ").replace("\u202f", " "), words
    assert reader.metadata is not None
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == "fr"


def test_the_same_statement_is_the_same_file_to_the_byte() -> None:
    made = billing_lab()
    closed(made)
    statement = statement_of(made, "Ada Martin")
    assert render(sheet_of(statement)) == render(sheet_of(statement))


def test_a_long_statement_goes_on_with_its_headings_on_the_next_sheet() -> None:
    made = billing_lab(70)
    closed(made)
    reader = pdf_of(statement_of(made, "Ada Martin"))
    assert len(reader.pages) > 1
    for page in reader.pages[:-1]:
        assert "When" in page.extract_text()
    assert words_of(reader).count("1 h 30 min at €12.00 an hour") == 70


def test_a_statement_of_nothing_is_still_a_statement() -> None:
    made = billing_lab(0)
    version = TariffVersion.objects.get()
    version.cents_per_hour = 0
    version.save()
    closed(made)
    assert Statement.objects.count() <= 1
    for statement in Statement.objects.select_related("lab", "period", "payer"):
        assert "€0.00" in words_of(pdf_of(statement))


# ------------------------------------------------------------------------------ on their way


def test_statements_go_to_the_payers_address_or_to_the_member_who_pays() -> None:
    made = billing_lab()
    more_payers(made, 1)
    payers.change_payer(console(), made.firm, email="compta@example.org")
    with_mail(made)
    period = closed(made)
    assert deeds.without_address(period) == 1
    assert deeds.send_all(console(), period) == 2
    assert deeds.on_the_way(period) == 2
    assert job.run(console(), made.lab) == "2 statements put into words"
    sent = OutboxMail.objects.order_by("to")
    assert [one.to for one in sent] == ["ada@example.org", "compta@example.org"]
    files = [one.attachments.get() for one in sent]
    assert all(bytes(file.content).startswith(b"%PDF-") for file in files)
    assert [file.media_type for file in files] == ["application/pdf"] * 2
    assert deeds.on_the_way(period) == 0


def test_who_got_a_statement_gets_no_second_one_by_pressing_again() -> None:
    made = billing_lab()
    with_mail(made)
    period = closed(made)
    for _ in range(2):
        deeds.send_all(console(), period)
        job.run(console(), made.lab)
    assert OutboxMail.objects.count() == 1


def test_a_person_gets_it_in_their_own_language() -> None:
    made = billing_lab()
    with_mail(made)
    type(made.ada).objects.filter(pk=made.ada.pk).update(language="fr")
    period = closed(made)
    deeds.send_all(console(), period)
    job.run(console(), made.lab)
    letter = OutboxMail.objects.get()
    assert letter.text.startswith("Bonjour Ada Martin,")
    assert "36,00\u00a0€" in letter.text


def test_a_lab_without_mail_server_is_told_so_and_nothing_waits() -> None:
    made = billing_lab()
    period = closed(made)
    with pytest.raises(ConfigError, match="sends no e-mail yet"):
        deeds.send_all(console(), period)
    assert not StatementDelivery.objects.exists()


def test_a_payer_without_address_is_handed_the_paper() -> None:
    made = billing_lab()
    closed(made)
    statement = statement_of(made, made.firm.name)
    client = made.pages.client("accountant")
    where = reverse("billing-hand-over", args=[statement.number])
    assert b"handed over" in client.post(where, follow=True).content
    assert deeds.statements_to_send(statement.period).count() == 1


def test_a_technician_sends_nothing() -> None:
    made = billing_lab()
    with_mail(made)
    period = closed(made)
    actor = Actor(settings.HUB_CLOCK, made.pages.users["technician"])
    with pytest.raises(PermissionDenied):
        deeds.send_all(actor, period)
    with pytest.raises(PermissionDenied):
        deeds.hand_over(actor, Statement.objects.earliest("number"))


# ----------------------------------------------------------------------- in the books


def test_each_account_gets_its_line_and_they_add_up_to_the_statement() -> None:
    made = billing_lab()
    period = closed(made)
    rows = [list(row) for row in entries_of(period).rows]
    assert [(row[0], row[3], row[7], row[8], *row[11:]) for row in rows] == [
        ("000001", "Ada Martin", "7083", "BOIS", 3_000, 600, 3_600),
        ("000002", "Ébénisterie Łukasz & Fils", "7083", "BOIS", 1_000, 200, 1_200),
    ]
    listed = [list(row) for row in statements_of(period).rows]
    assert sum(row[4] for row in listed) == sum(row[11] for row in rows)  # type: ignore[misc]


def test_the_accountants_file_has_french_numbers_days_and_no_formula() -> None:
    made = billing_lab()
    payers.change_payer(console(), made.firm, name="=cmd|'/c calc'!A1")
    closed(made)
    client = made.pages.client("accountant", "fr")
    month = [made.last.year, made.last.month]
    raw = client.get(reverse("billing-entries-csv", args=month)).content
    assert raw.startswith("\ufeffRelevé;Établi le;Mois;Payeur;".encode())
    today = console().now().astimezone(ZONE).date()
    assert f";{today:%d/%m/%Y};{made.last:%Y-%m};".encode() in raw
    assert b";30,00;6,00;36,00\r\n" in raw
    assert b";\"'=cmd" in raw or b";'=cmd" in raw
    assert b";=cmd" not in raw
    point = client.get(reverse("billing-entries-csv", args=month) + "?decimals=point").content
    assert b";30.00;6.00;36.00\r\n" in point
    book = client.get(reverse("billing-entries-xlsx", args=month)).content
    sheet: Any = load_workbook(io.BytesIO(book)).active
    # Statements are numbered by name, so the one that begins like a formula is the first.
    formula, ada = list(sheet.iter_rows(min_row=2))
    assert ada[1].value.date() == today
    assert [cell.value for cell in ada[9:]] == [0.2, None, 30, 6, 36]
    assert (formula[3].value, formula[3].data_type) == ("=cmd|'/c calc'!A1", "s")


def test_a_month_that_is_open_has_no_file() -> None:
    made = billing_lab()
    where = reverse("billing-entries-csv", args=[made.last.year, made.last.month])
    assert made.pages.client("accountant").get(where).status_code == 404


LINES = st.lists(
    st.tuples(
        st.integers(-50_000, 50_000),
        st.booleans(),
        st.sampled_from(["706", "707", "708"]),
        st.sampled_from(["", "A"]),
    ),
    min_size=1,
    max_size=12,
)


@given(LINES, st.sampled_from([0, 550, 1_000, 2_000]))
def test_entries_always_add_up_to_their_rate_and_are_never_a_cent_from_their_part(
    lines: list[tuple[int, bool, str, str]], vat_bp: int
) -> None:
    [rate] = totals([Amount(cents, is_net, vat_bp, "") for cents, is_net, _, _ in lines]).rates
    parts: dict[tuple[str, str], tuple[int, int]] = {}
    for cents, is_net, account, code in lines:
        net, gross = parts.get((account, code), (0, 0))
        parts[account, code] = (net + cents, gross) if is_net else (net, gross + cents)
    dealt = shares(rate, parts)
    assert sum(one.net_cents for one in dealt) == rate.net_cents
    assert sum(one.vat_cents for one in dealt) == rate.vat_cents
    assert sum(one.gross_cents for one in dealt) == rate.gross_cents
    for one in dealt:
        net, gross = parts[one.account, one.analytic]
        exact = net + gross * 10_000 / (10_000 + vat_bp)
        assert abs(one.net_cents - exact) < 2
