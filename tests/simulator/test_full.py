"""The full stack: fixed lives and a fresh one keep every rule, one seed is one run, and planted mistakes are found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

from tests.simulator.planted_full import HOURS, PLANTED

pytestmark = pytest.mark.real

SEEDS_MAX = 40
"""docs/proof.md says how many each mistake needs; none may need more."""
FIXED = f"twice:{HOURS}:1:5"
TWO_NODES = f"seed:{HOURS}:2:17"
FRESH = f"seed:{HOURS}:1:{SystemRandom().randrange(1_000_000, 1_000_000_000)}"
KEPT = sorted((Path(__file__).parent / "plans").glob("*.txt"))
"""Shrunk lives that once broke a rule; each file says which."""


@pytest.fixture(scope="module")
def lived() -> dict[str, Any]:
    """What became of every life of this module, all in one process: Django's settings are the run's own."""
    tasks = [FIXED, TWO_NODES, FRESH]
    tasks += [f"plan:{path}" for path in KEPT]
    tasks += [f"planted:{number}" for number in range(len(PLANTED))]
    said = subprocess.run(
        [sys.executable, "-m", "tests.simulator.full_seeds", *tasks],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr[-4_000:]
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_one_seed_is_one_run_to_the_last_bit(lived: dict[str, Any]) -> None:
    first, second = lived[FIXED]["runs"]
    assert first == second
    assert first["violation"] is None
    assert first["records"] > 10, "next to nothing happened: this compares nothing"


def test_no_rule_breaks_in_a_lab_of_two_machines(lived: dict[str, Any]) -> None:
    assert lived[TWO_NODES]["violation"] is None
    assert lived[TWO_NODES]["digest"] != lived[FIXED]["runs"][0]["digest"]


def test_no_rule_breaks_in_a_life_nobody_ran_before(lived: dict[str, Any]) -> None:
    _, hours, nodes, seed = FRESH.split(":")
    command = f"interlock sim run --full --seed {seed} --hours {hours} --nodes {nodes}"
    assert lived[FRESH]["violation"] is None, f"{command}: {lived[FRESH]['violation']}"


@pytest.mark.parametrize("kept", KEPT, ids=[path.stem for path in KEPT])
def test_what_once_broke_a_rule_does_so_no_more(kept: Path, lived: dict[str, Any]) -> None:
    assert lived[f"plan:{kept}"]["violation"] is None


def test_an_account_that_is_used_up_refuses_the_next_badge_and_a_payment_opens_it(
    lived: dict[str, Any],
) -> None:
    (plan,) = (path for path in KEPT if path.stem == "credit-runs-out")
    began = "record session_started member=m-"
    expected = [f"{began}ben", f"{began}ben", "refused NO_CREDIT", f"{began}ben"]
    # Eve comes when the life is over: whoever is entitled can work.
    assert lived[f"plan:{plan}"]["decided"] == [*expected, f"{began}eve"]


@pytest.mark.parametrize("number", range(len(PLANTED)), ids=[one.name for one in PLANTED])
def test_the_mistake_is_found_and_the_clean_tree_passes_the_same_seed(
    number: int, lived: dict[str, Any]
) -> None:
    planted, became = PLANTED[number], lived[f"planted:{number}"]
    assert planted.acts or planted.seed < SEEDS_MAX
    assert became["found"] in planted.rules, became["said"]
    assert became["clean"] is None
