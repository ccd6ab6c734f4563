"""Interlocks of one machine that others wait for: this node's levels to the hub, the others' back to the node.

One machine's door or air flow can keep another machine from starting (`remote = "node/name"` in node.toml). It
only ever keeps a start back, so nothing here is in a hurry to permit: a contact is called closed when two looks
in a row saw it so, open at the first. Whoever is not heard of becomes unknown by itself, at the hub and in the
node, 90 s after its word: each word carries its age. A thread and connections of its own: a slow hub holds no
record up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from interlock.clock import Clock
from interlock.config.sections import InterlockConfig
from interlock.errors import LinkError
from interlock.sync.backoff import Backoff
from interlock.sync.courier import NODE_RETRY_MS, REFUSED_MS
from interlock.sync.links import No, Word

log = logging.getLogger(__name__)

LOOK_MS = 1_000
"""How often our own contacts are looked at: an opening is at the hub within a second or two."""
ASK_MS = 10_000
"""How often somebody who waits for another's asks: three answers may be lost before it is unknown."""
TELL_MS = 30_000
"""How often somebody who only tells says so again: as often as every node greets."""

Levels = dict[str, bool | None]
"""Interlocks by name: closed, open, or (None) unknown."""
Words = Mapping[str, Word]
"""What other nodes said of theirs, by "node/name"."""


class ContactLink(Protocol):
    """The node's control socket. Raises LinkError when the node does not answer."""

    def contacts(self) -> Sequence[bool | None]:
        """The level of every declared interlock now, in the order of node.toml; None for remote ones."""

    def interlock(self, name: str, closed: bool | None, age_ms: int) -> No | None:
        """Tell the node what another node said, `age_ms` ago, of the remote interlock it calls `name`."""


class ExchangeLink(Protocol):
    """The hub's HTTP interface. Raises LinkError when it does not answer in time."""

    def interlocks(
        self, own: Mapping[str, bool | None], wanted: Sequence[str], boot_id: str, boot_ms: int
    ) -> Words | No:
        """Tell the levels of our own at `boot_ms`; those `wanted`, each named "node/name", come back."""


class Neighbours:
    """One node's exchange; `step()` is called by one thread, `wake()` by any."""

    def __init__(
        self,
        *,
        node: ContactLink,
        hub: ExchangeLink,
        declared: Sequence[InterlockConfig],
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self._node = node
        self._hub = hub
        self._declared = tuple(declared)
        self._remote = {one.name: one.remote for one in declared if one.remote is not None}
        self._clock = clock
        self._backoff = backoff
        self._seen: tuple[bool | None, ...] = ()
        self._told: Levels | None = None
        self._due_ms = 0
        self._resume_at_ms = 0
        self._said = ""

    def step(self) -> int:
        """Look, and exchange when something changed or it is time; milliseconds until the next step."""
        now_ms = self._clock.boot_ms()
        if now_ms < self._resume_at_ms:
            return self._resume_at_ms - now_ms
        try:
            own = self._own()
        except LinkError as error:
            return self._pause(NODE_RETRY_MS, f"node not reached: {error}")
        if own == self._told and now_ms < self._due_ms:
            return LOOK_MS
        try:
            wanted = sorted(set(self._remote.values()))
            answer = self._hub.interlocks(own, wanted, self._clock.boot_id, now_ms)
        except LinkError as error:
            return self._pause(self._backoff.failed(), f"hub not reached: {error}")
        if isinstance(answer, No):
            return self._pause(REFUSED_MS, f"the hub refuses ({answer.code}): {answer.message}")
        self._backoff.succeeded()
        self._told = own
        self._due_ms = now_ms + (ASK_MS if self._remote else TELL_MS)
        self._say("interlocks of other nodes are exchanged", logging.INFO)
        return self._hand_over(answer, now_ms)

    def wake(self) -> None:
        """The hub was reached by somebody else: do not sit out the rest of a back-off."""
        self._resume_at_ms = 0

    def _own(self) -> Levels:
        """What to tell of our own: closed only when the look before saw it too."""
        levels = tuple(self._node.contacts())
        before, self._seen = self._seen, levels
        own: Levels = {}
        for index, one in enumerate(self._declared):
            if one.remote is None:
                level = levels[index] if index < len(levels) else None
                was = before[index] if index < len(before) else None
                own[one.name] = level if level is not True or was is True else False
        return own

    def _hand_over(self, answer: Words, asked_ms: int) -> int:
        try:
            for name, asked in self._remote.items():
                word = answer.get(asked, Word())
                # As long as it lay at the hub, and at most as long as our question took.
                age_ms = word.age_ms + self._clock.boot_ms() - asked_ms
                no = self._node.interlock(name, word.closed, age_ms)
                if no is not None:
                    self._say(f"the node does not take {name!r}: {no.message}", logging.WARNING)
        except LinkError as error:
            return self._pause(NODE_RETRY_MS, f"node not reached: {error}")
        return LOOK_MS

    def _pause(self, wait_ms: int, why: str) -> int:
        self._told = None
        self._say(why, logging.WARNING)
        self._resume_at_ms = self._clock.boot_ms() + wait_ms
        return wait_ms

    def _say(self, text: str, level: int) -> None:
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)
