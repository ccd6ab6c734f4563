"""The demo's processes on a stage: world, node, sync and hub as they are, driven by the same sentences.

Nothing is faked between a badge and the relay. Everything is looked at from outside: the world's physics, the
node's panel as its socket tells it, and the journal.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

from interlock.protocol.records import Record
from tests.real.lab import HUB, UIDS, Lab
from tests.scenarios.script import Script, ScriptError
from tests.waiting import wait_until

SEEN_S = 10.0
"""Two shared cores; what a scenario expects comes within a second on a quiet computer."""
STAY_MS = 700
"""Longer than the slowest opening this machine may take, so that what stays, stays."""

TIMES = {
    "warning": "warning_s",
    "grace": "grace_s",
    "idle timeout": "idle_timeout_s",
    "second wait": "second_wait_s",
}
PINS = {"Lid": 24}
"""Interlocks of scenarios that are played here, and free pins for them."""


def keys_of(script: Script) -> dict[str, Any]:
    """The keys of node.toml that make the demo's saw the scenario's machine. Raises ScriptError."""
    keys: dict[str, Any] = {}
    for trait in script.machine:
        number = re.fullmatch(r"([a-z -]+?) (\d+) s", trait)
        interlock = re.fullmatch(r'interlock "([^"]+)"', trait)
        if trait in ("tap", "hold"):
            keys["machine.badge_use"] = trait
        elif trait == "second person":
            keys["machine.second_person"] = True
        elif number is not None and number[1] in TIMES:
            keys[f"times.{TIMES[number[1]]}"] = int(number[2])
        elif interlock is not None and interlock[1] in PINS:
            keys["interlocks"] = [
                {"name": interlock[1], "pin": PINS[interlock[1]], "permit_after_ms": 100}
            ]
        elif trait not in ("current sensor", "also on real processes"):
            raise ScriptError(f"{script.name}.txt: no real machine is {trait!r}")
    return keys


class RealStage:
    """Implements `play.Stage` for the scenarios that are played on real processes."""

    def __init__(self, script: Script, lab: Lab) -> None:
        self._script = script
        self._lab = lab
        self._badges = _cast(script)
        self._known = 0
        self._since_us = 0

    # --------------------------------------------------------------------------------------- acts

    def mark(self) -> None:
        if self._lab.status():
            self._known = len(self._lab.journal())

    def tap(self, who: str) -> None:
        self._lab.tap(self._badges[who])
        wait_until(lambda: not self._lab.world()["badges"], 5, "a badge that was taken away")

    def lay(self, who: str) -> None:
        self._lab.put(self._badges[who])

    def take(self) -> None:
        self._lab.take()

    def crowd(self, first: str, second: str) -> None:
        self._lab.leave_empty()
        for who in (first, second):
            self._lab.hands.ask("put", label=self._badges[who], uid=UIDS[self._badges[who]])

    def wait(self, seconds: float) -> None:
        self._lab.idle_for(round(seconds * 1_000))

    def work(self, on: bool) -> None:
        if on:
            self._lab.work(300)
        else:
            self._lab.rest()
            self._lab.idle_for(300)

    def push(self, button: str) -> None:
        self._lab.push(button.replace("-", "_"))

    def emergency_stop(self, latched: bool) -> None:
        self._lab.hands.ask("emergency_stop", on=latched)
        self._lab.idle_for(300)

    def interlock(self, name: str, opened: bool) -> None:
        self._lab.hands.ask("interlock", name=name, on=opened)
        self._lab.idle_for(500)

    def contactor(self, fault: str) -> None:
        self._lab.hands.ask("weld", on=fault == "welds")

    def mains(self, on: bool) -> None:
        self._lab.hands.ask("mains", on=on)
        self._lab.idle_for(300)

    def reader(self, alive: bool) -> None:
        self._lab.hands.ask("reader", on=alive)
        word = "ok" if alive else ""
        wait_until(
            lambda: (self._lab.status().get("reader") == "ok") is (word == "ok"), SEEN_S, "reader"
        )

    def power(self, on: bool) -> None:
        if on:
            self._lab.switch_on()
            wait_until(self._lab.status, SEEN_S, "a node that booted")
        else:
            self._lab.cut_power()

    def hub(self, who: str, change: str) -> None:
        if change != "blocked":
            raise ScriptError(f"{self._script.name}.txt: {change!r} is not played here")
        before = self._lab.status()["cache"]["version"]
        uid = UIDS[self._badges[who]]
        command = [sys.executable, "-m", "tests.scenarios.block_badge"]
        folder = str(self._lab.root / HUB)
        subprocess.run([*command, folder, uid], check=True, timeout=60)
        wait_until(
            lambda: self._lab.status()["cache"]["version"] != before, SEEN_S, "a new snapshot"
        )

    def __getattr__(self, name: str) -> Any:
        raise ScriptError(f"{self._script.name}.txt: {name} is not played on real processes")

    # --------------------------------------------------------------------------------------- looks

    def see(self, expected: str) -> None:
        """What the scenario expects comes to be so. Raises AssertionError, ScriptError."""
        for pattern, look in _LOOKS:
            match = re.fullmatch(pattern, expected)
            if match is not None:
                look(self, match)
                return
        raise ScriptError(f"{self._script.name}.txt: nobody knows how to see {expected!r}")

    def _relay(self, match: re.Match[str]) -> None:
        on = match[2] == "on"
        if not match[1]:
            self._becomes(lambda: self._lab.world()["relay"] is on, match[0])
            return
        self._lab.idle_for(STAY_MS)
        assert self._lab.world()["relay"] is on, self._lab.spans("relay")

    def _state(self, match: re.Match[str]) -> None:
        self._becomes(lambda: self._lab.state() == match[1], match[0])

    def _screen(self, match: re.Match[str]) -> None:
        self._becomes(lambda: self._lab.panel().get("message") == match[1].lower(), match[0])

    def _lamp(self, match: re.Match[str]) -> None:
        def seen() -> bool:
            panel = self._lab.panel()
            return f"{panel.get('colour')} {panel.get('lamp')}".replace("_", " ") == match[1]

        self._becomes(seen, match[0])

    def _says(self, match: re.Match[str]) -> None:
        self._becomes(lambda: match[1] in " ".join(self._lab.panel().get("lines", [])), match[0])

    def _refused(self, match: re.Match[str]) -> None:
        def told() -> bool:
            written = [one.body for one in self._news("refused") if one.body is not None]
            shown = self._lab.panel().get("reason") == match[1]
            return shown or match[1] in [body["reason"] for body in written]

        self._becomes(told, match[0])

    def _ended(self, match: re.Match[str]) -> None:
        def hows() -> list[str]:
            return [str((one.body or {})["how"]) for one in self._news("session_ended")]

        self._becomes(lambda: hows() == [match[1]], f"{match[0]}, not {hows()}")

    def _recorded(self, match: re.Match[str]) -> None:
        self._becomes(lambda: bool(self._news(match[1])), match[0])

    def _becomes(self, is_so: Any, what: str) -> None:
        wait_until(is_so, SEEN_S, what)

    def _news(self, kind: str) -> list[Record]:
        return [one for one in self._lab.journal()[self._known :] if one.header.type == kind]


def _cast(script: Script) -> dict[str, str]:
    """Whose card of the demo's tray plays whom. Raises ScriptError when there is none like it."""
    trained = iter(("trained", "company"))
    parts: dict[str, str] = {}
    for who, traits in script.people.items():
        if "a technician" in traits:
            parts[who] = "technician"
        elif "trained" in traits:
            parts[who] = next(trained)
        elif traits in (("untrained",), ("a stranger",)):
            parts[who] = {"untrained": "untrained", "a stranger": "unknown"}[traits[0]]
        else:
            raise ScriptError(f"{script.name}.txt: no card of the tray is {who}'s")
    return parts


_LOOKS = (
    (r"relay (stays )?(on|off)", RealStage._relay),
    (r"state ([a-z_]+)", RealStage._state),
    (r"screen ([A-Z_]+)", RealStage._screen),
    (r"lamp ([a-z ]+)", RealStage._lamp),
    (r'says "([^"]+)"', RealStage._says),
    (r"refused ([A-Z_]+)", RealStage._refused),
    (r"ended ([a-z_]+)", RealStage._ended),
    (r"recorded ([a-z_]+)", RealStage._recorded),
)
