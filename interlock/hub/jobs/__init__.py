"""The hub's background work: what is due, to each job run once, with when and how it went kept.

`interlock hub jobs` runs them, under a systemd timer, never in the web process (1-architecture.md,
"Scale"). A job is run for each lab on its own; it opens its own transactions, short ones, because a
writer keeps every page and node waiting. One that fails stops no other, and is tried again soon.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection, transaction

from interlock.clock import Clock
from interlock.hub.models import JobRun, Lab
from interlock.hub.permissions import Actor

RETRY_S = 900
"""After a failure: soon enough for a mail server's hiccup, seldom enough not to fill a log."""

HUNG_S = 4 * 3_600
"""A run that said nothing for so long was killed with its computer: the longest job, a back-up over a
slow line, takes a fraction of it."""

OUTCOME_LENGTH_MAX = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Work for one lab, at most every `every_s`. `run` returns one line for the log, naming nobody."""

    name: str
    every_s: int
    run: Callable[[Actor, Lab], str]


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: of which job, for which lab, whether it failed, and its line."""

    job: str
    lab: str
    failed: bool
    line: str


def run_due(jobs: Iterable[Job], clock: Clock, *, now: bool = False) -> list[Ran]:
    """Each of `jobs` that is due (with `now`: each) has run for every lab; what came of it."""
    labs = list(Lab.objects.order_by("pk"))
    runs = (_run_if_due(job, lab, clock, now) for job in jobs for lab in labs)
    return [ran for ran in runs if ran is not None]


def _run_if_due(job: Job, lab: Lab, clock: Clock, now: bool) -> Ran | None:
    actor = Actor(clock, label=f"job {job.name}")
    if not _claim(job, lab, actor.now(), now):
        return None
    try:
        failed, line = False, job.run(actor, lab)
    except Exception as error:  # noqa: BLE001 - told by kind and place, never by its words
        # Its words may quote a member: only what kind of trouble it was, and where in our code.
        failed, line = True, _place(error)
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
    line = " ".join(line.split())[:OUTCOME_LENGTH_MAX]
    _settle(job, lab, actor.now(), failed, line)
    log.log(logging.ERROR if failed else logging.INFO, "%s (%s): %s", job.name, lab.slug, line)
    return Ran(job.name, lab.slug, failed, line)


@transaction.atomic
def _claim(job: Job, lab: Lab, at: datetime, now: bool) -> bool:
    """Whether the run is ours: two processes never do the same work."""
    run = JobRun.objects.select_for_update().filter(lab=lab, name=job.name).first()
    if run is not None and not (now or _is_due(run, job, at)):
        return False
    JobRun.objects.update_or_create(
        lab=lab,
        name=job.name,
        defaults={
            "began_at": at,
            "ended_at": None,
            "due_at": at + timedelta(seconds=job.every_s),
        },
    )
    return True


def _is_due(run: JobRun, job: Job, at: datetime) -> bool:
    if run.ended_at is None:
        return abs(at - run.began_at) > timedelta(seconds=HUNG_S)
    # Further away than its interval: the hub's clock was wrong when it was written.
    return run.due_at <= at or run.due_at - at > timedelta(seconds=job.every_s)


def _settle(job: Job, lab: Lab, at: datetime, failed: bool, line: str) -> None:
    said = {"ended_at": at, "failed": failed, "outcome": line}
    if failed:
        said["due_at"] = at + timedelta(seconds=min(job.every_s, RETRY_S))
    JobRun.objects.filter(lab=lab, name=job.name).update(**said)


def _place(error: BaseException) -> str:
    """The kind of `error` and the innermost line of our own code it came through."""
    place, frame = "", error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if "interlock" in file.parts:
            place = f" in {file.name}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return f"failed: {type(error).__name__}{place}"
