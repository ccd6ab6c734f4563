"""The chip model, register by register, as the MFRC522 data sheet describes the chip."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.sim import rc522_registers as reg
from interlock.sim.cards import Card, append_crc, cascade_levels
from interlock.sim.clocks import VirtualClock
from interlock.sim.rc522 import Rc522
from interlock.sim.rc522_air import POWER_UP_US, bits_of, bytes_of, with_parity
from interlock.sim.rc522_faults import (
    BitsFlipped,
    CardsRemoved,
    Noise,
    WeakField,
    miso_stuck_high,
    miso_stuck_low,
)

pytestmark = pytest.mark.fast

TICK_US = 25
LONG_US = 20_000


@dataclass
class Bench:
    """The chip with probes on its SPI pins."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    chip: Rc522 = field(init=False)

    def __post_init__(self) -> None:
        self.chip = Rc522(self.clock.now_us)

    def write(self, register: int, *values: int) -> None:
        self.chip.xfer2([register << 1, *values])

    def read(self, *registers: int) -> list[int]:
        return self.chip.xfer2([one << 1 | 0x80 for one in registers] + [0])[1:]

    def antenna_on(self, *uids: str) -> list[Card]:
        self.write(reg.TX_CONTROL, 0x83)
        cards = [Card(bytes.fromhex(uid)) for uid in uids]
        for card in cards:
            self.chip.place(card)
        self.clock.advance_us(POWER_UP_US)
        return cards

    def timer(self, ticks: int, mode: int = reg.TIMER_MODE_AUTO) -> None:
        self.write(reg.TIMER_MODE, mode)
        self.write(reg.TIMER_PRESCALER, 169)
        self.write(reg.TIMER_RELOAD_HIGH, ticks - 1 >> 8)
        self.write(reg.TIMER_RELOAD_LOW, ticks - 1 & 0xFF)

    def start(self, content: bytes, framing: int = 0) -> None:
        self.write(reg.COMMAND, reg.CMD_IDLE)
        self.write(reg.COM_IRQ, 0x7F)
        self.write(reg.FIFO_LEVEL, reg.FIFO_FLUSH)
        self.write(reg.FIFO, *content)
        self.write(reg.BIT_FRAMING, framing)
        self.write(reg.COMMAND, reg.CMD_TRANSCEIVE)
        self.write(reg.BIT_FRAMING, framing | reg.BIT_FRAMING_START)

    def heard(self, content: bytes, framing: int = 0) -> tuple[str, int, int]:
        """What a frame brings: FIFO in hex, error register, bits in the last byte."""
        self.start(content, framing)
        self.clock.advance_us(LONG_US)
        error, control, level = self.read(reg.ERROR, reg.CONTROL, reg.FIFO_LEVEL)
        return bytes(self.read(*[reg.FIFO] * level)).hex(), error, control & 7


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_registers_hold_their_reset_values(bench: Bench) -> None:
    assert bench.read(reg.COMMAND, reg.COM_IRQ, reg.MODE, reg.TX_CONTROL, reg.VERSION) == [
        0x20,
        0x14,
        0x3F,
        0x80,
        0x92,
    ]
    assert bench.read(reg.STATUS1, reg.FIFO_LEVEL, reg.TIMER_MODE) == [0x01, 0, 0]


def test_one_read_takes_many_addresses_and_values_come_one_byte_later(bench: Bench) -> None:
    bench.write(reg.TIMER_RELOAD_LOW, 0xAB)
    sent = [reg.VERSION << 1 | 0x80, reg.TIMER_RELOAD_LOW << 1 | 0x80, 0]
    assert bench.chip.xfer2(sent) == [0, 0x92, 0xAB]


def test_one_write_puts_every_further_byte_into_the_same_register(bench: Bench) -> None:
    bench.write(reg.FIFO, 1, 2, 3)
    assert bench.read(reg.FIFO_LEVEL, reg.FIFO, reg.FIFO, reg.FIFO, reg.FIFO_LEVEL) == [
        3,
        1,
        2,
        3,
        0,
    ]


