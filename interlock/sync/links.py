"""What sync asks of its two peers, as typed messages: the seam between its logic and its sockets.

A peer that cannot be reached raises LinkError; one that answers "no" returns it as a value.
Records pass through as JSON objects: sync reads nothing in them but where they stand in the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from interlock.errors import ProtocolError
from interlock.protocol import fields
from interlock.protocol.records import Head
from interlock.protocol.snapshots import SnapshotVersion

Wire = Mapping[str, Any]

NO_VERSION: SnapshotVersion = (0, 0)
"""Older than every snapshot: what a node without one has."""


@dataclass(frozen=True, slots=True)
class NodeHello:
    """What the node says of itself; `acked` is the last record the hub is known to hold.

    `version` is the snapshot it decides by (NO_VERSION: none); `nonce` is fresh in each answer and
    wants to come back inside the hub's signed time. `digest` is of its entries (None: not counted yet),
    `refused` says why it did not take the last list ("": it did).
    """

    lab: str
    node: str
    software: str
    boot_id: str
    mode: str
    head: Head
    acked: Head
    version: SnapshotVersion
    nonce: str
    digest: str | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """What another node said of an interlock of its, `age_ms` before it was answered; None: nobody knows."""

    closed: bool | None = None
    age_ms: int = 0


@dataclass(frozen=True, slots=True)
class Installation:
    """What the node decides by, whether it is busy with a list, and the last one it refused: file and reason."""

    version: SnapshotVersion
    is_busy: bool
    refused: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Whole records in order; `more` says that others wait behind the last."""

    records: tuple[Wire, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class HubHello:
    """The hub's own head of this node's chain, its signed time, the current version, commands that wait."""

    head: Head
    time: Wire
    version: SnapshotVersion
    commands: tuple[Wire, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What the long poll brought: commands, or a newer version: with the signed delta that leads to it, or
    to be fetched whole."""

    version: SnapshotVersion | None
    delta: bytes | None = None
    commands: tuple[Wire, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The hub's head after a batch, and one sentence for each record it stored aside."""

    head: Head
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class No:
    """A peer understood and said no; `code` is for programs, `message` for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class OtherChain(No):
    """No to this node's records, because the hub holds others; rights and time still count for it."""

    time: Wire
    version: SnapshotVersion


class NodeLink(Protocol):
    """The node's control socket. Everything raises LinkError when the node does not answer."""

    def hello(self) -> NodeHello:
        """Who the node is and where its journal stands."""

    def records(self, after: Head) -> RecordPage:
        """The next records behind `after`."""

    def ack(self, head: Head) -> No | None:
        """Tell the node that the hub holds everything up to `head`."""

    def snapshot(self, file: str) -> No | None:
        """Tell the node that a signed snapshot lies in the spool under the plain name `file`."""

    def installed(self) -> Installation:
        """What became of the last list it was told of."""

    def command(self, message: Wire) -> str | No:
        """Hand over a signed command of the hub; what the node has to say to it."""

    def time(self, message: Wire) -> No | None:
        """Hand over the hub's signed answer to the node's last nonce."""


class HubLink(Protocol):
    """The hub's HTTP interface. Everything raises LinkError when it does not answer in time."""

    def hello(self, hello: NodeHello) -> HubHello | No:
        """Introduce the node."""

    def deliver(self, records: Sequence[Wire]) -> Delivered | No:
        """Hand over records, at most hubapi.BATCH_RECORDS_MAX, in order."""

    def changes(
        self, since: SnapshotVersion, wait_s: int, has: SnapshotVersion = NO_VERSION
    ) -> News | No | None:
        """News after `since` as soon as there are any; None when `wait_s` passed without. `has` is what the
        node decides by, which the hub takes for its confirmation."""

    def answered(self, number: str, *, done: bool, answer: str) -> No | None:
        """Tell what became of the command of that number."""

    def download(self, target: Path) -> No | None:
        """`target` holds the current signed snapshot. Raises StoreError: it cannot be written."""

    def cut(self) -> None:
        """The call under way in another thread, if any, raises LinkError at once."""


@contextmanager
def said_by(where: str) -> Iterator[None]:
    """A ProtocolError raised inside names `where`, the peer whose message is being read."""
    try:
        yield
    except ProtocolError as error:
        if error.where:
            raise
        raise ProtocolError(error.what, where=where, remedy=error.remedy) from error


def version_from_wire(wire: Wire, key: str = "version") -> SnapshotVersion:
    """The snapshot version under `key`; null means none. Raises ProtocolError."""
    value = wire.get(key)
    if value is None:
        return NO_VERSION
    if not isinstance(value, list) or len(value) != 2:
        raise ProtocolError(f"{key} must be [hub epoch, counter], not {value!r:.60}")
    pair = {"hub_epoch": value[0], "counter": value[1]}
    return fields.integer(pair, "hub_epoch"), fields.integer(pair, "counter")


def version_to_wire(version: SnapshotVersion) -> list[int] | None:
    """The version as JSON, null for none."""
    return None if version == NO_VERSION else list(version)


def version_text(version: SnapshotVersion) -> str:
    """EPOCH.COUNTER, as the hub's `since` and every log line write it."""
    return f"{version[0]}.{version[1]}"
