"""The code of the envelope: told from every mistyped one, and good once, where no list of rights is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.config.learned import read_break_glass, write_break_glass
from interlock.errors import ConfigError, ProtocolError
from interlock.node.break_glass import (
    ALPHABET,
    WAIT_MS,
    BreakGlassDoor,
    new_code,
    normalised,
    sealed,
)
from interlock.protocol.control import Op
from interlock.sim.clocks import VirtualClock
from tests.node.node_rig import NodeBench, bodies
from tests.node.pin_contract import MIRROR
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

CODE = new_code(Random(1).choice)
OTHER = new_code(Random(2).choice)
SALT = b"s" * 16

codes = st.integers().map(lambda seed: new_code(Random(seed).choice))


# ------------------------------------------------------------------------------------------ the code


def test_a_code_is_four_groups_of_letters_that_look_alike_nobody() -> None:
    assert [len(group) for group in CODE.split("-")] == [5, 5, 5, 5]
    assert set("0O1IL2Z5S8BUV").isdisjoint(ALPHABET)
    assert len(set(ALPHABET)) == len(ALPHABET) == 23
    assert 23**19 > 2**80


@given(codes)
def test_a_code_is_read_whatever_its_case_and_spaces(code: str) -> None:
    typed = f"  {code.lower().replace('-', ' - ')}\n"
    assert normalised(typed) == normalised(code) == code.replace("-", "")


@given(codes, st.integers(0, 19), st.sampled_from(ALPHABET))
def test_one_wrong_letter_always_shows(code: str, at: int, letter: str) -> None:
    letters = list(code.replace("-", ""))
    if letters[at] == letter:
        return
    letters[at] = letter
    with pytest.raises(ProtocolError, match="wrong"):
        normalised("".join(letters))


@given(codes, st.integers(0, 19), st.integers(0, 19))
def test_two_exchanged_letters_always_show(code: str, one: int, other: int) -> None:
    letters = list(code.replace("-", ""))
    if letters[one] == letters[other]:
        return
    letters[one], letters[other] = letters[other], letters[one]
    with pytest.raises(ProtocolError):
        normalised("".join(letters))


@pytest.mark.parametrize(
    "typed", ["", "A", CODE + "A", CODE[:-1], CODE.replace(CODE[0], "O"), "é" * 20]
)
def test_what_is_no_code_is_no_code(typed: str) -> None:
    with pytest.raises(ProtocolError, match="20 letters"):
        normalised(typed)


# ------------------------------------------------------------------------------------------ the door


class Door:
    """A door over a sealed CODE, and how often it cleared."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.path = folder / "commissioning.json"
        write_break_glass(self.path, sealed(CODE, SALT, 100))
        self.door = BreakGlassDoor(self.path, self.clock)
        self.cleared = 0

    def try_it(self, typed: str, *, fault: bool = True, rights: bool = False) -> str:
        """What the door says; empty when it opened. Waits as long as it wants first."""
        self.clock.sleep(WAIT_MS / 1_000)
        return self.at_once(typed, fault=fault, rights=rights)

    def at_once(self, typed: str, *, fault: bool = True, rights: bool = False) -> str:
        try:
            self.door.open(typed, has_fault=fault, has_rights=rights, clear=self._clear)
        except ProtocolError as error:
            return error.what
        return ""

    def _clear(self) -> None:
        self.cleared += 1


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_the_code_opens_once_and_is_struck_out(door: Door) -> None:
    assert door.door.state() == "ready"
    assert door.try_it(CODE.lower()) == ""
    assert (door.cleared, door.door.state()) == (1, "used")
    assert "not used yet" in door.try_it(CODE)
    again = BreakGlassDoor(door.path, door.clock)
    with pytest.raises(ProtocolError, match="not used yet"):
        again.open(CODE, has_fault=True, has_rights=False, clear=door._clear)
    assert door.cleared == 1


def test_it_opens_only_where_a_fault_is_latched_and_no_rights_are_there(door: Door) -> None:
    assert "no fault" in door.try_it(CODE, fault=False)
    assert "list of rights" in door.try_it(CODE, rights=True)
    assert (door.cleared, door.door.state()) == (0, "ready")
    assert door.try_it(CODE) == ""


def test_another_code_does_not_open_it(door: Door) -> None:
    assert "not the code" in door.try_it(OTHER)
    assert (door.cleared, door.door.state()) == (0, "ready")


