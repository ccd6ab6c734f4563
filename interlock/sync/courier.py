"""Between node and hub: greetings and records one way, acknowledgements and signed time the other.

Each step packs one errand at the node, carries it to the hub and hands the answer back:

    greeting    node hello → hub hello → the hub's time to the node, its head becomes the cursor
                (a hub that holds other records gives no head: time and snapshots go on, records wait)
    batch       node records behind the cursor → hub records → ack to the node, the cursor moves

The cursor is the hub's own head and never ours, so nothing here needs a disk: whoever starts,
restarts or is restored, the next greeting says where to go on, and the hub takes a repeated record
without effect. After any failure the cursor is forgotten and a greeting comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from interlock.clock import Clock
from interlock.errors import LinkError
from interlock.protocol.hubapi import BATCH_RECORDS_MAX
from interlock.protocol.records import GENESIS, Head, head_from_wire
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.backoff import Backoff
from interlock.sync.links import (
    NO_VERSION,
    Delivered,
    HubHello,
    HubLink,
    No,
    NodeHello,
    NodeLink,
    OtherChain,
    RecordPage,
    Wire,
    said_by,
    version_text,
)
from interlock.sync.orders import Orders
from interlock.sync.versions import Versions

log = logging.getLogger(__name__)

POLL_MS = 500
"""How often the node is asked for new records: one question of 0.2 ms on a Unix socket, and a
session shows on the hub's board within a second."""

HELLO_MS = 30_000
"""How often node and hub greet: fresh signed time, a heartbeat for the hub, and the fallback for a
long poll that does not get through (4-protocol.md)."""

NODE_RETRY_MS = 1_000
"""A local socket costs nothing to try, and systemd restarts the node after one second."""

REFUSED_MS = 60_000
"""A hub that understood and said no (revoked, other chain, set aside) will say so for a while."""

Errand = NodeHello | RecordPage
Answer = HubHello | Delivered | No


