"""Whatever comes over the PN532's serial line, no wrong UID is told and every call ends in time."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.clock import SystemClock
from interlock.errors import CardError, ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.readers.pn532 import Pn532Reader, serial_opener
from interlock.readers.pn532_frames import ACK, FrameReader, Mark, Payload, command_frame
from interlock.sim.card_blocks import ENDLESS, BlockCard, Habits
from interlock.sim.cards import Card, Phone
from tests.readers.contract import FOUR, SEVEN, TEN, Echo, plain, seen, speaking
from tests.readers.pn532_rig import Pn532Rig, PtyChip

pytestmark = pytest.mark.fast

POLL_MS_MAX = 2_000
"""A fault within 2 s, whatever happened on the line."""
EXCHANGE_MS_MAX = 1_000


def polled(rig: Pn532Rig, polls: int) -> list[Sight | str | None]:
    """What some polls tell; "fault" where they raised ReaderError, and the reader was opened anew."""
    told: list[Sight | str | None] = []
    for _ in range(polls):
        began_ms = rig.clock.boot_ms()
        try:
            told.append(rig.reader.poll())
        except ReaderError:
            told.append("fault")
        assert rig.clock.boot_ms() - began_ms <= POLL_MS_MAX
        if told[-1] == "fault":
            try:
                rig.reader.open()
            except ReaderError:
                told.append("still dead")
    return told


# --------------------------------------------------------------------------------------- frames


def test_a_command_is_framed_as_the_manual_shows_it() -> None:
    """GetFirmwareVersion and SAMConfiguration as nfcpy spells them."""
    assert command_frame(b"\x02") == bytes.fromhex("0000ff02fed4022a00")
    assert command_frame(b"\x14\x01\x00\x00") == bytes.fromhex("0000ff05fbd4140100001700")


@given(st.binary(min_size=1, max_size=264), st.binary(max_size=12), st.data())
def test_a_frame_is_found_in_whatever_pieces_it_comes(
    payload: bytes, before: bytes, data: st.DataObject
) -> None:
    stream = before.replace(b"\xff", b"\xfe") + command_frame(payload) + ACK
    reader, frames = FrameReader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        frames += reader.feed(stream[:size])
        stream = stream[size:]
    assert frames == [Payload(0xD4, payload), Mark.ACK]


@given(st.binary(max_size=300), st.integers(1, 7))
def test_no_garbage_makes_the_frame_reader_stumble(garbage: bytes, piece: int) -> None:
    reader = FrameReader()
    for at in range(0, len(garbage), piece):
        reader.feed(garbage[at : at + piece])
    reader.forget()
    assert reader.feed(command_frame(b"\x02")) == [Payload(0xD4, b"\x02")]


def test_a_frame_longer_than_the_chip_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 265"):
        command_frame(bytes(265))


# ------------------------------------------------------------------------------------- the line


def spoilers(draw: random.Random) -> list[Callable[[bytes], bytes]]:
    def flipped(sent: bytes) -> bytes:
        heard = bytearray(sent)
        for _ in range(draw.randint(1, 3)):
            heard[draw.randrange(len(heard))] ^= 1 << draw.randrange(8)
        return bytes(heard)

    return [
        flipped,
        lambda sent: sent[: draw.randrange(len(sent))],
        lambda sent: sent[draw.randrange(len(sent)) :],
        lambda sent: draw.randbytes(draw.randint(0, 40)) + sent,
        lambda sent: sent + draw.randbytes(draw.randint(1, 40)),
        lambda sent: draw.randbytes(len(sent)),
        lambda sent: b"",
        lambda sent: sent + sent,
    ]


# Once a card was deaf to a frame that began as its answer ended: floats summed in another order.
@example(TEN, 36851, 0.9)
@given(
    st.sampled_from([FOUR, SEVEN, TEN]), st.integers(0, 2**32), st.sampled_from([0.02, 0.2, 0.9])
)
def test_a_bad_line_gives_no_wrong_uid_and_is_survived(
    uid: bytes, seed: int, how_bad: float
) -> None:
    rig, draw = Pn532Rig().opened(), random.Random(seed)
    card = plain(uid)
    rig.chip.place(card)
    kinds = spoilers(draw)
    rig.chip.to_host = lambda sent: draw.choice(kinds)(sent) if draw.random() < how_bad else sent
    told = polled(rig, 6)
    rig.chip.to_host = lambda sent: sent
    assert {one.uid for one in told if isinstance(one, CardSeen)} <= {uid}
    assert polled(rig, 4)[-1] == seen(card), "the reader did not recover"


def test_a_uid_whose_sum_is_right_by_two_errors_is_not_believed() -> None:
    """The sums of eight bits cannot see this; the second reading does."""
    rig = Pn532Rig().opened()
    card = plain(SEVEN)
    rig.chip.place(card)
    done: list[bytes] = []

    def plus_and_minus_one(sent: bytes) -> bytes:
        at = sent.find(SEVEN)
        if at < 0 or done:
            return sent
        done.append(sent)
        heard = bytearray(sent)
        heard[at + 1] += 1
        heard[at + 2] -= 1
        return bytes(heard)

    rig.chip.to_host = plus_and_minus_one
    assert [rig.reader.poll() for _ in range(3)] == [None, seen(card), seen(card)]
    assert done


def test_an_answer_that_is_damaged_once_is_asked_for_again_with_a_nack() -> None:
    rig = Pn532Rig().opened()
    card = plain(SEVEN)
    rig.chip.place(card)
    rig.reader.poll()
    spoilt: list[bytes] = []

    def once(sent: bytes) -> bytes:
        if SEVEN not in sent or spoilt:
            return sent
        spoilt.append(sent)
        return sent.replace(SEVEN, SEVEN[:-1] + b"\x00")

    rig.chip.to_host = once
    lists = rig.chip.codes.count(0x4A)
    assert rig.reader.poll() == seen(card)
    assert rig.chip.codes.count(0x4A) == lists + 1, "the card was asked again, not the chip"
    assert spoilt


def test_an_answer_that_comes_too_late_is_not_the_answer_to_the_next_command() -> None:
    rig = Pn532Rig().opened()
    card = plain(SEVEN)
    rig.chip.place(card)
    rig.reader.poll()
    held: list[bytes] = []

    def held_back(sent: bytes) -> bytes:
        if SEVEN in sent:
            held.append(sent)
            return b""
        return sent

    rig.chip.to_host = held_back
    with pytest.raises(ReaderError):
        rig.reader.poll()
    rig.chip.remove(card)
    late = b"".join(held)
    rig.chip.to_host = lambda sent: (late + sent) if sent == ACK else sent
    assert [rig.reader.poll() for _ in range(3)] == [None] * 3
    assert late


def test_a_line_that_only_echoes_is_no_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    """TX wired to RX: every command comes back, with a right sum."""
    rig = Pn532Rig()
    monkeypatch.setattr(rig.chip, "hear", lambda sent: rig.chip._send(rig.clock.now_us(), sent))
    with pytest.raises(ReaderError, match="fell silent"):
        rig.reader.open()


@pytest.mark.parametrize("firmware", [b"\x33\x01\x06\x07", b"\x32\x01", b""])
def test_any_other_chip_is_refused(firmware: bytes) -> None:
    with pytest.raises(ReaderError, match="unknown chip"):
        Pn532Rig(firmware=firmware).reader.open()


def test_a_chip_that_lost_its_power_and_came_back_is_a_fault_and_then_opens() -> None:
    rig = Pn532Rig().opened()
    rig.chip.power_cycle()
    with pytest.raises(ReaderError):
        rig.reader.poll()
    rig.reader.open()
    assert rig.reader.poll() is None


def test_a_line_that_vanishes_is_a_fault() -> None:
    rig = Pn532Rig().opened()
    rig.wires[0].gone = True
    with pytest.raises(ReaderError, match="the serial line failed"):
        rig.reader.poll()
    rig.reader.close()


def test_closing_takes_the_field_off_and_releases_the_line() -> None:
    rig = Pn532Rig().opened()
    assert rig.chip.air.is_on
    rig.reader.close()
    assert not rig.chip.air.is_on
    assert [wire.is_open for wire in rig.wires] == [False]
    assert rig.reader.chip_name == ""


# ------------------------------------------------------------------------------------ the cards


def test_polls_are_quick_enough_for_ten_a_second() -> None:
    rig = Pn532Rig().opened()
    times: dict[str, int] = {}

    def timed(name: str) -> None:
        began_ms = rig.clock.boot_ms()
        rig.reader.poll()
        times[name] = rig.clock.boot_ms() - began_ms

    timed("empty")
    card = plain(TEN)
    rig.chip.place(card)
    rig.clock.advance_us(10_000)
    timed("new")
    timed("lying")
    assert times["empty"] <= 20
    assert times["lying"] <= 50
    assert times["new"] <= 80


@pytest.mark.parametrize("kind", [plain, speaking])
def test_a_chip_that_finds_one_card_twice_shows_one_card(kind: Callable[[bytes], Card]) -> None:
    rig = Pn532Rig().opened()
    rig.chip.halts_first = False
    card = kind(SEVEN)
    rig.chip.place(card)
    assert [rig.reader.poll() for _ in range(3)] == [seen(card)] * 3
    rig.chip.place(plain(FOUR))
    assert rig.reader.poll() == SeveralCards()


def test_a_phone_keeps_the_id_it_drew_while_it_lies_there() -> None:
    class TalkingPhone(Phone, BlockCard):
        """A phone that emulates a card."""

        def __init__(self) -> None:
            self._draw = random.Random(3)
            BlockCard.__init__(self, self._drawn_uid(), Echo())

    rig = Pn532Rig().opened()
    phone = TalkingPhone()
    rig.chip.place(phone)
    told = [rig.reader.poll() for _ in range(5)]
    first = told[0]
    assert isinstance(first, CardSeen)
    assert first.uid[:1] == b"\x08"
    assert told == [first] * 5
    rig.chip.remove(phone)
    assert rig.reader.poll() is None


@pytest.mark.parametrize("habits", [Habits(wtx_requests=ENDLESS), Habits(asks_for_time=False)])
def test_a_card_that_never_answers_is_a_card_error_in_bounded_time(habits: Habits) -> None:
    class Slow(Echo):
        def answer(self, command: bytes):  # type: ignore[no-untyped-def] # as Echo
            reply = super().answer(command)
            return type(reply)(reply.content, 10_000_000.0) if reply else None

    rig = Pn532Rig().opened()
    card = BlockCard(SEVEN, Slow(), habits=habits)
    rig.chip.place(card)
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive
    began_ms = rig.clock.boot_ms()
    with pytest.raises(CardError):
        sight.transceive(b"\x00")
    assert rig.clock.boot_ms() - began_ms <= EXCHANGE_MS_MAX
    assert rig.reader.poll() == seen(card)


def test_a_chip_that_dies_while_it_speaks_to_a_card_is_no_card_error() -> None:
    """It has acknowledged the command: the silence after it could be a slow card's, too."""
    rig = Pn532Rig().opened()
    rig.chip.place(speaking())
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive

    def last_words(sent: bytes) -> bytes:
        rig.chip.dead = True
        return sent[: len(ACK)]

    rig.chip.to_host = last_words
    began_ms = rig.clock.boot_ms()
    with pytest.raises(ReaderError):
        sight.transceive(b"\x00")
    assert rig.clock.boot_ms() - began_ms <= EXCHANGE_MS_MAX


