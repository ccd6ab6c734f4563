"""The benchmark table: rows and their machine go in, text or Markdown comes out."""

from __future__ import annotations

import os
import platform
import sqlite3
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.row import Row

HEADINGS = ("what", "measured", "target", "leaves out")
COLUMN_WIDTHS = (34, 44, 30, 40)

PREFACE = """\
# Performance

Made by `python -m tests.bench --markdown`; do not edit. With names it renews the rows of those benchmarks.
Every row is a measurement on the machine named here, none is an assertion of the test suite: machines
differ and are noisy, so compare ratios rather than times. **Nothing here was measured on a Raspberry Pi**
unless the machine line says so.
The last column says what a row does not tell.
"""


@dataclass(frozen=True)
class Machine:
    """What the figures depend on and a reader cannot guess."""

    processor: str
    cores: int
    memory_mb: int
    system: str
    python: str
    sqlite: str

    def sentence(self) -> str:
        """One line, fit for the head of a table."""
        return (
            f"{self.processor}, {self.cores} cores for us, {self.memory_mb:,} MB, "
            f"{self.system}, Python {self.python}, SQLite {self.sqlite}"
        )


def this_machine() -> Machine:
    """Read from the kernel, not guessed; a field the kernel does not tell says so."""
    cpu = _first_after_colon("/proc/cpuinfo", ("model name", "Model", "Hardware"))
    memory_kb = _first_after_colon("/proc/meminfo", ("MemTotal",)).split(" ")[0]
    return Machine(
        processor=cpu or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=int(memory_kb or 0) // 1024,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
    )


def as_text(rows: Iterable[Row], machine: Machine) -> str:
    """A table for a terminal: cells wrapped, columns aligned."""
    lines = [machine.sentence(), "", _text_line(HEADINGS), _text_line(["-" * 8] * len(HEADINGS))]
    for row in rows:
        lines.extend(_wrapped((row.what, row.figures, row.target, row.leaves_out)))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_markdown(rows: Iterable[Row], machine: Machine) -> str:
    """The whole of docs/performance.md."""
    lines = [PREFACE, f"Machine: {machine.sentence()}.", "", _markdown_line(HEADINGS)]
    lines.append("|" + "---|" * len(HEADINGS))
    for row in rows:
        lines.append(_markdown_line((row.what, row.figures, row.target, row.leaves_out)))
    return "\n".join(lines) + "\n"


def merged(page: str, rows: Iterable[Row], machine: Machine) -> str:
    """docs/performance.md with `rows` in the place of those of the same name, or behind them.

    Raises ValueError when the page was measured on another machine: one table compares one machine with itself.
    """
    if f"Machine: {machine.sentence()}." not in page.splitlines():
        raise ValueError("the page was measured on another machine: run every benchmark")
    lines = page.splitlines()
    places = {line.split(" | ")[0]: number for number, line in enumerate(lines)}
    for row in rows:
        line = _markdown_line((row.what, row.figures, row.target, row.leaves_out))
        place = places.get(line.split(" | ")[0])
        if place is None:
            lines.append(line)
        else:
            lines[place] = line
    return "\n".join(lines) + "\n"


def _wrapped(cells: Sequence[str]) -> Iterable[str]:
    columns = [
        textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, COLUMN_WIDTHS, strict=True)
    ]
    for index in range(max(len(column) for column in columns)):
        yield _text_line([c[index] if index < len(c) else "" for c in columns])


def _text_line(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, COLUMN_WIDTHS, strict=True))


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _first_after_colon(file: str, keys: Sequence[str]) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys and value.strip():
            return value.strip()
    return ""
