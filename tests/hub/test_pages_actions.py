"""Two clicks change a right: the domain's change, its audit row, and the words that come back."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from interlock.core.model import Level
from interlock.hub.domain.trainings import create_training, grant_training
from interlock.hub.models import AuditRow, Authorisation, Badge, Machine, Member
from interlock.hub.snapshots import current_version
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def press(client: Client, name: str, *args: object, **fields: str) -> str:
    """Press the button and read the page it leads to."""
    answer = client.post(reverse(name, args=args), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def held(lab: PageLab) -> list[str]:
    live = Authorisation.objects.filter(member=lab.small.member, revoked_at=None)
    return sorted(live.values_list("training__slug", flat=True))


def last_deed() -> tuple[str, str, str]:
    row = AuditRow.objects.latest("seq")
    return (row.action, row.actor, row.why)


def test_revoking_and_granting_a_training_is_two_buttons_and_changes_what_nodes_decide_by() -> None:
    lab = page_lab()
    member, node = lab.small.member, lab.small.enrolled.node
    client = lab.client("owner")
    before = current_version(node)
    page = press(client, "revoke-training", member.public_id, "saw-basics")
    assert held(lab) == []
    assert "is revoked" in page
    assert "Still to do: the training “Table saw”." in page
    assert last_deed() == ("training_revoked", "Some owner", "")
    assert current_version(node) > before
    page = press(client, "grant-training", member.public_id, training="saw-basics")
    assert held(lab) == ["saw-basics"]
    assert "May use it." in page
    assert last_deed() == ("training_granted", "Some owner", "")


def test_a_trainer_grants_what_they_teach_and_is_offered_nothing_else() -> None:
    lab = page_lab()
    small = lab.small
    create_training(console(), small.lab, "laser", "Laser cutting")
    link_to_member(lab, "trainer", small.member)
    grant_training(console(), small.member, small.training, Level.TRAINER.value)
    other = Member.objects.create(lab=small.lab, public_id="beef", name="Zoé Petit")
    client = lab.client("trainer")
    page = client.get(reverse("member", args=["beef"])).content.decode()
    assert 'value="saw-basics"' in page
    assert 'value="laser"' not in page
    press(client, "grant-training", "beef", training="saw-basics")
    assert [a.training.slug for a in other.authorisations.all()] == ["saw-basics"]
    refused = client.post(reverse("grant-training", args=["beef"]), {"training": "laser"})
    assert refused.status_code == 403
    assert other.authorisations.count() == 1


def test_a_missing_prerequisite_is_said_and_changes_nothing() -> None:
    lab = page_lab()
    small = lab.small
    first = create_training(console(), small.lab, "safety", "Safety")
    create_training(console(), small.lab, "lathe", "Lathe", prerequisite=first)
    before = AuditRow.objects.count()
    page = press(lab.client("owner"), "grant-training", small.member.public_id, training="lathe")
    assert "Ada Martin has to be trained for “Safety” first." in page
    assert 'data-level="error"' in page
    assert held(lab) == ["saw-basics"]
    assert AuditRow.objects.count() == before


@pytest.mark.parametrize("condition", ["lost", "stolen", "retired"])
def test_a_blocked_badge_opens_nothing_and_says_why(condition: str) -> None:
    lab = page_lab()
    badge = lab.small.badge
    page = press(lab.client("owner"), "block-badge", badge.pk, condition=condition)
    assert Badge.objects.get(pk=badge.pk).condition == condition
    assert "“blue key ring” is blocked" in page
    assert "The badge is blocked." in page
    assert last_deed()[0] == "badge_blocked"


@pytest.mark.parametrize("condition", ["", "active", "eaten"])
def test_a_badge_is_not_blocked_without_a_reason_that_exists(condition: str) -> None:
    lab = page_lab()
    badge = lab.small.badge
    before = AuditRow.objects.count()
    where = reverse("block-badge", args=[badge.pk])
    answer = lab.client("owner").post(where, {"condition": condition}, follow=True)
    assert answer.status_code == (200 if condition == "active" else 404)
    assert Badge.objects.get(pk=badge.pk).condition == "active"
    assert AuditRow.objects.count() == before


def test_a_suspended_member_may_use_nothing_until_let_back_in() -> None:
    lab = page_lab()
    member = lab.small.member
    client = lab.client("manager")
    page = press(client, "suspend-member", member.public_id, why="left the saw dirty")
    assert last_deed() == ("member_suspended", "Some manager", "left the saw dirty")
    assert Member.objects.get(pk=member.pk).status == "suspended"
    assert "Suspended: no machine starts." in page
    assert "May use it." not in page
    page = press(client, "reinstate-member", member.public_id)
    assert Member.objects.get(pk=member.pk).status == "active"
    assert "May use it." in page


def test_a_machine_is_locked_out_with_a_reason_and_given_back() -> None:
    lab = page_lab()
    client = lab.client("technician")
    page = press(client, "lock-out", "saw", why="blade is blunt")
    machine = Machine.objects.get(slug="saw")
    assert machine.locked_out_at is not None
    assert machine.locked_out_why == "blade is blunt"
    assert "Table saw is locked out as soon as its node confirms." in page
    press(client, "clear-lock-out", "saw")
    assert Machine.objects.get(slug="saw").locked_out_at is None


def test_a_lock_out_without_a_reason_is_refused_in_words() -> None:
    lab = page_lab()
    page = press(lab.client("owner"), "lock-out", "saw", why="   ")
    assert Machine.objects.get(slug="saw").locked_out_at is None
    assert "Say why, for those who stand in front of it." in page


def test_a_button_pressed_twice_is_answered_with_words() -> None:
    lab = page_lab()
    member = lab.small.member.public_id
    client = lab.client("owner")
    press(client, "revoke-training", member, "saw-basics")
    before = AuditRow.objects.count()
    page = press(client, "revoke-training", member, "saw-basics")
    assert "They do not hold this training." in page
    assert AuditRow.objects.count() == before


def forms(lab: PageLab) -> set[str]:
    member = lab.small.member.public_id
    return {
        reverse("suspend-member", args=[member]),
        reverse("grant-training", args=[member]),
        reverse("revoke-training", args=[member, "saw-basics"]),
        reverse("block-badge", args=[lab.small.badge.pk]),
    }


@pytest.mark.parametrize(("role", "number"), [("owner", 4), ("trainer", 0), ("accountant", 0)])
def test_only_who_may_change_a_member_is_offered_the_buttons(role: str, number: int) -> None:
    lab = page_lab()
    create_training(console(), lab.small.lab, "laser", "Laser cutting")
    page = lab.client(role).get(reverse("member", args=[lab.small.member.public_id]))
    offered = {where for where in forms(lab) if where in page.content.decode()}
    assert len(offered) == number