def test_after_a_failure_nothing_is_said_to_the_card_until_it_is_seen_again() -> None:
    rig = Pn532Rig().opened()
    card = speaking()
    rig.chip.place(card)
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive
    rig.chip.remove(card)
    with pytest.raises(CardError):
        sight.transceive(b"\x00")
    rig.chip.place(card)
    commands = len(rig.chip.codes)
    with pytest.raises(CardError, match="not selected any more"):
        sight.transceive(b"\x00")
    assert len(rig.chip.codes) == commands


def test_a_sight_of_an_earlier_poll_speaks_to_nobody() -> None:
    rig = Pn532Rig().opened()
    rig.chip.place(speaking())
    sight = rig.reader.poll()
    rig.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive
    with pytest.raises(CardError, match="not selected any more"):
        sight.transceive(b"\x00")


# ------------------------------------------------------------------------------- the real serial line


@pytest.fixture
def port() -> Iterator[PtyChip]:
    made = PtyChip()
    yield made
    made.close()


def test_an_adapter_that_is_pulled_is_a_fault(port: PtyChip) -> None:
    reader = Pn532Reader(serial_opener(port.path), SystemClock())
    reader.open()
    assert reader.poll() is None
    port.unplug()
    with pytest.raises(ReaderError, match="the serial line failed"):
        reader.poll()
    reader.close()


def test_a_serial_line_that_is_not_there_says_what_to_check() -> None:
    reader = Pn532Reader(serial_opener("/dev/no-such-line"), SystemClock())
    with pytest.raises(ReaderError, match="group dialout"):
        reader.open()


def test_a_computer_without_pyserial_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(ReaderError, match=r"interlock-fablab\[readers\]"):
        serial_opener("/dev/serial0")()
