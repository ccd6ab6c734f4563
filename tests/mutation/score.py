"""mutmut's list of mutants in, a table of Markdown out: how many of each module's mutants a test noticed."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

NOTICED = ("killed", "timeout", "segfault", "caught by type check")
COLUMNS = ("mutants", "noticed", "survived", "not asked")


def counts(lines: list[str]) -> dict[str, Counter[str]]:
    """By module: how many mutants there are, were noticed, survived, and were not tried or not reached."""
    modules: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        mutant, _, verdict = line.strip().rpartition(": ")
        if not mutant:
            continue
        module = ".".join(mutant.split(".")[1:3])
        column = (
            "noticed"
            if verdict in NOTICED
            else "survived"
            if verdict == "survived"
            else "not asked"
        )
        modules[module].update(("mutants", column))
    return modules


def table(modules: dict[str, Counter[str]]) -> str:
    """The figures of each module and of all, as a table."""
    total: Counter[str] = Counter()
    rows = [
        "| module | mutants | noticed | survived | not asked | score |",
        "|---|---|---|---|---|---|",
    ]
    for module, found in sorted(modules.items()):
        total += found
        rows.append(_row(module, found))
    return "\n".join((*rows, _row("all", total)))


def _row(name: str, found: Counter[str]) -> str:
    asked = found["noticed"] + found["survived"]
    score = f"{100 * found['noticed'] / asked:.1f} %" if asked else "–"
    return f"| {name} | {' | '.join(str(found[column]) for column in COLUMNS)} | {score} |"


if __name__ == "__main__":
    print(table(counts(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())))  # noqa: T201
