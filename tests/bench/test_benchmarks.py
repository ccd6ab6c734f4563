"""Every benchmark, a small one of each, in; rows out: what somebody runs once a month must not have rotted meanwhile.

No figure is looked at: machines differ, and CI is never quiet.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.bench import badge, fan_out, growth
from tests.bench.__main__ import benchmarks_of_this_folder, run

IN_PROCESS: Mapping[str, Mapping[str, Any]] = {
    "decision": {"BADGES": 50, "DECISIONS": 50, "TICKS": 50},
    "lists": {"BADGES": (5, 10), "REPEATS": {5: 1, 10: 1}, "DELTAS": 2},
    "reader": {"POLLS": 20, "TAPS": 5},
}
BESIDE_OTHERS: Mapping[str, Mapping[str, Any]] = {
    "badge": {},
    "badge_aes": {},
    "closing": {"PAYERS": 120},
    "fan_out": {
        "CLIENTS": 2,
        "REAL_NODES": 1,
        "MEMBERS": 120,
        "TRAININGS": 2,
        "CHANGES": 2,
        "REST_S": 0.1,
    },
    "growth": {},
    "ingest": {"SESSIONS": 20, "PAGES_ALONE": 2},
    "journal": {"APPENDS": 10, "LOOKUPS": 50, "BADGES": 50, "RECORDS": 5_000, "OPENINGS": 1},
    "pages": {"LOOKS": 1, "REPORTS": 1},
    "process": {"BADGES": 50, "RECORDS": 5_000, "STARTS": 1},
    "stop": {"ROUNDS": 2, "IDLE_S": 0.2},
    "world": {"TRANSFERS": 50, "WRITES": 50, "PRESSES": 2},
}
GROWN_FROM = {
    growth.decided_ms: 10,
    growth.list_made_ms: 10,
    growth.list_loaded_ms: 10,
    growth.change_applied_ms: 10,
    growth.change_bytes: 10,
    fan_out.refused_ms: 2,
}
"""At ten times that size too. The rest asks what `closing`, `ingest`, `journal` and `process` ask."""


@pytest.mark.fast
def test_no_benchmark_is_left_out() -> None:
    assert {*IN_PROCESS, *BESIDE_OTHERS} == {name for name, _ in benchmarks_of_this_folder()}


@pytest.mark.fast
@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_benchmark_in_this_process_measures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made_small(name, IN_PROCESS[name], monkeypatch)
    measured(name)


@pytest.mark.real
@pytest.mark.parametrize("name", BESIDE_OTHERS)
def test_a_benchmark_with_processes_and_disks_measures(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_small(name, BESIDE_OTHERS[name], monkeypatch)
    monkeypatch.setattr(badge, "ROUNDS", 2)
    made_small("fan_out", BESIDE_OTHERS["fan_out"], monkeypatch)
    monkeypatch.setattr(
        growth,
        "GROWN",
        [
            replace(one, size=GROWN_FROM[one.measure])
            for one in growth.GROWN
            if one.measure in GROWN_FROM
        ],
    )
    for of, count in (("SESSIONS", 300), ("MEMBERS", 30), ("MACHINES", 5)):
        monkeypatch.setenv(f"INTERLOCK_BENCH_{of}", str(count))
    measured(name)


def made_small(name: str, sizes: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's constants are those, and all of them existed."""
    module = importlib.import_module(f"tests.bench.{name}")
    for constant, value in sizes.items():
        monkeypatch.setattr(module, constant, value)


def measured(name: str) -> None:
    """It runs to its end and has something to say."""
    rows, failed = run({name: dict(benchmarks_of_this_folder())[name]})
    assert not failed
    assert rows
