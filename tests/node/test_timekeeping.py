"""Time a node may believe: no setting of any clock extends a right; a cache ages through power
cuts.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ProtocolError
from interlock.node.timekeeping import (
    AGREE_MS,
    CACHE_AGE_UNKNOWN_S,
    CONFIRM_AFTER_MS,
    EARLIEST_WALL_MS,
    JUMP_MS_MAX,
    NONCE_LIFE_MS,
    NONCES_MAX,
    Timekeeper,
    TimeMarks,
    marks_from_wire,
)
from interlock.protocol.hubtime import HubTime, signed_time
from interlock.sim.clocks import DEFAULT_WALL_MS, US_PER_MS, VirtualClock

pytestmark = pytest.mark.fast

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
DAY_MS = 86_400_000
WALL_MS = DEFAULT_WALL_MS + 400 * DAY_MS
VERSION = (1, 7)


def answer(keeper: Timekeeper, wall_ms: int, key: Ed25519PrivateKey = HUB, **changes: Any) -> Any:
    """The hub's signed answer to a fresh nonce of `keeper`."""
    said = {"lab": "lab", "node": "saw", "nonce": keeper.fresh_nonce(), **changes}
    return signed_time(key, HubTime(wall_ms=wall_ms, version=VERSION, **said))


def told(keeper: Timekeeper, wall_ms: int) -> None:
    keeper.accept(answer(keeper, wall_ms), HUB.public_key(), lab="lab", node="saw")


def refused(keeper: Timekeeper, message: Any) -> None:
    before = keeper.marks()
    with pytest.raises(ProtocolError):
        keeper.accept(message, HUB.public_key(), lab="lab", node="saw")
    assert keeper.marks() == before


