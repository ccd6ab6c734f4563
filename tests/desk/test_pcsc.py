"""Both kinds of card are made genuine through Debian's pcscd and a virtual contactless reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.readers.pcscd import is_installed
from tests.tidy import REPOSITORY

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not is_installed(),
        reason="needs root, and apt install pcscd vsmartcard-vpcd",
    ),
]
NEVER = 10_000


@pytest.mark.parametrize("commands", [NEVER, 20], ids=["in peace", "taken away in the middle"])
@pytest.mark.parametrize("kind", ["DESFire", "NTAG 424"])
def test_a_card_is_made_genuine_through_pcscd(kind: str, commands: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.desk.pcsc_child", kind, str(commands)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"left": commands != NEVER, "generations": ["1"], "unfinished": 0}
