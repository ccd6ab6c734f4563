"""Lists of members as people really send them: looked at, taken whole, taken back; and files that are no lists."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import Workbook

from interlock.hub import uploads
from interlock.hub.changes import verify_audit
from interlock.hub.domain import labs, members, trainings
from interlock.hub.importing_columns import Field, guess, is_helloasso
from interlock.hub.models import Badge, Group, Lab, Member, MemberImport, Payer
from interlock.hub.spreadsheets import FILE_BYTES_MAX
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HEADING = (
    "Référence commande;Date de la commande;Statut de la commande;Nom adhérent;Prénom adhérent;"
    "Nom payeur;Prénom payeur;Email payeur;Raison sociale;Moyen de paiement;Tarif;Montant tarif;"
    "Code Promo;Montant code promo;Téléphone"
)


def helloasso(*people: tuple[str, str, str, str, str, str]) -> bytes:
    """Such an export: (day, state, last name, first name, payer's e-mail, tariff)."""
    lines = [
        f"15280{n};{day} 21:59;{state};{last};{first};{last};Pay;{email};;Carte bancaire;{tariff};"
        "30,00;;;0601020304"
        for n, (day, state, last, first, email, tariff) in enumerate(people)
    ]
    return b"\xef\xbb\xbf" + "\r\n".join([HEADING, *lines, ""]).encode()


THREE = helloasso(
    ("09/10/2025", "Validé", "DUPONT", "Marie-Laure", "dupont@example.org", "Plein tarif"),
    ("10/10/2025", "Validé", "DUPONT", "léo", "dupont@example.org", "Tarif réduit"),
    ("11/10/2025", "Annulé", "Petit", "Jean", "jean@example.org", "Plein tarif"),
)


def workbook(fill: Callable[[Any], object], **more: str) -> bytes:
    """An XLSX as openpyxl writes it, with `more` parts in its zip."""
    book, out = Workbook(), io.BytesIO()
    fill(book.active)
    book.save(out)
    if more:
        with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as parts:
            for name, text in more.items():
                parts.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return out.getvalue()


def rows(*lines: tuple[object, ...]) -> Callable[[Any], object]:
    def fill(sheet: Any) -> None:
        for line in lines:
            sheet.append(line)

    return fill


@pytest.fixture
def lab() -> Iterator[PageLab]:
    yield page_lab()
    for left in (settings.HUB.path / "uploads").glob("*.json"):
        left.unlink()


def send(client: Client, raw: bytes, name: str = "members.csv") -> Any:
    return client.post(reverse("import"), {"file": SimpleUploadedFile(name, raw)})


def looked(client: Client, raw: bytes, name: str = "members.csv") -> str:
    answer = send(client, raw, name)
    assert answer.status_code == 302, answer.content.decode()
    address: str = answer.url
    return address


def files() -> list[str]:
    return sorted(path.name for path in (settings.HUB.path / "uploads").glob("*"))


# ------------------------------------------------------------------------------- HelloAsso


def test_helloassos_columns_are_known_by_themselves() -> None:
    heading = HEADING.split(";")
    found = {one: heading[place] for place, one in enumerate(guess(heading)) if one}
    assert is_helloasso(heading)
    assert found == {
        Field.JOINED: "Date de la commande",
        Field.STATE: "Statut de la commande",
        Field.LAST_NAME: "Nom adhérent",
        Field.FIRST_NAME: "Prénom adhérent",
        Field.EMAIL: "Email payeur",
        Field.PAYER: "Raison sociale",
        Field.GROUP: "Tarif",
    }


def test_a_members_own_e_mail_is_preferred_to_the_payers() -> None:
    heading = [*HEADING.split(";"), "Email"]
    assert heading[guess(heading).index(Field.EMAIL)] == "Email"


def test_an_export_of_helloasso_is_looked_at_and_taken_as_it_is(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, THREE, "export-adhesion.csv")
    page = client.get(address).content.decode()
    assert "an export of HelloAsso" in page
    assert "Import 2 people" in page
    assert "The order does not count: Annulé" in page
    assert "Shares the e-mail of Marie-Laure Dupont (line 2): comes without one" in page
    assert Member.objects.count() == 1
    client.post(address)
    got = Member.objects.exclude(name="Ada Martin").order_by("pk")
    assert [(m.name, m.email, m.group and m.group.name, m.joined_on) for m in got] == [
        ("Marie-Laure Dupont", "dupont@example.org", "Plein tarif", date(2025, 10, 9)),
        ("Léo Dupont", "", "Tarif réduit", date(2025, 10, 10)),
    ]
    # A year from the day they joined, to its last moment in the lab's zone.
    assert [m.until_at and m.until_at.date().isoformat() for m in got] == [
        "2026-10-08",
        "2026-10-09",
    ]
    assert files() == []
    verify_audit(lab.small.lab)


def test_the_same_list_next_year_makes_nobody_twice_and_renews(lab: PageLab) -> None:
    client = lab.client("manager")
    client.post(looked(client, THREE))
    next_year = THREE.replace(b"/2025", b"/2026")
    page = client.get(address := looked(client, next_year)).content.decode()
    assert "Is a member already" in page
    client.post(address)
    assert Member.objects.count() == 3
    ends = Member.objects.filter(name__endswith="Dupont").values_list("until_at", flat=True)
    assert {end.year for end in ends if end} == {2027}
    assert MemberImport.objects.first() is not None
    assert Payer.objects.count() == 3


def test_an_older_list_never_shortens_a_membership(lab: PageLab) -> None:
    client = lab.client("manager")
    client.post(looked(client, THREE))
    before = list(Member.objects.values_list("name", "until_at").order_by("pk"))
    client.post(looked(client, THREE.replace(b"/2025", b"/2023")))
    assert list(Member.objects.values_list("name", "until_at").order_by("pk")) == before


def test_who_is_here_already_can_be_left_alone(lab: PageLab) -> None:
    client = lab.client("manager")
    client.post(looked(client, THREE))
    address = looked(client, THREE.replace(b"/2025", b"/2026"))
    client.post(address + "?known=skip")
    assert {
        m.until_at.year for m in Member.objects.filter(name__endswith="Dupont") if m.until_at
    } == {2026}


def test_groups_are_made_only_as_chosen(lab: PageLab) -> None:
    labs.create_group(console(), lab.small.lab, "standard", "Standard")
    client = lab.client("manager")
    address = looked(client, THREE)
    assert "Plein tarif" in client.get(address).content.decode()
    client.post(address + "?g-pleintarif=standard&g-tarifreduit=none")
    assert list(Group.objects.values_list("name", flat=True)) == ["Standard"]
    groups = Member.objects.filter(name__endswith="Dupont").values_list("group__name", flat=True)
    assert list(groups.order_by("pk")) == ["Standard", None]


def test_memberships_end_with_the_season_where_the_lab_has_one(lab: PageLab) -> None:
    labs.set_memberships(console(), lab.small.lab, "08-31", asks_consent=False)
    client = lab.client("manager")
    client.post(looked(client, THREE))
    ends = Member.objects.filter(name__endswith="Dupont").values_list("until_at", flat=True)
    assert {end.date().isoformat() for end in ends if end} == {"2026-08-31"}


# ------------------------------------------------------------------------- problems and repeats


BAD = b"Nom;Pr\xe9nom;Email\nUn;Bon;bon@example.org\n;;x@example.org\nDeux;Mal;pas-une-adresse\n"


def test_a_bad_line_is_said_and_keeps_everybody_out_unless_it_is_left_out(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, BAD)
    page = client.get(address).content.decode()
    assert "2 lines have a problem" in page
    assert "A member needs a name" in page
    assert "is not an e-mail address" in page
    client.post(address)
    assert Member.objects.count() == 1
    assert files() != [], "nothing was imported: the list must still be there"
    client.post(address, {"leave_out": "yes"})
    assert Member.objects.filter(name="Bon Un").count() == 1
    assert Member.objects.count() == 2


def test_of_one_person_in_two_lines_the_newest_counts(lab: PageLab) -> None:
    client = lab.client("manager")
    twice = helloasso(
        ("01/09/2025", "Validé", "Roy", "Eve", "eve@example.org", "Ancien"),
        ("01/09/2026", "Validé", "Roy", "Eve", "eve@example.org", "Nouveau"),
    )
    address = looked(client, twice)
    assert "The same person is in line 3" in client.get(address).content.decode()
    client.post(address)
    eve = Member.objects.get(email="eve@example.org")
    assert (eve.group and eve.group.name, eve.joined_on) == ("Nouveau", date(2026, 9, 1))


def test_an_e_mail_of_somebody_else_is_a_problem_not_a_new_name(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, b"name;email\nBob Stone;ADA@example.org\n")
    assert "belongs to Ada Martin" in client.get(address).content.decode()
    client.post(address, {"leave_out": "yes"})
    assert list(Member.objects.values_list("name", flat=True)) == ["Ada Martin"]


def test_columns_can_be_said_on_screen(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, b"Qui;Adresse bizarre\nZo\xc3\xa9 L.;zoe@example.org\n")
    page = client.get(address).content.decode()
    assert "Say which column holds the name" in page
    assert "Import 1 person" not in page
    client.post(address + "?c0=name&c1=name")
    assert Member.objects.count() == 1
    client.post(address + "?c0=name&c1=email")
    assert Member.objects.filter(name="Zoé L.", email="zoe@example.org").exists()


def test_three_hundred_members_take_as_many_queries_as_three(lab: PageLab) -> None:
    client = lab.client("manager")

    def queries(first: int, count: int) -> int:
        people = helloasso(
            *(
                ("09/10/2025", "Validé", f"N{n}", "P", f"n{n}@example.org", "Plein tarif")
                for n in range(first, first + count)
            )
        )
        address = looked(client, people)
        with CaptureQueriesContext(connection) as seen:
            client.get(address)
            client.post(address)
        return len(seen)

    queries(1_000, 1)
    few, many = queries(0, 3), queries(10, 300)
    assert Member.objects.count() == 1 + 1 + 303
    assert many == few


# ----------------------------------------------------------------------------------- XLSX


def test_a_workbook_is_read_with_its_days_and_results(lab: PageLab) -> None:
    raw = workbook(
        rows(
            ("Nom", "Prénom", "Fin d'adhésion", "Email"),
            ("Noël", "Zoé", date(2027, 8, 31), "zoe@example.org"),
        )
    )
    client = lab.client("manager")
    client.post(looked(client, raw, "liste.xlsx"))
    zoe = Member.objects.get(name="Zoé Noël")
    assert zoe.until_at is not None
    assert zoe.until_at.date() == date(2027, 8, 31)


def test_merged_cells_and_further_sheets_are_said(lab: PageLab) -> None:
    def fill(sheet: Any) -> None:
        rows(("Nom",), ("Zoé",), ("Ada",))(sheet)
        sheet.merge_cells("A2:B2")
        sheet.parent.create_sheet("Autre").append(("x",))

    client = lab.client("manager")
    page = client.get(looked(client, workbook(fill), "l.xlsx")).content.decode()
    assert "It has merged cells" in page
    assert "Only the sheet “Sheet” was read" in page


BOMB = "<a>" + "0" * 120_000_000 + "</a>"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(lambda: b"", "empty", id="nothing"),
        pytest.param(lambda: b"\n\n;;\n", "It is empty", id="blank"),
        pytest.param(lambda: b"name\n\x81\x8d\x90\n", "letters cannot be read", id="letters"),
        pytest.param(lambda: b"name\x00\x01\nx\n", "letters cannot be read", id="binary"),
        pytest.param(
            lambda: b"name\n" + b"x" * FILE_BYTES_MAX, "larger than 7 MB", id="ten megabytes"
        ),
        pytest.param(
            lambda: b"name\n" + b"x\n" * 20_001, "more than 20000 lines", id="too many lines"
        ),
        pytest.param(lambda: b"name" + b";" * 300 + b"\n", "more than 200 columns", id="too wide"),
        pytest.param(lambda: b"PK\x03\x04 nothing", "damaged, or no XLSX", id="broken zip"),
        pytest.param(
            lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "old Excel file", id="xls"
        ),
        pytest.param(lambda: b"%PDF-1.7", "It is a PDF", id="pdf"),
        pytest.param(
            lambda: workbook(rows(("Nom",), ("Zoé",)), xl__vbaProject_dot_bin="x"),
            "holds macros",
            id="macros",
        ),
        pytest.param(
            lambda: workbook(rows(("Nom",), ("=A3",))), "formula without a result", id="formula"
        ),
        pytest.param(
            lambda: workbook(rows(("Nom",)), xl__bomb_dot_xml=BOMB), "larger than 100 MB", id="bomb"
        ),
        pytest.param(
            lambda: workbook(
                rows(("Nom",)),
                xl__x_dot_xml='<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a/>',
            ),
            "damaged, or no XLSX",
            id="entities",
        ),
        pytest.param(lambda: odt(), "another kind of file", id="opendocument"),
    ],
)
def test_what_is_no_list_is_refused_in_words_and_kept_nowhere(
    raw: Callable[[], bytes], says: str, lab: PageLab
) -> None:
    answer = send(lab.client("manager"), raw(), "list.xlsx")
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert files() == []
    assert Member.objects.count() == 1


