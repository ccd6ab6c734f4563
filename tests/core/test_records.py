"""Every record's body whole, in the order of a life: what the hub bills, shows and answers questions from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.effects import WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    CutRequested,
    EndRequested,
    FaultCleared,
    JournalFailed,
    ReaderFailed,
    SeveralBadgesSeen,
    SnapshotActivated,
    TerminationRequested,
)
from interlock.core.model import Assurance, Enforcement, Fault, Interlock
from interlock.core.sensing import KEY_BOUNCE_MS
from interlock.core.states import Recovered, State
from tests.core.rig import (
    ADA,
    BEN,
    CACHE,
    HOLD,
    QUIET,
    TAP,
    TECHNICIAN,
    TRAINEE,
    TRAINER,
    Rig,
    enabled,
)
from tests.core.test_people import BRIEF, supervised
from tests.core.test_promises import SAW

pytestmark = pytest.mark.fast

LID = Interlock("lid", permit_after_ms=0)


def history(rig: Rig) -> list[tuple[str, dict[str, Any]]]:
    """Every record asked for, oldest first; of evidence only whose badge it saw (`test_evidence` has the rest)."""
    writes = [effect for effect in rig.effects if isinstance(effect, WriteRecord)]
    assert [one.ticket for one in writes] == list(range(1, len(writes) + 1))
    bodies = [(one.type, dict(one.body)) for one in writes]
    for _, body in bodies:
        if "evidence" in body:
            body["evidence"] = body["evidence"]["entry"] and body["evidence"]["entry"]["member"]
    return bodies


def started(by: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    tags = {"m-ada": "01", "m-ben": "02", "m-tin": "05", "m-tra": "06", None: "ff"}
    body = {
        "member": by,
        "tag": tags[changes.get("member", by)] * 16,
        "badge_use": "tap",
        "supervisor": None,
        "second": None,
        "would_refuse": None,
        "evidence": by,
    }
    return "session_started", {**body, **changes}


def used(session: str, enabled_ms: int, busy_ms: int = 0) -> dict[str, Any]:
    return {
        "session": session,
        "enabled_ms": enabled_ms,
        "busy_ms": busy_ms,
        "idle_ms": enabled_ms - busy_ms,
    }


def ended(session: str, how: str, enabled_ms: int, busy_ms: int = 0) -> tuple[str, dict[str, Any]]:
    return "session_ended", {**used(session, enabled_ms, busy_ms), "how": how, "estimated": False}


def test_a_session_is_recorded_from_badge_to_end_with_what_it_used() -> None:
    rig = Rig()
    rig.arrive(ADA)
    rig.ms += 1_000
    rig.sample(busy=True)
    rig.ms += 9_000
    rig.sample(busy=False)
    rig.ms += 499
    rig.arrive(ADA)
    assert history(rig) == [
        started("m-ada"),
        ("session_progress", used("1.1", 10_000, 9_000)),
        ended("1.1", "tap_off", 10_500, 9_000),
    ]


def test_under_a_daily_limit_the_day_is_recorded_with_what_was_counted_to_it() -> None:
    rig = Rig(HOLD)
    rig.give(SnapshotActivated(CACHE, replace(SAW, daily_limit_s=3_600)))
    rig.arrive(ADA)
    rig.ms += 10_000
    rig.sample(busy=True)
    rig.sample(stop_pressed=True)
    day = (rig.now.wall_at or 0) // 86_400
    (_, start), (_, progress), (_, end) = history(rig)
    assert start == started("m-ada", badge_use="hold")[1]
    assert progress == {**used("1.1", 10_000), "day": day}
    assert end == {**ended("1.1", "stop_button", 10_000)[1], "day": day}


def test_trainee_trainer_grant_and_handover_leave_one_line_each() -> None:
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    at = rig.now.wall_at or 0
    rig.sample(long_job_pressed=False)
    rig.arrive(BEN)
    granted = {
        "member": "m-tin",
        "trainings": ["saw"],
        "by": "m-tra",
        "session": "1.1",
        "assurance": "aes",
        "since_at": at,
        "until_at": at + BRIEF.max_offline_s,
        "evidence": "m-tra",
    }
    assert history(rig) == [
        started("m-tra", member="m-tin", supervisor="m-tra"),
        ("supervision_confirmed", {"session": "1.1", "by": "m-tra", "evidence": "m-tra"}),
        ("training_granted", granted),
        ended("1.1", "handed_over", 102),
        started("m-ben"),
    ]


def test_two_people_strangers_and_long_jobs_are_recorded_as_such() -> None:
    together = Rig(replace(BRIEF, second_person=True))
    together.arrive(ADA)
    together.arrive(BEN)
    assert history(together) == [started("m-ben", member="m-ada", second="m-ben")]
    warned = Rig(replace(TAP, enforcement=Enforcement.WARN_ONLY))
    warned.arrive(None)
    assert history(warned) == [
        started("m-ada", member=None, evidence=None, would_refuse="UNKNOWN_BADGE")
    ]
    long = enabled(replace(TAP, long_jobs=True))
    long.sample(long_job_pressed=True)
    assert history(long)[1:] == [("long_job_declared", {"session": "1.1", "member": "m-ada"})]


def test_lock_outs_faults_and_the_key_are_recorded_with_who_and_for_how_long() -> None:
    rig = Rig()
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    rig.ms += 10
    rig.arrive(TECHNICIAN)
    assert history(rig) == [
        ("lock_out_set", {"source": "machine", "cause": "broken_pressed"}),
        ("lock_out_cleared", {"source": "machine", "by": "m-tec", "evidence": "m-tec"}),
    ]
    faulty = Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_FAILED, Fault.CONTACTOR_WELDED})))
    faulty.arrive(TECHNICIAN, assurance=Assurance.AES)
    assert history(faulty) == [
        ("fault_cleared", {"fault": "contactor_failed", "by": "m-tec", "evidence": "m-tec"}),
        ("fault_cleared", {"fault": "contactor_welded", "by": "m-tec", "evidence": "m-tec"}),
    ]
    afar = Rig(recovered=Recovered(frozenset({Fault.UNEXPECTED_START})))
    afar.give(FaultCleared("u-7"))
    assert history(afar) == [("fault_cleared", {"fault": "unexpected_start", "by": "u-7"})]
    keyed = Rig()
    keyed.sample(bypass_on=True, mirror_closed=False)
    keyed.pass_ms(5_000)
    keyed.sample(bypass_on=False, mirror_closed=True)
    keyed.pass_ms(200)
    began, over = (body for _, body in history(keyed))
    assert began == {"phase": "began", "session": None, "duration_ms": 0}
    assert over == {"phase": "ended", "session": None, "duration_ms": 5_000}


# ------------------------------------------------------- a start that is durable already, and then given up

AIRED = replace(TAP, pre_run_s=5, interlocks=(LID,))


def _pre_run(rig: Rig, changes: Callable[[Rig], object]) -> Rig:
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    assert rig.at() is State.STARTING
    changes(rig)
    rig.pass_ms(10_000)
    return rig


def _key(rig: Rig) -> None:
    rig.sample(bypass_on=True)
    rig.pass_ms(200)


def _weld(rig: Rig) -> None:
    rig.sample(mirror_closed=False)
    rig.pass_ms(1_000)


GIVEN_UP: dict[str, tuple[Callable[[Rig], object], dict[str, str]]] = {
    "end asked": (lambda rig: rig.give(EndRequested()), {"why": "abandoned"}),
    "cut": (lambda rig: rig.give(CutRequested()), {"why": "abandoned"}),
    "terminated": (lambda rig: rig.give(TerminationRequested()), {"why": "abandoned"}),
    "stop": (lambda rig: rig.sample(stop_pressed=True), {"why": "abandoned"}),
    "stop chain": (lambda rig: rig.sample(emergency_stop_closed=False), {"why": "abandoned"}),
    "broken": (lambda rig: rig.sample(broken_pressed=True), {"why": "abandoned"}),
    "welded": (_weld, {"why": "abandoned"}),
    "badge away": (lambda rig: rig.give(BadgeRemoved()), {"why": "abandoned"}),
    "two badges": (lambda rig: rig.give(SeveralBadgesSeen()), {"why": "abandoned"}),
    "reader dead": (lambda rig: rig.give(ReaderFailed("silent")), {"why": "abandoned"}),
    "journal dead": (lambda rig: rig.give(JournalFailed("full")), {"why": "CANNOT_RECORD"}),
    "key": (_key, {"why": "MACHINE_IN_USE"}),
    "switch": (lambda rig: rig.sample(machine_switch_on=True), {"why": "MACHINE_SWITCH_ON"}),
    "lid": (
        lambda rig: rig.sample(interlocks_closed=(False,)),
        {"why": "INTERLOCK_OPEN", "detail": "lid"},
    ),
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_a_start_given_up_in_the_pre_run_gives_no_power_and_is_voided_once_with_its_why(
    name: str,
) -> None:
    rules = replace(AIRED, badge_use=HOLD.badge_use)
    changes, why = GIVEN_UP[name]
    rig = _pre_run(Rig(rules, inputs=replace(QUIET, interlocks_closed=(True,))), changes)
    assert (rig.relay, rig.air_on) == ([], False)
    assert rig.written("session_voided") == [{"session": "1.1", **why}]
    assert rig.written("session_ended") == []


def test_all_that_happens_in_one_instant_is_recorded() -> None:
    """Key and button of one sample, and a report of progress that was due in it."""
    rig = enabled(inputs=replace(QUIET, bypass_on=False))
    session = rig.state.session
    assert session is not None
    rig.ms = session.next_progress_ms - KEY_BOUNCE_MS
    rig.sample(busy=True, bypass_on=True)
    rig.ms = session.next_progress_ms
    rig.sample(broken_pressed=True)
    assert rig.types() == ["session_started", "lock_out_set", "unmetered_use", "session_progress"]


def test_a_late_start_is_voided_once_however_often_it_is_answered() -> None:
    rig = Rig(durable=False)
    rig.arrive(TRAINEE)
    rig.arrive(TRAINER)
    rig.give(EndRequested())
    start = rig.asked("session_started")
    for _ in range(2):
        rig.answer(start)
    assert rig.written("session_voided") == [{"session": "1.1", "why": "abandoned"}]
    assert rig.state.abandoned == frozenset()
