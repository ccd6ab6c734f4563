"""One fault more: a life with it, laid beside the same life without it, has nothing that it may not have (S13)."""

from __future__ import annotations

from random import SystemRandom

import pytest

from interlock.sim.simulator.happenings import FAULTS, Kind, plan_from_text
from interlock.sim.simulator.run import run
from interlock.sim.simulator.twins import run_twins, twin_plan_of, without_faults
from tests.simulator.planted_twins import PLANTED, PlantedTwins

pytestmark = pytest.mark.fast

SEEDS = tuple(range(5))
PAIR_HOURS = 0.06
"""A fault comes after 45 s; campaigns live longer pairs."""


@pytest.mark.parametrize("seed", SEEDS)
def test_one_fault_more_powers_nobody_more_who_may_not(seed: int) -> None:
    assert run_twins(twin_plan_of(seed, PAIR_HOURS, 1)).violation is None


def test_a_fault_at_one_machine_changes_nothing_at_the_one_beside_it() -> None:
    plan = twin_plan_of(7, PAIR_HOURS, 2)
    assert len({one.node for one in plan.happenings if one.kind in FAULTS}) == 1
    assert run_twins(plan).violation is None


def test_one_fault_more_powers_nobody_more_in_a_life_nobody_ran_before() -> None:
    seed = SystemRandom().randrange(1_000_000, 1_000_000_000)
    plan = twin_plan_of(seed, PAIR_HOURS, 1)
    found = run_twins(plan).violation
    assert found is None, f"interlock sim run --twins --seed {seed} --hours {PAIR_HOURS}: {found}"


@pytest.mark.parametrize("planted", PLANTED, ids=[one.name for one in PLANTED])
def test_what_only_a_fault_brings_out_is_found_and_the_clean_tree_passes(
    planted: PlantedTwins,
) -> None:
    found = planted.found()
    assert found is not None, "the planted bug was not found"
    assert found.rule == "S13"
    assert planted.words in found.what
    assert run_twins(planted.life()).violation is None


def test_a_pair_differs_in_its_fault_alone() -> None:
    plan = twin_plan_of(1, PAIR_HOURS, 1)
    broken = [one for one in plan.happenings if one.kind in FAULTS]
    assert len({one.kind for one in broken}) == 1
    assert set(without_faults(plan).happenings) == set(plan.happenings) - set(broken)


def test_the_other_rules_pass_a_mistake_that_only_a_pair_shows() -> None:
    """Without the comparison it would go unseen: this is why it is made."""
    idle = next(one for one in PLANTED if "idle time" in one.name)
    assert run(idle.life(), idle.parts()).violation is None


def test_a_lost_link_may_change_nothing_and_a_list_too_old_may() -> None:
    """Within `max_offline` the two lives are one; behind it a refusal in one of them is no difference."""
    acts = ("50000 0 link down", "100000 0 lay eve", "100500 0 lift eve")
    plan = plan_from_text(["seed 120 nodes 1 end_ms 120000", *acts])
    assert {one.kind for one in plan.happenings} == {Kind.LINK, Kind.LAY, Kind.LIFT}
    both = run_twins(plan)
    assert both.violation is None
    assert both.tally.sessions == 2
