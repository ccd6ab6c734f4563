"""E-mails from their reason to a real mail server: wanted, sent once, tried again, given up, never doubled."""

from __future__ import annotations

import dataclasses
import smtplib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import transaction

from interlock.errors import ConfigError, StoreError
from interlock.hub import mail, mail_keys, sending
from interlock.hub.domain import post
from interlock.hub.models import (
    AuditRow,
    Lab,
    MailKind,
    MailSettings,
    MailSwitch,
    OutboxMail,
)
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import SmallLab, console, small_lab
from tests.hub.mail_server import LATER, REFUSED, MailServer, mail_server, self_signed

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

State = OutboxMail.State


def now_ms() -> int:
    return int(console().now().timestamp() * 1_000)


def later(**after: float) -> Actor:
    """Somebody at the console so much later."""
    ms = int(timedelta(**after).total_seconds() * 1_000)
    return Actor(VirtualClock(wall_ms=now_ms() + ms))


def smtp_lab(server: MailServer, **change: object) -> SmallLab:
    small = small_lab()
    way = post.Way("smtp", "127.0.0.1", server.port, "none", sender="lab@example.org")
    post.set_way(console(), small.lab, dataclasses.replace(way, **change))  # type: ignore[arg-type]
    return small


def mailbox_lab() -> SmallLab:
    small = small_lab()
    post.set_way(console(), small.lab, post.Way("mailbox"))
    return small


def tell(small: SmallLab, subject: str = "Hello", **more: Any) -> OutboxMail | None:
    return mail.queue(
        small.lab, MailKind.TRAINING, small.member, "en", subject, "Ça va ?\n.\nYes.", **more
    )


def states() -> list[str]:
    return list(OutboxMail.objects.order_by("pk").values_list("state", flat=True))


def test_a_mail_arrives_at_a_real_server_as_it_was_written() -> None:
    with mail_server() as server:
        small = smtp_lab(server)
        file = mail.Attachment("relevé.pdf", "application/pdf", b"%PDF-1.7")
        queued = mail.queue(
            small.lab,
            MailKind.STATEMENT,
            small.member,
            "fr",
            "Votre relevé\nBcc: x@example.org",
            ".Bonjour\n.\n",
            [file],
        )
        assert queued is not None
        assert sending.send_waiting(later(), small.lab) == "1 sent"
        (got,) = server.taken
    assert got["To"] == "ada@example.org"
    assert got["From"] == "lab@example.org"
    assert got["Subject"] == "Votre relevé Bcc: x@example.org"
    assert got["Bcc"] is None
    assert got["Message-ID"] == queued.message_id
    assert got["Auto-Submitted"] == "auto-generated"
    body, attached = got.iter_parts()
    assert body.get_content().splitlines() == [".Bonjour", "."]
    assert (attached.get_filename(), attached.get_content()) == ("relevé.pdf", b"%PDF-1.7")


def test_what_is_sent_is_never_sent_again() -> None:
    with mail_server() as server:
        small = smtp_lab(server)
        tell(small)
        said = [sending.send_waiting(later(hours=hour), small.lab) for hour in (0, 1, 100)]
        assert said == ["1 sent", "none waited", "none waited"]
        assert server.subjects == ["Hello"]


def test_a_recipient_that_does_not_exist_is_given_up_and_the_others_are_not() -> None:
    with mail_server() as server:
        server.to_recipients["ada@example.org"] = REFUSED
        small = smtp_lab(server)
        tell(small)
        mail.queue(small.lab, MailKind.TEST, "bo@example.org", "en", "Second", "x")
        assert sending.send_waiting(later(), small.lab) == "1 sent, 1 given_up"
        assert server.subjects == ["Second"]
    first = OutboxMail.objects.earliest("pk")
    assert (first.state, first.trouble) == (State.GIVEN_UP, REFUSED)


