"""E-mails with a link: to the page they speak of, and to a login, which nobody else may take."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from interlock.errors import ConfigError
from interlock.hub import sending, takeout, telling
from interlock.hub.directory import HubConfig, read_config
from interlock.hub.domain import post, problems
from interlock.hub.models import Machine, MailKind, Member, Node, OutboxMail, Role, User
from tests.hub.lab import console
from tests.hub.mail_server import mail_server
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

URL = "https://hub.lab.example"


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    post.set_way(console(), made.small.lab, post.Way("mailbox"))
    Node.objects.update(last_seen_at=console().now())
    return made


@pytest.fixture
def named() -> Iterator[None]:
    """The hub has a name outside, as hub.toml says it."""
    file = settings.HUB.config_file
    before = file.read_text(encoding="utf-8")
    file.write_text(replace(settings.HUB.config(), url=URL).to_toml(), encoding="utf-8")
    yield
    file.write_text(before, encoding="utf-8")


def links_in(text: str) -> list[str]:
    """Every address in it."""
    return re.findall(r"https?://\S+", text)


@pytest.mark.usefixtures("named")
def test_an_alert_leads_to_the_page_it_speaks_of(lab: PageLab) -> None:
    Machine.objects.update(live_faults=["contactor_welded"], live_since_at=console().now())
    problems.report(console(), lab.small.machine, "It smokes")
    telling.alerts(console(), lab.small.lab)
    found = {one.kind: links_in(one.text) for one in OutboxMail.objects.order_by("pk")}
    own = f"{URL}{reverse('my-mail')}"
    machine = f"{URL}{reverse('machine', args=[lab.small.machine.slug])}"
    assert found == {
        MailKind.WELDED: [machine, own],
        MailKind.PROBLEM: [f"{URL}{reverse('problems')}", own],
    }


def test_a_hub_that_has_no_name_outside_sends_no_link(lab: PageLab) -> None:
    problems.report(console(), lab.small.machine, "It smokes")
    assert telling.alerts(console(), lab.small.lab) == 3
    assert links_in(OutboxMail.objects.earliest("pk").text) == []


def invite(lab: PageLab, role: str = "trainer") -> str:
    """The owner invites Ada; what the page says."""
    where = reverse("member-login", args=[lab.small.member.public_id])
    asked = {"email": "ada@example.org", "role": role}
    return lab.client("owner").post(where, asked).content.decode()


@pytest.mark.usefixtures("named")
def test_who_is_invited_gets_the_link_by_e_mail_in_their_language_and_it_works(
    lab: PageLab,
) -> None:
    Member.objects.filter(pk=lab.small.member.pk).update(language="fr")
    page = invite(lab)
    assert "It is on its way to ada@example.org" in page
    sent = OutboxMail.objects.get()
    assert (sent.kind, sent.to, sent.language) == (MailKind.LINK, "ada@example.org", "fr")
    assert sent.subject.startswith("Votre ")
    [link] = links_in(sent.text)
    assert link in page
    assert link.startswith(f"{URL}/welcome/")
    asked = {"password": "correct horse battery", "again": "correct horse battery"}
    lab.client("member").post(link.removeprefix(URL), asked)
    ada = User.objects.get(email="ada@example.org")
    assert ada.check_password("correct horse battery")


def test_a_lab_without_e_mail_hands_the_link_over_itself(lab: PageLab) -> None:
    post.set_way(console(), lab.small.lab, post.Way("off"))
    page = invite(lab)
    assert "send it or print this page" in page
    assert links_in(page)
    assert not OutboxMail.objects.exists()


def test_a_manager_reads_every_letter_but_never_a_link_to_an_owners_login(lab: PageLab) -> None:
    invite(lab, "owner")
    [link] = links_in(OutboxMail.objects.get().text)
    where = reverse("letter", args=[OutboxMail.objects.get().pk])
    assert link in lab.client("owner").get(where).content.decode()
    seen = lab.client("manager").get(where).content.decode()
    assert link not in seen
    assert "only those who may give roles" in seen


def test_the_archive_of_a_member_holds_no_link_to_their_login(lab: PageLab, tmp_path: Path) -> None:
    link_to_member(lab, "trainer", lab.small.member)
    invite(lab, "owner")
    [link] = links_in(OutboxMail.objects.get().text)
    takeout.export_member(console(), lab.small.member, tmp_path / "data.zip")
    with zipfile.ZipFile(tmp_path / "data.zip") as archive:
        names = archive.namelist()
        assert "OutboxMail.csv" in names
        assert not [one for one in names if link.encode() in archive.read(one)]


def test_once_it_has_left_the_link_is_in_no_table_and_no_back_up(lab: PageLab) -> None:
    with mail_server() as server:
        way = post.Way("smtp", "127.0.0.1", server.port, "none", sender="lab@example.org")
        post.set_way(console(), lab.small.lab, way)
        invite(lab)
        [link] = links_in(OutboxMail.objects.get().text)
        assert sending.send_waiting(console(), lab.small.lab) == "1 sent"
        [letter] = server.taken
    body = letter.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert link.encode() in body
    assert links_in(OutboxMail.objects.get().text) == []
    assert Role.objects.filter(user__email="ada@example.org").exists()


@pytest.mark.parametrize("url", ["", URL, "http://192.168.1.10:8080", "https://hub.lab.example/"])
def test_an_address_for_links_reads_back_and_is_one_the_hub_answers(
    url: str, tmp_path: Path
) -> None:
    config = HubConfig("Lab", hosts=("hub",), url=url)
    (tmp_path / "hub.toml").write_text(config.to_toml(), encoding="utf-8")
    assert read_config(tmp_path / "hub.toml") == config
    assert all(url.find(host) > 0 for host in config.hosts if host != "hub")


@pytest.mark.parametrize(
    "url", ["hub.lab", "ftp://hub", "https://", "https://hub/x", "javascript:1", "http://[::1"]
)
def test_what_is_no_address_of_a_hub_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(f'[lab]\nname = "x"\n[hub]\nurl = "{url}"', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hub\.url"):
        read_config(tmp_path / "hub.toml")
