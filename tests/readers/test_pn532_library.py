"""The unmodified nfcpy runs on the PN532 model: it wakes, configures, finds cards and speaks to them.

This keeps the model honest: it was written from the user manual, and a library that nobody here
wrote uses commands, framing, registers and its own ISO 14443-4 on it as on a real chip.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from interlock.sim.cards import Card
from tests.readers.contract import FOUR, SEVEN, TEN, plain, speaking
from tests.readers.pn532_rig import PtyChip

nfc = pytest.importorskip("nfc", reason="nfcpy is in the extra [dev]")
driver = pytest.importorskip("nfc.clf.pn532")
transport = pytest.importorskip("nfc.clf.transport")
pytestmark = pytest.mark.real

RETRIES_OF_NFCPY = 2


@pytest.fixture
def port() -> Iterator[PtyChip]:
    made = PtyChip()
    yield made
    made.close()


@pytest.fixture
def frontend(port: PtyChip) -> Iterator[Any]:
    """nfcpy's own driver on the pseudo-terminal."""
    made = nfc.ContactlessFrontend()
    made.device = driver.init(transport.TTY(port.path))
    yield made
    made.close()


def sensed(frontend: Any) -> Any:
    frontend.device.mute()
    return frontend.sense(nfc.clf.RemoteTarget("106A"), iterations=RETRIES_OF_NFCPY)


def test_it_knows_the_chip(frontend: Any) -> None:
    assert frontend.device.chipset_name == "PN532v1.6"


@pytest.mark.parametrize("card", [plain(FOUR), plain(SEVEN), plain(TEN)], ids=repr)
def test_it_finds_each_card_with_its_whole_uid(port: PtyChip, frontend: Any, card: Card) -> None:
    assert sensed(frontend) is None
    port.do(lambda chip: chip.place(card))
    found = sensed(frontend)
    assert (bytes(found.sdd_res), bytes(found.sens_res), found.sel_res[0]) == (
        card.uid,
        card.atqa,
        card.sak,
    )
    port.do(lambda chip: chip.remove(card))
    assert sensed(frontend) is None


def test_its_own_iso_14443_4_speaks_to_a_card_through_the_model(
    port: PtyChip, frontend: Any
) -> None:
    card = speaking()
    port.do(lambda chip: chip.place(card))
    tag = nfc.tag.activate(frontend, sensed(frontend))
    command = bytes(range(200))
    assert bytes(tag.transceive(command)) == command[::-1]
    port.do(lambda chip: chip.remove(card))
    assert not tag.is_present
