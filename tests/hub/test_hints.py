"""A change that is committed rings the hub at once, from wherever it was made; nothing that was taken back does."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction

from interlock.hub.hints import BELL, Bell, hint_on_commit, listen

pytestmark = pytest.mark.fast

RING = """
import socket, sys
bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
bell.sendto(b"!", sys.argv[1])
"""


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell(settings.HUB.path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.django_db(transaction=True)
def test_a_process_where_nobody_listens_rings_the_hub_when_its_change_is_committed(
    bell: Bell,
) -> None:
    with transaction.atomic():
        hint_on_commit()
        assert not bell.wait(0)
    assert bell.wait(0)
    assert not bell.wait(0), "many rings, or one, count once"


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_taken_back_rings_nobody(bell: Bell) -> None:
    with transaction.atomic():
        hint_on_commit()
        transaction.set_rollback(True)
    assert not bell.wait(0)


@pytest.mark.django_db(transaction=True)
def test_a_change_without_a_hub_or_with_one_that_died_is_made_all_the_same() -> None:
    (settings.HUB.path / BELL).unlink(missing_ok=True)
    with transaction.atomic():
        hint_on_commit()
    Bell(settings.HUB.path)._socket.close()  # type: ignore[union-attr]
    with transaction.atomic():
        hint_on_commit()
    again = Bell(settings.HUB.path)
    try:
        with transaction.atomic():
            hint_on_commit()
        assert again.wait(0), "the next hub takes over what a dead one left"
    finally:
        again.close()


@pytest.mark.django_db(transaction=True)
def test_the_hubs_own_change_rings_once_and_not_through_its_socket(bell: Bell) -> None:
    heard: list[int] = []
    stop = listen(lambda: heard.append(1))
    try:
        with transaction.atomic():
            hint_on_commit()
    finally:
        stop()
    assert heard == [1]
    assert not bell.wait(0)


def test_another_process_rings_a_hub_whose_folder_lies_deeper_than_a_socket_may(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    bell = Bell(deep)
    try:
        descriptor = os.open(deep, os.O_PATH)
        near = f"/proc/self/fd/{descriptor}/{BELL}"
        subprocess.run([sys.executable, "-c", RING, near], check=True, pass_fds=[descriptor])
        os.close(descriptor)
        assert bell.wait(0)
        assert stat.S_IMODE((deep / BELL).stat().st_mode) == 0o600
    finally:
        bell.close()
    assert list(deep.iterdir()) == []


def test_a_bell_in_a_folder_that_is_not_there_still_rings_for_its_own_threads(
    tmp_path: Path,
) -> None:
    bell = Bell(tmp_path / "nowhere")
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)
    bell.close()
    bell.ring()