def test_a_server_that_asks_for_patience_gets_it_with_longer_and_longer_pauses() -> None:
    with mail_server() as server:
        server.to_recipients["ada@example.org"] = LATER
        small = smtp_lab(server)
        tell(small)
        queued_at = OutboxMail.objects.get().queued_at
        waits = []
        actor = later()
        for _try in range(len(sending.PAUSES) + 1):
            assert sending.send_waiting(actor, small.lab) == "1 waiting"
            row = OutboxMail.objects.get()
            waits.append(round((row.next_try_at - actor.now()).total_seconds()))
            # A moment too early nothing is tried.
            early = Actor(VirtualClock(wall_ms=int(row.next_try_at.timestamp() * 1_000) - 1_000))
            assert sending.send_waiting(early, small.lab) == "none waited"
            actor = Actor(VirtualClock(wall_ms=int(row.next_try_at.timestamp() * 1_000) + 1))
        assert waits == [*sending.PAUSES, sending.PAUSES[-1]]
        server.to_recipients.clear()
        assert sending.send_waiting(actor, small.lab) == "1 sent"
    row = OutboxMail.objects.get()
    assert (row.tries, row.trouble, row.queued_at) == (len(sending.PAUSES) + 2, "", queued_at)


def test_a_server_that_is_down_for_three_days_is_given_up_and_says_why() -> None:
    with mail_server() as server:
        small = smtp_lab(server)
    tell(small)
    history = [sending.send_waiting(later(hours=hour), small.lab) for hour in (0, 1, 20, 60, 71)]
    assert history == [*["1 waiting"] * 4, "1 given_up"]
    row = OutboxMail.objects.get()
    assert row.done_at is not None
    assert "refused" in row.trouble.lower()
    # A person tries again once it is mended.
    with mail_server() as server:
        MailSettings.objects.update(port=server.port)
        post.send_again(later(hours=80), row)
        assert sending.send_waiting(later(hours=80), small.lab) == "1 sent"
        assert server.subjects == ["Hello"]


def test_a_line_that_dies_after_the_text_is_uncertain_and_only_a_person_sends_it_again() -> None:
    with mail_server() as server:
        server.to_texts = ""
        small = smtp_lab(server)
        tell(small)
        assert sending.send_waiting(later(), small.lab) == "1 uncertain"
        server.to_texts = "250 OK"
        assert sending.send_waiting(later(days=1), small.lab) == "none waited"
        assert len(server.taken) == 1
        post.send_again(later(days=1), OutboxMail.objects.get())
        assert sending.send_waiting(later(days=1), small.lab) == "1 sent"
        ids = [str(one["Message-ID"]) for one in server.taken]
        assert ids[0] == ids[1], "a reader can tell that it is the same one"


def test_a_hub_killed_while_sending_sends_nothing_twice() -> None:
    with mail_server() as server:
        small = smtp_lab(server)
        tell(small)
        OutboxMail.objects.update(state=State.SENDING, next_try_at=console().now())
        assert sending.send_waiting(later(minutes=10), small.lab) == "none waited"
        assert sending.send_waiting(later(minutes=31), small.lab) == "none waited"
        assert server.taken == []
    row = OutboxMail.objects.get()
    assert (row.state, row.trouble) == (State.UNCERTAIN, "the hub stopped while it was sending")


def test_a_dead_server_is_not_asked_for_every_mail_of_a_run() -> None:
    with mail_server() as server:
        small = smtp_lab(server)
    for number in range(5):
        tell(small, f"{number}")
    assert sending.send_waiting(later(), small.lab) == "3 waiting"
    tries = list(OutboxMail.objects.order_by("pk").values_list("tries", flat=True))
    assert tries == [1, 1, 1, 0, 0]


# ---------------------------------------------------------------------------------- protection


def test_starttls_with_an_untrusted_certificate_sends_nothing() -> None:
    theirs, _ours = self_signed()
    with mail_server(theirs) as server:
        small = smtp_lab(server, security="starttls")
        tell(small)
        assert sending.send_waiting(later(), small.lab) == "1 waiting"
        assert server.taken == []
    assert "certificate is not trusted" in OutboxMail.objects.get().trouble


def test_starttls_with_a_trusted_certificate_sends() -> None:
    theirs, ours = self_signed()
    with mail_server(theirs) as server:
        small = smtp_lab(server, security="starttls")
        tell(small)
        assert sending.send_waiting(later(), small.lab, ours) == "1 sent"
        assert server.subjects == ["Hello"]


def test_a_server_without_tls_gets_no_word_where_tls_was_asked_for() -> None:
    with mail_server() as server:
        small = smtp_lab(server, security="starttls")
        tell(small)
        assert sending.send_waiting(later(), small.lab) == "1 waiting"
        assert server.taken == []
    smtp_way = post.Way("smtp", "h", 25, "none", username="u", sender="a@example.org")
    with pytest.raises(ConfigError, match="never travels unprotected"):
        post.set_way(console(), small.lab, smtp_way, "p")


