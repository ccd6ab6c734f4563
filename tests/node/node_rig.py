"""A whole node in this process: real files, socket, threads and core; gpiozero's mock pins and a
reader by hand.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.clock import SystemClock
from interlock.config import NodeConfig, parse_node
from interlock.core.model import Demands, Entry, Level, Right
from interlock.errors import LinkError, ReaderError
from interlock.node.loop import Loop
from interlock.node.presence import BLIND_MS
from interlock.node.service import run_node
from interlock.protocol import fields
from interlock.protocol.control import Op
from interlock.protocol.credentials import NodeKeys
from interlock.protocol.hubtime import HubTime, signed_time
from interlock.protocol.records import Record, from_wire
from interlock.protocol.snapshots import (
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
    entry_lines,
    signed_snapshot,
)
from interlock.protocol.tags import badge_tag
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.sync.node_link import NodeClient
from tests.node.pin_contract import DOCUMENT, ENABLE, RELAY, STOP
from tests.node.test_pins import MockBench
from tests.waiting import wait_until

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
KEYS = NodeKeys(
    lab="lab",
    node="saw",
    epoch=1,
    chain_key=b"c" * 32,
    badge_key=b"b" * 32,
    hub_public_key=HUB.public_key().public_bytes_raw(),
    decryption_key=b"d" * 32,
)
ADA_UID, NEW_UID, STRANGER_UID = b"\x04" * 7, b"\x05" * 7, b"\x06" * 4
ADA = Entry(
    tag=badge_tag(KEYS.badge_key, ADA_UID),
    member="m-ada",
    name="Ada L.",
    rights=(Right("saw", Level.ALONE),),
)
UNTRAINED = Entry(tag=badge_tag(KEYS.badge_key, NEW_UID), member="m-new")
POLL_SLACK_MS = 150
"""Three polls: the first after opening looks at the chip alone, and the node takes the time behind each."""

AWAY_MS = BLIND_MS // 2
"""Nobody looked for so long: a node may find that it was blind."""

PATIENCE = 5
"""How often somebody presents a badge before they give up."""

SHORT_TIMES = {
    "progress_s": 1,
    "grace_s": 1,
    "warning_s": 5,
    "notice_s": 1,
    "powered_save_s": 1,
    "refusal_window_s": 1,
}


class HandReader:
    """A reader whose field the test fills: no card, one, several, or a dead chip."""

    def __init__(self) -> None:
        self.sight: Sight | None = None
        self.dead = False
        self.met: bool | None = None
        """Whether somebody had looked just before the first poll that found a card; None: no poll found it yet."""

        self._clock = SystemClock()
        self._empty_from_ms: int | None = None
        self._polled_ms = 0

    def open(self) -> None:
        self._check()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Whoever looks from now on has seen nothing yet."""
        self._empty_from_ms = None

    def poll(self) -> Sight | None:
        self._check()
        sight, now_ms = self.sight, self._clock.boot_ms()
        away = now_ms - self._polled_ms > AWAY_MS
        if sight is not None:
            self.met = not away if self.met is None else self.met
            self._empty_from_ms = None
        elif self._empty_from_ms is None or away:
            self._empty_from_ms = now_ms
        self._polled_ms = now_ms
        return sight

    @property
    def empty_ms(self) -> int:
        """For how long poll after poll has found an empty field."""
        began_ms, polled_ms = self._empty_from_ms, self._polled_ms
        return 0 if began_ms is None else polled_ms - began_ms

    def wake(self, card: CardSeen) -> CardSeen | None:
        return card if self.poll() == card else None

    def close(self) -> None:
        """Nothing to let go of."""

    def lay(self, uid: bytes) -> None:
        self.sight = CardSeen(uid, b"\x44\x00", 0x00)

    def lay_two(self) -> None:
        self.sight = SeveralCards()

    def take_away(self) -> None:
        self.sight = None
        self.met = None

    def _check(self) -> None:
        if self.dead:
            raise ReaderError("no answer", where="reader")


