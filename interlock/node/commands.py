"""A command of the hub in, verified and carried out once; what became of it out. None of them gives power.

Less power acts first and is remembered after (a cut that comes twice cuts nothing); what is merely shown is
remembered first. Numbers are kept in the journal, so that no restart makes a replay good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from interlock.core.effects import Message
from interlock.core.events import CutRequested, EndRequested, Event, NoticeGiven
from interlock.core.model import Now
from interlock.errors import LinkError, ProtocolError
from interlock.node.journal_facts import Marks
from interlock.protocol.commands import Command, CommandKind, open_command

MESSAGE_MS = 60_000
"""Long enough to be read by whoever looks up within a minute."""
IDENTIFY_MS = 30_000
"""Long enough to walk through a workshop."""
KEPT_S = 86_400
"""Numbers are remembered for a day after they expired: the node's clock may be set back meanwhile."""
KEPT_MAX = 512
"""A day of a hub that sends one every three minutes; more are refused, never forgotten."""


class Memory(Protocol):
    """What of the journal worker is needed here."""

    def remembered(self) -> Marks:
        """The marks as they are on the disk."""

    def remember(self, commands: tuple[tuple[str, int], ...]) -> object:
        """The numbers are on the disk. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The door for the hub's commands; `tell` hands an event to the loop, `diagnose` says how the node is."""

    hub_key: Ed25519PublicKey
    lab: str
    node: str
    now: Callable[[], Now]
    memory: Memory
    tell: Callable[[Event], object]
    diagnose: Callable[[], str]

    def carry_out(self, message: Mapping[str, Any]) -> str:
        """What the hub is told of it. Raises ProtocolError: refused; LinkError, StoreError: not now."""
        now = self.now()
        if now.wall_at is None or not now.wall_trusted:
            raise LinkError("the hub has not told the time yet", where="command")
        command = open_command(
            message, self.hub_key, lab=self.lab, node=self.node, now_at=now.wall_at
        )
        kept = tuple(
            (number, until)
            for number, until in self.memory.remembered().commands
            if until + KEPT_S >= now.wall_at
        )
        number = command.number.hex()
        if any(number == one for one, _ in kept):
            return "it was carried out before, and not again"
        if len(kept) >= KEPT_MAX:
            raise ProtocolError("too many commands came in one day", where="command")
        kept = (*kept, (number, command.expires_at))
        event = event_of(command)
        if isinstance(event, CutRequested | EndRequested):
            self.tell(event)
            self.memory.remember(kept)
            return ""
        self.memory.remember(kept)
        if event is None:
            return self.diagnose()
        self.tell(event)
        return ""


def event_of(command: Command) -> Event | None:
    """What the loop is told of a command; None: nothing, it only wants an answer."""
    match command.kind:
        case CommandKind.CUT_NOW:
            return CutRequested()
        case CommandKind.END_SESSION:
            return EndRequested()
        case CommandKind.MESSAGE:
            return NoticeGiven(Message.FROM_HUB, command.text, MESSAGE_MS)
        case CommandKind.IDENTIFY:
            return NoticeGiven(Message.IDENTIFY, None, IDENTIFY_MS)
        case CommandKind.DIAGNOSE:
            return None
