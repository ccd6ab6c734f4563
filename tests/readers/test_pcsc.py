"""PC/SC keeps the contract of every reader: through Debian's pcscd and a virtual contactless reader."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from interlock.clock import SystemClock
from interlock.errors import CardError, ReaderError
from interlock.readers import CardSeen, Sight
from interlock.readers.pcsc import PcscReader
from interlock.sim.card_blocks import BlockCard, Reply
from interlock.sim.cards import Card
from interlock.sim.clocks import VirtualClock
from interlock.sim.vpcd import VpcdReader
from tests.readers.contract import FOUR, SEVEN, SpeakingContract, history, plain, seen, speaking
from tests.readers.pcscd import READER_NAME, Pcscd, is_installed
from tests.waiting import wait_until

needs_pcscd = pytest.mark.skipif(
    os.geteuid() != 0 or not is_installed(),
    reason="needs root, and apt install pcscd vsmartcard-vpcd",
)
SLOT = f"{READER_NAME} 00 00"


class PcscBench:
    """A virtual reader, pcscd, and our reader on them."""

    def __init__(self, pcscd: Pcscd) -> None:
        self.pcscd = pcscd
        self.field = VpcdReader(enter=pcscd.enter_network)
        self.clock = SystemClock()
        self.reader = PcscReader("", self.clock)
        self.pcscd.start()

    def place(self, card: Card) -> None:
        self.field.place(card)

    def remove(self, card: Card) -> None:
        self.field.remove(card)

    def die(self) -> None:
        self.pcscd.stop()

    def revive(self) -> None:
        self.pcscd.start()

    def close(self) -> None:
        self.reader.close()
        self.pcscd.stop()
        self.field.close()


def polled_until_asked(bench: PcscBench) -> list[Sight | None]:
    """What polls tell until the virtual reader was asked for the UID several times."""
    told: list[Sight | None] = []

    def is_asked() -> bool:
        told.append(bench.reader.poll())
        return len(bench.field.codes) > 3

    wait_until(is_asked, what="the question for the UID")
    return told


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    """One socket path for the whole module: libpcsclite reads its variable once per process."""
    made = Pcscd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PCSCLITE_CSOCK_NAME", str(made.socket))
        yield made
    made.close()


@pytest.fixture
def bench(pcscd: Pcscd) -> Iterator[PcscBench]:
    made = PcscBench(pcscd)
    yield made
    made.close()


@pytest.mark.root
@needs_pcscd
class TestPcsc(SpeakingContract):
    @pytest.fixture
    def bench(self, pcscd: Pcscd) -> Iterator[PcscBench]:
        made = PcscBench(pcscd)
        yield made
        made.close()

    def shows(self, card: Card) -> CardSeen:
        """No PC/SC reader tells the ATQA: the plainest that goes with the length of the UID; nor a plain card's SAK."""
        plainest = {4: b"\x04\x00", 7: b"\x44\x00", 10: b"\x84\x00"}
        return CardSeen(card.uid, plainest[len(card.uid)], card.sak & 0x20)


@pytest.mark.root
@needs_pcscd
def test_a_reader_is_chosen_by_a_part_of_its_name(bench: PcscBench) -> None:
    reader = PcscReader("test reader 00 00", bench.clock)
    reader.open()
    assert reader.chip_name == SLOT
    reader.close()
    assert reader.chip_name == ""


@pytest.mark.root
@needs_pcscd
def test_a_name_that_no_reader_has_is_refused_with_those_there_are(bench: PcscBench) -> None:
    with pytest.raises(ReaderError, match=f"no reader 'Omnikey'; there is: {READER_NAME}"):
        PcscReader("Omnikey", bench.clock).open()


@pytest.mark.root
@needs_pcscd
def test_pcscd_without_a_reader_is_a_fault_until_one_is_plugged_in(bench: PcscBench) -> None:
    bench.reader.open()
    bench.pcscd.stop()
    bench.pcscd.start(with_reader=False)
    with pytest.raises(ReaderError):
        bench.reader.poll()
    with pytest.raises(ReaderError, match="there is: none"):
        bench.reader.open()
    bench.pcscd.stop()
    bench.pcscd.start()
    bench.reader.open()
    card = plain(SEVEN)
    bench.place(card)
    assert history(bench, seen(card))[-1] == seen(card)


class Wrapped:
    """Card software that knows wrapped DESFire commands: it says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def power_on(self) -> None:
        """Nothing to forget."""

    def answer(self, command: bytes) -> Reply | None:
        self.asked.append(command)
        if command[0] != 0x90:
            return Reply(b"\x6e\x00")
        return Reply(command[5:-1][::-1] + b"\x91\xaf")


@pytest.mark.root
@needs_pcscd
def test_native_commands_travel_wrapped_and_come_back_native(bench: PcscBench) -> None:
    software = Wrapped()
    card = BlockCard(SEVEN, software)
    bench.reader.open()
    bench.place(card)
    history(bench, seen(card))
    sight = bench.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive
    told = [sight.transceive(bytes.fromhex(text)) for text in ("60", "5af50001", "aa01")]
    assert told == [bytes.fromhex(text) for text in ("af", "af0100f5", "af01")]
    assert software.asked == [
        bytes.fromhex(text) for text in ("9060000000", "905a000003f5000100", "90aa0000010100")
    ]
    assert sight.transceive(bytes.fromhex("00a4040000")) == b"\x6e\x00"


@pytest.mark.root
@needs_pcscd
def test_a_sight_of_an_earlier_poll_speaks_to_nobody(bench: PcscBench) -> None:
    card = speaking()
    bench.reader.open()
    bench.place(card)
    history(bench, seen(card))
    sight = bench.reader.poll()
    bench.reader.poll()
    assert isinstance(sight, CardSeen)
    assert sight.transceive
    before = len(bench.field.codes)
    with pytest.raises(CardError, match="not selected any more"):
        sight.transceive(b"\x00\xa4\x04\x00\x00")
    assert len(bench.field.codes) == before


@pytest.mark.root
@needs_pcscd
@pytest.mark.parametrize(
    "answer", ["6a81", "deadbeef6300", "9000", "0102039000", "041122885566779000"]
)
def test_a_card_that_answers_no_uid_is_no_badge(
    bench: PcscBench, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.reader.open()
    monkeypatch.setattr(bench.field, "_apdu", lambda apdu: bytes.fromhex(answer))
    bench.place(plain(FOUR))
    told = polled_until_asked(bench)
    assert told == [None] * len(told)


@pytest.mark.root
@needs_pcscd
def test_a_contactless_card_of_another_standard_is_no_badge(
    bench: PcscBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.sim.vpcd.ISO_14443_A_PART_3", 0x0B)
    bench.reader.open()
    bench.place(plain(FOUR))
    told = polled_until_asked(bench)
    assert told == [None] * len(told)


@pytest.mark.fast
def test_a_computer_without_pyscard_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "smartcard.scard", None)
    with pytest.raises(ReaderError, match="apt install pcscd python3-pyscard"):
        PcscReader("", VirtualClock()).open()
