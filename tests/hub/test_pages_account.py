"""The door: the first owner's link, signing in and out, and guessing that gets slow."""

from __future__ import annotations

import contextlib
import re
import threading

import pytest
from django import forms
from django.conf import settings
from django.db import connections
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse

from interlock.hub.directory import HubConfig
from interlock.hub.domain import labs
from interlock.hub.domain.accounts import create_link, create_user, give_role
from interlock.hub.models import Lab, OneTimeLink, Role, RoleName, User
from interlock.hub.pages import account
from interlock.hub.pages.proof import sign_in_throttle
from interlock.hub.pages.throttle import (
    FORGET_MS,
    FREE_TRIES,
    FREE_TRIES_LOOSE,
    NAMES_MAX,
    PAUSE_LOOSE_MS,
    PAUSE_MS,
    Throttle,
)
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import console

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PASSWORD = "correct horse battery"
FIRST = {"name": "Ada", "email": "Ada@Example.org", "password": PASSWORD, "again": PASSWORD}


@pytest.fixture(autouse=True)
def _no_failures_of_another_test() -> None:
    sign_in_throttle.cache_clear()


def empty_lab() -> str:
    """A lab without owner; the address of the link that makes one."""
    lab = labs.create_lab(console(), "lab", HubConfig(name="Lab"))
    token = create_link(console(), lab, OneTimeLink.Purpose.FIRST_OWNER)
    return reverse("welcome", args=[token])


def somebody() -> User:
    lab = labs.create_lab(console(), "lab", HubConfig(name="Lab"))
    user = create_user("ada@example.org", "Ada", PASSWORD)
    give_role(console(), lab, user, RoleName.OWNER)
    return user


def browser() -> Client:
    return Client(headers={"accept-language": "en"})


def sign_in(client: Client, email: str, password: str, **more: str) -> int:
    fields = {"email": email, "password": password, **more}
    return client.post(reverse("login"), fields).status_code


def test_no_lab_begins_with_somebody_who_can_sign_in() -> None:
    empty_lab()
    assert User.objects.count() == 0
    assert sign_in(browser(), "admin@example.org", "admin") == 200
    assert browser().get("/")["Location"].startswith(reverse("login"))


def test_the_first_owner_sets_their_password_and_is_in() -> None:
    link, client = empty_lab(), browser()
    assert client.get(link).status_code == 200
    answer = client.post(link, FIRST)
    assert (answer.status_code, answer["Location"]) == (302, "/assistant/")
    assert client.get("/").status_code == 200
    assert [(role.user.email, role.name) for role in Role.objects.all()] == [
        ("ada@example.org", "owner")
    ]


def test_the_link_works_once() -> None:
    link = empty_lab()
    browser().post(link, FIRST)
    again = browser().post(link, {**FIRST, "email": "mallory@example.org"})
    assert again.status_code == 410
    assert browser().get(link).status_code == 410
    assert User.objects.count() == 1


def test_looking_at_the_link_does_not_use_it_up() -> None:
    link = empty_lab()
    for _ in range(3):
        assert browser().get(link).status_code == 200
    assert browser().post(link, FIRST).status_code == 302


def test_an_invented_link_is_refused_without_a_trace() -> None:
    empty_lab()
    assert browser().post(reverse("welcome", args=["x" * 22]), FIRST).status_code == 410
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "short", "again": "short"}, "too short"),
        ({"again": "something else"}, "The two passwords differ."),
        ({"password": "password123", "again": "password123"}, "too common"),
        ({"name": ""}, "This field is required."),
        ({"email": "nonsense"}, "Enter a valid email address."),
    ],
)
def test_a_poor_answer_is_said_and_the_link_stays_good(change: dict[str, str], says: str) -> None:
    link, client = empty_lab(), browser()
    answer = client.post(link, {**FIRST, **change})
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert User.objects.count() == 0
    assert client.post(link, FIRST).status_code == 302


def test_a_new_password_by_link_replaces_the_old_one() -> None:
    user, thief = somebody(), browser()
    lab = Lab.objects.get()
    assert sign_in(thief, "ada@example.org", PASSWORD) == 302
    token = create_link(console(), lab, OneTimeLink.Purpose.SET_PASSWORD, user)
    new = "three other words"
    link = reverse("welcome", args=[token])
    assert thief.get("/").status_code == 200
    assert browser().post(link, {"password": new, "again": new}).status_code == 302
    assert thief.get("/").status_code == 302, "every login with the old one is over"
    assert sign_in(browser(), "ada@example.org", PASSWORD) == 200
    assert sign_in(browser(), "ada@example.org", new) == 302


def test_signing_in_leads_to_the_page_that_was_asked_for() -> None:
    somebody()
    client = browser()
    asked = client.get("/members/?q=a")["Location"]
    page = client.get(asked).content.decode()
    assert 'value="/members/?q=a"' in page
    answer = client.post(
        reverse("login"),
        {"email": "ADA@example.org", "password": PASSWORD, "next": "/members/?q=a"},
    )
    assert answer["Location"] == "/members/?q=a"


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_signing_in_never_leads_to_another_site(elsewhere: str) -> None:
    somebody()
    answer = browser().post(
        reverse("login"), {"email": "ada@example.org", "password": PASSWORD, "next": elsewhere}
    )
    assert answer["Location"] == "/"


