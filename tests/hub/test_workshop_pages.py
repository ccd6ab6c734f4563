"""Activities, volunteers, maintenance, problems, calendars, mail and machines as people meet them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.hub import outgoing
from interlock.hub.domain import activities, members, nodes
from interlock.hub.models import (
    Activity,
    AuditRow,
    CalendarSource,
    Intervention,
    Machine,
    MachineLink,
    MaintenancePlan,
    Member,
    Problem,
    Reservation,
    Role,
    RoleName,
    VolunteerTime,
)
from interlock.hub.pages.access import PUBLIC
from interlock.hub.pages.workshop import problems as problem_pages
from interlock.hub.pages.workshop.urls import urlpatterns
from interlock.hub.permissions import ROLE_PERMISSIONS
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import PageLab, link_to_member, page_lab
from tests.hub.test_pages_access import rule_of
from tests.hub.workshop_lab import OPEN, POSTED, arguments, token_of, work_in

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PAGES = [str(one.name) for one in urlpatterns]
READ = [name for name in PAGES if name not in POSTED]
QUERIES_MAX = 24


@pytest.fixture(autouse=True)
def _nobody_has_reported_anything() -> Iterator[None]:
    problem_pages._rates.cache_clear()
    yield
    problem_pages._rates.cache_clear()


@pytest.fixture
def lab() -> PageLab:
    made = page_lab()
    work_in(made)
    return made


def where(lab: PageLab, name: str) -> str:
    return reverse(name, args=arguments(lab).get(name, []))


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


# ------------------------------------------------------------------------------------- who may what


@pytest.mark.parametrize("role", [role.value for role in RoleName])
def test_a_role_reaches_exactly_the_pages_of_its_permissions(lab: PageLab, role: str) -> None:
    link_to_member(lab, role, lab.small.member)
    client = lab.client(role)
    rules = {str(one.name): rule_of(one) for one in urlpatterns}
    reached, expected = {}, {}
    for name in READ:
        answer = client.get(where(lab, name))
        reached[name] = answer.status_code == 200
        expected[name] = name in OPEN or not rules[name].isdisjoint(ROLE_PERMISSIONS[role])
    assert reached == expected
    for name in sorted(POSTED):
        if rules[name].isdisjoint(ROLE_PERMISSIONS[role]):
            assert client.post(where(lab, name)).status_code == 403, name


def test_every_page_has_a_rule_and_only_links_are_public() -> None:
    rules = {str(one.name): rule_of(one) for one in urlpatterns}
    assert {name for name, rule in rules.items() if rule == PUBLIC} == OPEN


def test_a_stranger_reaches_only_what_a_link_opens(lab: PageLab) -> None:
    before = AuditRow.objects.count()
    for name in PAGES:
        answer = (Client().post if name in POSTED else Client().get)(where(lab, name))
        if name in OPEN:
            assert answer.status_code == 200, name
        else:
            assert (answer.status_code, reverse("login") in answer["Location"]) == (302, True), name
    assert AuditRow.objects.count() == before


def test_looking_at_the_address_of_a_change_changes_nothing(lab: PageLab) -> None:
    client, before = lab.client("owner"), AuditRow.objects.count()
    answers = {name: client.get(where(lab, name)).status_code for name in sorted(POSTED)}
    assert answers == dict.fromkeys(sorted(POSTED), 405)
    assert AuditRow.objects.count() == before


def test_nothing_of_another_lab_is_shown_or_changed(lab: PageLab) -> None:
    numbered = {name: [number[0]] for name, number in arguments(lab).items() if number}
    other = small_lab(slug="other")
    Machine.objects.filter(lab=lab.small.lab).update(slug="ours")
    Machine.objects.filter(lab=other.lab).update(slug="theirs")
    Role.objects.filter(user=lab.users["owner"]).update(lab=other.lab)
    client, before = lab.client("owner"), AuditRow.objects.count()
    for name, number in numbered.items():
        if name in OPEN:
            continue
        address = reverse(name, args=["ours"] if isinstance(number[0], str) else number)
        answer = (client.post if name in POSTED else client.get)(address, {"answer": "x"})
        assert answer.status_code == 404, name
    assert AuditRow.objects.count() == before


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_can_be_read_with_nothing_and_with_one_of_everything(language: str) -> None:
    made = page_lab()
    client = made.client("owner", language)
    link_to_member(made, "owner", made.small.member)
    for name in ("activities", "volunteering", "maintenance", "problems", "mail", "mail-settings"):
        assert 'class="sheet empty' in text(client, reverse(name)) or name == "mail-settings"
    work_in(made)
    for name in READ:
        answer = client.get(where(made, name))
        assert answer.status_code == 200, name
        if name != "machine-feed":
            assert f'<html lang="{language}"' in answer.content.decode(), name


def test_no_list_asks_more_often_for_many_rows_than_for_one(lab: PageLab) -> None:
    lists = [
        *("activities", "volunteering", "maintenance", "machine-maintenance", "problems", "mail"),
        *("board", "machine-calendar", "my-volunteering", "report-problem", "machine-feed"),
    ]
    client = lab.client("owner")
    link_to_member(lab, "owner", lab.small.member)

    def counts() -> dict[str, int]:
        client.get(reverse("board"))
        measured = {}
        for name in lists:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(where(lab, name)).status_code == 200
            measured[name] = len(queries)
        return measured

    few = counts()
    work_in(lab, 12, first=1)
    assert counts() == few
    assert max(few[name] for name in lists if name != "board") <= QUERIES_MAX


# --------------------------------------------------------------------- activities and volunteers


def test_an_activity_is_entered_corrected_withdrawn_and_taken_up_again(lab: PageLab) -> None:
    client = lab.client("trainer")
    form = {
        "title": "Visit of a school",
        "kind": "visit",
        "held_on": "2025-06-01",
        "minutes": "1 h 30",
    }
    client.post(reverse("new-activity"), {**form, "public-children": "24", "public-adults": "2"})
    made = Activity.objects.get(title="Visit of a school")
    address = reverse("activity", args=[made.pk])
    assert 'value="1 h 30"' in text(client, address)
    client.post(address, {**form, "public-children": "25", "why": "One came late"})
    history = AuditRow.objects.filter(action="activity_corrected").get()
    assert history.before is not None
    assert history.after is not None
    assert history.before["people"] == {"adults": 2, "children": 24}
    assert (history.after["people"], history.why) == ({"children": 25}, "One came late")
    period = "?from_day=2025-01-01&to_day=2025-12-31"
    assert "Visit of a school" in text(client, reverse("activities") + period)

    def counted() -> int:
        day = Activity.objects.get(pk=made.pk).held_on
        return activities.totals(lab.small.lab, day, day).people

    client.post(reverse("withdraw-activity", args=[made.pk]))
    assert counted() == 0
    client.post(reverse("take-up-activity", args=[made.pk]))
    assert counted() == 25


@pytest.mark.parametrize(
    "wrong", [{"title": " "}, {"minutes": "soon"}, {"public-adults": "0"}, {"public-adults": "-1"}]
)
def test_an_activity_that_makes_no_sense_is_said_so(lab: PageLab, wrong: dict[str, str]) -> None:
    form = {"title": "x", "kind": "visit", "held_on": "2025-06-01", "minutes": "2 h"}
    before = Activity.objects.count()
    answer = lab.client("owner").post(
        reverse("new-activity"), {**form, "public-adults": "3", **wrong}
    )
    assert answer.status_code == 200
    assert 'class="wrong"' in answer.content.decode() or 'role="alert"' in answer.content.decode()
    assert Activity.objects.count() == before


def test_a_member_declares_their_time_and_staff_confirms_it(lab: PageLab) -> None:
    link_to_member(lab, "member", lab.small.member)
    member = lab.client("member")
    form = {"done_on": "2025-06-01", "minutes": "2", "task": "Tidied the wood store"}
    member.post(reverse("my-volunteering"), form)
    declared = VolunteerTime.objects.get(task="Tidied the wood store")
    assert (declared.state, declared.minutes) == ("declared", 120)
    assert member.post(reverse("confirm-time", args=[declared.pk])).status_code == 403
    client = lab.client("manager")
    assert "1 entry of volunteer time" in text(client, "/")
    client.post(reverse("confirm-time", args=[declared.pk]))
    declared.refresh_from_db()
    assert (declared.state, declared.decided_by) == ("confirmed", lab.users["manager"])
    assert "Tidied the wood store" in text(member, reverse("my-volunteering"))


def test_somebody_is_found_by_a_part_of_their_name_and_asked_about_when_several_match(
    lab: PageLab,
) -> None:
    for name in ("Bea Roux", "Bea Rouxel", "Noor Haddad"):
        members.create_member(console(), lab.small.lab, name)
    client = lab.client("manager")
    form = {"done_on": "2025-06-01", "minutes": "1 h", "task": "t"}

    def enter(**who: str) -> str:
        answer = client.post(reverse("new-volunteer-time"), {**form, **who})
        return "" if answer.status_code == 302 else answer.content.decode()

    assert enter(who="haddad") == ""
    assert "Nobody of that name" in enter(who="zz")
    asked = enter(who="rou")
    assert "Several members" in asked
    assert "Bea Rouxel" in asked
    assert "Noor" not in asked
    assert enter(who="Bea Roux") == "", "a whole name is enough"
    chosen = Member.objects.get(name="Bea Rouxel").public_id
    assert enter(who="rou", pick=chosen) == ""
    entered = VolunteerTime.objects.filter(task="t").order_by("pk")
    assert [one.member.name for one in entered if one.member] == [
        "Noor Haddad",
        "Bea Roux",
        "Bea Rouxel",
    ]


def test_the_reservation_form_names_nobody_before_somebody_is_searched(lab: PageLab) -> None:
    members.create_member(console(), lab.small.lab, "Zoé Secret")
    client = lab.client("manager")
    address = reverse("reservations", args=["saw"])
    assert "Zoé Secret" not in text(client, address)
    day = (console().now() + timedelta(days=3)).date().isoformat()
    client.post(address, {"who": "secret", "day": day, "begins": "10:00", "ends": "11:00"})
    booked = Reservation.objects.get()
    assert booked.member is not None
    assert booked.member.name == "Zoé Secret"


# ------------------------------------------------------------------------------------- maintenance


def test_a_plan_that_is_due_stands_on_the_board_until_somebody_did_it(lab: PageLab) -> None:
    client = lab.client("technician")
    assert "maintenance is due (Clean 0)" in text(client, "/")
    plan = MaintenancePlan.objects.get()
    address = reverse("new-intervention", args=["saw"]) + f"?plan={plan.pk}"
    assert "Clean 0" in text(client, address)
    today = console().now().date().isoformat()
    form = {"plan": plan.pk, "what": "Cleaned", "done_on": today, "minutes": "45 min"}
    client.post(address, {**form, "cost": "12.50", "parts": "Lens"})
    done = Intervention.objects.latest("pk")
    assert (done.minutes, done.cost_cents, done.parts) == (45, 1_250, "Lens")
    assert "maintenance is due" not in text(client, "/")
    # Entered by mistake: it is due again.
    client.post(reverse("withdraw-intervention", args=[done.pk]))
    assert "maintenance is due (Clean 0)" in text(client, "/")
    client.post(reverse("withdraw-intervention", args=[done.pk]))
    assert "maintenance is due" not in text(client, "/")


def test_a_machine_without_a_current_sensor_says_which_hours_count(lab: PageLab) -> None:
    client, address = lab.client("technician"), reverse("machine-maintenance", args=["saw"])
    assert "really worked" in text(client, address)
    Machine.objects.update(has_current_sensor=False, tariff=None)
    assert "no current sensor" in text(client, address)


# ---------------------------------------------------------------------------------------- problems


def test_anybody_with_the_code_reports_a_problem_and_locks_nothing(lab: PageLab) -> None:
    phone = Client(headers={"accept-language": "fr"})
    address = reverse("report-problem", args=[token_of(lab, MachineLink.Purpose.PROBLEM)])
    answer = phone.post(address, {"text": "Ça fume  derrière"}, follow=True)
    assert answer.redirect_chain[-1][1] == 302
    found = Problem.objects.latest("pk")
    assert (found.text, found.machine) == ("Ça fume derrière", lab.small.machine)
    assert Machine.objects.get(pk=lab.small.machine.pk).locked_out_at is None
    assert not AuditRow.objects.filter(action="problem_reported").exists()


def test_the_page_behind_the_code_shows_answers_and_no_visitor_s_words(lab: PageLab) -> None:
    page = text(Client(), where(lab, "report-problem"))
    assert "Known 0" in page
    assert "It smells 0" not in page
    assert lab.small.member.name not in page


def test_the_fourth_report_from_one_address_about_one_machine_has_to_wait(lab: PageLab) -> None:
    address = where(lab, "report-problem")
    phones = {"10.0.0.1": 5, "10.0.0.2": 1}
    answers = [
        Client(REMOTE_ADDR=phone).post(address, {"text": "x"}).status_code
        for phone, times in phones.items()
        for _time in range(times)
    ]
    assert answers == [302, 302, 302, 429, 429, 302]
    assert Problem.objects.filter(text="x").count() == 4


def test_a_flood_from_everywhere_ends_at_the_machine_s_own_limit(lab: PageLab) -> None:
    address = where(lab, "report-problem")
    for number in range(40):
        Client(REMOTE_ADDR=f"10.0.1.{number}").post(address, {"text": "flood"})
    assert Problem.objects.count() == 30


@pytest.mark.parametrize("said", ["", "   ", "x" * 501])
def test_an_empty_or_endless_report_is_not_stored(lab: PageLab, said: str) -> None:
    answer = Client().post(where(lab, "report-problem"), {"text": said})
    assert answer.status_code == 200
    assert Problem.objects.count() == 1


def test_an_old_code_reaches_nothing_after_another_was_made(lab: PageLab) -> None:
    old = where(lab, "report-problem")
    lab.client("manager").post(reverse("renew-label", args=["saw"]))
    assert Client().get(old).status_code == 404
    assert Client().get(where(lab, "report-problem")).status_code == 200
    assert Client().get(reverse("report-problem", args=["nonsense"])).status_code == 404
    # A link for one thing opens no other.
    other = token_of(lab, MachineLink.Purpose.CALENDAR)
    assert Client().get(reverse("report-problem", args=[other])).status_code == 404


def test_staff_answers_closes_and_locks_out_with_one_click(lab: PageLab) -> None:
    client, problem = lab.client("technician"), Problem.objects.get()
    assert "1 problem was reported" in text(client, "/")
    client.post(reverse("answer-problem", args=[problem.pk]), {"answer": "The belt is ordered"})
    assert "The belt is ordered" in text(Client(), where(lab, "report-problem"))
    client.post(reverse("lock-out-for-problem", args=[problem.pk]))
    assert Machine.objects.get(pk=problem.machine_id).locked_out_at is not None
    client.post(reverse("close-problem", args=[problem.pk]))
    assert "problem was reported" not in text(client, "/")
    assert "The belt is ordered" not in text(Client(), where(lab, "report-problem"))
    assert "It smells 0" in text(client, reverse("problems") + "?closed=1")


def test_a_script_in_a_report_is_shown_as_text(lab: PageLab) -> None:
    Client().post(where(lab, "report-problem"), {"text": "<script>alert(1)</script>"})
    page = text(lab.client("owner"), reverse("problems"))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_the_label_says_what_to_do_in_both_languages(lab: PageLab) -> None:
    page = text(lab.client("technician"), reverse("machine-label", args=["saw"]))
    assert '<p lang="fr">Un problème ? Scannez</p>' in page.replace("\u202f", " ").replace(
        "\u00a0", " "
    )
    assert '<p lang="en">A problem? Scan</p>' in page
    assert 'src="data:image/svg+xml' in page


# ---------------------------------------------------------------------------------------- machines


def test_a_machine_is_added_changed_and_taken_out_of_the_lists(lab: PageLab) -> None:
    client = lab.client("manager")
    form = {"name": "Défonceuse à commande numérique", "badge_use": "tap", "location": "Bois"}
    client.post(reverse("new-machine"), {**form, "grant_name": "FEDER", "grant_reference": "A-1"})
    made = Machine.objects.get(name=form["name"])
    assert (made.slug, made.grant_name) == ("defonceuse-a-commande-numerique", "FEDER")
    client.post(
        reverse("edit-machine", args=[made.slug]),
        {**form, "name": "CNC", "has_current_sensor": "on", "tariff": lab.small.tariff.pk},
    )
    made.refresh_from_db()
    assert (made.name, made.has_current_sensor, made.tariff) == ("CNC", True, lab.small.tariff)
    client.post(reverse("retire-machine", args=[made.slug]), {"why": "Sold"}, follow=True)
    assert "CNC" not in text(client, reverse("machines"))
    assert "CNC" not in text(client, reverse("board"))
    assert "no longer has" in text(client, reverse("machine", args=[made.slug]))
    client.post(reverse("retire-machine", args=[made.slug]), follow=True)
    assert "CNC" in text(client, reverse("machines"))


def test_a_machine_whose_node_admits_people_is_not_taken_out(lab: PageLab) -> None:
    client = lab.client("manager")
    answer = client.post(reverse("retire-machine", args=["saw"]), {"why": "x"}, follow=True)
    assert "still in service" in answer.content.decode()
    assert Machine.objects.get(pk=lab.small.machine.pk).retired_at is None
    nodes.revoke_node(console(), lab.small.enrolled.node, "gone")
    client.post(reverse("retire-machine", args=["saw"]), {"why": "x"})
    assert Machine.objects.get(pk=lab.small.machine.pk).retired_at is not None
    assert Client().get(where(lab, "report-problem")).status_code == 404


def test_a_machine_called_new_gets_another_short_name(lab: PageLab) -> None:
    answer = lab.client("manager").post(reverse("new-machine"), {"name": "New", "badge_use": "tap"})
    assert "Choose another short name" in answer.content.decode()


# ---------------------------------------------------------------------------------------- calendars


def test_the_feed_names_nobody_and_says_when_the_machine_is_taken(lab: PageLab) -> None:
    lab.journal.session(lab.small, 3_600)
    lab.deliver()
    soon = console().now() + timedelta(hours=1)
    Reservation.objects.create(
        lab=lab.small.lab,
        machine=lab.small.machine,
        member=lab.small.member,
        from_at=soon,
        until_at=soon + timedelta(hours=1),
        note="Ada's chair",
    )
    answer = Client().get(where(lab, "machine-feed"))
    assert answer["Content-Type"].startswith("text/calendar")
    said = answer.content.decode()
    assert "SUMMARY:reserved" in said
    assert "SUMMARY:maintenance: Clean 0" in said
    assert "Ada" not in said


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://x.org/a", "https://u:p@x.org/", "x"]
)
def test_an_address_that_is_no_calendar_s_is_refused(lab: PageLab, address: str) -> None:
    client = lab.client("manager")
    answer = client.post(reverse("machine-calendar", args=["saw"]), {"address": address})
    assert 'role="alert"' in answer.content.decode()
    assert CalendarSource.objects.get().address != address


def test_a_calendar_in_a_private_network_is_not_read_and_says_so(lab: PageLab) -> None:
    CalendarSource.objects.update(address="http://127.0.0.1:8080/saw.ics")
    answer = lab.client("manager").post(reverse("read-calendar", args=["saw"]), follow=True)
    assert "private network" in answer.content.decode()
    assert outgoing.ANSWER_BYTES_MAX == 2_000_000
