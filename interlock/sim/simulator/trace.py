"""A failed run in, what a person needs to understand it out: a trace in words and a timeline as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from interlock.sim.simulator.happenings import Plan
from interlock.sim.simulator.run import Verdict, Violation
from interlock.sim.simulator.witness import Witness

LANES = ("process", "badge", "session", "relay", "coil", "contacts", "motor", "fan")
OUTSIDE_LANES = ("sync", "network", "hub")
"""What stands between a node and its hub, in the full stack."""
LINES_MAX = 400
WIDTH, LANE_HEIGHT, LEFT, TOP = 1_100, 26, 90, 30
SHOWN_US = 30_000_000
"""The picture ends at the violation and begins so long before it; earlier when a shrunk plan began earlier."""
SHRUNK_MAX = 20
"""Happenings that fit a picture from the first on."""
BEFORE_US = 5_000_000
MARKS = 10
"""Marks of time along the top."""
DULL = "record session_progress"
WORDS_MAX = 40


def trace(plan: Plan, verdict: Verdict, commit: str) -> str:
    """Seed, commit, machine and everything that happened there, oldest first, the violation last."""
    violation = verdict.violation
    witness = verdict.witnesses[0 if violation is None else max(0, violation.node)]
    lines = _without_dull(witness.tale)
    lines += [(at, f"    {name} {'on' if on else 'off'}") for at, name, on in witness.lanes]
    told = sorted(enumerate(lines), key=lambda item: (item[1][0], item[0]))[-LINES_MAX:]
    head = [
        f"seed {plan.seed}, commit {commit}, machine {witness.node}: {witness.fit.told()}",
        f"{len(plan.happenings)} happenings in {plan.end_ms / 1_000:g} s",
        "",
    ]
    body = [f"{at / 1e6:12.3f} s  {words}" for _, (at, words) in told]
    return "\n".join([*head, *body, "", f"VIOLATION {violation}"]) + "\n"


def timeline(plan: Plan, witness: Witness, violation: Violation | None) -> str:
    """An SVG with a lane for each of `LANES` (and, in the full stack, of what is outside), and what happened below."""
    end_us = witness.now_us if violation is None else violation.at_us
    begin_us = _begin_us(plan, end_us)
    lanes = LANES + tuple(
        one for one in OUTSIDE_LANES if any(one == name for _, name, _ in witness.lanes)
    )
    span_us = max(1, end_us - begin_us)

    def x(at_us: int) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (max(at_us, begin_us) - begin_us) / span_us

    words = [one for one in _without_dull(witness.tale) if one[0] >= begin_us][-WORDS_MAX:]
    height = TOP + LANE_HEIGHT * len(lanes) + 20 + 14 * len(words) + 20
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="18">{escape(str(violation or "no violation"))}</text>',
    ]
    parts += [
        f'<text x="{x(at_us):.1f}" y="{TOP}" fill="#666" text-anchor="middle">{at_us / 1e6:.1f} s</text>'
        for at_us in range(begin_us, end_us + 1, max(1, span_us // MARKS))
    ]
    for row, name in enumerate(lanes):
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
    base = TOP + LANE_HEIGHT * len(lanes) + 14
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
    (directory / "timeline.svg").write_text(timeline(plan, witness, violation), encoding="utf-8")


def _begin_us(plan: Plan, end_us: int) -> int:
    first_ms = min((one.at_ms for one in plan.happenings), default=0)
    if len(plan.happenings) > SHRUNK_MAX:
        return max(0, end_us - SHOWN_US)
    return max(0, min(end_us - SHOWN_US, first_ms * 1_000 - BEFORE_US))


def _without_dull(tale: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines, without those of a session's progress but the last of each row of them."""
    following = [words for _, words in tale[1:]] + [""]
    return [
        one
        for one, after in zip(tale, following, strict=True)
        if not (one[1].startswith(DULL) and after.startswith(DULL))
    ]


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
