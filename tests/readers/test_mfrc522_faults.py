"""Whatever goes wrong on wire or air, the reader tells no wrong UID and raises only ReaderError."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cards import iso14443a
from interlock.cards.iso14443a import Transceive, Trouble
from interlock.errors import ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim import rc522_registers as reg
from interlock.sim.cards import Card, cascade_levels
from interlock.sim.rc522_air import bits_of, with_parity
from interlock.sim.rc522_faults import (
    BitsFlipped,
    CardsRemoved,
    Miso,
    Noise,
    WeakField,
    miso_healthy,
    miso_stuck_high,
    miso_stuck_low,
)
from tests.readers.rig import Rig
from tests.readers.test_mfrc522 import UIDS

pytestmark = pytest.mark.fast

SEVEN = "04112233445566"
FRAMES_OF_A_POLL = 8
FRAMES_TO_A_SEVEN_BYTE_UID = 5
POLL_US_MAX = 100_000
"""No poll may take longer, whatever happens: two per poll interval would starve the loop."""
FAULT_KNOWN_WITHIN_US = 2_000_000
"""A dead reader is a fault within 2 s (3-cards.md)."""

PLACES = st.frozensets(st.integers(0, 90), max_size=6)
FLIPS = st.dictionaries(st.integers(0, 3 * FRAMES_OF_A_POLL), PLACES, max_size=8)


def polled(rig: Rig, polls: int) -> list[Sight | str | None]:
    """What some polls see; "fault" where they raised ReaderError and the reader was opened anew."""
    seen: list[Sight | str | None] = []
    for _ in range(polls):
        began_us = rig.clock.now_us()
        try:
            seen.append(rig.reader.poll())
        except ReaderError:
            seen.append("fault")
        assert rig.clock.now_us() - began_us <= POLL_US_MAX
        if seen[-1] == "fault":
            try:
                rig.reader.open()
            except ReaderError:
                seen.append("still dead")
                break
    return seen


def uids(sights: Sequence[Sight | str | None]) -> set[bytes]:
    return {one.uid for one in sights if isinstance(one, CardSeen)}


@given(UIDS, FLIPS, FLIPS)
def test_flipped_bits_in_any_frame_and_answer_give_no_wrong_uid(
    uid: bytes, frames: dict[int, frozenset[int]], answers: dict[int, frozenset[int]]
) -> None:
    rig = Rig().opened()
    rig.place(Card(uid))
    rig.chip.air.faults.append(BitsFlipped(frames, answers))
    assert uids(polled(rig, 4)) <= {uid}
    rig.chip.air.faults.clear()
    settled = [rig.reader.poll() for _ in range(3)][-1]
    assert isinstance(settled, CardSeen), "the reader did not recover"
    assert settled.uid == uid


@given(UIDS, st.data())
def test_a_flip_that_keeps_every_parity_right_still_gives_no_wrong_uid(
    uid: bytes, data: st.DataObject
) -> None:
    """Two bits of one byte: the parity stays right, so only check byte, SELECT and CRC are left."""
    rig = Rig().opened()
    rig.place(Card(uid))
    answer = data.draw(st.integers(0, 6), label="answer")
    flips: set[int] = set()
    for _ in range(data.draw(st.integers(1, 2), label="bytes")):
        byte = data.draw(st.integers(0, 4), label="byte")
        bits = data.draw(st.sets(st.integers(0, 7), min_size=2, max_size=2), label="bits")
        flips |= {9 * byte + bit for bit in bits}
    rig.chip.air.faults.append(BitsFlipped(in_answers={answer: frozenset(flips)}))
    assert uids(polled(rig, 3)) <= {uid}


def forged(answer: int, sent: bytes, forged_as: bytes) -> BitsFlipped:
    """Noise that turns the bytes `sent` as this answer into others, parity included."""
    pairs = zip(with_parity(bits_of(sent)), with_parity(bits_of(forged_as)), strict=True)
    flips = frozenset(place for place, (mine, other) in enumerate(pairs) if mine != other)
    return BitsFlipped(in_answers={answer: flips})


def sights_of_a_forged_level(uid: bytes, other: bytes) -> set[bytes]:
    """UIDs told while the whole first level arrives as another card's, check byte and all."""
    rig = Rig().opened()
    rig.place(Card(uid))
    rig.chip.air.faults.append(forged(1, cascade_levels(uid)[0], cascade_levels(other)[0]))
    return uids(polled(rig, 2))


def sights_of_a_forged_sak() -> set[bytes]:
    """UIDs told while "UID goes on" arrives as "UID complete", CRC and all."""
    rig = Rig().opened()
    rig.place(SEVEN)
    goes_on, complete = bytes.fromhex("04da17"), bytes.fromhex("20fc70")
    rig.chip.air.faults.append(forged(2, goes_on, complete))
    return uids(polled(rig, 2))


@given(UIDS, UIDS)
def test_a_uid_forged_with_its_check_byte_on_the_way_is_never_believed(
    uid: bytes, other: bytes
) -> None:
    """SELECT then carries bytes the card does not have, and it stays silent."""
    assert sights_of_a_forged_level(uid, other) <= {uid}


