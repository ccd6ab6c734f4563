"""Twenty seconds of bad luck in, seeded: a member who works while everything dies around; the books agree out."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from interlock.clock import SystemClock
from tests.real.accounts import check_books
from tests.real.lab import HUB, NODE, SYNC, Lab
from tests.waiting import wait_until

pytestmark = pytest.mark.real

STORM_S = 20
SEED = 20_261_121
PAUSE_MS = (20, 700)
FREEZE_MS = (50, 2_600)
"""Below and above the monostable's 250 ms and the watchdog's 2 s."""

TWIST_MS = 500
"""Nobody twists a mushroom out sooner. A shorter stop during a freeze that the monostable bridges (250 ms)
would be one that the software cannot know of: what the machine's restart protection is for."""

WORKERS = (NODE, SYNC, HUB)


class Storm:
    """What can happen, each thing by chance."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._chance = random.Random(seed)
        self._frozen: dict[str, tuple[int, int]] = {}
        self._clock = SystemClock()
        self.happened: list[str] = []
        lot: tuple[tuple[int, Callable[[], object]], ...] = (
            (6, lab.tap),
            (3, lambda: lab.push("machine_start")),
            (1, lambda: lab.push("machine_stop")),
            (1, lambda: lab.push("stop")),
            (1, self._emergency_stop),
            (2, self._cable),
            (2, lambda: self._freeze(NODE)),
            *((1, lambda name=name: self._freeze(name)) for name in (SYNC, HUB)),
            *((1, lambda name=name: self._kill(name)) for name in WORKERS),
        )
        self._deck = [act for count, act in lot for _ in range(count)]
        self._drawn: list[Callable[[], object]] = []

    def rage(self) -> None:
        """Until the time is over and everything has happened; then everything thaws and is plugged in."""
        end_ms, acts = self._clock.boot_ms() + STORM_S * 1_000, 0
        while self._clock.boot_ms() < end_ms or acts < len(self._deck):
            acts += 1
            self._thaw()
            self._draw()()
            self._lab.idle_for(self._chance.randrange(*PAUSE_MS))
        self._thaw(everybody=True)
        self._lab.cable.plug()

    def _draw(self) -> Callable[[], object]:
        """Everything in the deck comes before anything comes again."""
        if not self._drawn:
            self._drawn = self._chance.sample(self._deck, len(self._deck))
        return self._drawn.pop()

    def _kill(self, name: str) -> None:
        self.happened.append(f"kill {name}")
        self._lab.kill(name)

    def _freeze(self, name: str) -> None:
        self.happened.append(f"freeze {name}")
        pid = wait_until(lambda: self._lab.manager.report(name).pid, 10, f"{name} alive")
        self._lab.signal(name, signal.SIGSTOP)
        until_ms = self._clock.boot_ms() + self._chance.randrange(*FREEZE_MS)
        self._frozen[name] = (pid, until_ms)

    def _thaw(self, *, everybody: bool = False) -> None:
        for name, (pid, until_ms) in list(self._frozen.items()):
            if everybody or self._clock.boot_ms() >= until_ms:
                del self._frozen[name]
                if self._lab.manager.report(name).pid == pid:
                    self._lab.signal(name, signal.SIGCONT)

    def _cable(self) -> None:
        if self._lab.cable.plugged:
            self._lab.cable.unplug(silent=self._chance.random() < 0.5)
        else:
            self._lab.cable.plug()

    def _emergency_stop(self) -> None:
        self._lab.hands.ask("emergency_stop", on=True)
        self._lab.idle_for(TWIST_MS)
        self._lab.hands.ask("emergency_stop", on=False)


def test_after_a_storm_of_kills_freezes_and_pulled_cables_the_books_agree(lab: Lab) -> None:
    """`check_books` turns red for each thing a storm could break (test_accounts.py); here it must
    have had something to check, and every kind of death must have happened. It begins with a death in
    the middle of a session, which no seed may leave to chance."""
    storm = Storm(lab, SEED)
    lab.tap_on()
    lab.work(1_200)
    lab.kill(NODE)
    storm.rage()
    for name in WORKERS:
        wait_until(lambda n=name: lab.manager.report(n).pid is not None, 10, "all alive")  # type: ignore[misc]
    wait_until(lambda: bool(lab.status()), 30, "a node that answers")
    lab.push("machine_stop")
    lab.push("stop")
    lab.locked()
    uses = check_books(lab)
    assert len(lab.spans("relay")) >= 3, storm.happened
    deaths = {f"{what} {name}" for what in ("kill", "freeze") for name in WORKERS}
    assert deaths <= set(storm.happened)
    assert any(use.ended["estimated"] for use in uses if not use.voided)
