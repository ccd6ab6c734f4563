"""Greetings and records over model peers: what arrives, in which order, and how often who is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from interlock.errors import ProtocolError
from interlock.protocol.hubapi import BATCH_RECORDS_MAX
from interlock.protocol.records import GENESIS, Head, seal
from interlock.sync.courier import HELLO_MS, REFUSED_MS
from interlock.sync.links import HubHello, No, NodeHello
from tests.sync.models import CHAIN_KEY, EMPTY, ModelNode
from tests.sync.rig import Rig

pytestmark = pytest.mark.fast


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_records_arrive_whole_in_order_and_are_acknowledged(rig: Rig) -> None:
    rig.node.write(257)
    rig.run_ms(2_000)
    assert rig.hub.stored == rig.node.journal
    assert rig.node.acked == rig.node.head


def test_no_batch_is_larger_than_the_protocol_allows(rig: Rig) -> None:
    rig.node.write(3 * BATCH_RECORDS_MAX + 5)
    rig.run_ms(2_000)
    assert rig.hub.batch_sizes == [BATCH_RECORDS_MAX] * 3 + [5]


def test_a_new_record_reaches_the_hub_within_a_second(rig: Rig) -> None:
    rig.run_ms(5_000)
    rig.node.write()
    rig.run_ms(1_000)
    assert rig.hub.stored == rig.node.journal


def test_an_idle_node_is_greeted_every_thirty_seconds_and_the_hub_asked_nothing_else(
    rig: Rig,
) -> None:
    rig.run_ms(10 * HELLO_MS)
    assert rig.hub.calls.count("hello") in (10, 11)
    assert rig.hub.calls.count("deliver") == 0


def test_each_greeting_hands_the_node_the_time_for_its_own_newest_nonce(rig: Rig) -> None:
    rig.run_ms(2 * HELLO_MS)
    assert [message["nonce"] for message in rig.node.times] == [
        f"nonce-{n}" for n in range(1, len(rig.node.times) + 1)
    ]
    assert len(rig.node.times) >= 2


def test_a_restored_hub_gets_again_what_it_lost_and_no_alarm(rig: Rig) -> None:
    rig.node.write(30)
    rig.run_ms(1_000)
    backup = rig.hub.backup()
    rig.node.write(30)
    rig.run_ms(1_000)
    rig.restart_hub(backup)
    rig.node.write(3)
    rig.run_ms(5_000)
    assert rig.hub.stored == rig.node.journal
    assert rig.hub.aside == []


def test_a_hub_that_went_back_unnoticed_is_healed_too(rig: Rig) -> None:
    rig.node.write(30)
    rig.run_ms(1_000)
    rig.hub.stored = rig.hub.stored[:10]
    rig.node.write(3)
    rig.run_ms(5_000)
    assert rig.hub.stored == rig.node.journal


def test_a_node_that_raised_its_epoch_goes_on_behind_the_old_one(rig: Rig) -> None:
    rig.node.write(5)
    rig.run_ms(1_000)
    rig.node.epoch = 2
    rig.node.write(5)
    rig.run_ms(1_000)
    assert rig.hub.stored == rig.node.journal
    assert rig.node.acked.epoch == 2


def test_a_hub_that_is_away_is_asked_ever_more_rarely(rig: Rig) -> None:
    rig.hub.away = True
    rig.run_ms(600_000)
    hellos = rig.hub.calls.count("hello")
    # Ten minutes of full jitter under ceilings of 1, 2, 4 … 60 s: about 6 + 2 a minute.
    assert 15 < hellos < 60


def test_records_wait_while_the_hub_is_away_and_the_node_is_not_polled_for_them(rig: Rig) -> None:
    rig.hub.away = True
    rig.node.write(10)
    rig.run_ms(60_000)
    assert rig.node.acked == EMPTY
    rig.hub.away = False
    rig.run_ms(60_000)
    assert rig.hub.stored == rig.node.journal


def test_one_thread_reaching_the_hub_ends_the_back_off_of_the_other(rig: Rig) -> None:
    rig.hub.away = True
    rig.run_ms(300_000)
    rig.hub.away = False
    rig.node.write(4)
    rig.courier.wake()
    rig.due_ms[1] = rig.clock.boot_ms()
    rig.run_ms(100)
    assert rig.hub.stored == rig.node.journal


def test_a_node_that_is_away_is_asked_once_a_second_and_the_hub_left_alone(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.away = True
    before = len(rig.hub.calls)
    rig.run_ms(25_000)
    assert set(rig.hub.calls[before:]) <= {"changes"}
    rig.node.away = False
    rig.node.write()
    rig.run_ms(1_500)
    assert rig.hub.stored == rig.node.journal


def test_a_revoked_node_asks_once_a_minute(rig: Rig) -> None:
    rig.hub.refusal = No("revoked", "this node was revoked")
    rig.run_ms(10 * REFUSED_MS)
    assert rig.hub.calls.count("hello") in (10, 11)
    assert any("revoked" in text for text in rig.said)


def test_a_conflict_is_said_once_and_not_hammered_while_time_goes_on(rig: Rig) -> None:
    rig.hub.conflict = "the chain of this node is another"
    rig.node.write(5)
    rig.run_ms(10 * REFUSED_MS)
    assert rig.hub.calls.count("deliver") == 0
    assert sum("another" in text for text in rig.said) == 1
    assert len(rig.node.times) >= 19
    rig.hub.conflict = None
    rig.run_ms(2 * REFUSED_MS)
    assert rig.hub.stored == rig.node.journal


def test_a_node_in_conflict_still_gets_a_revoked_badge_and_confirms_it(rig: Rig) -> None:
    rig.hub.conflict = "the chain of this node is another"
    rig.node.write(5)
    rig.run_ms(5_000)
    rig.hub.version = (1, 9)
    rig.run_ms(3_000)
    assert rig.node.version == (1, 9)
    assert rig.hub.heard_versions[-1] == (1, 9)
    assert rig.hub.stored == []


def test_an_older_hub_that_refuses_the_greeting_without_time_still_sends_snapshots(
    rig: Rig,
) -> None:
    rig.hub.hello = lambda hello: No("node_behind", "it ends at 1.5")  # type: ignore[method-assign]
    rig.hub.version = (1, 9)
    rig.run_ms(5_000)
    assert rig.node.version == (1, 9)


def test_a_hub_with_other_records_than_the_node_is_reported_and_nothing_is_acknowledged(
    rig: Rig,
) -> None:
    rig.node.write(5)
    rig.run_ms(1_000)
    acked = rig.node.acked
    other = Rig(rig.spool)
    other.node.write(3)
    other.node.epoch = 3
    other.node.write(9)
    other.run_ms(1_000)
    rig.hub.stored = other.hub.stored
    rig.node.write(2)
    rig.run_ms(5 * REFUSED_MS)
    assert rig.node.acked == acked
    assert any("different records" in text for text in rig.said)
    assert rig.hub.calls.count("deliver") <= 8


def test_a_card_that_ran_ahead_of_the_hub_names_its_own_record_of_the_number_that_differs(
    rig: Rig,
) -> None:
    """An old card was put in while the hub was away: the hub cannot compare a head that lies beyond its own."""
    first = ModelNode()
    first.write(2)
    rig.hub.stored = first.journal
    header = replace(first.journal[0].header, boot_ms=9)
    other = seal(header, {}, salt=bytes(16), prev=GENESIS, chain_key=CHAIN_KEY)
    rig.node.journal = [other]
    rig.node.write(8)
    heads: list[Head] = []
    greet = rig.hub.hello

    def noted(hello: NodeHello) -> HubHello | No:
        heads.append(hello.head)
        return greet(hello)

    rig.hub.hello = noted  # type: ignore[method-assign]
    rig.run_ms(4 * HELLO_MS)
    own = rig.node.journal[1]
    assert heads[:2] == [rig.node.head] * 2, "one answer may have been damaged on its way"
    assert heads[2] == Head(1, 2, own.hash) != rig.hub.head
    assert rig.node.acked == EMPTY


@pytest.mark.parametrize("code", ["malformed", "body"])
def test_a_batch_the_hub_calls_wrong_is_offered_once_a_minute_in_the_hubs_own_words(
    rig: Rig, code: str
) -> None:
    rig.hub.poisoned = No(code, "records[3].body: too deep")
    rig.node.write(5)
    rig.run_ms(10 * REFUSED_MS)
    assert rig.hub.calls.count("deliver") <= 10
    assert rig.hub.calls.count("hello") <= 21
    assert rig.said == [
        "connected; the node decides by snapshot 1.0",
        f"the hub refuses the records ({code}): records[3].body: too deep",
    ]
    rig.hub.poisoned = None
    rig.run_ms(2 * REFUSED_MS)
    assert rig.hub.stored == rig.node.journal
    assert rig.said[-1] == "connected; the node decides by snapshot 1.0"


def test_a_hub_that_greets_and_fails_at_the_records_is_offered_them_ever_more_rarely(
    rig: Rig,
) -> None:
    rig.hub.poisoned = ProtocolError("it answered with HTTP status 500", where="the hub")
    rig.node.write(5)
    rig.run_ms(10 * REFUSED_MS)
    tries = rig.hub.calls.count("deliver")
    # Ten minutes of full jitter under ceilings of 1, 2, 4 … 60 s: about 6 + 2 a minute.
    assert 15 < tries < 60
    assert rig.said[-1] == (
        f"the hub did not take the records ({tries} in a row), they wait in the node: "
        "the hub: it answered with HTTP status 500"
    )
    assert not any("not reached" in text for text in rig.said)
    rig.hub.poisoned = None
    rig.run_ms(2 * REFUSED_MS)
    assert rig.hub.stored == rig.node.journal


def test_a_hub_that_fails_at_the_records_sends_snapshots_and_time_as_ever(rig: Rig) -> None:
    rig.hub.poisoned = ProtocolError("it answered with HTTP status 500", where="the hub")
    rig.node.write(5)
    rig.run_ms(3 * REFUSED_MS)
    rig.hub.version = (1, 9)
    rig.run_ms(3_000)
    assert rig.node.version == (1, 9)
    assert len(rig.node.times) >= 6


def test_a_credential_of_another_node_delivers_nothing(rig: Rig) -> None:
    rig.node.identity = ("lab-1", "laser")
    rig.node.write(2)
    rig.run_ms(30_000)
    assert rig.hub.calls == []
    assert any("laser" in text for text in rig.said)


def test_the_reported_state_changes_when_the_connection_does(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.hub.away = True
    rig.run_ms(40_000)
    rig.hub.away = False
    rig.run_ms(60_000)
    kinds = [text.split(",")[0].split(";")[0] for text in rig.said]
    assert kinds == ["connected", "hub not reached", "connected"]
