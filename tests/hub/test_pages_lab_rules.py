"""What holds in the whole lab, kept by its page: by whom, what is refused, and what it does elsewhere."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from interlock.hub.domain import entitlements, members, tariffs
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import AuditRow, Lab, Member, Payer, TariffVersion
from tests.hub.billing_lab import billing_lab
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def text(answer: Any) -> str:
    """What a reader sees."""
    raw = answer.content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", raw[raw.index("<main") :])).split())


def send(client: Client, part: str, **fields: str) -> Any:
    """One part of the page is kept."""
    given = {f"{part}-{name}": value for name, value in fields.items()}
    return client.post(reverse("lab-rules"), {"part": part, **given}, follow=True)


def last_deed() -> tuple[str, str, Any, Any]:
    """The audit log's latest row: what, who, before and after."""
    row = AuditRow.objects.latest("seq")
    return row.action, row.actor, row.before, row.after


def test_a_season_and_a_guardians_consent_are_kept_and_proposed() -> None:
    pages = page_lab()
    client = pages.client("manager")
    page = send(client, "memberships", month="8", day="31", asks_consent="on")
    assert "Kept." in text(page)
    lab = Lab.objects.get()
    assert (lab.season_ends, lab.asks_consent) == ("08-31", True)
    assert last_deed() == (
        "memberships_changed",
        "Some manager",
        {"season_ends": "", "asks_consent": False},
        {"season_ends": "08-31", "asks_consent": True},
    )
    proposed = client.get(reverse("member-new")).context["form"].initial["until_on"]
    assert (proposed.month, proposed.day) == (8, 31)
    shown = client.get(reverse("lab-rules")).content.decode()
    assert '<option value="8" selected>' in shown
    send(client, "memberships", month="", day="31")
    assert (Lab.objects.get().season_ends, Lab.objects.get().asks_consent) == ("", False)


@pytest.mark.parametrize(
    ("month", "day", "says"),
    [
        ("2", "31", "is not a day of the year"),
        ("8", "", "Write the last day that counts"),
        ("8", "32", "less than or equal to 31"),
    ],
)
def test_a_day_that_does_not_exist_is_refused_beside_its_field(
    month: str, day: str, says: str
) -> None:
    client = page_lab().client("owner")
    assert says in text(send(client, "memberships", month=month, day=day))
    assert Lab.objects.get().season_ends == ""


def test_below_which_credit_machines_warn_is_kept_and_counts_at_once() -> None:
    made = billing_lab()
    payer = made.ada.payer
    assert payer is not None
    entitlements.credit_account(console(), payer, 10_000, "R-1")
    made.ada.refresh_from_db()
    assert made.ada.credit == Member.Credit.OK
    client = made.pages.client("accountant")
    assert "Kept." in text(send(client, "accounts", low_cents="70", low_s="30"))
    lab = Lab.objects.get()
    assert (lab.credit_low_cents, lab.credit_low_s) == (7_000, 1_800)
    assert last_deed()[:2] == ("credit_limits_set", "Some accountant")
    # 100 € less the 36 € that are not billed yet.
    made.ada.refresh_from_db()
    assert made.ada.credit == Member.Credit.LOW


def test_the_accountant_sees_the_accounts_alone_and_may_send_nothing_else() -> None:
    client = page_lab().client("accountant")
    said = text(client.get(reverse("lab-rules")))
    assert "When an account is low" in said
    assert "Memberships" not in said
    before = AuditRow.objects.count()
    assert send(client, "memberships", month="8", day="31").status_code == 403
    assert AuditRow.objects.count() == before


def test_an_hour_of_volunteers_has_the_value_that_the_lab_gives_it() -> None:
    client = page_lab().client("owner")
    send(client, "volunteers", value="15,50")
    assert Lab.objects.get().volunteer_cents_per_hour == 1_550
    assert last_deed()[0] == "volunteer_value_set"
    assert "Must lie between" in text(send(client, "volunteers", value="100000"))
    assert Lab.objects.get().volunteer_cents_per_hour == 1_550


def test_names_leave_the_hub_only_once_the_lab_wants_it() -> None:
    client = page_lab().client("owner")
    assert Lab.objects.get().sends_names is False
    send(client, "names", sends_names="on")
    assert Lab.objects.get().sends_names is True
    send(client, "names")
    assert Lab.objects.get().sends_names is False
    assert last_deed()[0] == "names_withheld"


def test_the_lab_is_called_as_its_page_says() -> None:
    client = page_lab().client("owner")
    send(client, "lab", name="Fablab des Bœufs", language="fr", time_zone="Europe/Brussels")
    lab = Lab.objects.get()
    assert (lab.name, lab.language, lab.time_zone) == ("Fablab des Bœufs", "fr", "Europe/Brussels")


# ------------------------------------------------------------------------------- who pays, and when


def payer_of(pages: PageLab) -> Payer:
    found = pages.small.member.payer
    assert found is not None
    return found


def test_a_payer_is_made_to_pay_in_advance_and_afterwards_again() -> None:
    pages = page_lab()
    payer, client = payer_of(pages), pages.client("accountant")
    where = reverse("billing-prepays", args=[payer.pk])
    assert "Let them pay in advance" in text(client.get(reverse("billing-payer", args=[payer.pk])))
    page = client.post(where, {"in_advance": "1", "why": "two unpaid months"}, follow=True)
    assert "pays in advance" in text(page)
    assert "Let them pay after the month" in text(page)
    payer.refresh_from_db()
    assert payer.prepays
    assert AuditRow.objects.latest("seq").why == "two unpaid months"
    pages.small.member.refresh_from_db()
    assert pages.small.member.credit == Member.Credit.NONE
    client.post(where, {"why": "paid"}, follow=True)
    payer.refresh_from_db()
    pages.small.member.refresh_from_db()
    assert (payer.prepays, pages.small.member.credit) == (False, Member.Credit.OK)


def test_another_labs_payer_is_out_of_reach() -> None:
    pages = page_lab()
    other = members.create_member(console(), pages.small.lab, "Other").payer
    assert other is not None
    where = reverse("billing-prepays", args=[other.pk + 1_000])
    assert pages.client("owner").post(where, {"in_advance": "1"}).status_code == 404


def test_how_short_a_wrong_tap_is_stands_in_the_form_of_prices() -> None:
    pages = page_lab()
    tariffs.set_prices(console(), pages.small.tariff, Prices(cents_per_hour=1_200, forgive_s=10))
    client = pages.client("accountant")
    where = reverse("billing-prices", args=[pages.small.tariff.slug])
    shown = client.get(where).context["form"]
    assert shown["forgive"].value() == 10
    asked = {"hour": "12", "basis": "enabled", "rounding": "exact", "forgive": "45"}
    tried = client.post(where, {**asked, "try": "1"}).context["form"]
    client.post(where, {**asked, "tried": tried.fingerprint(), "save": "1"})
    assert TariffVersion.objects.latest("pk").forgive_s == 45