def test_a_forged_sak_never_truncates_a_uid() -> None:
    assert sights_of_a_forged_sak() <= {bytes.fromhex(SEVEN)}


def test_without_the_confirming_select_the_forged_uid_would_be_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unconfirmed(transceive: Transceive, level: int) -> tuple[bytes, int] | Trouble:
        heard = transceive(bytes((level, 0x20)), 5)
        return heard if isinstance(heard, Trouble) else (heard.content[:4], 0x08)

    monkeypatch.setattr(iso14443a, "_select_level", unconfirmed)
    mine, other = bytes.fromhex("deadbeef"), bytes.fromhex("0badcafe")
    assert other in sights_of_a_forged_level(mine, other)


def test_without_the_rule_of_the_cascade_tag_the_uid_would_be_truncated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(iso14443a, "_is_consistent", lambda *_: True)
    assert bytes.fromhex("88041122") in sights_of_a_forged_sak()


@given(UIDS, st.integers(0, 2 * FRAMES_OF_A_POLL))
def test_a_card_removed_before_any_frame_is_whole_or_gone(uid: bytes, frame: int) -> None:
    rig = Rig().opened()
    rig.place(Card(uid))
    rig.chip.air.faults.append(CardsRemoved(frame))
    sights = polled(rig, 5)
    assert uids(sights) <= {uid}
    assert sights[-1] is None
    assert set(sights) <= {None, CardSeen(uid, Card(uid).atqa, Card(uid).sak)}


@given(UIDS, st.integers(1, 12_000))
def test_a_card_removed_at_any_microsecond_is_whole_or_gone(uid: bytes, after_us: int) -> None:
    rig = Rig().opened()
    card = rig.place(Card(uid))
    leave_at_us = rig.clock.now_us() + after_us

    def leaves(driven: list[int]) -> list[int]:
        if rig.clock.now_us() >= leave_at_us:
            rig.chip.remove(card)
        return driven

    rig.chip.miso = leaves
    sights = polled(rig, 5)
    assert uids(sights) <= {uid}
    assert sights[-1] is None
    assert "fault" not in sights


@given(UIDS, UIDS, FLIPS)
def test_two_cards_in_noise_are_never_a_third(
    first: bytes, second: bytes, flips: dict[int, frozenset[int]]
) -> None:
    rig = Rig().opened()
    rig.place(Card(first))
    rig.place(Card(second))
    rig.chip.air.faults.append(BitsFlipped(flips, flips))
    assert uids(polled(rig, 4)) <= {first, second}


@given(UIDS, st.integers(1, 12))
def test_a_weak_field_gives_the_right_uid_or_none(uid: bytes, carried: int) -> None:
    rig = Rig().opened()
    rig.place(Card(uid))
    rig.chip.air.faults.append(WeakField(carried))
    sights = polled(rig, 6)
    assert uids(sights) <= {uid}
    assert "fault" not in sights


NOISE = st.dictionaries(
    st.integers(0, 12), st.lists(st.integers(0, 1), min_size=1, max_size=80).map(tuple)
)


@given(NOISE)
def test_noise_in_an_empty_field_is_no_card(noise: dict[int, tuple[int, ...]]) -> None:
    rig = Rig().opened()
    rig.place(Noise(noise))
    sights = polled(rig, 6)
    assert uids(sights) == set()
    assert "fault" not in sights


@given(UIDS, NOISE)
def test_noise_over_a_card_is_that_card_or_none(
    uid: bytes, noise: dict[int, tuple[int, ...]]
) -> None:
    rig = Rig().opened()
    rig.place(Card(uid))
    rig.place(Noise(noise))
    sights = polled(rig, 6)
    assert uids(sights) <= {uid}
    assert all(one is None or isinstance(one, CardSeen | SeveralCards) for one in sights)


@given(UIDS, st.integers(0, 2**32), st.sampled_from([1.0, 0.1, 0.01]), st.booleans())
def test_garbage_on_the_wire_gives_no_wrong_uid(
    uid: bytes, seed: int, density: float, from_the_start: bool
) -> None:
    rig = Rig()
    draw = random.Random(seed)

    def garbled(driven: list[int]) -> list[int]:
        return [draw.randrange(256) if draw.random() < density else one for one in driven]

    rig.place(Card(uid))
    if from_the_start:
        rig.chip.miso = garbled
    try:
        rig.reader.open()
    except ReaderError:
        return
    rig.chip.miso = garbled
    assert uids(polled(rig, 6)) <= {uid}


def _cut(rig: Rig) -> None:
    rig.chip.cut_power()


def _brown_out(rig: Rig) -> None:
    rig.chip.cut_power()
    rig.chip.restore_power()


def _hang(rig: Rig) -> None:
    rig.chip.hang()


def _low(rig: Rig) -> None:
    rig.chip.miso = miso_stuck_low


def _high(rig: Rig) -> None:
    rig.chip.miso = miso_stuck_high


