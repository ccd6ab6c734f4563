"""Snapshots over model peers: what is fetched, offered, swept, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.errors import StoreError
from interlock.sync.links import News, No
from tests.sync.rig import Rig

pytestmark = pytest.mark.fast


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def spooled(rig: Rig) -> list[str]:
    return sorted(file.name for file in rig.spool.iterdir())


def test_a_newer_version_is_fetched_offered_and_confirmed_to_the_hub_at_once(rig: Rig) -> None:
    rig.run_ms(3_000)
    rig.hub.version = (1, 7)
    rig.run_ms(2_500)
    assert rig.node.files == ["snapshot-1-7"]
    assert rig.node.version == (1, 7)
    assert rig.hub.heard_versions[-1] == (1, 7)


def test_what_lies_in_the_spool_is_what_the_hub_sent(rig: Rig) -> None:
    rig.node.switches = False
    rig.hub.version, rig.hub.snapshot = (1, 7), b"signed line\n" * 9
    rig.run_ms(3_000)
    assert spooled(rig) == ["snapshot-1-7"]
    assert (rig.spool / "snapshot-1-7").read_bytes() == rig.hub.snapshot


def test_the_spool_is_empty_again_once_the_node_has_switched(rig: Rig) -> None:
    (rig.spool / "snapshot-1-3.tmp").write_bytes(b"half of an earlier life")
    rig.hub.version = (1, 7)
    rig.run_ms(10_000)
    assert rig.node.version == (1, 7)
    assert spooled(rig) == []


def test_a_file_of_somebody_else_stays_in_the_spool(rig: Rig) -> None:
    (rig.spool / "keep-me").write_bytes(b"")
    rig.hub.version = (1, 7)
    rig.run_ms(10_000)
    assert spooled(rig) == ["keep-me"]


def test_a_list_the_node_does_not_take_is_fetched_again_after_pauses_that_grow(rig: Rig) -> None:
    rig.node.switches = False
    rig.hub.version = (1, 7)
    rig.run_ms(10_000)
    assert rig.hub.calls.count("download") in (3, 4), "after 1, 2 and 4 s"
    rig.run_ms(300_000)
    assert 8 <= rig.hub.calls.count("download") <= 12, "then once a minute"


def test_a_list_that_the_node_takes_at_the_second_attempt_is_live_within_seconds(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.switches, rig.node.refuses_why = False, "its signature is not the hub's"
    rig.hub.version = (1, 7)
    rig.run_ms(1_500)
    rig.node.switches, rig.node.refuses_why = True, ""
    rig.run_ms(2_500)
    assert rig.node.version == (1, 7)


def test_a_delta_is_spooled_and_nothing_is_downloaded(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.busy, rig.node.switches = True, False
    rig.hub.version, rig.hub.delta = (1, 7), b"signed delta\n"
    rig.run_ms(1_500)
    assert (rig.spool / "snapshot-1-7").read_bytes() == rig.hub.delta
    assert (rig.node.files, rig.hub.calls.count("download")) == (["snapshot-1-7"], 0)


def test_a_delta_the_node_refuses_is_followed_by_the_whole_list_at_once(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.switches, rig.node.refuses_why = False, "what results is not what the hub signed"
    rig.hub.version, rig.hub.delta = (1, 7), b"signed delta\n"
    rig.run_ms(1_300)
    assert rig.hub.calls.count("download") == 1
    assert (rig.spool / "snapshot-1-7").read_bytes() == rig.hub.snapshot


def test_why_a_list_was_refused_is_told_to_the_hub_at_once(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.switches, rig.node.refuses_why = False, "its signature is not the hub's"
    before = rig.hub.calls.count("hello")
    rig.hub.version = (1, 7)
    rig.run_ms(2_000)
    assert rig.hub.calls.count("hello") > before


def test_while_a_list_is_built_the_hub_is_not_polled_and_its_news_come_next(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.node.busy, rig.node.switches = True, False
    rig.hub.version = (1, 7)
    rig.run_ms(2_000)
    polls = rig.hub.calls.count("changes")
    rig.hub.version = (1, 8)
    rig.run_ms(5_000)
    assert rig.hub.calls.count("changes") == polls
    rig.node.busy, rig.node.switches, rig.node.version = False, True, (1, 7)
    rig.run_ms(1_500)
    assert rig.node.version == (1, 8)


def command(number: str) -> dict[str, object]:
    return {"statement": {"number": number}, "signature": "00"}


def test_a_command_is_handed_over_once_and_answered_although_the_answer_is_lost(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.weather.forecast = ["clear", "lost"]
    rig.hub.commands = [command("11")]
    rig.run_ms(5_000)
    assert [one["statement"]["number"] for one in rig.node.commands] == ["11"]
    assert rig.hub.answers == [("11", True, "done")]


def test_a_command_the_node_refuses_is_answered_with_its_words(rig: Rig) -> None:
    rig.node.says_to_commands = No("refused", "it has expired")
    rig.hub.commands = [command("22")]
    rig.run_ms(3_000)
    assert rig.hub.answers == [("22", False, "it has expired")]


def test_commands_come_with_greetings_where_the_long_poll_does_not_get_through(rig: Rig) -> None:
    def nothing_new(since: object, wait_s: int, has: object = None) -> None:
        rig.clock.advance_us(1_000_000)

    rig.network.changes = nothing_new  # type: ignore[method-assign]
    rig.run_ms(1_000)
    rig.hub.commands = [command("33")]
    rig.run_ms(33_000)
    assert rig.hub.answers == [("33", True, "done")]


def test_a_node_that_refuses_is_asked_once_a_second_and_the_hub_not_for_the_same_file_again(
    rig: Rig,
) -> None:
    rig.node.refuses_snapshots = True
    rig.hub.version = (1, 7)
    rig.run_ms(55_000)
    assert rig.hub.calls.count("download") == 1
    assert 50 <= len(rig.node.files) <= 56


def test_a_newer_version_follows_at_once_when_the_node_takes_snapshots_again(rig: Rig) -> None:
    rig.node.refuses_snapshots = True
    rig.hub.version = (1, 7)
    rig.run_ms(5_000)
    rig.node.refuses_snapshots = False
    rig.hub.version = (1, 8)
    rig.run_ms(3_000)
    assert rig.node.version == (1, 8)


def test_news_reach_the_node_by_greetings_when_the_long_poll_never_answers(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.hub.version = (1, 7)

    def nothing_new(since: object, wait_s: int, has: object = None) -> None:
        rig.clock.advance_us(1_000_000)

    rig.network.changes = nothing_new  # type: ignore[method-assign]
    rig.run_ms(33_000)
    assert rig.node.version == (1, 7)


def test_a_hub_that_never_waits_is_not_asked_without_pause(rig: Rig) -> None:
    rig.run_ms(60_000)
    assert rig.hub.calls.count("changes") <= 62


def test_a_hub_that_repeats_an_old_version_is_not_asked_without_pause(rig: Rig) -> None:
    rig.run_ms(1_000)

    def old_news(since: object, wait_s: int, has: object = None) -> News:
        rig.hub.calls.append("changes")
        return News((1, 0))

    rig.network.changes = old_news  # type: ignore[method-assign]
    before = len(rig.hub.calls)
    rig.run_ms(60_000)
    assert len(rig.hub.calls) - before <= 66


def test_a_full_disk_is_tried_again_after_a_minute_and_leaves_no_half_file(rig: Rig) -> None:
    def full(target: Path) -> No | None:
        rig.hub.calls.append("download")
        target.write_bytes(b"half")
        raise StoreError("no space left on device", where=str(target))

    rig.network.download = full  # type: ignore[method-assign]
    rig.hub.version = (1, 7)
    rig.run_ms(150_000)
    assert rig.hub.calls.count("download") <= 6
    assert spooled(rig) == []


def test_a_node_that_is_away_after_the_download_is_told_when_it_returns(rig: Rig) -> None:
    rig.run_ms(1_000)
    rig.hub.version = (1, 7)
    download = rig.network.download

    def then_the_node_dies(target: Path) -> No | None:
        rig.node.away = True
        return download(target)

    rig.network.download = then_the_node_dies  # type: ignore[method-assign]
    rig.run_ms(10_000)
    rig.node.away = False
    rig.run_ms(2_000)
    assert rig.node.files == ["snapshot-1-7"]
    assert rig.hub.calls.count("download") == 1


def test_a_lower_counter_under_a_higher_hub_epoch_is_newer(rig: Rig) -> None:
    rig.node.version = (1, 900)
    rig.hub.version = (2, 0)
    rig.run_ms(5_000)
    assert rig.node.version == (2, 0)
