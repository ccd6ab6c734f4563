"""ISO 14443-3A alone: published vectors, and no answer that a card could not have confirmed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.cards.iso14443a import (
    HLTA,
    SELECT_LEVELS,
    Answer,
    Selected,
    Trouble,
    activate,
    bcc,
    crc_a,
    halt_frame,
    has_valid_crc,
    is_random_uid,
    is_uid,
    with_crc,
)
from interlock.sim.cards import card_crc

pytestmark = pytest.mark.fast

ATQA = bytes.fromhex("4400")
CL1 = bytes.fromhex("88041122")
CL2 = bytes.fromhex("33445566")


def level(part: bytes) -> bytes:
    return part + bytes((bcc(part),))


class Script:
    """Answers one frame after the other as written, and keeps what it was sent."""

    def __init__(self, answers: Sequence[Answer | Trouble | bytes]) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, int]] = []

    def __call__(self, frame: bytes, answer_bytes: int, *, last_bits: int = 0) -> Answer | Trouble:
        self.sent.append((frame.hex(), last_bits))
        answer = self.answers.pop(0)
        return Answer(answer) if isinstance(answer, bytes) else answer


@pytest.mark.parametrize(
    ("content", "crc"),
    [
        ("0000", "a01e"),  # ISO/IEC 14443-3 annex B, first example
        ("1234", "26cf"),  # annex B, second example
        ("5000", "57cd"),  # HLTA
        ("e050", "bca5"),  # RATS, FSD 64
        ("3000", "02a8"),  # READ block 0
        ("20", "fc70"),  # SAK of a DESFire
        ("08", "b6dd"),  # SAK of a MIFARE Classic 1K
        ("04", "da17"),  # SAK "UID not complete"
        ("00", "fe51"),  # SAK of an NTAG
        (b"123456789".hex(), "05bf"),  # check value of CRC-16/ISO-IEC-14443-3-A: BF05
    ],
)
def test_crc_a_is_that_of_published_frames(content: str, crc: str) -> None:
    assert crc_a(bytes.fromhex(content)).hex() == crc
    assert card_crc(bytes.fromhex(content)).hex() == crc


@given(st.binary(max_size=64))
@example(b"")
def test_reader_and_card_compute_the_same_crc_in_two_different_ways(content: bytes) -> None:
    assert crc_a(content) == card_crc(content)


@given(st.binary(min_size=1, max_size=12), st.data())
def test_a_frame_with_one_wrong_bit_has_no_valid_crc(content: bytes, data: st.DataObject) -> None:
    frame = bytearray(with_crc(content))
    assert has_valid_crc(bytes(frame))
    place = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[place // 8] ^= 1 << place % 8
    assert not has_valid_crc(bytes(frame))


@pytest.mark.parametrize("frame", ["", "63", "6363"])
def test_nothing_but_a_crc_is_not_a_frame(frame: str) -> None:
    assert not has_valid_crc(bytes.fromhex(frame))


def test_the_check_byte_is_the_exclusive_or_of_its_level() -> None:
    assert bcc(bytes.fromhex("88041122")) == 0xBF
    assert bcc(bytes.fromhex("deadbeef")) == 0x22


@pytest.mark.parametrize("uid", ["deadbeef", "04112233445566", "04112288445566778899"])
def test_whole_uids_are_uids(uid: str) -> None:
    assert is_uid(bytes.fromhex(uid))


@pytest.mark.parametrize("uid", ["", "de", "88041122", "04112288445566", "0411223344", "00" * 11])
def test_cut_off_and_odd_sized_uids_are_none(uid: str) -> None:
    assert not is_uid(bytes.fromhex(uid))


def test_only_four_bytes_beginning_with_08_are_drawn_at_random() -> None:
    assert is_random_uid(bytes.fromhex("08a1b2c3"))
    assert not is_random_uid(bytes.fromhex("18a1b2c3"))
    assert not is_random_uid(bytes.fromhex("08112233445566"))


def test_a_seven_byte_card_is_selected_by_the_published_frames() -> None:
    script = Script([ATQA, level(CL1), with_crc(b"\x04"), level(CL2), with_crc(b"\x20")])
    assert activate(script) == Selected(bytes.fromhex("04112233445566"), ATQA, 0x20)
    assert script.sent == [
        ("52", 7),
        ("9320", 0),
        ("937088041122bf" + crc_a(bytes.fromhex("937088041122bf")).hex(), 0),
        ("9520", 0),
        ("95703344556644" + crc_a(bytes.fromhex("95703344556644")).hex(), 0),
    ]


def test_halt_is_the_published_frame() -> None:
    assert halt_frame() == HLTA + bytes.fromhex("57cd")
    assert SELECT_LEVELS == (0x93, 0x95, 0x97)


@pytest.mark.parametrize("trouble", list(Trouble))
def test_trouble_at_wake_up_is_told_as_it_is(trouble: Trouble) -> None:
    assert activate(Script([trouble])) is trouble


@pytest.mark.parametrize("good_frames", [1, 2, 3, 4])
def test_a_card_that_falls_silent_half_way_is_no_card_and_no_empty_field(good_frames: int) -> None:
    answers = [ATQA, level(CL1), with_crc(b"\x04"), level(CL2), with_crc(b"\x20")]
    script = Script([*answers[:good_frames], Trouble.SILENCE])
    assert activate(script) is Trouble.SPOILED


@pytest.mark.parametrize("good_frames", [0, 1, 2, 3, 4])
def test_a_collision_at_any_frame_is_told_and_never_resolved(good_frames: int) -> None:
    answers = [ATQA, level(CL1), with_crc(b"\x04"), level(CL2), with_crc(b"\x20")]
    script = Script([*answers[:good_frames], Trouble.COLLISION])
    assert activate(script) is Trouble.COLLISION
    assert script.answers == []


@pytest.mark.parametrize(
    ("why", "answers"),
    [
        ("ATQA of one byte", [b"\x44"]),
        ("ATQA of 15 bits", [Answer(ATQA, 7)]),
        ("wrong check byte", [ATQA, CL2 + b"\x00"]),
        ("a level of four bytes", [ATQA, CL2]),
        ("a level of 39 bits", [ATQA, Answer(level(CL2), 7)]),
        ("SAK without CRC", [ATQA, level(CL2), b"\x08"]),
        ("SAK with a wrong CRC", [ATQA, level(CL2), b"\x08\x00\x00"]),
        ("SAK of 23 bits", [ATQA, level(CL2), Answer(with_crc(b"\x08"), 7)]),
        ("goes on without a cascade tag", [ATQA, level(CL2), with_crc(b"\x04")]),
        ("cascade tag, but complete", [ATQA, level(CL1), with_crc(b"\x20")]),
        (
            "tag in level 2, but complete",
            [ATQA, level(CL1), with_crc(b"\x04"), level(CL1), with_crc(b"\x20")],
        ),
        (
            "a fourth level",
            [ATQA, *[level(CL1), with_crc(b"\x04")] * 3],
        ),
    ],
)
def test_an_answer_no_card_may_give_is_no_card(
    why: str, answers: list[Answer | Trouble | bytes]
) -> None:
    script = Script(answers)
    assert activate(script) is Trouble.SPOILED, why
    assert script.answers == [], "it went on, or stopped too early"


@given(st.lists(st.one_of(st.binary(max_size=6), st.sampled_from(list(Trouble))), max_size=7))
def test_arbitrary_answers_never_raise(answers: list[Answer | Trouble | bytes]) -> None:
    script = Script([*answers, *[Trouble.SILENCE] * 7])
    outcome = activate(script)
    assert isinstance(outcome, Trouble) or is_uid(outcome.uid)
