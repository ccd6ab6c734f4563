"""Trainings, the table of who holds what, attendance lists, and the first-run assistant: what pages do and show."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.errors import ConfigError
from interlock.hub.changes import verify_audit
from interlock.hub.domain import labs, members, profiles, training_runs, trainings
from interlock.hub.domain.machines import create_machine
from interlock.hub.models import (
    Attendance,
    AuditRow,
    Authorisation,
    Lab,
    Machine,
    Member,
    Profile,
    Role,
    Training,
    TrainingRun,
)
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, link_to_member, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

Level = Authorisation.Level


@pytest.fixture
def lab() -> PageLab:
    return page_lab()


def people(lab: PageLab, count: int, first: int = 0) -> list[Member]:
    return [
        members.create_member(
            console(), lab.small.lab, f"Person {n:02d}", email=f"p{n}@example.org"
        )
        for n in range(first, first + count)
    ]


def run_of(lab: PageLab, who: list[Member]) -> TrainingRun:
    return training_runs.hold_training(
        console(), lab.small.lab, lab.small.training, console().now(), who
    )


def body(answer: Any) -> str:
    return str(answer.content.decode())


# ------------------------------------------------------------------------------ attendance lists


def test_eight_people_are_listed_by_name_ticked_and_authorised_at_once(lab: PageLab) -> None:
    eight = people(lab, 8)
    client = lab.client("manager")
    written = "\n".join([m.name for m in eight[:4]] + [m.email.upper() for m in eight[4:]])
    answer: Any = client.post(
        reverse("training-hold", args=["saw-basics"]),
        {"day": "2026-11-20", "begins": "14:00", "duration_min": "180", "people": written},
    )
    run = TrainingRun.objects.get()
    assert answer.url == reverse("training-run", args=[run.pk])
    ticked: dict[str, str] = {}
    for member in eight[:7]:
        ticked |= {f"present-{member.pk}": "on", f"level-{member.pk}": "alone"}
    ticked[f"level-{eight[0].pk}"] = "supervised"
    page = body(client.post(answer.url, ticked, follow=True))
    assert "7 people hold “Table saw”" in page
    assert "was not there" in page
    levels = dict(
        Authorisation.objects.filter(member__in=eight).values_list("member__name", "level")
    )
    assert levels == {m.name: "supervised" if m == eight[0] else "alone" for m in eight[:7]}
    run.refresh_from_db()
    assert (run.duration_min, run.trainer, run.closed_at is not None) == (
        180,
        lab.users["manager"],
        True,
    )
    present = Attendance.objects.filter(run=run, present=True)
    assert present.count() * run.duration_min == 7 * 180
    assert {a.evidence for a in Authorisation.objects.filter(member__in=eight)} == {
        f"attendance list {run.pk}"
    }
    verify_audit(lab.small.lab)


def test_one_person_without_the_prerequisite_keeps_everybody_waiting_and_is_named(
    lab: PageLab,
) -> None:
    first = trainings.create_training(console(), lab.small.lab, "safety", "Safety")
    trainings.change_training(console(), lab.small.training, prerequisite=first)
    ready, late = people(lab, 2)
    trainings.grant_training(console(), ready, first)
    run = run_of(lab, [ready, late])
    client = lab.client("manager")
    address = reverse("training-run", args=[run.pk])
    assert body(client.get(address)).count("“Safety” has to come first") == 1
    page = body(client.post(address, {f"present-{m.pk}": "on" for m in (ready, late)}))
    assert "Person 01 has to be trained for “Safety” first" in page
    assert not Authorisation.objects.filter(training=lab.small.training, member=ready).exists()
    assert TrainingRun.objects.get().closed_at is None


def test_a_course_takes_nothing_away_from_who_holds_more(lab: PageLab) -> None:
    trainer, alone = people(lab, 2)
    trainings.grant_training(console(), trainer, lab.small.training, Level.TRAINER)
    trainings.grant_training(console(), alone, lab.small.training, Level.ALONE)
    run = run_of(lab, [trainer, alone])
    levels = {trainer.pk: Level.ALONE.value, alone.pk: Level.SUPERVISED.value}
    training_runs.close_run(console(), run, levels)
    held = Authorisation.objects.filter(revoked_at=None, member__in=[trainer, alone])
    assert dict(held.values_list("member__name", "level")) == {
        trainer.name: "trainer",
        alone.name: "alone",
    }


def test_a_closed_list_is_changed_no_more(lab: PageLab) -> None:
    one, two = people(lab, 2)
    run = run_of(lab, [one])
    training_runs.close_run(console(), run, {one.pk: Level.ALONE.value})
    for deed in (
        lambda: training_runs.close_run(console(), run, {one.pk: Level.ALONE.value}),
        lambda: training_runs.add_people(console(), run, [two]),
        lambda: training_runs.remove_person(console(), run, one),
        lambda: training_runs.call_off(console(), run),
    ):
        with pytest.raises(ConfigError, match="its list is closed"):
            deed()
    assert Attendance.objects.get().member == one


def test_a_list_that_was_called_off_authorises_nobody(lab: PageLab) -> None:
    run = run_of(lab, people(lab, 1))
    lab.client("manager").post(reverse("training-run-call-off", args=[run.pk]))
    assert TrainingRun.objects.count() == 0
    assert Authorisation.objects.filter(member__name="Person 00").count() == 0


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "Write or tick at least one person"),
        ("Nobody Here", "There is no member called “Nobody Here”"),
        ("Person 00\nTwin", "2 members are called “Twin”. Write the e-mail instead"),
    ],
)
def test_a_name_that_means_nobody_or_two_makes_no_list(
    lab: PageLab, written: str, says: str
) -> None:
    people(lab, 1)
    for mail in ("a@example.org", "b@example.org"):
        members.create_member(console(), lab.small.lab, "Twin", email=mail)
    page = body(
        lab.client("manager").post(
            reverse("training-hold", args=["saw-basics"]),
            {"day": "2026-11-20", "begins": "14:00", "duration_min": "60", "people": written},
        )
    )
    assert says in page
    assert TrainingRun.objects.count() == 0


def test_a_trainer_holds_only_what_they_teach(lab: PageLab) -> None:
    link_to_member(lab, "trainer", lab.small.member)
    other = trainings.create_training(console(), lab.small.lab, "laser", "Laser")
    taught = run_of(lab, [*people(lab, 1), lab.small.member])
    client = lab.client("trainer")
    assert client.get(reverse("training-hold", args=["saw-basics"])).status_code == 404
    assert client.get(reverse("training-run", args=[taught.pk])).status_code == 404
    trainings.grant_training(console(), lab.small.member, lab.small.training, Level.TRAINER)
    assert client.get(reverse("training-hold", args=["saw-basics"])).status_code == 200
    assert client.get(reverse("training-hold", args=[other.slug])).status_code == 404
    person = Member.objects.get(name="Person 00")
    # A level no form offers a trainer: whoever could make trainers would hand out the lab.
    sent = {f"present-{person.pk}": "on", f"level-{person.pk}": "trainer"}
    assert client.post(reverse("training-run", args=[taught.pk]), sent).status_code == 403
    assert not Authorisation.objects.filter(member=person).exists()
    # The trainer ticks themselves too: they stay the trainer they are, which is not theirs to grant.
    both = {f"present-{one.pk}": "on" for one in (person, lab.small.member)}
    client.post(reverse("training-run", args=[taught.pk]), both)
    levels = Authorisation.objects.filter(revoked_at=None).values_list("member__name", "level")
    assert dict(levels) == {"Person 00": "alone", "Ada Martin": "trainer"}


# ----------------------------------------------------------------------------------- trainings


def test_a_training_is_made_with_the_machines_that_ask_for_it(lab: PageLab) -> None:
    client = lab.client("manager")
    saw = lab.small.machine
    lathe = create_machine(console(), lab.small.lab, "lathe", "Lathe")
    sent = {
        "name": "Fine work",
        "duration_min": "90",
        "validity_days": "365",
        "lapse_days": "",
        "prerequisite": "saw-basics",
        f"machine-{saw.pk}": "any",
        f"machine-{lathe.pk}": "no",
    }
    client.post(reverse("training-new"), sent)
    made = Training.objects.get(name="Fine work")
    assert (made.slug, made.validity_days, made.prerequisite) == (
        "fine-work",
        365,
        lab.small.training,
    )
    saw.refresh_from_db()
    assert saw.needs == "any"
    assert {t.slug for t in saw.trainings.all()} == {"saw-basics", "fine-work"}
    assert not lathe.trainings.exists()
    page = client.get(reverse("training-edit", args=["fine-work"]))
    assert page.context["form"]["name"].value() == "Fine work"
    client.post(
        reverse("training-edit", args=["saw-basics"]),
        sent | {"name": "Saw", "prerequisite": "", f"machine-{saw.pk}": "no"},
    )
    assert {t.slug for t in Machine.objects.get(pk=saw.pk).trainings.all()} == {"fine-work"}


def test_a_training_never_comes_before_itself(lab: PageLab) -> None:
    second = trainings.create_training(
        console(), lab.small.lab, "second", "Second", prerequisite=lab.small.training
    )
    with pytest.raises(ConfigError, match="cannot come before itself"):
        trainings.change_training(console(), lab.small.training, prerequisite=second)


def test_what_ends_soon_is_listed_and_what_was_practised_is_not(lab: PageLab) -> None:
    now, days = console().now(), timedelta(days=1)
    lapsing = trainings.create_training(console(), lab.small.lab, "l", "Lapsing", lapse_days=100)
    soon, later, lapses, fresh, over = people(lab, 5)
    table = lab.small.training
    trainings.grant_training(console(), soon, table, until_at=now + 59 * days)
    trainings.grant_training(console(), later, table, until_at=now + 61 * days)
    for member, granted, practised in (
        (lapses, 90, None),
        (fresh, 90, 5),
        (over, 101, None),
    ):
        one = trainings.grant_training(console(), member, lapsing)
        one.granted_at = now - granted * days
        one.practised_at = None if practised is None else now - practised * days
        one.save()
    page = lab.client("manager").get(reverse("trainings-soon"))
    assert [h.member.name for h in page.context["holders"]] == [soon.name, lapses.name]


def test_the_table_shows_who_holds_and_who_may_use_what(lab: PageLab) -> None:
    people(lab, 2)
    client = lab.client("trainer")
    page = client.get(reverse("training-matrix"))
    assert [(row.name, [c.state for c in row.cells]) for row in page.context["rows"]] == [
        ("Ada Martin", ["free"]),
        ("Person 00", [""]),
        ("Person 01", [""]),
    ]
    page = client.get(reverse("training-matrix") + "?show=machines&training=saw-basics")
    assert [(row.name, [c.state for c in row.cells]) for row in page.context["rows"]] == [
        ("Ada Martin", ["free"])
    ]


# ------------------------------------------------------------------------- queries, zero rows, roles


PAGES = (
    "trainings",
    "training",
    "training-matrix",
    "trainings-soon",
    "training-hold",
    "training-run",
)


def addresses(lab: PageLab, run: TrainingRun) -> dict[str, str]:
    return {
        "trainings": reverse("trainings"),
        "training": reverse("training", args=["saw-basics"]),
        "matrix": reverse("training-matrix"),
        "matrix of machines": reverse("training-matrix") + "?show=machines",
        "soon": reverse("trainings-soon"),
        "hold": reverse("training-hold", args=["saw-basics"]),
        "run": reverse("training-run", args=[run.pk]),
        "import": reverse("import"),
        "member": reverse("member", args=[lab.small.member.public_id]),
        "edit": reverse("member-edit", args=[lab.small.member.public_id]),
    }


def test_no_page_of_people_asks_more_often_for_fifty_rows_than_for_one(lab: PageLab) -> None:
    def measure(count: int, first: int) -> dict[str, int]:
        who = people(lab, count, first)
        for n, member in enumerate(who):
            one = trainings.create_training(
                console(), lab.small.lab, f"t{first + n}", f"T{first + n}", lapse_days=30
            )
            trainings.grant_training(console(), member, one)
            create_machine(
                console(), lab.small.lab, f"m{first + n}", f"M{first + n}", trainings=[one]
            )
        run = run_of(lab, who)
        client = lab.client("manager")
        client.get(reverse("board"))
        counted = {}
        for name, where in addresses(lab, run).items():
            with CaptureQueriesContext(connection) as seen:
                assert client.get(where).status_code == 200
            counted[name] = len(seen)
        return counted

    few = measure(1, 0)
    assert measure(12, 10) == few
    assert max(few.values()) <= 30


def test_a_lab_without_anything_says_what_to_do(lab: PageLab) -> None:
    Authorisation.objects.all().delete()
    for machine in Machine.objects.all():
        machine.trainings.clear()
    Training.objects.all().delete()
    client = lab.client("manager")
    assert "New training" in body(client.get(reverse("trainings")))
    assert "nothing to hold yet" in body(client.get(reverse("training-matrix")))
    assert "No training ends soon" in body(client.get(reverse("trainings-soon")))


@pytest.mark.parametrize(
    ("name", "args", "roles"),
    [
        ("trainings", (), {"owner", "manager", "trainer", "accountant"}),
        ("training-matrix", (), {"owner", "manager", "trainer", "accountant"}),
        ("training-new", (), {"owner", "manager"}),
        ("member-new", (), {"owner", "manager"}),
        ("import", (), {"owner", "manager"}),
        ("assistant-step", ("lab",), {"owner", "manager"}),
    ],
)
def test_each_page_is_for_these_roles(
    lab: PageLab, name: str, args: tuple[str, ...], roles: set[str]
) -> None:
    where = reverse(name, args=args)
    assert {role for role in lab.users if lab.client(role).get(where).status_code == 200} == roles


# --------------------------------------------------------------------------------- the member


def facts(**changed: str) -> dict[str, str]:
    return {
        "name": "Ada Martin",
        "email": "ada@example.org",
        "language": "en",
        "group": "",
        "joined_on": "2026-01-05",
        "until_on": "2027-01-04",
        "payer": "",
        "consent_on": "",
        "consent_by": "",
    } | changed


def test_a_members_facts_are_changed_and_an_unchanged_form_changes_nothing(lab: PageLab) -> None:
    client = lab.client("manager")
    where = reverse("member-edit", args=[lab.small.member.public_id])
    client.post(where, facts(name="Ada Lovelace"))
    ada = Member.objects.get()
    assert (ada.name, str(ada.joined_on)) == ("Ada Lovelace", "2026-01-05")
    # The whole of the last day counts, in the lab's own zone.
    assert ada.until_at is not None
    assert ada.until_at.isoformat() == "2027-01-04T22:59:59.999999+00:00"
    before = AuditRow.objects.count()
    client.post(where, facts(name="Ada Lovelace"))
    assert AuditRow.objects.count() == before


def test_a_consent_needs_a_day_and_a_name(lab: PageLab) -> None:
    where = reverse("member-edit", args=[lab.small.member.public_id])
    page = body(lab.client("manager").post(where, facts(minor="on", consent_on="2026-01-05")))
    assert "A consent has a day and the name of who gave it" in page
    assert Member.objects.get().minor is False


@pytest.mark.parametrize("asks", [False, True])
def test_a_minor_without_consent_learns_a_machine_only_where_the_lab_does_not_ask(
    lab: PageLab, asks: bool
) -> None:
    labs.set_memberships(console(), lab.small.lab, "", asks_consent=asks)
    client = lab.client("manager")
    client.post(reverse("member-new"), facts(name="Kim", email="", minor="on"))
    kim = Member.objects.get(name="Kim")
    board = body(client.get(reverse("board")))
    assert "1 member under 18 lacks a guardian&#x27;s consent" in board
    client.post(reverse("grant-training", args=[kim.public_id]), {"training": "saw-basics"})
    assert Authorisation.objects.filter(member=kim).exists() is not asks
    client.post(
        reverse("member-edit", args=[kim.public_id]),
        facts(name="Kim", email="", minor="on", consent_on="2026-01-05", consent_by="Mrs Kim"),
    )
    client.post(reverse("grant-training", args=[kim.public_id]), {"training": "saw-basics"})
    assert Authorisation.objects.filter(member=kim, revoked_at=None).count() == 1
    assert "lacks a guardian" not in body(client.get(reverse("board")))


def test_what_a_member_says_of_themselves_is_theirs_to_say_and_take_back(lab: PageLab) -> None:
    link_to_member(lab, "member", lab.small.member)
    where = reverse("member-profile", args=[lab.small.member.public_id])
    said = {"age_band": "26-59", "gender": "unsaid", "occupation": "", "commune": "Brest"}
    client = lab.client("member")
    client.post(where, said)
    assert Profile.objects.get().commune == "Brest"
    # Who it was and that it was said stands in the audit log; what was said does not.
    row = AuditRow.objects.get(action="profile_declared")
    assert "Brest" not in f"{row.before} {row.after} {row.why}"
    for role in ("trainer", "technician", "accountant"):
        assert lab.client(role).get(where).status_code == 404
    assert "Brest" not in body(lab.client("trainer").get(where.replace("about/", "")))
    client.post(where, dict.fromkeys(said, ""))
    assert Profile.objects.count() == 0
    with pytest.raises(ConfigError):
        profiles.declare(console(), lab.small.member, age_band="old")


def test_a_member_is_invited_by_a_link_that_is_shown_once(lab: PageLab) -> None:
    where = reverse("member-login", args=[lab.small.member.public_id])
    owner = lab.client("owner")
    page = body(owner.post(where, {"email": "ada@example.org", "role": "trainer"}))
    assert "/welcome/" in page
    assert Role.objects.get(user__email="ada@example.org").member == lab.small.member
    assert "/welcome/" not in body(owner.get(where))
    assert lab.client("manager").get(where).status_code == 403
    role = Role.objects.get(user__email="ada@example.org")
    owner.post(reverse("take-role", args=[role.pk]))
    assert not Role.objects.filter(pk=role.pk).exists()


# ------------------------------------------------------------------------------- the assistant


def fresh(lab: PageLab) -> Lab:
    """As it is right after the installation."""
    Authorisation.objects.all().delete()
    Machine.objects.all().update(tariff=None)
    for machine in Machine.objects.all():
        machine.nodes.all().delete()
        machine.tariff_history.all().delete()
        machine.delete()
    return lab.small.lab


def test_the_assistant_is_left_and_goes_on_where_it_was(lab: PageLab) -> None:
    fresh(lab)
    client = lab.client("owner")
    assert "Finish setting up the lab" in body(client.get(reverse("board")))
    start = reverse("assistant")

    def at() -> str:
        return str(client.get(start)["Location"])

    def step(name: str) -> str:
        return reverse("assistant-step", args=[name])

    def sent(name: str, said: dict[str, str]) -> Any:
        return client.post(step(name), said)

    assert at() == step("lab")
    said = {"name": "Le Dock", "language": "fr", "time_zone": "Indian/Reunion"}
    assert sent("lab", said).url == step("profile")
    assert at() == step("profile")
    assert sent("profile", {"profile": "nothing"}).status_code == 200
    assert sent("profile", {"profile": "fablab"}).url == step("machine")
    assert at() == step("machine")
    answer = sent("machine", {"name": "Scie à format", "kind": "saw"})
    assert (answer.url, at()) == (step("next"), step("next"))
    machine = Machine.objects.get()
    assert (machine.slug, machine.second_person) == ("scie-a-format", True)
    assert [t.name for t in machine.trainings.all()] == ["Scie à format"]
    page = body(client.get(step("next")))
    assert reverse("import") in page
    client.post(reverse("assistant-finish"))
    assert "Finish setting up the lab" not in body(client.get(reverse("board")))
    assert Lab.objects.get().name == "Le Dock"


def test_a_lab_that_runs_already_is_not_bothered(lab: PageLab) -> None:
    assert "Finish setting up the lab" not in body(lab.client("owner").get(reverse("board")))
