"""People at a whole node: a supervised session, a training granted on the spot, today's use; over restarts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.clock import SystemClock
from interlock.core.model import Demands, Entry, Level, Right
from interlock.node.export import write_export
from interlock.node.replay import replay_export
from interlock.protocol.control import Op
from interlock.protocol.snapshots import (
    SnapshotHeader,
    SnapshotVersion,
    digest_lines,
    entry_lines,
    signed_snapshot,
)
from interlock.protocol.tags import badge_tag
from tests.node.node_rig import ADA, ADA_UID, HUB, KEYS, STRANGER_UID, NodeBench, bodies
from tests.node.pin_contract import LONG_JOB
from tests.waiting import wait_until

pytestmark = pytest.mark.real

TRAINEE_UID, TRAINER_UID = b"\x07" * 7, b"\x08" * 7
TRAINEE = Entry(
    tag=badge_tag(KEYS.badge_key, TRAINEE_UID),
    member="m-tin",
    rights=(Right("saw", Level.SUPERVISED),),
)
TRAINER = Entry(
    tag=badge_tag(KEYS.badge_key, TRAINER_UID),
    member="m-tra",
    rights=(Right("saw", Level.TRAINER),),
)


@dataclass
class PeopleBench(NodeBench):
    """A node whose hub says where the lab is on the clock, and asks for what `demands` says."""

    demands: Demands = field(default_factory=lambda: Demands(("saw",), offsets=((0, 3_600),)))

    def snapshot(
        self,
        version: SnapshotVersion = (1, 1),
        entries: Iterable[Entry] = (ADA, TRAINEE, TRAINER),
        *,
        key: Ed25519PrivateKey = HUB,
        name: str = "full.snapshot",
    ) -> str:
        lines = entry_lines(entries)
        header = SnapshotHeader(
            lab=KEYS.lab,
            node=KEYS.node,
            version=version,
            issued_at=SystemClock().wall_ms() // 1_000,
            machine_name="Table saw",
            demands=self.demands,
            entries=len(lines),
            digest=digest_lines(lines),
        )
        spool = self.config.paths.spool_dir
        spool.mkdir(parents=True, exist_ok=True)
        (spool / name).write_bytes(signed_snapshot(key, header, lines))
        return name

    def start(self) -> None:
        super().start()
        self.outside.wire_contactor()

    def begin(self) -> None:
        self.start()
        self.install()
        self.tell_time(SystemClock().wall_ms())

    def follow(self) -> None:
        """The contactor closes behind the relay."""
        wait_until(lambda: self.relay_on, 5, "relay on")

    def let_go(self) -> None:
        """The contactor opens behind the relay."""
        wait_until(lambda: not self.relay_on, 5, "relay off")
        wait_until(lambda: self.state() == "locked", 5, "at rest")

    def supervise(self) -> None:
        self.tap(TRAINEE_UID)
        wait_until(lambda: self.state() == "waiting_for_second", 5, "the trainee waits")
        assert not self.relay_on
        self.tap(TRAINER_UID)
        self.follow()

    def grant(self) -> None:
        self.press(LONG_JOB)
        self.tap(TRAINER_UID)
        wait_until(lambda: bodies(self, "training_granted"), 5, "the record")
        self.release(LONG_JOB)

    def acknowledge(self) -> None:
        """The hub holds everything so far."""
        last = self.records()[-1]
        head = {"epoch": last.header.epoch, "seq": last.header.seq, "hash": last.hash.hex()}
        self.ask(Op.ACK, **head)


@pytest.fixture
def node() -> Iterator[PeopleBench]:
    bench = PeopleBench()
    yield bench
    bench.close()


def held(node: PeopleBench) -> list[tuple[str, bool]]:
    assert node.loop is not None
    return [(grant.member, grant.delivered) for grant in node.loop.state.grants]


def test_a_trainee_works_with_a_trainer_and_alone_once_granted_also_after_a_restart(
    node: PeopleBench,
) -> None:
    node.begin()
    node.supervise()
    assert bodies(node, "session_started")[0]["supervisor"] == "m-tra"
    node.grant()
    wait_until(lambda: held(node) == [("m-tin", False)], 5, "granted")
    node.tap(TRAINEE_UID)
    node.let_go()
    node.stop()
    node.start()
    node.tell_time(SystemClock().wall_ms())
    assert held(node) == [("m-tin", False)], "the journal remembers"
    node.tap(TRAINEE_UID)
    wait_until(lambda: node.relay_on, 5, "alone")
    assert bodies(node, "session_started")[-1]["supervisor"] is None


def test_the_hub_s_acknowledgement_reaches_the_grant_also_over_a_restart(
    node: PeopleBench,
) -> None:
    node.begin()
    node.supervise()
    node.grant()
    wait_until(lambda: held(node) == [("m-tin", False)], 5, "granted")
    node.acknowledge()
    wait_until(lambda: held(node) == [("m-tin", True)], 5, "delivered")
    node.stop()
    node.start()
    assert held(node) == [("m-tin", True)]
    assert node.loop is not None
    assert node.loop.state.grants[0].clonable, "a serial number can be copied"


def test_today_s_use_refuses_the_next_start_also_after_a_restart(node: PeopleBench) -> None:
    node.demands = replace(node.demands, daily_limit_s=1)
    node.begin()
    node.tap(ADA_UID)
    node.follow()
    wait_until(lambda: len(bodies(node, "session_progress")) >= 1, 10, "more than the limit")
    node.tap(ADA_UID)
    node.let_go()
    node.stop()
    node.start()
    node.tell_time(SystemClock().wall_ms())
    node.tap(ADA_UID)
    wait_until(lambda: bodies(node, "refused"), 5, "refused")
    assert bodies(node, "refused")[0]["reason"] == "DAILY_LIMIT"
    assert not node.relay_on


def test_what_a_whole_node_decided_is_decided_again(node: PeopleBench, tmp_path: Path) -> None:
    node.begin()
    node.tap(STRANGER_UID)
    wait_until(lambda: bodies(node, "refused"), 5, "the stranger")
    node.supervise()
    node.grant()
    node.tap(TRAINEE_UID)
    node.let_go()
    node.tap(ADA_UID)
    node.follow()
    path = tmp_path / "export.jsonl"
    with path.open("wb") as target:
        write_export(node.records(), target)
    found = replay_export(path)
    assert found.differences == ()
    assert found.decided == found.agreed >= 5
