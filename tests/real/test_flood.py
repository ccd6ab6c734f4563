"""Unknown badges without end in, a valid one as quick as ever and a journal that hardly grows out."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.protocol.records import RecordType
from tests.real.lab import Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

FLOOD_S = 4
WINDOW_S = 3
"""The same card comes twice in it, on a computer that does other things too."""

ROUNDS = 3
EAGER = {
    "reader.arrival_gap_ms": 200,
    "reader.polls_per_s": 50,
    "times.refusal_window_s": WINDOW_S,
}
LATER_US_MAX = 200_000
"""What a valid badge may be slower by: ten ticks, on a computer that does other things too."""


def flood(lab: Lab) -> int:
    """One unknown card after the other, each as soon as the last one is refused; how many there were."""
    clock = SystemClock()
    end_ms, count = clock.boot_ms() + FLOOD_S * 1_000, 0
    while clock.boot_ms() < end_ms:
        count += 1
        uid = f"{0xC0000000 + count % 2 * count:08x}"
        lab.hands.ask("tap", label="unknown", uid=uid, ms=60)
        wait_until(lambda: not lab.world()["badges"], 2, "an empty field")
        lab.idle_for(230)
    return count


def valid_us(lab: Lab) -> int:
    """Badge → relay on, the quickest of some sessions: whoever is delayed by a flood is delayed each time."""
    took_us = []
    for _ in range(ROUNDS):
        put_us = lab.tap_on()
        took_us.append(lab.spans("relay")[-1][0] - put_us)
        lab.tap_off()
    return min(took_us)


def test_a_flood_of_unknown_badges_delays_nobody_and_is_written_down_in_sums(
    template: Path,
) -> None:
    """Half of them the same card, half of them new ones. The sums add up to as many refusals as the
    flight recorder saw arrivals: the flood was there, and none was forgotten."""
    with lab_from(template, EAGER) as lab:
        lab.start(hub=False, sync=False)
        lab.locked()
        quiet_us = valid_us(lab)
        before = len(lab.journal())
        sent = flood(lab)
        flooded_us = valid_us(lab)
        assert flooded_us <= quiet_us + LATER_US_MAX
        lab.idle_for(WINDOW_S * 1_000 + 500)
        written = [
            dict(one.body or {})
            for one in lab.journal()[before:]
            if one.header.type is RecordType.REFUSED
        ]
        counted = sum(body["count"] for body in written)
        assert sent * 0.6 <= counted <= sent, "most of them arrived, none was counted twice"
        assert counted >= 6
        assert len(written) < counted
        assert any(body["count"] > 1 and body["tag"] for body in written), "the same card, summed"
