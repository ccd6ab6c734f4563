"""The block protocol of card models, rule by rule of ISO 14443-4, 7.5.4, with literal frames."""

from __future__ import annotations

import pytest

from interlock.sim.card_blocks import (
    ATS_DELAY_US,
    ENDLESS,
    FRAME_TIME_US,
    Ats,
    BlockCard,
    Habits,
    Reply,
)
from interlock.sim.cards import CardState
from interlock.sim.rc522_air import bits_of, with_parity
from tests.sim.card_talk import ATS_DESFIRE, UID, activated, framed, heard, said, select

pytestmark = pytest.mark.fast

WUPA = bits_of([0x52])[:7]
FWT_US = Ats().fwt_us


class Echo:
    """Software that says what it heard, `times` over, and counts."""

    def __init__(self, *, times: int = 1, work_us: float = 0) -> None:
        self.heard: list[str] = []
        self.starts = 0
        self._times = times
        self._work_us = work_us

    def power_on(self) -> None:
        self.heard.append("power on")

    def answer(self, command: bytes) -> Reply | None:
        self.heard.append(command.hex())
        return Reply(command * self._times, self._work_us)


def card(*, times: int = 1, work_us: float = 0, habits: Habits | None = None) -> BlockCard:
    return BlockCard(UID, Echo(times=times, work_us=work_us), habits=habits)


def commands(one: BlockCard) -> list[str]:
    software = one.software
    assert isinstance(software, Echo)
    return [text for text in software.heard if text != "power on"]


# ----------------------------------------------------------------------------------- activation


def test_rats_is_answered_with_the_ats_after_the_cards_own_time() -> None:
    one = card()
    select(one)
    answer = heard(one, "e050")
    assert answer is not None
    assert (answer.delay_us, answer.guard_us) == (ATS_DELAY_US, 2 * FRAME_TIME_US)
    select(one)
    assert said(one, "e050") == [ATS_DESFIRE]
    assert one.state is CardState.PROTOCOL


@pytest.mark.parametrize("wrong", ["e0", "e05000", "e05f", "e150"])
def test_anything_else_than_rats_sends_an_active_card_back(wrong: str) -> None:
    one = card()
    select(one)
    assert said(one, wrong) == [None]
    assert one.state is CardState.IDLE


def test_a_card_in_protocol_hears_neither_wupa_nor_hlta_nor_rats() -> None:
    one = activated(card())
    assert one.hear(WUPA) is None
    assert said(one, "5000", "e050", "02aa") == [None, None, "02aa"]


def test_pps_is_confirmed_once_and_for_106_kbit_only() -> None:
    assert said(activated(card()), "d01100", "d01100", "02aa") == ["d0", None, "02aa"]
    assert said(activated(card()), "d01105") == [None]
    assert said(activated(card()), "02aa", "d01100") == ["02aa", None]


def test_only_deselect_or_the_end_of_the_field_lead_out_of_protocol() -> None:
    one = activated(card())
    assert said(one, "c2", "02aa") == ["c2", None]
    assert one.state is CardState.HALT
    assert one.hear(bits_of([0x26])[:7]) is None
    assert one.hear(WUPA) is not None
    one = activated(card())
    one.power_off()
    one.power_on()
    assert one.state is CardState.IDLE
    assert said(one, "02aa") == [None]


# --------------------------------------------------------------------------------------- blocks


def test_block_numbers_alternate_and_begin_with_0() -> None:
    assert said(activated(card()), "02aa", "03bb", "02cc") == ["02aa", "03bb", "02cc"]


def test_rule_d_a_repeated_i_block_is_performed_again() -> None:
    """The reader must use R(NAK): a repeated command would be counted twice by a card."""
    one = activated(card())
    assert said(one, "02aa", "02aa") == ["02aa", "03aa"]
    assert commands(one) == ["aa", "aa"]


def test_rule_11_a_nak_with_the_cards_number_brings_the_same_block_without_performing_again() -> (
    None
):
    one = activated(card())
    assert said(one, "02aa", "b2", "a2", "b2") == ["02aa", "02aa", "02aa", "02aa"]
    assert commands(one) == ["aa"]


def test_rule_12_a_nak_with_the_other_number_is_acknowledged() -> None:
    assert said(activated(card()), "02aa", "b3", "03bb") == ["02aa", "a2", "03bb"]
    assert said(activated(card()), "b2", "02aa") == ["a3", "02aa"]


def test_rule_10_and_2_a_chained_command_is_acknowledged_piece_by_piece_and_performed_once() -> (
    None
):
    one = activated(card())
    assert said(one, "12aa", "13bb", "02cc") == ["a2", "a3", "02aabbcc"]
    assert commands(one) == ["aabbcc"]


