"""The simulator can fail: for every rule a planted bug breaks it, and the clean tree passes the same seed."""

from __future__ import annotations

import pytest

from interlock.sim.simulator import invariants
from interlock.sim.simulator.invariants import rule_of
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.run import run
from tests.simulator.planted import HOURS, PLANTED, Planted

pytestmark = pytest.mark.fast

SEEDS_MAX = 80
"""docs/proof.md says how many each needs; none may need more."""

EVERY = (
    invariants.EVERY_STEP
    + invariants.AT_CLOSING
    + invariants.AT_OPENING
    + invariants.AT_RECORD
    + invariants.AT_READY
)


@pytest.mark.parametrize("planted", PLANTED, ids=[f"{one.rule} {one.name}" for one in PLANTED])
def test_the_simulator_finds_it_and_the_clean_tree_passes_the_same_seed(planted: Planted) -> None:
    assert planted.seed < SEEDS_MAX
    plan = plan_of(planted.seed, HOURS, 1)
    found = run(plan, planted.parts()).violation
    assert found is not None, "the planted bug was not found"
    assert found.rule == planted.rule, str(found)
    assert run(plan).violation is None


def test_every_rule_that_is_checked_has_a_planted_bug() -> None:
    assert {rule_of(one) for one in EVERY} <= {one.rule for one in PLANTED}