def test_the_version_cannot_be_written(bench: Bench) -> None:
    bench.write(reg.VERSION, 0x12)
    assert bench.read(reg.VERSION) == [0x92]


def test_the_fifo_holds_64_bytes_says_when_it_overflows_and_flushes(bench: Bench) -> None:
    bench.write(reg.FIFO, *range(64))
    assert bench.read(reg.FIFO_LEVEL, reg.ERROR) == [64, 0]
    bench.write(reg.FIFO, 99)
    assert bench.read(reg.FIFO_LEVEL, reg.ERROR) == [64, reg.ERROR_OVERFLOW]
    bench.write(reg.FIFO_LEVEL, reg.FIFO_FLUSH)
    assert bench.read(reg.FIFO_LEVEL, reg.ERROR, reg.FIFO) == [0, 0, 0]


def test_interrupt_bits_are_set_or_cleared_as_marked(bench: Bench) -> None:
    bench.write(reg.COM_IRQ, 0x7F)
    assert bench.read(reg.COM_IRQ) == [0]
    bench.write(reg.COM_IRQ, reg.IRQ_SET | reg.IRQ_RX | reg.IRQ_TIMER)
    assert bench.read(reg.COM_IRQ) == [reg.IRQ_RX | reg.IRQ_TIMER]
    bench.write(reg.COM_IRQ, reg.IRQ_RX)
    assert bench.read(reg.COM_IRQ) == [reg.IRQ_TIMER]


def test_the_alerts_follow_the_water_level(bench: Bench) -> None:
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.WATER_LEVEL, 4)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.FIFO, *range(59))
    bench.write(reg.COM_IRQ, 0x7F)
    assert bench.read(reg.STATUS1, reg.COM_IRQ) == [0, 0]
    bench.write(reg.FIFO, 59)
    assert bench.read(reg.STATUS1, reg.COM_IRQ) == [reg.STATUS1_HIGH_ALERT, reg.IRQ_HIGH_ALERT]


@pytest.mark.parametrize("ticks", [1, 40, 1000])
def test_the_timer_ends_after_so_many_ticks_and_not_before(bench: Bench, ticks: int) -> None:
    bench.timer(ticks, mode=0)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.CONTROL, reg.CONTROL_TIMER_START)
    bench.clock.advance_us(ticks * TICK_US - 1)
    assert bench.read(reg.STATUS1)[0] & reg.STATUS1_TIMER_RUNS
    assert bench.read(reg.COM_IRQ) == [0]
    bench.clock.advance_us(1)
    assert bench.read(reg.COM_IRQ) == [reg.IRQ_TIMER]
    assert not bench.read(reg.STATUS1)[0] & reg.STATUS1_TIMER_RUNS


def test_a_stopped_timer_never_ends_and_a_restarting_one_ends_again(bench: Bench) -> None:
    bench.timer(10, mode=0)
    bench.write(reg.CONTROL, reg.CONTROL_TIMER_START)
    assert bench.read(reg.TIMER_COUNTER_LOW) == [9] or bench.read(reg.TIMER_COUNTER_LOW) == [10]
    bench.write(reg.CONTROL, reg.CONTROL_TIMER_STOP)
    bench.write(reg.COM_IRQ, 0x7F)
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.COM_IRQ) == [0]
    bench.timer(10, mode=reg.TIMER_MODE_RESTART)
    bench.write(reg.CONTROL, reg.CONTROL_TIMER_START)
    for _ in range(3):
        bench.write(reg.COM_IRQ, 0x7F)
        bench.clock.advance_us(10 * TICK_US)
        assert bench.read(reg.COM_IRQ) == [reg.IRQ_TIMER]


def test_an_empty_field_ends_in_the_timer_and_not_in_the_command(bench: Bench) -> None:
    bench.antenna_on()
    bench.timer(40)
    bench.start(b"\x52", framing=7)
    bench.clock.advance_us(84)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_TX == 0
    bench.clock.advance_us(1)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_TX == reg.IRQ_TX
    bench.clock.advance_us(40 * TICK_US)
    irq, command = bench.read(reg.COM_IRQ, reg.COMMAND)
    assert irq & (reg.IRQ_TIMER | reg.IRQ_RX | reg.IRQ_IDLE) == reg.IRQ_TIMER
    assert command & reg.COMMAND_CODE == reg.CMD_TRANSCEIVE


