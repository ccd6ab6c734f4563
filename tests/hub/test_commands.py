"""Commands wait for their node, are answered once, and what a person may not ask is refused."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings

from interlock.errors import ConfigError, InterlockError, ProtocolError
from interlock.hub.domain import machines, nodes
from interlock.hub.domain.commands import LIFE_S, note_answer, send_command, waiting_commands
from interlock.hub.models import AuditRow, Command
from interlock.hub.permissions import Actor
from interlock.protocol.commands import LIFE_S_MAX, TEXT_LENGTH_MAX, CommandKind, open_command
from interlock.protocol.hubapi import COMMANDS_MAX
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def opened(lab: SmallLab, signed: bytes, now_at: int | None = None) -> CommandKind:
    keys = lab.enrolled.keys
    now_at = settings.HUB_CLOCK.wall_ms() // 1_000 if now_at is None else now_at
    message = json.loads(signed)
    return open_command(message, keys.hub_key(), lab=keys.lab, node=keys.node, now_at=now_at).kind


@pytest.mark.parametrize("kind", list(CommandKind))
def test_a_command_waits_signed_for_its_node_and_is_in_the_audit(kind: CommandKind) -> None:
    lab = small_lab()
    text = "Please tidy up" if kind is CommandKind.MESSAGE else ""
    send_command(console(), lab.enrolled.node, kind, text)
    waiting = waiting_commands(settings.HUB_CLOCK.wall_ms())
    ((signed,),) = (waiting[lab.enrolled.node.pk],)
    assert opened(lab, signed) is kind
    assert AuditRow.objects.filter(action="command_sent", subject=lab.enrolled.node.slug).exists()


def test_an_answered_command_waits_no_longer_and_the_first_answer_counts() -> None:
    lab = small_lab()
    node = lab.enrolled.node
    command = send_command(console(), node, CommandKind.DIAGNOSE)
    at = console().now()
    note_answer(node, command.number, done=True, answer='{"ok":true}', at=at)
    note_answer(node, command.number, done=False, answer="again", at=at)
    assert waiting_commands(settings.HUB_CLOCK.wall_ms()) == {}
    command.refresh_from_db()
    assert (command.state, command.answer) == (Command.State.DONE, '{"ok":true}')


def test_another_node_cannot_answer_a_command() -> None:
    lab, elsewhere = small_lab(), small_lab(slug="other")
    laser = machines.create_machine(console(), lab.lab, "laser", "Laser")
    beside = nodes.enrol_node(console(), laser, HUB_URL)
    command = send_command(console(), lab.enrolled.node, CommandKind.CUT_NOW)
    for other in (beside.node, elsewhere.enrolled.node):
        with pytest.raises(ProtocolError, match="no command"):
            note_answer(other, command.number, done=True, answer="", at=console().now())
        command.refresh_from_db()
        assert command.state == Command.State.WAITING


def test_an_expired_command_is_no_longer_given_to_anybody() -> None:
    lab = small_lab()
    for kind in CommandKind:
        assert 0 < LIFE_S[kind] <= LIFE_S_MAX
    command = send_command(console(), lab.enrolled.node, CommandKind.CUT_NOW)
    late_ms = settings.HUB_CLOCK.wall_ms() + LIFE_S[CommandKind.CUT_NOW] * 1_000 + 2_000
    assert waiting_commands(late_ms) == {}
    with pytest.raises(ProtocolError, match="expired"):
        opened(lab, bytes(command.signed), late_ms // 1_000)
    Command.objects.update(expires_at=command.issued_at - timedelta(days=1))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (CommandKind.MESSAGE, ""),
        (CommandKind.MESSAGE, "x" * (TEXT_LENGTH_MAX + 1)),
        (CommandKind.MESSAGE, "two\nlines"),
        (CommandKind.IDENTIFY, "with words"),
    ],
)
def test_a_command_that_no_node_could_read_is_not_signed(kind: CommandKind, text: str) -> None:
    lab = small_lab()
    with pytest.raises(ConfigError):
        send_command(console(), lab.enrolled.node, kind, text)
    assert not Command.objects.exists()


def test_only_so_many_wait_for_one_node() -> None:
    lab = small_lab()
    for _ in range(COMMANDS_MAX):
        send_command(console(), lab.enrolled.node, CommandKind.IDENTIFY)
    with pytest.raises(ConfigError, match="too many"):
        send_command(console(), lab.enrolled.node, CommandKind.IDENTIFY)


def test_nobody_commands_a_revoked_node_nor_without_the_permission() -> None:
    lab = small_lab()
    stranger = Actor(settings.HUB_CLOCK, user=None, label="")
    if stranger.user is not None:
        with pytest.raises(InterlockError):
            send_command(stranger, lab.enrolled.node, CommandKind.CUT_NOW)
    nodes.revoke_node(console(), lab.enrolled.node, "stolen")
    with pytest.raises(ConfigError, match="revoked"):
        send_command(console(), lab.enrolled.node, CommandKind.CUT_NOW)
