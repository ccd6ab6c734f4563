"""A whole hub, one page of its database damaged, and what its own commands then say of it.

The real Django, models, billing and the real command line (verify, doctor, backup) on real files, in a process of its
own: a process works on one hub. The witness reads every row of every table past Django and past the indexes, so that
"nothing that is read has changed" is the file's word and not the hub's.
"""

from __future__ import annotations

import io
import json
import random
import sqlite3
import traceback
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django.db

from tests.disk.test_disk_damage import damaged

PAGE_BYTES = 4_096
WAYS = ("zeros", "rubbish", "torn", "cut off", "stale", "one bit")
"""The journal's four; `stale`: the page as it was before the last deeds, which a disk leaves that lied of a write; and
one bit flipped somewhere in the page. The last two leave pages that SQLite calls sound."""

PROVED = frozenset(
    {"hub_auditrow", "hub_noderecord", "hub_statement", "hub_line", "hub_period"}
    | {"hub_member", "hub_badge", "hub_authorisation"}
)
"""What chains, sums and the deeds last told prove, so that even a sound page of yesterday is found out there. Of other
tables nothing but SQLite's own order can tell, and yesterday's page is in order. A flipped bit may lie in a column that
nothing proves in these tables too (when a record arrived): how often it was noticed is published, not promised."""

PROOFS = ("database", "audit log", "lab", "ledger")
"""With these words begin the faults that a back-up looks for itself; of the others only `hub verify` knows."""

SESSIONS = 12
GROWN = 4
LOGINS = 60
"""Gone again before the copy is taken: their pages are free, and damage there is nobody's loss."""

Rows = dict[str, list[tuple[Any, ...]] | str]
"""By table every row; a word instead where SQLite gives none."""


_TRACEBACKS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError),
    *(TypeError, ValueError, sqlite3.Error, django.db.Error),
)
"""What may come out of a command with a damaged database, and then stands on somebody's screen line by line."""


_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""The second comes when SQLite's own complaint quotes rubbish."""


@dataclass(frozen=True)
class Ended:
    """What became of one damage. `read`: "the same", or which tables read otherwise or not at all."""

    way: str
    page: int
    verify: list[str]
    doctor: str
    back_up: str
    read: list[str]
    escaped: list[str]

    @property
    def breach(self) -> str:
        """What of this must not be, in words; empty where all is as promised."""
        if self.escaped:
            return "a traceback"
        if self.doctor == "bad" and not self.verify:
            return "the doctor knows more than the verification"
        if self.back_up == "made" and any(one.startswith(PROOFS) for one in self.verify):
            return "a damaged hub was backed up without a word"
        silent = [] if self.verify else self.read
        if self.way == "one bit":
            return ""
        promised = PROVED.intersection(silent) if self.way == "stale" else silent
        return f"not a word of {', '.join(sorted(promised))}" if promised else ""