def test_before_any_hub_time_the_systems_clock_counts_and_is_not_trusted() -> None:
    now = Timekeeper(VirtualClock(wall_ms=WALL_MS)).now()
    assert (now.wall_at, now.wall_trusted) == (WALL_MS // 1_000, False)


def test_a_system_clock_from_before_this_software_is_no_time_at_all() -> None:
    assert Timekeeper(VirtualClock(wall_ms=EARLIEST_WALL_MS - 1)).now().wall_at is None


def test_after_a_signed_time_the_systems_clock_is_never_asked_again() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS + 5_000)
    for set_to in (0, WALL_MS - 300 * DAY_MS, WALL_MS + 300 * DAY_MS):
        clock.set_wall_ms(set_to)
        now = keeper.now()
        assert (now.wall_at, now.wall_trusted) == ((WALL_MS + 5_000) // 1_000, True)
    clock.advance_us(10_000 * US_PER_MS)
    assert keeper.wall() == (WALL_MS + 15_000, True)


def test_a_reboot_takes_the_trust_and_keeps_the_lower_bound() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    clock.advance_us(60_000 * US_PER_MS)
    marks = keeper.marks()
    clock.reboot("boot-2", wall_ms=WALL_MS - 300 * DAY_MS)
    clock.advance_us(1_000 * US_PER_MS)
    now = Timekeeper(clock, marks).now()
    assert (now.wall_at, now.wall_trusted) == ((WALL_MS + 61_000) // 1_000, False)


def test_a_restart_within_one_boot_keeps_the_trust_and_counts_no_second_twice() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    clock.advance_us(3_600_000 * US_PER_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    for _ in range(10):
        keeper = Timekeeper(clock, keeper.marks())
    assert keeper.powered_ms() == 3_600_000
    assert keeper.wall() == (WALL_MS, True)


def test_only_the_hubs_signature_over_our_own_question_is_believed() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    refused(keeper, answer(keeper, WALL_MS, STRANGER))
    refused(keeper, answer(keeper, WALL_MS, node="lathe"))
    refused(keeper, answer(keeper, WALL_MS, lab="other"))
    refused(keeper, answer(keeper, WALL_MS, nonce=b"n" * 16))
    refused(keeper, {"statement": {"kind": "time"}, "signature": "00"})
    refused(keeper, {})
    bent = answer(keeper, WALL_MS)
    bent["statement"]["wall_ms"] += 1
    refused(keeper, bent)


def test_an_answer_counts_once_and_for_a_minute() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    message = answer(keeper, WALL_MS)
    keeper.accept(message, HUB.public_key(), lab="lab", node="saw")
    refused(keeper, message)
    late = answer(keeper, WALL_MS)
    clock.advance_us((NONCE_LIFE_MS + 1) * US_PER_MS)
    refused(keeper, late)


def test_many_questions_forget_the_oldest_and_no_more() -> None:
    keeper = Timekeeper(VirtualClock(wall_ms=WALL_MS))
    messages = [answer(keeper, WALL_MS) for _ in range(NONCES_MAX + 1)]
    refused(keeper, messages[0])
    keeper.accept(messages[1], HUB.public_key(), lab="lab", node="saw")


def test_a_hub_whose_own_clock_went_back_revives_no_ended_right() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    told(keeper, WALL_MS - 90 * DAY_MS)
    assert keeper.wall() == (WALL_MS, True)


# --------------------------------------------------------------- one wrong answer of the hub

YEARS_MS = 3_650 * DAY_MS


def greet(keeper: Timekeeper, clock: VirtualClock, wall_ms: int, after_ms: int = 30_000) -> bool:
    """The hub is asked `after_ms` from now, answers `wall_ms` at once, and is believed or refused."""
    clock.advance_us(after_ms * US_PER_MS)
    try:
        told(keeper, wall_ms)
    except ProtocolError:
        return False
    return True


@pytest.mark.parametrize("is_trusted", [False, True])
def test_one_answer_years_ahead_changes_nothing_and_the_next_right_one_counts(
    is_trusted: bool,
) -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    if is_trusted:
        told(keeper, WALL_MS)
    refused(keeper, answer(keeper, WALL_MS + YEARS_MS))
    assert keeper.now().wall_trusted is is_trusted
    assert greet(keeper, clock, WALL_MS + 30_000)
    assert keeper.wall() == (WALL_MS + 30_000, True)
    assert not greet(keeper, clock, WALL_MS + YEARS_MS), "the first one was forgotten"


def test_a_day_ahead_is_believed_at_once_and_a_moment_more_is_not() -> None:
    for more_ms, believed in ((0, True), (1, False)):
        clock = VirtualClock(wall_ms=WALL_MS)
        keeper = Timekeeper(clock)
        assert greet(keeper, clock, clock.wall_ms() + JUMP_MS_MAX + more_ms, 0) is believed


def test_a_node_that_knows_no_time_at_all_believes_the_first_answer() -> None:
    keeper = Timekeeper(VirtualClock(wall_ms=0))
    told(keeper, WALL_MS)
    assert keeper.wall() == (WALL_MS, True)


@pytest.mark.parametrize(
    ("after_ms", "error_ms", "believed"),
    [
        (CONFIRM_AFTER_MS, 0, True),
        (CONFIRM_AFTER_MS - 1, 0, False),
        (30_000, AGREE_MS, True),
        (30_000, -AGREE_MS, True),
        (30_000, AGREE_MS + 1, False),
        (30_000, -AGREE_MS - 1, False),
    ],
)
@pytest.mark.parametrize("jump_ms", [YEARS_MS, -90 * DAY_MS])
def test_a_jump_counts_once_a_later_answer_agrees_within_a_minute(
    jump_ms: int, after_ms: int, error_ms: int, believed: bool
) -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    greet(keeper, clock, WALL_MS + jump_ms)
    said_ms = WALL_MS + jump_ms + after_ms + error_ms
    greet(keeper, clock, said_ms, after_ms)
    plain_ms = WALL_MS + 30_000 + after_ms
    assert keeper.wall() == (said_ms if believed else plain_ms, True)


def test_two_answers_to_questions_asked_together_are_one_answer() -> None:
    """Handed in half a minute apart, they still say what the hub believed at one single moment."""
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    first, second = (answer(keeper, WALL_MS + YEARS_MS) for _ in range(2))
    refused(keeper, first)
    clock.advance_us(30_000 * US_PER_MS)
    refused(keeper, second)
    assert not keeper.now().wall_trusted


def test_a_hub_that_was_wrong_for_long_takes_it_back_even_after_a_reboot() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    assert not greet(keeper, clock, WALL_MS + YEARS_MS)
    assert greet(keeper, clock, WALL_MS + YEARS_MS + 30_000)
    marks = keeper.marks()
    clock.reboot("boot-2", wall_ms=WALL_MS)
    keeper = Timekeeper(clock, marks)
    keeper.confirm_current(VERSION)
    greet(keeper, clock, WALL_MS + 90_000)
    assert keeper.now().wall_at == (WALL_MS + YEARS_MS + 60_000) // 1_000
    assert greet(keeper, clock, WALL_MS + 120_000)
    assert keeper.wall() == (WALL_MS + 120_000, True)
    assert keeper.cache_age_s(VERSION) == 60, "its powered time; the wrong years made it no younger"


def test_a_hub_a_little_behind_moves_nothing_back() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    for _ in range(5):
        greet(keeper, clock, clock.wall_ms() + 30_000 - AGREE_MS)
    assert keeper.wall() == (WALL_MS + 150_000, True)


settings_of_the_clock = st.lists(
    st.tuples(
        st.sampled_from(["set", "pass", "restart", "reboot", "told"]),
        st.integers(min_value=0, max_value=30 * DAY_MS),
    ),
    max_size=30,
)


@given(settings_of_the_clock)
def test_no_setting_of_a_clock_brings_back_a_moment_that_trusted_time_has_passed(
    story: list[tuple[str, int]],
) -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    true_ms, boots = WALL_MS, 0
    for act, amount_ms in story:
        match act:
            case "set":
                clock.set_wall_ms(EARLIEST_WALL_MS - DAY_MS + amount_ms * 20)
            case "pass":
                clock.advance_us(amount_ms * US_PER_MS)
                true_ms += amount_ms
            case "restart":
                keeper = Timekeeper(clock, marks_from_wire(keeper.marks().to_wire()))
            case "reboot":
                marks, boots = keeper.marks(), boots + 1
                clock.reboot(f"boot-{boots}", wall_ms=EARLIEST_WALL_MS - DAY_MS + amount_ms * 20)
                keeper = Timekeeper(clock, marks)
            case "told":
                told(keeper, true_ms)
        now = keeper.now()
        assert now.wall_at is not None
        assert now.wall_at >= true_ms // 1_000, "a right that had ended is alive again"
        if now.wall_trusted:
            assert now.wall_at == true_ms // 1_000


@given(settings_of_the_clock)
def test_no_setting_of_a_clock_makes_the_cache_younger_than_its_powered_time(
    story: list[tuple[str, int]],
) -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    keeper.confirm_current(VERSION)
    powered_ms, boots = 0, 0
    for act, amount_ms in story:
        match act:
            case "set":
                clock.set_wall_ms(amount_ms)
            case "pass":
                clock.advance_us(amount_ms * US_PER_MS)
                powered_ms += amount_ms
            case "restart" | "told":
                keeper = Timekeeper(clock, keeper.marks())
            case "reboot":
                marks, boots = keeper.marks(), boots + 1
                clock.reboot(f"boot-{boots}", wall_ms=amount_ms)
                keeper = Timekeeper(clock, marks)
        assert keeper.cache_age_s(VERSION) == powered_ms // 1_000


def test_the_cache_also_ages_by_trusted_wall_time_while_the_pi_was_off() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    keeper.confirm_current(VERSION)
    marks = keeper.marks()
    clock.reboot("boot-2", wall_ms=0)
    keeper = Timekeeper(clock, marks)
    assert keeper.cache_age_s(VERSION) == 0, "switched off, it cannot know"
    refused(keeper, answer(keeper, WALL_MS + 5 * DAY_MS))
    clock.advance_us(CONFIRM_AFTER_MS * US_PER_MS)
    told(keeper, WALL_MS + 5 * DAY_MS)
    assert keeper.cache_age_s(VERSION) == 5 * 86_400


def test_a_snapshot_that_lay_on_a_shelf_is_as_old_as_its_signature() -> None:
    keeper = Timekeeper(VirtualClock(wall_ms=WALL_MS))
    told(keeper, WALL_MS)
    keeper.confirm_current(VERSION, issued_at=(WALL_MS - 3 * DAY_MS) // 1_000)
    assert keeper.cache_age_s(VERSION) == 3 * 86_400


def test_a_snapshot_issued_in_the_future_is_no_younger_than_now() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    told(keeper, WALL_MS)
    keeper.confirm_current(VERSION, issued_at=(WALL_MS + 300 * DAY_MS) // 1_000)
    clock.advance_us(DAY_MS * US_PER_MS)
    assert keeper.cache_age_s(VERSION) == 86_400


def test_a_version_nobody_confirmed_is_older_than_any_limit() -> None:
    keeper = Timekeeper(VirtualClock())
    keeper.confirm_current(VERSION)
    assert keeper.cache_age_s((1, 8)) == CACHE_AGE_UNKNOWN_S
    assert keeper.cache_age_s(None) == CACHE_AGE_UNKNOWN_S


def test_marks_survive_their_way_to_the_disk() -> None:
    clock = VirtualClock(wall_ms=WALL_MS)
    keeper = Timekeeper(clock)
    for marks in (TimeMarks(), keeper.marks()):
        assert marks_from_wire(marks.to_wire()) == marks
    told(keeper, WALL_MS)
    keeper.confirm_current(VERSION)
    assert marks_from_wire(keeper.marks().to_wire()) == keeper.marks()
    for damage in ({}, {**keeper.marks().to_wire(), "powered_ms": -1}):
        with pytest.raises(ProtocolError):
            marks_from_wire(damage)
