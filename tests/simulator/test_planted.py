"""The simulator can fail: for every rule a planted bug breaks it, and the clean tree passes the same seed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from interlock.sim.simulator import invariants
from interlock.sim.simulator.invariants import rule_of
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.run import Violation, run
from tests.simulator import planted_full
from tests.simulator.planted import PLANTED
from tests.simulator.planted_life import HOURS, Planted
from tests.simulator.rules import ELSEWHERE, RULES

pytestmark = pytest.mark.fast

TESTS = Path(__file__).parents[1]
EVERY = (
    invariants.EVERY_STEP
    + invariants.AT_CLOSING
    + invariants.AT_OPENING
    + invariants.AT_RECORD
    + invariants.AT_READY
)


@cache
def clean(seed: int) -> Violation | None:
    """What the clean tree does in that life; several mistakes share a seed."""
    return run(plan_of(seed, HOURS, 1)).violation


@pytest.mark.parametrize("planted", PLANTED, ids=[f"{one.rule} {one.name}" for one in PLANTED])
def test_the_simulator_finds_it_and_the_clean_tree_passes_the_same_seed(planted: Planted) -> None:
    seed = planted.first()
    assert seed is not None, "the planted bug was not found"
    assert (run(planted.life(seed)).violation if planted.acts else clean(seed)) is None


def test_every_rule_that_is_checked_has_a_planted_bug() -> None:
    assert {rule_of(one) for one in EVERY} <= {one.rule for one in PLANTED}


def test_every_rule_of_the_design_is_broken_by_somebody_on_purpose() -> None:
    alive = {one.rule for one in PLANTED}.union(*(one.rules for one in planted_full.PLANTED))
    assert set(RULES) == alive & set(RULES) | ELSEWHERE.keys()
    assert not alive & ELSEWHERE.keys(), "a life shows it: it needs no other test"
    for rule, (_, file, words) in ELSEWHERE.items():
        source = (TESTS / file).read_text(encoding="utf-8")
        found = [line for line in source.splitlines() if line.lstrip().startswith("def test_")]
        assert any(words in line for line in found), f"{rule}: no test of {file} says {words}"
