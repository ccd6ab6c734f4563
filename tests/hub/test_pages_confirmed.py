"""Which machines still decide by older rights: never called confirmed before their nodes said so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from interlock.hub.domain import machines, trainings
from interlock.hub.domain.nodes import enrol_node, revoke_node
from interlock.hub.models import Machine, Node
from interlock.hub.snapshots import current_version
from tests.hub.lab import HUB_URL, console
from tests.hub.page_lab import page_lab
from tests.hub.test_pages_show import hear_from_node, text

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def test_a_node_that_has_not_confirmed_its_rights_is_named_late() -> None:
    lab = page_lab()
    epoch, counter = current_version(lab.small.enrolled.node)
    Node.objects.update(confirmed_epoch=epoch, confirmed_counter=counter)
    assert f"{epoch}.{counter}, confirmed" in text(lab, "owner", "machine", "saw")
    trainings.revoke_training(console(), lab.small.member.authorisations.get())
    newer = current_version(lab.small.enrolled.node)
    page = text(lab, "owner", "machine", "saw")
    assert f"{epoch}.{counter}; {newer[0]}.{newer[1]} is not confirmed yet" in page


def test_the_machines_page_never_calls_confirmed_what_the_list_of_machines_does_not() -> None:
    """The new list is not signed yet: the node has confirmed the newest that exists, and that is old."""
    lab = page_lab()
    epoch, counter = current_version(lab.small.enrolled.node)
    Node.objects.update(confirmed_epoch=epoch, confirmed_counter=counter)
    trainings.revoke_training(console(), lab.small.member.authorisations.get())
    page = text(lab, "owner", "machine", "saw")
    assert f"{epoch}.{counter}, confirmed" not in page
    assert f"{epoch}.{counter}; the newest list is not confirmed yet" in page
    assert "Not confirmed yet." in text(lab, "owner", "confirmations")


def test_a_lock_out_says_beside_itself_whether_the_node_has_confirmed_it() -> None:
    lab = page_lab()
    hear_from_node(lab)
    node = lab.small.enrolled.node

    def confirm() -> None:
        epoch, counter = current_version(node)
        Node.objects.update(confirmed_epoch=epoch, confirmed_counter=counter)

    def said() -> list[bool]:
        page = text(lab, "trainer", "machine-state", "saw")
        return ["has not confirmed the lock-out yet" in page, "has confirmed the lock-out" in page]

    confirm()
    history = [said()]
    machines.lock_out(console(), lab.small.machine, "blade cracked")
    history.append(said())
    current_version(node)
    history.append(said())
    confirm()
    history.append(said())
    assert history == [[False, False], [True, False], [True, False], [False, True]]


def test_a_revocation_is_not_called_done_before_the_node_has_said_so() -> None:
    lab = page_lab()
    node = lab.small.enrolled.node

    def confirmed() -> bool:
        page = text(lab, "owner", "confirmations")
        assert ("Not confirmed yet." in page) == ("<strong>Table saw</strong>" in page)
        return "Every machine has confirmed the current rights." in page

    def confirm() -> None:
        epoch, counter = current_version(node)
        Node.objects.update(confirmed_epoch=epoch, confirmed_counter=counter)

    history = [confirmed()]
    confirm()
    history.append(confirmed())
    trainings.revoke_training(console(), lab.small.member.authorisations.get())
    # The new list is not even signed: what the node confirmed before says nothing.
    history.append(confirmed())
    current_version(node)
    history.append(confirmed())
    confirm()
    history.append(confirmed())
    assert history == [False, True, False, False, True]


def test_a_revoked_node_counts_as_unconfirmed_until_another_confirms_in_its_place() -> None:
    """Its Pi may still stand at the machine, with the list that it had."""
    lab = page_lab()
    hear_from_node(lab)
    node = lab.small.enrolled.node

    def said() -> list[bool]:
        page = text(lab, "owner", "confirmations")
        sentences = (
            "its revoked node may still decide until",
            "never heard of yet",
            "Every machine has confirmed the current rights.",
        )
        return [sentence in page for sentence in sentences]

    def confirm(confirmed: Node) -> None:
        epoch, counter = current_version(confirmed)
        Node.objects.filter(pk=confirmed.pk).update(
            confirmed_epoch=epoch, confirmed_counter=counter
        )

    confirm(node)
    history = [said()]
    revoke_node(console(), node, "swap")
    history.append(said())
    again = enrol_node(console(), lab.small.machine, HUB_URL).node
    history.append(said())
    confirm(again)
    history.append(said())
    assert history == [
        [False, False, True],
        [True, False, False],
        [True, True, False],
        [False, False, True],
    ]


@pytest.mark.parametrize(("offline_days", "listed_days"), [(3, 3), (None, 30)])
def test_a_revoked_node_is_named_as_long_as_any_node_believes_its_list(
    offline_days: int | None, listed_days: int
) -> None:
    lab = page_lab()
    hear_from_node(lab)
    Machine.objects.update(max_offline_s=offline_days and offline_days * 86_400)
    revoke_node(console(), lab.small.enrolled.node, "swap")
    listed = []
    for days in (listed_days - 0.01, listed_days + 0.01):
        Node.objects.update(revoked_at=console().now() - timedelta(days=days))
        listed.append("revoked node may" in text(lab, "owner", "confirmations"))
    assert listed == [True, False]


def test_a_revoked_node_that_never_spoke_has_no_list_to_decide_by() -> None:
    lab = page_lab()
    revoke_node(console(), lab.small.enrolled.node, "never used")
    assert "Every machine has confirmed" in text(lab, "owner", "confirmations")


def test_the_list_of_unconfirmed_machines_says_when_each_was_last_heard() -> None:
    lab = page_lab()
    member = lab.small.member.public_id
    assert "never heard of yet" in text(lab, "owner", "member", member)
    hear_from_node(lab)
    assert "last contact just now" in text(lab, "owner", "member", member)
