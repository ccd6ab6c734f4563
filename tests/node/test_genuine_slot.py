"""A badge that lies in the slot cannot be swapped for a clone; a genuine one stays without being noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlock.node.genuine import RENEW_MS, TRANSACTION_MS_MAX
from interlock.sim.cards import Card
from interlock.sim.rc522_faults import AnswersLost
from tests.node.genuine_rig import (
    GENUINE,
    NOT_GENUINE,
    POLL_MS,
    UID,
    WRONG_KEY,
    Bench,
    counted,
    desfire,
    snapshot,
)

pytestmark = pytest.mark.fast


@pytest.fixture(name="bench")
def new_bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(snapshot(tmp_path))
    yield bench
    bench.work.close()


# --------------------------------------------------------------------------------- in the slot


def test_a_badge_that_stays_is_asked_again_every_second_and_nobody_notices(bench: Bench) -> None:
    card = desfire()
    asked = counted(card)
    bench.lay(card, polls=200)
    assert bench.kinds() == ["BadgeArrived"]
    assert 200 * POLL_MS // RENEW_MS <= asked.count(0xAA) <= 200 * POLL_MS * 2 // RENEW_MS


def test_a_badge_that_comes_back_within_the_gap_proves_itself_and_is_still_there(
    bench: Bench,
) -> None:
    card = desfire()
    bench.lay(card)
    asked = counted(card)
    bench.lift(2)
    assert asked == []
    bench.lay(card, polls=1)
    assert asked == [0x5A, 0xAA, 0xAF]
    bench.polls(5)
    assert bench.kinds() == ["BadgeArrived"]


def test_a_poll_in_which_the_reader_erred_is_an_interruption_too(bench: Bench) -> None:
    card = desfire()
    bench.lay(card)
    asked = counted(card)
    bench.chip.miso = lambda driven: [0] * len(driven)
    bench.polls(1)
    bench.chip.miso = lambda driven: driven
    assert asked == []
    bench.polls(1)
    assert asked == [0x5A, 0xAA, 0xAF]
    assert bench.kinds() == ["BadgeArrived"]


CLONES: dict[str, Callable[[], Card]] = {
    "with another key": lambda: desfire(WRONG_KEY),
    "without keys": lambda: Card(UID, atqa=b"\x44\x03", sak=0x20),
    "of a simple kind": lambda: Card(UID, sak=0x00),
}


@pytest.mark.parametrize("clone", CLONES)
@pytest.mark.parametrize("missed", [1, 3])
def test_a_clone_put_into_the_slot_within_the_gap_is_a_removal(
    bench: Bench, clone: str, missed: int
) -> None:
    bench.lay(desfire(), polls=10)
    bench.lift(missed)
    bench.lay(CLONES[clone](), polls=40)
    assert bench.kinds()[:2] == ["BadgeArrived", "BadgeRemoved"]
    assert GENUINE not in bench.outcomes()[1:]
    assert bench.longest_ms <= TRANSACTION_MS_MAX


@pytest.mark.parametrize("clone", CLONES)
def test_a_clone_swapped_in_between_two_polls_is_found_out_within_the_renewal(
    bench: Bench, clone: str
) -> None:
    bench.lay(desfire(), polls=10)
    swapped_ms = bench.clock.boot_ms()
    bench.swap(CLONES[clone]())
    most_ms = RENEW_MS + 2 * TRANSACTION_MS_MAX
    while "BadgeRemoved" not in bench.kinds():
        bench.polls()
        assert bench.clock.boot_ms() - swapped_ms <= most_ms
    bench.polls(100)
    assert GENUINE not in bench.outcomes()[1:]


@pytest.mark.parametrize("clone", CLONES)
def test_a_clone_laid_over_the_badge_before_that_is_lifted_is_found_out_too(
    bench: Bench, clone: str
) -> None:
    badge = desfire()
    bench.lay(badge, polls=10)
    bench.lay(CLONES[clone](), polls=2)
    bench.chip.remove(badge)
    lifted_ms = bench.clock.boot_ms()
    while not {"BadgeRemoved", "SeveralBadgesSeen"} & set(bench.kinds()):
        bench.polls()
    assert bench.clock.boot_ms() - lifted_ms <= RENEW_MS + 2 * TRANSACTION_MS_MAX


def test_without_the_renewal_a_clone_swapped_in_between_two_polls_would_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deliberate break: a proof that never grows old keeps any card of that UID alive."""
    monkeypatch.setattr("interlock.node.genuine.RENEW_MS", 1 << 40)
    bench.lay(desfire(), polls=10)
    bench.swap(Card(UID, atqa=b"\x44\x03", sak=0x20))
    bench.polls(100)
    assert bench.kinds() == ["BadgeArrived"]


def test_a_clone_with_another_key_in_the_slot_raises_the_alarm_once(bench: Bench) -> None:
    bench.lay(desfire(), polls=10)
    bench.swap(desfire(WRONG_KEY))
    bench.polls(100)
    assert bench.kinds() == ["BadgeArrived", "BadgeRemoved", "BadgeArrived"]
    assert bench.outcomes() == [GENUINE, NOT_GENUINE]
    bench.lift()
    bench.lay(desfire())
    assert bench.outcomes()[-1] == GENUINE


def test_noise_over_a_renewal_does_not_remove_a_genuine_badge(bench: Bench) -> None:
    bench.lay(desfire(), polls=10)
    for lost in range(12):
        bench.chip.air.faults[:] = [AnswersLost(frozenset({bench.chip.air.frames + 50 + lost}))]
        bench.polls(30)
    assert bench.kinds() == ["BadgeArrived"]


def test_a_badge_that_left_the_slot_and_returns_after_the_gap_arrives_anew(bench: Bench) -> None:
    card = desfire()
    bench.lay(card, polls=10)
    bench.lift()
    bench.lay(card)
    assert bench.kinds() == ["BadgeArrived", "BadgeRemoved", "BadgeArrived"]
    assert bench.outcomes() == [GENUINE, GENUINE]
