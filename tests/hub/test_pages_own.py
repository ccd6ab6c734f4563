"""A member's own page: what they pay, where to go from there, and their lost badge; nobody else's."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from interlock.errors import ConfigError
from interlock.hub.domain import members, passes
from interlock.hub.domain import payers as payer_deeds
from interlock.hub.models import AuditRow, Badge, BadgeCondition, PassKind
from interlock.hub.permissions import Actor
from tests.hub.billing_lab import BillingLab, billing_lab
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def own_page(pages: PageLab, role: str = "member") -> str:
    return text(pages.client(role), reverse("me"))


def text(client: Client, where: str) -> str:
    answer = client.get(where, follow=True)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\N{NO-BREAK SPACE}", " ").split())


def as_ada(role: str = "member") -> PageLab:
    """The login of that role is Ada's."""
    pages = page_lab()
    link_to_member(pages, role, pages.small.member)
    return pages


def lost(badge: Badge) -> str:
    return reverse("badge-lost", args=[badge.pk])


def condition(badge: Badge) -> str:
    return str(Badge.objects.get(pk=badge.pk).condition)


def test_a_lost_badge_is_blocked_only_after_the_page_that_says_what_happens() -> None:
    pages = as_ada()
    badge, client = pages.small.badge, pages.client("member")
    assert lost(badge) in own_page(pages)
    said = text(client, lost(badge))
    assert "You have no other badge that works" in said
    assert condition(badge) == BadgeCondition.ACTIVE
    assert client.post(lost(badge), {"lost": ""}).status_code == 302
    assert condition(badge) == BadgeCondition.LOST
    assert AuditRow.objects.latest("pk").action == "own_badge_blocked"
    assert lost(badge) not in own_page(pages)


def test_the_page_of_a_lost_badge_names_the_badges_that_go_on_working() -> None:
    pages = as_ada()
    members.assign_badge(console(), pages.small.member, b"\x04\x01\x02\x03", "red card")
    assert "red card" in text(pages.client("member"), lost(pages.small.badge))


@pytest.mark.parametrize("role", ["member", "trainer", "owner"])
def test_whoever_looks_blocks_no_badge_of_another_on_their_own_page(role: str) -> None:
    pages = as_ada(role)
    other = members.create_member(console(), pages.small.lab, "Bob Leroy")
    badge = members.assign_badge(console(), other, b"\x04\x01\x02\x03", "red card")
    for method in ("get", "post"):
        assert getattr(pages.client(role), method)(lost(badge)).status_code == 404
    assert condition(badge) == BadgeCondition.ACTIVE
    with pytest.raises(PermissionDenied):
        members.block_own_badge(
            Actor(console().clock, pages.users[role]), badge, BadgeCondition.LOST
        )
    assert condition(badge) == BadgeCondition.ACTIVE


@pytest.mark.parametrize("wanted", [BadgeCondition.ACTIVE, BadgeCondition.RETIRED])
def test_a_member_calls_their_badge_lost_or_stolen_and_nothing_else(wanted: BadgeCondition) -> None:
    pages = as_ada()
    with pytest.raises(ConfigError):
        members.block_own_badge(
            Actor(console().clock, pages.users["member"]), pages.small.badge, wanted
        )
    assert condition(pages.small.badge) == BadgeCondition.ACTIVE


def test_a_member_changes_nothing_about_a_badge_that_staff_blocked() -> None:
    pages = as_ada()
    members.block_badge(console(), pages.small.badge, BadgeCondition.RETIRED)
    pages.client("member").post(lost(pages.small.badge), {"stolen": ""})
    assert condition(pages.small.badge) == BadgeCondition.RETIRED


def test_a_member_still_blocks_no_badge_by_the_way_of_the_staff() -> None:
    pages = as_ada()
    where = reverse("block-badge", args=[pages.small.badge.pk])
    assert pages.client("member").post(where, {"condition": "lost"}).status_code == 403
    assert condition(pages.small.badge) == BadgeCondition.ACTIVE


def test_who_pays_for_themselves_sees_their_passes_and_what_is_not_billed_yet() -> None:
    made = billing_lab(sessions=1)
    link_to_member(made.pages, "member", made.ada)
    said = own_page(made.pages)
    assert "So far €18.00 is not on a statement yet." in said
    payer = made.ada.payer
    assert payer is not None
    passes.sell_pass(console(), payer, PassKind.TIME, "Ten hours", 36_000, receipt="R-1")
    said = own_page(made.pages)
    assert "Ten hours" in said
    assert "10 h 00 of 10 h 00 left" in said


def test_who_works_for_a_company_sees_that_it_pays_and_no_sum_of_it() -> None:
    made = paid_by_the_firm()
    said = own_page(made.pages)
    assert "Łukasz &amp; Fils pays for what you use." in said
    assert "not on a statement yet" not in said


def paid_by_the_firm() -> BillingLab:
    made = billing_lab(sessions=1)
    link_to_member(made.pages, "member", made.ada)
    members.change_member(console(), made.ada, payer=made.firm)
    payer_deeds.change_payer(console(), made.firm, order_reference="PO-7")
    return made


def test_from_their_page_members_reach_what_is_theirs() -> None:
    said = own_page(as_ada())
    for name in ("my-volunteering", "my-mail", "my-data", "my-sign-in"):
        assert f'href="{reverse(name)}"' in said


def test_staff_who_look_at_somebody_see_no_account_of_theirs() -> None:
    pages = page_lab()
    where = reverse("member", args=[pages.small.member.public_id])
    said = text(pages.client("owner"), where)
    assert "My account" not in said
    assert lost(pages.small.badge) not in said
