"""Use of a machine as practice of its trainings: when it counts, and how often it is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.conf import settings

from interlock.hub import ingest
from interlock.hub.models import Authorisation, Session
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


def take(lab: SmallLab, wires: list[dict[str, Any]]) -> None:
    ingest.take(lab.enrolled.node, wires, settings.HUB_CLOCK)


def test_practice_is_noted_once_a_day_so_that_snapshots_rest() -> None:
    lab = small_lab()
    lab.training.lapse_days = 90
    lab.training.save()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    journal.session(lab, 60)
    take(lab, journal.wires())
    first = Authorisation.objects.get().practised_at
    assert first is not None
    journal.session(lab, 60)
    take(lab, journal.wires(3))
    assert Authorisation.objects.get().practised_at == first


def test_practice_counts_from_the_day_the_clock_proves_and_only_once_the_session_is_over() -> None:
    lab = small_lab()
    lab.training.lapse_days = 90
    lab.training.save()
    journal = Journal.of(lab.enrolled)

    def practised() -> datetime | None:
        done = getattr(practised, "done", 0)
        take(lab, journal.wires(done))
        practised.done = len(journal.records)  # type: ignore[attr-defined]
        return Authorisation.objects.get().practised_at

    started = journal.start(lab)
    journal.progress(started, 60)
    history = [practised()]
    journal.end(started, 60)
    history.append(practised())
    assert history == [None, None]
    # Only now does the node learn what time it was; until then the dates were guessed.
    journal.anchor(WALL_MS)
    assert practised() == Session.objects.get().ended_at
    assert not Session.objects.get().provisional
