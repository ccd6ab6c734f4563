"""Whatever a node reports under its own key: refused and nothing changed, or stored, provable and billed fairly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.hub import chain, ingest, sessions
from interlock.hub.domain import machines, nodes
from interlock.hub.unknown_types import read_record
from interlock.protocol import fields
from tests.fuzz.bending import bent_bytes, bent_values, spelled
from tests.fuzz.intake import Intake, batch, draft
from tests.fuzz.kept import BreachError, Surface, examples
from tests.hub.lab import HUB_URL, console, small_lab

pytestmark = [pytest.mark.real, pytest.mark.django_db]

TOTALS = {"enabled_ms": 120_000, "busy_ms": 60_000, "idle_ms": 20_000}
START = {"member": "@member", "tag": "@tag", "badge_use": "tap", "evidence": {"inputs": [True, 3]}}
ENDED = {"how": "tap_off", "estimated": False}

GOOD = [
    batch(
        draft("session_progress", session="@running", **TOTALS),
        draft("session_ended", session="@running", **TOTALS, **ENDED),
        draft("session_started", **START),
    ),
    batch(
        draft("boot", config_digest="ab" * 32),
        draft("clock_anchored", wall_ms=1_750_100_000_000),
        draft("session_started", **START, supervisor="@member", second=None),
        draft("session_ended", session="1.8", **TOTALS, how="power_lost", estimated=True),
    ),
    batch(
        draft("session_started", **START | {"member": None}, would_refuse="NOT_TRAINED"),
        draft("supervision_confirmed", session="@running", by="@member"),
        draft("long_job_declared", session="@running"),
        draft("session_voided", session="@running", why="cannot_record", detail="disk"),
    ),
    batch(
        draft("refused", reason="UNKNOWN_BADGE", tag="ab" * 16, count=3),
        draft("refused", reason="BADGE_NOT_GENUINE", tag="@tag", count=1),
        draft("fault_raised", fault="contactor_welded"),
        draft("fault_raised", fault="unexpected_start"),
        draft("lock_out_set", source="machine", cause="broken"),
        draft("lock_out_cleared", source="machine"),
    ),
    batch(
        draft("problem_reported", problem="records_lost", detail="page 7", lost=[[1, 2, 3]]),
        draft("training_granted", member="@member", by="@member", trainings=["saw-basics"],
              assurance="aes", evidence={"tag": "@tag"}),
        draft("unmetered_use", phase="began", duration_ms=0),
        draft("unmetered_use", phase="ended", duration_ms=60_000),
        draft("configuration_changed", digest="cd" * 32),
        draft("commissioned", by="somebody", config="ab" * 32, software="0.1",
              findings=[{"name": "stop", "good": True, "measured": {"ms": 12}}]),
    ),
    [draft("session_ended", -1, session="@over", **TOTALS, **ENDED)],
    [draft("boot", 1) | {"epoch": 1, "seq": -4, "prev": "genesis"}],
    [draft("boot", 4), draft("boot", 1)],
    [draft("boot") | {"node": "@other"}],
    [draft("a_word_of_tomorrow", session="@running")],
]  # fmt: skip
"""Records of every type, and what a put-back card, a hole, another node's name and a newer node look like."""

REQUESTS = [spelled(one) for one in GOOD]


BODIES = [one["body"] for many in GOOD for one in many]


def with_another_body(many: list[dict[str, Any]], place: int, body: Any) -> bytes:
    """`many` with another record's words in one of them, or words that no record has."""
    at = place % len(many)
    return spelled([*many[:at], many[at] | {"body": body}, *many[at + 1 :]])


def cases() -> st.SearchStrategy[bytes]:
    """Mostly words, which every node chooses freely; then whole batches, and bytes that are none."""
    batches = st.sampled_from(GOOD)
    spoken = st.builds(with_another_body, batches, st.integers(0, 9), bent_values(BODIES))
    return (
        spoken
        | st.builds(with_another_body, batches, st.integers(0, 9), st.sampled_from(BODIES))
        | bent_values(GOOD).map(spelled)
        | bent_bytes(REQUESTS)
    )


@pytest.fixture(name="surface")
def door_for_records() -> Surface:
    lab = small_lab()
    second = machines.create_machine(console(), lab.lab, "lathe", "Lathe")
    other = nodes.enrol_node(console(), second, HUB_URL).node.slug
    return Surface("intake", Intake(lab, other).run)


def test_a_batch_under_the_node_s_own_key_is_refused_whole_or_stored_provable_and_billed_fairly(
    surface: Surface,
) -> None:
    @examples(100)
    @given(cases())
    def send(case: bytes) -> None:
        surface.outcome(case)

    try:
        send()
    finally:
        surface.keep()


def test_a_kept_batch_ends_as_it_did(surface: Surface) -> None:
    kept = list(surface.kept())
    assert len(kept) > 30, "a campaign keeps what it finds"
    assert [(surface.outcome(case), case) for _, case in kept] == kept


def test_good_batches_are_what_they_were_meant_to_be(surface: Surface) -> None:
    """A door that refuses everything would pass every test above."""
    assert [surface.outcome(case) for case in REQUESTS] == [
        "taken, 3 uses, alarms [], aside []",
        "taken, 3 uses, alarms ['session_to_check'], aside []",
        "taken, 3 uses, alarms ['session_overlap', 'session_to_check'], aside []",
        "taken, 2 uses, alarms ['possible_clone', 'unexpected_start'], aside []",
        "taken, 2 uses, alarms ['bypass_used', 'grant_refused', 'records_lost'], aside []",
        "taken, 2 uses, alarms ['records_set_aside'], aside ['other_body']",
        "taken, 2 uses, alarms ['session_to_check'], aside []",
        "taken, 2 uses, alarms ['records_missing', 'records_set_aside'], aside ['broken_chain']",
        "ProtocolError: record ….… is in the name of …. A node reports its own records only",
        "taken, 2 uses, alarms ['record_unknown'], aside []",
    ]


def broken_totals(body: Mapping[str, Any]) -> tuple[int, int, int]:
    return body["enabled_ms"], body["busy_ms"], body["idle_ms"]


BREAKS: dict[str, tuple[Any, str, Any, bytes, str]] = {
    "totals that are not looked at": (
        *(sessions, "totals_of", broken_totals),
        spelled(
            [draft("session_ended", session="@running", **TOTALS | {"enabled_ms": 10**12}, **ENDED)]
        ),
        "in parts",
    ),
    "a refusal that comes too late": (
        *(ingest, "_own", lambda node, wire: read_record(wire)),
        spelled([draft("boot") | {"node": "@other"}]),
        "came out|does not verify",
    ),
    "the same batch counted again": (
        *(chain, "_standing", lambda checked, head, hashes, own_epoch: chain.Standing.NEW),
        REQUESTS[0],
        "came out|again",
    ),
    "an exception that is none of ours": (
        *(fields, "optional_text", lambda source, key: source[key]),
        spelled([draft("refused", reason=["x"], tag="ab" * 16, count=1)]),
        "TypeError came out",
    ),
}


@pytest.mark.parametrize("what", list(BREAKS))
def test_a_breach_is_noticed(surface: Surface, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The deliberate breaks, each in the code of the hub itself."""
    module, name, instead, case, said = BREAKS[what]
    surface.outcome(case)
    monkeypatch.setattr(module, name, instead)
    with pytest.raises(BreachError, match=said):
        surface.outcome(case)
