"""A change made by another process reaches every waiting client as a small signed delta, and is confirmed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.bench.fan_out import Changes, Clients, lab_with, point_at
from tests.hub.process import HubProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.real

CLIENTS = 20


def test_twenty_clients_refuse_what_another_process_took_away_and_the_hub_knows_it() -> None:
    with tempfile.TemporaryDirectory(prefix="il-fan-") as name:
        path = Path(name)
        folder = lab_with(path, CLIENTS, 12, 3)
        hub = HubProcess(folder)
        point_at(path, CLIENTS, hub.url)
        clients = Clients(path, CLIENTS, processes=1)
        changes = Changes(folder)
        try:
            clients.wait("ready", 0, 60.0)
            for number in range(3):
                began_us = changes.make(number)
                applied = clients.wait("applied", began_us, 30.0)
                assert {one["whole"] for one in applied} == {1}, (
                    "nobody needed the whole list again"
                )
            confirmed = (
                "list(Node.objects.filter(machine__slug__startswith='m', confirmed_counter__gte=2)"
                ".values_list('pk', flat=True))"
            )
            wait_until(lambda: len(folder.count(confirmed)) == CLIENTS, 30.0, "confirmations")
        finally:
            changes.close()
            clients.close()
            hub.stop()
