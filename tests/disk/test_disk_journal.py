"""The journal on a disk that keeps what was synced and a random part of the rest: no promise breaks at any cut."""

from __future__ import annotations

import json
import logging
import random
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.campaign import campaign, runs, total
from tests.disk.histories import (
    SEQUENCES,
    STEPS,
    Setting,
    Tried,
    cuts_until_broken,
    exhaustive,
    random_history,
    sequence,
)
from tests.disk.lives import room
from tests.disk.planted import PLANTED, Planted

pytestmark = pytest.mark.real

CUTS_IN_CI = 5_000
"""7-targets.md: simulated power cuts of the journal in every run of the suite."""

SHORT_SEQUENCES = len(STEPS) + len(STEPS) ** 2
"""All of one and two steps; those of three and four are drawn here and done in full by the campaign."""

LONG_SEQUENCES = 110
RANDOM_SEEDS = 40
FRESH_SEEDS = 5
"""Together with the sequences a little more than 5,000 cuts; the test counts them."""

CUTS_TO_FIND = 5_000
"""A planted bug that hides longer than this is not found by the suite; the slowest needs about 3,400."""


@pytest.fixture(name="folder")
def disk_in_memory() -> Iterator[Path]:
    logging.disable(logging.CRITICAL)
    with room() as folder:
        yield folder
    logging.disable(logging.NOTSET)


def test_no_promise_breaks_at_5_000_cuts(folder: Path) -> None:
    tried = Tried()
    for number in range(SHORT_SEQUENCES):
        exhaustive(folder, number, tried)
    rng = random.Random(4)
    for number in sorted(rng.sample(range(SHORT_SEQUENCES, SEQUENCES), LONG_SEQUENCES)):
        exhaustive(folder, number, tried)
    seed = 0
    while seed < RANDOM_SEEDS or tried.cuts < CUTS_IN_CI:
        random_history(folder, seed, tried)
        seed += 1
    assert tried.cuts >= CUTS_IN_CI
    assert tried.recoveries_cut > 100, "hardly a recovery was cut"
    for kind in ("write", "sync", "read"):
        assert tried.faults[f"EIO at {kind}"] > 2, f"no {kind} failed"
    assert tried.faults["ENOSPC at write"] > 2


def test_no_promise_breaks_with_seeds_nobody_chose(folder: Path) -> None:
    tried = Tried()
    for _ in range(FRESH_SEEDS):
        seed = 1_000_000 + secrets.randbelow(1_000_000_000)
        print(f"tests.disk.histories.random_history(folder, {seed}, Tried())")  # noqa: T201
        random_history(folder, seed, tried)
    assert tried.cuts


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(folder: Path, bug: Planted) -> None:
    with bug.in_place() as setting:
        assert cuts_until_broken(folder, setting, bug.breaks, CUTS_TO_FIND) is not None


def test_every_sequence_of_up_to_four_steps_has_a_number_of_its_own() -> None:
    assert len({sequence(number) for number in range(SEQUENCES)}) == SEQUENCES
    with pytest.raises(ValueError, match="only"):
        sequence(SEQUENCES)


def test_the_same_seed_is_the_same_history(folder: Path) -> None:
    first, second, other = Tried(), Tried(), Tried()
    random_history(folder, 11, first, Setting())
    random_history(folder, 11, second, Setting())
    random_history(folder, 12, other, Setting())
    assert first == second != other


def test_a_campaign_goes_on_where_it_stopped_and_its_totals_add_up(tmp_path: Path) -> None:
    logging.disable(logging.CRITICAL)
    told: list[str] = []
    first = campaign(tmp_path, "random", 0.01, told.append)
    second = campaign(tmp_path, "random", 0.01, told.append)
    logging.disable(logging.NOTSET)
    assert second.end > first.end > 0
    lines = [json.loads(line) for line in (tmp_path / "random.jsonl").read_text().splitlines()]
    assert (
        sum(line["cuts"] for line in lines)
        == second.tried.cuts
        == total(runs(tmp_path, "random")).tried.cuts
    )
    assert f"{second.tried.cuts:,} cuts" in told[-1]
    (tmp_path / "random.jsonl").write_text(json.dumps(lines[-1]) + "\n")
    with pytest.raises(ValueError, match="do not add up"):
        runs(tmp_path, "random")