def test_the_fifth_bit_of_an_answer_stops_the_automatic_timer(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.timer(6)  # 150 µs: longer than delay and five bits, shorter than the answer
    bench.start(b"\x52", framing=7)
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.COM_IRQ)[0] & (reg.IRQ_TIMER | reg.IRQ_RX) == reg.IRQ_RX
    bench.start(b"\x52", framing=7)  # READY: falls back in silence
    bench.clock.advance_us(LONG_US)
    bench.timer(5)  # 125 µs: ends before the fifth bit
    bench.start(b"\x52", framing=7)
    bench.clock.advance_us(LONG_US)
    both = reg.IRQ_TIMER | reg.IRQ_RX
    assert bench.read(reg.COM_IRQ)[0] & both == both


def test_an_answer_interrupts_when_it_is_over_and_not_earlier(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.start(b"\x52", framing=7)
    over_us = 85 + 91 + 189
    bench.clock.advance_us(over_us - 2)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_RX == 0
    bench.clock.advance_us(4)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_RX == reg.IRQ_RX
    assert bench.read(reg.FIFO_LEVEL, reg.FIFO, reg.FIFO) == [2, 0x04, 0x00]


def test_idle_during_an_answer_drops_it(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.start(b"\x52", framing=7)
    bench.clock.advance_us(200)
    bench.write(reg.COMMAND, reg.CMD_IDLE)
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.FIFO_LEVEL) == [0]
    assert bench.read(reg.COM_IRQ)[0] & (reg.IRQ_RX | reg.IRQ_IDLE) == 0


def test_a_start_bit_left_standing_sends_as_soon_as_transceive_is_written(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.heard(b"\x52", framing=7)
    frames = bench.chip.air.frames
    bench.write(reg.COMMAND, reg.CMD_IDLE)
    bench.write(reg.FIFO, 0x52)
    bench.write(reg.COMMAND, reg.CMD_TRANSCEIVE)
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.FIFO_LEVEL) == [0]
    assert bench.chip.air.frames == frames + 1


def test_transmit_ends_by_itself_and_unknown_commands_do_at_once(bench: Bench) -> None:
    bench.antenna_on()
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.FIFO, 0x50, 0x00, 0x57, 0xCD)
    bench.write(reg.COMMAND, reg.CMD_TRANSMIT)
    assert bench.read(reg.COMMAND)[0] & reg.COMMAND_CODE == reg.CMD_TRANSMIT
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.COMMAND)[0] & reg.COMMAND_CODE == reg.CMD_IDLE
    assert bench.read(reg.COM_IRQ)[0] & (reg.IRQ_IDLE | reg.IRQ_TX) == reg.IRQ_IDLE | reg.IRQ_TX
    bench.write(reg.COM_IRQ, 0x7F)
    bench.write(reg.COMMAND, 0x0B)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_IDLE


def test_a_whole_selection_runs_over_the_registers(bench: Bench) -> None:
    bench.antenna_on("04112233445566")
    assert [
        bench.heard(b"\x26", framing=7),
        bench.heard(bytes.fromhex("9320")),
        bench.heard(append_crc(bytes.fromhex("937088041122bf"))),
        bench.heard(bytes.fromhex("9520")),
        bench.heard(append_crc(bytes.fromhex("95703344556644"))),
        bench.heard(append_crc(bytes.fromhex("5000"))),
        bench.heard(b"\x26", framing=7),
        bench.heard(b"\x52", framing=7),
    ] == [
        ("4400", 0, 0),
        ("88041122bf", 0, 0),
        ("04da17", 0, 0),
        ("3344556644", 0, 0),
        ("20fc70", 0, 0),
        ("", 0, 0),
        ("", 0, 0),
        ("4400", 0, 0),
    ]


