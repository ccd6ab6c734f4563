"""Every recorded decision is made again from its evidence; an altered one, or another core, is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlock import cli
from interlock.core import admission, hours, policy
from interlock.core.effects import Effect, ReportRefusal, WriteRecord
from interlock.core.events import BadgeRemoved, SeveralBadgesSeen, SnapshotActivated
from interlock.core.model import (
    Assurance,
    BadgeUse,
    Cache,
    Credit,
    Demands,
    Enforcement,
    Inputs,
    Interlock,
    Level,
    Now,
    Reason,
    Reservation,
    Right,
    Schedule,
)
from interlock.node.export import write_export
from interlock.node.replay import CLAIMS, Replayed, replay_export
from interlock.protocol.records import BODY_BYTES_MAX, GENESIS, Header, Record, RecordType, seal
from tests.core.rig import ADA, BEN, CACHE, QUIET, TECHNICIAN, TRAINEE, TRAINER, UNTRAINED, Rig
from tests.core.test_machine_stateful import HoldLife, Life
from tests.core.test_people import BRIEF, BRIEF_HOLD, TOGETHER, supervised
from tests.core.test_planted_bugs import live

pytestmark = pytest.mark.fast

NEVER_ASKED = Schedule("never", ())
ALWAYS = Schedule("always", ((0, hours.WEEK_MINUTES - 1),))
"""Nearly: a schedule of the whole week bounds nobody, and needs no trusted clock."""
OFFSETS = ((0, 3_600), (1_799_999_000, 7_200), (1_800_020_000, 3_600))


def records_of(effects: Iterable[Effect]) -> list[Record]:
    """The effects as a journal would chain them."""
    records: list[Record] = []
    for effect in effects:
        if not isinstance(effect, WriteRecord | ReportRefusal):
            continue
        is_refusal = isinstance(effect, ReportRefusal)
        type_ = RecordType.REFUSED if is_refusal else RecordType(effect.type)  # type: ignore[union-attr]
        header = Header("saw", 1, len(records) + 1, "boot", 0, None, False, type_)
        prev = records[-1].hash if records else GENESIS
        body = json.loads(json.dumps(effect.body))
        records.append(seal(header, body, salt=bytes(16), prev=prev, chain_key=bytes(32)))
    return records


def exported(records: list[Record], folder: Path) -> Path:
    path = folder / "export.jsonl"
    with path.open("wb") as target:
        write_export(records, target)
    return path


def replayed(rig: Rig, folder: Path) -> Replayed:
    return replay_export(exported(records_of(rig.effects), folder))


def test_every_decision_of_random_lives_is_made_again(tmp_path: Path) -> None:
    decided = 0
    for life_class in (Life, HoldLife):
        for seed in range(25):
            lives: list[Life] = []

            def born(chosen: type[Life] = life_class, kept: list[Life] = lives) -> Life:
                kept.append(chosen())
                return kept[-1]

            live(born, seed)  # type: ignore[arg-type]
            found = replayed(lives[0].rig, tmp_path)
            assert found.differences == ()
            assert found.agreed == found.decided
            decided += found.decided
    assert decided > 1_000, "a replay of nothing agrees with everything"


def company() -> Rig:
    """Waiting, supervised, confirmed, granted; alone; handed over; a second person."""
    rig = supervised()
    rig.give(SnapshotActivated(CACHE, Demands(("saw",), offsets=OFFSETS)))
    rig.arrive(TRAINER)
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER, assurance=Assurance.AES)
    rig.arrive(TRAINER)
    rig.sample(long_job_pressed=False)
    rig.arrive(TRAINEE)
    rig.pass_ms(1_000)
    rig.tap(TRAINEE)
    rig.pass_ms(1_000)
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    rig.arrive(replace(TRAINEE, member="m-two", tag=b"\x22" * 16))
    rig.arrive(BEN)
    rig.pass_ms(1_000)
    rig.tap(replace(TRAINEE, member="m-two", tag=b"\x22" * 16))
    rig.arrive(ADA)
    rig.arrive(None, code="7K2M")
    rig.pass_ms(BRIEF.second_wait_s * 1_000 + 1_000)
    return rig


def trainer_first() -> Rig:
    rig = Rig(BRIEF)
    rig.tap(TRAINER)
    rig.arrive(TRAINEE)
    rig.pass_ms(1_000)
    rig.arrive(UNTRAINED)
    rig.sample(busy=True)
    rig.arrive(ADA)
    return rig


def together() -> Rig:
    rig = Rig(TOGETHER)
    rig.tap(ADA)
    rig.tap(replace(ADA, tag=b"\x11" * 16))
    rig.tap(UNTRAINED)
    rig.arrive(TRAINER)
    return rig


def clearing() -> Rig:
    rig = Rig(BRIEF_HOLD)
    rig.sample(broken_pressed=True)
    rig.sample(broken_pressed=False)
    rig.arrive(ADA)
    rig.arrive(TECHNICIAN)
    rig.follows = False
    rig.sample(mirror_closed=False)
    rig.pass_ms(1_000)
    rig.arrive(TECHNICIAN)
    rig.arrive(ADA, assurance=Assurance.AES)
    rig.sample(mirror_closed=True)
    rig.arrive(TECHNICIAN, assurance=Assurance.AES)
    return rig


def lenient() -> Rig:
    rig = Rig(replace(BRIEF, enforcement=Enforcement.WARN_ONLY))
    for entry in (None, UNTRAINED, TRAINEE):
        rig.arrive(entry)
        rig.pass_ms(500)
        rig.arrive(entry)
        rig.pass_ms(1_000)
    rig.arrive(None, cache=Cache(None))
    rig.arrive(None, trouble=Reason.BADGE_NOT_GENUINE)
    return rig


def limited() -> Rig:
    rig = Rig(replace(BRIEF, badge_use=BadgeUse.TAP))
    booked = Reservation(1_800_000_100, 1_800_000_200, "m-ben")
    asked = Demands(
        ("saw",),
        daily_limit_s=20,
        hours="always",
        schedules=(ALWAYS, NEVER_ASKED),
        offsets=OFFSETS,
        reservations=(booked,),
    )
    rig.give(SnapshotActivated(CACHE, asked))
    rig.arrive(replace(ADA, hours="never"))
    rig.arrive(replace(ADA, credit=Credit.NONE))
    rig.tap(ADA)
    rig.pass_ms(25_000)
    rig.arrive(ADA)
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    rig.pass_ms(80_000)
    rig.arrive(UNTRAINED)
    rig.arrive(replace(ADA, member="m-eve", tag=b"\x33" * 16))
    rig.wall_trusted = False
    rig.arrive(BEN)
    assert rig.refusals() == [
        *("OUTSIDE_HOURS", "NO_CREDIT", "DAILY_LIMIT", "NOT_TRAINED", "RESERVED"),
        "CLOCK_UNTRUSTED",
    ]
    return rig


def guarded() -> Rig:
    rules = replace(BRIEF, interlocks=(Interlock("lid"), Interlock("chiller", remote=True)))
    rig = Rig(rules, inputs=replace(QUIET, interlocks_closed=(False, None)))
    rig.arrive(ADA)
    rig.sample(interlocks_closed=(True, None))
    rig.pass_ms(1_000)
    rig.arrive(ADA)
    rig.sample(machine_switch_on=True)
    rig.arrive(ADA)
    assert rig.refusals() == ["INTERLOCK_OPEN", "INTERLOCK_OPEN", "MACHINE_SWITCH_ON"]
    return rig


HISTORIES: list[Callable[[], Rig]] = [
    *(company, trainer_first, together, clearing, lenient, limited, guarded)
]


@pytest.mark.parametrize("history", HISTORIES)
def test_every_decision_about_people_is_made_again(
    history: Callable[[], Rig], tmp_path: Path
) -> None:
    found = replayed(history(), tmp_path)
    assert found.differences == ()
    assert found.agreed == found.decided > 0


def test_together_the_histories_hold_every_kind_of_decision() -> None:
    kinds = {
        record.header.type for history in HISTORIES for record in records_of(history().effects)
    }
    assert kinds >= set(CLAIMS)


def altered(records: list[Record], type_: RecordType, **changes: Any) -> list[Record]:
    """The first record of that type says something else; nothing but the replay looks at bodies here."""
    place = next(i for i, one in enumerate(records) if one.header.type is type_)
    body = {**(records[place].body or {}), **changes}
    return [*records[:place], replace(records[place], body=body), *records[place + 1 :]]


@pytest.mark.parametrize(
    ("type_", "changes"),
    [
        (RecordType.SESSION_STARTED, {"member": "m-eve"}),
        (RecordType.SESSION_STARTED, {"supervisor": None}),
        (RecordType.REFUSED, {"reason": "NO_CREDIT"}),
        (RecordType.SUPERVISION_CONFIRMED, {"by": "m-eve"}),
        (RecordType.TRAINING_GRANTED, {"until_at": 4_000_000_000}),
        (RecordType.TRAINING_GRANTED, {"trainings": ["laser"]}),
        (RecordType.SESSION_STARTED, {"evidence": {"state": "locked"}}),
    ],
)
def test_an_altered_decision_is_named(
    type_: RecordType, changes: dict[str, Any], tmp_path: Path
) -> None:
    records = records_of(company().effects)
    found = replay_export(exported(altered(records, type_, **changes), tmp_path))
    place = next(one.id for one in records if one.header.type is type_)
    assert (found.decided - found.agreed, [one.record for one in found.differences]) == (1, [place])


@pytest.mark.parametrize(
    "change",
    [
        {"wall_trusted": False},
        {"entry": None},
        {"snapshot": None},
        {"age_s": 99_999_999},
        {"gate_ms": 99_999_999},
        {"journal_trouble": True},
        {"reader_trouble": True},
        {"trouble": "BADGE_NOT_GENUINE"},
    ],
)
def test_evidence_that_would_not_have_let_somebody_in_is_named(
    change: dict[str, Any], tmp_path: Path
) -> None:
    rig = Rig(BRIEF)
    offer = Demands(("saw",), hours="always", schedules=(ALWAYS,), offsets=OFFSETS)
    rig.give(SnapshotActivated(CACHE, offer))
    rig.tap(ADA)
    records = records_of(rig.effects)
    seen = {**(records[0].body or {})["evidence"], **change}
    path = exported(altered(records, RecordType.SESSION_STARTED, evidence=seen), tmp_path)
    assert len(replay_export(path).differences) == 1


def test_a_core_that_decides_otherwise_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exported(records_of(company().effects), tmp_path)
    monkeypatch.setattr(admission, "PERSONAL", frozenset())
    assert replay_export(path).differences == (), "nobody was only warned in this history"
    monkeypatch.setattr(policy, "_lacks", lambda right, now: Reason.TRAINING_EXPIRED)
    found = replay_export(path)
    assert found.agreed < found.decided
    assert "session_started" in str(found.differences[0])


def test_what_has_no_evidence_is_counted_apart(tmp_path: Path) -> None:
    rig = Rig(BRIEF)
    rig.give(SeveralBadgesSeen())
    rig.tap(ADA)
    rig.give(BadgeRemoved())
    records = records_of(rig.effects)
    erased = [replace(one, body=None, salt=None) if one.id == "1.2" else one for one in records]
    found = replay_export(exported(erased, tmp_path))
    assert found == Replayed(decided=0, agreed=0, skipped=2)


def test_an_unreadable_line_is_a_difference(tmp_path: Path) -> None:
    path = exported(records_of(company().effects), tmp_path)
    path.write_bytes(path.read_bytes() + b"{}\n")
    assert len(replay_export(path).differences) == 1


def test_the_command_says_how_many_agree_and_names_the_first_that_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = records_of(company().effects)
    path = exported(records, tmp_path)
    count = sum(1 for one in records if one.header.type in CLAIMS and (one.body or {})["evidence"])
    assert cli.run(["journal", "replay", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"] == f"{count} of {count}"
    path = exported(altered(records, RecordType.REFUSED, reason="NO_CREDIT"), tmp_path)
    assert cli.run(["journal", "replay", str(path), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["agrees"] == f"{count - 1} of {count}"
    assert "NO_CREDIT" in answer["first_difference"]


def test_the_largest_evidence_fits_a_record(tmp_path: Path) -> None:
    """Two members with every training of a machine that asks for eight, hours and a reservation."""
    names = tuple(f"training-number-{number}" for number in range(8))
    windows = tuple((start, start + 90) for start in range(0, hours.WEEK_MINUTES, 180))
    asked = Demands(
        names,
        hours="x" * 64,
        schedules=(Schedule("x" * 64, windows),),
        offsets=OFFSETS,
        reservations=(Reservation(1, 2, "m" * 64),),
    )
    at = 1_800_000_000
    dates = (at - 10**8, at + 10**8, at + 10**8)
    held = tuple(Right(name, Level.SUPERVISED, *dates) for name in names)
    taught = tuple(Right(name, Level.TRAINER, *dates) for name in names)
    rig = Rig(BRIEF, inputs=Inputs())
    rig.give(SnapshotActivated(CACHE, asked))
    minute = hours.week_minute(hours.local_s(rig_at(rig.now), OFFSETS) or 0)
    within = next((first for first, last in windows if first <= minute < last), None)
    if within is None:
        rig.ms += 90 * 60_000
    rig.tap(replace(TRAINEE, rights=held))
    rig.arrive(replace(TRAINER, rights=taught))
    (body,) = rig.written("session_started")
    assert len(json.dumps(body)) < BODY_BYTES_MAX
    assert replayed(rig, tmp_path).differences == ()


def rig_at(now: Now) -> int:
    assert now.wall_at is not None
    return now.wall_at