def test_whoever_asks_gets_one_try_in_five_seconds(door: Door) -> None:
    assert "not the code" in door.try_it(OTHER)
    assert "one try" in door.at_once(CODE)
    door.clock.advance_us(WAIT_MS * 1_000 - 1_000)
    assert "one try" in door.at_once(CODE)
    door.clock.advance_us(1_000)
    assert door.at_once(CODE) == ""


def test_nobody_can_read_the_code_from_the_file(door: Door) -> None:
    text = door.path.read_text()
    assert door.path.stat().st_mode & 0o077 == 0
    letters = normalised(CODE)
    assert letters not in text
    assert all(group not in text.upper() for group in CODE.split("-"))
    kept = read_break_glass(door.path)
    assert kept is not None
    assert kept.hash != sealed(CODE, b"t" * 16, 100).hash, "the salt does nothing"


def test_a_code_that_cannot_be_struck_out_opens_nothing(door: Door, tmp_path: Path) -> None:
    (tmp_path / "commissioning.new").mkdir()
    assert "struck out" in door.try_it(CODE)
    assert (door.cleared, door.door.state()) == (0, "ready")


def test_a_loop_that_does_not_listen_costs_no_code(door: Door) -> None:
    door.clock.sleep(WAIT_MS / 1_000)

    def deaf() -> None:
        raise ProtocolError("the machine is too busy to listen")

    with pytest.raises(ProtocolError, match="too busy"):
        door.door.open(CODE, has_fault=True, has_rights=False, clear=deaf)
    assert door.door.state() == "ready"
    assert door.try_it(CODE) == ""


@pytest.mark.parametrize("damage", [{"salt": "zz"}, {"hash": 5}, {"used_at": "never"}, 7, []])
def test_a_damaged_seal_opens_nothing(door: Door, damage: object) -> None:
    sections = json.loads(door.path.read_text())
    kept = sections["break_glass"]
    sections["break_glass"] = {**kept, **damage} if isinstance(damage, dict) else damage
    door.path.write_text(json.dumps(sections))
    assert "break-glass" in door.try_it(CODE)
    assert (door.cleared, door.door.state()) == (0, None)
    with pytest.raises(ConfigError, match="interlock commission"):
        read_break_glass(door.path)


# ------------------------------------------------------------------------------------------ the node


@pytest.fixture
def node() -> Iterator[NodeBench]:
    bench = NodeBench()
    learned = bench.config.paths.learned
    learned.parent.mkdir(parents=True)
    write_break_glass(learned, sealed(CODE, SALT, 100))
    bench.start()
    yield bench
    bench.close()


def weld(node: NodeBench) -> None:
    node.outside.conduct(MIRROR, False)
    wait_until(lambda: node.state() == "fault", 5, "welded")


def test_without_rights_the_code_clears_a_mended_fault_under_its_own_name(node: NodeBench) -> None:
    weld(node)
    node.outside.conduct(MIRROR, True)
    assert node.ask(Op.STATUS)["break_glass"] == "ready"
    node.ask(Op.BREAK_GLASS, code=CODE)
    wait_until(lambda: node.state() == "locked", 5, "cleared")
    wait_until(lambda: bodies(node, "fault_cleared"), 5, "the record")
    assert bodies(node, "fault_cleared") == [{"fault": "contactor_welded", "by": "break-glass"}]
    assert node.ask(Op.STATUS)["break_glass"] == "used"
    assert node.loop is not None
    assert node.loop.closings == 0
    node.stop()
    node.start()
    assert node.state() == "locked", "cleared for good"
    assert node.ask(Op.STATUS)["break_glass"] == "used"


def test_a_fault_that_is_still_there_is_found_again(node: NodeBench) -> None:
    weld(node)
    node.ask(Op.BREAK_GLASS, code=CODE)
    wait_until(lambda: len(bodies(node, "fault_raised")) == 2, 5, "found again")
    assert node.state() == "fault"


def test_where_the_rights_are_here_a_technician_clears_and_the_code_does_not(
    node: NodeBench,
) -> None:
    node.install()
    weld(node)
    with pytest.raises(ProtocolError, match="technician's badge"):
        node.ask(Op.BREAK_GLASS, code=CODE)
    assert node.state() == "fault"
    assert node.ask(Op.STATUS)["break_glass"] == "ready"
