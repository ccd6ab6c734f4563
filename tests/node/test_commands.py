"""Commands of the hub at the node: verified, once, in time; and none of them can close a relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from interlock.core.events import (
    CutRequested,
    EndRequested,
    Event,
    NoticeGiven,
    SnapshotActivated,
)
from interlock.core.model import Cache, Demands, Now
from interlock.errors import LinkError, ProtocolError
from interlock.node.commands import KEPT_MAX, KEPT_S, Commands, event_of
from interlock.node.journal_facts import Marks
from interlock.protocol.commands import (
    AHEAD_S_MAX,
    LIFE_S_MAX,
    Command,
    CommandKind,
    signed_command,
)
from tests.core.rig import Rig
from tests.core.test_outputs import SITUATIONS
from tests.node.journals import NOW, new_journal
from tests.node.signed_snapshots import HUB, SIGNED_KEYS, STRANGER

pytestmark = pytest.mark.fast

AT = 1_800_000_000


@dataclass
class Door:
    """The door over a memory that can be kept over a restart."""

    now_at: int | None = AT
    trusted: bool = True
    kept: tuple[tuple[str, int], ...] = ()
    told: list[Event] = field(default_factory=list)

    def remembered(self) -> Marks:
        return Marks(commands=self.kept)

    def remember(self, commands: tuple[tuple[str, int], ...]) -> None:
        self.kept = commands

    def carry_out(self, message: dict[str, Any]) -> str:
        return Commands(
            hub_key=HUB.public_key(),
            lab=SIGNED_KEYS.lab,
            node=SIGNED_KEYS.node,
            now=lambda: Now(1_000, self.now_at, self.trusted),
            memory=self,
            tell=self.told.append,
            diagnose=lambda: "all is well",
        ).carry_out(message)


def command(kind: CommandKind = CommandKind.CUT_NOW, **changes: Any) -> Command:
    text = "Tidy up" if kind is CommandKind.MESSAGE else ""
    plain = Command(
        lab=SIGNED_KEYS.lab,
        node=SIGNED_KEYS.node,
        number=bytes(15) + bytes((list(CommandKind).index(kind),)),
        kind=kind,
        issued_at=AT,
        expires_at=AT + 60,
        text=text,
    )
    return replace(plain, **changes)


def message(kind: CommandKind = CommandKind.CUT_NOW, **changes: Any) -> dict[str, Any]:
    return signed_command(HUB, command(kind, **changes))


@pytest.mark.parametrize("kind", list(CommandKind))
def test_a_good_command_is_carried_out_once_and_remembered(kind: CommandKind) -> None:
    door = Door()
    first = door.carry_out(message(kind))
    assert first == ("all is well" if kind is CommandKind.DIAGNOSE else "")
    event = event_of(command(kind))
    assert door.told == ([] if event is None else [event])
    assert "not again" in door.carry_out(message(kind))
    assert len(door.told) <= 1


@pytest.mark.parametrize("kind", list(CommandKind))
def test_a_replay_after_a_restart_does_nothing(kind: CommandKind, tmp_path: Path) -> None:
    """The numbers stand in the journal's marks, which are read again from the disk."""
    door = Door()
    door.carry_out(message(kind))
    journal = new_journal(tmp_path, SIGNED_KEYS)
    journal.open(NOW)
    journal.mark(commands=door.kept)
    journal.close()
    again = new_journal(tmp_path, SIGNED_KEYS)
    again.open(NOW)
    after = Door(kept=again.marks.commands)
    again.close()
    assert "not again" in after.carry_out(message(kind))
    assert after.told == []