def test_a_wrong_password_and_an_unknown_person_get_the_same_answer() -> None:
    somebody()

    def answer(email: str) -> tuple[int, str]:
        """All of the page but what was typed into it, and what differs between any two pages."""
        said = browser().post(reverse("login"), {"email": email, "password": "wrong"})
        page = said.content.decode()
        assert "do not belong together" in page
        return said.status_code, TOKEN.sub("", page.replace(email, ""))

    assert answer(ADA) == answer("nobody@example.org")


TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')


def test_signing_out_needs_a_button_and_ends_the_session() -> None:
    user, client, thief = somebody(), browser(), browser()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    thief.cookies[name] = client.cookies[name].value
    assert client.get(reverse("logout")).status_code == 405
    assert [one.get("/").status_code for one in (client, thief)] == [200, 200]
    client.post(reverse("logout"))
    assert [one.get("/").status_code for one in (client, thief)] == [302, 302]


def test_guessing_gets_slow_even_with_the_right_password_at_last() -> None:
    somebody()
    for _ in range(FREE_TRIES):
        assert sign_in(browser(), "ada@example.org", "wrong") == 200
    client = browser()
    answer = client.post(reverse("login"), {"email": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 200
    assert "Too many wrong tries." in answer.content.decode()


HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
ADA = "ada@example.org"


def test_the_pause_ends_and_the_count_is_forgotten() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock)
    waits = [throttle.begin("Ada@example.org ", HERE) for _ in range(FREE_TRIES + 1)]
    assert waits == [0] * FREE_TRIES + [PAUSE_MS // 1_000]
    clock.sleep(PAUSE_MS / 1_000)
    assert [throttle.begin(ADA, HERE), throttle.begin(ADA, HERE)] == [0, PAUSE_MS // 1_000]
    clock.sleep(FORGET_MS / 1_000)
    assert [throttle.begin(ADA, HERE) for _ in range(FREE_TRIES)] == [0] * FREE_TRIES


def test_the_right_password_forgets_the_wrong_ones() -> None:
    throttle = Throttle(VirtualClock())
    for _ in range(3 * FREE_TRIES_LOOSE):
        assert throttle.begin(ADA, HERE) == 0
        throttle.succeeded(ADA, HERE)


@pytest.mark.django_db(transaction=True)
def test_forty_sign_ins_at_once_try_no_more_passwords_than_forty_in_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    somebody()
    tried: list[str] = []

    def counted(request: HttpRequest, **given: str) -> User | None:
        tried.append(given["password"])
        return None

    monkeypatch.setattr(account, "authenticate", counted)
    start = threading.Barrier(40)

    def one() -> None:
        start.wait()
        try:
            with contextlib.suppress(forms.ValidationError):
                account._authenticated(RequestFactory().post("/sign-in/"), ADA, "wrong")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tried) == FREE_TRIES


def test_a_stranger_elsewhere_does_not_lock_the_owner_out() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock)
    for _ in range(600):
        throttle.begin(ADA, ELSEWHERE)
        clock.sleep(6)
    assert throttle.begin(ADA, ELSEWHERE) > 0
    assert throttle.begin(ADA, HERE) == 0


def test_many_addresses_on_one_name_are_slowed_but_not_where_its_owner_signs_in() -> None:
    clock = VirtualClock()
    throttle = Throttle(clock)
    assert throttle.begin(ADA, HERE) == 0
    throttle.succeeded(ADA, HERE)
    waits = [throttle.begin(ADA, f"198.51.100.{n}") for n in range(FREE_TRIES_LOOSE + 1)]
    assert waits == [0] * FREE_TRIES_LOOSE + [PAUSE_LOOSE_MS // 1_000]
    assert throttle.begin(ADA, HERE) == 0


def test_one_address_on_many_names_is_slowed_also_across_an_ipv6_household() -> None:
    throttle = Throttle(VirtualClock())
    waits = [
        throttle.begin(f"{n}@example.org", f"2001:db8::{n:x}") for n in range(FREE_TRIES_LOOSE + 1)
    ]
    assert waits == [0] * FREE_TRIES_LOOSE + [PAUSE_LOOSE_MS // 1_000]


def test_the_door_counts_by_the_name_that_was_typed_and_by_where_it_came_from() -> None:
    """The counts above are asked for every sign-in, each on its own."""
    somebody()
    for number in range(FREE_TRIES_LOOSE):
        sign_in_throttle().begin(f"{number}@example.org", ELSEWHERE)
        sign_in_throttle().begin("ben@example.org", f"203.0.113.{number}")

    def is_held_up(email: str, address: str) -> bool:
        typed = {"email": email, "password": "wrong"}
        page = browser().post(reverse("login"), typed, REMOTE_ADDR=address).content.decode()
        return "Too many wrong tries." in page

    tried = [(ADA, HERE), (ADA, ELSEWHERE), ("Ben@Example.org", HERE), ("eve@example.org", HERE)]
    assert [is_held_up(*one) for one in tried] == [False, True, True, False]


def test_a_flood_of_invented_names_fills_nothing_and_washes_no_count_away() -> None:
    throttle = Throttle(VirtualClock())
    for _ in range(FREE_TRIES):
        assert throttle.begin(ADA, HERE) == 0
    for number in range(NAMES_MAX * 2):
        throttle.begin(f"{number}@example.org", f"2001:db8:{number:x}::1")
    assert len(throttle._tries) == NAMES_MAX
    assert throttle.begin(ADA, HERE) == PAUSE_MS // 1_000
