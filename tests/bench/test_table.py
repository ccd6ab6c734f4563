"""The benchmark table says what was measured, on what, and leaves nothing out silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.bench.__main__ import run
from tests.bench.row import Row, percentile, percentiles
from tests.bench.table import HEADINGS, as_markdown, as_text, merged, this_machine

pytestmark = pytest.mark.fast

ROW = Row("decision", "p50 0.04 ms", "p50 ≤ 0.1 ms", "the reader | and the disk")


def test_a_percentile_is_a_value_that_was_measured() -> None:
    samples = [float(n) for n in range(1, 101)]
    assert [percentile(samples, p) for p in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 50) == 7.0


def test_percentiles_name_their_unit_and_how_many_there_were() -> None:
    assert percentiles([1.0, 2.0, 4.0]) == "p50 2.00 ms, p99 4.00 ms, max 4.00 ms (n = 3)"


def test_no_samples_are_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)


def test_a_row_that_does_not_say_what_it_leaves_out_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves_out is empty"):
        Row("a", "b", "c", " ")


def test_both_tables_hold_every_cell_and_the_machine() -> None:
    machine = this_machine()
    text, page = as_text([ROW], machine), as_markdown([ROW], machine)
    for table in (text, page):
        assert machine.sentence() in table
        assert all(heading in table for heading in HEADINGS)
        assert all(word in table for word in ("decision", "p50 0.04 ms", "p50 ≤ 0.1 ms"))
    assert "the reader \\| and the disk" in page, "a bar in a cell would break the row"


def test_one_benchmark_taken_again_takes_its_place_in_the_page_and_a_new_one_stands_last() -> None:
    machine, other = this_machine(), Row("a | b", "1 ms", "2 ms", "all else")
    page = as_markdown([other, ROW], machine)
    again, new = replace(other, figures="3 ms"), replace(ROW, what="decisions")
    assert merged(page, [again, new], machine) == as_markdown([again, ROW, new], machine)


def test_a_page_of_another_machine_is_not_mixed_with_this_one() -> None:
    page = as_markdown([ROW], this_machine())
    with pytest.raises(ValueError, match="another machine"):
        merged(page, [ROW], replace(this_machine(), cores=64))


def test_this_machine_is_read_from_the_kernel() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory_mb > 64
    assert machine.processor


def test_a_benchmark_that_fails_is_named_and_the_others_still_run() -> None:
    def broken() -> Iterator[Row]:
        yield ROW
        raise OSError("no such disk")

    rows, failed = run({"broken": broken, "whole": lambda: [ROW]})
    assert failed == ["broken"]
    assert rows[-1] == ROW