def test_a_number_is_remembered_longer_than_it_is_valid_and_then_forgotten() -> None:
    door = Door()
    door.carry_out(message())
    door.now_at = AT + 60 + KEPT_S
    door.carry_out(message(number=b"x" * 16, issued_at=AT + KEPT_S, expires_at=AT + KEPT_S + 90))
    assert len(door.kept) == 2
    door.now_at = AT + 61 + KEPT_S
    door.carry_out(message(number=b"y" * 16, issued_at=AT + KEPT_S, expires_at=AT + KEPT_S + 90))
    assert [number for number, _ in door.kept] == [(b"x" * 16).hex(), (b"y" * 16).hex()]


BAD: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "expired": (lambda: message(issued_at=AT - 61, expires_at=AT - 1), "expired"),
    "from the future": (
        lambda: message(issued_at=AT + AHEAD_S_MAX + 1, expires_at=AT + 900),
        "future",
    ),
    "valid for ever": (lambda: message(expires_at=AT + LIFE_S_MAX + 1), "more than"),
    "another node's": (lambda: message(node="laser"), "for node laser"),
    "another lab's": (lambda: message(lab="elsewhere"), "of lab elsewhere"),
    "a stranger's": (lambda: signed_command(STRANGER, command()), "not the hub's"),
    "of another kind": (lambda: {**message(), "statement": {"kind": "time"}}, "not a signed"),
    "altered": (
        lambda: {**message(), "statement": {**message()["statement"], "command": "identify"}},
        "not the hub's",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_command_does_nothing_and_is_not_remembered(name: str) -> None:
    make, says = BAD[name]
    door = Door()
    with pytest.raises(ProtocolError, match=says):
        door.carry_out(make())
    assert (door.told, door.kept) == ([], ())


@pytest.mark.parametrize(("now_at", "trusted"), [(None, False), (AT, False)])
def test_until_the_hub_told_the_time_no_command_counts(now_at: int | None, trusted: bool) -> None:
    door = Door(now_at, trusted)
    with pytest.raises(LinkError, match="time"):
        door.carry_out(message())
    assert (door.told, door.kept) == ([], ())


def test_a_flood_of_commands_is_refused_and_none_is_forgotten() -> None:
    full = tuple((f"{n:032x}", AT + 60) for n in range(KEPT_MAX))
    door = Door(kept=full)
    with pytest.raises(ProtocolError, match="too many"):
        door.carry_out(message(number=b"z" * 16))
    assert door.kept == full


def test_every_kind_of_command_is_one_of_these_events() -> None:
    """A new kind has to be looked at here before it can reach a machine."""
    events = {kind: type(event_of(command(kind))) for kind in CommandKind}
    assert events == {
        CommandKind.MESSAGE: NoticeGiven,
        CommandKind.IDENTIFY: NoticeGiven,
        CommandKind.END_SESSION: EndRequested,
        CommandKind.CUT_NOW: CutRequested,
        CommandKind.DIAGNOSE: type(None),
    }


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("kind", list(CommandKind))
def test_no_command_closes_a_relay_in_any_situation(kind: CommandKind, situation: str) -> None:
    event = event_of(command(kind))
    rig = SITUATIONS[situation]()
    before = rig.is_on
    if event is not None:
        rig.give(event)
    assert before or not rig.is_on
    if kind is CommandKind.CUT_NOW:
        assert not rig.is_on
    assert closings_later(rig) <= closings_later(SITUATIONS[situation]())


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_list_of_rights_closes_a_relay_in_any_situation(situation: str) -> None:
    """A newer one that demands nothing of anybody, of a hub that was taken over with its keys."""
    rig = SITUATIONS[situation]()
    before = rig.is_on
    for version in ((1, 2), (9, 9)):
        rig.give(SnapshotActivated(Cache(version=version, age_s=0), Demands()))
        assert before or not rig.is_on
    assert closings_later(rig) <= closings_later(SITUATIONS[situation]())


def closings_later(rig: Rig) -> int:
    """How often the relay was closed since this machine began, when nothing more is asked of it for a while."""
    rig.pass_ms(200)
    for _half_second in range(120):
        rig.ms += 500
        rig.sample()
    return sum(is_on for _, is_on in rig.relay)
