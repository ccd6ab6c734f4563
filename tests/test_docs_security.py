"""docs/security.md promises nothing that no test shows: every test it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
THREATS = (
    *("Cloned UID of a member", "Cloned UID of a trainer", "Cloned UID of a technician"),
    *("Relay attack", "Stolen Pi", "SD card", "Stolen hub database", "Rogue hub"),
    *("Man in the middle", "Rogue node", "Replayed snapshot", "Insider", "Badge flood"),
)
STANDINGS = ("met", "not met", "not applicable")


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the first table below that heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE))
    found = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(
            r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE
        )
    }
    assert len(named) > 50
    assert sorted(named - found) == []


def test_every_threat_says_what_happens_and_is_shown_by_a_test() -> None:
    rows = rows_of("Threat model")
    assert [one for one in THREATS if not any(one in row[0] for row in rows)] == []
    assert [row[0] for row in rows if len(row) != 4 or not row[1] or "`test_" not in row[2]] == []


def test_every_requirement_of_the_standard_says_how_it_stands_and_by_what() -> None:
    rows = rows_of("OWASP ASVS 5.0")
    assert len(rows) > 30
    wrong = [row[0] for row in rows if not row[1].startswith(STANDINGS) or not row[2]]
    assert wrong == []
    assert {row[0].split(".")[0] for row in rows} >= {"V1", "V6", "V7", "V8", "V16"}
