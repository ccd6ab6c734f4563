"""Masking: no figure of fewer than five persons is shown, and none can be worked out from the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.hub.reporting.masking import FEWEST, hidden

pytestmark = pytest.mark.fast


def test_a_small_group_takes_the_next_smallest_with_it() -> None:
    told = hidden({"staff": 2, "student": 9, "resident": 30})
    assert (set(told.keys), told.total) == ({"staff", "student"}, False)


def test_two_groups_of_two_are_hidden_behind_a_third() -> None:
    told = hidden({"a": 2, "b": 2, "c": 40, "d": 50})
    assert (set(told.keys), told.total) == ({"a", "b", "c"}, False)


def test_a_table_of_large_groups_is_shown_whole() -> None:
    told = hidden({"a": 5, "b": 6, "none": 0})
    assert (set(told.keys), told.total) == (set(), False)


def test_a_nought_is_shown_and_hides_nobody() -> None:
    assert hidden({"a": 3, "b": 0, "c": 8}).keys == {"a", "c"}


def test_where_nothing_is_left_to_hide_behind_the_total_goes_too() -> None:
    assert hidden({"a": 3}).total
    assert hidden({"a": 2, "b": 2}).total


def test_few_people_in_many_groups_are_few_people() -> None:
    assert hidden({"a": 3, "b": 3}, in_all=4).total


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 12), min_size=1),
    st.booleans(),
)
def test_nobody_can_work_out_a_small_group(persons: dict[str, int], overlaps: bool) -> None:
    in_all = max(persons.values()) if overlaps else None
    told = hidden(persons, in_all)
    assert all(persons[key] >= FEWEST or not persons[key] for key in set(persons) - told.keys)
    if told.total or not told.keys:
        return
    # What a reader gets by subtracting everything shown from the total.
    rest = sum(persons[key] for key in told.keys)
    assert rest >= FEWEST
    assert len(told.keys) >= 2
