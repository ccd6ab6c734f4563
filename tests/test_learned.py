"""What was measured at a machine survives in its file, and never goes before what the TOML says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config import NodeConfig, parse_node
from interlock.config.learned import thresholds_between, with_learned, write_thresholds
from interlock.errors import ConfigError

pytestmark = pytest.mark.fast


def config_at(state_dir: Path, **current: Any) -> NodeConfig:
    """A machine with a clamp on an ADS1115, whose state lies in `state_dir`."""
    parsed = parse_node(
        {
            "machine": {"name": "Drill", "restart_protection": "no_volt_release"},
            "relay": {"pin": 17},
            "inputs": {"stop_button": {"pin": 5}},
            "current": {"kind": "ads1115", **current},
        }
    )
    return replace(parsed, paths=replace(parsed.paths, state_dir=state_dir))


def levels(config: NodeConfig) -> tuple[int | None, int | None]:
    return config.current.busy_above_ma, config.current.idle_below_ma


def test_a_machine_that_learned_nothing_knows_no_thresholds(tmp_path: Path) -> None:
    assert levels(with_learned(config_at(tmp_path))) == (None, None)


def test_what_was_learned_is_read_back(tmp_path: Path) -> None:
    config = config_at(tmp_path)
    write_thresholds(config.paths.learned, thresholds_between(200, 4_200))
    assert levels(with_learned(config)) == (2_200, 1_200)
    write_thresholds(config.paths.learned, thresholds_between(100, 2_100))
    assert levels(with_learned(config)) == (1_100, 600)


def test_what_the_file_says_goes_before_what_was_learned(tmp_path: Path) -> None:
    config = config_at(tmp_path, busy_above_ma=900, idle_below_ma=300)
    write_thresholds(config.paths.learned, thresholds_between(200, 4_200))
    assert levels(with_learned(config)) == (900, 300)


def test_other_sections_of_the_file_are_kept(tmp_path: Path) -> None:
    path = config_at(tmp_path).paths.learned
    path.write_text(json.dumps({"relay": {"tested": True}}), encoding="utf-8")
    write_thresholds(path, thresholds_between(0, 1_000))
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "relay": {"tested": True},
        "current": {"idle_ma": 0, "busy_ma": 1_000, "busy_above_ma": 500, "idle_below_ma": 250},
    }
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"current": 5}',
        b'{"current": {"busy_above_ma": 5}}',
        b'{"current": {"busy_above_ma": true, "idle_below_ma": true}}',
        b'{"current": {"busy_above_ma": 5, "idle_below_ma": 5}}',
        b'{"current": {"busy_above_ma": 5, "idle_below_ma": -1}}',
        b"\xff",
        b'{"current": null, "x": "' + b"x" * 70_000 + b'"}',
    ],
)
def test_a_file_that_makes_no_sense_is_said_by_its_path(tmp_path: Path, content: bytes) -> None:
    config = config_at(tmp_path)
    config.paths.learned.write_bytes(content)
    with pytest.raises(ConfigError, match="interlock commission") as caught:
        with_learned(config)
    assert caught.value.where == str(config.paths.learned)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        write_thresholds(tmp_path / "gone" / "file.json", thresholds_between(0, 1_000))


def test_currents_that_cannot_be_told_apart_teach_nothing() -> None:
    for idle_ma, busy_ma in ((1_000, 1_999), (0, 1), (500, 100)):
        with pytest.raises(ConfigError, match="told apart"):
            thresholds_between(idle_ma, busy_ma)


@given(st.integers(0, 500_000), st.integers(0, 1_000_000))
def test_what_is_learned_lies_between_idle_and_busy_with_room(idle_ma: int, more_ma: int) -> None:
    busy_ma = 2 * max(2, idle_ma) + more_ma
    learned = thresholds_between(idle_ma, busy_ma)
    assert idle_ma < learned.idle_below_ma < learned.busy_above_ma <= busy_ma
