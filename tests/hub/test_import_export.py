"""Lists of members in, lists of sessions out, as spreadsheets really write and read them."""

from __future__ import annotations

import csv
import io
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from interlock.errors import ConfigError
from interlock.hub import ingest
from interlock.hub.changes import verify_audit
from interlock.hub.domain.labs import create_group, create_payer
from interlock.hub.domain.members import change_member
from interlock.hub.exporting import Filter, export_sessions
from interlock.hub.importing import LINES_AT_ONCE_PARTIAL, Imported, import_members
from interlock.hub.models import Authorisation, Badge, Lab, Member, Payer, PayerKind
from interlock.hub.spreadsheets import BadLine
from interlock.hub.tables import neutral
from interlock.protocol.tags import badge_tag
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def run(lab: SmallLab, tmp_path: Path, content: bytes | str, *, partial: bool = False) -> Imported:
    path = tmp_path / "members.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return import_members(console(), lab.lab, path, partial=partial)


def names() -> list[str]:
    return sorted(Member.objects.exclude(name="Ada Martin").values_list("name", flat=True))


FRENCH = "Nom;Courriel;Langue\r\nZoé Lefèvre;zoe@example.org;fr\r\nŒdipe;;\r\n"


@pytest.mark.parametrize(
    "content",
    [
        FRENCH.encode(),
        b"\xef\xbb\xbf" + FRENCH.encode(),
        FRENCH.encode("cp1252"),
        FRENCH.encode("utf-16"),
        FRENCH.replace(";", ",").encode(),
        FRENCH.replace(";", "\t").encode(),
        FRENCH.replace("\r\n", "\n").encode(),
        (FRENCH + ";;\r\n\r\n").encode(),
        FRENCH.replace("Œdipe", '"Œdipe"').encode(),
    ],
)
def test_every_spelling_of_the_same_list_makes_the_same_members(
    content: bytes, tmp_path: Path
) -> None:
    lab = small_lab()
    assert run(lab, tmp_path, content) == Imported(2, (), 2)
    assert names() == ["Zoé Lefèvre", "Œdipe"]
    assert Member.objects.get(name="Œdipe").language == "en"


def test_every_column_is_used(tmp_path: Path) -> None:
    lab = small_lab()
    group = create_group(console(), lab.lab, "student", "Student")
    firm = create_payer(console(), lab.lab, "Atelier", PayerKind.ORGANISATION)
    run(
        lab,
        tmp_path,
        "name;email;language;group;payer;until;badge;trainings\n"
        "Zoé;z@example.org;FR;Student;atelier;31/12/2027;04:A1:B2:C3:D4:E5:99;Table saw\n",
    )
    zoe = Member.objects.get(name="Zoé")
    assert (zoe.group, zoe.payer, zoe.language) == (group, firm, "fr")
    assert zoe.until_at is not None
    # The whole last day counts, in the lab's zone: an hour before midnight UTC in winter.
    assert zoe.until_at.isoformat() == "2027-12-31T22:59:59.999999+00:00"
    uid = bytes.fromhex("04a1b2c3d4e599")
    assert Badge.objects.get(member=zoe).tag == badge_tag(settings.HUB.badge_key(), uid)
    assert Authorisation.objects.filter(member=zoe, training=lab.training).exists()


BAD = (
    "name;email;until;badge;group\n"
    "Good One;good@example.org;;;\n"
    ";nobody@example.org;;;\n"
    "Bad Mail;not-an-address;;;\n"
    "Bad Date;;31-12-27;;\n"
    "Bad Badge;;;xyz;\n"
    "Short Badge;;;0102;\n"
    "Bad Group;;;;martians\n"
    "Too Many;;;;;;more\n"
    "Good One;GOOD@example.org;;;\n"
    "Ada Martin;ada@example.org;;;\n"
    "Last Good;;2027-01-01;;\n"
)
REASONS = {
    3: "needs a name",
    4: "not an e-mail",
    5: "not a date",
    6: "hexadecimal",
    7: "UID has 4, 7, 10 bytes",
    8: "there is no martians",
    9: "more cells",
    10: "Good One is in line 2 already",
    11: "exists already",
}


def test_every_bad_line_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    lab = small_lab()
    done = run(lab, tmp_path, BAD)
    assert (done.created, done.total) == (0, 11)
    assert [line.number for line in done.bad] == list(REASONS)
    for line in done.bad:
        assert REASONS[line.number] in line.reason
    assert names() == []


