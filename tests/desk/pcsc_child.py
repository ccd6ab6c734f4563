"""Run by test_pcsc.py, because libpcsclite reads its socket's name once per process: a card kind in, facts out.

python -m tests.desk.pcsc_child "DESFire" 20     the card is taken away after 20 commands, then laid down again
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from interlock.cards.exchange import Transceive
from interlock.clock import SystemClock
from interlock.desk.taps import Taps
from interlock.errors import CardError
from interlock.readers.pcsc import PcscReader
from interlock.sim.cards import Card
from interlock.sim.vpcd import VpcdReader
from tests.desk.card_rig import FRESH, ONE, Disk, generations, tap
from tests.readers.pcscd import Pcscd


class Hand:
    """The line to the card on the reader; it takes the card away after `commands`."""

    def __init__(self, line: Transceive, field: VpcdReader, card: Card, commands: int) -> None:
        self._line, self._field, self._card, self._left = line, field, card, commands

    def __call__(self, command: bytes) -> bytes:
        if self._left == 0:
            self._field.remove(self._card)
        self._left -= 1
        return self._line(command)


def main(kind: str, commands: int) -> None:
    """Print what became of the card."""
    card = FRESH[kind]()
    pcscd = Pcscd()
    os.environ["PCSCLITE_CSOCK_NAME"] = str(pcscd.socket)
    field = VpcdReader(enter=pcscd.enter_network)
    pcscd.start()
    reader = PcscReader("", SystemClock())
    told: dict[str, object] = {"left": False}
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        ledger = Disk(Path(folder)).open()
        try:
            reader.open()
            taps = Taps(reader, SystemClock())
            field.place(card)
            first = taps.next()
            assert first is not None
            assert first.transceive is not None
            try:
                tap(Hand(first.transceive, field, card, commands), ONE, ledger)
            except CardError:
                told["left"] = True
                field.place(card)
                again = Taps(reader, SystemClock()).next()
                assert again is not None
                assert again.transceive is not None
                tap(again.transceive, ONE, ledger)
            told["generations"] = sorted(set(map(str, generations(card, ONE).values())))
            told["unfinished"] = ledger.unfinished()
        finally:
            ledger.close()
            reader.close()
            pcscd.stop()
            field.close()
            pcscd.close()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
