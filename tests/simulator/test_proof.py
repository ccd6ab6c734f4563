"""The figures of docs/proof.md: they come from what was run, and the page has a place for each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from interlock.sim.simulator.campaign import RUNS_FILE, Finished
from tests.real.soak import Held
from tests.simulator.proof import (
    PROOF,
    campaigns_table,
    coverage_table,
    mutation_table,
    soak_table,
    with_section,
)

pytestmark = pytest.mark.fast

SECTIONS = ("campaigns", "planted bugs", "disk", "soak", "coverage", "mutation")


def ledger(folder: Path, *done: Finished) -> Path:
    lines = (json.dumps(asdict(one)) + "\n" for one in done)
    (folder / RUNS_FILE).write_text("".join(lines))
    return folder


def test_the_page_has_a_place_for_every_table_and_says_first_what_is_not_modelled() -> None:
    page = PROOF.read_text(encoding="utf-8")
    for name in SECTIONS:
        assert "\nfresh\n" in with_section(page, name, iter(["fresh"]))
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings[0] == "## What is not modelled"
    with pytest.raises(ValueError, match="no section"):
        with_section(page, "wishes", iter(["fresh"]))


def test_new_figures_take_the_place_of_the_old_ones_and_no_other() -> None:
    page = "before\n<!-- figures: a -->\nold\n<!-- end of a -->\n<!-- figures: b -->\nkept\n<!-- end of b -->"
    fresh = with_section(page, "a", iter(["new"]))
    assert "old" not in fresh
    assert "kept" in fresh
    assert fresh.startswith("before\n")


def test_a_campaign_s_row_adds_up_and_what_broke_is_told_with_its_seed(tmp_path: Path) -> None:
    one = Finished(1, "abc", 0.25, 1_000, 600, 3, 2.0, faults={"mains": 2})
    two = Finished(2, "def", 0.25, 3_000, 1_400, 5, 2.0, "S1 at machine 0", faults={"mains": 1})
    lines = list(campaigns_table([ledger(tmp_path, one, two)]))
    (row,) = (line for line in lines if line.startswith("| core + physics"))
    assert "| 2 | 0.5 | 0.0001 | 8 | 4,000 | 2,000 | 1,000 | abc, def |" in row
    assert "- core + physics, seed 2: S1 at machine 0" in lines
    assert "| mains | 3 |" in lines


def test_coverage_mutants_and_soak_are_read_as_their_tools_write_them(tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    summary = {"covered_lines": 9, "num_statements": 10, "covered_branches": 4, "num_branches": 4}
    report.write_text(json.dumps({"files": {"interlock/core/machine.py": {"summary": summary}}}))
    assert "| interlock/core/ | 9 of 10 (90.0 %) | 4 of 4 (100.0 %) |" in set(
        coverage_table(report)
    )

    results = tmp_path / "results.txt"
    results.write_text(
        "interlock.core.machine.x_step__mutmut_1: killed\n"
        "interlock.core.machine.x_step__mutmut_2: survived\n"
    )
    assert "| all | 2 | 1 | 1 | 0 |" in set(mutation_table(results))

    series = tmp_path / "soak.json"
    held = [asdict(Held(at_s, 1_000 + at_s, 7, 3)) for at_s in (0, 30, 60)]
    series.write_text(json.dumps({"node": held}))
    rows: Iterator[str] = soak_table(series)
    assert "| node | KiB resident | 3 | 1 | 1000 | 1060 | +60.0 |" in set(rows)
