"""Pages of a hub's database damaged: named with what to do, never backed up over the good ones, and got back whole."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.disk.damaged_hub import PROVED, WAYS, Ended, differing, rows
from tests.disk.damaged_hub_campaign import ends
from tests.disk.lives import room
from tests.test_cli import shell

pytestmark = pytest.mark.real

TURNS = 48
"""Eight of each way, spread over the file; `tests.disk.damaged_hub_campaign` does every page in every way."""

STRUCTURE = ("zeros", "rubbish", "torn", "cut off")


@pytest.fixture(scope="module", name="folder")
def hub_after_its_damages() -> Iterator[Path]:
    with room() as folder:
        campaign = (sys.executable, "-m", "tests.disk.damaged_hub_campaign", "--dir", str(folder))
        done = subprocess.run(
            [*campaign, "--sample", str(TURNS)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        # What is not as promised stands on stdout, in words; what a command let through on stderr.
        assert (done.returncode, done.stdout) == (0, ""), f"{done.stdout}{done.stderr}"
        yield folder


def test_a_damaged_page_is_named_refused_by_the_back_up_or_nobody_reads_it(folder: Path) -> None:
    found = ends(folder)
    assert [one.breach for one in found] == [""] * len(found)
    assert set(Counter(one.way for one in found).values()) == {TURNS // len(WAYS)}
    for one in found:
        if one.way in STRUCTURE and one.read:
            assert one.verify, one
            assert one.back_up == "refused", one


def test_most_damages_name_the_table(folder: Path) -> None:
    """A file that is too short, or has lost its schema, has no tables to name."""
    found = [one for one in ends(folder) if one.way in ("zeros", "rubbish", "torn") and one.verify]
    named = [one for one in found if any("table " in fault for fault in one.verify)]
    assert len(named) > 0.7 * len(found) > 10


def test_what_was_damaged_comes_back_whole_from_the_back_up(folder: Path) -> None:
    """Into a new folder, by the documented command; the old one is moved away, as the page says."""
    (folder / "hub" / "hub.db").write_bytes(b"\x00" * 4_096)
    key = folder / "hub" / "keys" / "backup.key"
    (good,) = (folder / "usb").glob("interlock-*.backup")
    again = folder / "again"
    done = shell("hub", "restore", str(good), "--dir", str(again), "--key-file", str(key))
    assert done.returncode == 0, done.stderr
    done = shell("hub", "verify", "--dir", str(again))
    assert done.returncode == 0, done.stderr
    # The epoch of its lists has risen, and that is noted; of everything else every row is what it was.
    other = differing(rows(folder / "good.db"), rows(again / "hub.db"))
    assert other == ["hub_changelog", "hub_lab", "sqlite_sequence"]


@pytest.mark.parametrize("command", ["run", "jobs", "verify", "doctor", "backup"])
def test_no_command_shows_a_traceback_to_whoever_has_a_damaged_database(
    folder: Path, command: str
) -> None:
    """Its schema is zeros: nothing can be asked."""
    good = (folder / "good.db").read_bytes()
    (folder / "hub" / "hub.db").write_bytes(good[:100] + bytes(4_096 - 100) + good[4_096:])
    done = shell("hub", command, "--dir", str(folder / "hub"), *PORTS.get(command, ()))
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert "docs/backup.md" in done.stdout + done.stderr


PORTS = {"run": ("--port", "0", "--node-port", "0"), "doctor": ("--port", "1")}


@pytest.mark.parametrize(
    ("end", "breach"),
    [
        ({"escaped": ["Traceback"]}, "a traceback"),
        ({"doctor": "bad"}, "the doctor knows more"),
        ({"verify": ["ledger of lab: altered"]}, "backed up without a word"),
        ({"verify": ["database: altered"]}, "backed up without a word"),
        ({"verify": ["lab fab: member 1: status is otherwise"]}, "backed up without a word"),
        ({"read": ["hub_machine"]}, "not a word of hub_machine"),
        ({"way": "stale", "read": ["hub_machine"]}, ""),
        ({"way": "one bit", "read": ["hub_machine"]}, ""),
        *(
            ({"way": "stale", "read": ["hub_machine", name]}, f"not a word of {name}")
            for name in sorted(PROVED)
        ),
    ],
)
def test_what_must_not_be_is_called_so(end: dict[str, object], breach: str) -> None:
    silent = Ended("torn", 1, verify=[], doctor="good", back_up="made", read=[], escaped=[])
    said = replace(silent, **end).breach  # type: ignore[arg-type]  # fields
    assert (breach in said) if breach else said == ""
