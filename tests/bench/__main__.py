"""`python -m tests.bench [NAME…]`: benchmark modules go in, one table of what they measured out.

A benchmark is a module of this folder with `def rows() -> Iterable[Row]`. One that fails is named,
the others still run, and the exit code is 1: a table with a hole must not look complete.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click

import tests.bench
from interlock.clock import perf_us
from tests.bench.row import Row
from tests.bench.table import as_markdown, as_text, merged, this_machine

PERFORMANCE_PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


@click.command(epilog="Example: python -m tests.bench decision idle")
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Name the benchmarks and stop.")
@click.option(
    "--markdown", is_flag=True, help="Also write docs/performance.md, or the rows of NAMES in it."
)
def main(names: tuple[str, ...], only_list: bool, markdown: bool) -> None:
    """Run the benchmarks NAMES (all of them without a name) and print one table."""
    benchmarks = dict(benchmarks_of_this_folder())
    unknown = sorted(set(names) - set(benchmarks))
    if unknown:
        known = ", ".join(sorted(benchmarks))
        raise click.UsageError(f"no benchmark named {', '.join(unknown)}; there are: {known}")
    if only_list:
        click.echo("\n".join(sorted(benchmarks)))
        return
    rows, failed = run({name: benchmarks[name] for name in names or sorted(benchmarks)})
    click.echo(as_text(rows, this_machine()))
    if failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
        sys.exit(1)
    if markdown:
        page = (
            merged(PERFORMANCE_PAGE.read_text(encoding="utf-8"), rows, this_machine())
            if names
            else as_markdown(rows, this_machine())
        )
        PERFORMANCE_PAGE.write_text(page, encoding="utf-8")
        click.echo(f"written: {PERFORMANCE_PAGE}", err=True)


def benchmarks_of_this_folder() -> Iterator[tuple[str, Callable[[], Iterable[Row]]]]:
    """Name and `rows` of every module that has one."""
    for module in pkgutil.iter_modules(tests.bench.__path__):
        if module.name.startswith(("_", "test_")):
            continue
        rows = getattr(importlib.import_module(f"tests.bench.{module.name}"), "rows", None)
        if callable(rows):
            yield module.name, rows


def run(benchmarks: dict[str, Callable[[], Iterable[Row]]]) -> tuple[list[Row], list[str]]:
    """Every row that could be measured, and the names of the benchmarks that failed."""
    measured: list[Row] = []
    failed: list[str] = []
    for name, rows in benchmarks.items():
        started_us = perf_us()
        click.echo(f"{name} …", err=True, nl=False)
        try:
            measured.extend(rows())
        except Exception:  # noqa: BLE001 - the top of a process: one failure must not hide the rest
            failed.append(name)
            click.echo(f" FAILED\n{traceback.format_exc()}", err=True)
            continue
        click.echo(f" {(perf_us() - started_us) / 1e6:.1f} s", err=True)
    return measured, failed


if __name__ == "__main__":
    main()