def test_the_password_is_sealed_and_stays_with_its_server() -> None:
    small = small_lab()
    way = post.Way("smtp", "smtp.example.org", 587, "starttls", "user", "lab@example.org")
    kept = post.set_way(console(), small.lab, way, "sésame, ouvre-toi")
    assert mail_keys.open_password(kept) == "sésame, ouvre-toi"
    stored = bytes(MailSettings.objects.get().sealed_password)
    assert "sésame".encode() not in stored
    assert not any("sésame" in str(row.after) for row in AuditRow.objects.all())
    # Somebody who points the hub at their own server does not get it.
    moved = post.set_way(console(), small.lab, dataclasses.replace(way, host="evil.example.org"))
    assert mail_keys.open_password(moved) == ""
    # Nor somebody who writes into the database.
    kept.host = "evil.example.org"
    with pytest.raises(StoreError):
        mail_keys.open_password(kept)


# ------------------------------------------------------------------------------------ who gets it


def test_a_change_that_is_rolled_back_tells_nobody() -> None:
    small = mailbox_lab()
    with transaction.atomic():
        tell(small)
        assert states() == ["waiting"]
        transaction.set_rollback(True)
    assert states() == []


def test_a_kind_that_the_lab_or_the_person_switched_off_is_not_queued() -> None:
    small = mailbox_lab()
    assert tell(small) is not None
    mail.set_wanted(console(), small.lab, small.member, [MailKind.STATEMENT])
    assert tell(small) is None
    statement = [small.lab, MailKind.STATEMENT, small.member, "en", "s", "t"]
    assert mail.queue(*statement) is not None  # type: ignore[arg-type]
    post.set_kinds(console(), small.lab, [MailKind.TRAINING])
    assert mail.queue(*statement) is None  # type: ignore[arg-type]
    # What somebody asked for just now is no newsletter.
    assert mail.queue(small.lab, MailKind.LINK, small.member, "en", "s", "t") is not None
    assert MailSwitch.objects.filter(member=small.member).count() == len(mail.SWITCHES) - 1


def test_a_lab_that_sends_nothing_queues_nothing() -> None:
    small = small_lab()
    assert (tell(small), mail.is_on(small.lab)) == (None, False)


def test_somebody_without_an_address_is_left_out_and_nonsense_is_refused() -> None:
    small = mailbox_lab()
    small.member.email = ""
    assert tell(small) is None
    with pytest.raises(ConfigError, match="no e-mail address"):
        mail.queue(small.lab, MailKind.TEST, "a@b\r\nBcc: c@example.org", "en", "s", "t")


def test_one_case_is_told_once_and_a_flapping_machine_once_an_hour() -> None:
    small = mailbox_lab()

    def alert(cause: str, about: str = "saw", kind: MailKind = MailKind.FAULT) -> bool:
        made = mail.queue(
            small.lab, kind, "t@example.org", "en", "s", "t", about=about, cause=cause
        )
        return made is not None

    assert [alert("1"), alert("1"), alert("2")] == [True, False, False]
    assert [alert("3", about="laser"), alert("4", kind=MailKind.WELDED)] == [True, True]
    hour_ago = console().now() - timedelta(minutes=61)
    OutboxMail.objects.update(queued_at=hour_ago)
    assert [alert("1"), alert("2")] == [False, True]


def test_the_mailbox_takes_mail_without_any_server() -> None:
    small = mailbox_lab()
    tell(small)
    assert sending.send_waiting(later(), small.lab) == "1 sent"
    assert sending.send_waiting(later(days=91), small.lab) == "none waited"
    assert OutboxMail.objects.count() == 0, "after 90 days nobody asks"


def test_the_settings_refuse_what_cannot_work() -> None:
    lab: Lab = small_lab().lab
    good = post.Way("smtp", "smtp.example.org", 587, "starttls", "", "lab@example.org")
    bad = [{"host": ""}, {"host": "a b"}, {"port": 0}, {"sender": "x"}, {"backend": "fax"}]
    for change in bad:
        with pytest.raises(ConfigError):
            post.set_way(console(), lab, dataclasses.replace(good, **change))  # type: ignore[arg-type]
    assert not MailSettings.objects.exists()


def test_the_tests_speak_to_a_server_that_speaks_smtp() -> None:
    with mail_server() as server, smtplib.SMTP("127.0.0.1", server.port, timeout=20) as client:
        assert client.noop()[0] == 250
    assert Path(django_settings.HUB.path).exists()
