"""What the pages say of a real lab: states, rights, sessions, prices, and of an empty one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from interlock.core.model import Ending, Fault, Level
from interlock.hub.directory import HubConfig
from interlock.hub.domain import labs, machines, trainings
from interlock.hub.domain.accounts import create_user, give_role
from interlock.hub.domain.nodes import enrol_node
from interlock.hub.greeting import SILENT_AFTER
from interlock.hub.models import Machine, Member, Node, RoleName, Session
from interlock.hub.pages import tiles
from interlock.protocol.records import RecordType
from tests.hub.lab import HUB_URL, console
from tests.hub.page_lab import PageLab, grow, link_to_member, only_session, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PARIS = ZoneInfo("Europe/Paris")


def text(
    lab: PageLab, role: str, name: str, *args: object, language: str = "en", query: str = ""
) -> str:
    """The page as that role reads it, spaces as spaces."""
    answer = lab.client(role, language).get(reverse(name, args=args) + query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\u00a0", " ").replace("\u2060", "").split())


def hear_from_node(lab: PageLab) -> None:
    now = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    Node.objects.filter(pk=lab.small.enrolled.node.pk).update(last_seen_at=now)


def tile_of(lab: PageLab, now: datetime | None = None) -> tiles.Tile:
    now = now or datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    machine = tiles.machines_of(lab.small.lab).get(slug="saw")
    return tiles.tile(machine, PARIS, now, show_member=True)


# ---------------------------------------------------------------------------------------- board


def test_the_board_follows_a_session_from_free_to_busy_to_idle_to_free() -> None:
    lab = page_lab()
    states = []
    started = ""

    def arrive() -> None:
        lab.deliver()
        hear_from_node(lab)
        states.append((tile_of(lab).state, tile_of(lab).member))

    arrive()
    started = lab.journal.start(lab.small)
    arrive()
    lab.journal.progress(started, 60, busy_s=60)
    arrive()
    lab.journal.progress(started, 120, busy_s=60, idle_s=60)
    arrive()
    lab.journal.end(started, 130, busy_s=60, idle_s=70)
    arrive()
    assert states == [
        ("free", ""),
        ("in-use", "Ada Martin"),
        ("in-use", "Ada Martin"),
        ("idle", "Ada Martin"),
        ("free", ""),
    ]


def test_a_fault_outranks_a_lock_out_and_both_say_why() -> None:
    lab = page_lab()
    lab.journal.write(RecordType.LOCK_OUT_SET, source="machine", cause="broken_pressed")
    lab.deliver()
    hear_from_node(lab)
    locked = tile_of(lab)
    lab.journal.write(RecordType.FAULT_RAISED, fault=Fault.CONTACTOR_WELDED.value)
    lab.deliver()
    assert (locked.state, tile_of(lab).state) == ("locked-out", "fault")
    assert "reported broken at the machine" in locked.details
    assert "the contactor stays closed" in tile_of(lab).details


def test_a_lock_out_by_the_hub_shows_its_reason() -> None:
    lab = page_lab()
    hear_from_node(lab)
    machines.lock_out(console(), lab.small.machine, "blade is blunt")
    assert tile_of(lab).state == "locked-out"
    assert "blade is blunt" in tile_of(lab).details


def test_a_node_that_falls_silent_makes_its_machine_offline_at_once_and_not_before() -> None:
    lab = page_lab()
    hear_from_node(lab)
    seen = Node.objects.get().last_seen_at
    assert seen is not None
    at_the_limit = tile_of(lab, seen + SILENT_AFTER)
    after = tile_of(lab, seen + SILENT_AFTER + timedelta(seconds=1))
    assert (at_the_limit.state, after.state) == ("free", "offline")


def test_a_silent_node_tells_nobody_who_used_the_machine_as_if_it_were_now() -> None:
    lab = page_lab()
    lab.journal.start(lab.small)
    lab.deliver()
    assert tile_of(lab).state == "offline"
    assert tile_of(lab).member == ""


def test_a_machine_without_a_node_says_so() -> None:
    lab = page_lab()
    machines.create_machine(console(), lab.small.lab, "lathe", "Lathe")
    assert "no node yet" in text(lab, "owner", "board")


@pytest.mark.parametrize(
    ("role", "sees"),
    [("owner", True), ("trainer", True), ("technician", True), ("member", False)],
)
def test_the_board_names_the_person_only_to_those_allowed(role: str, sees: bool) -> None:
    lab = page_lab()
    lab.journal.start(lab.small)
    lab.deliver()
    hear_from_node(lab)
    page = text(lab, role, "board")
    assert "In use" in page
    assert ("Ada Martin" in page) == sees


def test_the_fragment_is_the_part_of_the_board_that_it_replaces() -> None:
    lab = page_lab()
    hear_from_node(lab)
    whole, part = text(lab, "owner", "board"), text(lab, "owner", "board-tiles")
    assert part in whole
    assert part.startswith('<div class="stack" id="tiles"')


# ------------------------------------------------------------------------------- members and rights


def test_a_member_sees_every_machine_with_what_is_missing() -> None:
    lab = page_lab()
    small, actor = lab.small, console()
    laser = trainings.create_training(actor, small.lab, "laser", "Laser cutting")
    metal = trainings.create_training(actor, small.lab, "metal", "Metal")
    machines.create_machine(actor, small.lab, "laser", "Laser", trainings=[laser, small.training])
    machines.create_machine(actor, small.lab, "lathe", "Lathe", trainings=[metal])
    machines.create_machine(actor, small.lab, "printer", "Printer")
    trainings.grant_training(actor, small.member, metal, Level.SUPERVISED.value)
    page = text(lab, "owner", "member", small.member.public_id)
    rights = page[page.index("What they may use") : page.index("Last sessions")]
    assert rights.count("May use it.") == 2
    assert "Still to do: the training “Laser cutting”." in rights
    assert "Only under supervision (“Metal”)." in rights
    assert "“Table saw”" not in rights


def test_an_expired_training_is_missing_from_its_second_on() -> None:
    lab = page_lab()
    small = lab.small
    now = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    trainings.grant_training(
        console(), small.member, small.training, until_at=now + timedelta(hours=1)
    )
    assert "May use it." in text(lab, "owner", "member", small.member.public_id)
    small.member.authorisations.filter(revoked_at=None).update(until_at=now)
    page = text(lab, "owner", "member", small.member.public_id)
    assert "The training “Table saw” has expired." in page
    assert "expired on" in page


def test_an_ended_membership_and_a_missing_badge_are_said_once_for_all_machines() -> None:
    lab = page_lab()
    small = lab.small
    now = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    Member.objects.filter(pk=small.member.pk).update(until_at=now)
    page = text(lab, "owner", "member", small.member.public_id)
    assert page.count("The membership has ended.") == 1
    assert "May use it." not in page
    Member.objects.filter(pk=small.member.pk).update(until_at=None)
    small.member.badges.all().delete()
    assert "Has no badge yet." in text(lab, "owner", "member", small.member.public_id)


def test_the_list_of_members_finds_by_name_group_and_status() -> None:
    lab = page_lab()
    small = lab.small
    group = labs.create_group(console(), small.lab, "students", "Students")
    now = datetime.fromtimestamp(settings.HUB_CLOCK.wall_ms() / 1_000, UTC)
    made = Member.objects.create
    made(lab=small.lab, public_id="b1", name="Émilie Rousseau", group=group)
    made(lab=small.lab, public_id="b2", name="Marc Petit", status="suspended")
    made(lab=small.lab, public_id="b3", name="Zoé Nguyen", until_at=now - timedelta(days=1))

    def found(query: str) -> set[str]:
        page = text(lab, "owner", "members", query=query)
        names = ("Ada Martin", "Émilie Rousseau", "Marc Petit", "Zoé Nguyen")
        return {name.split()[0] for name in names if name in page}

    assert found("") == {"Ada", "Émilie", "Marc", "Zoé"}
    assert found("?q=rouss") == {"Émilie"}
    assert found("?q=ADA@EXAMPLE") == {"Ada"}
    assert found("?group=students") == {"Émilie"}
    assert found("?status=active") == {"Ada", "Émilie"}
    assert found("?status=suspended") == {"Marc"}
    assert found("?status=ended") == {"Zoé"}
    assert found("?q=nobody") == set()
    assert "Nobody matches this search." in text(lab, "owner", "members", query="?q=nobody")
    assert found("?group=no-such-group") == set()


def test_my_page_is_the_members_own_and_nobody_elses() -> None:
    lab = page_lab()
    link_to_member(lab, "member", lab.small.member)
    Member.objects.create(lab=lab.small.lab, public_id="other", name="Somebody Else")
    page = text(lab, "member", "me")
    assert "Ada Martin" in page
    assert "Somebody Else" not in page
    refused = lab.client("member").get(reverse("member", args=["other"]))
    assert refused.status_code == 403


def test_a_name_that_looks_like_markup_stays_text() -> None:
    lab = page_lab()
    Member.objects.filter(pk=lab.small.member.pk).update(name="<script>alert(1)</script>")
    lab.journal.start(lab.small)
    lab.deliver()
    hear_from_node(lab)
    for name, args in (("board", []), ("members", []), ("member", [lab.small.member.public_id])):
        page = text(lab, "owner", name, *args)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


# ------------------------------------------------------------------------------------- sessions


def test_a_session_shows_its_hours_duration_ending_and_price_in_both_languages() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 5_400)
    lab.deliver()
    number = only_session().pk
    english, french = text(lab, "owner", "sessions"), text(lab, "owner", "sessions", language="fr")
    assert "1 h 30" in english
    assert "1 h 30" in french
    assert "€18.00" in english
    assert "18,00 €" in french
    assert "Ended with the badge" in english
    assert "Terminée au badge" in french
    why = text(lab, "owner", "session", number)
    assert "The machine was enabled for 1 h 30 min." in why
    assert "1 h 30 min at €12.00 an hour" in why
    assert "1 h 30 min à 12,00 € l’heure" in text(lab, "owner", "session", number, language="fr")


def test_a_session_that_ends_on_another_day_says_which() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    began = datetime(2026, 7, 1, 20, 0, tzinfo=UTC)
    Session.objects.update(started_at=began, ended_at=began + timedelta(minutes=90))
    assert "22:00 – 23:30" in text(lab, "owner", "sessions")
    Session.objects.update(ended_at=began + timedelta(hours=3))
    assert "22:00 – 2 Jul 2026, 01:00" in text(lab, "owner", "sessions")


def test_marks_say_estimated_and_late() -> None:
    lab = page_lab()
    started = lab.journal.start(lab.small)
    lab.journal.end(started, 60, how=Ending.POWER_LOST, estimated=True)
    lab.deliver()
    page = text(lab, "owner", "sessions")
    # The journal of the test lies far in the past, so its records arrive late indeed.
    assert "end estimated" in page
    assert "arrived late" in page
    assert "Power cut" in page


def test_who_may_not_see_prices_sees_sessions_without_them() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 5_400)
    lab.deliver()
    number = only_session().pk
    for page in (text(lab, "technician", "sessions"), text(lab, "technician", "session", number)):
        assert "€" not in page
        assert "1 h 30" in page


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "1999-12-31", "2100-01-01"])
@pytest.mark.parametrize("name", ["from_day", "to_day"])
def test_a_day_beyond_the_calendar_is_said_beside_the_field(name: str, day: str) -> None:
    page = text(page_lab(), "owner", "sessions", query=f"?{name}={day}")
    assert "Ensure this value is" in page


def test_sessions_are_found_by_machine_member_and_the_labs_own_day() -> None:
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    # 23:30 UTC on the 30th of June is the 1st of July in Paris.
    began = datetime(2025, 6, 30, 23, 30, tzinfo=UTC)
    Session.objects.update(started_at=began, ended_at=began + timedelta(minutes=1))

    def found(query: str) -> bool:
        return "Table saw</td>" in text(lab, "owner", "sessions", query=query)

    assert found("")
    assert found("?machine=saw")
    assert not found("?machine=unknown")
    assert found("?member=ada")
    assert not found("?member=zoe")
    assert found("?from_day=2025-07-01&to_day=2025-07-01")
    assert not found("?to_day=2025-06-30")
    assert not found("?from_day=2025-07-02")
    assert not found("?from_day=yesterday")


def test_a_session_that_was_never_powered_is_not_billed() -> None:
    lab = page_lab()
    started = lab.journal.start(lab.small)
    lab.journal.write(RecordType.SESSION_VOIDED, session=started, why="cannot_record")
    lab.deliver()
    page = text(lab, "owner", "session", only_session().pk)
    assert "nothing is billed" in page
    assert "not billed" in page


def test_a_long_list_is_cut_into_pages_that_keep_the_filter() -> None:
    lab = page_lab()
    grow(lab, 51)
    page = text(lab, "owner", "sessions", query="?machine=saw")
    assert "1 to 50 of 51" in page
    assert "?machine=saw&amp;page=2" in page
    assert "51 to 51 of 51" in text(lab, "owner", "sessions", query="?machine=saw&page=2")


# ------------------------------------------------------------------------------------- machines


def test_a_machines_page_shows_rules_and_node_to_those_who_look_after_it() -> None:
    lab = page_lab()
    hear_from_node(lab)
    node = Node.objects.get()
    Node.objects.update(software="0.1.0", confirmed_epoch=1, confirmed_counter=1)
    page = text(lab, "technician", "machine", "saw")
    for said in ("Tap to start, tap again to stop", "Table saw", node.slug, "0.1.0", "just now"):
        assert said in page
    others = text(lab, "trainer", "machine", "saw")
    assert "Tap to start, tap again to stop" in others
    assert "0.1.0" not in others


# -------------------------------------------------------------------------------------- nothing


def test_an_empty_lab_says_what_to_do_next() -> None:
    actor = console()
    lab = labs.create_lab(actor, "new", HubConfig(name="New lab"))
    user = create_user("new@example.org", "New Owner")
    give_role(actor, lab, user, RoleName.OWNER)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    expected = {
        "board": "interlock hub add-node",
        "members": "Import members",
        "machines": "No machine yet",
        "sessions": "No session yet.",
        "me": "This account belongs to no member.",
    }
    for name, said in expected.items():
        assert said in client.get(reverse(name)).content.decode()


def test_a_page_that_does_not_exist_is_found_missing_in_words() -> None:
    lab = page_lab()
    answer = lab.client("owner", "fr").get("/no/such/page/")
    assert answer.status_code == 404
    assert "Introuvable" in answer.content.decode()


def test_the_board_of_a_machine_added_later_appears_by_itself() -> None:
    lab = page_lab()
    before = text(lab, "owner", "board-tiles")
    machine = machines.create_machine(console(), lab.small.lab, "lathe", "Lathe")
    enrol_node(console(), machine, HUB_URL)
    after = text(lab, "owner", "board-tiles")
    assert "Lathe" not in before
    assert "its node has not called yet" in after
    assert Machine.objects.count() == 2