class Courier:
    """One node's deliveries; `step()` is called by one thread, `wake()` by any.

    `report` receives one sentence whenever the state of the connection changes; `reached` is called
    when the hub answers after a failure or has news, so that the fetcher tries again too.
    """

    def __init__(
        self,
        *,
        identity: tuple[str, str],
        node: NodeLink,
        hub: HubLink,
        clock: Clock,
        backoff: Backoff,
        records_backoff: Backoff,
        versions: Versions,
        report: Callable[[str], None],
        reached: Callable[[], None],
        orders: Orders,
    ) -> None:
        self._identity = identity
        self._node = node
        self._hub = hub
        self._clock = clock
        self._backoff = backoff
        self._records_backoff = records_backoff
        self._versions = versions
        self._report = report
        self._reached = reached
        self._orders = orders
        self._cursor: Head | None = None
        self._branch_from: int | None = None
        self._differed: Head | None = None
        self._doubted: Head | None = None
        self._disputed: Head | None = None
        self._greet_at_ms = 0
        self._resume_at_ms = 0
        self._records_at_ms = 0
        self._hub_is_away = False
        self._greet_first = False
        self._refused_records = False
        self._failed_deliveries = 0
        self._said = ""

    def step(self) -> int:
        """Run one errand; the milliseconds after which the next step is due."""
        now_ms = self._clock.boot_ms()
        if now_ms < self._resume_at_ms:
            return self._resume_at_ms - now_ms
        try:
            errand = self._pack(now_ms)
        except LinkError as error:
            return self._node_failed(error)
        if errand is None:
            return POLL_MS
        try:
            answer = self._carry(errand)
        except LinkError as error:
            return self._hub_failed(errand, error)
        self._hub_answered()
        try:
            return self._hand_back(errand, answer)
        except LinkError as error:
            return self._node_failed(error)

    def wake(self) -> None:
        """The hub was reached by somebody else: do not sit out the rest of a back-off."""
        if self._hub_is_away:
            self._resume_at_ms = 0

    def distrust(self) -> None:
        """The hub may have been away, and restored meanwhile: greet before anything is delivered."""
        self._greet_first = True

    # ------------------------------------------------------------------------------- at the node

    def _pack(self, now_ms: int) -> Errand | None:
        if self._greet_first or now_ms >= self._greet_at_ms:
            self._greet_first = False
            self._forget_cursor()
            return self._introduced()
        if self._cursor is None or now_ms < self._records_at_ms:
            return None
        return self._batch(self._cursor)

    def _introduced(self) -> NodeHello:
        hello = self._node.hello()
        if (hello.lab, hello.node) != self._identity:
            lab, node = self._identity
            raise LinkError(
                f"it is node {hello.node} of lab {hello.lab}; our credential says {node} of {lab}",
                where="the node",
                remedy="Install the NODE.node.json and NODE.sync.json that were made together",
            )
        # Before the hub is asked: whatever it answers to the records, rights must go on arriving.
        self._versions.decides_by(hello.version)
        return hello if self._disputed is None else self._bear_witness(hello, self._disputed)

    def _bear_witness(self, hello: NodeHello, theirs: Head) -> NodeHello:
        """A card that wrote more than the hub holds names its own record of the number that differs: beyond its own
        head the hub has nothing to compare a node's with, and could not know."""
        self._disputed = None
        page = self._node.records(Head(theirs.epoch, theirs.seq - 1, GENESIS))
        with said_by("the node"):
            ours = [head_from_wire(one) for one in page.records[:1]]
        return replace(hello, head=ours[0]) if ours and _place(ours[0]) == _place(theirs) else hello

    def _batch(self, cursor: Head) -> RecordPage | None:
        records: list[Wire] = []
        more = True
        while more and len(records) < BATCH_RECORDS_MAX:
            with said_by("the node"):
                after = head_from_wire(records[-1]) if records else cursor
            page = self._node.records(after)
            records += page.records
            more = page.more and bool(page.records)
        if not records:
            return None
        return RecordPage(
            tuple(records[:BATCH_RECORDS_MAX]), more or len(records) > BATCH_RECORDS_MAX
        )

    # -------------------------------------------------------------------------------- at the hub

    def _carry(self, errand: Errand) -> Answer:
        if isinstance(errand, NodeHello):
            return self._hub.hello(errand)
        return self._hub.deliver(errand.records)

    # -------------------------------------------------------------------------- back at the node

    def _hand_back(self, errand: Errand, answer: Answer) -> int:
        if isinstance(answer, No):
            return self._refused(errand, answer)
        if isinstance(errand, NodeHello) and isinstance(answer, HubHello):
            return self._greeted(errand, answer)
        if isinstance(errand, RecordPage) and isinstance(answer, Delivered):
            return self._delivered(errand, answer)
        raise AssertionError("the hub link answered a question nobody asked")

    def _greeted(self, hello: NodeHello, answer: HubHello) -> int:
        self._hear(hello, answer.version, answer.time)
        if _place(answer.head) < _place(hello.acked):
            log.warning(
                "the hub holds less than it acknowledged (%s, was %s): sending again from there",
                _name(answer.head),
                _name(hello.acked),
            )
            if answer.head.epoch < hello.acked.epoch:
                return self._begun_anew(hello, answer)
        elif answer.head.seq > 0 and answer.head != hello.acked:
            no = self._node.ack(answer.head)
            if no is not None and answer.head.epoch >= hello.head.epoch:
                return self._dispute(answer.head, no)
            if no is not None:
                return self._branched(hello, answer)
        self._cursor = answer.head
        if answer.head == hello.head:
            self._refused_records = False
        if not self._refused_records:
            self._say(self._connected())
        self._carry_orders(answer.commands)
        return 0

    def _begun_anew(self, hello: NodeHello, answer: HubHello) -> int:
        """A restored hub knows nothing of our present epoch. That began because another card had written under the
        same numbers: what the hub holds of the one before may be that card's, so it gets ours from its first on."""
        self._cursor = Head(answer.head.epoch, 0, GENESIS)
        self._branch_from = hello.head.epoch
        self._records_at_ms = 0
        self._carry_orders(answer.commands)
        return 0

    def _branched(self, hello: NodeHello, answer: HubHello) -> int:
        """Two cards wrote under one name, and the node has begun an epoch of its own: the hub gets whatever it
        has not acknowledged to this card, sets aside what contradicts, and goes on with the new epoch."""
        self._cursor, self._branch_from = hello.acked, hello.head.epoch
        self._records_at_ms = 0
        self._say(
            f"the hub holds the records of another card up to {_name(answer.head)}: "
            f"this one goes on as epoch {hello.head.epoch}; the fab manager has to look at this node's page",
            logging.ERROR,
        )
        self._carry_orders(answer.commands)
        return 0

    def _dispute(self, theirs: Head, no: No) -> int:
        """The hub's head is not ours. Said twice (one answer may be damaged), the next greeting says so."""
        self._disputed = theirs if theirs == self._doubted else None
        self._doubted = theirs
        return self._other_chain(no)

    def _carry_orders(self, commands: Sequence[Wire]) -> None:
        try:
            self._orders.carry(commands)
        except LinkError as error:
            # They come with the next greeting again; records must not wait for them.
            log.warning("a command of the hub was not answered: %s", error)

    def _hear(self, hello: NodeHello, version: SnapshotVersion, time: Wire) -> None:
        """What every greeting brings, whichever records the hub holds: the current version, the time."""
        now_ms = self._clock.boot_ms()
        self._greet_at_ms = now_ms + HELLO_MS
        self._versions.learn(node=hello.version, hub=version)
        if self._versions.wanted(now_ms) is not None:
            self._reached()
        no = self._node.time(time)
        if no is not None:
            log.warning("the node did not take the hub's time (%s): %s", no.code, no.message)

    def _connected(self) -> str:
        version = self._versions.node
        return f"connected; the node decides by snapshot {version_text(version or NO_VERSION)}"

    def _delivered(self, batch: RecordPage, answer: Delivered) -> int:
        before = self._cursor
        self._records_backoff.succeeded()
        self._failed_deliveries = 0
        for sentence in answer.set_aside:
            log.error("the hub set a record aside: %s", sentence)
        if self._branch_from is not None and answer.head.epoch < self._branch_from:
            # Kept aside, all of them: behind these comes what the hub can go on with.
            with said_by("the node"):
                self._cursor = head_from_wire(batch.records[-1])
            return 0 if batch.more else POLL_MS
        self._branch_from = None
        if before is not None and _place(answer.head) < _place(before):
            log.warning("the hub went back to record %s: going on from there", _name(answer.head))
            self._cursor = answer.head
            return POLL_MS
        if before is not None and _place(answer.head) == _place(before):
            why = answer.set_aside[0] if answer.set_aside else "no reason given"
            return self._pause_records(
                f"the hub does not go on behind record {_name(before)}: {why}"
            )
        no = self._node.ack(answer.head)
        if no is not None:
            return self._other_chain(no)
        self._cursor = answer.head
        self._refused_records = False
        self._say(self._connected())
        return 0 if batch.more else POLL_MS

    def _refused(self, errand: Errand, no: No) -> int:
        if isinstance(errand, RecordPage):
            return self._pause_records(f"the hub refuses the records ({no.code}): {no.message}")
        if isinstance(no, OtherChain):
            self._cursor = None
            self._hear(errand, no.version, no.time)
            if errand.head != self._differed:
                # With the time came the epoch in which such a node goes on: as soon as it has begun it.
                self._differed = errand.head
                self._greet_at_ms = self._clock.boot_ms() + NODE_RETRY_MS
            return self._other_chain(no)
        self._say(f"the hub refuses this node ({no.code}): {no.message}", logging.ERROR)
        self._cursor = None
        return self._pause(REFUSED_MS)

    def _other_chain(self, no: No) -> int:
        return self._pause_records(
            f"node and hub hold different records ({no.code}): {no.message}. "
            "Nothing is lost; the fab manager has to look at this node's page"
        )

    # --------------------------------------------------------------------------------- failures

    def _node_failed(self, error: LinkError) -> int:
        self._say(f"node not reached: {error}", logging.WARNING)
        self._forget_cursor()
        return self._pause(NODE_RETRY_MS)

    def _hub_failed(self, errand: Errand, error: LinkError) -> int:
        if isinstance(errand, RecordPage):
            self._delivery_failed(error)
        else:
            self._say(f"hub not reached, records wait in the node: {error}", logging.WARNING)
        self._hub_is_away = True
        self._forget_cursor()
        return self._pause(self._backoff.failed())

    def _delivery_failed(self, error: LinkError) -> None:
        """The records' own back-off: a hub that greets well and fails at a record must not be hammered."""
        self._failed_deliveries += 1
        self._refused_records = True
        self._records_at_ms = self._clock.boot_ms() + self._records_backoff.failed()
        self._say(
            f"the hub did not take the records ({self._failed_deliveries} in a row), "
            f"they wait in the node: {error}",
            logging.WARNING,
        )

    def _hub_answered(self) -> None:
        self._backoff.succeeded()
        if self._hub_is_away:
            self._hub_is_away = False
            self._reached()

    def _forget_cursor(self) -> None:
        self._cursor = self._branch_from = None
        self._greet_at_ms = 0

    def _pause(self, wait_ms: int) -> int:
        self._resume_at_ms = self._clock.boot_ms() + wait_ms
        return wait_ms

    def _pause_records(self, why: str) -> int:
        """Time and snapshots go on; records wait: sent again they would only be set aside again."""
        self._say(why, logging.ERROR)
        self._refused_records = True
        self._records_at_ms = self._clock.boot_ms() + REFUSED_MS
        return POLL_MS

    def _say(self, text: str, level: int = logging.INFO) -> None:
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)
            self._report(text)


def _place(head: Head) -> tuple[int, int]:
    return head.epoch, head.seq


def _name(head: Head) -> str:
    return f"{head.epoch}.{head.seq}"