def test_with_partial_the_good_lines_are_imported(tmp_path: Path) -> None:
    lab = small_lab()
    done = run(lab, tmp_path, BAD, partial=True)
    assert (done.created, len(done.bad)) == (2, 9)
    assert names() == ["Good One", "Last Good"]


def test_the_same_list_twice_adds_nobody_twice(tmp_path: Path) -> None:
    lab = small_lab()
    people = "name;email;badge\nJean Petit;;\nAnna Grand;anna@example.org;\nZoé;;04A1B2C3D4E599\n"
    assert run(lab, tmp_path, people) == Imported(3, (), 3)
    again = run(lab, tmp_path, people)
    assert (again.created, [line.number for line in again.bad]) == (0, [2, 3, 4])
    assert "Jean Petit exists already. Give an e-mail" in again.bad[0].reason
    assert "belongs to Zoé" in again.bad[2].reason
    assert names() == ["Anna Grand", "Jean Petit", "Zoé"]
    assert Payer.objects.count() == 4


def test_a_namesake_is_taken_with_an_e_mail_or_a_badge_of_their_own(tmp_path: Path) -> None:
    lab = small_lab()
    run(lab, tmp_path, "name\nJEAN PETIT\n")
    assert run(lab, tmp_path, "name\nJean Petit\n", partial=True).created == 0
    more = (
        "name;email;badge\nJean Petit;jean@example.org;\nJean Petit;j2@example.org;04A1B2C3D4E599\n"
    )
    assert run(lab, tmp_path, more) == Imported(2, (), 2)


def large(tmp_path: Path, count: int, first: int = 0) -> Path:
    path = tmp_path / "large.csv"
    lines = (
        f"N{i};n{i}@example.org;{0x04000000000000 + i:014x};Table saw"
        for i in range(first, first + count)
    )
    path.write_text("name;email;badge;trainings\n" + "\n".join(lines), encoding="utf-8")
    return path


def test_two_thousand_members_are_taken_at_once_and_asked_for_with_as_many_queries_as_a_few(
    tmp_path: Path,
) -> None:
    """Rows of one INSERT apart, nothing grows with the list: no line asks the database anything."""
    lab = small_lab()
    with CaptureQueriesContext(connection) as few:
        import_members(console(), lab.lab, large(tmp_path, 3))
    with CaptureQueriesContext(connection) as many:
        import_members(console(), lab.lab, large(tmp_path, 2_000, first=100))
    asked = [len([q for q in run if q["sql"].startswith("SELECT")]) for run in (few, many)]
    assert asked[0] == asked[1]
    assert len(many) < len(few) + 60
    assert Member.objects.count() == 2_004
    assert Authorisation.objects.count() == 2_004
    assert Payer.objects.filter(name="N1500").count() == 1
    verify_audit(lab.lab)


