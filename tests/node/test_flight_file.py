"""What led to a fault or a crash, as a file that names nobody: decided again alike, or it says where not."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from interlock import cli
from interlock.clock import SystemClock
from interlock.core import machine
from interlock.core.effects import Message
from interlock.core.events import Event, InputsSampled, NoticeGiven
from interlock.core.model import Fault, Now
from interlock.core.states import MachineState, State
from interlock.errors import StoreError
from interlock.node.diagnosis import pack
from interlock.node.flight import Recording
from interlock.node.flight_file import SUM_BYTES, replay_flight, write_flight
from interlock.node.flight_keeper import (
    EVENTS_PER_SLICE,
    FILES_MAX,
    PATTERN,
    FlightKeeper,
    recordings_of,
)
from tests.node.node_rig import ADA as ADA_OF_NODE
from tests.node.node_rig import ADA_UID, KEYS, NodeBench
from tests.node.rig import ADA, LoopBench
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

ABOUT = {"software": "0", "boot_id": "boot", "why": "test"}
SECRETS = (ADA.member, ADA.tag.hex(), "Ada", "f" * 32, "Bob, your parcel is here")


def day() -> LoopBench:
    """Ada's session, a stranger, a word from the hub."""
    bench = LoopBench()
    bench.enable()
    bench.inbox.put(bench.arrival(None))
    bench.inbox.put(NoticeGiven(Message.FROM_HUB, "Bob, your parcel is here", 5_000))
    bench.tick(200)
    return bench


def written(folder: Path, recording: Recording) -> Path:
    target = folder / "flight-000001-test.jsonl.gz"
    write_flight(target, recording, machine.step, ABOUT)
    return target


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """The file with changed lines and a sum that says they are good: somebody knew how."""
    told = lines_of(path)[:-1]
    change(told)
    text = "".join(
        json.dumps(one, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n"
        for one in told
    )
    sum_ = blake2b(text.encode(), digest_size=SUM_BYTES).hexdigest()
    path.write_bytes(gzip.compress(text.encode() + json.dumps({"sum": sum_}).encode()))
    return path


def test_a_recording_is_decided_again_alike_and_names_nobody(tmp_path: Path) -> None:
    recording = day().loop.flight.recording()
    assert all(one in repr(recording) for one in (ADA.member, "Ada", "Bob"))
    path = written(tmp_path, recording)
    found = replay_flight(path, machine.step)
    assert (found.why, found.differences) == ("test", ())
    assert found.moments == len(recording.moments)
    told = gzip.decompress(path.read_bytes()).decode()
    assert [one for one in SECRETS if one in told] == []
    assert "session_started" in told


def test_one_flipped_level_is_noticed_and_named(tmp_path: Path) -> None:
    """Each sample in turn, the stop button pressed where it was not: nothing that matters goes unseen."""
    recording = day().loop.flight.recording()
    samples = [n for n, one in enumerate(recording.moments) if isinstance(one.event, InputsSampled)]
    assert len(samples) >= 5
    for number in samples:

        def flip(told: list[dict[str, Any]], number: int = number) -> None:
            inputs = told[2 + number]["event"]["inputs"]
            inputs["stop_pressed"] = not inputs["stop_pressed"]

        found = replay_flight(rewritten(written(tmp_path, recording), flip), machine.step)
        assert found.differences != (), number


@pytest.mark.parametrize("what", ["left out", "twice", "its effects"])
def test_an_event_that_is_missing_or_doubled_or_has_other_effects_is_noticed(
    tmp_path: Path, what: str
) -> None:
    recording = day().loop.flight.recording()
    names = [type(one.event).__name__ for one in recording.moments]
    at = 2 + names.index("RecordDurable")

    def change(told: list[dict[str, Any]]) -> None:
        if what == "left out":
            del told[at]
        elif what == "twice":
            told.insert(at, told[at])
        else:
            told[at]["effects"] = []
        told[0]["moments"] = len(told) - 3

    path = rewritten(written(tmp_path, recording), change)
    assert replay_flight(path, machine.step).differences != ()


def test_another_core_is_noticed_by_a_replay(tmp_path: Path) -> None:
    path = written(tmp_path, day().loop.flight.recording())

    def deaf(state: MachineState, event: Event, now: Now) -> Any:
        after, effects = machine.step(state, event, now)
        return after, effects[1:]

    differences = replay_flight(path, deaf).differences
    assert any("RecordDurable" in one for one in differences)


def test_effects_that_were_others_when_it_happened_are_told(tmp_path: Path) -> None:
    """A step that is not pure: the bits of a Pi's memory, or a global that somebody keeps."""
    bench = LoopBench()

    def impure(state: MachineState, event: Event, now: Now) -> Any:
        after, effects = machine.step(state, event, now)
        return after, effects[:-1]

    bench.loop._step = impure
    bench.tick(3)
    bench.inbox.put(bench.arrival(None))
    bench.tick()
    found = replay_flight(written(tmp_path, bench.loop.flight.recording()), machine.step)
    assert any("when it happened" in one for one in found.differences)


def test_any_damaged_byte_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path, day().loop.flight.recording())
    good = path.read_bytes()
    # Beyond gzip's own header, whose time, system and name mean nothing.
    for at in range(good.index(b"\0", 10) + 1, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises(StoreError, match="cannot be replayed"):
            replay_flight(path, machine.step)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(StoreError, match="cannot be replayed"):
        replay_flight(path, machine.step)


# ------------------------------------------------------------------------------------- the keeper


def keeper(folder: Path, **options: Any) -> FlightKeeper:
    return FlightKeeper(folder, machine.step, SystemClock(), **options)


def test_a_fault_is_kept_once_in_ten_minutes_and_files_are_few(tmp_path: Path) -> None:
    recording = day().loop.flight.recording()
    for number in range(1, FILES_MAX + 3):
        writer = keeper(tmp_path)
        writer.start()
        writer.keep(recording)
        writer.keep(recording)
        path = tmp_path / f"flight-{number:06}-fault.jsonl.gz"
        wait_until(path.exists, 20, "a recording")
        wait_until(writer._recordings.empty, 20, "nothing more to write")
        writer.stop()
        writer._thread.join(20)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"flight-{n:06}-fault.jsonl.gz" for n in range(3, 3 + FILES_MAX)]


