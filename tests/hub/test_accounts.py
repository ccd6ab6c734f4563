"""Who may set whose password, and who counts as an owner: nobody gets into another lab that way."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied

from interlock.errors import ConfigError
from interlock.hub.domain import accounts
from interlock.hub.models import AuditRow, OneTimeLink, Role, RoleName, User
from interlock.hub.permissions import Actor
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PASSWORD = "correct horse battery"
SET_PASSWORD = OneTimeLink.Purpose.SET_PASSWORD


def login(lab: SmallLab, name: str, role: RoleName, password: str | None = PASSWORD) -> User:
    user = accounts.create_user(f"{name}@example.org", name, password)
    accounts.give_role(console(), lab.lab, user, role)
    return user


def link(lab: SmallLab, user: User | None, by: User | None = None) -> str:
    return accounts.create_link(Actor(console().clock, by), lab.lab, SET_PASSWORD, user)


def test_an_owner_sets_no_password_of_somebody_who_has_no_role_in_their_lab() -> None:
    a, b = small_lab(), small_lab(slug="b")
    owner, stranger = login(a, "ann", RoleName.OWNER), login(b, "bob", RoleName.MEMBER)
    for by in (owner, None):
        with pytest.raises(ConfigError, match="no role in this lab"):
            link(a, stranger, by)
        with pytest.raises(ConfigError, match="no role in this lab"):
            link(a, None, by)
    assert not OneTimeLink.objects.exists()
    assert not AuditRow.objects.filter(action="link_created").exists()


def test_an_owner_sets_no_password_that_opens_a_lab_where_they_are_not_owner() -> None:
    a, b = small_lab(), small_lab(slug="b")
    owner, both = login(a, "ann", RoleName.OWNER), login(a, "bob", RoleName.MEMBER)
    accounts.give_role(console(), b.lab, both, RoleName.MEMBER)
    accounts.give_role(console(), b.lab, owner, RoleName.MANAGER)
    with pytest.raises(PermissionDenied):
        link(a, both, owner)
    accounts.give_role(console(), b.lab, owner, RoleName.OWNER)
    assert link(a, both, owner)


def test_a_link_made_before_somebody_joined_another_lab_is_void() -> None:
    a, b = small_lab(), small_lab(slug="b")
    owner, user = login(a, "ann", RoleName.OWNER), login(a, "bob", RoleName.MEMBER)
    token = link(a, user, owner)
    accounts.give_role(console(), a.lab, user, RoleName.TRAINER)
    assert accounts.find_link(token, console().clock) is not None
    accounts.give_role(console(), b.lab, user, RoleName.OWNER)
    assert accounts.find_link(token, console().clock) is None


@pytest.mark.parametrize("other", ["without a password", "switched off"])
def test_the_last_owner_who_can_sign_in_keeps_the_role(other: str) -> None:
    lab = small_lab()
    owner = login(lab, "ann", RoleName.OWNER)
    second = login(lab, "bob", RoleName.OWNER, None if other == "without a password" else PASSWORD)
    User.objects.filter(pk=second.pk).update(is_active=other != "switched off")
    role = Role.objects.get(user=owner)
    with pytest.raises(ConfigError, match="at least one"):
        accounts.take_role(console(), role)
    accounts.take_role(console(), Role.objects.get(user=second))
    third = login(lab, "eve", RoleName.OWNER)
    accounts.take_role(console(), role)
    assert [one.user for one in Role.objects.filter(name=RoleName.OWNER)] == [third]


def test_a_user_who_is_owner_twice_over_is_still_one_owner_a_lab() -> None:
    a, b = small_lab(), small_lab(slug="b")
    owner = login(a, "ann", RoleName.OWNER)
    accounts.give_role(console(), b.lab, owner, RoleName.OWNER)
    with pytest.raises(ConfigError, match="at least one"):
        accounts.take_role(console(), Role.objects.get(user=owner, lab=b.lab))
