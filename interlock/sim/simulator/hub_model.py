"""Operators' changes in, snapshots and signed times out: the hub as far as a machine can tell.

What it really is stands in interlock/hub; here it is the truth that the ledger judges by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from interlock.core.model import Entry
from interlock.protocol.hubtime import HubTime, signed_time
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.simulator.people import Person, changed
from interlock.sim.simulator.schedule import BEGUN_MS

LAB, NODE = "lab", "sim"


@dataclass(frozen=True)
class Snapshot:
    """What the hub held in `version`, issued at the run's microsecond `issued_us`."""

    version: SnapshotVersion
    issued_us: int
    people: Mapping[str, Person]
    locked_out: frozenset[int]
    entries: Mapping[bytes, Entry] = field(repr=False)

    def person_of(self, name: str | None) -> Person | None:
        """The member of that name as this snapshot has them."""
        return None if name is None else self.people.get(name)


class HubModel:
    """Everything the hub knows, and every version of it there ever was."""

    def __init__(self, people: Mapping[str, Person]) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self._people = dict(people)
        self._locked_out: frozenset[int] = frozenset()
        self.snapshots: list[Snapshot] = []
        self._issue(0)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What nodes verify its times with."""
        return self._key.public_key()

    @property
    def current(self) -> Snapshot:
        """The newest snapshot."""
        return self.snapshots[-1]

    def change(self, words: str, node: int, now_us: int) -> None:
        """An operator's `words`: "block ada", "lock_out", "release"."""
        match words.split():
            case ["lock_out"]:
                self._locked_out = self._locked_out | {node}
            case ["release"]:
                self._locked_out = self._locked_out - {node}
            case [change, name]:
                self._people[name] = changed(self._people[name], change)
        self._issue(now_us)

    def signed_time(self, nonce: bytes, now_us: int) -> dict[str, Any]:
        """What time it is, in answer to a node's question."""
        wall_ms = BEGUN_MS + now_us // 1_000
        return signed_time(self._key, HubTime(LAB, NODE, nonce, wall_ms, self.current.version))

    def _issue(self, now_us: int) -> None:
        version = (1, len(self.snapshots) + 1)
        people = dict(self._people)
        entries = {person.tag: person.to_entry() for person in people.values()}
        self.snapshots.append(Snapshot(version, now_us, people, self._locked_out, entries))
