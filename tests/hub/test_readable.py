"""Whatever the hub accepts, the nodes' own reader reads: one bad value must not cost a list of rights."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime

import pytest
from django.db import transaction
from hypothesis import example, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from interlock.core.model import Entry, Needs
from interlock.errors import ConfigError
from interlock.hub.domain import labs, machines, members, trainings
from interlock.hub.models import Alarm, AlarmKind, Badge, Member, Node, Training
from interlock.hub.snapshots import body_of, refresh
from interlock.protocol.snapshots import SnapshotHeader, read_snapshot
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

EXAMPLES = 60
"""Each makes a lab and signs a list: about two seconds in all."""


def told(lab: SmallLab) -> tuple[SnapshotHeader, list[Entry]]:
    """What the protocol's reader makes of the current list. Raises ProtocolError."""
    node = Node.objects.get(machine__lab=lab.lab, revoked_at=None)
    key = lab.enrolled.keys.hub_key()
    header, entries = read_snapshot(
        io.BytesIO(body_of(node)), key, lab=lab.lab.slug, node=node.slug
    )
    return header, list(entries)


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=700)
any_slug = st.one_of(any_text, st.from_regex(r"[a-z-]{1,90}", fullmatch=True))
any_number = st.one_of(st.none(), st.integers(-5, 2**31 - 1))
any_moment = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))


@effort(max_examples=EXAMPLES, deadline=None)
@given(any_text, any_text, any_moment, any_slug, any_number, any_number, any_number, any_text)
@example("J" * 600, "en", None, "laser", None, None, None, "Saw")
@example("Jean Vieux", "en", datetime(1900, 1, 1, tzinfo=UTC), "laser", None, None, None, "Saw")
@example("A", "klingon!!", None, "t" * 65, None, None, -1, "S" * 513)
@example("A", "en", datetime.max.replace(tzinfo=UTC), "laser", 4_000_000, 4_000_000, None, "Saw")
def test_whatever_the_domain_accepts_the_protocols_reader_reads(
    name: str,
    language: str,
    until_at: datetime | None,
    slug: str,
    validity_days: int | None,
    lapse_days: int | None,
    max_offline_s: int | None,
    title: str,
) -> None:
    actor = console()
    with transaction.atomic():
        lab = small_lab(slug="readable")
        labs.send_names(actor, lab.lab, on=True)
        tries = (
            lambda: members.change_member(actor, lab.member, name=name),
            lambda: members.change_member(actor, lab.member, language=language),
            lambda: members.change_member(actor, lab.member, until_at=until_at),
            lambda: machines.create_machine(actor, lab.lab, slug, title),
            lambda: machines.create_machine(
                actor, lab.lab, "m", title, max_offline_s=max_offline_s
            ),
            lambda: trainings.create_training(
                actor, lab.lab, slug, title, validity_days=validity_days, lapse_days=lapse_days
            ),
        )
        for attempt in tries:
            with contextlib.suppress(ConfigError), transaction.atomic():
                attempt()
        lab.member.refresh_from_db()
        learnt = Training.objects.filter(lab=lab.lab)
        machines.set_demands(actor, lab.machine, list(learnt), Needs.ALL)
        for training in learnt:
            trainings.grant_training(actor, lab.member, training)
        (entry,) = told(lab)[1]
        assert entry.name == Member.objects.get(lab=lab.lab).name
        assert len(entry.rights) == len(learnt)
        for machine in lab.lab.machines.exclude(pk=lab.machine.pk):
            Node.objects.filter(machine__lab=lab.lab).update(revoked_at=actor.now())
            node = Node.objects.create(
                lab=lab.lab,
                slug=f"{machine.slug}-999",
                machine=machine,
                credential_hash=machine.slug.encode(),
                chain_key=bytes(32),
                enrolled_at=actor.now(),
            )
            assert told(lab)[0].node == node.slug
        transaction.set_rollback(True)


def test_an_end_before_1970_is_told_as_one_long_past() -> None:
    lab = small_lab()
    members.change_member(console(), lab.member, until_at=datetime(1900, 1, 1, tzinfo=UTC))
    assert told(lab)[1][0].member_until_at == 0


@pytest.mark.parametrize("broken", [{"language": "far too long"}, {"status": "nonsense"}])
def test_one_unreadable_badge_is_left_out_and_alarmed_and_the_others_are_told(
    broken: dict[str, str],
) -> None:
    lab = small_lab()
    other = members.create_member(console(), lab.lab, "Zoe")
    members.assign_badge(console(), other, bytes(7))
    Member.objects.filter(pk=other.pk).update(**broken)
    assert [entry.member for entry in told(lab)[1]] == [lab.member.public_id]
    refresh(lab.lab)
    alarm = Alarm.objects.get(kind=AlarmKind.BADGE_LEFT_OUT)
    tag = bytes(Badge.objects.get(member=other).tag)
    assert alarm.detail.startswith(tag[:4].hex())
    assert tag.hex() not in alarm.detail


def test_a_lapse_of_any_length_is_a_second_nodes_can_read() -> None:
    lab = small_lab()
    Training.objects.update(lapse_days=4_000_000)
    (entry,) = told(lab)[1]
    assert entry.rights[0].lapses_at == (entry.rights[0].since_at or 0) + 4_000_000 * 86_400


@pytest.mark.parametrize("days", [0, -1, 36_501, 4_000_000])
def test_no_training_is_valid_or_lapses_for_more_than_a_hundred_years(days: int) -> None:
    lab = small_lab()
    with pytest.raises(ConfigError):
        trainings.create_training(console(), lab.lab, "a", "A", lapse_days=days)
    with pytest.raises(ConfigError):
        trainings.create_training(console(), lab.lab, "b", "B", validity_days=days)


def test_namesakes_with_the_longest_name_get_payers_that_fit_their_column() -> None:
    lab = small_lab()
    made = [members.create_member(console(), lab.lab, "N" * 150) for _ in range(2)]
    payers = [one.payer.name for one in made if one.payer]
    assert (len(set(payers)), [len(name) for name in payers]) == (2, [150, 150])
