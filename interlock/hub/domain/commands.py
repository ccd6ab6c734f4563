"""A person's wish to a signed command that waits for one node, and the node's answer to its row.

Locking out and clearing that are no commands but demands of the list of rights (machines.lock_out; decision
0010). Nothing here gives power.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from interlock.errors import ConfigError, ProtocolError
from interlock.hub.changes import log_change, log_deed
from interlock.hub.models import Command, Node, Topic
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.timeline import moment
from interlock.protocol import commands as protocol
from interlock.protocol.commands import CommandKind
from interlock.protocol.hubapi import ANSWER_LENGTH_MAX, COMMANDS_MAX

LIFE_S = {
    CommandKind.MESSAGE: 900,
    CommandKind.IDENTIFY: 60,
    CommandKind.END_SESSION: 300,
    CommandKind.CUT_NOW: 60,
    CommandKind.DIAGNOSE: 900,
}
"""How long each makes sense: a cut that arrives a minute late would hit somebody else's work."""


@transaction.atomic
def send_command(actor: Actor, node: Node, kind: CommandKind, text: str = "") -> Command:
    """The command waits for the node, which hears of it within a second when it is connected. Raises ConfigError."""
    require(actor, node.lab, Permission.LOCK_OUT)
    text = text.strip()
    if node.revoked_at is not None:
        raise ConfigError(_("this node was revoked"), where=node.slug)
    if (kind is CommandKind.MESSAGE) != bool(text):
        raise ConfigError(_("a message needs a text, and nothing else has one"), where=node.slug)
    if len(text) > protocol.TEXT_LENGTH_MAX or not text.isprintable():
        raise ConfigError(
            _("a message is one line of at most %(length)d characters")
            % {"length": protocol.TEXT_LENGTH_MAX},
            where=node.slug,
        )
    at = actor.now()
    if _waiting(at).filter(node=node).count() >= COMMANDS_MAX:
        raise ConfigError(_("too many commands wait for this machine already"), where=node.slug)
    issued_at = int(at.timestamp())
    number = secrets.token_bytes(protocol.NUMBER_BYTES)
    signed = protocol.signed_command(
        settings.HUB.signing_key(),
        protocol.Command(
            lab=node.lab.slug,
            node=node.slug,
            number=number,
            kind=kind,
            issued_at=issued_at,
            expires_at=issued_at + LIFE_S[kind],
            text=text,
        ),
    )
    command = Command.objects.create(
        lab=node.lab,
        node=node,
        number=number.hex(),
        kind=kind.value,
        text=text,
        by=actor.name,
        issued_at=at,
        expires_at=at + timedelta(seconds=LIFE_S[kind]),
        signed=protocol.message_bytes(signed),
    )
    after = {"command": kind.value, "text": text}
    log_deed(actor, node.lab, Topic.USE, "command_sent", node.slug, after=after)
    return command


def waiting_commands(wall_ms: int, node: Node | None = None) -> dict[int, tuple[bytes, ...]]:
    """By node (all, or that one): the signed commands that nobody has answered yet and that are still valid."""
    waiting: dict[int, list[bytes]] = defaultdict(list)
    rows = _waiting(moment(wall_ms)).filter(node__revoked_at=None).order_by("issued_at", "pk")
    if node is not None:
        rows = rows.filter(node=node)
    for told, signed in rows.values_list("node", "signed"):
        waiting[told].append(bytes(signed))
    return {told: tuple(signed) for told, signed in waiting.items()}


@transaction.atomic
def note_answer(node: Node, number: str, *, done: bool, answer: str, at: datetime) -> None:
    """What the node made of a command is in its row; a repeated answer changes nothing. Raises ProtocolError."""
    command = Command.objects.select_for_update().filter(node=node, number=number).first()
    if command is None:
        raise ProtocolError("no command of that number was given to this node")
    if command.state != Command.State.WAITING:
        return
    command.state = Command.State.DONE if done else Command.State.REFUSED
    command.answered_at, command.answer = at, answer[:ANSWER_LENGTH_MAX]
    command.save(update_fields=["state", "answered_at", "answer"])
    log_change(node.lab, Topic.USE, "command_answered", node.slug, at)


def _waiting(at: datetime) -> QuerySet[Command]:
    return Command.objects.filter(state=Command.State.WAITING, expires_at__gt=at)