def test_a_disk_with_no_room_but_for_records_keeps_its_room(tmp_path: Path) -> None:
    recording = day().loop.flight.recording()
    keeper(tmp_path, free_bytes_min=1 << 62).crashed(recording, lambda: None)
    assert list(tmp_path.iterdir()) == []
    keeper(tmp_path).crashed(recording, lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["flight-000001-crash.jsonl.gz"]


def test_a_diagnosis_packs_the_recordings_too(tmp_path: Path) -> None:
    keeper(tmp_path).crashed(day().loop.flight.recording(), lambda: None)
    config = tmp_path / "node.toml"
    config.write_text("")
    target, kept = tmp_path / "saw.zip", sorted(tmp_path.glob(PATTERN))
    names = pack(
        target,
        ask=lambda op, **_: {},
        findings=[],
        config_file=config,
        run=lambda command: None,
        recordings=kept,
    )
    with zipfile.ZipFile(target) as archive:
        assert sorted(archive.namelist()) == names
        assert archive.read(kept[0].name) == kept[0].read_bytes()


def test_the_recordings_of_a_node_are_found_by_its_configuration(tmp_path: Path) -> None:
    keeper(tmp_path).crashed(day().loop.flight.recording(), lambda: None)
    config = tmp_path / "node.toml"
    example = Path(__file__).parents[2] / "config" / "node.example.toml"
    config.write_text(example.read_text().replace('"/var/lib/interlock"', f'"{tmp_path}"'))
    assert recordings_of(config) == sorted(tmp_path.glob(PATTERN))
    config.write_text("not = a file")
    assert recordings_of(config) == []


def test_a_node_that_ends_gives_a_half_written_recording_up(tmp_path: Path) -> None:
    recording = day().loop.flight.recording()
    long = Recording(recording.first, recording.moments[:1] * EVENTS_PER_SLICE * 1_000)
    writer = keeper(tmp_path)
    writer.start()
    writer.keep(long)
    wait_until(lambda: list(tmp_path.glob("*.part")), 20, "a file that is being written")
    writer.stop()
    writer._thread.join(20)
    assert not writer._thread.is_alive()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_a_node_whose_core_dies_leaves_its_last_event_and_one_with_a_fault_what_led_to_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = NodeBench()
    try:
        bench.start()
        bench.install()
        bench.tap()
        state = bench.config.paths.state_dir
        wait_until(lambda: bench.loop and bench.loop.state.state is State.FAULT, 20, "a fault")
        (fault,) = wait_until(lambda: list(state.glob(PATTERN)), 60, "a recording")
        assert cli.run(["node", "replay-flight", str(fault), "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["why"], answer["differences"]) == ("fault", 0)
        told = gzip.decompress(fault.read_bytes()).decode()
        last = json.loads(told.splitlines()[-2])["state"]["facts"]
        assert Fault.CONTACTOR_FAILED.value in json.dumps(last)
        secrets = (ADA_OF_NODE.member, ADA_OF_NODE.name or "", ADA_OF_NODE.tag.hex(), ADA_UID.hex())
        assert [one for one in (*secrets, KEYS.chain_key.hex()) if one in told] == []

        def dying(state: MachineState, event: Event, now: Now) -> Any:
            raise LookupError("planted")

        assert bench.loop is not None
        monkeypatch.setattr(bench.loop, "_step", dying)
        assert bench.wait_for_exit() == 1
        crash = max(state.glob(PATTERN))
        assert crash.name == "flight-000002-crash.jsonl.gz"
        assert lines_of(crash)[-3]["effects"] is None
    finally:
        bench.close()
