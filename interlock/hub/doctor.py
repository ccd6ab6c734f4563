"""A hub's folder, database and doors in, findings out: what its people and machines depend on, in words and what to do.

Nothing is changed and nobody is told; `interlock hub doctor` prints it. A hub that has stopped is looked at as far as
its disk allows.
"""

from __future__ import annotations

import platform
import shutil
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from interlock import __version__
from interlock.clock import Clock
from interlock.errors import InterlockError
from interlock.findings import Finding, Verdict
from interlock.hub.backup import KEY_NAME
from interlock.hub.directory import HubDirectory
from interlock.hub.jobs.every import JOBS
from interlock.hub.models import AuditRow, JobRun, Lab, MailSettings, OutboxMail

FREE_BYTES_BAD, FREE_BYTES_CARE = 200_000_000, 1_000_000_000
"""A busy year of a large lab is about 1 GB of records; SQLite needs room for its WAL to write at all."""
CERTIFICATE_CARE = timedelta(days=30)
"""The job renews two months before the end (hub.authority): closer, nobody does."""
JOBS_BAD = timedelta(hours=1)
"""The timer looks every five minutes and the most frequent job is due every few: twelve missed."""
SWITCH_TIMER_ON = "sudo systemctl enable --now interlock-hub-jobs.timer"
BACKUP_BAD = timedelta(days=2)
"""One night may fail: the disk was unplugged. Two are a pattern."""
CLOCK_BEHIND = timedelta(minutes=5)
DAMAGE_LINES_MAX = 5
REACH_S = 5.0
COMMAND_S = 5.0
BYTES_PER_GB = 1_000_000_000


def examine(hub: HubDirectory, clock: Clock, people_port: int) -> list[Finding]:
    """Everything that can be seen from this computer; `people_port` is where the hub serves its pages."""
    now = datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        _versions,
        lambda: _disk(hub.path),
        _database,
        lambda: _clock(now),
        lambda: _secrets(hub),
        lambda: _certificates(hub, clock, now),
        lambda: _jobs(now),
        lambda: _backups(hub, now),
        _mail,
        lambda: _doors(hub, people_port),
    )
    return [finding for part in parts for finding in _looked(part)]


