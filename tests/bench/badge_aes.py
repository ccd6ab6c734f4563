"""Genuine badges: what proving its key costs a badge, in transfers, in air time, and from the field to the relay.

The steps are exact (virtual time on the chip model); the way to the relay is measured in real time on the whole node,
UID badges and genuine ones taking turns, so that their difference is worth something.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from interlock.cards.authentication import Proof, authenticate
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.readers import CardSeen
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_ntag424 import NtagKey, ntag424_card
from interlock.sim.rc522_air import DELAY_AFTER_0_US, Bits, Reception, duration_us
from tests.bench.badge import DESFIRE_SLOT, KEY, genuine_desfire, measure_both
from tests.bench.row import Row, percentile, percentiles
from tests.readers.rig import TRANSFER_US, Rig

TRANSFERS_MAX = 250
ABOVE_UID_MS_MAX = 60
UID = bytes.fromhex("04112233445566")
SEED = 1


def rows() -> Iterator[Row]:
    """The steps of both kinds of card, then the whole way."""
    draw = random.Random(SEED).randbytes
    yield steps("DESFire", genuine_desfire(UID), DESFIRE_SLOT)
    tag = ntag424_card(UID, draw, (NtagKey(KEY),) * 5)
    yield steps("NTAG 424", tag, CardSlot(Scheme.NTAG424_AES, bytes(3), 0))
    yield from to_the_relay()


def to_the_relay() -> Iterator[Row]:
    """Badge in the field → relay commanded, with a key and without, in the same run."""
    plain, genuine = measure_both()
    plain_ms = [(m.relay_us - m.placed_us) / 1_000 for m in plain]
    genuine_ms = [(m.relay_us - m.placed_us) / 1_000 for m in genuine]
    left_out = "GPIO of a Pi, an SD card's fsync, the contactor; the card's speed is the model's"
    yield Row(
        "badge_aes: badge in the field → relay commanded, genuine DESFire",
        percentiles(genuine_ms),
        f"at most {ABOVE_UID_MS_MAX} ms above the UID path",
        left_out,
    )
    above = ", ".join(
        f"p{percent} {percentile(genuine_ms, percent) - percentile(plain_ms, percent):+.1f} ms"
        for percent in (50, 99)
    )
    yield Row(
        "badge_aes: … above the UID path of the same run",
        f"{above} (UID: {percentiles(plain_ms)})",
        f"≤ +{ABOVE_UID_MS_MAX} ms",
        left_out,
    )


def steps(name: str, card: BlockCard, slot: CardSlot) -> Row:
    """Transfers and time of each step from a card in the field to its proof, beside what was unavoidable."""
    rig = Rig().opened()
    rig.poll()
    rig.place(card)
    meter = Meter(rig)
    sight = rig.reader.poll()
    assert isinstance(sight, CardSeen)
    line = sight.transceive
    assert line is not None
    names = iter(("RATS and select", "first half", "second half"))
    done = [meter.step("UID")]

    def metered(command: bytes) -> bytes:
        answer = line(command)
        done.append(meter.step(next(names)))
        return answer

    assert authenticate(metered, slot, KEY, lambda length: bytes(range(length))) is Proof.GENUINE
    transfers, spent_us = sum(step.transfers for step in done), sum(step.us for step in done)
    floor_us = sum(step.air_us + step.card_us for step in done)
    rig.reader.poll()
    done.append(meter.step("next poll with S(DESELECT)"))
    return Row(
        f"badge_aes: {name} with a 7-byte UID, read and authenticated, step by step",
        f"{transfers} transfers, {spent_us / 1000:.1f} ms "
        f"({spent_us / floor_us:.1f} × air and card): " + "; ".join(str(step) for step in done),
        f"≤ {TRANSFERS_MAX} transfers with the next poll; floor {floor_us / 1000:.1f} ms",
        f"virtual time, {TRANSFER_US} µs per SPI call; the card's computing times are assumptions "
        "of the model (sim/card_chip.py); a real sleep wakes later",
    )


@dataclass(frozen=True)
class Step:
    """What one step took, and what of its time the air and the card's own work made unavoidable."""

    name: str
    transfers: int
    us: float
    air_us: float
    card_us: float

    def __str__(self) -> str:
        parts = f"air {self.air_us / 1000:.1f} + card {self.card_us / 1000:.1f}"
        return f"{self.name} {self.transfers} transfers {self.us / 1000:.1f} ms ({parts})"


class Meter:
    """What happens on a rig's bus and in its air, from one call of `step` to the next."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._send = rig.chip.air.send
        self._air_us = self._card_us = 0.0
        self._began = (rig.chip.transfers, rig.clock.now_us())
        rig.chip.air.send = self._listened  # type: ignore[method-assign] # heard, not changed

    def step(self, name: str) -> Step:
        """Everything since the last call, or since the meter was made."""
        now = (self._rig.chip.transfers, self._rig.clock.now_us())
        transfers, us = now[0] - self._began[0], now[1] - self._began[1]
        step = Step(name, transfers, us, self._air_us, self._card_us)
        self._began, self._air_us, self._card_us = now, 0.0, 0.0
        return step

    def _listened(self, frame: Bits, ended_at_us: float) -> Reception | None:
        reception = self._send(frame, ended_at_us)
        self._air_us += duration_us(len(frame))
        if reception is not None:
            waited_us = reception.starts_at_us - ended_at_us
            self._air_us += reception.ends_at_us() - reception.starts_at_us + DELAY_AFTER_0_US
            self._card_us += waited_us - DELAY_AFTER_0_US
        return reception
