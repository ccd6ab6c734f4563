"""Every refusal whole, wherever it falls: reason, language, what is missing, what is named, whose record it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.effects import Message, ReportRefusal
from interlock.core.events import (
    BadgeFound,
    BadgeRemoved,
    EndRequested,
    JournalFailed,
    ReaderFailed,
    SeveralBadgesSeen,
    SnapshotActivated,
)
from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Credit,
    Demands,
    Enforcement,
    Entry,
    Fault,
    Granted,
    MemberStatus,
    Reason,
    Refusal,
)
from interlock.core.states import Company, EnabledFacts, Notice, Recovered, State
from tests.core.rig import ADA, BEN, CACHE, HOLD, QUIET, TAP, TECHNICIAN, TRAINEE, TRAINER, Rig
from tests.core.rig import UNTRAINED as FRENCH
from tests.core.test_extraction import AIR_FLOW, AIRED
from tests.core.test_outputs import GUARDED
from tests.core.test_people import BRIEF, TOGETHER, supervised
from tests.core.test_promises import SAW

pytestmark = pytest.mark.fast

NEW = replace(FRENCH, language="de")
R = Reason
STALE = Cache((1, 1), TAP.max_offline_s + 1)
LENIENT = replace(TAP, enforcement=Enforcement.WARN_ONLY)


def _rest(**levels: bool) -> Rig:
    rig = Rig()
    rig.sample(**levels)
    return rig


def _locked_out() -> Rig:
    return Rig(recovered=Recovered(locked_out=True))


def _locked_out_for_proved_badges() -> Rig:
    return Rig(replace(TAP, min_assurance=Assurance.AES), recovered=Recovered(locked_out=True))


def _faulty() -> Rig:
    return Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_WELDED})))


def _busy() -> Rig:
    rig = Rig()
    rig.arrive(ADA)
    rig.sample(busy=True)
    return rig


def _starting() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    return rig


def _unmetered() -> Rig:
    rig = Rig(inputs=replace(QUIET, bypass_on=True, mirror_closed=False))
    rig.pass_ms(200)
    return rig


def _waiting() -> Rig:
    rig = Rig(BRIEF)
    rig.arrive(TRAINEE)
    return rig


def _together() -> Rig:
    rig = Rig(TOGETHER)
    rig.arrive(ADA)
    return rig


def _missing() -> Rig:
    rig = Rig(HOLD)
    rig.arrive(ADA)
    rig.pass_ms(100)
    rig.give(BadgeRemoved())
    return rig


def _ending() -> Rig:
    rig = _busy()
    rig.give(EndRequested())
    return rig


def _yes() -> Rig:
    rig = supervised()
    rig.sample(long_job_pressed=True)
    return rig


def _hub_locked() -> Rig:
    rig = Rig()
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), locked_out=True)))
    return rig


def _no_journal(rig: Rig) -> Rig:
    rig.give(JournalFailed("disk full"))
    return rig


def _no_reader() -> Rig:
    rig = Rig()
    rig.give(ReaderFailed("silent"))
    return rig


def _open() -> Rig:
    return Rig(GUARDED, inputs=replace(QUIET, interlocks_closed=(False,)))


def _supervisor_unlearnt() -> Rig:
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, Demands(("lathe",))))
    return rig


BLOCKED, SUSPENDED = BadgeState.BLOCKED, MemberStatus.SUSPENDED
FALSE = {"trouble": R.BADGE_NOT_GENUINE}
AES = {"assurance": Assurance.AES}

REFUSED: dict[str, tuple[Callable[[], Rig], Entry | None, Mapping[str, object], Refusal]] = {
    "untrained": (Rig, NEW, {}, Refusal(R.NOT_TRAINED, "de", "saw")),
    "unknown": (Rig, None, {"code": "7K2M"}, Refusal(R.UNKNOWN_BADGE, detail="7K2M")),
    "known, whatever code": (Rig, NEW, {"code": "7K2M"}, Refusal(R.NOT_TRAINED, "de", "saw")),
    "unknown, old list": (Rig, None, {"cache": STALE}, Refusal(R.CACHE_STALE)),
    "old list": (Rig, TRAINER, {"cache": STALE}, Refusal(R.CACHE_STALE, "it")),
    "false": (Rig, TRAINER, FALSE, Refusal(R.BADGE_NOT_GENUINE, "it")),
    "false, unknown": (Rig, None, FALSE, Refusal(R.BADGE_NOT_GENUINE)),
    "held up": (Rig, TRAINER, {"ago_ms": 5_000}, Refusal(R.PRESENT_AGAIN, "it")),
    "no reader": (_no_reader, TRAINER, {}, Refusal(R.PRESENT_AGAIN, "it")),
    "no journal": (lambda: _no_journal(Rig()), TRAINER, {}, Refusal(R.CANNOT_RECORD, "it")),
    "stopped": (
        *(lambda: _rest(emergency_stop_closed=False), TRAINER, {}),
        Refusal(R.EMERGENCY_STOP, "it"),
    ),
    "stopped, with a trainee": (
        *(lambda: _rest(emergency_stop_closed=False), TRAINEE, {}),
        Refusal(R.EMERGENCY_STOP, "de"),
    ),
    "switch on": (
        *(lambda: _rest(machine_switch_on=True), TRAINER, {}),
        Refusal(R.MACHINE_SWITCH_ON, "it"),
    ),
    "lid open": (_open, TRAINER, {}, Refusal(R.INTERLOCK_OPEN, "it", detail="lid")),
    "lid open, with a trainee": (
        *(_open, TRAINEE, {}),
        Refusal(R.INTERLOCK_OPEN, "de", detail="lid"),
    ),
    "locked out": (_locked_out, TRAINER, {}, Refusal(R.MACHINE_LOCKED_OUT, "it")),
    "locked out by the hub": (_hub_locked, TRAINER, {}, Refusal(R.MACHINE_LOCKED_OUT, "it")),
    "locked out, unknown": (
        *(_locked_out, None, {"code": "7K2M"}),
        Refusal(R.UNKNOWN_BADGE, detail="7K2M"),
    ),
    "locked out, false": (_locked_out, TECHNICIAN, FALSE, Refusal(R.BADGE_NOT_GENUINE, "fr")),
    "fault": (_faulty, TRAINER, {}, Refusal(R.MACHINE_FAULT, "it")),
    "fault, clonable technician": (
        *(_faulty, TECHNICIAN, {}),
        Refusal(R.BADGE_NOT_SECURE_ENOUGH, "fr"),
    ),
    "locked out, old list": (
        _locked_out,
        TECHNICIAN,
        {"cache": STALE},
        Refusal(R.CACHE_STALE, "fr"),
    ),
    "locked out, no list": (_locked_out, TECHNICIAN, {"cache": Cache()}, Refusal(R.NO_CACHE)),
    "locked out, blocked technician": (
        *(_locked_out, replace(TECHNICIAN, badge=BLOCKED), {}),
        Refusal(R.BADGE_BLOCKED, "fr"),
    ),
    "locked out, suspended technician": (
        *(_locked_out, replace(TECHNICIAN, status=SUSPENDED), {}),
        Refusal(R.MEMBER_SUSPENDED, "fr"),
    ),
    "locked out, technician's badge too weak": (
        *(_locked_out_for_proved_badges, TECHNICIAN, {}),
        Refusal(R.BADGE_NOT_SECURE_ENOUGH, "fr"),
    ),
    "fault, blocked technician": (
        *(_faulty, replace(TECHNICIAN, badge=BLOCKED), AES),
        Refusal(R.BADGE_BLOCKED, "fr"),
    ),
    "starting": (_starting, TRAINER, {}, Refusal(R.MACHINE_IN_USE, "it")),
    "starting, false": (_starting, ADA, FALSE, Refusal(R.BADGE_NOT_GENUINE, "fr")),
    "in use": (_busy, TRAINER, {}, Refusal(R.MACHINE_IN_USE, "it")),
    "in use, unknown": (_busy, None, {}, Refusal(R.MACHINE_IN_USE)),
    "in use, false": (_busy, TRAINER, FALSE, Refusal(R.BADGE_NOT_GENUINE, "it")),
    "ending, false": (_ending, TRAINER, FALSE, Refusal(R.BADGE_NOT_GENUINE, "it")),
    "ending on request": (_ending, TRAINER, {}, Refusal(R.MACHINE_IN_USE, "it")),
    "powered by the key": (_unmetered, TRAINER, {}, Refusal(R.MACHINE_IN_USE, "it")),
    "handover to the untrained": (
        *(lambda: supervised(BRIEF), NEW, {}),
        Refusal(R.NOT_TRAINED, "de", "saw"),
    ),
    "handover to a trainee of nobody": (
        *(lambda: supervised(BRIEF), replace(TRAINEE, member="m-two", tag=b"\x07" * 16), {}),
        Refusal(R.MACHINE_IN_USE, "de"),
    ),
    "beside, no trainer": (_waiting, ADA, {}, Refusal(R.MACHINE_IN_USE, "fr")),
    "beside, unknown": (
        *(_waiting, None, {"code": "7K2M"}),
        Refusal(R.UNKNOWN_BADGE, detail="7K2M"),
    ),
    "beside, old list": (_waiting, TRAINER, {"cache": STALE}, Refusal(R.CACHE_STALE, "it")),
    "beside, second, old list": (_together, BEN, {"cache": STALE}, Refusal(R.CACHE_STALE, "en")),
    "beside, membership over": (
        *(_together, replace(TRAINER, member_until_at=1), {}),
        Refusal(R.MEMBERSHIP_EXPIRED, "it"),
    ),
    "beside, blocked": (
        *(_together, replace(TRAINER, badge=BLOCKED), {}),
        Refusal(R.BADGE_BLOCKED, "it"),
    ),
    "supervisor who teaches it no more": (
        *(_supervisor_unlearnt, TRAINER, {}),
        Refusal(R.MACHINE_IN_USE, "it"),
    ),
    "back, but suspended": (
        *(_missing, replace(ADA, status=SUSPENDED), {}),
        Refusal(R.MEMBER_SUSPENDED, "fr"),
    ),
    "only warned, but blocked behind an old list": (
        *(lambda: Rig(LENIENT), replace(TRAINER, badge=BLOCKED), {"cache": STALE}),
        Refusal(R.BADGE_BLOCKED, "it"),
    ),
    "grant without a midnight": (_yes, TRAINER, {}, Refusal(R.CLOCK_UNTRUSTED, "it")),
    "grant, old list": (_yes, TRAINER, {**AES, "cache": STALE}, Refusal(R.CACHE_STALE, "it")),
    "grant, no journal": (
        *(lambda: _no_journal(_yes()), TRAINER, AES),
        Refusal(R.CANNOT_RECORD, "it"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_is_told_whole_and_reported_whole_and_gives_no_power(name: str) -> None:
    build, entry, how, refusal = REFUSED[name]
    rig = build()
    before = (list(rig.relay), rig.at())
    effects = rig.arrive(entry, **how)  # type: ignore[arg-type]
    assert rig.state.notice == _notice(rig, refusal)
    (report,) = [e for e in effects if isinstance(e, ReportRefusal)]
    body = dict(report.body)
    assert body.pop("evidence")["tag"] == body["tag"]
    assert body == {
        "reason": refusal.reason.value,
        "tag": (b"\xff" * 16 if entry is None else entry.tag).hex(),
        "member": None if entry is None else entry.member,
        "training": refusal.training,
        "detail": refusal.detail,
        "count": 1,
    }
    assert (rig.relay, rig.at()) == before
    assert rig.written("training_granted") == []


def _notice(rig: Rig, refusal: Refusal) -> Notice:
    return Notice(
        *(Message.REFUSED, rig.ms, rig.ms + TAP.notice_s * 1_000, refusal.language, refusal.reason),
        training=refusal.training,
        detail=refusal.detail,
    )


def test_several_badges_at_once_are_reported_as_nobodys() -> None:
    rig = Rig()
    (report,) = [e for e in rig.give(SeveralBadgesSeen()) if isinstance(e, ReportRefusal)]
    assert report.body == {
        "reason": "SEVERAL_BADGES",
        "tag": None,
        "member": None,
        "training": None,
        "detail": None,
        "count": 1,
        "evidence": None,
    }
    assert rig.state.notice == _notice(rig, Refusal(R.SEVERAL_BADGES))


# --------------------------------------------------------------- told on the screen, and no badge's refusal


def _answered(rig: Rig, *, failed: bool = False) -> Rig:
    rig.answer(rig.asked("session_started"), failed=failed)
    return rig


def _start_fails() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(TRAINER)
    return _answered(rig, failed=True)


def _start_is_slow() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(TRAINER)
    rig.ms += TAP.start_deadline_ms
    rig.sample()
    return rig


def _journal_dies_while_starting() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(TRAINER)
    return _no_journal(rig)


def _stopped_before_power() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(TRAINER)
    rig.sample(machine_switch_on=True)
    return _answered(rig)


def _air_never_flows() -> Rig:
    rig = Rig(replace(AIRED, interlocks=(AIR_FLOW,)))
    rig.arrive(TRAINER)
    rig.pass_ms(AIRED.pre_run_s * 1_000)
    return rig


def _lid_opens_while_starting() -> Rig:
    rig = Rig(GUARDED, inputs=replace(QUIET, interlocks_closed=(True,)), durable=False)
    rig.arrive(TRAINER)
    rig.sample(interlocks_closed=(False,))
    return rig


def _rights_change_while_starting() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(TRAINER)
    rig.give(SnapshotActivated(Cache((1, 2)), Demands(("saw",))))
    return _answered(rig)


def _rights_change_while_waiting() -> Rig:
    rig = _waiting()
    newer = Cache((1, 2))
    rig.give(SnapshotActivated(newer, Demands(("saw",))))
    rig.arrive(TRAINER, cache=newer)
    return rig


def _stopped_while_waiting() -> Rig:
    rig = _waiting()
    rig.sample(machine_switch_on=True)
    rig.arrive(TRAINER)
    return rig


def _nobody_comes() -> Rig:
    rig = _waiting()
    rig.ms += BRIEF.second_wait_s * 1_000
    rig.sample()
    return rig


def _nobody_comes_second() -> Rig:
    rig = _together()
    rig.ms += TOGETHER.second_wait_s * 1_000
    rig.sample()
    return rig


def _grant_fails() -> Rig:
    rig = _yes()
    rig.durable = False
    rig.give(SnapshotActivated(CACHE, SAW))
    rig.arrive(TRAINER, assurance=Assurance.AES)
    rig.answer(rig.asked("training_granted"), failed=True)
    return rig


def _badge_found() -> Rig:
    rig = Rig()
    rig.give(BadgeFound())
    return rig


TOLD: dict[str, tuple[Callable[[], Rig], Refusal]] = {
    "a start that fails": (_start_fails, Refusal(R.CANNOT_RECORD, "it")),
    "a start that is slow": (_start_is_slow, Refusal(R.CANNOT_RECORD, "it")),
    "a journal that dies": (_journal_dies_while_starting, Refusal(R.CANNOT_RECORD, "it")),
    "a switch turned on": (_stopped_before_power, Refusal(R.MACHINE_SWITCH_ON, "it")),
    "no air": (_air_never_flows, Refusal(R.INTERLOCK_OPEN, "it", detail=AIR_FLOW.name)),
    "a lid opened": (_lid_opens_while_starting, Refusal(R.INTERLOCK_OPEN, "it", detail="lid")),
    "other rights": (_rights_change_while_starting, Refusal(R.PRESENT_AGAIN, "it")),
    "other rights, waiting": (_rights_change_while_waiting, Refusal(R.PRESENT_AGAIN, "de")),
    "a switch, waiting": (_stopped_while_waiting, Refusal(R.MACHINE_SWITCH_ON, "de")),
    "no trainer came": (_nobody_comes, Refusal(R.NEEDS_SUPERVISOR, "de", "saw")),
    "no second came": (_nobody_comes_second, Refusal(R.NEEDS_SECOND_PERSON, "fr")),
    "a grant that fails": (_grant_fails, Refusal(R.CANNOT_RECORD, "de")),
    "a badge that lay there": (_badge_found, Refusal(R.PRESENT_AGAIN)),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_comes_to_nothing_later_is_told_in_the_language_of_whom_it_was_for(name: str) -> None:
    build, refusal = TOLD[name]
    rig = build()
    assert rig.state.notice == _notice(rig, refusal)
    assert rig.at() is (State.ENABLED if "grant" in name else State.LOCKED)


def test_a_journal_that_dies_while_starting_is_remembered_with_what_it_said() -> None:
    assert _journal_dies_while_starting().state.journal_trouble == "disk full"
    assert _start_is_slow().state.journal_trouble is not None


def test_company_is_no_handover_and_a_false_badge_of_it_is_refused_all_the_same() -> None:
    rig = _together()
    rig.arrive(BEN)
    assert isinstance(rig.state.facts, EnabledFacts)
    assert rig.state.facts.session.company == Company(second="m-ben")
    rig.arrive(BEN)
    assert (rig.refusals(), rig.state.facts.session.granted.member) == ([], "m-ada")
    rig.arrive(BEN, trouble=R.BADGE_NOT_GENUINE)
    assert rig.refusals() == ["BADGE_NOT_GENUINE"]


def test_whoever_may_is_granted_whole_with_what_they_teach_and_the_list_that_said_so() -> None:
    said: dict[str, Any] = {"version": (1, 1)}
    table: list[tuple[Rig, Entry | None, Granted]] = [
        (Rig(), ADA, Granted("m-ada", "fr", "Ada", ADA.tag, **said)),
        (Rig(), TRAINER, Granted("m-tra", "it", "Tra", TRAINER.tag, trains=("saw",), **said)),
        (
            *(Rig(), replace(ADA, credit=Credit.LOW)),
            Granted("m-ada", "fr", "Ada", ADA.tag, low_credit=True, **said),
        ),
        (
            *(Rig(LENIENT), NEW),
            Granted("m-new", "de", "New", NEW.tag, would_refuse=R.NOT_TRAINED, **said),
        ),
        (
            *(Rig(LENIENT), None),
            Granted(None, None, None, b"\xff" * 16, would_refuse=R.UNKNOWN_BADGE, **said),
        ),
    ]
    for rig, entry, granted in table:
        rig.arrive(entry)
        assert isinstance(rig.state.facts, EnabledFacts)
        assert rig.state.facts.session.granted == granted
