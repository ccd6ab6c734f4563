"""Signed commands of the hub in, handed to the node; what became of each back to the hub.

The node verifies them and remembers their numbers; what is remembered here only spares it the same question
while the hub has not heard the answer yet.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from interlock.errors import ProtocolError
from interlock.protocol import fields
from interlock.protocol.hubapi import ANSWER_LENGTH_MAX
from interlock.sync.links import HubLink, No, NodeLink, Wire, said_by

log = logging.getLogger(__name__)

REMEMBERED_MAX = 64
"""Commands whose answers may have to be told again: four times what may wait for a node."""


class Answers:
    """What the node said to the last commands, by number; shared by the threads that carry them."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, tuple[bool, str]] = OrderedDict()

    def known(self, number: str) -> tuple[bool, str] | None:
        """Whether the command was carried out, and the node's words."""
        return self._said.get(number)

    def note(self, number: str, done: bool, words: str) -> None:
        """The node said so."""
        self._said[number] = done, words
        while len(self._said) > REMEMBERED_MAX:
            self._said.popitem(last=False)


class Orders:
    """One thread's way from hub to node and back."""

    def __init__(self, node: NodeLink, hub: HubLink, answers: Answers) -> None:
        self._node = node
        self._hub = hub
        self._answers = answers

    def carry(self, commands: Sequence[Wire]) -> None:
        """Every command is answered. Raises LinkError: one of the two could not be reached, try again."""
        for command in commands:
            number = _number(command)
            answer = self._answers.known(number)
            if answer is None:
                answer = self._asked(command)
                self._answers.note(number, *answer)
            no = self._hub.answered(number, done=answer[0], answer=answer[1])
            if no is not None:
                log.warning("the hub did not take the answer to %s: %s", number[:8], no.message)

    def _asked(self, command: Wire) -> tuple[bool, str]:
        said = self._node.command(command)
        if isinstance(said, No):
            log.warning("the node refused a command: %s", said.message)
            return False, said.message[:ANSWER_LENGTH_MAX]
        log.info("the node carried out a command of the hub")
        return True, said[:ANSWER_LENGTH_MAX]


def _number(command: Wire) -> str:
    statement = command.get("statement")
    if not isinstance(statement, dict):
        raise ProtocolError("a command must hold a statement", where="the hub")
    with said_by("the hub"):
        return fields.text(statement, "number", length_max=64)
