"""The reader on a chip in real time, behind a socket that is slow and uneven, as in the demo."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from interlock.cards.authentication import Proof, authenticate
from interlock.clock import SystemClock, perf_us
from interlock.errors import ReaderError
from interlock.readers import CardSeen, SeveralCards, Sight
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.cards import Card
from interlock.sim.rc522 import Rc522
from tests.readers.test_mfrc522_authentication import DESFIRE, KEY, desfire
from tests.waiting import wait_until

pytestmark = pytest.mark.real

SEVEN, OTHER = "04112233445566", "04112233AABBCC"
JITTER_US = 100
CALL_TIMEOUT_S = 2.0


class ServedChip:
    """The chip in a thread of its own: one datagram is one transfer, answered a little late."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.chip = Rc522(perf_us)
        self.host_end, self._chip_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.host_end.settimeout(CALL_TIMEOUT_S)
        self._late = random.Random(1)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def place(self, laid: Card | str) -> Card:
        card = Card(bytes.fromhex(laid)) if isinstance(laid, str) else laid
        with self.lock:
            self.chip.place(card)
        return card

    def remove(self, card: Card) -> None:
        with self.lock:
            self.chip.remove(card)

    def close(self) -> None:
        self.host_end.close()
        self._thread.join()

    def _serve(self) -> None:
        with closing(self._chip_end) as end:
            while sent := end.recv(256):
                with self.lock:
                    answer = bytes(self.chip.xfer2(sent))
                late_us = perf_us() + self._late.randrange(JITTER_US)
                while perf_us() < late_us:
                    pass
                end.send(answer)


class SocketSpi:
    """The host's end of a served chip."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def xfer2(self, values: list[int], /) -> list[int]:
        self._end.send(bytes(values))
        return list(self._end.recv(256))

    def close(self) -> None:
        """The socket belongs to the test."""


@pytest.fixture
def served() -> Iterator[ServedChip]:
    with closing(ServedChip()) as chip:
        yield chip


@pytest.fixture
def reader(served: ServedChip) -> Iterator[Mfrc522Reader]:
    made = Mfrc522Reader(lambda: SocketSpi(served.host_end), SystemClock())
    made.open()
    with closing(made):
        yield made


def sighted(reader: Mfrc522Reader, expected: Sight | None) -> None:
    """The reader comes to see `expected`, and then sees nothing else for a while."""
    wait_until(lambda: reader.poll() == expected, what=f"the sight of {expected}")
    assert [reader.poll() for _ in range(20)] == [expected] * 20


def test_cards_come_lie_and_go_in_real_time(served: ServedChip, reader: Mfrc522Reader) -> None:
    seven = CardSeen(bytes.fromhex(SEVEN), b"\x44\x00", 0x20)
    other = CardSeen(bytes.fromhex(OTHER), b"\x44\x00", 0x20)
    sighted(reader, None)
    first = served.place(SEVEN)
    sighted(reader, seven)
    second = served.place(OTHER)
    sighted(reader, SeveralCards())
    served.remove(first)
    sighted(reader, other)
    served.remove(second)
    sighted(reader, None)


def test_a_genuine_card_proves_itself_time_and_again_in_real_time(
    served: ServedChip, reader: Mfrc522Reader
) -> None:
    served.place(desfire())
    seven = CardSeen(bytes.fromhex(SEVEN), b"\x44\x03", 0x20)
    sighted(reader, seven)
    proofs = []
    for _ in range(20):
        sight = reader.poll()
        assert isinstance(sight, CardSeen)
        assert sight.transceive is not None
        proofs.append(authenticate(sight.transceive, DESFIRE, KEY, os.urandom))
    assert proofs == [Proof.GENUINE] * 20
    sighted(reader, seven)


def test_a_chip_that_dies_in_real_time_is_a_fault_and_heals_by_open(
    served: ServedChip, reader: Mfrc522Reader
) -> None:
    seven = CardSeen(bytes.fromhex(SEVEN), b"\x44\x00", 0x20)
    served.place(SEVEN)
    sighted(reader, seven)
    with served.lock:
        served.chip.cut_power()
    with pytest.raises(ReaderError, match="no chip answers"):
        reader.poll()
    with served.lock:
        served.chip.restore_power()
    reader.open()
    sighted(reader, seven)


def test_a_bus_whose_far_end_is_gone_is_a_fault(served: ServedChip, reader: Mfrc522Reader) -> None:
    served.host_end.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ReaderError, match="the SPI bus failed"):
        reader.poll()
