"""Commands and answers arrive once and whole, whatever is lost; and nothing a card does lasts for ever."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cards.iso14443_4 import (
    ANSWER_BLOCKS_MAX,
    ATTEMPT_MS_MAX,
    DESELECTS_MAX,
    EXTENSIONS_MAX,
    FRAME_BYTES_MAX,
    RETRIES_MAX,
    Ats,
    Link,
    Medium,
    ats_from,
)
from interlock.cards.iso14443a import Answer, Trouble, with_crc
from interlock.errors import CardError
from interlock.sim.clocks import VirtualClock
from tests.cards.block_card import ATS, BlockCard, Spoil

pytestmark = pytest.mark.fast

RATS = "e050"


def echo(command: bytes) -> bytes:
    return b"\x00" + command


def said(card: BlockCard, *commands: bytes) -> list[bytes]:
    link = Link(card.medium())
    return [link.transceive(command) for command in commands]


def test_block_numbers_alternate_and_every_answer_is_whole() -> None:
    card = BlockCard(echo)
    assert said(card, b"\x5a", b"\xaa", b"\xaf") == [b"\x00\x5a", b"\x00\xaa", b"\x00\xaf"]
    assert card.heard == [RATS, "025a", "03aa", "02af"]


def test_the_first_command_waits_the_guard_time_the_card_asks_for() -> None:
    card = BlockCard(echo)
    Link(card.medium()).activate()
    # RATS and its answer take 500 µs here; index 1 is 604 µs.
    assert card.clock.now_us() == 500 + 604


@pytest.mark.parametrize("size", [0, 1, 13, 14, 60, 61, 62, 122, 200])
@pytest.mark.parametrize("fsci", [0, 2, 5, 8])
def test_commands_and_answers_of_any_length_are_chained_both_ways(size: int, fsci: int) -> None:
    ats = bytes((0x02, fsci))
    command = bytes(range(200))[:size]
    card = BlockCard(echo, ats=ats, part_bytes=17)
    assert said(card, command, b"\x01") == [echo(command), echo(b"\x01")]
    assert card.commands == [command, b"\x01"]
    frame_bytes = min((16, 24, 32, 40, 48, 64, 96, 128, 256)[fsci], FRAME_BYTES_MAX)
    assert max(len(bytes.fromhex(block)) + 2 for block in card.heard) <= frame_bytes


LONG = bytes(range(150))
EXCHANGES = 14
"""RATS, three blocks out, and nine chained blocks in, with room for one lost."""


SPOILS: dict[str, Spoil] = {
    "parity": lambda frame: Trouble.SPOILED,
    "crc": lambda frame: Answer(frame[:-1] + bytes((frame[-1] ^ 1,))),
    "bits": lambda frame: Answer(frame, last_bits=3),
}


@pytest.mark.parametrize("turn", range(1, EXCHANGES))
@pytest.mark.parametrize("loss", ["frame", "answer", "parity", "crc", "bits"])
def test_any_single_loss_repeats_a_block_and_never_a_command(turn: int, loss: str) -> None:
    card = BlockCard(echo, part_bytes=17)
    lost = frozenset({turn})
    if loss == "frame":
        card.lost = lost
    elif loss == "answer":
        card.answers_lost = lost
    else:
        card.spoiled = {turn: SPOILS[loss]}
    assert said(card, LONG) == [echo(LONG)]
    assert card.commands == [LONG]


@given(st.frozensets(st.integers(1, 40), max_size=8), st.frozensets(st.integers(1, 40), max_size=8))
def test_whatever_is_lost_a_command_is_carried_out_at_most_once_and_no_answer_is_wrong(
    frames: frozenset[int], answers: frozenset[int]
) -> None:
    card = BlockCard(echo, part_bytes=17, lost=frames, answers_lost=answers)
    card.ats = b"\x02\x05"
    with suppress(CardError):
        assert said(card, LONG) == [echo(LONG)]
    assert card.commands in ([], [LONG])


def test_two_losses_in_a_row_are_borne_and_three_are_a_card_that_left() -> None:
    card = BlockCard(echo, ats=b"\x02\x05", answers_lost=frozenset({1, 2}))
    assert said(card, b"\x5a") == [b"\x00\x5a"]
    assert card.heard == [RATS, "025a", "b2", "b2"]
    card = BlockCard(echo, ats=b"\x02\x05", answers_lost=frozenset({1, 2, 3}))
    with pytest.raises(CardError, match="left"):
        said(card, b"\x5a")
    assert len(card.heard) == 2 + RETRIES_MAX


def test_a_card_gets_the_time_it_asks_for() -> None:
    card = BlockCard(echo, extensions=EXTENSIONS_MAX)
    assert said(card, b"\x5a") == [b"\x00\x5a"]
    assert card.heard == [RATS, "025a", *["f201"] * EXTENSIONS_MAX]


def test_a_card_that_asks_for_time_without_end_is_given_up() -> None:
    card = BlockCard(echo, extensions=10_000)
    with pytest.raises(CardError, match="more time"):
        said(card, b"\x5a")
    assert len(card.heard) == 2 + EXTENSIONS_MAX
    slow = BlockCard(echo, extensions=10_000, thinks_us=50_000)
    with pytest.raises(CardError, match="more time"):
        said(slow, b"\x5a")
    assert slow.clock.boot_ms() <= ATTEMPT_MS_MAX


@pytest.mark.parametrize("request_", ["f200", "f23c", "f2", "f20101", "fa01"])
def test_a_senseless_request_for_time_is_a_spoiled_block(request_: str) -> None:
    card = BlockCard(echo, spoiled={1: lambda _: Answer(with_crc(bytes.fromhex(request_)))})
    assert said(card, b"\x5a") == [b"\x00\x5a"]
    assert card.heard == [RATS, "025a", "b2"]


def test_power_bits_of_a_request_for_time_are_not_sent_back() -> None:
    card = BlockCard(echo, spoiled={1: lambda _: Answer(with_crc(b"\xf2\xc5"))})
    card._after_extension = b"\x02\x00"
    assert card.exchange(with_crc(b"\xe0\x50"), 5_000) == Answer(with_crc(ATS))
    card.heard.clear()
    said(card, b"\x5a")
    assert card.heard[2] == "f205"


def test_a_silent_card_costs_no_more_than_its_frame_waiting_time_says() -> None:
    card = BlockCard(echo, answers_lost=frozenset(range(1, 100)))
    with pytest.raises(CardError):
        said(card, b"\x5a")
    assert len(card.heard) == 2 + RETRIES_MAX
    assert card.clock.boot_ms() <= (1 + RETRIES_MAX) * 81 + 5


@pytest.mark.parametrize("wait_index", range(16))
def test_no_frame_waiting_time_makes_an_attempt_longer_than_it_may_be(wait_index: int) -> None:
    ats = bytes((0x03, 0x25, wait_index << 4))
    card = BlockCard(echo, ats=ats, answers_lost=frozenset(range(1, 100)))
    with pytest.raises(CardError):
        said(card, b"\x5a")
    assert card.clock.boot_ms() <= ATTEMPT_MS_MAX + 1


def test_all_commands_together_have_one_deadline() -> None:
    card = BlockCard(echo, thinks_us=40_000)
    with pytest.raises(CardError, match=r"left|too long"):
        said(card, *[b"\x5a"] * 100)
    assert len(card.commands) <= ATTEMPT_MS_MAX // 40 + 1
    assert card.clock.boot_ms() <= ATTEMPT_MS_MAX + 41


def test_a_guard_time_beyond_the_deadline_is_not_slept_through() -> None:
    card = BlockCard(echo, ats=bytes.fromhex("03258e"))
    with pytest.raises(CardError, match="pause"):
        said(card, b"\x5a")
    assert card.clock.boot_ms() < 10


def test_an_answer_that_does_not_end_is_given_up() -> None:
    card = BlockCard(lambda _: bytes(1_000), part_bytes=1)
    with pytest.raises(CardError, match="does not end"):
        said(card, b"\x5a")
    assert len(card.heard) == 1 + 1 + ANSWER_BLOCKS_MAX


def test_empty_chained_blocks_are_an_answer_that_does_not_end() -> None:
    number = 0

    def frames(frame: bytes, wait_us: int) -> Answer | Trouble:
        nonlocal number
        if frame[0] == 0xE0:
            return Answer(with_crc(b"\x02\x05"))
        number ^= 1
        return Answer(with_crc(bytes((0x12 | number ^ 1,))))

    clock = VirtualClock()
    with pytest.raises(CardError, match="does not end"):
        Link(Medium(frames, clock.boot_ms, lambda us: None)).transceive(b"\x5a")


@pytest.mark.parametrize("ats_text", ["02", "0178", "03", "0275", "077577810280", "0285", ""])
def test_an_ats_that_makes_no_sense_is_refused(ats_text: str) -> None:
    with pytest.raises(CardError, match="ATS"):
        ats_from(bytes.fromhex(ats_text))


def test_an_ats_longer_than_a_frame_is_refused() -> None:
    with pytest.raises(CardError, match="longer"):
        ats_from(bytes((63, 0x05)) + bytes(61))


@pytest.mark.parametrize(
    ("ats_text", "expected"),
    [
        ("01", Ats(32, 8_458, 0)),
        ("067577810280", Ats(64, 80_954, 604)),
        ("067777710280", Ats(128, 42_289, 604)),
        ("0205", Ats(64, 8_458, 0)),
        ("0325ff", Ats(64, 8_458, 0)),
        ("04251100", Ats(64, 4_229, 604)),
        ("020f", Ats(256, 8_458, 0)),
    ],
)
def test_an_ats_says_frame_size_waiting_and_guard_time(ats_text: str, expected: Ats) -> None:
    assert ats_from(bytes.fromhex(ats_text)) == expected


def test_deselection_is_confirmed_or_tried_once_more() -> None:
    card = BlockCard(echo)
    link = Link(card.medium())
    link.transceive(b"\x5a")
    assert link.deselect()
    assert card.heard[2:] == ["c2"]
    card.answers_lost = frozenset(range(100))
    assert not link.deselect()
    assert card.heard[3:] == ["c2"] * DESELECTS_MAX


class Nonsense:
    """Answers whatever it is told to, and notes how often it was asked."""

    def __init__(self, answers: Sequence[bytes | Trouble], *, with_ats: bool) -> None:
        self.answers: list[bytes | Trouble] = [ATS, *answers] if with_ats else list(answers)
        self.asked = 0
        self.clock = VirtualClock()

    def __call__(self, frame: bytes, wait_us: int) -> Answer | Trouble:
        self.asked += 1
        assert len(frame) <= FRAME_BYTES_MAX
        self.clock.advance_us(300)
        answer = self.answers[(self.asked - 1) % len(self.answers)] if self.answers else b""
        if isinstance(answer, Trouble):
            self.clock.advance_us(wait_us)
            return answer
        return Answer(with_crc(answer))


BLOCKS = st.one_of(
    st.sampled_from(list(Trouble)),
    st.sampled_from([bytes((pcb,)) for pcb in (2, 3, 0x12, 0x13, 0xA2, 0xA3, 0xB2, 0xC2, 0xE0)]),
    st.tuples(st.sampled_from([2, 3, 0x12, 0x13]), st.binary(max_size=61)).map(
        lambda block: bytes((block[0],)) + block[1]
    ),
    st.integers(0, 255).map(lambda factor: bytes((0xF2, factor))),
    st.binary(max_size=70),
)
FRAMES_MAX = 3 * (1 + RETRIES_MAX) * (1 + EXTENSIONS_MAX) + ANSWER_BLOCKS_MAX * (1 + RETRIES_MAX)
"""More than any run below can need, and a number: an endless exchange would pass every one."""


@given(st.lists(BLOCKS, max_size=40), st.binary(max_size=100), st.booleans())
def test_arbitrary_frames_end_in_an_answer_or_a_card_error_within_time_and_count(
    answers: list[bytes | Trouble], command: bytes, with_ats: bool
) -> None:
    card = Nonsense(answers, with_ats=with_ats)
    link = Link(Medium(card, card.clock.boot_ms, lambda us: card.clock.advance_us(round(us))))
    with suppress(CardError):
        assert isinstance(link.transceive(command), bytes)
    assert card.asked <= FRAMES_MAX
    assert card.clock.boot_ms() <= ATTEMPT_MS_MAX + 2
    link.deselect()
