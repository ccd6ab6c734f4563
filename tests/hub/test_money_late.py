"""Sessions that arrive after their month was closed, when what is closed was corrected or moved meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.hub.domain.corrections import correct_line, correct_session, reassign
from interlock.hub.domain.labs import create_payer
from interlock.hub.domain.members import change_member
from interlock.hub.domain.periods import close
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Line, LineKind, Payer, Purpose, Session
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab
from tests.hub.test_closing import NOVEMBER, on, used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

MONTHLY = Prices(cents_per_hour=1_200, monthly_cap_cents=1_500, forgive_s=0)
DAILY = Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0)
INCLUDED = Prices(cents_per_hour=1_200, included_s=5_400, forgive_s=0)


def closed(prices: Prices, hours: int = 1) -> tuple[SmallLab, Journal, Payer]:
    """November, closed: Ada paid for some hours of one morning herself; whatever begins later is Zora's to pay."""
    lab = small_lab(prices)
    journal = Journal.of(lab.enrolled)
    zora = create_payer(on(0), lab.lab, "Zora")
    for number in range(hours):
        used(lab, journal, 1 + number / 20, 3_600)
    change_member(on(1.3), lab.member, payer=zora)
    close(on(17), lab.lab, NOVEMBER)
    return lab, journal, zora


def late() -> list[int]:
    """What sessions owe that came after their month was closed."""
    lines = Line.objects.filter(kind=LineKind.SESSION, statement=None)
    return [line.cents for line in lines.order_by("session__started_at")]


def first_session() -> Session:
    return Session.objects.earliest("started_at")


@pytest.mark.parametrize(
    ("prices", "hours", "owed"),
    [(MONTHLY, 1, 300), (DAILY, 1, 300), (INCLUDED, 2, 600)],
    ids=["month's cap", "day's cap", "included time"],
)
@pytest.mark.parametrize("is_here", [False, True], ids=["arrives later", "is here"])
def test_a_late_session_counts_what_was_moved_to_its_payer(
    prices: Prices, hours: int, owed: int, is_here: bool
) -> None:
    lab, journal, zora = closed(prices, hours)
    moved = Session.objects.latest("started_at")
    if is_here:
        used(lab, journal, 1.4, 3_600)
    was = late()
    reassign(on(18), moved, payer=zora, why="was hers")
    due = Line.objects.get(kind=LineKind.ADJUSTMENT)
    if is_here:
        # It was here first: the moved one is left what it leaves.
        assert (late(), due.cents) == (was, owed)
    else:
        used(lab, journal, 1.4, 3_600)
        assert late() == [owed]


@pytest.mark.parametrize("prices", [MONTHLY, DAILY], ids=["month's cap", "day's cap"])
@pytest.mark.parametrize("is_here", [False, True], ids=["arrives later", "is here"])
def test_a_late_session_does_not_count_what_was_moved_away(prices: Prices, is_here: bool) -> None:
    lab, journal, zora = closed(prices)
    if is_here:
        used(lab, journal, 1.1, 3_600)
        assert late() == [300]
    reassign(on(18), first_session(), payer=zora, why="was hers")
    if not is_here:
        used(lab, journal, 1.1, 3_600)
    assert late() == [1_200]


def test_a_late_session_has_the_included_time_of_one_that_was_for_a_free_purpose() -> None:
    prices = replace(INCLUDED, free_purposes=("training",))
    lab, journal, _ = closed(prices, hours=2)
    second = Session.objects.latest("started_at")
    assert Line.objects.get(session=second).included_s == 1_800
    reassign(on(18), second, purpose=Purpose.TRAINING, payer=second.payer, why="a course")
    used(lab, journal, 1.15, 3_600)
    assert late() == [600]


@pytest.mark.parametrize("is_here", [False, True], ids=["arrives later", "is here"])
@pytest.mark.parametrize("seconds", [900, 4_500], ids=["shorter", "longer"])
def test_a_cap_holds_for_a_corrected_session_and_a_late_one_together(
    is_here: bool, seconds: int
) -> None:
    lab, journal, _ = closed(MONTHLY)
    if is_here:
        used(lab, journal, 1.1, 3_600)
    correct_session(on(18), first_session(), enabled_s=seconds, why="forgot to tap off")
    if not is_here:
        used(lab, journal, 1.1, 3_600)
    was = seconds * 1_200 // 3_600
    assert sum(line.cents for line in Line.objects.all()) == min(1_500, was + 1_200)
    assert late() == [min(1_200, 1_500 - was)]


def test_a_session_corrected_to_nothing_leaves_a_late_one_what_the_other_did_not_use() -> None:
    lab, journal, _ = closed(MONTHLY, hours=2)
    used(lab, journal, 1.15, 3_600)
    assert late() == [0]
    correct_session(on(18), first_session(), enabled_s=0, why="nobody was there")
    # Of three hours one was none: the two others cost no more than the cap.
    assert sum(line.cents for line in Line.objects.all()) == 1_500
    assert late() == [300]


def test_a_moved_session_that_is_corrected_leaves_a_late_one_more_of_the_cap() -> None:
    lab, journal, zora = closed(MONTHLY)
    _, due = reassign(on(18), first_session(), payer=zora, why="was hers")
    used(lab, journal, 1.4, 3_600)
    assert late() == [300]
    correct_line(on(18), due, 0, "a demonstration")
    assert late() == [1_200]
