"""install.sh and a machine in use: it asks the running node, and stops, waits or goes on by the answer.

The functions of systemd/install/ run in a real bash; the node and systemctl are stubs that answer in turn. The whole,
against a real node and a real session, is in tests/nspawn.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.tidy import REPOSITORY

pytestmark = pytest.mark.real

OPEN, FREE, SILENT = '{"session_open": true}', '{"session_open": false}', ""

SCRIPT = """
set -Eeuo pipefail
ROOT={repository} TARGET='' PYTHON=python3 EXIT_FAULT=1 UI_LANGUAGE=en UNATTENDED={unattended} FORCE={force}
say() {{ printf '%s\\n' "$*"; }}
complain() {{ printf '%s\\n' "$*" >&2; }}
t() {{ printf '%s' "$1"; }}
systemctl() {{ [[ $* == *is-active* ]] && {active}; }}
source "$ROOT/systemd/install/system.sh"
source "$ROOT/systemd/install/release.sh"
UNIT_DIR={folder} CURRENT={folder}/current SESSION_POLL_S=0
require_no_session
echo "goes on"
"""

INTERLOCK = """#!/bin/sh
head -n 1 {folder}/answers
sed -i 1d {folder}/answers
"""


def ask(
    folder: Path,
    *answers: str,
    unattended: bool = False,
    force: bool = False,
    active: bool = True,
) -> subprocess.CompletedProcess[str]:
    """What `require_no_session` does when the node gives these answers, one after another."""
    program = folder / "current/venv/bin/interlock"
    program.parent.mkdir(parents=True)
    program.write_text(INTERLOCK.format(folder=folder))
    program.chmod(0o755)
    (folder / "answers").write_text("".join(f"{answer}\n" for answer in answers))
    (folder / "interlock-node.service").touch()
    script = SCRIPT.format(
        repository=REPOSITORY,
        folder=folder,
        unattended="yes" if unattended else "no",
        force="yes" if force else "no",
        active="true" if active else "false",
    )
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_free_machine_is_no_obstacle(tmp_path: Path) -> None:
    assert ask(tmp_path, FREE).stdout == "goes on\n"


@pytest.mark.parametrize("answer", [OPEN, SILENT], ids=["in use", "no answer"])
def test_a_machine_in_use_and_one_that_does_not_say_stop_the_installer(
    tmp_path: Path, answer: str
) -> None:
    told = ask(tmp_path, answer)
    assert (told.returncode, told.stdout) == (1, "")
    assert "Somebody is using the machine" in told.stderr
    assert "What to do: run this again when the machine is free" in told.stderr


def test_unattended_waits_until_the_session_is_over(tmp_path: Path) -> None:
    told = ask(tmp_path, OPEN, SILENT, OPEN, FREE, OPEN, unattended=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [
        "Somebody is using the machine: waiting until it is free.",
        "goes on",
    ]
    assert (tmp_path / "answers").read_text() == f"{OPEN}\n", "it asked more often than it had to"


def test_force_goes_past_a_silent_node_and_never_past_a_session(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert ask(tmp_path / "a", SILENT, force=True).returncode == 0
    assert ask(tmp_path / "b", OPEN, force=True).returncode == 1


def test_a_node_that_is_not_running_has_no_session(tmp_path: Path) -> None:
    assert ask(tmp_path, OPEN, active=False).stdout == "goes on\n"
