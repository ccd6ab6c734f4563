"""One row of the benchmark table: samples go in, the words a reader compares come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured thing. Every text is printed as it stands; `leaves_out` is never empty."""

    what: str
    figures: str
    target: str
    leaves_out: str

    def __post_init__(self) -> None:
        for name in ("what", "figures", "target", "leaves_out"):
            if not getattr(self, name).strip():
                raise ValueError(f"Row.{name} is empty: a figure without its words misleads")


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: a value that really occurred. `samples` must not be empty."""
    if not samples:
        raise ValueError("no samples: nothing was measured")
    if not 0 < percent <= 100:
        raise ValueError(f"percent must be in (0, 100], not {percent}")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def percentiles(samples: Sequence[float], unit: str = "ms", digits: int = 2) -> str:
    """`samples`, already in `unit`, as "p50 0.04 ms, p99 0.31 ms, max 1.20 ms (n = 1,000)"."""
    p50, p99 = percentile(samples, 50), percentile(samples, 99)
    worst = max(samples)
    return (
        f"p50 {p50:.{digits}f} {unit}, p99 {p99:.{digits}f} {unit}, "
        f"max {worst:.{digits}f} {unit} (n = {len(samples):,})"
    )
