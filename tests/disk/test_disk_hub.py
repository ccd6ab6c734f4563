"""The hub's ingest cut in mid-transaction: a batch is there whole or not at all, and a repeat counts nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disk.lives import room

pytestmark = pytest.mark.real

CUTS = 100
"""Of about 160 crash points in three deliveries; each is opened by Django and takes all three again."""


def cut_hub(*options: str) -> dict[str, int]:
    """How the cuts of a hub in a process of its own ended."""
    with room() as folder:
        command = [sys.executable, "-m", "tests.disk.hub_on_disk", str(folder), str(CUTS)]
        done = subprocess.run(
            [*command, *options],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_ingest_cut_at_its_writes_is_stored_whole_or_not_and_repeated_without_effect() -> None:
    found = cut_hub()
    assert found["operations"] > CUTS
    assert found["cuts"] > CUTS // 2
    assert found["between"] == 0, found


def test_a_disk_that_lies_loses_what_the_hub_had_acknowledged() -> None:
    assert cut_hub("--lies")["between"] > 0