def test_rule_13_a_long_answer_is_chained_to_the_readers_frame_size() -> None:
    one = activated(card(times=100))
    first, second = said(one, "02aa", "a3")
    assert first == "12" + "aa" * 61
    assert second == "03" + "aa" * 39
    assert commands(one) == ["aa"]


def test_a_lost_piece_of_a_long_answer_comes_again() -> None:
    one = activated(card(times=100))
    first, again, second = said(one, "02aa", "b2", "a3")
    assert first == again
    assert second == "03" + "aa" * 39
    assert said(one, "b3") == [second]
    assert said(one, "a2") == [None], "chaining is over"


@pytest.mark.parametrize(("fsdi", "inside"), [(0, 13), (2, 29), (5, 61), (8, 253)])
def test_a_block_is_never_longer_than_the_reader_can_hear(fsdi: int, inside: int) -> None:
    one = card(times=253)
    select(one)
    assert said(one, f"e0{fsdi}0")[0] == ATS_DESFIRE
    block = said(one, "02aa")[0]
    assert block is not None
    assert len(bytes.fromhex(block)) - 1 == inside


def test_an_empty_i_block_asks_only_whether_the_card_is_there() -> None:
    one = activated(card())
    assert said(one, "02", "03aa") == ["02", "03aa"]
    assert commands(one) == ["aa"]


@pytest.mark.parametrize(
    ("why", "block"),
    [
        ("reserved PCB bits", "22aa"),
        ("bit 2 of an I-block is 0", "00aa"),
        ("a node address", "0600aa"),
        ("another card's CID", "0a01aa"),
        ("R-block with content", "a2aa"),
        ("S-block of another kind", "d2"),
        ("consent to time nobody asked for", "f201"),
        ("longer than the card's frames", "02" + "aa" * 62),
    ],
)
def test_a_block_the_card_does_not_understand_is_silence_and_changes_nothing(
    why: str, block: str
) -> None:
    one = activated(card())
    assert said(one, "02aa", block, "03bb") == ["02aa", None, "03bb"], why


def test_a_damaged_block_is_silence_and_changes_nothing() -> None:
    one = activated(card())
    whole = framed("02aa")
    for place in range(len(whole)):
        damaged = tuple(bit ^ (index == place) for index, bit in enumerate(whole))
        assert one.hear(damaged) is None
    assert one.hear(with_parity(bits_of(b"\x02\xaa"))) is None
    assert said(one, "02bb") == ["02bb"]
    assert commands(one) == ["bb"]


def test_a_card_with_a_cid_answers_to_it_alone_and_names_it() -> None:
    one = card()
    select(one)
    said(one, "e053")
    assert said(one, "02aa", "0a02aa", "0a03aa", "ca03") == [None, None, "0a03aa", "ca03"]
    assert one.state is CardState.HALT


# ----------------------------------------------------------------------------------------- time


def test_a_card_answers_when_it_has_computed() -> None:
    answer = heard(activated(card(work_us=5_000)), "02aa")
    assert answer is not None
    assert answer.delay_us == 5_000


def test_a_slow_card_asks_for_time_and_answers_after_consent() -> None:
    one = activated(card(work_us=3 * FWT_US))
    asked = heard(one, "02aa")
    assert asked is not None
    assert asked.delay_us == FWT_US / 2
    assert said(one, "b2") == ["f203"], "a lost wish comes again"
    assert said(one, "f201") == [None], "consent to another time is none"
    answer = heard(one, "f203")
    assert answer is not None
    assert answer.delay_us == pytest.approx(2.5 * FWT_US)
    assert said(one, "03bb") == ["f203"]
    assert commands(one) == ["aa", "bb"]


def test_a_card_that_does_not_ask_for_time_is_late() -> None:
    one = activated(card(work_us=3 * FWT_US, habits=Habits(asks_for_time=False)))
    answer = heard(one, "02aa")
    assert answer is not None
    assert answer.delay_us == 3 * FWT_US


def test_a_card_may_ask_a_few_times_for_nothing() -> None:
    one = activated(card(habits=Habits(wtx_requests=2, wtxm=3)))
    assert said(one, "02aa", "f203", "f203", "03bb") == ["f203", "f203", "02aa", "f203"]


def test_endless_asking_never_ends() -> None:
    one = activated(card(habits=Habits(wtx_requests=ENDLESS)))
    assert set(said(one, "02aa", *["f201"] * 100)) == {"f201"}


def test_no_more_than_59_times_the_waiting_time_is_asked_for() -> None:
    one = activated(card(work_us=100 * FWT_US))
    frames = ["02aa", "f23b", "f23b", "f229"]
    assert said(one, *frames) == ["f23b", "f23b", "f229", "02aa"]


def test_a_new_command_while_the_card_waits_for_consent_is_silence() -> None:
    one = activated(card(habits=Habits(wtx_requests=1)))
    assert said(one, "02aa", "03bb", "f201") == ["f201", None, "02aa"]
    assert commands(one) == ["aa"]
