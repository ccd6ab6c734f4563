"""A failed run in, what a person needs to understand it out: a trace in words and a timeline as a picture."""

from __future__ import annotations

from html import escape
from pathlib import Path

from interlock.sim.simulator.happenings import Plan
from interlock.sim.simulator.run import Verdict, Violation
from interlock.sim.simulator.witness import Witness

LANES = ("process", "badge", "relay", "coil", "contacts", "motor", "fan")
LINES_MAX = 400
WIDTH, LANE_HEIGHT, LEFT, TOP = 1_100, 26, 90, 30
SHOWN_US = 30_000_000
"""The picture ends at the violation and begins so long before it."""
WORDS_MAX = 40


def trace(plan: Plan, verdict: Verdict, commit: str) -> str:
    """Seed, commit, machine and everything that happened there, oldest first, the violation last."""
    violation = verdict.violation
    witness = verdict.witnesses[0 if violation is None else max(0, violation.node)]
    lines = [(at, words) for at, words in witness.tale]
    lines += [(at, f"    {name} {'on' if on else 'off'}") for at, name, on in witness.lanes]
    told = sorted(enumerate(lines), key=lambda item: (item[1][0], item[0]))[-LINES_MAX:]
    head = [
        f"seed {plan.seed}, commit {commit}, machine {witness.node}: {witness.fit.told()}",
        f"{len(plan.happenings)} happenings in {plan.end_ms / 1_000:g} s",
        "",
    ]
    body = [f"{at / 1e6:12.3f} s  {words}" for _, (at, words) in told]
    return "\n".join([*head, *body, "", f"VIOLATION {violation}"]) + "\n"


def timeline(witness: Witness, violation: Violation | None) -> str:
    """An SVG with a lane for badge, relay, coil, contacts, motor and fan, and what happened below them."""
    end_us = witness.now_us if violation is None else violation.at_us
    begin_us = max(0, end_us - SHOWN_US)
    span_us = max(1, end_us - begin_us)

    def x(at_us: int) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (max(at_us, begin_us) - begin_us) / span_us

    words = [(at, text) for at, text in witness.tale if at >= begin_us][-WORDS_MAX:]
    height = TOP + LANE_HEIGHT * len(LANES) + 20 + 14 * len(words) + 20
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="18">{escape(str(violation or "no violation"))}</text>',
    ]
    for row, name in enumerate(LANES):
        y = TOP + LANE_HEIGHT * row
        parts.append(f'<text x="8" y="{y + 15}">{name}</text>')
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y + 18}" y2="{y + 18}" stroke="#999"/>'
        )
        for since_us, until_us in _spans(witness, name, begin_us, end_us):
            width = max(1.0, x(until_us) - x(since_us))
            parts.append(
                f'<rect x="{x(since_us):.1f}" y="{y + 4}" width="{width:.1f}" height="14" fill="#1f6feb"/>'
            )
    base = TOP + LANE_HEIGHT * len(LANES) + 14
    for number, (at, text) in enumerate(words):
        y = base + 14 * (number + 1)
        parts.append(
            f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{base}" stroke="#d73a49" '
            'stroke-opacity="0.4"/>'
        )
        parts.append(f'<text x="8" y="{y}">{at / 1e6:.3f} s  {escape(text)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def write_artefacts(directory: Path, plan: Plan, verdict: Verdict, commit: str) -> None:
    """`plan.txt` (to run it again), `trace.txt` and `timeline.svg` are in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.txt").write_text(plan.to_text(), encoding="utf-8")
    (directory / "trace.txt").write_text(trace(plan, verdict, commit), encoding="utf-8")
    violation = verdict.violation
    witness = verdict.witnesses[0 if violation is None else max(0, violation.node)]
    (directory / "timeline.svg").write_text(timeline(witness, violation), encoding="utf-8")


def _spans(witness: Witness, name: str, begin_us: int, end_us: int) -> list[tuple[int, int]]:
    """When the lane was on, as far as the picture goes."""
    spans: list[tuple[int, int]] = []
    since_us: int | None = None
    for at, lane, on in witness.lanes:
        if lane != name:
            continue
        if on and since_us is None:
            since_us = at
        elif not on and since_us is not None:
            spans.append((since_us, at))
            since_us = None
    if since_us is not None:
        spans.append((since_us, end_us))
    return [(since, until) for since, until in spans if until >= begin_us]
