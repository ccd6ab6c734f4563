"""Refusals are told apart while they are few, and a flood of them stays one record a minute."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.node.refusals import (
    KNOWN_APART_MAX,
    UNKNOWN_APART_MAX,
    UNKNOWN_REFILL_PER_WINDOW,
    RefusalTally,
)

pytestmark = pytest.mark.fast

WINDOW_MS = 60_000
REASONS = ("UNKNOWN_BADGE", "NOT_TRAINED", "CACHE_STALE")


def refusal(tag: str, member: str | None = None, reason: str = "UNKNOWN_BADGE") -> dict[str, Any]:
    evidence = {"seen_ms": 1}
    return {"reason": reason, "tag": tag, "member": member, "count": 1, "evidence": evidence}


def test_the_first_refusal_is_recorded_at_once_and_the_next_are_counted() -> None:
    tally = RefusalTally(WINDOW_MS)
    assert tally.add(refusal("a"), 0) == [refusal("a")]
    assert tally.add(refusal("a"), 10) == []
    assert tally.add(refusal("a"), 20) == []
    assert tally.due(WINDOW_MS - 1) == []
    assert tally.due(WINDOW_MS) == [{**refusal("a"), "count": 2}]
    assert tally.due(2 * WINDOW_MS) == []
    assert tally.add(refusal("a"), 2 * WINDOW_MS + 1) == [refusal("a")]


def test_another_reason_for_the_same_badge_is_another_refusal() -> None:
    tally = RefusalTally(WINDOW_MS)
    first, second = refusal("a"), refusal("a", reason="NOT_TRAINED")
    assert tally.add(first, 0) + tally.add(second, 0) == [first, second]


def test_a_flood_of_new_badges_ends_as_one_row_that_names_nobody() -> None:
    tally = RefusalTally(WINDOW_MS)
    at_once = [body for n in range(1_000) for body in tally.add(refusal(f"{n}"), 0)]
    assert len(at_once) == UNKNOWN_APART_MAX
    (merged,) = tally.due(WINDOW_MS)
    assert merged["count"] == 1_000 - UNKNOWN_APART_MAX
    assert (merged["tag"], merged["member"], merged["evidence"]) == (None, None, None)


def test_a_flood_that_goes_on_is_a_record_or_two_a_minute() -> None:
    tally = RefusalTally(WINDOW_MS)
    now_ms = 0
    per_window = []
    for window in range(5):
        written = []
        for n in range(600):
            written += tally.add(refusal(f"{window}-{n}"), now_ms)
            now_ms += WINDOW_MS // 600
        per_window.append(len(written))
    assert per_window[0] == UNKNOWN_APART_MAX
    assert max(per_window[1:]) <= 1 + UNKNOWN_REFILL_PER_WINDOW


def test_a_member_s_refusal_is_recorded_at_once_in_the_middle_of_a_flood() -> None:
    tally = RefusalTally(WINDOW_MS)
    for n in range(500):
        tally.add(refusal(f"{n}"), 0)
    theirs = refusal("m", member="m1", reason="NOT_TRAINED")
    assert tally.add(theirs, 1) == [theirs]


def test_memory_is_bounded_even_when_every_badge_is_known() -> None:
    tally = RefusalTally(WINDOW_MS)
    at_once = [b for n in range(10_000) for b in tally.add(refusal(f"{n}", member="m"), 0)]
    assert len(at_once) == KNOWN_APART_MAX
    assert len(tally.due(WINDOW_MS)) == 1


@given(
    st.lists(
        st.tuples(
            st.integers(0, WINDOW_MS), st.integers(0, 40), st.booleans(), st.sampled_from(REASONS)
        ),
        max_size=200,
    )
)
def test_no_refusal_is_lost_or_counted_twice(
    steps: list[tuple[int, int, bool, str]],
) -> None:
    tally = RefusalTally(WINDOW_MS)
    now_ms, written = 0, []
    for pause_ms, tag, known, reason in steps:
        now_ms += pause_ms
        written += tally.add(refusal(f"{tag}", "m" if known else None, reason), now_ms)
    written += tally.rest()
    for reason in REASONS:
        told = sum(body["count"] for body in written if body["reason"] == reason)
        assert told == sum(step[3] == reason for step in steps)
