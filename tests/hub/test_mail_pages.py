"""The mailbox, the way mail leaves, and everybody's own switches, as people meet them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from interlock.hub.models import MailSettings, MailSwitch, OutboxMail
from tests.hub.page_lab import PageLab, link_to_member, page_lab
from tests.hub.workshop_lab import arguments, work_in

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    work_in(made)
    return made


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def test_the_mail_page_shows_what_went_where_and_the_text(lab: PageLab) -> None:
    client = lab.client("owner")
    assert "Hello 0" in text(client, reverse("mail"))
    assert lab.small.member.email in text(client, reverse("letter", args=arguments(lab)["letter"]))


def test_the_password_is_never_shown_again_and_a_test_goes_to_whoever_asks(lab: PageLab) -> None:
    client = lab.client("owner")
    way = {
        "backend": "smtp",
        "host": "smtp.example.org",
        "port": "587",
        "security": "starttls",
        "username": "u",
        "password": "hunter2hunter2",
        "sender": "lab@example.org",
    }
    client.post(reverse("mail-settings"), way)
    assert "hunter2" not in text(client, reverse("mail-settings"))
    assert MailSettings.objects.get().sealed_password
    client.post(reverse("mail-settings"), {**way, "backend": "mailbox", "password": ""})
    assert MailSettings.objects.get().sealed_password, "an empty field keeps it"
    client.post(reverse("test-mail"))
    assert OutboxMail.objects.latest("pk").to == "owner@example.org"


def test_everybody_switches_their_own_e_mails_off(lab: PageLab) -> None:
    link_to_member(lab, "member", lab.small.member)
    client = lab.client("member")
    page = text(client, reverse("my-mail"))
    assert 'value="training"' in page
    assert 'value="fault"' not in page, "a member gets no alerts"
    client.post(reverse("my-mail"), {"kinds": ["statement"]})
    off = MailSwitch.objects.filter(member=lab.small.member).values_list("kind", flat=True)
    assert "training" in off
    assert "statement" not in off
