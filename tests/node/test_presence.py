"""An arrival is a badge put into a field that was watched and empty; everything else opens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.node.presence import (
    BLIND_MS,
    Arrived,
    Found,
    Presence,
    Removed,
    SeveralSeen,
    Sighting,
    Unproven,
    step,
)
from interlock.readers import CardSeen, SeveralCards, Sight

pytestmark = pytest.mark.fast

GAP_MS = 300
POLL_MS = 50
GAP_POLLS = GAP_MS // POLL_MS + 1

A, B = CardSeen(b"aaaa", b"\x04\x00", 8), CardSeen(b"bbbb", b"\x04\x00", 8)
BOTH = SeveralCards()
NOTHING = None

DOUBTED, FORGED = Unproven(), Unproven(forged=True)

Poll = tuple[int, Sight | Unproven | None]


def told(polls: Sequence[Poll]) -> list[tuple[int, Sighting]]:
    presence, history = Presence(), []
    for number, (now_ms, sight) in enumerate(polls):
        presence, sightings = step(presence, sight, now_ms, GAP_MS)
        history += [(number, sighting) for sighting in sightings]
    return history


def every_poll(*sights: Any) -> list[Poll]:
    """Polls one period apart; `(sight, n)` stands for n of them."""
    flat = [
        one
        for item in sights
        for one in ([item[0]] * item[1] if isinstance(item, tuple) else [item])
    ]
    return [(number * POLL_MS, sight) for number, sight in enumerate(flat)]


def sightings(*sights: Any) -> list[Sighting]:
    return [sighting for _, sighting in told(every_poll(*sights))]


EMPTY_GAP = (NOTHING, GAP_POLLS)


def test_a_badge_put_into_an_empty_field_arrives_at_its_first_poll() -> None:
    assert told(every_poll(EMPTY_GAP, A, A)) == [(GAP_POLLS, Arrived(A.uid, GAP_POLLS * POLL_MS))]


def test_a_badge_that_lies_there_at_the_start_is_found_once() -> None:
    assert sightings((A, 20)) == [Found()]


def test_a_badge_that_comes_before_the_field_was_empty_long_enough_is_found() -> None:
    assert sightings((NOTHING, GAP_POLLS - 1), A) == [Found()]
    assert sightings((NOTHING, GAP_POLLS), A) == [Arrived(A.uid, GAP_POLLS * POLL_MS)]


def test_a_removal_is_told_after_the_gap_and_not_before() -> None:
    polls = every_poll(EMPTY_GAP, A, (NOTHING, GAP_POLLS - 1))
    assert Removed() not in [sighting for _, sighting in told(polls)]
    polls = every_poll(EMPTY_GAP, A, EMPTY_GAP)
    assert told(polls)[-1] == (2 * GAP_POLLS, Removed())


def test_a_missed_poll_is_neither_a_removal_nor_a_new_arrival() -> None:
    history = sightings(EMPTY_GAP, A, NOTHING, A, (NOTHING, GAP_POLLS - 1), (A, 5))
    assert history == [Arrived(A.uid, GAP_POLLS * POLL_MS)]


def test_another_badge_without_a_gap_is_a_swap_and_no_arrival() -> None:
    assert sightings(EMPTY_GAP, A, B, B)[1:] == [Removed(), Found()]
    assert sightings(EMPTY_GAP, A, NOTHING, B, B)[1:] == [Removed(), Found()]


def test_a_swapped_badge_that_is_presented_again_arrives() -> None:
    assert [type(s) for s in sightings(EMPTY_GAP, A, B, EMPTY_GAP, B)][1:] == [
        Removed,
        Found,
        Removed,
        Arrived,
    ]


def test_several_badges_are_told_once_and_the_one_that_stays_opens_nothing() -> None:
    history = sightings(EMPTY_GAP, A, BOTH, BOTH, A, BOTH, NOTHING, B, (A, 10))
    assert history[1:] == [SeveralSeen()]


def test_one_noisy_poll_over_a_lying_badge_is_as_if_it_had_been_missed() -> None:
    arrived = [Arrived(A.uid, GAP_POLLS * POLL_MS)]
    assert sightings(EMPTY_GAP, A, BOTH, (A, 3), BOTH, NOTHING, (A, 3), NOTHING, BOTH, A) == arrived
    assert sightings(EMPTY_GAP, A, BOTH, EMPTY_GAP) == [*arrived, Removed()]
    assert sightings(EMPTY_GAP, A, BOTH, B) == [*arrived, Removed(), Found()]


def test_two_looks_at_several_badges_are_no_noise_even_with_a_missed_poll_between() -> None:
    for polls in ((BOTH, BOTH), (BOTH, NOTHING, BOTH)):
        assert sightings(EMPTY_GAP, A, *polls, (A, 5))[1:] == [SeveralSeen()]


def test_where_no_badge_was_known_to_lie_several_are_told_at_once() -> None:
    assert sightings(BOTH) == [SeveralSeen()]
    assert sightings(EMPTY_GAP, BOTH) == [SeveralSeen()]


def test_after_several_badges_an_empty_field_and_one_badge_is_an_arrival() -> None:
    history = sightings(EMPTY_GAP, BOTH, EMPTY_GAP, A)
    assert [type(s) for s in history] == [SeveralSeen, Arrived]


def test_time_nobody_looked_does_not_make_an_arrival() -> None:
    watched = every_poll(EMPTY_GAP)
    end_ms = watched[-1][0]
    assert told([*watched, (end_ms + BLIND_MS, A)])[-1][1] == Arrived(A.uid, end_ms + BLIND_MS)
    assert told([*watched, (end_ms + BLIND_MS + 1, A)])[-1][1] == Found()
    once_more = (end_ms + 10_000, NOTHING)
    assert told([*watched, once_more, (end_ms + 10_050, A)])[-1][1] == Found()
    assert told([(0, NOTHING), (60_000, NOTHING), (60_050, A)])[-1][1] == Found()


def test_a_badge_that_fails_to_prove_itself_counts_as_missed_and_is_there_when_it_succeeds() -> (
    None
):
    arrived = [Arrived(A.uid, GAP_POLLS * POLL_MS)]
    assert sightings(EMPTY_GAP, A, (DOUBTED, GAP_POLLS - 1), (A, 5)) == arrived
    assert sightings(EMPTY_GAP, A, NOTHING, DOUBTED, NOTHING, A, (DOUBTED, 3), A) == arrived


def test_a_badge_that_fails_for_the_gap_is_removed_and_must_leave_before_it_counts_again() -> None:
    history = sightings(EMPTY_GAP, A, (DOUBTED, GAP_POLLS), DOUBTED, (A, 20), (DOUBTED, 20), (A, 5))
    assert history[1:] == [Removed()]
    history = sightings(
        EMPTY_GAP, A, (DOUBTED, 20), (A, 5), (NOTHING, GAP_POLLS - 1), A, EMPTY_GAP, A
    )
    assert [type(one) for one in history][1:] == [Removed, Arrived]


def test_missed_and_failed_polls_count_together_but_failed_ones_are_no_empty_field() -> None:
    both = [poll for _ in range(GAP_POLLS) for poll in (NOTHING, DOUBTED)]
    assert sightings(EMPTY_GAP, A, *both, *both, (A, 3))[1:] == [Removed()]


def test_a_forged_badge_is_removed_at_once_and_never_arrives_without_an_empty_field() -> None:
    assert sightings(EMPTY_GAP, A, NOTHING, FORGED, (A, 30), FORGED)[1:] == [Removed()]
    assert sightings(EMPTY_GAP, A, FORGED, BOTH, BOTH, A)[1:] == [Removed(), SeveralSeen()]


POLLS = st.lists(
    st.tuples(
        st.sampled_from((20, 50, 50, 50, 150, 300, 1_000, 1_001, 5_000)),
        st.sampled_from((NOTHING, NOTHING, NOTHING, NOTHING, A, A, B, BOTH)),
    ),
    max_size=60,
)


def as_polls(steps: Sequence[tuple[int, Sight | Unproven | None]]) -> list[Poll]:
    now_ms, polls = 0, []
    for pause_ms, sight in steps:
        now_ms += pause_ms
        polls.append((now_ms, sight))
    return polls


def emptied_at(polls: Sequence[Poll], end: int) -> bool:
    """Whether the polls up to `end`, looked at backwards, show an empty field watched for the gap."""
    first = end
    if polls[end][1] is not None:
        return False
    while first > 0 and polls[first - 1][1] is None and not blind_before(polls, first):
        first -= 1
    return polls[end][0] - polls[first][0] >= GAP_MS


def blind_before(polls: Sequence[Poll], number: int) -> bool:
    return number == 0 or polls[number][0] - polls[number - 1][0] > BLIND_MS


def crowded(cards: Sequence[Sight]) -> bool:
    """Whether two of these looks in a row, or the first of them all, saw several badges."""
    return cards[:1] == [BOTH] or (BOTH, BOTH) in pairwise(cards)


def reference(polls: Sequence[Poll]) -> list[tuple[int, Sighting]]:
    """The rules of 2-machine.md, read backwards from every poll instead of kept as a state."""
    history: list[tuple[int, Sighting]] = []
    for number, (now_ms, sight) in enumerate(polls):
        emptied = [earlier for earlier in range(number) if emptied_at(polls, earlier)]
        episode = polls[emptied[-1] + 1 if emptied else 0 : number]
        cards = [seen for _, seen in episode if isinstance(seen, CardSeen | SeveralCards)]
        badges = [seen for seen in cards if seen != BOTH]
        if sight is None:
            if emptied_at(polls, number) and badges and not crowded(cards):
                history.append((number, Removed()))
        elif crowded(cards):
            continue
        elif sight == BOTH:
            history += [(number, SeveralSeen())] * crowded([*cards, BOTH])
        elif not cards:
            watched = (
                number > 0 and emptied_at(polls, number - 1) and not blind_before(polls, number)
            )
            assert isinstance(sight, CardSeen)
            history.append((number, Arrived(sight.uid, now_ms) if watched else Found()))
        elif badges[-1] != sight:
            history += [(number, Removed()), (number, Found())]
    return history


@given(POLLS)
def test_the_steps_tell_what_a_look_back_over_all_polls_tells(
    steps: list[tuple[int, Sight | None]],
) -> None:
    polls = as_polls(steps)
    assert told(polls) == reference(polls)


DOUBTFUL_POLLS = st.lists(
    st.tuples(
        st.sampled_from((20, 50, 50, 50, 150, 300, 1_000, 1_001)),
        st.sampled_from((NOTHING, NOTHING, NOTHING, A, A, B, BOTH, DOUBTED, DOUBTED, FORGED)),
    ),
    max_size=60,
)


@given(DOUBTFUL_POLLS)
@example([(20, NOTHING), (300, NOTHING), (20, DOUBTED), (20, A)])
def test_no_badge_arrives_unless_the_field_was_seen_empty_for_the_gap(
    steps: list[tuple[int, Sight | Unproven | None]],
) -> None:
    polls = as_polls(steps)
    for number, sighting in told(polls):
        if isinstance(sighting, Arrived):
            assert emptied_at(polls, number - 1)


@given(POLLS)
def test_removals_and_arrivals_alternate(steps: list[tuple[int, Sight | None]]) -> None:
    present = False
    for _, sighting in told(as_polls(steps)):
        if isinstance(sighting, Arrived | Found):
            assert not present
            present = True
        else:
            assert present or isinstance(sighting, SeveralSeen)
            present = False
