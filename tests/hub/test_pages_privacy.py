"""Pages about privacy: the audit log and its chain, looks at usage, a member's data, erasing by a form."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from interlock.hub import takeout, traces
from interlock.hub.domain import accounts, erasure
from interlock.hub.models import AuditRow, Lab, Member, Role, RoleName, UsageView
from interlock.hub.pages.privacy import audit
from tests.hub.everywhere import one_of_each
from tests.hub.lab import console, small_lab
from tests.hub.test_erasure import used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def signed_in(lab: Lab, role: RoleName, member: Member | None = None) -> Client:
    """A browser in which somebody of that role has signed in, who may be a member too."""
    user = accounts.create_user(f"{role.value}@staff.example.org", f"Some {role.value}")
    accounts.give_role(console(), lab, user, role)
    if member is not None:
        Role.objects.filter(user=user).update(member=member)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def test_the_audit_page_says_that_every_link_holds_and_where_one_does_not() -> None:
    lab = small_lab()
    owner = signed_in(lab.lab, RoleName.OWNER)
    page = owner.get(reverse("audit")).content.decode()
    assert "every link holds" in page
    assert "member created" in page
    AuditRow.objects.filter(seq=3).update(actor="somebody else")
    audit._verified.clear()
    page = owner.get(reverse("audit")).content.decode()
    assert "The chain is broken" in page
    assert "row 3" in page


def test_the_audit_page_is_searched_by_who_what_and_whom() -> None:
    lab = small_lab()
    owner = signed_in(lab.lab, RoleName.OWNER)
    page = owner.get(reverse("audit"), {"q": "tariff created"}).content.decode()
    assert "tariff created" in page
    assert "member created" not in page
    nothing = owner.get(reverse("audit"), {"q": "no such thing"}).content.decode()
    assert "No deed matches" in nothing


def test_looking_at_usage_is_noted_once_a_day_and_one_s_own_never() -> None:
    lab = small_lab()
    used(lab)
    manager = signed_in(lab.lab, RoleName.MANAGER)
    for _ in range(3):
        manager.get(reverse("sessions"))
        manager.get(reverse("member", args=[lab.member.public_id]))
    look = UsageView.objects.get()
    assert look.member == lab.member
    own = signed_in(lab.lab, RoleName.MEMBER, member=lab.member)
    own.get(reverse("me"))
    assert UsageView.objects.count() == 1
    owner = signed_in(lab.lab, RoleName.OWNER)
    assert lab.member.name in owner.get(reverse("audit-looks")).content.decode()


def test_a_member_takes_home_every_row_of_every_table_that_names_them() -> None:
    lab = small_lab()
    used(lab)
    made = one_of_each(lab.lab, lab.member)
    own = signed_in(lab.lab, RoleName.MEMBER, member=lab.member)
    answer = own.get(reverse("my-export"))
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    told = json.loads(archive.read(takeout.DATA))
    for row in made:
        keys = [one[row._meta.pk.name] for one in told[type(row).__name__]]
        assert row.pk in keys, type(row)
    assert {table.__name__ for table, _ in traces.keys_to(Member)} <= set(told)
    assert told["Member"][0]["email"] == lab.member.email
    assert {f"{table}.csv" for table in told} < set(archive.namelist())
    assert "NodeRecord" in told
    assert not takeout.SECRETS & {name for rows in told.values() for row in rows for name in row}


def test_a_manager_erases_only_with_the_right_name_and_a_trainer_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(erasure, "clean_file", lambda: None)
    lab = small_lab()
    used(lab)
    page = reverse("member-data", args=[lab.member.public_id])
    trainer = signed_in(lab.lab, RoleName.TRAINER)
    assert trainer.get(page).status_code == 403
    manager = signed_in(lab.lab, RoleName.MANAGER)
    assert "Erase them for good" in manager.get(page).content.decode()
    wrong = manager.post(page, {"name": "Eve", "why": "asked"})
    assert "This is not their name" in wrong.content.decode()
    assert Member.objects.filter(pk=lab.member.pk).exists()
    done = manager.post(page, {"name": "ada martin", "why": "asked"}, follow=True)
    assert "They are erased" in done.content.decode()
    assert not Member.objects.filter(pk=lab.member.pk).exists()
    assert settings.HUB.path.joinpath("erased.json").exists()


def test_an_archive_of_all_somebody_did_counts_as_a_look_at_their_usage() -> None:
    lab = small_lab()
    manager = signed_in(lab.lab, RoleName.MANAGER)
    assert manager.get(reverse("member-export", args=[lab.member.public_id])).status_code == 200
    assert [look.member for look in UsageView.objects.all()] == [lab.member]
