"""Cards that compute before they answer, on the air and in the chip: when what is heard, and by whom."""

from __future__ import annotations

import pytest

from interlock.sim import rc522_registers as reg
from interlock.sim.card_blocks import ATS_DELAY_US, FRAME_TIME_US, BlockCard, Reply
from interlock.sim.cards import Card, append_crc
from interlock.sim.rc522_air import (
    BIT_US,
    DELAY_AFTER_0_US,
    DELAY_AFTER_1_US,
    POWER_UP_US,
    Air,
    Bits,
    CardAnswer,
    bits_of,
    duration_us,
    with_parity,
)
from tests.sim.card_talk import UID, framed, select
from tests.sim.test_rc522 import TICK_US, Bench

pytestmark = pytest.mark.fast

WORK_US = 10_000
FRAME = append_crc(b"\x02\xaa")
DELAY_US = DELAY_AFTER_1_US if with_parity(bits_of(FRAME))[-1] else DELAY_AFTER_0_US
SENT_US = duration_us(9 * len(FRAME))


class Repeats:
    """Software that says what it heard, `times` over, after its work."""

    def __init__(self, times: int = 1, work_us: float = WORK_US) -> None:
        self._reply = times, work_us
        self.heard = 0

    def power_on(self) -> None:
        """It has nothing to forget."""

    def answer(self, command: bytes) -> Reply | None:
        self.heard += 1
        times, work_us = self._reply
        return Reply(command * times, work_us)


@pytest.fixture
def bench() -> Bench:
    one = Bench()
    one.write(reg.TX_CONTROL, 0x83)
    return one


def laid(bench: Bench, software: Repeats) -> BlockCard:
    """The card lies on the antenna and is in PROTOCOL."""
    card = BlockCard(UID, software)
    bench.chip.place(card)
    bench.clock.advance_us(POWER_UP_US)
    select(card)
    card.hear(framed("e080"))
    return card


def irq(bench: Bench) -> int:
    return bench.read(reg.COM_IRQ)[0] & (reg.IRQ_RX | reg.IRQ_TIMER)


def test_an_answer_comes_when_the_card_has_computed_and_not_earlier(bench: Bench) -> None:
    laid(bench, Repeats())
    bench.start(FRAME)
    whole_us = SENT_US + DELAY_US + WORK_US + duration_us(9 * 4)
    bench.clock.advance_us(int(whole_us))
    assert irq(bench) == 0
    bench.clock.advance_us(1)
    assert irq(bench) == reg.IRQ_RX
    assert bytes(bench.read(*[reg.FIFO] * 4)) == FRAME


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ((WORK_US - 500) // TICK_US, reg.IRQ_TIMER | reg.IRQ_RX),
        ((WORK_US + 500) // TICK_US, reg.IRQ_RX),
    ],
)
def test_the_timer_of_a_frame_is_the_one_written_before_it_was_over(
    bench: Bench, ticks: int, expected: int
) -> None:
    """A timer that ends first does not stop the chip from hearing a late answer."""
    laid(bench, Repeats())
    bench.timer(ticks)
    bench.start(FRAME)
    bench.clock.advance_us(int(SENT_US) + 1)
    bench.timer(1)
    bench.clock.advance_us(WORK_US + 2_000)
    assert irq(bench) == expected


def test_a_frame_sent_while_the_card_computes_is_not_heard(bench: Bench) -> None:
    software = Repeats()
    laid(bench, software)
    bench.start(FRAME)
    bench.clock.advance_us(int(SENT_US) + WORK_US // 2)
    bench.start(append_crc(b"\x03\xbb"))
    bench.clock.advance_us(3 * WORK_US)
    assert (irq(bench), software.heard) == (0, 1)
    bench.start(append_crc(b"\x03\xbb"))
    bench.clock.advance_us(3 * WORK_US)
    assert (irq(bench), software.heard) == (reg.IRQ_RX, 2)


def test_an_answer_longer_than_the_fifo_overflows_it(bench: Bench) -> None:
    laid(bench, Repeats(times=100))
    bench.start(FRAME)
    bench.clock.advance_us(2 * WORK_US)
    error, level = bench.read(reg.ERROR, reg.FIFO_LEVEL)
    assert (error & reg.ERROR_OVERFLOW, level) == (reg.ERROR_OVERFLOW, reg.FIFO_BYTES)


def test_a_card_taken_away_while_it_computes_says_nothing(bench: Bench) -> None:
    card = laid(bench, Repeats())
    bench.start(FRAME)
    bench.clock.advance_us(int(SENT_US) + WORK_US // 2)
    bench.chip.remove(card)
    bench.clock.advance_us(2 * WORK_US)
    assert (irq(bench), bench.read(reg.FIFO_LEVEL)) == (0, [0])


def test_a_card_hears_nothing_before_its_guard_time_is_over(bench: Bench) -> None:
    card = BlockCard(UID, Repeats(work_us=0))
    bench.chip.place(card)
    bench.clock.advance_us(POWER_UP_US)
    select(card)
    bench.start(append_crc(b"\xe0\x50"))
    bench.clock.advance_us(
        int(duration_us(9 * 4) + DELAY_AFTER_1_US + ATS_DELAY_US + duration_us(9 * 8))
    )
    bench.start(FRAME)
    bench.clock.advance_us(5_000)
    assert irq(bench) == 0
    bench.clock.advance_us(int(2 * FRAME_TIME_US))
    bench.start(FRAME)
    bench.clock.advance_us(5_000)
    assert irq(bench) == reg.IRQ_RX


class Late(Card):
    """Answers every frame with these bits, so much later than a card of ISO 14443-3."""

    def __init__(self, bits: Bits, delay_us: float) -> None:
        super().__init__(UID)
        self._answer = CardAnswer(bits, delay_us=delay_us)

    def hear(self, frame: Bits) -> CardAnswer | None:
        return self._answer


def heard_of(*cards: Late) -> list[int | None]:
    air = Air(is_on=True)
    for card in cards:
        air.place(card, -POWER_UP_US)
    reception = air.send(bits_of([0x52])[:7], 0)
    assert reception is not None
    return list(air.heard(reception))


def test_answers_that_overlap_collide_where_they_differ() -> None:
    first, second = Late((1, 0, 1, 0), 0), Late((1, 1, 1), 2 * BIT_US)
    assert heard_of(first, second) == [1, 0, 1, None, 1]
    assert heard_of(second, first) == [1, 0, 1, None, 1]


def test_an_answer_that_begins_after_another_is_over_is_lost() -> None:
    assert heard_of(Late((1, 0), 0), Late((1, 1, 1), 20 * BIT_US)) == [1, 0]
