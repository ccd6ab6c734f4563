"""A folder with a copy of the tree in, mutmut's verdicts out: its mutants in an order that a seed draws.

mutmut asks the mutants of quick functions first, so a run that is interrupted says nothing about the others. Here a
mutant's place is a hash of the seed and its name: however far a run comes, those asked are a random sample of all. Who
names patterns has the mutants that match them asked before all others; the sample is then one of the others.

    cd FOLDER && python shuffled.py SEED CHILDREN [PATTERN …]
"""

from __future__ import annotations

import fnmatch
import hashlib
import sys
from collections.abc import Iterable

from mutmut import __main__ as mutmut
from mutmut.mutation import trampoline
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.workers import isolation


class NearestFirst(PytestRunner):
    """Asks the tests of the mutant's own module first, then the quick ones: most mutants die in the first second."""

    def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        """pytest's exit code; with a mutant, this process has no other use any more."""
        if mutant_name:
            # mutmut asks the environment at every call of a mutated function: a third of the time of a run.
            trampoline.get_mutant_under_test = lambda: mutant_name
            module = mutant_name.split(".")[2]
            tests = sorted(tests, key=lambda test: self._distance(test, module))
        else:
            # All tests have passed without a mutant when mutmut counted which calls what: one is enough at a restart.
            reached = set().union(*state().tests_by_mangled_function_name.values())
            tests = [min(reached, key=lambda test: (state().duration_by_test[test], test))]
        return super().run_tests(mutant_name=mutant_name, tests=tests)

    @staticmethod
    def _distance(test: str, module: str) -> tuple[bool, float]:
        return f"test_{module}.py" not in test, state().duration_by_test[test]


def place(seed: str, first: tuple[str, ...], mutant: str) -> float:
    """Where a mutant stands in the queue, 0 to 2: the same for the same seed and name."""
    digest = hashlib.sha256(f"{seed} {mutant}".encode()).digest()
    waits = not any(fnmatch.fnmatch(mutant, pattern) for pattern in first)
    return waits + int.from_bytes(digest[:6], "big") / 2**48


def main(seed: str, children: str, *first: str) -> None:
    """Ask the mutants of the folder we stand in that nobody asked yet."""
    mutmut.estimated_worst_case_time = lambda mutant_name: place(seed, first, mutant_name)
    isolation.PytestRunner = NearestFirst
    mutmut.cli(["run", "--max-children", children], standalone_mode=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
