"""A contactless PC/SC reader behind Debian's `vsmartcard-vpcd`: cards lie in a field, its protocol comes out.

    pcscd ── libifdvpcd ── TCP on loopback ── VpcdReader ── Radio ── cards of interlock.sim

vpcd listens at the port that its reader.conf entry says and takes a connection for a card: the link
is there while anything lies in the field. It sends lengths (two bytes, high first) and messages: one
byte is a control code, more are an APDU. What a contactless reader adds to its cards stands in PC/SC
part 3: an ATR made from the ATS, or naming the kind of a storage card (3.1.3.2.3), and the
pseudo-APDU FF CA that gives UID or historical bytes (3.2.2.1.3).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from operator import xor

from interlock.clock import perf_us
from interlock.sim.cards import SAK_MIFARE_CLASSIC, Card
from interlock.sim.pn532_radio import CardBroken, CardTimeout, Radio, Target
from interlock.sim.rc522_air import POWER_UP_US, Air

POWER_OFF, POWER_ON, RESET, GET_ATR = 0x00, 0x01, 0x02, 0x04
GET_UID, GET_HISTORICAL = bytes.fromhex("ffca0000"), bytes.fromhex("ffca0100")
DONE, NOT_SUPPORTED, NO_CARD = b"\x90\x00", b"\x6a\x81", b"\x63\x00"
STORAGE_HEAD = bytes.fromhex("804f0ca000000306")
"""Historical bytes of a storage card: application id of the PC/SC workgroup."""
ISO_14443_A_PART_3 = 0x03
MIFARE_CLASSIC_1K, MIFARE_ULTRALIGHT = b"\x00\x01", b"\x00\x03"
ATTEMPTS = 2
MUTE = b"\x3b\x80\x80\x01\x01"
"""The ATR of a card that told nothing of itself; vpcd waits for ever on an empty one."""
CALL_AGAIN_S = 0.02
PORT = 0x8C7B
"""Where Debian's own entry makes vpcd listen."""
DRIVER = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"


class VpcdReader:
    """One reader, served by a thread until `close()`; `enter` runs in it before each connection."""

    def __init__(self, port: int = PORT, enter: Callable[[], None] = lambda: None) -> None:
        self.codes: list[bytes] = []
        """Every APDU that reached the reader."""
        self._air = Air(is_on=True)
        self._radio = Radio(self._air)
        self._target: Target | None = None
        self._port = port
        self._enter = enter
        self._link: socket.socket | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="vpcd", daemon=True)
        self._thread.start()

    def place(self, card: Card) -> None:
        """`card` lies on the reader."""
        with self._changed:
            self._air.place(card, self._now_us() - POWER_UP_US)
            self._changed.notify()

    def remove(self, card: Card) -> None:
        """`card` is gone."""
        with self._changed:
            self._air.remove(card)
            self._target = None
            if not self._air.cards:
                self._hang_up()

    def close(self) -> None:
        """The reader's field is empty for ever; harmless when called again."""
        with self._changed:
            self._closing = True
            self._hang_up()
            self._changed.notify()
        self._thread.join(5)

    # ----------------------------------------------------------------------------- vpcd's protocol

    def _serve(self) -> None:
        while self._waited_for_a_card():
            with suppress(OSError):
                self._enter()
                with socket.create_connection(("127.0.0.1", self._port)) as link:
                    with self._changed:
                        self._link = link
                    self._talk(link)

    def _waited_for_a_card(self) -> bool:
        """A card lies there, a moment after the last attempt; False when the reader is closed."""
        with self._changed:
            self._link = None
            self._changed.wait(CALL_AGAIN_S)
            self._changed.wait_for(lambda: self._closing or self._air.cards)
            return not self._closing

    def _hang_up(self) -> None:
        if self._link is not None:
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_RDWR)

    def _talk(self, link: socket.socket) -> None:
        while True:
            head = _received(link, 2)
            message = _received(link, int.from_bytes(head, "big"))
            with self._changed:
                answer = self._answer(message)
            if answer is not None:
                link.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, message: bytes) -> bytes | None:
        self._radio.now_us = max(self._radio.now_us, self._now_us())
        if len(message) != 1:
            self.codes.append(message)
            return self._apdu(message)
        if message[0] == GET_ATR:
            return self._atr()
        self._air.switch(False, self._radio.now_us)
        self._target = None
        # Off, on and reset alike: the reader looks for cards again, with its field on.
        self._air.switch(True, self._radio.now_us - POWER_UP_US)
        return None

    # ------------------------------------------------------------------------------- PC/SC part 3

    def _apdu(self, apdu: bytes) -> bytes:
        target = self._selected()
        if target is None:
            return NO_CARD
        if apdu[:4] == GET_UID:
            return target.uid + DONE
        if apdu[:4] == GET_HISTORICAL and target.ats:
            return _historical(target.ats) + DONE
        if apdu[:1] == b"\xff" or not target.ats:
            return NOT_SUPPORTED
        try:
            return self._radio.exchange(target, apdu)
        except (CardTimeout, CardBroken):
            self._target = None
            return NO_CARD

    def _atr(self) -> bytes:
        target = self._selected()
        if target is None:
            return MUTE
        historical = _historical(target.ats) if target.ats else _storage_card(target)
        atr = bytes((0x80 | len(historical), 0x80, 0x01)) + historical
        return b"\x3b" + atr + bytes((reduce(xor, atr),))

    def _selected(self) -> Target | None:
        if not self._air.cards:
            self._target = None
        elif self._target is None:
            self._target = self._radio.find(ATTEMPTS, automatic_rats=True)
        return self._target

    def _now_us(self) -> float:
        return perf_us()


def _historical(ats: bytes) -> bytes:
    """What stands in an ATS behind TL, T0 and the interface bytes T0 announces."""
    if len(ats) < 2:
        return b""
    return ats[2 + (ats[1] >> 4 & 0b111).bit_count() :]


def _storage_card(target: Target) -> bytes:
    is_classic = target.sel_res == SAK_MIFARE_CLASSIC
    kind = MIFARE_CLASSIC_1K if is_classic else MIFARE_ULTRALIGHT
    return STORAGE_HEAD + bytes((ISO_14443_A_PART_3,)) + kind + bytes(4)


def _received(link: socket.socket, count: int) -> bytes:
    """Exactly so many bytes. Raises OSError when the other side has gone."""
    heard = b""
    while len(heard) < count:
        part = link.recv(count - len(heard))
        if not part:
            raise OSError("vpcd hung up")
        heard += part
    return heard
