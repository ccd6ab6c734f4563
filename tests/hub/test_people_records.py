"""What nodes record of the people at a machine, and of the machine itself, to what the hub knows of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from interlock.core.model import Ending
from interlock.hub import ingest
from interlock.hub.domain import members
from interlock.hub.models import (
    Alarm,
    AlarmKind,
    BadgeCondition,
    Commissioning,
    Line,
    Machine,
    Member,
    Node,
    Session,
    UnmeteredUse,
)
from interlock.protocol.records import RecordType
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000
STRANGER = "5e" * 16


class Told:
    """The small lab and its journal, delivered record by record as it is written."""

    def __init__(self) -> None:
        self.lab: SmallLab = small_lab()
        self.journal = Journal.of(self.lab.enrolled)
        self.sent = 0
        self.journal.anchor(WALL_MS)

    def write(self, kind: RecordType, **body: Any) -> str:
        return self.journal.write(kind, **body).id

    def start(self, **more: Any) -> str:
        body: dict[str, Any] = {
            "member": self.lab.member.public_id,
            "tag": bytes(self.lab.badge.tag).hex(),
            "badge_use": "tap",
            "supervisor": None,
            "second": None,
            "would_refuse": None,
            "evidence": {},
        }
        return self.write(RecordType.SESSION_STARTED, **(body | more))

    def deliver(self) -> None:
        # Everything once more: what was taken before has no effect.
        ingest.take(self.lab.enrolled.node, self.journal.wires(), settings.HUB_CLOCK)
        assert not Alarm.objects.filter(kind=AlarmKind.RECORD_UNREADABLE).exists()

    def machine(self) -> Machine:
        return Machine.objects.get(pk=self.lab.machine.pk)


def alarms() -> dict[str, str]:
    return dict(Alarm.objects.filter(closed_at=None).values_list("kind", "detail"))


def test_a_stranger_at_a_machine_that_only_warns_is_billed_to_nobody_and_has_to_be_checked() -> (
    None
):
    told = Told()
    started = told.start(member=None, tag=STRANGER, would_refuse="UNKNOWN_BADGE")
    told.journal.end(started, 3_600)
    told.deliver()
    session = Session.objects.get()
    assert (session.member, session.payer, session.badge) == (None, None, None)
    assert (session.would_refuse, session.how) == ("UNKNOWN_BADGE", "tap_off")
    assert session.enabled_ms == 3_600_000
    assert Line.objects.count() == 0
    assert list(alarms()) == ["session_to_check"]
    assert started in alarms()["session_to_check"]


def test_a_session_of_nobody_that_nothing_speaks_against_makes_no_sense() -> None:
    told = Told()
    told.start(member=None)
    ingest.take(told.lab.enrolled.node, told.journal.wires(), settings.HUB_CLOCK)
    assert list(alarms()) == ["record_unreadable"]
    assert Session.objects.count() == 0


def test_who_was_there_is_named_and_only_the_member_pays() -> None:
    told = Told()
    trainer = members.create_member(console(), told.lab.lab, "Tess Trainer")
    second = members.create_member(console(), told.lab.lab, "Sam Second")
    started = told.start(supervisor=trainer.public_id, second=second.public_id)
    for _ in range(3):
        told.write(RecordType.SUPERVISION_CONFIRMED, session=started, by=trainer.public_id)
    told.journal.end(started, 1_800, how=Ending.SUPERVISION_OVER)
    told.deliver()
    told.deliver()
    session = Session.objects.get()
    assert (session.supervisor, session.second, session.confirmations) == (trainer, second, 3)
    assert session.how == "supervision_over"
    line = Line.objects.get()
    assert (line.payer, line.cents) == (told.lab.member.payer, 600)
    assert alarms() == {}


def test_a_supervisor_the_hub_does_not_know_is_alarmed_and_the_session_still_counts() -> None:
    told = Told()
    started = told.start(supervisor="nobody")
    told.journal.end(started, 60)
    told.deliver()
    assert Session.objects.get().supervisor is None
    assert alarms() == {"member_unknown": f"{started}: nobody"}
    assert Line.objects.count() == 1


def test_endings_name_what_ended_them_and_a_long_job_is_one() -> None:
    told = Told()
    first = told.start()
    told.journal.end(first, 60, how=Ending.HANDED_OVER)
    second = told.start()
    told.write(RecordType.LONG_JOB_DECLARED, session=second, member=told.lab.member.public_id)
    told.write(
        RecordType.SESSION_ENDED,
        session=second,
        how="interlock_opened",
        enabled_ms=60_000,
        busy_ms=0,
        idle_ms=0,
        estimated=False,
        interlocks=["Lid", "Air flow"],
    )
    third = told.start()
    told.write(RecordType.SESSION_VOIDED, session=third, why="INTERLOCK_OPEN", detail="Extraction")
    told.deliver()
    found = Session.objects.order_by("seq").values_list(
        "how", "voided_why", "interlocks", "long_job"
    )
    assert list(found) == [
        ("handed_over", "", [], False),
        ("interlock_opened", "", ["Lid", "Air flow"], True),
        ("", "INTERLOCK_OPEN", ["Extraction"], False),
    ]
    assert told.machine().live_state == "free"


@pytest.mark.parametrize(
    ("condition", "kinds"),
    [
        (BadgeCondition.STOLEN, ["stolen_badge"]),
        (BadgeCondition.LOST, ["stolen_badge"]),
        (BadgeCondition.RETIRED, []),
    ],
)
def test_a_missing_badge_presented_is_an_alarm_and_a_retired_one_is_not(
    condition: BadgeCondition, kinds: list[str]
) -> None:
    told = Told()
    members.block_badge(console(), told.lab.badge, condition)
    tag = bytes(told.lab.badge.tag).hex()
    for _ in range(2):
        record = told.write(
            RecordType.REFUSED,
            reason="BADGE_BLOCKED",
            tag=tag,
            member=told.lab.member.public_id,
            training=None,
            detail=None,
            count=1,
            evidence=None,
        )
    told.deliver()
    assert list(alarms()) == kinds
    if kinds:
        alarm = Alarm.objects.get()
        assert alarm.badge == told.lab.badge
        assert record in alarm.detail
        assert told.lab.member.name not in alarm.detail


def test_a_machine_that_started_by_itself_is_a_fault_and_an_alarm() -> None:
    told = Told()
    record = told.write(RecordType.FAULT_RAISED, fault="unexpected_start")
    told.write(RecordType.FAULT_RAISED, fault="contactor_failed")
    told.deliver()
    assert told.machine().live_faults == ["contactor_failed", "unexpected_start"]
    assert alarms() == {"unexpected_start": record}


def bypass(told: Told, phase: str, duration_ms: int = 0) -> None:
    told.write(RecordType.UNMETERED_USE, phase=phase, session=None, duration_ms=duration_ms)
    told.deliver()


def test_the_bypass_key_shows_on_the_board_while_it_is_on_and_its_hours_are_kept() -> None:
    told = Told()
    told.write(RecordType.LOCK_OUT_SET, source="machine")
    bypass(told, "began")
    machine = told.machine()
    # A machine that can run is never called locked out.
    assert machine.live_state == "unmetered"
    assert machine.live_bypass_at is not None
    assert machine.live_since_at == machine.live_bypass_at
    assert list(alarms()) == ["bypass_used"]
    bypass(told, "ended", 5_400_000)
    machine = told.machine()
    assert (machine.live_state, machine.live_bypass_at) == ("locked_out", None)
    assert [one.duration_ms for one in UnmeteredUse.objects.all()] == [5_400_000]
    # Somebody looks at it: the alarm stays although the key is off.
    assert list(alarms()) == ["bypass_used"]


def test_a_power_cut_with_the_key_on_leaves_a_use_whose_end_nobody_knows() -> None:
    told = Told()
    bypass(told, "began")
    told.journal.reboot("boot-2")
    told.write(RecordType.BOOT, software="1", config_digest="a" * 64, clean=False)
    told.deliver()
    assert told.machine().live_state == "free"
    bypass(told, "began")
    bypass(told, "ended", 60_000)
    uses = UnmeteredUse.objects.order_by("seq").values_list("duration_ms", flat=True)
    assert list(uses) == [None, 60_000]


def test_one_batch_with_key_and_boot_ends_where_its_last_record_says() -> None:
    told = Told()
    told.write(RecordType.UNMETERED_USE, phase="began", session=None, duration_ms=0)
    told.journal.reboot("boot-2")
    told.write(RecordType.BOOT, software="1", config_digest="a" * 64, clean=False)
    told.deliver()
    assert told.machine().live_bypass_at is None


FINDINGS = [
    {"name": "contactor", "good": True, "measured": {"close_ms": 35, "open_ms": 20}},
    {"name": "stop_chain", "good": None, "measured": {}},
    {"name": "current", "good": False, "measured": {"idle_ma": -3}},
]


def test_a_commissioning_is_kept_with_every_finding_and_another_wiring_is_seen() -> None:
    told = Told()
    told.write(RecordType.BOOT, software="1", config_digest="a" * 64, clean=True)
    told.write(
        RecordType.COMMISSIONED,
        id="c1",
        by="Fatou Diallo",
        config="a" * 64,
        software="0.4",
        findings=FINDINGS,
    )
    told.deliver()
    node, done = Node.objects.get(), Commissioning.objects.get()
    assert (done.by, done.config_digest, done.software) == ("Fatou Diallo", "a" * 64, "0.4")
    assert done.findings == FINDINGS
    assert node.config_digest == done.config_digest
    told.write(RecordType.CONFIGURATION_CHANGED, digest="b" * 64, rules={})
    told.deliver()
    assert Node.objects.get().config_digest == "b" * 64


MALFORMED: dict[str, tuple[RecordType, dict[str, Any]]] = {
    "no findings": (RecordType.COMMISSIONED, {"by": "x", "config": "y", "software": "z"}),
    "a finding in words": (
        RecordType.COMMISSIONED,
        {"by": "x", "config": "y", "software": "z", "findings": [{"name": "a", "good": "yes"}]},
    ),
    "no phase": (RecordType.UNMETERED_USE, {"duration_ms": 0}),
    "ten years": (RecordType.UNMETERED_USE, {"phase": "ended", "duration_ms": 10**12}),
    "no session": (RecordType.SUPERVISION_CONFIRMED, {"by": "x"}),
    "a session that never was": (RecordType.LONG_JOB_DECLARED, {"session": "1.99"}),
    "grant without a member": (RecordType.TRAINING_GRANTED, {"trainings": [], "by": "x"}),
    "interlocks in one text": (
        RecordType.SESSION_ENDED,
        {
            "session": "1.2",
            "how": "interlock_opened",
            "enabled_ms": 9,
            "busy_ms": 0,
            "idle_ms": 0,
            "interlocks": "Lid",
        },
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_record_that_makes_no_sense_is_stored_alarmed_and_changes_nothing(name: str) -> None:
    told = Told()
    told.start()
    told.deliver()
    before = (Session.objects.values().get(), told.machine().live_state, Member.objects.count())
    kind, body = MALFORMED[name]
    told.write(kind, **body)
    taken = ingest.take(told.lab.enrolled.node, told.journal.wires(), settings.HUB_CLOCK)
    assert taken.head == told.journal.head
    assert list(alarms()) == ["record_unreadable"]
    after = (Session.objects.values().get(), told.machine().live_state, Member.objects.count())
    assert after == before
    assert (UnmeteredUse.objects.count(), Commissioning.objects.count()) == (0, 0)
