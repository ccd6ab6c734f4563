"""A node newer than its hub: what it says is kept, and costs nobody a session."""

from __future__ import annotations

from typing import Any, cast

import pytest
from django.conf import settings

from interlock.errors import ProtocolError
from interlock.hub import ingest
from interlock.hub.ingest import Taken
from interlock.hub.models import Alarm, AlarmKind, NodeRecord, Session, SetAside
from interlock.hub.unknown_types import UnknownType
from interlock.protocol.records import RecordType
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

FUTURE = cast(RecordType, UnknownType("credit_shown"))


def take(lab: SmallLab, wires: list[dict[str, Any]]) -> Taken:
    return ingest.take(lab.enrolled.node, wires, settings.HUB_CLOCK)


def test_a_record_of_an_unknown_type_is_stored_and_alarmed_and_the_batch_goes_on() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    future = journal.write(FUTURE, cents=500)
    journal.session(lab, 90)
    taken = take(lab, journal.wires())
    assert (taken.head, taken.set_aside) == (journal.head, ())
    assert sorted(Session.objects.values_list("enabled_ms", flat=True)) == [60_000, 90_000]
    stored = NodeRecord.objects.get(seq=future.header.seq)
    assert (stored.type, stored.body, bytes(stored.hash)) == (
        "credit_shown",
        '{"cents":500}',
        future.hash,
    )
    assert list(Alarm.objects.values_list("kind", "detail")) == [
        (AlarmKind.RECORD_UNKNOWN, "1.3 credit_shown")
    ]
    again = take(lab, journal.wires())
    assert (again.head, NodeRecord.objects.count(), Alarm.objects.get().count) == (taken.head, 5, 1)


def test_an_altered_record_of_an_unknown_type_is_set_aside_word_for_word() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.write(FUTURE, cents=500)
    (wire,) = journal.wires()
    taken = take(lab, [{**wire, "body": {"cents": 1}}])
    assert taken.set_aside == ((1, 1, "broken_chain"),)
    assert '"type":"credit_shown"' in SetAside.objects.get().wire
    assert not NodeRecord.objects.exists()


@pytest.mark.parametrize("name", ["", "x" * 33, "Boot", "a b", "é", None, 7, ["boot"]])
def test_what_cannot_be_a_types_name_is_refused(name: object) -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 60)
    first, second = journal.wires()
    with pytest.raises(ProtocolError, match="type"):
        take(lab, [first, {**second, "type": name}])
    assert not NodeRecord.objects.exists()