def test_the_chip_adds_and_checks_the_crc_when_told(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.write(reg.MODE, 0x3D)
    bench.heard(b"\x52", framing=7)
    bench.heard(bytes.fromhex("9320"))
    bench.write(reg.TX_MODE, reg.MODE_CRC_ON)
    bench.write(reg.RX_MODE, reg.MODE_CRC_ON)
    spoiled = BitsFlipped()
    bench.chip.air.faults.append(spoiled)
    assert bench.heard(bytes.fromhex("9370deadbeef22")) == ("08", 0, 0)
    bench.write(reg.TX_MODE, 0)
    bench.heard(b"\x52", framing=7)
    bench.heard(b"\x52", framing=7)
    bench.heard(bytes.fromhex("9320"))
    bench.write(reg.TX_MODE, reg.MODE_CRC_ON)
    spoiled.in_answers[bench.chip.air.frames] = frozenset({1, 8})
    assert bench.heard(bytes.fromhex("9370deadbeef22")) == ("0a", reg.ERROR_CRC, 0)


def test_one_flipped_bit_is_a_parity_error(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    for place in range(18):
        flipped = BitsFlipped(in_answers={bench.chip.air.frames: frozenset({place})})
        bench.chip.air.faults = [flipped]
        assert bench.heard(b"\x52", framing=7)[1] == reg.ERROR_PARITY
        bench.heard(b"\x52", framing=7)


def test_a_collision_shows_its_position_and_what_came_before(bench: Bench) -> None:
    bench.antenna_on("deadbeef", "deadaeef")
    bench.heard(b"\x52", framing=7)
    bench.write(reg.COLLISION, 0)
    content, error, _ = bench.heard(bytes.fromhex("9320"))
    assert error & reg.ERROR_COLLISION
    first = bits_of(bytes.fromhex("deadbe")).index(1, 16 + 4)  # be and ae differ in bit 4
    assert bench.read(reg.COLLISION) == [first + 1]
    assert content == "dead0e0000"


def test_no_collision_and_one_after_bit_32_have_no_position(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.heard(b"\x52", framing=7)
    bench.heard(bytes.fromhex("9320"))
    assert bench.read(reg.COLLISION)[0] & reg.COLLISION_POSITION_INVALID
    noise = Noise({1: (1,) * 45})
    bench.heard(b"\x52", framing=7)
    bench.chip.place(noise)
    bench.clock.advance_us(POWER_UP_US)
    late = with_parity(bits_of(cascade_levels(bytes.fromhex("deadbeef"))[0]))
    noise.answers = {1: late[:40] + tuple(1 - bit for bit in late[40:])}
    bench.heard(b"\x52", framing=7)
    assert bench.heard(bytes.fromhex("9320"))[1] & reg.ERROR_COLLISION
    assert bench.read(reg.COLLISION)[0] & reg.COLLISION_POSITION_INVALID


@given(st.sets(st.binary(min_size=4, max_size=4), min_size=1, max_size=4))
def test_bitwise_anticollision_over_the_registers_finds_every_card(uids: set[bytes]) -> None:
    """What a reader may do with partial bytes, RxAlign and CollReg; ours refuses instead."""
    bench = Bench()
    bench.antenna_on(*[uid.hex() for uid in sorted(uids)])
    bench.write(reg.COLLISION, 0)
    found = {resolved(bench) for _ in uids}
    assert found == uids
    assert bench.heard(b"\x26", framing=7) == ("", 0, 0), "a card was left over"


def resolved(bench: Bench) -> bytes:
    """The UID of one card, selected bit by bit and halted."""
    bench.heard(b"\x26", framing=7)
    known: tuple[int, ...] = ()
    while True:
        whole, rest = divmod(len(known), 8)
        sent = bytes([0x93, (2 + whole) << 4 | rest]) + bytes_of(known)
        content, error, _ = bench.heard(sent, framing=rest << 4 | rest)
        heard = bits_of(bytes.fromhex(content))[rest:]
        if not error & reg.ERROR_COLLISION:
            break
        position = bench.read(reg.COLLISION)[0] & 0x1F or 32
        known = (*known, *heard[: position - 1 - rest], 1)
    level = bytes_of(known + heard)
    sak, error, _ = bench.heard(append_crc(b"\x93\x70" + level))
    assert (sak, error) == (append_crc(b"\x08").hex(), 0)
    bench.heard(append_crc(b"\x50\x00"))
    return level[:4]


def test_the_antenna_off_resets_every_card(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.heard(b"\x52", framing=7)
    bench.heard(bytes.fromhex("9320"))
    bench.write(reg.TX_CONTROL, 0x80)
    assert bench.heard(b"\x52", framing=7) == ("", 0, 0)
    bench.write(reg.TX_CONTROL, 0x83)
    assert bench.heard(b"\x26", framing=7) == ("", 0, 0), "it answered before it had power"
    assert bench.heard(b"\x26", framing=7) == ("0400", 0, 0)


@pytest.mark.parametrize("command", [reg.CMD_SOFT_RESET, reg.COMMAND_POWER_DOWN])
def test_reset_and_power_down_switch_the_field_off(bench: Bench, command: int) -> None:
    bench.antenna_on("deadbeef")
    assert bench.chip.air.is_on
    bench.write(reg.COMMAND, command)
    assert not bench.chip.air.is_on


def test_a_card_taken_away_in_the_middle_of_its_answer_leaves_a_stump(bench: Bench) -> None:
    (card,) = bench.antenna_on("deadbeef")
    bench.heard(b"\x52", framing=7)
    bench.start(bytes.fromhex("9320"))
    bench.clock.advance_us(189 + 87 + 200)
    bench.chip.remove(card)
    bench.clock.advance_us(LONG_US)
    assert bench.read(reg.COM_IRQ)[0] & reg.IRQ_RX
    level, control = bench.read(reg.FIFO_LEVEL, reg.CONTROL)
    assert 0 < level < 5
    assert control & 7


@pytest.mark.parametrize(("miso", "value"), [(miso_stuck_low, 0x00), (miso_stuck_high, 0xFF)])
def test_a_stuck_wire_hides_the_chip_but_does_not_stop_it(
    bench: Bench, miso: object, value: int
) -> None:
    bench.chip.miso = miso  # type: ignore[assignment] # both are Miso functions
    assert bench.read(reg.VERSION, reg.COMMAND) == [value] * 2
    bench.write(reg.TX_CONTROL, 0x83)
    assert bench.chip.air.is_on


def test_a_chip_that_lost_its_supply_comes_back_forgetful(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.chip.cut_power()
    assert bench.read(reg.VERSION) == [0]
    assert not bench.chip.air.is_on
    bench.write(reg.TX_CONTROL, 0x83)
    bench.chip.restore_power()
    assert bench.read(reg.VERSION, reg.TX_CONTROL) == [0x92, 0x80]
    assert not bench.chip.air.is_on


def test_a_hung_chip_reads_and_writes_but_nothing_ever_ends(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.timer(40)
    bench.chip.hang()
    assert bench.heard(b"\x52", framing=7) == ("", 0, 0)
    assert bench.read(reg.VERSION, reg.COM_IRQ) == [0x92, reg.IRQ_LOW_ALERT]


def test_a_weak_field_lets_a_card_down_every_few_frames(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.chip.air.faults.append(WeakField(frames_carried=2))
    heard = [bench.heard(b"\x52", framing=7)[0] for _ in range(6)]
    assert heard == ["0400", "", "", "0400", "", ""]


def test_a_removal_by_frame_number_happens_before_that_frame(bench: Bench) -> None:
    bench.antenna_on("deadbeef")
    bench.chip.air.faults.append(CardsRemoved(at_frame=1))
    assert bench.heard(b"\x52", framing=7)[0] == "0400"
    assert bench.heard(bytes.fromhex("9320"))[0] == ""


def test_noise_in_an_empty_field_is_heard_as_it_is(bench: Bench) -> None:
    bench.antenna_on()
    bench.chip.place(Noise({0: with_parity(bits_of(b"\xaa")), 1: (1, 0, 1)}))
    bench.clock.advance_us(POWER_UP_US)
    assert bench.heard(b"\x52", framing=7) == ("aa", 0, 0)
    assert bench.heard(b"\x52", framing=7) == ("05", 0, 3)
    assert bench.heard(b"\x52", framing=7) == ("", 0, 3)
