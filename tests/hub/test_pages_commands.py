"""Buttons of the machine's page: each becomes a signed command for its node, or nothing."""

from __future__ import annotations

import pytest
from django.urls import reverse

from interlock.hub.domain.commands import note_answer
from interlock.hub.models import Command
from interlock.protocol.commands import CommandKind
from tests.hub.lab import console
from tests.hub.page_lab import page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


@pytest.mark.parametrize("kind", list(CommandKind))
def test_a_button_is_a_command_and_its_answer_stands_on_the_page(kind: CommandKind) -> None:
    lab = page_lab()
    client, slug = lab.client("owner"), lab.small.machine.slug
    fields = {"command": kind.value, "text": "Tidy up"}
    page = client.post(reverse("command", args=[slug]), fields, follow=True).content.decode()
    assert "its answer appears below" in page
    assert "waiting" in page
    command = Command.objects.get()
    assert (command.kind, command.by) == (kind.value, "Some owner")
    assert command.text == ("Tidy up" if kind is CommandKind.MESSAGE else "")
    node, at = lab.small.enrolled.node, console().now()
    note_answer(node, command.number, done=False, answer="it has expired", at=at)
    page = client.get(reverse("machine", args=[slug])).content.decode()
    assert "refused by the node" in page
    assert "it has expired" in page


@pytest.mark.parametrize("role", ["trainer", "member"])
def test_who_may_not_lock_out_sees_no_button_and_sends_nothing(role: str) -> None:
    lab = page_lab()
    client, slug = lab.client(role), lab.small.machine.slug
    assert "At the machine, now" not in client.get(reverse("machine", args=[slug])).content.decode()
    answer = client.post(reverse("command", args=[slug]), {"command": "cut_now"})
    assert answer.status_code == 403
    assert not Command.objects.exists()


def test_a_command_that_does_not_exist_is_not_found() -> None:
    lab = page_lab()
    slug = lab.small.machine.slug
    answer = lab.client("owner").post(reverse("command", args=[slug]), {"command": "close_relay"})
    assert answer.status_code == 404
    assert not Command.objects.exists()
