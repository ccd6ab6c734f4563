"""What is older than promised is forgotten to the day, what is younger stays, and chains verify."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interlock.hub import retention, rollup
from interlock.hub.changes import verify_audit
from interlock.hub.jobs import Job, reports, run_due
from interlock.hub.jobs.every import JOBS
from interlock.hub.models import (
    AuditRow,
    ChangeLog,
    JobRun,
    Lab,
    Line,
    MemberMonth,
    NodeRecord,
    RefusalCount,
    Session,
    UsageView,
    User,
)
from interlock.hub.permissions import Actor
from interlock.hub.retention import forget_old, months_before
from interlock.protocol.records import RecordType
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab
from tests.hub.test_erasure import deliver, used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def refuse(lab: SmallLab) -> None:
    journal = Journal.of(lab.enrolled)
    tag = bytes(lab.badge.tag).hex()
    for count in (1, 4):
        journal.write(
            RecordType.REFUSED,
            reason="not_trained",
            tag=tag,
            member=lab.member.public_id,
            training="saw-basics",
            count=count,
            evidence=None,
        )
    deliver(lab, journal)


@pytest.mark.parametrize(("age", "gone"), [(89 * DAY, False), (90 * DAY, True)])
def test_refusals_are_forgotten_on_their_90th_day_and_their_number_stays(
    age: timedelta, gone: bool
) -> None:
    lab = small_lab()
    refuse(lab)
    NodeRecord.objects.update(received_at=NOW - age)
    forget_old(lab.lab, NOW)
    assert NodeRecord.objects.filter(body=None).count() == (2 if gone else 0)
    assert [one.count for one in RefusalCount.objects.all()] == ([5] if gone else [])
    forget_old(lab.lab, NOW)
    assert [one.count for one in RefusalCount.objects.all()] == ([5] if gone else [])


@pytest.mark.parametrize(("ended", "gone"), [("2023-11-22", True), ("2023-11-23", False)])
def test_sessions_are_anonymous_after_36_months_and_their_use_and_price_stay(
    ended: str, gone: bool
) -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    at = datetime.fromisoformat(ended).replace(hour=12, tzinfo=UTC)
    Session.objects.update(ended_at=at)
    NodeRecord.objects.update(received_at=at)
    cents = Line.objects.get().cents
    forget_old(lab.lab, NOW)
    session = Session.objects.get()
    assert (session.member is None, session.badge is None, session.payer is None) == (gone,) * 3
    assert (session.enabled_ms, Line.objects.get().cents) == (3_600_000, cents)
    emptied = NodeRecord.objects.filter(body=None).values_list("type", flat=True)
    assert RecordType.CLOCK_ANCHORED not in emptied
    assert (RecordType.SESSION_STARTED in emptied) == gone


@pytest.mark.parametrize(("age_days", "gone"), [(364, False), (365, True)])
def test_audit_rows_changes_and_looks_are_forgotten_after_a_year_and_the_chain_holds(
    age_days: int, gone: bool
) -> None:
    lab = small_lab()
    at = NOW - age_days * DAY
    AuditRow.objects.update(done_at=at)
    ChangeLog.objects.update(changed_at=at)
    viewer = User.objects.create(email="v@example.org", name="V")
    UsageView.objects.create(lab=lab.lab, viewer=viewer, member=lab.member, day=at.date())
    rows = AuditRow.objects.count()
    forget_old(lab.lab, NOW)
    assert AuditRow.objects.count() == rows
    assert AuditRow.objects.filter(salt=None, actor="", subject="").count() == (rows if gone else 0)
    assert (ChangeLog.objects.exists(), UsageView.objects.exists()) == (not gone, not gone)
    if gone:
        assert verify_audit(lab.lab) == rows


@pytest.mark.parametrize(("ended", "gone"), [("2023-11-22", True), ("2023-11-23", False)])
def test_the_sums_of_reports_name_nobody_whom_the_sessions_no_longer_name(
    ended: str, gone: bool
) -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    Session.objects.update(ended_at=datetime.fromisoformat(ended).replace(hour=12, tzinfo=UTC))
    rollup.mark_sessions(lab.lab, Session.objects.all())
    rollup.refresh(lab.lab)
    assert [one.member for one in MemberMonth.objects.all()] == [lab.member]
    forget_old(lab.lab, NOW)
    kept = [(one.member, one.enabled_ms) for one in MemberMonth.objects.all()]
    assert kept == [(None if gone else lab.member, 3_600_000)]


def test_a_job_makes_the_sums_of_reports_up_to_date() -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    MemberMonth.objects.all().delete()
    rollup.mark_sessions(lab.lab, Session.objects.all())
    assert reports.JOB.run(Actor(VirtualClock()), lab.lab) == "1 days added up"
    assert MemberMonth.objects.get().enabled_ms == 3_600_000
    assert reports.JOB in JOBS


def test_months_are_counted_by_the_calendar() -> None:
    assert months_before(datetime(2026, 3, 31, tzinfo=UTC), 1) == datetime(2026, 2, 28, tzinfo=UTC)
    assert months_before(datetime(2024, 2, 29, tzinfo=UTC), 36).date().isoformat() == "2021-02-28"


# ------------------------------------------------------------------------------------------------ jobs


class Log:
    def __init__(self) -> None:
        self.ran: list[str] = []

    def job(self, name: str, every_s: int, error: Exception | None = None) -> Job:
        def run(actor: Actor, lab: Lab) -> str:
            self.ran.append(name)
            if error is not None:
                raise error
            return f"{name} done"

        return Job(name, every_s, run)


def test_a_job_runs_when_due_and_one_that_fails_stops_no_other_and_names_nobody() -> None:
    small_lab()
    log, clock = Log(), VirtualClock(wall_ms=1_760_000_000_000)
    jobs = [
        log.job("broken", 86_400, ValueError("Ada Martin has no e-mail")),
        log.job("hourly", 3_600),
    ]
    first = run_due(jobs, clock)
    assert [(ran.job, ran.failed) for ran in first] == [("broken", True), ("hourly", False)]
    assert "Ada" not in first[0].line
    assert "ValueError" in first[0].line
    assert run_due(jobs, clock) == []
    clock.sleep(900)
    assert [ran.job for ran in run_due(jobs, clock)] == ["broken"], "a failure is tried again soon"
    clock.sleep(2_700)
    assert [ran.job for ran in run_due(jobs, clock)] == ["broken", "hourly"]


def test_a_clock_that_was_ahead_keeps_no_job_waiting_for_years() -> None:
    small_lab()
    log = Log()
    jobs = [log.job("daily", 86_400)]
    run_due(jobs, VirtualClock(wall_ms=4_000_000_000_000))
    assert len(run_due(jobs, VirtualClock(wall_ms=1_760_000_000_000))) == 1


def test_a_run_that_is_going_on_is_not_begun_again_but_a_dead_one_is() -> None:
    lab = small_lab()
    log, clock = Log(), VirtualClock(wall_ms=1_760_000_000_000)
    at = Actor(clock).now()
    JobRun.objects.create(lab=lab.lab, name="daily", began_at=at, due_at=at)
    jobs = [log.job("daily", 60)]
    assert run_due(jobs, clock) == []
    clock.sleep(5 * 3_600)
    assert len(run_due(jobs, clock)) == 1


def test_every_job_has_a_name_of_its_own() -> None:
    names = [job.name for job in JOBS]
    assert len(names) == len(set(names))
    assert "retention" in names


def test_every_limit_stands_in_the_notice() -> None:
    from pathlib import Path

    docs = Path(__file__).parents[2] / "docs"
    for page in ("privacy.md", "privacy.fr.md"):
        text = (docs / page).read_text(encoding="utf-8")
        for limit in ("REFUSAL_DAYS", "SESSION_MONTHS", "AUDIT_MONTHS", "LINE_YEARS"):
            assert f"| {getattr(retention, limit)} " in text, (page, limit)
