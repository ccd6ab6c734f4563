"""`interlock desk …` in this process with a scripted person and hands on a modelled reader; a real hub elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlock import cli
from interlock.readers.mfrc522 import Mfrc522Reader
from interlock.sim.rc522_air import AirCard
from interlock.sim.spi_inprocess import InProcessSpi
from tests.desk.card_rig import DESK_MS_MAX
from tests.readers.rig import TRANSFER_US, Rig

Hands = Callable[["Desk"], Iterator[bool]]
"""What somebody does at the desk, a step at each poll: True is the Enter key."""

GONE_POLLS = 9
"""A card counts as gone after 300 ms; a poll takes 50."""
STEPS_MAX = 400
SITE_ID = "test-lab"


class Desk:
    """One desk computer in `folder`, and who sits at it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.config = folder / "desk.toml"
        self.rig = Rig()
        self.rig.reader = Mfrc522Reader(
            lambda: InProcessSpi(self.rig.chip, clock=self.rig.clock, transfer_us=TRANSFER_US),
            self.rig.clock,
            attempt_ms_max=DESK_MS_MAX,
        )
        self.heard: list[str] = []
        self.answers: list[str] = []
        self.when_work_begins: Callable[[], object] = lambda: None
        self._hands: Iterator[bool] = iter(())
        patch.setattr("interlock.desk.taps.reader_of", lambda chosen, clock: self.rig.reader)
        patch.setattr("interlock.cli.desk_parts.Terminal", lambda: self)

    # ------------------------------------------------------------------------- the person's side

    def hear(self, sentence: str) -> None:
        self.heard.append(sentence)

    def answer(self, question: str) -> str:
        self.heard.append(question)
        return self.answers.pop(0)

    def agrees(self, question: str) -> bool:
        self.heard.append(question)
        return self.answers.pop(0) == "y"

    def has_pressed_enter(self) -> bool:
        return next(self._hands)

    @contextmanager
    def watches(self, label: str) -> Iterator[Callable[[int, int], None]]:
        self.when_work_begins()
        yield lambda done, total: None

    # ------------------------------------------------------------------------------------- hands

    def does(self, hands: Hands) -> None:
        """From the next poll on, and with an empty reader."""
        self.rig.chip.clear()
        self._hands = hands(self)

    def until(self, pattern: str) -> Iterator[bool]:
        """Nothing, until a sentence like that was heard since now."""
        already = len(self.heard)
        for _step in range(STEPS_MAX):
            if any(re.search(pattern, one) for one in self.heard[already:]):
                return
            yield False
        raise AssertionError(f"{pattern!r} was not heard: {self.heard[already:]}")

    def tap(self, card: AirCard, pattern: str) -> Iterator[bool]:
        """`card` is laid down until that is heard, and taken away."""
        self.rig.place(card)
        yield from self.until(pattern)
        self.rig.chip.clear()
        yield from (False for _poll in range(GONE_POLLS))

    # ------------------------------------------------------------------------------- the command

    def run(self, *arguments: str) -> int:
        """The exit code of `interlock desk …` with this desk's file."""
        return cli.run(["desk", *arguments, "--config", str(self.config)])

    def connect(self, url: str, token: str) -> int:
        secret = self.folder / "token"
        secret.write_text(token + "\n")
        secret.chmod(0o600)
        asked = ("--url", url, "--token-file", str(secret), "--site-id", SITE_ID)
        return self.run("connect", *asked, "--reader", "mfrc522")
