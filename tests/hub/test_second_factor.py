"""A code besides the password, the password again before what matters, and the way back in."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.test import Client, override_settings
from django.urls import reverse

from interlock.errors import ConfigError, StoreError
from interlock.hub.domain import accounts, second_factor
from interlock.hub.domain.second_factor import RECOVERY_CODES, STEP_S
from interlock.hub.login_keys import open_key
from interlock.hub.models import (
    ApiToken,
    AuditRow,
    OneTimeLink,
    RecoveryCode,
    RoleName,
    SecondFactor,
    User,
)
from interlock.hub.pages.proof import FRESH_S, sign_in_throttle
from interlock.hub.pages.second_step import HALF_WAY_S_MAX
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PASSWORD = "correct horse battery"
BEGAN_MS = 1_790_000_010_000
"""Ten seconds into a step of RFC 6238."""


@pytest.fixture(name="clock")
def _clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(wall_ms=BEGAN_MS)
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


def telephone_of(user: User) -> pyotp.TOTP:
    """An app that scanned the key."""
    sealed = bytes(SecondFactor.objects.get(user=user).sealed_key)
    return pyotp.TOTP(open_key(user, sealed))


def database() -> bytes:
    """Every value of every row of every table."""
    values = (
        value
        for table in apps.get_models(include_auto_created=True)
        for row in table._base_manager.values_list()
        for value in row
    )
    return b"\n".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
        for value in values
    )


def set_up(lab: PageLab, role: str = "owner") -> tuple[pyotp.TOTP, list[str]]:
    """The telephone of that person, and their recovery codes."""
    actor = Actor(django_settings.HUB_CLOCK, lab.users[role])
    second_factor.begin(actor, "Test lab")
    telephone = telephone_of(lab.users[role])
    return telephone, second_factor.confirm(actor, code_at(telephone))


def code_at(telephone: pyotp.TOTP, steps_later: int = 0) -> str:
    now_s = django_settings.HUB_CLOCK.wall_ms() // 1_000
    return telephone.at(now_s + steps_later * STEP_S)


def sign_in(lab: PageLab, role: str = "owner") -> Client:
    """A browser in which the right password was typed."""
    client = Client(headers={"accept-language": "en"})
    typed = {"email": f"{role}@example.org", "password": PASSWORD}
    assert client.post(reverse("login"), typed).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("my-sign-in")).status_code == 200


def give_code(client: Client, code: str) -> bool:
    """Whether the code signed them in."""
    client.post(reverse("second-step"), {"code": code})
    return is_in(client)


def test_without_a_second_factor_the_password_alone_signs_in(lab: PageLab) -> None:
    assert is_in(sign_in(lab))


def test_the_password_alone_is_no_login_once_a_telephone_counts(
    lab: PageLab, clock: VirtualClock
) -> None:
    telephone, _codes = set_up(lab)
    client = sign_in(lab)
    assert not is_in(client)
    clock.sleep(STEP_S)
    assert not give_code(client, "000000")
    assert give_code(client, code_at(telephone))


def test_a_code_works_once_also_in_another_browser(lab: PageLab, clock: VirtualClock) -> None:
    telephone, _codes = set_up(lab)
    clock.sleep(STEP_S)
    code = code_at(telephone)
    assert give_code(sign_in(lab), code)
    assert not give_code(sign_in(lab), code)
    # Nor does the one that was shown before it, although its time is not over.
    assert not give_code(sign_in(lab), code_at(telephone, -1))


@pytest.mark.parametrize(
    "steps, taken", [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_telephones_clock_may_be_one_step_off_and_no_more(
    lab: PageLab, clock: VirtualClock, steps: int, taken: bool
) -> None:
    telephone, _codes = set_up(lab)
    clock.sleep(10 * STEP_S)
    assert give_code(sign_in(lab), code_at(telephone, steps)) == taken


def test_a_recovery_code_works_once_and_is_stored_as_a_hash(lab: PageLab) -> None:
    _telephone, codes = set_up(lab)
    assert len(set(codes)) == RECOVERY_CODES
    assert RecoveryCode.objects.count() == RECOVERY_CODES
    stored = database()
    for code in codes:
        assert code.encode() not in stored
        assert code.replace("-", "").encode() not in stored
    assert give_code(sign_in(lab), codes[0].upper().replace("-", " "))
    assert not give_code(sign_in(lab), codes[0])
    assert give_code(sign_in(lab), codes[1])
    assert AuditRow.objects.filter(action="recovery_code_used").count() == 2


def test_guessing_codes_gets_slow_and_a_right_password_does_not_forget_it(
    lab: PageLab, clock: VirtualClock
) -> None:
    telephone, _codes = set_up(lab)
    clock.sleep(STEP_S)
    for _guess in range(5):
        assert not give_code(sign_in(lab), "000000")
    assert not give_code(sign_in(lab), code_at(telephone))
    clock.sleep(61)
    assert give_code(sign_in(lab), code_at(telephone))


def test_half_way_in_ends_after_a_while(lab: PageLab, clock: VirtualClock) -> None:
    telephone, _codes = set_up(lab)
    client = sign_in(lab)
    clock.sleep(HALF_WAY_S_MAX + 1)
    assert not give_code(client, code_at(telephone))


def test_a_link_that_sets_a_password_does_not_pass_the_telephone_by(lab: PageLab) -> None:
    set_up(lab, "accountant")
    token = accounts.create_link(
        console(), lab.small.lab, OneTimeLink.Purpose.SET_PASSWORD, lab.users["accountant"]
    )
    client = Client()
    new = {"password": "another horse battery", "again": "another horse battery"}
    answer = client.post(reverse("welcome", args=[token]), new)
    assert answer["Location"] == reverse("second-step")
    assert not is_in(client)


def test_the_key_is_nowhere_in_the_database_and_bound_to_its_person(lab: PageLab) -> None:
    set_up(lab)
    row = SecondFactor.objects.get()
    key = open_key(row.user, bytes(row.sealed_key))
    stored = database()
    assert bytes(row.sealed_key) in stored
    assert key.encode() not in stored
    assert base64.b32decode(key) not in stored
    with pytest.raises(StoreError):
        open_key(lab.users["manager"], bytes(row.sealed_key))


def test_the_page_sets_it_up_with_a_qr_code_and_shows_the_recovery_codes_once(
    lab: PageLab, clock: VirtualClock
) -> None:
    client = sign_in(lab)
    page = client.post(reverse("my-sign-in"), {"begin": "yes"}).content.decode()
    assert 'src="data:image/svg+xml' in page
    wrong = client.post(reverse("my-sign-in"), {"code": "000000"}).content.decode()
    assert "not the code" in wrong
    assert not second_factor.is_set(lab.users["owner"])
    code = code_at(telephone_of(lab.users["owner"]))
    made = client.post(reverse("my-sign-in"), {"code": code}).content.decode()
    codes = re.findall(r"(?:[a-z2-7]{4}-){3}[a-z2-7]{4}", made)
    assert len(codes) == RECOVERY_CODES
    assert codes[0] not in client.get(reverse("my-sign-in")).content.decode()
    assert second_factor.is_set(lab.users["owner"])
    client.post(reverse("my-sign-in"), {"take-away": "yes"})
    assert not second_factor.is_set(lab.users["owner"])


def test_a_lab_that_asks_for_it_shows_owners_and_accountants_nothing_else_first(
    lab: PageLab,
) -> None:
    owner = sign_in(lab)
    owner.post(reverse("demand-second-factor"), {"on": "yes"})
    lab.small.lab.refresh_from_db()
    assert not lab.small.lab.asks_second_factor  # who asks for it has one
    set_up(lab)
    owner.post(reverse("demand-second-factor"), {"on": "yes"})
    accountant, trainer = sign_in(lab, "accountant"), sign_in(lab, "trainer")
    assert accountant.get(reverse("board"))["Location"] == reverse("my-sign-in")
    assert accountant.post(reverse("billing-new-tariff"))["Location"] == reverse("my-sign-in")
    assert accountant.get(reverse("my-sign-in")).status_code == 200
    assert trainer.get(reverse("board")).status_code == 200
    set_up(lab, "accountant")
    assert accountant.get(reverse("board")).status_code == 200


def test_recovering_an_owner_ends_their_logins_and_their_second_factor(lab: PageLab) -> None:
    _telephone, codes = set_up(lab)
    thief = sign_in(lab)
    assert give_code(thief, codes[0])
    token = accounts.recover_owner(console(), lab.small.lab, "OWNER@example.org")
    assert not is_in(thief)
    client = Client()
    new = {"password": "another horse battery", "again": "another horse battery"}
    client.post(reverse("welcome", args=[token]), new)
    assert is_in(client)
    assert AuditRow.objects.filter(action="second_factor_removed", why__contains="console").exists()


def test_only_an_owner_is_recovered(lab: PageLab) -> None:
    with pytest.raises(ConfigError, match="owner@example"):
        accounts.recover_owner(console(), lab.small.lab, "manager@example.org")
    assert lab.users["manager"].has_usable_password()


def test_a_change_that_matters_asks_for_the_password_and_keeps_what_was_typed(
    lab: PageLab, clock: VirtualClock
) -> None:
    client = sign_in(lab)
    typed = {"name": "front <desk>", "scopes": ["members:read", "badges:read"], "days": "30"}
    assert is_in(client)
    clock.sleep(FRESH_S)
    asked = client.post(reverse("tokens"), typed).content.decode()
    assert "Is it you?" in asked
    assert 'name="scopes" value="badges:read"' in asked
    assert 'value="front &lt;desk&gt;"' in asked
    wrong = client.post(reverse("tokens"), {**typed, "proof_password": "no"}).content.decode()
    assert "not your password" in wrong
    assert ApiToken.objects.count() == 0
    client.post(reverse("tokens"), {**typed, "proof_password": PASSWORD})
    assert ApiToken.objects.get().scopes == ["members:read", "badges:read"]
    clock.sleep(FRESH_S - 1)
    client.post(reverse("tokens"), {**typed, "name": "second"})
    assert ApiToken.objects.count() == 2
    clock.sleep(1)
    client.post(reverse("tokens"), {**typed, "name": "third"})
    assert ApiToken.objects.count() == 2


def test_guessing_the_password_of_a_browser_left_open_gets_slow(
    lab: PageLab, clock: VirtualClock
) -> None:
    client = sign_in(lab)
    assert is_in(client)
    clock.sleep(FRESH_S)
    for _guess in range(6):
        client.post(reverse("tokens"), {"proof_password": "no"})
    last = client.post(reverse("tokens"), {"proof_password": PASSWORD}).content.decode()
    assert "Too many wrong tries" in last


def test_the_demo_signs_in_without_a_telephone(lab: PageLab) -> None:
    for role in RoleName:
        assert is_in(sign_in(lab, role.value))


def test_a_sealed_key_needs_the_file_outside_the_database(lab: PageLab, tmp_path: Path) -> None:
    set_up(lab)
    key_file = django_settings.HUB.keys / "card.key"
    kept = key_file.read_bytes()
    try:
        key_file.write_text("00" * 32)
        assert not second_factor.proves(lab.users["owner"], "123456", console())
    finally:
        key_file.write_bytes(kept)
