"""Every job of the hub, one line each; `interlock hub jobs` runs them (hub.jobs says how)."""

from __future__ import annotations

from interlock.hub.jobs import (
    Job,
    alerts,
    certificates,
    credit,
    mail,
    reports,
    retention,
    statements,
    uploads,
    workshop,
)

JOBS: tuple[Job, ...] = (
    alerts.ALERTS,
    alerts.REMINDERS,
    alerts.DIGEST,
    certificates.JOB,
    credit.JOB,
    mail.JOB,
    reports.JOB,
    retention.JOB,
    statements.JOB,
    uploads.JOB,
    workshop.CALENDARS,
    workshop.MAINTENANCE,
)
