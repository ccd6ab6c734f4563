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
    CACHE_AGE_UNKNOWN_S,
    EARLIEST_WALL_MS,
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