@dataclass
class Hub:
    """A hub with bills in `home`, its back-up of a good day in `usb`, and its database byte by byte."""

    home: Path
    usb: Path
    before: bytes = b""
    good: bytes = b""

    @classmethod
    def built(cls, folder: Path) -> Hub:
        """A hub of its own in `folder`, made with its domain functions; this process works on it from now on."""
        hub = cls(folder / "hub", folder / "usb")
        hub.usb.mkdir()
        hub._begin()
        hub._first_month()
        hub.before = hub._bytes()
        hub._last_deeds()
        hub.good = hub._bytes()
        assert hub.run("hub", "backup-key", "--dir", str(hub.home))[0] == 0
        hub._back_up_yesterday()
        assert hub._bytes() == hub.good, "a back-up writes into the hub's database"
        hub._good_file.write_bytes(hub.good)
        hub._before_file.write_bytes(hub.before)
        return hub

    @classmethod
    def kept(cls, folder: Path) -> Hub:
        """The hub that an earlier process built in `folder`, or one built now."""
        hub = cls(folder / "hub", folder / "usb")
        if not hub._before_file.exists():
            return cls.built(folder)
        hub.good, hub.before = hub._good_file.read_bytes(), hub._before_file.read_bytes()
        from interlock.hub import commands

        hub.database.write_bytes(hub.good)
        commands.open_hub(hub.home)
        return hub

    @property
    def database(self) -> Path:
        """The file that is damaged."""
        return self.home / "hub.db"

    @property
    def pages(self) -> int:
        """How many it has."""
        return len(self.good) // PAGE_BYTES

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of one command line, in this process."""
        from interlock.cli import run

        out, talk = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(talk):
            code = run(arguments)
        return code, out.getvalue(), talk.getvalue()

    def turn(self, way: str, page: int) -> Ended | None:
        """What becomes of this damage; None where the page is as it was."""
        content = self._damaged(way, page)
        if content == self.good:
            return None
        escaped: list[str] = []
        self.lay_down(content)
        read = differing(rows(self._good_file), rows(self.database))
        verify = self._asked(escaped, self._verify) or []
        self.lay_down(content)
        doctor = self._asked(escaped, self._doctor) or "escaped"
        self.lay_down(content)
        back_up = self._asked(escaped, self._back_up) or "escaped"
        return Ended(way, page, verify, doctor, back_up, read, escaped)

    def lay_down(self, content: bytes) -> None:
        """The database is these bytes and nothing beside them; nobody has it open."""
        self._close()
        for left in self.home.glob("hub.db-*"):
            left.unlink()
        self.database.write_bytes(content)

    @property
    def _good_file(self) -> Path:
        return self.home.with_name("good.db")

    @property
    def _before_file(self) -> Path:
        return self.home.with_name("before.db")

    def _asked(self, escaped: list[str], ask: Any) -> Any:
        try:
            return ask()
        except _TRACEBACKS:
            escaped.append(traceback.format_exc())
            return None

    def _verify(self) -> list[str]:
        code, said, talk = self.run("hub", "verify", "--dir", str(self.home), "--json")
        *faults, remedy = talk.splitlines() or [""]
        assert bool(faults) == ("docs/backup.md" in remedy), talk
        whole = code == 0 and json.loads(said)["whole"]
        assert whole == (not faults), (code, said, talk)
        return faults

    def _doctor(self) -> str:
        _, said, _ = self.run("hub", "doctor", "--dir", str(self.home), "--json", "--port", "1")
        found = {one["name"]: one for one in json.loads(said)}
        assert found["database"]["remedy"] or found["database"]["verdict"] == "good"
        return str(found["database"]["verdict"])

    def _back_up(self) -> str:
        """ "refused", "made", or "doubted": made, said to be wrong, and no older one made room."""
        before = _files(self.usb)
        code, _, talk = self.run("hub", "backup", "--dir", str(self.home))
        after = _files(self.usb)
        made = after.keys() - before.keys()
        for name in made:
            (self.usb / name).unlink()
        assert {name: after.get(name) for name in before} == before, "an older back-up is gone"
        assert len(made) <= 1, made
        assert made or code == 1, (code, talk)
        assert code == 0 or "docs/backup.md" in talk, talk
        if made:
            return "doubted" if code else "made"
        assert talk.count("\n") == 1, talk
        return "refused"

    def _back_up_yesterday(self) -> None:
        code, path, talk = self.run("hub", "backup", "--dir", str(self.home))
        assert code == 0, talk
        made = Path(path.strip())
        day = datetime.fromisoformat(made.name[10:20]).date() - timedelta(days=1)
        made.rename(self.usb / f"interlock-{day}-033000.backup")

    def _begin(self) -> None:
        from interlock.hub.directory import HubConfig, HubDirectory

        config = HubConfig(
            name="Test lab",
            time_zone="Europe/Paris",
            language="en",
            backup_folder=str(self.usb),
        )
        HubDirectory(self.home).create(config)
        from interlock.hub import commands

        commands.migrate(self.home)

    def _first_month(self) -> None:
        from tests.hub.page_lab import grow, page_lab

        self.lab = page_lab()
        grow(self.lab, GROWN)
        for _ in range(SESSIONS):
            self.lab.journal.session(self.lab.small, 3_600)
        self.lab.deliver()

    def _last_deeds(self) -> None:
        from django.contrib.sessions.backends.db import SessionStore
        from django.contrib.sessions.models import Session as Login

        from interlock.hub.domain import members, periods, trainings
        from interlock.hub.models import Authorisation, Badge, Lab, Member
        from interlock.hub.models.people import BadgeCondition
        from tests.hub.lab import console
        from tests.hub.page_lab import WALL_MS

        month = datetime.fromtimestamp(WALL_MS / 1_000, UTC).date().replace(day=1)
        periods.close(console(), Lab.objects.get(), month)
        self.lab.journal.boot_ms += 40 * 86_400_000
        for _ in range(SESSIONS):
            self.lab.journal.session(self.lab.small, 1_800)
        self.lab.deliver()
        grown = Member.objects.filter(name__startswith="Member").order_by("pk")
        members.suspend_member(console(), grown[0], "owes for last month")
        badge = Badge.objects.filter(member=grown[1]).get()
        members.block_badge(console(), badge, BadgeCondition.STOLEN)
        held = Authorisation.objects.filter(revoked_at=None).order_by("pk").last()
        assert held is not None
        trainings.revoke_training(console(), held, "has not practised")
        for number in range(LOGINS):
            login = SessionStore()
            login["words"] = f"{number:04}" * 400
            login.save()
        Login.objects.all().delete()

    def _damaged(self, way: str, page: int) -> bytes:
        begin, end = page * PAGE_BYTES, (page + 1) * PAGE_BYTES
        match way:
            case "stale":
                place = self.before[begin:end] or self.good[begin:end]
                return self.good[:begin] + place + self.good[end:]
            case "one bit":
                bit = random.Random(page).randrange(8 * PAGE_BYTES)
                content = bytearray(self.good)
                content[begin + bit // 8] ^= 1 << bit % 8
                return bytes(content)
            case _:
                return damaged(self.good, page, way)

    def _bytes(self) -> bytes:
        """The database as one file: the last connection has written its log into it."""
        self._close()
        assert not list(self.home.glob("hub.db-*"))
        return self.database.read_bytes()

    def _close(self) -> None:
        from django.db import connection

        from interlock.hub.sqlite.writer import forget

        connection.close()
        forget(str(self.database))


def rows(database: Path) -> Rows:
    """Every row of every table, read from the tables themselves and not by an index; what a schema is, too."""
    with closing(sqlite3.connect(f"file:{database}?immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        try:
            schema = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        except _UNREADABLE:
            return {"schema": "unreadable"}
        found: Rows = {"schema": sorted(schema)}
        for name in sorted(one[1].decode("latin-1") for one in schema if one[0] == b"table"):
            try:
                found[name] = connection.execute(f'SELECT * FROM "{name}" NOT INDEXED').fetchall()
            except _UNREADABLE:
                found[name] = "unreadable"
        return found


def differing(good: Rows, found: Rows) -> list[str]:
    """The tables that read otherwise, or not at all."""
    return sorted(name for name in good.keys() | found.keys() if good.get(name) != found.get(name))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