def _unplug(rig: Rig) -> None:
    rig.buses[-1].close()


DEATHS = [_cut, _brown_out, _hang, _low, _high, _unplug]


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("uid", [None, SEVEN], ids=str)
def test_a_dead_reader_is_a_fault_within_two_seconds_and_never_an_empty_field(
    death: object, uid: str | None
) -> None:
    rig = Rig().opened()
    if uid:
        rig.place(uid)
    rig.poll()
    assert callable(death)
    death(rig)
    died_at_us = rig.clock.now_us()
    with pytest.raises(ReaderError) as fault:
        rig.reader.poll()
    assert rig.clock.now_us() - died_at_us <= POLL_US_MAX < FAULT_KNOWN_WITHIN_US
    assert fault.value.remedy


@pytest.mark.parametrize("transfer", range(55))
@pytest.mark.parametrize("miso", [miso_stuck_low, miso_stuck_high])
def test_a_wire_that_breaks_at_any_transfer_of_a_poll_is_a_fault_by_the_next(
    transfer: int, miso: Miso
) -> None:
    rig = Rig().opened()
    rig.place(SEVEN)
    breaks_at = rig.chip.transfers + transfer

    def breaks(driven: list[int]) -> list[int]:
        return (miso if rig.chip.transfers > breaks_at else miso_healthy)(driven)

    rig.chip.miso = breaks
    sights = polled(rig, 2)
    assert uids(sights) <= {bytes.fromhex(SEVEN)}
    assert sights[-2:] == ["fault", "still dead"]


@pytest.mark.parametrize("death", DEATHS)
def test_a_reader_that_comes_back_reads_again_after_open(death: object) -> None:
    rig = Rig().opened()
    rig.place(SEVEN)
    before = rig.poll().sight
    assert callable(death)
    death(rig)
    with pytest.raises(ReaderError):
        rig.reader.poll()
    rig.chip.miso = miso_healthy
    rig.chip.restore_power()
    rig.reader.open()
    assert [rig.poll().sight for _ in range(3)] == [before] * 3


@pytest.mark.parametrize("disturbed", range(53))
def test_one_disturbed_transfer_is_no_fault_and_no_wrong_uid(disturbed: int) -> None:
    rig = Rig().opened()
    rig.place(SEVEN)
    rig.poll()
    hit = rig.chip.transfers + disturbed + 1

    def disturb(driven: list[int]) -> list[int]:
        return [0xA5] * len(driven) if rig.chip.transfers == hit else driven

    rig.chip.miso = disturb
    sights = polled(rig, 3)
    # The UID, not the whole sight: ATQA is the one answer that nothing confirms.
    assert [one.uid for one in sights if isinstance(one, CardSeen)] == [bytes.fromhex(SEVEN)] * 3


class TornBus:
    """A bus that gives back too little, or breaks when it is closed."""

    def xfer2(self, values: list[int], /) -> list[int]:
        return [0]

    def close(self) -> None:
        raise OSError(19, "no such device")


def test_a_bus_that_gives_back_too_little_is_a_fault() -> None:
    rig = Rig()
    with pytest.raises(ReaderError, match="1 bytes for 2 sent"):
        Mfrc522Reader(TornBus, rig.clock).open()


def test_a_bus_that_cannot_be_opened_is_a_fault() -> None:
    def missing() -> TornBus:
        raise FileNotFoundError(2, "no /dev/spidev0.0")

    with pytest.raises(ReaderError, match=r"no SPI bus.*dtparam=spi=on"):
        Mfrc522Reader(missing, Rig().clock).open()


def test_a_chip_that_takes_no_settings_is_a_fault() -> None:
    rig = Rig()
    real = rig.chip.xfer2

    class DeafBus:
        def xfer2(self, values: list[int], /) -> list[int]:
            return real(values) if values[0] & 0x80 else [0] * len(values)

        def close(self) -> None:
            pass

    with pytest.raises(ReaderError, match="does not keep its settings"):
        Mfrc522Reader(DeafBus, rig.clock).open()


@pytest.mark.parametrize("place", range(18))
def test_a_bit_flipped_in_the_unprotected_atqa_is_noticed_by_its_parity(place: int) -> None:
    rig = Rig().opened()
    rig.place(SEVEN)
    rig.chip.air.faults.append(BitsFlipped(in_answers={0: frozenset({place})}))
    assert rig.poll().sight == CardSeen(bytes.fromhex(SEVEN), b"\x44\x00", 0x20)
    assert rig.chip.air.frames == 2 + FRAMES_TO_A_SEVEN_BYTE_UID, "the first reading was believed"


def test_a_chip_whose_field_went_off_is_a_fault_at_once() -> None:
    rig = Rig().opened()
    rig.chip.xfer2([reg.TX_CONTROL << 1, 0x80])
    before = rig.chip.transfers
    with pytest.raises(ReaderError, match="lost its settings"):
        rig.reader.poll()
    assert rig.chip.transfers - before == 10, "one exchange, read three times"
