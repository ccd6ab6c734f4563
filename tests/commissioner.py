"""A person at a real `interlock commission`: what its terminal says in, hands on a world and typed answers out."""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable
from typing import Any

from interlock.clock import SystemClock
from interlock.node.commission_words import ACTS, LOOKS, Act, Look
from interlock.node.panel import DOMAIN, LOCALE_DIR
from interlock.node.words import N_
from tests.terminal import Terminal

Ask = Callable[..., dict[str, Any]]
"""One request to a world: `ask(op, **arguments)`."""

CODE = re.compile(r"^ +((?:[0-9A-Z]{5}-){3}[0-9A-Z]{5})$", re.MULTILINE)
WALK_S = 120
GLANCE_MS = 5_000
"""A lamp that is not what was asked for after that long is told the terminal as wrong."""

LAMPS = {
    Look.LAMP_RED: [True, False, False],
    Look.LAMP_GREEN: [False, True, False],
    Look.LAMP_BLUE: [False, False, True],
}
BUTTONS = {Act.PRESS_STOP: "stop", Act.PRESS_BROKEN: "broken", Act.PRESS_LONG_JOB: "long_job"}


class Commissioner:
    """Does what the terminal says, in its language, until the command ends."""

    def __init__(
        self, screen: Terminal, ask: Ask, language: str, *, mirror_pin: int, uid: str
    ) -> None:
        self.code = ""
        self.said: list[Act | Look] = []
        self._screen = screen
        self._ask = ask
        self._mirror_pin = mirror_pin
        self._uid = uid
        self._clock = SystemClock()
        self._later: list[tuple[int, Callable[[], object]]] = []
        say = gettext.translation(DOMAIN, LOCALE_DIR, [language], fallback=True).gettext
        self._words: list[tuple[re.Pattern[str], Act | Look]] = [
            *((_pattern(say(text)), act) for act, text in ACTS.items()),
            *((_pattern(say(text)), look) for look, text in LOOKS.items()),
        ]
        self._enter = say(N_("[Enter]"))
        self._name, self._yes = say(N_("Your name, for the record")), say(N_("y"))
        self._copy = say(N_("  ? Type it, from the paper"))

    def walk(self, until: Callable[[], bool] = lambda: False) -> None:
        """Everything asked for was done, until the command ended or `until()`."""
        end_ms = self._clock.boot_ms() + WALK_S * 1_000
        heard = ""
        while self._screen.process.poll() is None and not until():
            assert self._clock.boot_ms() < end_ms, f"too slow:\n{self._screen.shown}"
            self._due()
            heard += self._screen.read()
            heard = self._answered(heard)

    def _answered(self, heard: str) -> str:
        """What is left of `heard` once the first thing in it was done."""
        found = [(match, one) for words, one in self._words if (match := words.search(heard))]
        if found:
            match, one = min(found, key=lambda pair: pair[0].start())
            rest = heard[match.end() :]
            asked = isinstance(one, Look) or rest.startswith(f" {self._enter}")
            if not asked and not rest:
                # The line is not whole yet.
                return heard
            self.said.append(one)
            self._do(one, match.groupdict().get("name") or "")
            if isinstance(one, Look):
                self._screen.type((self._yes if self._sees(one) else "n") + "\n")
            elif asked:
                self._screen.type("\n")
            return rest
        if self._name in heard:
            self._screen.type("Fatou Diallo\n")
            return ""
        if self._copy in heard:
            (self.code,) = CODE.findall(heard)
            self._screen.type(self.code.lower().replace("-", " ") + "\n")
            return ""
        return heard

    def _sees(self, look: Look) -> bool:
        """Nobody says no after one glance: pins reach the world a moment after the question reaches the screen."""
        if look not in LAMPS:
            return True
        end_ms = self._clock.boot_ms() + GLANCE_MS
        while self._ask("state")["state"]["lamp"] != LAMPS[look]:
            if self._clock.boot_ms() >= end_ms:
                return False
            self._clock.sleep(0.02)
        return True

    def _do(self, one: Act | Look, name: str) -> None:
        ask, later = self._ask, self._in
        if one in BUTTONS:
            later(0.3, lambda: ask("push", button=BUTTONS[Act(one)], ms=400))
        elif one is Act.TURN_SWITCH:
            later(0.3, lambda: ask("push", button="machine_start", ms=400))
            later(0.9, lambda: ask("push", button="machine_stop", ms=200))
        elif one is Act.SHOW_BADGE:
            later(0.3, lambda: ask("tap", label="trained", uid=self._uid, ms=2_000))
        elif one is Act.PULL_MIRROR_WIRE:
            later(0.3, lambda: ask("contact", pin=self._mirror_pin, closed=False))
        elif one is Act.PUT_MIRROR_WIRE:
            later(0.3, lambda: ask("contact", pin=self._mirror_pin, closed=None))
        elif one is Act.PRESS_EMERGENCY:
            later(1.0, lambda: ask("emergency_stop", on=True))
        elif one is Act.RELEASE_EMERGENCY:
            ask("emergency_stop", on=False)
        elif one is Act.CUT_MAINS_WHILE_ON:
            later(0.5, lambda: ask("push", button="machine_start", ms=300))
            later(1.5, lambda: ask("mains", on=False))
        elif one is Act.RESTORE_MAINS:
            ask("mains", on=True)
        elif one is Act.SWITCH_OFF:
            ask("push", button="machine_stop", ms=300)
        elif one is Act.WORK:
            later(0.5, lambda: ask("push", button="machine_start", ms=300))
        elif one in (Act.OPEN_INTERLOCK, Act.OPEN_FIRE):
            later(0.3, lambda: ask("interlock", name=name, on=True))
            later(0.9, lambda: ask("interlock", name=name, on=False))

    def _in(self, delay_s: float, act: Callable[[], object]) -> None:
        self._later.append((self._clock.boot_ms() + round(delay_s * 1_000), act))

    def _due(self) -> None:
        due = [one for one in self._later if one[0] <= self._clock.boot_ms()]
        self._later = [one for one in self._later if one not in due]
        for _, act in due:
            act()


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(re.escape("%(name)s"), "(?P<name>.+?)"))


def steps_shown(shown: str) -> Iterable[str]:
    """The numbers of the steps as they were announced: "4/9"."""
    return [f"{a}/{b}" for a, b in re.findall(r"(\d+) (?:of|sur) (\d+) · [B-I] · ", shown)]
