"""Lives of the simulator in; their journals and flight recordings, as the files people send, decided again alike."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from interlock.core import machine
from interlock.node.export import write_export
from interlock.node.flight import FLIGHT_EVENTS_MAX, Recording
from interlock.node.flight_file import replay_flight, write_flight
from interlock.node.replay import replay_export
from interlock.protocol.records import GENESIS, Record, RecordType, seal
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.people import CARDS, members
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import Run
from interlock.sim.simulator.schedule import BEGUN_MS

pytestmark = pytest.mark.fast

SEEDS = (100, 101, 102, 103)
"""Others than those of test_simulator.py, which every run's end looks at already (A10)."""
HOURS = 0.1
ABOUT = {"software": "0", "boot_id": "boot", "why": "test"}


@cache
def life(seed: int) -> Run:
    """One machine's life, lived to its end, once."""
    run = Run(plan_of(seed, HOURS, 1), Parts())
    assert run.verdict().violation is None
    return run


def recording_of(run: Run) -> Recording:
    (pi,) = run._pis
    assert pi.life is not None
    return pi.life.loop.flight.recording()


def journal_of(run: Run) -> list[Record]:
    """What the machine's card holds, sealed as the journal seals it: the simulator's records have no salt."""
    (pi,) = run._pis
    sealed: list[Record] = []
    for one in pi.witness.platter.records:
        prev = sealed[-1].hash if sealed else GENESIS
        body = json.loads(json.dumps(dict(one.body or {})))
        sealed.append(seal(one.header, body, salt=bytes(16), prev=prev, chain_key=bytes(32)))
    return sealed


def identities() -> set[str]:
    """Every name, member and tag there is in a life."""
    everybody = members(BEGUN_MS // 1_000, 1)
    tags = {card.tag.hex() for card in CARDS.values()}
    return tags | {f"m-{name}" for name in everybody}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_files_of_a_life_are_decided_again_alike_and_the_recording_names_nobody(
    seed: int, tmp_path: Path
) -> None:
    run = life(seed)
    records = journal_of(run)
    export = tmp_path / "export.jsonl"
    with export.open("wb") as target:
        write_export(records, target)
    found = replay_export(export)
    assert found.differences == ()
    kinds = {one.header.type for one in records}
    assert found.decided > 0 or not kinds & {RecordType.SESSION_STARTED, RecordType.REFUSED}

    recording = recording_of(run)
    flight = tmp_path / "flight.jsonl.gz"
    write_flight(flight, recording, machine.step, ABOUT)
    flown = replay_flight(flight, machine.step)
    assert flown.differences == ()
    assert flown.moments == len(recording.moments) <= FLIGHT_EVENTS_MAX
    told = gzip.decompress(flight.read_bytes()).decode()
    assert not [one for one in identities() if one in told]


def test_these_lives_hold_decisions_and_people_to_replay(tmp_path: Path) -> None:
    """Else the test above would agree about nothing."""
    effects: list[Any] = []
    people: set[str] = set()
    for seed in SEEDS:
        recording = recording_of(life(seed))
        flight = tmp_path / f"{seed}.jsonl.gz"
        write_flight(flight, recording, machine.step, ABOUT)
        lines = gzip.decompress(flight.read_bytes()).decode().splitlines()
        effects += [json.loads(line).get("effects") for line in lines]
        people |= {one for one in identities() if one in repr(recording.moments)}
    assert sum("WriteRecord" in json.dumps(one) for one in effects) > 10
    assert any(one.startswith("m-") for one in people)
