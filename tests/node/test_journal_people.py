"""What the journal remembers of people over a restart: trainings granted at the machine, and the day's use."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.core.model import DayUse, LocalGrant
from interlock.errors import ProtocolError
from interlock.node.journal_facts import Facts, facts_from_wire, facts_to_wire
from interlock.protocol.records import RecordType
from tests.node.journals import draft, ended, opened, progress, reopened, started

pytestmark = pytest.mark.real

GRANT = draft(
    RecordType.TRAINING_GRANTED,
    member="m-tin",
    trainings=["saw", "mill"],
    by="m-tra",
    session="1.1",
    assurance="aes",
    since_at=1_000,
    until_at=9_000,
)


def granted(training: str, record: str = "1.1", *, delivered: bool = False) -> LocalGrant:
    return LocalGrant("m-tin", training, 1_000, 9_000, record, clonable=False, delivered=delivered)


def test_a_grant_survives_a_restart_and_knows_whether_the_hub_has_it(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([GRANT])
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.facts.grants == (granted("mill"), granted("saw"))
    assert recovery.facts.grants_after(1, 0) == recovery.facts.grants
    assert recovery.facts.delivered(1, 0) == ()
    assert recovery.facts.delivered(1, 1) == ("1.1",)
    assert recovery.facts.grants_after(1, 1) == (
        granted("mill", delivered=True),
        granted("saw", delivered=True),
    )
    journal.close()


def test_a_grant_by_a_badge_that_can_be_cloned_is_remembered_as_such(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append([draft(GRANT.type, **{**GRANT.body, "assurance": "uid"})])
    assert [one.clonable for one in journal.facts.grants] == [True, True]
    journal.close()


@pytest.mark.parametrize("trainings", [None, [], "saw", [7]])
def test_a_grant_of_nothing_is_no_record(tmp_path: Path, trainings: object) -> None:
    journal = opened(tmp_path)
    with pytest.raises(ProtocolError):
        journal.append([draft(GRANT.type, **{**GRANT.body, "trainings": trainings})])
    assert journal.facts == Facts()
    journal.close()


def with_day(record: object, day: int) -> dict[str, object]:
    return {**record.body, "day": day}  # type: ignore[attr-defined]


def test_the_day_s_use_is_what_progress_and_end_add_up_to(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(
        [
            started("m-ada"),
            draft(RecordType.SESSION_PROGRESS, **with_day(progress("1.1", 60_000), 7)),
            draft(RecordType.SESSION_PROGRESS, **with_day(progress("1.1", 120_000), 7)),
            draft(RecordType.SESSION_ENDED, **with_day(ended("1.1", 130_000), 7)),
            started("m-ben"),
            draft(RecordType.SESSION_ENDED, **with_day(ended("1.5", 5_000), 7)),
            started("m-ada"),
            draft(RecordType.SESSION_PROGRESS, **with_day(progress("1.7", 1_000), 7)),
        ]
    )
    journal.close()
    journal, recovery = reopened(tmp_path)
    assert recovery.ended == "1.7"
    assert recovery.facts.day_use == DayUse(7, (("m-ada", 131_000), ("m-ben", 5_000)))
    journal.append(
        [
            started("m-ben"),
            draft(RecordType.SESSION_ENDED, **with_day(ended("1.10", 2_000), 8)),
        ]
    )
    assert journal.facts.day_use == DayUse(8, (("m-ben", 2_000),))
    journal.close()


def test_without_a_day_and_without_a_member_nothing_is_counted(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    stranger = draft(
        RecordType.SESSION_STARTED, member=None, tag="00" * 16, badge_use="tap", evidence={}
    )
    journal.append(
        [
            started("m-ada"),
            ended("1.1", 5_000),
            stranger,
            draft(RecordType.SESSION_ENDED, **with_day(ended("1.3", 5_000), 7)),
        ]
    )
    assert journal.facts == Facts()
    journal.close()


def test_facts_of_the_first_days_are_still_read() -> None:
    wire = facts_to_wire(Facts(grants=(granted("saw"),), day_use=DayUse(3, (("m-ada", 9),))))
    assert facts_from_wire(wire).day_use == DayUse(3, (("m-ada", 9),))
    assert facts_from_wire(wire).grants == (granted("saw"),)
    del wire["grants"], wire["day_use"]
    assert facts_from_wire(wire) == Facts()
