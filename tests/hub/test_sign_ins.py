"""Failed sign-ins in the audit log, without what was typed; and a person's own logins, which they can end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse

from interlock.hub.changes import verify_audit
from interlock.hub.domain import sign_ins
from interlock.hub.domain.sign_ins import FAILED, ROWS_PER_HOUR_MAX
from interlock.hub.login_keys import seal
from interlock.hub.models import AuditRow, SecondFactor
from interlock.hub.pages.proof import sign_in_throttle
from interlock.sim.clocks import VirtualClock
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36"


@pytest.fixture(name="clock")
def _clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(wall_ms=1_790_000_000_000)
    quick = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    sign_in_throttle.cache_clear()
    with override_settings(HUB_CLOCK=clock, PASSWORD_HASHERS=quick):
        yield clock
    sign_in_throttle.cache_clear()


@pytest.fixture(name="lab")
def _lab(clock: VirtualClock) -> PageLab:
    made = page_lab()
    for user in made.users.values():
        user.set_password(PASSWORD)
        user.save()
    return made


def try_in(
    email: str, password: str = PASSWORD, agent: str = FIREFOX, address: str = "192.0.2.7"
) -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post(reverse("login"), {"email": email, "password": password}, REMOTE_ADDR=address)
    return client


def failures() -> list[tuple[str, object]]:
    rows = AuditRow.objects.filter(action=FAILED).order_by("seq")
    return list(rows.values_list("subject", "after"))


def test_a_failed_sign_in_is_told_of_the_person_it_was_or_of_nobody_and_never_what_was_typed(
    lab: PageLab,
) -> None:
    try_in("OWNER@example.org", "hunter2-typed-wrong")
    try_in("a-secret-typed-as@address.org", "hunter2-typed-wrong")
    told = {"step": "password", "from": "192.0.2.7"}
    assert failures() == [("Some owner", told), ("", told)]
    said = json.dumps(list(AuditRow.objects.values("actor", "subject", "before", "after", "why")))
    assert "hunter2" not in said
    assert "a-secret-typed-as" not in said
    verify_audit(lab.small.lab)


def test_a_right_sign_in_is_no_failure(lab: PageLab) -> None:
    client = try_in("owner@example.org")
    assert client.get(reverse("board")).status_code == 200
    assert failures() == []


def test_a_wrong_code_after_the_right_password_is_told_apart(
    lab: PageLab, clock: VirtualClock
) -> None:
    user = lab.users["owner"]
    SecondFactor.objects.create(
        user=user, sealed_key=seal(user, "JBSWY3DPEHPK3PXP" * 2), confirmed_at="2026-01-01T00:00Z"
    )
    client = try_in("owner@example.org")
    client.post(reverse("second-step"), {"code": "000000"}, REMOTE_ADDR="192.0.2.7")
    assert failures() == [("Some owner", {"step": "code", "from": "192.0.2.7"})]


def test_somebody_who_keeps_trying_is_told_once_a_quarter_of_an_hour(
    lab: PageLab, clock: VirtualClock
) -> None:
    for _turn in range(9):
        try_in("owner@example.org", "wrong")
    assert len(failures()) == 1
    clock.advance_us(1_000 * 16 * 60_000)
    try_in("owner@example.org", "wrong")
    try_in("owner@example.org", "wrong", address="192.0.2.8")
    assert len(failures()) == 3


def test_a_flood_from_many_addresses_does_not_bury_what_people_did(
    lab: PageLab, clock: VirtualClock
) -> None:
    owner = lab.users["owner"]
    for number in range(ROWS_PER_HOUR_MAX + 9):
        sign_ins.note_failure(clock, owner, f"192.0.2.{number}", "password")
    assert len(failures()) == ROWS_PER_HOUR_MAX
    clock.advance_us(1_000 * 3_600_000)
    sign_ins.note_failure(clock, owner, "192.0.2.200", "password")
    assert len(failures()) == ROWS_PER_HOUR_MAX + 1


def test_my_sign_in_lists_my_browsers_and_ends_the_others_and_nobody_elses(
    lab: PageLab, clock: VirtualClock
) -> None:
    mine, phone = try_in("owner@example.org"), try_in("owner@example.org", agent=PHONE)
    theirs = try_in("manager@example.org")
    clock.advance_us(1_000 * 120_000)
    page = mine.get(reverse("my-sign-in")).content.decode()
    assert page.index("Firefox, Linux") < page.index("Chrome, Android")
    assert page.count("this browser") == 1
    done = mine.post(reverse("my-sign-in"), {"end-others": "yes"}, follow=True).content.decode()
    assert "1 other login is over" in done
    assert "Chrome, Android" not in done
    assert mine.get(reverse("board")).status_code == 200
    assert phone.get(reverse("board")).status_code == 302
    assert theirs.get(reverse("board")).status_code == 200
    row = AuditRow.objects.get(action=sign_ins.ENDED)
    assert (row.actor, row.after) == ("Some owner", {"logins": 1})


@pytest.mark.parametrize(
    ("looks_at_s", "is_in"),
    [
        ([3_590, 7_180], True),
        ([3_601], False),
        ([*range(3_000, 43_200, 3_000), 43_200], True),
        ([*range(3_000, 43_200, 3_000), 43_201], False),
    ],
    ids=["looks every hour", "left alone for an hour", "twelve hours", "and a second"],
)
def test_a_login_ends_an_hour_after_its_last_use_and_twelve_hours_after_the_password(
    lab: PageLab, clock: VirtualClock, looks_at_s: list[int], is_in: bool
) -> None:
    client, passed_s = try_in("owner@example.org"), 0
    client.get(reverse("board"))
    answers = []
    for at_s in looks_at_s:
        clock.advance_us((at_s - passed_s) * 1_000_000)
        passed_s = at_s
        answers.append(client.get(reverse("board")).status_code)
    assert answers == [200] * (len(looks_at_s) - 1) + [200 if is_in else 302]


@pytest.mark.parametrize("over_https", [False, True])
def test_the_cookie_of_a_login_is_read_by_no_script_and_sent_by_no_other_site(
    lab: PageLab, over_https: bool
) -> None:
    client = Client()
    typed = {"email": "owner@example.org", "password": PASSWORD}
    client.post(reverse("login"), typed, secure=over_https)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    told = (cookie["httponly"], cookie["samesite"], bool(cookie["secure"]))
    assert told == (True, "Lax", over_https)


def test_a_login_that_was_left_alone_for_too_long_is_not_listed(
    lab: PageLab, clock: VirtualClock
) -> None:
    old = try_in("owner@example.org", agent=PHONE)
    old.get(reverse("board"))
    clock.advance_us(1_000 * 3_601_000)
    mine = try_in("owner@example.org")
    page = mine.get(reverse("my-sign-in")).content.decode()
    assert "Firefox, Linux" in page
    assert "Chrome, Android" not in page


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (FIREFOX, "Firefox, Linux"),
        (PHONE, "Chrome, Android"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 Safari/537.36 Edg/142.0", "Edge, Windows"),
        ("Mozilla/5.0 (iPhone; CPU like Mac OS X) Version/18 Safari/604.1", "Safari, iPhone"),
        ("<script>alert(1)</script>", ""),
        ("", ""),
    ],
)
def test_a_browser_is_named_in_two_words_of_ours_and_none_of_its_own(
    header: str, words: str
) -> None:
    assert sign_ins.agent_of(header) == words
