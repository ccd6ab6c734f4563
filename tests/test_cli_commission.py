"""`interlock commission` on a terminal, at a virtual machine: real processes, typed answers, torn-off cables."""

from __future__ import annotations

import json
import re
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interlock.config.learned import read_break_glass, read_commissioned
from tests.commissioner import Commissioner, steps_shown
from tests.sim.worlds import MIRROR, TRAINED_UID, WorldProcess, document_of, world_process
from tests.terminal import Terminal, terminal
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@dataclass
class Site:
    """One machine's world, and its file."""

    world: WorldProcess
    config: Path
    learned: Path

    @contextmanager
    def command(self, *options: str) -> Iterator[Terminal]:
        at = ("--config", str(self.config), "--world", str(self.world.directory))
        with terminal("sim", "commission", *at, *options) as screen:
            yield screen

    def commissioner(self, screen: Terminal, language: str) -> Commissioner:
        return Commissioner(screen, self.world.ask, language, mirror_pin=MIRROR, uid=TRAINED_UID)


@contextmanager
def site(**tables: Any) -> Iterator[Site]:
    # Without a dynamic enable: it would hide whether the kernel lets go of a killed one's pin.
    document = document_of()
    for table, keys in tables.items():
        document.setdefault(table, {}).update(keys)
    with world_process(document=document) as world:
        state = world.directory / "state"
        document["paths"] = {"state_dir": str(state)}
        config = world.directory / "node.toml"
        config.write_text(toml(document))
        yield Site(world, config, state / "commissioning.json")


def toml(document: dict[str, Any]) -> str:
    lines = []
    for table, keys in document.items():
        for key, value in keys.items():
            text = (
                "{" + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + "}"
                if isinstance(value, dict)
                else json.dumps(value)
            )
            lines.append(f"{table}.{key} = {text}")
    return "\n".join(lines) + "\n"


SMALL = {
    "machine": {"restart_protection": "mirror_contact"},
    # Wide: what a shared computer is late counts as the contactor's time.
    "times": {"close_time_ms": 700, "open_time_ms": 700},
}


def test_a_whole_machine_in_english_is_walked_through_and_written_down() -> None:
    with site(**SMALL) as at, at.command() as screen:
        person = at.commissioner(screen, "en")
        person.walk()
        assert screen.exit_code() == 0, screen.shown
        assert list(steps_shown(screen.shown)) == [f"{n}/10" for n in range(1, 11)]
        assert "Everything is good." in screen.shown
        done, seal = read_commissioned(at.learned), read_break_glass(at.learned)
        assert done is not None
        assert seal is not None
        assert (done.by, done.open) == ("Fatou Diallo", ())
        assert stat.S_IMODE(at.learned.stat().st_mode) == 0o600
        assert re.fullmatch(r"(?:[0-9A-Z]{5}-){3}[0-9A-Z]{5}", person.code)
        # Shown once for the envelope, and typed back; the machine keeps none that could be read.
        assert screen.shown.count(person.code) == 1
        assert person.code not in at.learned.read_text()
        assert at.world.state()["relay"] is False


def test_in_french_one_step_of_a_bad_machine_ends_with_one_and_is_recorded() -> None:
    with site(**SMALL) as at:
        at.world.ask("stick_open", on=True)
        with at.command("--lang", "fr", "--only", "relay", "--only", "stop-chain") as screen:
            at.commissioner(screen, "fr").walk()
            assert screen.exit_code() == 1, screen.shown
        assert list(steps_shown(screen.shown)) == ["1/2", "2/2"]
        assert "PAS BON" in screen.shown
        assert "le contacteur n'a pas collé en 700 ms" in screen.shown
        done = read_commissioned(at.learned)
        assert done is not None
        found = {one.name: one.good for one in done.findings}
        assert (found["relay"], found["stop-chain"]) == (False, None)
        at.world.ask("stick_open", on=False)
        with at.command("--only", "relay", "--by", "Ada") as screen:
            at.commissioner(screen, "en").walk()
            assert screen.exit_code() == 0, screen.shown
        again = read_commissioned(at.learned)
        assert again is not None
        assert again.id != done.id
        assert {one.name: one.good for one in again.findings}["relay"] is True
        assert "stop-chain" in again.open, "one good step does not make the others good"


ENDS: dict[str, Callable[[Terminal], object]] = {
    "Ctrl-C": lambda screen: screen.type("\x03"),
    "Ctrl-Z": lambda screen: screen.type("\x1a"),
    "SIGTERM": lambda screen: screen.process.send_signal(signal.SIGTERM),
    "a torn-off terminal": Terminal.tear_off,
    "kill -9": lambda screen: screen.process.send_signal(signal.SIGKILL),
}


@pytest.mark.parametrize("how", ENDS)
def test_whatever_ends_it_while_the_relay_is_on_the_relay_is_off(how: str) -> None:
    with site(**SMALL) as at, at.command("--only", "current", "--by", "Ada") as screen:
        at.commissioner(screen, "en").walk(lambda: bool(at.world.state()["contacts"]))
        assert at.world.state()["relay"], screen.shown
        ENDS[how](screen)
        # kill -9: within 50 ms by the kernel's rules (S7); the rest is this computer's own delay.
        wait_until(lambda: not at.world.state()["relay"], 1, "an open relay")
        code = screen.exit_code()
        assert code == (-signal.SIGKILL if how == "kill -9" else 1)
        assert not at.learned.exists(), "half a walk is no commissioning"
        assert at.world.state()["relay"] is False


def test_a_pin_that_somebody_has_is_said_and_nothing_moves() -> None:
    with site(**SMALL) as at, at.command("--only", "current", "--by", "Ada") as first:
        at.commissioner(first, "en").walk(lambda: bool(at.world.state()["contacts"]))
        with at.command("--only", "relay", "--by", "Eve") as second:
            assert second.exit_code() == 1
            assert "EBUSY" in second.shown
            assert at.world.state()["relay"] is True, "the first one's relay was moved"
        first.type("\x03")
        assert first.exit_code() == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--only", "interlocks"), "declares nothing for: interlocks"),
        (("--only", "everything"), "Invalid value"),
    ],
)
def test_a_step_that_is_none_of_this_machines_is_a_wrong_command_line(
    options: tuple[str, ...], says: str
) -> None:
    with site(**SMALL) as at, at.command("--by", "Ada", *options) as screen:
        assert screen.exit_code() == 2
        assert says in " ".join(screen.shown.split())


def test_a_disk_that_cannot_be_written_is_an_error_and_no_success() -> None:
    with site(**SMALL) as at:
        at.learned.parent.mkdir()
        at.learned.with_suffix(".new").mkdir()
        with at.command("--only", "inputs", "--by", "Ada") as screen:
            at.commissioner(screen, "en").walk()
            assert screen.exit_code() == 3
            assert "cannot be written" in screen.shown