@dataclass
class NodeBench:
    """One machine over any number of starts of its node; `close()` ends what runs."""

    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    interlocks: list[dict[str, Any]] = field(default_factory=list)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="il-")))
    reader: HandReader = field(default_factory=HandReader)
    exit_codes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outside = MockBench()
        self.said: list[str] = []
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(self.folder / "notify"))
        self._ear.settimeout(0.05)
        self._thread: threading.Thread | None = None
        self.loop: Loop | None = None

    @property
    def config(self) -> NodeConfig:
        tables = {table: keys for table, keys in DOCUMENT.items() if table != "interlocks"}
        document: dict[str, Any] = {table: dict(keys) for table, keys in tables.items()}
        document["interlocks"] = self.interlocks
        document["times"] = dict(SHORT_TIMES)
        document["paths"] = {"state_dir": str(self.folder / "state")}
        for table, keys in self.changes.items():
            document.setdefault(table, {}).update(keys)
        return parse_node(document)

    @property
    def relay_on(self) -> bool:
        return self.outside.level(RELAY)

    @property
    def enable_on(self) -> bool:
        return self.outside.level(ENABLE)

    # ---------------------------------------------------------------------------------- the process

    def start(self) -> None:
        """The node ticks. A new process finds new pins, as after a kernel let go of them."""
        self.outside = MockBench()
        self.reader.begin_anew()
        started = threading.Event()

        def ready(loop: Loop) -> None:
            self.loop = loop
            started.set()

        def body() -> None:
            self.exit_codes.append(
                run_node(
                    self.config,
                    KEYS,
                    pins=lambda config: self.outside.factory,
                    open_reader=lambda config, clock: self.reader,
                    clock=SystemClock(),
                    environ={
                        "NOTIFY_SOCKET": str(self.folder / "notify"),
                        "WATCHDOG_USEC": "400000",
                    },
                    ready=ready,
                )
            )

        self.loop = None
        self._thread = threading.Thread(target=body, name="node", daemon=True)
        self._thread.start()
        wait_until(lambda: started.is_set() or not self._thread_lives())

    def stop(self) -> int:
        """SIGTERM's way out; its exit code."""
        if self.loop is not None:
            self.loop.request_termination()
        return self.wait_for_exit()

    def wait_for_exit(self) -> int:
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive(), "the node did not end"
        return self.exit_codes[-1]

    def close(self) -> None:
        if self._thread_lives():
            self.stop()
        self._ear.close()
        shutil.rmtree(self.folder)

    def heard(self) -> list[str]:
        """Everything said on the notify socket so far."""
        while True:
            try:
                self.said.append(self._ear.recv(256).decode())
            except TimeoutError:
                return self.said

    def _thread_lives(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # ----------------------------------------------------------------------------- socket and files

    @property
    def client(self) -> NodeClient:
        return NodeClient(self.config.paths.socket, SystemClock())

    def ask(self, op: Op, **arguments: Any) -> dict[str, Any]:
        return self.client.ask(op, **arguments)

    def records(self) -> list[Record]:
        """The whole journal, page by page, as sync would pull it."""
        found: list[Record] = []
        epoch, seq = 0, 0
        while True:
            page = self.ask(Op.RECORDS, epoch=epoch, seq=seq)
            found += [from_wire(wire) for wire in page["records"]]
            if not page["next"]:
                return found
            epoch, seq = found[-1].header.epoch, found[-1].header.seq

    def types(self) -> list[str]:
        return [record.header.type.value for record in self.records()]

    def snapshot(
        self,
        version: SnapshotVersion = (1, 1),
        entries: Iterable[Entry] = (ADA, UNTRAINED),
        *,
        key: Ed25519PrivateKey = HUB,
        name: str = "full.snapshot",
    ) -> str:
        """A signed snapshot lies in the spool under `name`."""
        lines = entry_lines(entries)
        header = SnapshotHeader(
            lab=KEYS.lab,
            node=KEYS.node,
            version=version,
            issued_at=SystemClock().wall_ms() // 1_000,
            machine_name="Table saw",
            demands=Demands(("saw",)),
            entries=len(lines),
            digest=digest_lines(lines),
        )
        spool = self.config.paths.spool_dir
        spool.mkdir(parents=True, exist_ok=True)
        (spool / name).write_bytes(signed_snapshot(key, header, lines))
        return name

    def install(self, version: SnapshotVersion = (1, 1), **changes: Any) -> None:
        """The node decides by a new snapshot."""
        self.ask(Op.SNAPSHOT, file=self.snapshot(version, **changes))
        wait_until(lambda: self.ask(Op.HELLO)["version"] == list(version), 15, "the switch")

    def tell_time(self, wall_ms: int, version: SnapshotVersion = (1, 1)) -> None:
        """The hub's signed answer to a fresh hello is handed in."""
        nonce = fields.octets(self.ask(Op.HELLO), "nonce", 16)
        message = signed_time(HUB, HubTime(KEYS.lab, KEYS.node, nonce, wall_ms, version))
        self.ask(Op.TIME, message=message)

    # ---------------------------------------------------------------------------------------- hands

    def tap(self, uid: bytes = ADA_UID) -> None:
        """The badge comes into an empty field and is seen; it stays until taken away.

        Whoever lays it down while this computer stands still is told to present it again, and does.
        """
        for _ in range(PATIENCE):
            self.leave_empty()
            self.reader.lay(uid)
            wait_until(lambda: self.reader.met is not None, 20, "a badge that is seen")
            if self.reader.met:
                return

    def leave_empty(self) -> None:
        """Nothing lies on the reader, and the node has looked for long enough to know."""
        self.reader.take_away()
        gap_ms = self.config.reader.arrival_gap_ms + POLL_SLACK_MS
        wait_until(lambda: self.reader.empty_ms >= gap_ms, 20, "an empty field, seen")

    def work(self) -> None:
        """Ada's session is open, the contactor has closed."""
        self.outside.wire_contactor()
        self.tap()
        wait_until(lambda: self.relay_on, 5, "relay on")

    def press(self, pin: int = STOP) -> None:
        self.outside.conduct(pin, True)

    def release(self, pin: int = STOP) -> None:
        self.outside.conduct(pin, False)

    def state(self) -> str:
        return str(self.ask(Op.STATUS)["state"])


def reachable(bench: NodeBench) -> bool:
    """Whether the control socket answers."""
    try:
        bench.ask(Op.PANEL)
    except LinkError:
        return False
    return True


def bodies(bench: NodeBench, kind: str) -> list[dict[str, Any]]:
    """What the journal's records of this kind say, oldest first."""
    return [
        dict(record.body or {}) for record in bench.records() if record.header.type.value == kind
    ]