def odt() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return out.getvalue()


# ------------------------------------------------------------------------------ the kept list


def test_a_list_is_its_senders_alone_and_dies_after_an_hour(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, THREE)
    (kept,) = (settings.HUB.path / "uploads").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert lab.client("owner").get(address).status_code == 404
    token = address.rstrip("/").split("/")[-1]
    user, of_lab = lab.users["manager"], lab.small.lab
    made_ms = settings.HUB_CLOCK.wall_ms()
    younger = VirtualClock(wall_ms=made_ms + (uploads.LIFE_S - 10) * 1_000)
    older = VirtualClock(wall_ms=made_ms + (uploads.LIFE_S + 10) * 1_000)
    assert uploads.find(younger, of_lab, user, token) is not None
    assert uploads.find(older, of_lab, user, token) is None
    assert (uploads.drop_old(younger), len(files())) == (0, 1)
    assert (uploads.drop_old(older), files()) == (1, [])


def test_a_token_leads_to_no_other_file(lab: PageLab) -> None:
    """Files with the very same list, outside the folder and under a name of somebody's own, are not read."""
    looked(lab.client("owner"), THREE)
    (kept,) = (settings.HUB.path / "uploads").glob("*.json")
    found = (settings.HUB_CLOCK, lab.small.lab, lab.users["owner"])
    assert uploads.find(*found, kept.stem) is not None
    strays = {"../stray": kept.parent.parent / "stray.json", "x": kept.parent / "x.json"}
    for path in strays.values():
        path.write_bytes(kept.read_bytes())
    try:
        for token in (*strays, "..", "0" * 32, kept.stem + "\n", kept.stem.upper() + "/"):
            assert uploads.find(*found, token) is None, token
            uploads.drop(token)
        assert all(path.exists() for path in (kept, *strays.values()))
    finally:
        for path in strays.values():
            path.unlink(missing_ok=True)


