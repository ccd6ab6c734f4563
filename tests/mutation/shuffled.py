"""A folder with a copy of the tree in, mutmut's verdicts out: its mutants in an order that a seed draws.

mutmut asks the mutants of quick functions first, so a run that is interrupted says nothing about the others. Here a
mutant's place is a hash of the seed and its name: however far a run comes, those asked are a random sample of all. Who
names patterns has the mutants that match them asked before all others; the sample is then one of the others.

    cd FOLDER && python shuffled.py SEED [PATTERN …]
"""

from __future__ import annotations

import fnmatch
import hashlib
import sys

from mutmut import __main__ as mutmut

CHILDREN_MAX = 2
"""As many as the computers of this project have cores."""


def place(seed: str, first: tuple[str, ...], mutant: str) -> float:
    """Where a mutant stands in the queue, 0 to 2: the same for the same seed and name."""
    digest = hashlib.sha256(f"{seed} {mutant}".encode()).digest()
    waits = not any(fnmatch.fnmatch(mutant, pattern) for pattern in first)
    return waits + int.from_bytes(digest[:6], "big") / 2**48


def main(seed: str, *first: str) -> None:
    """Ask the mutants of the folder we stand in that nobody asked yet."""
    mutmut.estimated_worst_case_time = lambda mutant_name: place(seed, first, mutant_name)
    mutmut.cli(["run", "--max-children", str(CHILDREN_MAX)], standalone_mode=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