def _looked(part: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What `part` finds; a database that does not answer is a finding of its own."""
    try:
        return list(part())
    except (DatabaseError, sqlite3.Error, UnicodeDecodeError):
        # The last when SQLite's complaint quotes the rubbish that it read.
        return [Finding("database", Verdict.BAD, _("The database does not answer"), _restore())]


# -------------------------------------------------------------------------------- the computer


def _versions() -> Iterator[Finding]:
    told = {
        "interlock": __version__,
        "python": platform.python_version(),
        "database": f"SQLite {sqlite3.sqlite_version}"
        if connection.vendor == "sqlite"
        else connection.vendor,
    }
    what = _("Interlock %(interlock)s, Python %(python)s, %(database)s") % told
    yield Finding("versions", Verdict.GOOD, what)


def _disk(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    verdict = Verdict.GOOD
    if free < FREE_BYTES_CARE:
        verdict = Verdict.BAD if free < FREE_BYTES_BAD else Verdict.CARE
    yield Finding(
        "disk",
        verdict,
        _("%(free).1f GB are free on the hub's disk") % {"free": free / BYTES_PER_GB},
        ""
        if verdict is Verdict.GOOD
        else _("Make room: df -h, then journalctl --vacuum-size=100M"),
    )


def _clock(now: datetime) -> Iterator[Finding]:
    last = AuditRow.objects.order_by("-done_at").values_list("done_at", flat=True).first()
    if last is not None and last - now > CLOCK_BEHIND:
        what = _("The clock is behind: the hub has done something at %(last)s UTC")
        yield Finding("clock", Verdict.BAD, what % {"last": f"{last:%Y-%m-%d %H:%M}"}, _set_clock())
        return
    synchronised = _synchronised()
    if synchronised is None:
        yield Finding("clock", Verdict.UNKNOWN, _("Nobody here says whether the clock is right"))
    elif synchronised:
        yield Finding("clock", Verdict.GOOD, _("The clock is set by the network"))
    else:
        yield Finding("clock", Verdict.CARE, _("The clock is not set by the network"), _set_clock())


def _synchronised() -> bool | None:
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S, check=True
        )
        return {"yes": True, "no": False}.get(done.stdout.strip())
    return None


# ------------------------------------------------------------------------------ what it keeps


def _database() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute("SELECT 1")
            damage = []
        else:
            cursor.execute(f"PRAGMA quick_check({DAMAGE_LINES_MAX})")
            damage = [str(row[0]) for row in cursor.fetchall() if row[0] != "ok"]
    if damage:
        what = _("The database is damaged: %(first)s") % {"first": damage[0]}
        yield Finding("database", Verdict.BAD, what, _restore())
    else:
        yield Finding("database", Verdict.GOOD, _("The database's pages are in order"))


def _secrets(hub: HubDirectory) -> Iterator[Finding]:
    try:
        for read in (hub.signing_key, hub.badge_key, hub.secret_key, hub.card_key):
            read()
    except InterlockError as error:
        yield Finding("keys", Verdict.BAD, f"{error.where}: {error.what}", error.remedy)
    else:
        yield Finding("keys", Verdict.GOOD, _("The keys are there, and nobody else can read them"))


def _certificates(hub: HubDirectory, clock: Clock, now: datetime) -> Iterator[Finding]:
    certificates = hub.certificates(clock)
    try:
        ends = certificates.server().not_valid_after_utc
        authority = max(one.ends_at for one in certificates.authorities())
    except (InterlockError, ValueError):
        yield Finding(
            "certificates",
            Verdict.UNKNOWN,
            _("The hub has no certificate for machines yet"),
            _("Start the hub: it makes one"),
        )
        return
    first = min(ends, authority)
    told = {"hub": f"{ends:%Y-%m-%d}", "authority": f"{authority:%Y-%m-%d}"}
    what = _("The hub's certificate ends on %(hub)s, its authority's on %(authority)s") % told
    if first - now > CERTIFICATE_CARE:
        yield Finding("certificates", Verdict.GOOD, what)
        return
    verdict = Verdict.BAD if first <= now else Verdict.CARE
    remedy = _(
        "It is renewed by itself: interlock hub jobs --only certificates, then start the hub again"
    )
    yield Finding("certificates", verdict, what, remedy)


def _backups(hub: HubDirectory, now: datetime) -> Iterator[Finding]:
    folder = hub.config().backup_folder
    if not folder or not (hub.keys / KEY_NAME).exists():
        yield Finding(
            "backup",
            Verdict.CARE,
            _("Nothing is backed up: a broken disk takes the lab's members and bills with it"),
            _("docs/backup.md: three steps, ten minutes"),
        )
        return
    made = []
    with suppress(OSError):
        made = [path.stat().st_mtime for path in Path(folder).glob("interlock-*.backup")]
    if not made:
        what = _("There is no back-up in %(folder)s") % {"folder": folder}
        yield Finding("backup", Verdict.BAD, what, _see_backup())
        return
    age = now - datetime.fromtimestamp(max(made), UTC)
    what = _("The last back-up is %(hours)d hours old") % {"hours": age / timedelta(hours=1)}
    late = age > BACKUP_BAD
    yield Finding(
        "backup", Verdict.BAD if late else Verdict.GOOD, what, _see_backup() if late else ""
    )


# ------------------------------------------------------------------------------- what it does


def _jobs(now: datetime) -> Iterator[Finding]:
    names = [job.name for job in JOBS]
    runs = list(JobRun.objects.filter(name__in=names).order_by("name"))
    remedy = _("Switch the timer on: %(how)s") % {"how": SWITCH_TIMER_ON}
    if not runs:
        if Lab.objects.exists():
            what = _("The hub's background work has not run yet")
            soon = _(
                "A new hub begins within five minutes. After that, switch the timer on: %(how)s"
            )
            yield Finding("jobs", Verdict.CARE, what, soon % {"how": SWITCH_TIMER_ON})
        return
    newest = max(run.began_at for run in runs)
    if now - newest > JOBS_BAD:
        what = _("The hub's background work last ran at %(at)s UTC")
        at = f"{newest:%Y-%m-%d %H:%M}"
        yield Finding("jobs", Verdict.BAD, what % {"at": at}, remedy)
    else:
        yield Finding("jobs", Verdict.GOOD, _("The hub's background work runs"))
    for run in runs:
        if run.failed:
            what = _("The job %(name)s failed: %(outcome)s")
            told = {"name": run.name, "outcome": run.outcome}
            again = _("Look at why: interlock hub jobs --only %(name)s") % told
            yield Finding(f"job-{run.name}", Verdict.CARE, what % told, again)


def _mail() -> Iterator[Finding]:
    sending = MailSettings.objects.filter(backend=MailSettings.Backend.SMTP).select_related("lab")
    if not sending:
        yield Finding("mail", Verdict.GOOD, _("The hub sends no e-mail, as its settings say"))
    for kept in sending:
        told = {"host": kept.host, "port": kept.port}
        if _reach(kept.host, kept.port):
            what = _("The mail server %(host)s answers at port %(port)d")
            yield Finding("mail", Verdict.GOOD, what % told)
        else:
            what = _("The mail server %(host)s does not answer at port %(port)d")
            remedy = _("Check the network and the hub's page Mail; e-mails wait and are sent later")
            yield Finding("mail", Verdict.BAD, what % told, remedy)
    lost = OutboxMail.objects.filter(state=OutboxMail.State.GIVEN_UP).count()
    if lost:
        what = _("E-mails that were given up: %(count)d") % {"count": lost}
        yield Finding("mail-lost", Verdict.CARE, what, _("See why on the hub's page Mail"))


def _doors(hub: HubDirectory, people_port: int) -> Iterator[Finding]:
    node_port = hub.config().node_port
    for name, port, reached, what, missing in (
        (
            "people",
            people_port,
            _reach("127.0.0.1", people_port),
            _("The pages answer at port %(port)d"),
            _("The pages do not answer at port %(port)d"),
        ),
        (
            "machines",
            node_port,
            _reach("127.0.0.1", node_port, secure=True),
            _("The door for machines answers at port %(port)d, over TLS"),
            _("The door for machines does not answer at port %(port)d"),
        ),
    ):
        if reached:
            yield Finding(name, Verdict.GOOD, what % {"port": port})
        else:
            remedy = _(
                "Start it: sudo systemctl restart interlock-hub. Why not: journalctl -u interlock-hub -b"
            )
            yield Finding(name, Verdict.BAD, missing % {"port": port}, remedy)


def _reach(host: str, port: int, *, secure: bool = False) -> bool:
    """Whether somebody answers there; `secure`: and speaks TLS. Whom it is is not asked: nothing is told."""
    try:
        with socket.create_connection((host, port), REACH_S) as line:
            if secure:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.wrap_socket(line).close()
    except OSError:
        return False
    return True


def _restore() -> str:
    return _("Stop the hub and restore the last back-up: docs/backup.md")


def _set_clock() -> str:
    return _("sudo timedatectl set-ntp true; prices and opening hours go by this clock")


def _see_backup() -> str:
    return _("Is the disk there? journalctl -u interlock-backup says why; docs/backup.md")