def test_a_list_can_be_deleted_without_being_imported(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, THREE)
    client.post(address + "forget/")
    assert files() == []
    assert client.get(address).status_code == 404


# ------------------------------------------------------------------------------- taken back


def test_an_import_is_taken_back_but_for_those_who_did_something(lab: PageLab) -> None:
    client = lab.client("manager")
    client.post(looked(client, THREE))
    leo = Member.objects.get(name="Léo Dupont")
    trainings.grant_training(console(), leo, lab.small.training)
    done = MemberImport.objects.get()
    page = client.post(reverse("import-take-back", args=[done.pk]), follow=True).content.decode()
    assert "1 member stays" in page
    assert sorted(Member.objects.values_list("name", flat=True)) == ["Ada Martin", "Léo Dupont"]
    assert sorted(Payer.objects.values_list("name", flat=True)) == ["Ada Martin", "Léo Dupont"]
    again = client.post(reverse("import-take-back", args=[done.pk]), follow=True).content.decode()
    assert "taken back before" in again
    verify_audit(lab.small.lab)


def test_badges_and_trainings_of_a_list_go_with_it(lab: PageLab) -> None:
    client = lab.client("manager")
    client.post(looked(client, b"name;badge;trainings\nZoe;04a1b2c3d4e5ff;saw-basics\n"))
    assert Badge.objects.count() == 2
    client.post(reverse("import-take-back", args=[MemberImport.objects.get().pk]))
    assert (Badge.objects.count(), Member.objects.count()) == (1, 1)


@pytest.mark.parametrize("role", ["trainer", "technician", "accountant", "member"])
def test_nobody_else_sends_or_takes_lists(lab: PageLab, role: str) -> None:
    address = looked(lab.client("manager"), THREE)
    client = lab.client(role)
    assert client.get(reverse("import")).status_code == 403
    assert send(client, THREE).status_code == 403
    assert client.post(address).status_code == 403
    assert Member.objects.count() == 1


def test_the_pages_speak_french(lab: PageLab) -> None:
    client = lab.client("manager", "fr")
    assert "Importer" in client.get(reverse("import")).content.decode()
    page = client.get(looked(client, THREE)).content.decode()
    assert "un export de HelloAsso" in page
    assert "Importer 2 personnes" in page


def test_the_second_look_finds_what_somebody_entered_meanwhile(lab: PageLab) -> None:
    client = lab.client("manager")
    address = looked(client, b"name;email\nZoe;zoe@example.org\n")
    client.get(address)
    members.create_member(console(), Lab.objects.get(), "Somebody Else", email="zoe@example.org")
    client.post(address, {"leave_out": "yes"})
    assert not Member.objects.filter(name="Zoe").exists()
