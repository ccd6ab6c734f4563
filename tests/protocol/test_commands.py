"""A command of the hub is for one node, once, now; a time for one question; an answer says no in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlock.errors import ProtocolError
from interlock.protocol import (
    canonical,
    commands,
    control,
    hubapi,
    hubtime,
    records,
    signing,
    snapshots,
)
from interlock.protocol.commands import AHEAD_S_MAX, LIFE_S_MAX, Command, CommandKind
from interlock.protocol.hubtime import HubTime
from interlock.protocol.tags import short_code
from tests.protocol.test_statements import HUB, OTHER

pytestmark = pytest.mark.fast

AT = 1_800_000_000
SAID = Command("lab", "saw", bytes(range(16)), CommandKind.MESSAGE, AT, AT + 60, "Tidy up")


def opened(message: dict[str, Any], now_at: int = AT) -> Command:
    again = canonical.loads(commands.message_bytes(message), where="test")
    return commands.open_command(again, HUB.public_key(), lab="lab", node="saw", now_at=now_at)


@pytest.mark.parametrize("kind", CommandKind)
def test_a_command_goes_over_the_wire(kind: CommandKind) -> None:
    said = replace(SAID, kind=kind)
    assert opened(commands.signed_command(HUB, said)) == said


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "now_at", "words"),
    [
        (AT, AT + LIFE_S_MAX, AT, ""),
        (AT, AT + 1, AT + 1, ""),
        (AT, AT + 1, AT - AHEAD_S_MAX, ""),
        (AT, AT + 1, AT + 2, "it has expired"),
        (AT, AT + 1, AT - AHEAD_S_MAX - 1, "from the future"),
        (AT, AT + LIFE_S_MAX + 1, AT, "valid for more than 3600 s"),
        (AT, AT, AT, "valid for more than"),
        (AT, AT - 1, AT - 5, "valid for more than"),
    ],
)
def test_a_command_is_about_now(issued_at: int, expires_at: int, now_at: int, words: str) -> None:
    message = commands.signed_command(
        HUB, replace(SAID, issued_at=issued_at, expires_at=expires_at)
    )
    if not words:
        assert opened(message, now_at).expires_at == expires_at
        return
    with pytest.raises(ProtocolError, match=words):
        opened(message, now_at)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 2}, "v must be"),
        ({"lab": "other"}, "for node saw of lab other"),
        ({"node": "laser"}, "for node laser of lab lab"),
        ({"lab": "x" * 65}, "lab must be text of at most 64"),
        ({"node": "x" * 65}, "node must be text of at most 64"),
        ({"number": "00" * 15}, "number must be 16 bytes"),
        ({"command": "power_on"}, "command must be one of"),
        ({"issued_at": "now"}, "issued_at must be"),
        ({"expires_at": None}, "expires_at must be"),
        ({"text": "x" * 81}, "text must be text of at most 80"),
        ({"kind": "time"}, "not a signed command"),
    ],
)
def test_a_command_of_another_shape_is_refused_also_when_the_hub_signed_it(
    change: dict[str, Any], words: str
) -> None:
    statement = commands.signed_command(HUB, SAID)["statement"]
    with pytest.raises(ProtocolError, match=words):
        opened(signing.sign(HUB, {**statement, **change}))


def test_a_command_of_a_stranger_is_refused() -> None:
    with pytest.raises(ProtocolError, match="signature of this command is not the hub's") as caught:
        opened(commands.signed_command(OTHER, SAID))
    assert "same lab" in caught.value.remedy


def test_nothing_that_a_hub_may_ask_gives_power() -> None:
    """The list is short on purpose: whoever makes it longer looks at this test."""
    assert {kind.value for kind in CommandKind} == {
        "message",
        "identify",
        "end_session",
        "cut_now",
        "diagnose",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": [1]},
        {"version": [1, 2, 3]},
        {"version": [1, -1]},
        {"version": ["1", 2]},
        {"wall_ms": -1},
        {"nonce": "00"},
        {"branch": "1"},
    ],
)
def test_a_time_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    told = HubTime("lab", "saw", bytes(16), 123, (1, 7), branch=3)
    statement = hubtime.signed_time(HUB, told)["statement"]

    def read(message: dict[str, Any]) -> HubTime:
        return hubtime.open_time(message, HUB.public_key(), lab="lab", node="saw", nonce=bytes(16))

    assert read(signing.sign(HUB, statement)) == told
    with pytest.raises(ProtocolError):
        read(signing.sign(HUB, {**statement, **change}))


def test_an_answer_that_says_no_is_an_error_with_its_words() -> None:
    good = canonical.dumps(control.answer(head=1))
    assert control.read_answer(good)["head"] == 1
    with pytest.raises(ProtocolError, match="disk full") as caught:
        control.read_answer(canonical.dumps(control.error_answer("store", "disk full")))
    assert caught.value.where == "the node answered"
    for bad in (b'{"v":2,"ok":true}', b'{"v":1,"ok":1}', b'{"v":1}', b'{"v":1,"ok":false}'):
        with pytest.raises(ProtocolError):
            control.read_answer(bad)


def test_who_may_ask_what_is_three_sets_one_in_the_other() -> None:
    assert frozenset(control.Op) == control.OPERATOR_OPS
    assert control.SYNC_OPS < control.OPERATOR_OPS
    assert {control.Op.BREAK_GLASS} == control.WATCHER_OPS - control.SYNC_OPS


def test_hub_and_sync_mean_the_same_paths_and_bounds() -> None:
    """What is on the wire does not change by itself: a node of last year talks to a hub of today."""
    assert hubapi.VERSION == 1
    paths = [hubapi.PATH_HELLO, hubapi.PATH_RECORDS, hubapi.PATH_CHANGES, hubapi.PATH_SNAPSHOT]
    assert paths == ["/node/v1/hello", "/node/v1/records", "/node/v1/changes", "/node/v1/snapshot"]
    assert (hubapi.PATH_INTERLOCKS, hubapi.PATH_COMMANDS) == (
        "/node/v1/interlocks",
        "/node/v1/commands",
    )
    assert hubapi.BATCH_RECORDS_MAX * records.BODY_BYTES_MAX < hubapi.BATCH_BYTES_MAX
    assert hubapi.WAIT_S_MAX < 60, "proxies cut a connection that is silent for a minute"
    assert snapshots.ENTRIES_MAX * 1_024 < hubapi.SNAPSHOT_BYTES_MAX


def test_what_travels_over_the_socket_is_spelt_as_it_always_was() -> None:
    """Sync and node may be of two releases for the minute in which one of them is restarted."""
    assert control.request(control.Op.ACK, seq=3) == {"v": 1, "op": "ack", "seq": 3}
    assert control.answer(seq=3) == {"v": 1, "ok": True, "seq": 3}
    said = {"v": 1, "ok": False, "error": "store", "message": "disk full"}
    assert control.error_answer("store", "disk full") == said


def test_the_code_on_the_screen_is_the_code_in_the_hub_s_list() -> None:
    assert [short_code(bytes([1]) * 16), short_code(bytes(range(16)))] == ["K48R7", "KFPTV"]
