"""Evidence whole: all that a decision looked at stands in its record, as replay reads it, and nobody's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.events import EndRequested, SnapshotActivated
from interlock.core.evidence import evidence, inputs_wire, rules_wire
from interlock.core.model import (
    Assurance,
    BadgeState,
    BadgeUse,
    Cache,
    Credit,
    DayUse,
    Demands,
    Enforcement,
    Entry,
    Fault,
    Inputs,
    Level,
    LocalGrant,
    MemberStatus,
    Needs,
    Now,
    Presented,
    Reason,
    Reservation,
    Right,
    Rules,
    Schedule,
)
from interlock.core.states import Recovered
from tests.core.rig import ADA, CACHE, HOLD, QUIET, TAP, TRAINEE, TRAINER, WALL_AT, Rig, enabled
from tests.core.test_outputs import GUARDED
from tests.core.test_people import BRIEF, supervised

pytestmark = pytest.mark.fast

DAY_S = 86_400
EVENINGS = Schedule("evenings", ((0, 600), (1_440, 2_040)))
MEMBER = Entry(
    tag=b"\x21" * 16,
    member="m-eva",
    language="nl",
    name="Eva",
    badge=BadgeState.ACTIVE,
    status=MemberStatus.SUSPENDED,
    member_until_at=WALL_AT + 7,
    rights=(
        Right("lathe", Level.TRAINER, 1, 2, 3),
        Right("saw", Level.SUPERVISED, WALL_AT - 3, WALL_AT + 4, WALL_AT + 5),
    ),
    technician=True,
    hours="evenings",
    credit=Credit.LOW,
)
RICH = Rules(
    badge_use=BadgeUse.HOLD,
    enforcement=Enforcement.WARN_ONLY,
    min_assurance=Assurance.AES,
    second_person=True,
    max_offline_s=1_234,
    start_deadline_ms=1_500,
    supervise_s=77,
    demands=Demands(
        trainings=("saw", "dust"),
        needs=Needs.ANY,
        locked_out=True,
        daily_limit_s=3_600,
        hours="mornings",
        schedules=(Schedule("mornings", ()), EVENINGS),
        offsets=((0, 0), (WALL_AT - 9, 3_600), (WALL_AT + 9, 7_200), (WALL_AT + 9 * DAY_S, 0)),
        reservations=(
            Reservation(WALL_AT - 50, WALL_AT - 40, "m-old"),
            Reservation(WALL_AT - 5, WALL_AT + 5, "m-bob"),
        ),
    ),
)
RULES_WIRE = {
    "badge_use": "hold",
    "trainings": ["saw", "dust"],
    "needs": "any",
    "locked_out": True,
    "min_assurance": "aes",
    "max_offline_s": 1_234,
    "start_deadline_ms": 1_500,
    "enforcement": "warn_only",
    "second_person": True,
    "supervise_s": 77,
    "daily_limit_s": 3_600,
    "offsets": [[WALL_AT - 9, 3_600], [WALL_AT + 9, 7_200]],
    "schedule": {"name": "evenings", "windows": [[0, 600], [1_440, 2_040]]},
    "reservation": {"from_at": WALL_AT - 5, "until_at": WALL_AT + 5, "member": "m-bob"},
}
QUIET_WIRE: dict[str, Any] = {
    "stop_pressed": False,
    "broken_pressed": False,
    "emergency_stop_closed": True,
    "mirror_closed": True,
    "machine_switch_on": None,
    "busy": False,
    "bypass_on": None,
    "long_job_pressed": False,
    "interlocks_closed": [],
}
NOW = Now(10_500, WALL_AT, wall_trusted=True)
UNTRUSTED = replace(NOW, wall_trusted=False)


def arrived(entry: Entry | None = MEMBER, **changes: Any) -> Presented:
    tag = b"\xff" * 16 if entry is None else entry.tag
    return replace(Presented(tag, 10_400, Assurance.AES, entry, Cache((3, 44), 55)), **changes)


def at_rest(rules: Rules = RICH, **changes: Any) -> Rig:
    rig = Rig(**changes)
    rig.state = replace(rig.state, rules=rules)
    return rig


def test_an_entry_goes_over_the_wire_whole_and_under_the_names_it_always_had() -> None:
    assert MEMBER.to_wire() == {
        "tag": "21" * 16,
        "member": "m-eva",
        "language": "nl",
        "name": "Eva",
        "badge": "active",
        "status": "suspended",
        "member_until_at": WALL_AT + 7,
        "technician": True,
        "hours": "evenings",
        "credit": "low",
        "rights": [
            {
                "training": "lathe",
                "level": "trainer",
                "since_at": 1,
                "until_at": 2,
                "lapses_at": 3,
            },
            {
                "training": "saw",
                "level": "supervised",
                "since_at": WALL_AT - 3,
                "until_at": WALL_AT + 4,
                "lapses_at": WALL_AT + 5,
            },
        ],
    }


def test_a_grant_is_a_right_to_work_alone_from_its_beginning_to_its_end() -> None:
    grant = LocalGrant("m-eva", "saw", 11, 22, record="1.7")
    assert grant.as_right() == Right("saw", Level.ALONE, 11, 22, None)


def test_the_rules_of_a_decision_are_those_of_this_person_at_this_hour_and_all_of_them() -> None:
    assert rules_wire(RICH, MEMBER, NOW) == RULES_WIRE
    nobody = rules_wire(RICH, None, replace(NOW, wall_at=None))
    assert nobody == {**RULES_WIRE, "offsets": [], "schedule": None, "reservation": None}
    the_machines = rules_wire(RICH, replace(MEMBER, hours=None), NOW)
    assert the_machines["schedule"] == {"name": "mornings", "windows": []}
    unheard_of = rules_wire(RICH, replace(MEMBER, hours="nobody described it"), NOW)
    assert unheard_of["schedule"] == {"name": "nobody described it", "windows": []}
    assert rules_wire(RICH, replace(MEMBER, member="m-bob"), NOW)["reservation"] is None
    assert rules_wire(TAP, ADA, NOW) == {
        "badge_use": "tap",
        "trainings": [],
        "needs": "all",
        "locked_out": False,
        "min_assurance": "uid",
        "max_offline_s": 7 * DAY_S,
        "start_deadline_ms": 2_000,
        "enforcement": "enforce",
        "second_person": False,
        "supervise_s": 1_800,
        "daily_limit_s": None,
        "offsets": [],
        "schedule": None,
        "reservation": None,
    }


def test_every_level_is_recorded_under_its_own_name() -> None:
    inputs = Inputs(True, True, False, False, True, True, True, True, (True, None, False))
    assert inputs_wire(inputs) == {
        "stop_pressed": True,
        "broken_pressed": True,
        "emergency_stop_closed": False,
        "mirror_closed": False,
        "machine_switch_on": True,
        "busy": True,
        "bypass_on": True,
        "long_job_pressed": True,
        "interlocks_closed": [True, None, False],
    }


GRANT = LocalGrant("m-eva", "saw", 11, 22, record="1.7", clonable=False)
OTHERS = LocalGrant("m-bob", "saw", 11, 22)


def test_evidence_holds_all_that_was_looked_at_and_neither_name_nor_a_right_nobody_asked_for() -> (
    None
):
    used = DayUse(9, (("m-bob", 1), ("m-eva", 4_321)))
    rig = at_rest(recovered=Recovered(grants=(OTHERS, GRANT), day_use=used))
    asked = {**MEMBER.to_wire(), "name": None, "rights": MEMBER.to_wire()["rights"][1:]}
    assert evidence(rig.state, arrived(), NOW) == {
        "state": "locked",
        "situation": None,
        "tag": "21" * 16,
        "entry": asked,
        "trouble": None,
        "code": None,
        "rules": RULES_WIRE,
        "grants": [
            {
                "member": "m-eva",
                "training": "saw",
                "since_at": 11,
                "until_at": 22,
                "record": "1.7",
                "clonable": False,
                "delivered": False,
            }
        ],
        "day_use": [9, 4_321],
        "snapshot": [3, 44],
        "age_s": 55,
        "assurance": "aes",
        "inputs": QUIET_WIRE,
        "yes": False,
        "obstacle": ["MACHINE_LOCKED_OUT", None],
        "gate_ms": 10_000,
        "seen_ms": 10_400,
        "boot_ms": 10_500,
        "wall_at": WALL_AT,
        "wall_trusted": True,
        "reader_trouble": False,
        "journal_trouble": False,
    }


def test_a_stranger_s_evidence_is_the_card_and_what_was_wrong_with_it() -> None:
    rig = at_rest(
        replace(GUARDED, demands=Demands(("saw",))),
        recovered=Recovered(grants=(OTHERS,), day_use=DayUse(9, (("m-bob", 1),))),
    )
    rig.sample(long_job_pressed=True)
    rig.state = replace(rig.state, reader_trouble="silent")
    stranger = arrived(
        *(None,),
        assurance=Assurance.UID,
        cache=Cache(None, 0),
        trouble=Reason.BADGE_NOT_GENUINE,
        code="7K2M",
    )
    seen = evidence(rig.state, stranger, replace(UNTRUSTED, wall_at=None))
    whole = evidence(Rig(TAP).state, arrived(ADA, assurance=Assurance.UID), UNTRUSTED)
    assert seen == {
        **whole,
        "tag": "ff" * 16,
        "entry": None,
        "trouble": "BADGE_NOT_GENUINE",
        "code": "7K2M",
        "rules": rules_wire(rig.state.rules, None, replace(UNTRUSTED, wall_at=None)),
        "grants": [],
        "day_use": [9, 0],
        "snapshot": None,
        "age_s": 0,
        "inputs": {**QUIET_WIRE, "long_job_pressed": True},
        "yes": True,
        "obstacle": ["INTERLOCK_OPEN", "lid"],
        "wall_at": None,
        "wall_trusted": False,
        "reader_trouble": True,
        "journal_trouble": False,
    }
    rig.state = replace(rig.state, journal_trouble="disk full")
    dead = evidence(rig.state, stranger, UNTRUSTED)
    assert (dead["obstacle"], dead["journal_trouble"]) == (["CANNOT_RECORD", None], True)


# ------------------------------------------------------------------------------------ whose the machine is


def _starting() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    return rig


def _waiting() -> Rig:
    rig = Rig(BRIEF)
    rig.arrive(TRAINEE)
    return rig


def _teaching() -> Rig:
    rig = Rig(HOLD)
    rig.arrive(TRAINER)
    rig.pass_ms(100)
    rig.give(SnapshotActivated(Cache((2, 7)), Demands(("saw",))))
    return rig


def _together() -> Rig:
    rig = Rig(replace(BRIEF, second_person=True, long_jobs=True))
    rig.arrive(ADA)
    rig.arrive(TRAINER)
    rig.pass_ms(100)
    return rig


def _long_job() -> Rig:
    rig = enabled(replace(TAP, long_jobs=True))
    rig.sample(long_job_pressed=True)
    return rig


def _ending() -> Rig:
    rig = supervised()
    rig.sample(busy=True)
    rig.give(EndRequested())
    return rig


def _unknown_list() -> Rig:
    rig = Rig(replace(TAP, enforcement=Enforcement.WARN_ONLY))
    rig.arrive(None, cache=Cache(None))
    rig.give(SnapshotActivated(Cache(None), Demands()))
    return rig


HOLDER: dict[str, Any] = {
    "member": "m-ada",
    "tag": "01" * 16,
    "trains": [],
    "supervisor": None,
    "second": None,
    "trainings": [],
}
SESSION = {
    **HOLDER,
    "record": "1.1",
    "enabled_ms": 10_021,
    "version": [1, 1],
    "snapshot": [1, 1],
    "long_job": False,
    "ending": None,
}
TAUGHT = {"member": "m-tin", "tag": "05" * 16, "supervisor": "m-tra", "trainings": ["saw"]}
TEACHES = {"member": "m-tra", "tag": "06" * 16, "trains": ["saw"]}

SITUATIONS: dict[str, tuple[Callable[[], Rig], dict[str, Any] | None]] = {
    "locked": (Rig, None),
    "locked_out": (lambda: Rig(recovered=Recovered(locked_out=True)), None),
    "fault": (
        lambda: Rig(recovered=Recovered(frozenset(Fault), locked_out=True)),
        {
            "faults": ["contactor_failed", "contactor_welded", "unexpected_start"],
            "locked_out": True,
        },
    ),
    "starting": (_starting, HOLDER),
    "enabled": (enabled, SESSION),
    "enabled, by a trainer, with a newer list": (
        _teaching,
        {**SESSION, **TEACHES, "snapshot": [2, 7]},
    ),
    "enabled, two": (_together, {**SESSION, "enabled_ms": 10_022, "second": "m-tra"}),
    "enabled, a long job": (_long_job, {**SESSION, "long_job": True}),
    "enabled, nobody known": (
        _unknown_list,
        {**SESSION, "member": None, "tag": "ff" * 16, "version": None, "snapshot": None},
    ),
    "ending": (_ending, {**SESSION, **TAUGHT, "enabled_ms": 10_222, "ending": "hub_request"}),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_whose_the_machine_is_stands_whole_in_what_somebody_else_is_refused_for(name: str) -> None:
    build, expected = SITUATIONS[name]
    seen = evidence(build().state, arrived(), NOW)
    assert seen["situation"] == expected
    assert seen["state"] == name.split(",", maxsplit=1)[0]


def test_who_waits_is_kept_with_all_that_they_were_refused_upon() -> None:
    rig = _waiting()
    first = Presented(TRAINEE.tag, rig.ms, Assurance.UID, TRAINEE, CACHE)
    before = evidence(Rig(BRIEF).state, first, rig.now)
    assert evidence(rig.state, arrived(TRAINER), NOW)["situation"] == {
        "first": before,
        "reason": "NEEDS_SUPERVISOR",
    }


def test_levels_of_a_machine_that_waits_are_those_of_the_last_sample() -> None:
    rig = Rig(inputs=replace(QUIET, machine_switch_on=True))
    assert evidence(rig.state, arrived(), NOW)["inputs"] == {
        **QUIET_WIRE,
        "machine_switch_on": True,
    }


def test_a_machine_that_works_for_its_session_stands_in_nobody_s_way() -> None:
    """Closed contacts and a current are the session's own: neither is why somebody else is refused."""
    rig = enabled()
    rig.sample(busy=True)
    assert evidence(rig.state, arrived(), NOW)["obstacle"] is None
    rig.sample(emergency_stop_closed=None, machine_switch_on=True)
    assert evidence(rig.state, arrived(), NOW)["obstacle"] == ["MACHINE_SWITCH_ON", None]
