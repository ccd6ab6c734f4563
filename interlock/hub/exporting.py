"""Ended sessions to a CSV that spreadsheets open as it is: UTF-8 with BOM, semicolons, no formulas."""

from __future__ import annotations

import contextlib
import csv
import os
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TextIO

from django.utils import translation
from django.utils.translation import gettext as _

from interlock.errors import StoreError
from interlock.hub import days
from interlock.hub.models import Lab, Session
from interlock.hub.tables import neutral

CHUNK_ROWS = 2_000
PRIVATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions: those that ended from `since` to `until`, both days included, in the lab."""

    since: date | None = None
    until: date | None = None
    decimal_comma: bool = False


def export_sessions(lab: Lab, out: Path, wanted: Filter | None = None) -> int:
    """`out` holds the sessions, oldest first; returns their number. Raises StoreError, leaving what
    was there before; ConfigError: a day that cannot be."""
    part = out.with_name(f".{out.name}.part")
    try:
        with _private(part) as sink:
            count = write_sessions(lab, sink, wanted or Filter())
        os.replace(part, out)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", where=str(out)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return count


def write_sessions(lab: Lab, sink: TextIO, wanted: Filter) -> int:
    """The rows in `sink`; returns their number."""
    zone = zoneinfo.ZoneInfo(lab.time_zone)
    writer = csv.writer(sink, delimiter=";", lineterminator="\r\n")
    with translation.override(lab.language):
        writer.writerow(_heading())
        count = 0
        for session in _sessions(lab, wanted, zone):
            writer.writerow([neutral(cell) for cell in _row(session, zone, wanted)])
            count += 1
    return count


def _private(path: Path) -> TextIO:
    """`path` as a new file, readable by nobody else: it will name people and what they did."""
    # A half of an earlier export that was killed; what others put there is not written into.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    return os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="")


def _sessions(lab: Lab, wanted: Filter, zone: zoneinfo.ZoneInfo) -> Iterator[Session]:
    found = Session.objects.filter(lab=lab, voided=False).exclude(how="")
    if wanted.since is not None:
        found = found.filter(ended_at__gte=days.begin_of(wanted.since, zone))
    if wanted.until is not None:
        found = found.filter(ended_at__lt=days.end_of(wanted.until, zone))
    related = found.select_related("machine", "node", "member", "group", "payer", "line")
    return related.order_by("ended_at", "node", "epoch", "seq").iterator(chunk_size=CHUNK_ROWS)


def _heading() -> list[str]:
    return [
        _("session"),
        _("machine"),
        _("member"),
        _("group"),
        _("payer"),
        _("start"),
        _("end"),
        _("enabled seconds"),
        _("busy seconds"),
        _("idle seconds"),
        _("unknown seconds"),
        _("how it ended"),
        _("end estimated"),
        _("time provisional"),
        _("price in euros"),
    ]


def _row(session: Session, zone: zoneinfo.ZoneInfo, wanted: Filter) -> list[str]:
    line = getattr(session, "line", None)
    euros = "" if line is None else f"{line.cents // 100}.{line.cents % 100:02d}"
    return [
        f"{session.node.slug}/{session}",
        session.machine.name,
        session.member.name if session.member else "",
        session.group.name if session.group else "",
        session.payer.name if session.payer else "",
        _local(session.started_at, zone),
        _local(session.ended_at, zone),
        str(session.enabled_ms // 1_000),
        str(session.busy_ms // 1_000),
        str(session.idle_ms // 1_000),
        str(session.unknown_ms // 1_000),
        session.how,
        _("yes") if session.estimated else _("no"),
        _("yes") if session.provisional else _("no"),
        euros.replace(".", ",") if wanted.decimal_comma else euros,
    ]


def _local(at: datetime | None, zone: zoneinfo.ZoneInfo) -> str:
    """The lab's clock, in the one form that every spreadsheet reads as a time."""
    return "" if at is None else at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
