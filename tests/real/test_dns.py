"""A name that nobody ever answers for in, a machine that works and a sync that goes on out; then the name is back."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.sim.supervised import SYNC_NICE
from tests.real.accounts import check_books
from tests.real.lab import SYNC, Lab, lab_from
from tests.real.nameserver import name_server
from tests.waiting import wait_until

pytestmark = pytest.mark.root

NAME = "hub.lab.test"
STOP_US_MAX = 900_000
"""A single one, as in test_hub_trouble.py: the name server keeps whoever asks it waiting for seconds."""

WITH_RESOLV = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def start_sync_with(lab: Lab, resolv: Path) -> None:
    """The real sync in a mount namespace of its own, where names are asked for as `resolv` says."""
    run = (sys.executable, "-m", "interlock", "sync", "run", *lab._at)
    unshare = shutil.which("unshare")
    assert unshare is not None
    command = (unshare, "--mount", "sh", "-c", WITH_RESOLV, str(resolv), *run)
    lab.manager.start(replace(lab._unit(SYNC), command=command, nice=SYNC_NICE))


def answers_to_its_name(lab: Lab) -> None:
    """The lab's hub is asked for by NAME."""
    path = lab.root / "hub" / "hub.toml"
    text = path.read_text(encoding="utf-8")
    assert "\nhosts = []\n" in text
    path.write_text(text.replace("\nhosts = []\n", f'\nhosts = ["{NAME}"]\n'), encoding="utf-8")


def test_a_name_server_that_never_answers_stops_neither_the_machine_nor_sync(
    template: Path, tmp_path: Path
) -> None:
    """The question takes longer than the watchdog of two seconds that sync runs under here: it was fed meanwhile.
    Nothing arrives before the answer does, and everything once, soon after."""
    with lab_from(template) as lab, name_server(tmp_path) as (server, resolv):
        answers_to_its_name(lab)
        lab.start(sync=False)
        lab.locked()
        lab.point_sync_at(f"http://{NAME}:{lab.cable.port}")
        start_sync_with(lab, resolv)
        wait_until(lambda: server.questions > 0, 20, "a question for the hub's name")
        lab.tap_on()
        lab.work(1_000)
        assert lab.relay_off_after(lab.push("stop")) <= STOP_US_MAX
        asked = server.questions
        wait_until(lambda: server.questions >= asked + 4, 30, "the question, again and again")
        assert lab.sessions() == []
        report = lab.manager.report(SYNC)
        assert (report.starts, report.watchdog_kills) == (1, 0)
        server.silent = False
        (use,) = check_books(lab)
        assert use.ended["how"] == "stop_button"
        assert lab.starts(SYNC) == 1
