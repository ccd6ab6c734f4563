"""A commissioning is on record exactly once, whoever starts the node how often, and the file survives what it may."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.config import NodeConfig, digest, parse_node
from interlock.config.learned import (
    BreakGlass,
    Commissioned,
    Found,
    read_break_glass,
    read_commissioned,
    read_commissioned_or_none,
    thresholds_between,
    wiring_digest,
    with_learned,
    write_break_glass,
    write_commissioning,
)
from interlock.errors import ConfigError
from interlock.node.commission import findings
from interlock.node.commission_words import Step
from interlock.node.diagnosis import pack
from interlock.protocol.control import Op
from tests.node.node_rig import NodeBench, bodies
from tests.node.technician import SAW, Workshop
from tests.waiting import wait_until

WALKED = Commissioned(
    id="c1",
    at=1_767_225_600,
    by="Fatou Diallo",
    config="c" * 64,
    wiring="d" * 64,
    software="0.4",
    findings=(Found("relay", True, {"close_ms": 15, "open_ms": 20}), Found("current", None, {})),
)
SEAL = BreakGlass(b"s" * 16, b"h" * 32, 100)


# ------------------------------------------------------------------------------------------ the file


@pytest.mark.fast
def test_everything_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "commissioning.json"
    assert (read_commissioned(path), read_break_glass(path)) == (None, None)
    write_commissioning(path, WALKED, thresholds_between(100, 2_100), SEAL)
    assert (read_commissioned(path), read_break_glass(path)) == (WALKED, SEAL)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fast
def test_a_walk_that_learned_nothing_keeps_what_was_learned_before(tmp_path: Path) -> None:
    path = tmp_path / "commissioning.json"
    write_commissioning(path, WALKED, thresholds_between(100, 2_100), SEAL)
    write_commissioning(path, replace(WALKED, id="c2"))
    assert read_break_glass(path) == SEAL
    assert json.loads(path.read_text())["current"]["busy_above_ma"] == 1_100
    found = read_commissioned(path)
    assert found is not None
    assert found.id == "c2"


@pytest.mark.fast
def test_striking_the_code_out_keeps_the_walk(tmp_path: Path) -> None:
    path = tmp_path / "commissioning.json"
    write_commissioning(path, WALKED, None, SEAL)
    write_break_glass(path, replace(SEAL, used_at=200))
    assert (read_commissioned(path), read_break_glass(path)) == (WALKED, replace(SEAL, used_at=200))


@pytest.mark.fast
@pytest.mark.parametrize(
    "damage",
    [
        {"id": 5},
        {"findings": "none"},
        {"findings": [{"name": "relay"}]},
        {"findings": [{"name": "relay", "good": "yes", "measured": {}}]},
        {"findings": [{"name": "relay", "good": True, "measured": {"close_ms": "15"}}]},
        {"findings": [{"name": "relay", "good": True, "measured": {}}] * 65},
        {"by": "x" * 65},
        {"at": None},
    ],
)
def test_a_walk_that_makes_no_sense_is_none_and_the_next_one_makes_it_anew(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    path = tmp_path / "commissioning.json"
    write_commissioning(path, WALKED)
    sections = json.loads(path.read_text())
    sections["commissioned"].update(damage)
    path.write_text(json.dumps(sections))
    with pytest.raises(ConfigError, match="interlock commission"):
        read_commissioned(path)
    assert read_commissioned_or_none(path) is None
    write_commissioning(path, WALKED)
    assert read_commissioned(path) == WALKED


@pytest.mark.fast
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_root_writes_belongs_to_the_nodes_own_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_346)
    path = tmp_path / "commissioning.json"
    write_commissioning(path, WALKED)
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)


@pytest.mark.fast
def test_another_wiring_is_noticed_and_another_language_is_none() -> None:
    base = parse_node(SAW)

    def changed(**tables: dict[str, object]) -> NodeConfig:
        document = {table: {**SAW.get(table, {}), **keys} for table, keys in tables.items()}
        return parse_node({**SAW, **document})

    same = changed(panel={"language": "fr"}, machine={"name": "Saw 2"}, reader={"polls_per_s": 10})
    assert wiring_digest(same) == wiring_digest(base)
    for other in (
        changed(relay={"extraction_pin": 2}),
        changed(times={"inrush_ms": 400}),
        changed(machine={"restart_protection": "no_volt_release"}),
        changed(inputs={"broken_button": {"pin": 6, "normally": "closed"}}),
        changed(current={"idle_below_ma": 5, "busy_above_ma": 9}),
        parse_node({**SAW, "interlocks": SAW["interlocks"][1:]}),
    ):
        assert wiring_digest(other) != wiring_digest(base)


@pytest.mark.fast
def test_a_walk_of_one_step_keeps_the_others_findings_and_says_what_was_never_tested() -> None:
    shop = Workshop()
    shop.walk(Step.READER)
    known = [Found("reader", False, {}), Found("panel: lamp", True, {}), Found("gone", True, {})]
    lines = {one.name: one.good for one in findings(shop.config, shop.taken_walk, known)}
    assert lines["reader"] is True
    assert lines["panel: lamp"] is True
    assert lines["relay"] is None
    assert "gone" not in lines
    assert [name.partition(":")[0] for name in lines] == [step.value for step in Step]


# ------------------------------------------------------------------------------------------ the node


@pytest.fixture
def node() -> Iterator[NodeBench]:
    bench = NodeBench()
    bench.config.paths.learned.parent.mkdir(parents=True)
    yield bench
    bench.close()


def restart(node: NodeBench) -> None:
    node.stop()
    node.start()


@pytest.mark.real
def test_a_commissioning_is_recorded_once_however_often_the_node_starts(node: NodeBench) -> None:
    node.start()
    assert node.ask(Op.STATUS)["commissioned"] is None
    assert bodies(node, "commissioned") == []
    walked = replace(WALKED, config=digest(node.config))
    write_commissioning(node.config.paths.learned, walked)
    restart(node)
    wait_until(lambda: bodies(node, "commissioned"), 5, "the record")
    for _ in range(2):
        restart(node)
    assert bodies(node, "commissioned") == [
        {
            "id": "c1",
            "by": "Fatou Diallo",
            "config": digest(node.config),
            "software": "0.4",
            "findings": [
                {"name": "relay", "good": True, "measured": {"close_ms": 15, "open_ms": 20}},
                {"name": "current", "good": None, "measured": {}},
            ],
        }
    ]
    assert node.ask(Op.STATUS)["commissioned"] == {
        "id": "c1",
        "by": "Fatou Diallo",
        "same_wiring": True,
        "open": ["current"],
    }
    write_commissioning(node.config.paths.learned, replace(walked, id="c2"))
    restart(node)
    wait_until(lambda: len(bodies(node, "commissioned")) == 2, 5, "the second walk's record")
    assert [body["id"] for body in bodies(node, "commissioned")] == ["c1", "c2"]


@pytest.mark.real
def test_a_file_changed_since_is_another_wiring_and_a_damaged_one_stops_nobody(
    node: NodeBench,
) -> None:
    write_commissioning(node.config.paths.learned, replace(WALKED, config=digest(node.config)))
    node.changes["times"] = {"close_time_ms": 300}
    node.start()
    assert node.ask(Op.STATUS)["commissioned"]["same_wiring"] is False
    node.config.paths.learned.write_text("{")
    restart(node)
    status = node.ask(Op.STATUS)
    assert (status["state"], status["commissioned"], status["break_glass"]) == (
        "locked",
        None,
        None,
    )


@pytest.mark.real
def test_no_archive_for_helpers_says_who_commissioned(node: NodeBench, tmp_path: Path) -> None:
    write_commissioning(node.config.paths.learned, WALKED, None, SEAL)
    node.start()
    target = tmp_path / "saw.zip"
    config_file = tmp_path / "node.toml"
    config_file.write_text("")
    pack(target, ask=node.client.ask, findings=[], config_file=config_file, run=lambda _: None)
    with zipfile.ZipFile(target) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b'"id": "c1"' in everything
    assert b"Fatou" not in everything


@pytest.mark.fast
def test_thresholds_of_a_walk_are_what_the_node_decides_by(tmp_path: Path) -> None:
    clamp = parse_node(
        {
            "machine": {"name": "Drill", "restart_protection": "no_volt_release"},
            "relay": {"pin": 17},
            "inputs": {"stop_button": {"pin": 5}},
            "current": {"kind": "ads1115"},
            "paths": {"state_dir": str(tmp_path)},
        }
    )
    write_commissioning(clamp.paths.learned, WALKED, thresholds_between(100, 2_100))
    current = with_learned(clamp).current
    assert (current.busy_above_ma, current.idle_below_ma) == (1_100, 600)
