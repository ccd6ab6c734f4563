"""The back-off: its ceilings, its jitter, its reset."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from interlock.sync.backoff import CAP_MS, FIRST_MS, Backoff

pytestmark = pytest.mark.fast


def waits(failures: int, seeds: int = 400, cap_ms: int = CAP_MS) -> list[int]:
    found = []
    for seed in range(seeds):
        backoff = Backoff(Random(seed), cap_ms)
        found.append([backoff.failed() for _ in range(failures)][-1])
    return found


@pytest.mark.parametrize(
    ("failures", "ceiling_ms"),
    [(1, 1_000), (2, 2_000), (3, 4_000), (6, 32_000), (7, 60_000), (40, 60_000)],
)
def test_the_ceiling_doubles_from_one_second_to_sixty(failures: int, ceiling_ms: int) -> None:
    drawn = waits(failures)
    assert max(drawn) <= ceiling_ms
    assert max(drawn) > 0.95 * ceiling_ms


def test_jitter_uses_the_whole_range_below_the_ceiling() -> None:
    drawn = waits(7)
    for tenth in range(10):
        low = tenth * CAP_MS // 10
        assert any(low <= wait < low + CAP_MS // 10 for wait in drawn)


def test_a_success_brings_the_ceiling_back_to_one_second() -> None:
    backoff = Backoff(Random(3))
    for _ in range(20):
        backoff.failed()
    backoff.succeeded()
    assert backoff.failed() <= FIRST_MS


def test_a_smaller_cap_holds_from_the_first_failure_on() -> None:
    assert max(waits(1, cap_ms=500) + waits(9, cap_ms=500)) <= 500


@pytest.mark.parametrize(
    ("away_s", "busiest", "half_s"), [(3, 160, 2), (10, 60, 6), (60, 20, 18), (600, 25, 18)]
)
def test_500_nodes_come_back_to_a_hub_that_was_away_in_no_more_than_so_many_a_second(
    away_s: int, busiest: int, half_s: int
) -> None:
    """What a hub has to greet after a restart: docs/performance.md has what it can."""
    after_s = sorted(came_back_s(Random(seed), away_s) for seed in range(500))
    seconds = Counter(int(after) for after in after_s)
    assert max(seconds.values()) <= busiest
    assert after_s[250] <= half_s
    assert after_s[-1] <= CAP_MS / 1_000


def came_back_s(randomness: Random, away_s: int) -> float:
    """How long after the hub's return the first attempt is made that finds it."""
    backoff, at_ms = Backoff(randomness), 0
    while at_ms < away_s * 1_000:
        at_ms += backoff.failed()
    return at_ms / 1_000 - away_s
