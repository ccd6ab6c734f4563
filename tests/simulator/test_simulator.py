"""The simulator itself: the same seed is the same run, nothing that matters is skipped, and clean seeds pass."""

from __future__ import annotations

from random import Random, SystemRandom

import pytest

from interlock.sim import physics
from interlock.sim.physics import Facts
from interlock.sim.simulator.bench import Bench
from interlock.sim.simulator.fitting import fitting
from interlock.sim.simulator.happenings import plan_from_text
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.pi import Parts
from interlock.sim.simulator.run import run

pytestmark = pytest.mark.fast

SEEDS = tuple(range(12))
"""Fixed, so that every machine runs the same lives; the campaign runs the others."""
HOURS = 0.1
WAITING = (3, 12)
"""Their machines wait for a contact at another one."""


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rule_breaks_in_this_life(seed: int) -> None:
    assert run(plan_of(seed, HOURS, 1)).violation is None


def test_no_rule_breaks_in_a_life_nobody_ran_before() -> None:
    seed = SystemRandom().randrange(1_000_000, 1_000_000_000)
    found = run(plan_of(seed, HOURS, 1)).violation
    assert found is None, f"interlock sim run --seed {seed} --hours {HOURS}: {found}"


def test_a_right_that_is_taken_away_during_the_pre_run_closes_no_relay() -> None:
    """What the campaign found at seed 122, shrunk: the snapshot arrives between the record and the closing."""
    plan = plan_from_text(
        [
            "seed 122 nodes 1 end_ms 116000",
            "110000 0 link down",
            "111000 0 hub untrain tom",
            "112000 0 lay tom",
            "112200 0 link up",
        ]
    )
    assert fitting(122, 0).rules.pre_run_s == 2, "this machine has no pre-run to lose a right in"
    assert run(plan).violation is None


def test_these_lives_hold_what_a_contact_at_another_machine_can_do() -> None:
    """Else its rules would hold of nothing: it is open, closed and unknown, keeps starts back and ends sessions."""
    tale = [
        words for seed in WAITING for _, words in run(plan_of(seed, HOURS, 1)).witnesses[0].tale
    ]
    told = {words for words in tale if words.startswith("next door is")}
    assert told == {"next door is open", "next door is closed", "next door is unknown"}
    for words in ("refused INTERLOCK_OPEN", "how=interlock_opened", "session_started"):
        assert any(words in one for one in tale), words


def test_one_seed_is_one_run_to_the_last_bit() -> None:
    first, second = (run(plan_of(3, HOURS, 2)) for _ in range(2))
    assert first.digest == second.digest
    assert first.tally == second.tally
    assert first.digest != run(plan_of(4, HOURS, 2)).digest


@pytest.mark.parametrize("seed", [3, 13, 19])
def test_leaving_out_ticks_and_polls_that_tell_nothing_changes_nothing(seed: int) -> None:
    plan = plan_of(seed, HOURS, 1)
    with_skips, without = run(plan), run(plan, Parts(skips=False))
    assert with_skips.tally.steps < without.tally.steps, (
        "nothing was left out: this compares nothing"
    )
    assert with_skips.digest == without.digest


def test_a_plan_survives_being_written_and_read() -> None:
    plan = plan_of(5, HOURS, 2)
    assert plan_from_text(plan.to_text().splitlines()) == plan


@pytest.mark.parametrize("seed", range(6))
def test_the_quick_edge_of_the_dynamic_enable_is_the_slow_one(seed: int) -> None:
    fit = fitting(next(n for n in range(seed * 50, 10_000) if fitting(n, 0).monostable), 0)
    chance = Random(seed)
    quick_seen: list[Facts] = []
    bench = Bench(fit, lambda facts: quick_seen.append(facts))
    state, slow_seen, now_us = physics.initial(fit.plant), [], 0
    for _ in range(400):
        now_us += chance.choice([1_000, 20_000, 20_000, 20_000, 260_000])
        if chance.random() < 0.85:
            bench.edge(now_us)
            passed = physics.retrigger(fit.plant, state, now_us)
        else:
            relay_pin = chance.random() < 0.7
            bench.impose(now_us, relay_pin=relay_pin)
            given = physics.Given(relay_pin=relay_pin)
            passed = physics.change(fit.plant, state, now_us, given)
        state = passed[-1]
        slow_seen += [physics.facts(fit.plant, one) for one in passed]
    assert _without_time(quick_seen) == _without_time(slow_seen)


def _without_time(seen: list[Facts]) -> list[tuple[object, ...]]:
    """Every level that changed, in order: the quick way does not report instants at which nothing did."""
    levels = [(f.relay, f.coil, f.contacts, f.mirror, f.motor, f.busy, f.turning) for f in seen]
    return [one for one, before in zip(levels[1:], levels, strict=False) if one != before]