def test_bad_lines_are_found_without_taking_the_writer(tmp_path: Path) -> None:
    lab = small_lab()
    waits: list[str] = []

    def no_writes(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        assert sql.startswith("SELECT"), sql
        waits.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(no_writes):
        assert len(run(lab, tmp_path, BAD).bad) == len(REASONS)
    assert waits


@pytest.mark.django_db(transaction=True)
def test_between_a_few_lines_of_a_large_import_others_get_the_writer(tmp_path: Path) -> None:
    lab = small_lab()
    depths: list[int] = []
    begun: list[str] = []

    def watched(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT") and '"hub_member"' in sql:
            depths.append(len(begun))
        return execute(sql, params, many, context)

    def committed(done: int, total: int) -> None:
        transaction.on_commit(lambda: begun.append(f"{done} of {total}"))

    with connection.execute_wrapper(watched):
        done = import_members(
            console(),
            lab.lab,
            large(tmp_path, 2 * LINES_AT_ONCE_PARTIAL + 1),
            partial=True,
            progress=committed,
        )
    assert done == Imported(501, (), 501)
    # By the insert of the second and third batch of members, what came before was committed.
    assert depths == [0, 1, 2]
    verify_audit(lab.lab)


def test_a_bad_training_leaves_no_half_member(tmp_path: Path) -> None:
    lab = small_lab()
    done = run(lab, tmp_path, "name;badge;trainings\nZoé;04a1b2c3d4e5f6;saw-basics\n", partial=True)
    assert done.bad == (BadLine(2, done.bad[0].reason),)
    assert "belongs to Ada Martin" in done.bad[0].reason
    assert names() == []


def test_line_numbers_count_lines_of_the_file_also_after_a_cell_with_a_line_break(
    tmp_path: Path,
) -> None:
    lab = small_lab()
    done = run(lab, tmp_path, 'name;email\n"Zoé\nLefèvre";\n;x@example.org\n')
    assert [line.number for line in done.bad] == [4]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("email\nx@example.org\n", "name the columns"),
        ("name;nom\nx;y\n", "two columns"),
        ("name;shoe size\nx;y\n", "nobody reads"),
        (b"name\n\x81\x8d\x90\n", "letters"),
    ],
)
def test_a_file_that_is_no_list_is_refused(content: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        run(small_lab(), tmp_path, content)


@pytest.mark.parametrize("until", ["9999-12-31", "0001-01-01", "01/01/1900"])
def test_an_end_that_no_calendar_holds_is_a_bad_line(until: str, tmp_path: Path) -> None:
    """In a zone behind UTC the last day of 9999 ends in the year 10000."""
    lab = small_lab()
    Lab.objects.update(time_zone="America/Cayenne")
    lab.lab.refresh_from_db()
    done = run(lab, tmp_path, f"name;until\nZoé;{until}\n")
    assert (done.created, [line.number for line in done.bad]) == (0, [2])
    assert "is not between 2000-01-01 and 2099-12-31" in done.bad[0].reason


@pytest.mark.parametrize("wanted", [Filter(until=date.max), Filter(since=date.min)])
def test_an_export_of_impossible_days_is_refused_in_words(wanted: Filter, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not between"):
        export_sessions(small_lab().lab, tmp_path / "s.csv", wanted)
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_for_its_owners_eyes_alone_whatever_the_umask(tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    half = tmp_path / ".s.csv.part"
    half.write_text("left by an export that was killed")
    half.chmod(0o666)
    old = os.umask(0)
    try:
        export_sessions(small_lab().lab, out)
    finally:
        os.umask(old)
    assert (out.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o600, [out])


def test_an_export_never_writes_through_a_link_somebody_laid(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".s.csv.part").symlink_to(victim)
    export_sessions(small_lab().lab, tmp_path / "s.csv")
    assert victim.read_text() == "mine"


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    lab = small_lab()
    path = tmp_path / "m.csv"
    path.write_text("name\n" + "".join(f"M{i}\n" for i in range(45)), encoding="utf-8")
    seen: list[tuple[int, int]] = []
    import_members(
        console(), lab.lab, path, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(45, 45)]


def exported(lab: SmallLab, tmp_path: Path, wanted: Filter | None = None) -> list[list[str]]:
    out = tmp_path / "sessions.csv"
    count = export_sessions(lab.lab, out, wanted)
    raw = out.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=";"))
    assert len(rows) == count + 1
    return rows


def test_sessions_are_exported_with_their_price_in_the_labs_time(tmp_path: Path) -> None:
    lab = small_lab()
    change_member(console(), lab.member, name='=HYPERLINK("http://evil")')
    journal = Journal.of(lab.enrolled)
    journal.anchor(LAB_BEGAN_MS + 3_600_000)
    journal.session(lab, 600, busy_s=200)
    journal.start(lab)
    ingest.take(lab.enrolled.node, journal.wires(), settings.HUB_CLOCK)
    rows = exported(lab, tmp_path)
    assert rows[1] == [
        *("saw/1.2", "Table saw", '\'=HYPERLINK("http://evil")', "", "Ada Martin"),
        *("2023-11-15 00:13:21", "2023-11-15 00:23:21"),
        *("600", "200", "0", "400", "tap_off", "no", "no", "2.00"),
    ]
    assert exported(lab, tmp_path, Filter(decimal_comma=True))[1][-1] == "2,00"


def test_an_export_of_some_days_holds_those_days(tmp_path: Path) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(LAB_BEGAN_MS + 3_600_000)
    journal.session(lab, 60)
    journal.boot_ms += 86_400_000
    journal.session(lab, 60)
    ingest.take(lab.enrolled.node, journal.wires(), settings.HUB_CLOCK)

    def days(since: date | None, until: date | None) -> list[str]:
        return [row[5][:10] for row in exported(lab, tmp_path, Filter(since, until))[1:]]

    first, second = date(2023, 11, 15), date(2023, 11, 16)
    assert days(None, None) == ["2023-11-15", "2023-11-16"]
    assert days(second, None) == ["2023-11-16"]
    assert days(None, first) == ["2023-11-15"]
    assert days(first, second) == ["2023-11-15", "2023-11-16"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_begins_like_a_formula_is_text(start: str) -> None:
    assert neutral(f"{start}1") == f"'{start}1"
    assert neutral(f"1{start}") == f"1{start}"
