"""The transition table in, each cell bent once, a verdict for each out: did a test of the core notice?

mutmut bends what is called; the table is made before, when its module is imported. So it is bent here: a cell ignores
its event, does what another state does, or may no longer lead to one of its states. The seed draws which of these a
cell gets, and the order of the cells: however far a run comes, it is a sample.

    python -m tests.mutation.cells FOLDER SEED COUNT

asks COUNT cells more than the folder's `bent.txt` holds, and prints what all of them came to. Asked are the tests of
`core.toml`, of these only those that looked at the cell before it was bent. `bent.txt` holds the verdicts of one
commit: begin a new folder for another.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import settings

from interlock.core import machine, table
from interlock.core.outcomes import ignore
from interlock.core.states import State
from interlock.core.table import TABLE, Rule

Cell = tuple[State, type]

BENT, LOOKED = "INTERLOCK_BENT_CELL", "INTERLOCK_LOOKED_AT"
"""What a run of pytest with this module as plugin does: bend this cell so, or write who looked at which cell."""

OF_THE_TABLE = [f"tests/core/test_{name}.py" for name in ("table", "every_cell", "destinations")]
"""They notice most, and are asked before any other; the first looks at the table without a machine."""

SURVIVED = "survived"
Z = 1.96
"""Of the normal distribution, for an interval of 95 %."""

# No test keeps the examples that a bent table made it find.
settings.register_profile("bent", deadline=None, derandomize=True, max_examples=30, database=None)


def bends(cell: Cell) -> dict[str, Rule]:
    """All that may become of a cell, each under its name."""
    state, event = cell
    rule = TABLE[cell]
    found = {} if rule.follow is ignore else {"ignored": Rule(ignore, frozenset({state}))}
    for other in State:
        foreign = TABLE[other, event]
        if foreign.follow is not rule.follow:
            found[f"as in {other.name}"] = Rule(foreign.follow, foreign.to | {state})
    if len(rule.to) > 1:
        found |= {f"not to {to.name}": replace(rule, to=rule.to - {to}) for to in rule.to}
    return dict(sorted(found.items()))


CELLS = {f"{state.name} {event.__name__}": (state, event) for state, event in TABLE}


class Recorded(dict[Cell, Rule]):
    """The table, which remembers the test that looks something up in it."""

    lookers: defaultdict[Cell, set[str]] = defaultdict(set)

    def __getitem__(self, cell: Cell) -> Rule:
        test, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")
        self.lookers[cell].add(test)
        return super().__getitem__(cell)


def pytest_configure(config: pytest.Config) -> None:
    """Bend the one cell, or begin to write down who looks."""
    if BENT in os.environ:
        name, _, bend = os.environ[BENT].partition(": ")
        TABLE[CELLS[name]] = bends(CELLS[name])[bend]
    elif LOOKED in os.environ:
        table.TABLE = Recorded(TABLE)
        vars(machine)["TABLE"] = table.TABLE


def pytest_sessionfinish() -> None:
    """Who looked at which cell."""
    if LOOKED in os.environ:
        looked = {name: sorted(Recorded.lookers[cell] - {""}) for name, cell in CELLS.items()}
        Path(os.environ[LOOKED]).write_text(json.dumps(looked, indent=1), encoding="utf-8")


def ask(tests: list[str], **environment: str) -> tuple[int, str]:
    """pytest's exit code, and the first test that failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.mutation.cells", *tests]
    around = {**os.environ, "HYPOTHESIS_PROFILE": "bent", **environment}
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, failed[0].split(" - ")[0] if failed else done.stdout[-2_000:]


def selection() -> list[str]:
    """The arguments with which mutmut asks the core's tests."""
    whole = tomllib.loads(Path(__file__).with_name("core.toml").read_text(encoding="utf-8"))
    return list(whole["tool"]["mutmut"]["pytest_add_cli_args_test_selection"])


def verdict(cell: str, bend: str, looked: dict[str, list[str]]) -> str:
    """Which test noticed, or that none did."""
    options = [one for one in selection() if one.startswith(("-p", "no:"))]
    for tests in filter(None, (OF_THE_TABLE, looked[cell])):
        code, said = ask([*tests, *options], **{BENT: f"{cell}: {bend}"})
        if code not in (0, 1):
            raise SystemExit(f"pytest ended with {code} at {cell}, {bend}: {said}")
        if code == 1:
            return said
    return SURVIVED


def score(asked: int, noticed: int) -> str:
    """The fraction with its interval (Wilson)."""
    share, spread = noticed / asked, Z * Z / asked
    half = Z * sqrt(share * (1 - share) / asked + spread / asked / 4)
    low, high = (100 * (share + spread / 2 + way) / (1 + spread) for way in (-half, half))
    return f"{noticed} of {asked} noticed, {100 * share:.1f} %, interval {low:.1f} to {high:.1f} %"


def main(folder: str, seed: str, count: str) -> None:
    """Ask COUNT more cells, then tell of all that were asked."""
    kept, looks = Path(folder, "bent.txt"), Path(folder, "looked.json")
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not looks.exists() and ask(selection(), **{LOOKED: str(looks)})[0] != 0:
        raise SystemExit("The tests are red without any bend. Mend them first.")
    looked = json.loads(looks.read_text(encoding="utf-8"))
    done = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    queue = sorted(CELLS, key=lambda name: random.Random(f"{seed} {name}").random())
    for cell in queue[len(done) :][: int(count)]:
        bend = random.Random(f"{seed} bend {cell}").choice(list(bends(CELLS[cell])))
        done.append(f"{cell}: {bend}: {verdict(cell, bend, looked)}")
        kept.write_text("\n".join(done) + "\n", encoding="utf-8")
    alive = [line for line in done if line.endswith(SURVIVED)]
    print(*alive, f"{len(CELLS)} cells; {score(len(done), len(done) - len(alive))}", sep="\n")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
