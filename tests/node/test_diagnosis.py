"""The archive for who helps from afar: everything that explains, nobody who is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.core.events import SnapshotActivated
from interlock.core.model import Cache, Demands, Now, Reservation
from interlock.errors import LinkError, StoreError
from interlock.findings import Finding, Verdict
from interlock.node.answers import moment_to_wire
from interlock.node.diagnosis import pack
from interlock.node.flight import Moment
from interlock.protocol.control import Op
from tests.node.node_rig import ADA, NodeBench
from tests.waiting import wait_until

FINDINGS = [Finding("reader", Verdict.GOOD, "The badge reader answers")]
UID = b"\x04\x11\x22\x33\x44\x55\x66"


def no_journalctl(command: Sequence[str]) -> str | None:
    return None


def read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture
def node() -> Iterator[NodeBench]:
    bench = NodeBench()
    bench.start()
    bench.install()
    yield bench
    bench.close()


@pytest.mark.real
def test_the_archive_of_a_used_machine_names_nobody(node: NodeBench, tmp_path: Path) -> None:
    node.reader.lay(UID)
    wait_until(lambda: node.ask(Op.METRICS)["steps"] > 50, 10, "a badge that was seen")
    node.reader.take_away()
    config = tmp_path / "node.toml"
    config.write_text("# nothing secret\n")
    target = tmp_path / "saw.zip"
    names = pack(
        target, ask=node.client.ask, findings=FINDINGS, config_file=config, run=no_journalctl
    )
    parts = read(target)
    assert sorted(parts) == names
    assert json.loads(parts["status.json"])["machine"] == node.config.machine.name
    assert parts["flight-recorder.jsonl"].count("\n") > 0
    everything = "".join(parts.values())
    for secret in (ADA.member, UID.hex(), ADA.tag.hex(), "Unknown badge"):
        assert secret not in everything


@pytest.mark.fast
def test_a_snapshot_in_the_flight_recorder_does_not_say_who_booked_the_machine() -> None:
    booked = Demands(("saw",), reservations=(Reservation(1, 2, ADA.member),))
    moment = Moment(SnapshotActivated(Cache((1, 1)), booked), Now(0))
    told = moment_to_wire(moment)
    assert told["demands"]["trainings"] == "('saw',)"
    assert ADA.member not in json.dumps(told)


@pytest.mark.fast
def test_a_node_that_does_not_answer_is_packed_with_the_reason(tmp_path: Path) -> None:
    def ask(op: Op, **arguments: Any) -> dict[str, Any]:
        raise LinkError("nobody listens", where="control.sock")

    target = tmp_path / "dead.zip"
    pack(target, ask=ask, findings=FINDINGS, config_file=tmp_path / "none", run=no_journalctl)
    parts = read(target)
    assert all("nobody listens" in parts[name] for name in ("status.json", "flight-recorder.jsonl"))
    assert "cannot be read" in parts["node.toml"]


@pytest.mark.fast
def test_an_archive_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    target = tmp_path / "kept.zip"
    target.write_text("somebody's")
    with pytest.raises(StoreError, match="--out"):
        pack(
            target,
            ask=lambda op, **_: {},
            findings=[],
            config_file=tmp_path / "none",
            run=no_journalctl,
        )
    assert target.read_text() == "somebody's"
