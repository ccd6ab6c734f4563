"""What a witness saw in, a timeline as an SVG out: a lane for each thing that is on or off, and what happened.

The last second before a rule broke has a third of the width: relays close within twenty milliseconds of a badge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from interlock.sim.simulator.happenings import Plan
from interlock.sim.simulator.run import Violation
from interlock.sim.simulator.witness import Witness

LANES = ("process", "badge", "session", "relay", "coil", "contacts", "motor", "fan")
OUTSIDE_LANES = ("sync", "network", "hub")
"""What stands between a node and its hub, in the full stack."""
SHOWN_US = 30_000_000
"""So much of a life is shown before its violation; of a shrunk plan everything from its first happening on."""
SHRUNK_MAX = 20
"""Happenings that fit a picture from the first on."""
BEFORE_US = 1_000_000
CLOSE_US = 1_000_000
"""What is drawn close up."""
STEPS_US = (
    100_000,
    200_000,
    500_000,
    *(s * 1_000_000 for s in (1, 2, 5, 10, 20, 30, 60, 120, 300)),
)
MARKS = 9
"""Marks of time on the wide part, at most."""
WORDS_MAX = 40
WIDTH, LEFT, RIGHT, TOP, LANE, LINE = 1_200, 90, 30, 62, 26, 16
CLOSE_WIDTH = 380
BEYOND = 14
"""What is on when the picture ends is drawn so far beyond: it may have begun in that very instant."""
STAGGER = 4
"""Numbers of what happened at nearly one moment stand below one another."""
BLUE, RED, GREY = "#1f6feb", "#b3261e", "#666"

Scale = Callable[[int], float]
Span = tuple[int, int | None]
"""From when until when; None: it goes on."""


def timeline(
    plan: Plan,
    witness: Witness,
    violation: Violation | None,
    told: Sequence[tuple[int, str]],
) -> str:
    """The picture; `told` is what happened, oldest first, in words."""
    end_us = witness.now_us if violation is None else violation.at_us
    begin_us = _begin_us(plan, end_us)
    known = {name for _, name, _ in witness.lanes}
    lanes = LANES + tuple(one for one in OUTSIDE_LANES if one in known)
    x = _scale(begin_us, end_us)
    words = [one for one in told if one[0] >= begin_us][-WORDS_MAX:]
    bottom = TOP + LANE * len(lanes)
    height = bottom + LINE * (STAGGER + 1 + len(words)) + 10
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="18" font-weight="bold">{escape(str(violation or "no violation"))}</text>',
        *_close_up(x(max(begin_us, end_us - CLOSE_US)), bottom),
        *_times(begin_us, end_us, x, bottom),
    ]
    for row, name in enumerate(lanes):
        parts += _lane(name, TOP + LANE * row, _spans(witness, name, begin_us, end_us), x)
    parts += _happened(words, x, bottom)
    if violation is not None:
        parts.append(_upright(x(end_us), TOP - 4, bottom, RED, 2))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _begin_us(plan: Plan, end_us: int) -> int:
    if not plan.happenings or len(plan.happenings) > SHRUNK_MAX:
        return max(0, end_us - SHOWN_US)
    first_us = min(one.at_ms for one in plan.happenings) * 1_000 - BEFORE_US
    return max(0, min(end_us - 2 * CLOSE_US, first_us))


def _scale(begin_us: int, end_us: int) -> Scale:
    """Where an instant lies; the last second is stretched."""
    close_us = max(begin_us, end_us - CLOSE_US)
    wide = WIDTH - LEFT - RIGHT - CLOSE_WIDTH

    def x(at_us: int) -> float:
        at_us = min(end_us, max(begin_us, at_us))
        if at_us <= close_us:
            return LEFT + wide * (at_us - begin_us) / max(1, close_us - begin_us)
        return LEFT + wide + CLOSE_WIDTH * (at_us - close_us) / max(1, end_us - close_us)

    return x


def _close_up(from_x: float, bottom: int) -> Iterator[str]:
    yield (
        f'<rect x="{from_x:.1f}" y="{TOP - 4}" width="{WIDTH - RIGHT - from_x:.1f}" '
        f'height="{bottom - TOP + 4}" fill="#f3f3f3"/>'
    )
    yield f'<text x="{from_x + 4:.1f}" y="34" fill="{GREY}">the last second</text>'


def _times(begin_us: int, end_us: int, x: Scale, bottom: int) -> Iterator[str]:
    close_us = max(begin_us, end_us - CLOSE_US)
    wide_us = close_us - begin_us
    step_us = next((one for one in STEPS_US if wide_us <= MARKS * one), STEPS_US[-1])
    marks = [at for at in range(0, close_us - step_us // 2, step_us) if at >= begin_us]
    near = range(close_us // STEPS_US[1] * STEPS_US[1] + STEPS_US[1], end_us, STEPS_US[1])
    for at_us in (*marks, *near):
        yield _upright(x(at_us), TOP - 4, bottom, "#ccc", 1)
        yield (
            f'<text x="{x(at_us):.1f}" y="{TOP - 10}" fill="{GREY}" text-anchor="middle">'
            f"{at_us / 1e6:g} s</text>"
        )


def _lane(name: str, y: int, spans: list[Span], x: Scale) -> Iterator[str]:
    yield f'<text x="8" y="{y + 15}">{name}</text>'
    yield (f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y + 18}" y2="{y + 18}" stroke="#999"/>')
    for since_us, until_us in spans:
        until_x = WIDTH - RIGHT + BEYOND if until_us is None else x(until_us)
        width = max(2.0, until_x - x(since_us))
        yield (
            f'<rect x="{x(since_us):.1f}" y="{y + 4}" width="{width:.1f}" height="14" fill="{BLUE}"/>'
        )


def _happened(words: Sequence[tuple[int, str]], x: Scale, bottom: int) -> Iterator[str]:
    numbered = list(enumerate(words, 1))
    moments = [list(one) for _, one in groupby(numbered, lambda one: one[1][0])]
    for row, together in enumerate(moments):
        (first, (at_us, _)), (last, _) = together[0], together[-1]
        level = bottom + 14 + 13 * (row % STAGGER)
        label = f"{first}" if first == last else f"{first}–{last}"
        yield _upright(x(at_us), TOP - 4, level - 10, RED, 0.5)
        yield (
            f'<text x="{x(at_us):.1f}" y="{level}" fill="{RED}" text-anchor="middle">{label}</text>'
        )
    for number, (at_us, what) in numbered:
        y = bottom + LINE * (STAGGER + number)
        yield f'<text x="28" y="{y}" fill="{RED}" text-anchor="end">{number}</text>'
        yield f'<text x="40" y="{y}">{at_us / 1e6:.3f} s  {escape(what)}</text>'


def _upright(x: float, top: int, bottom: int, colour: str, width: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )


def _spans(witness: Witness, name: str, begin_us: int, end_us: int) -> list[Span]:
    """When the lane was on, as far as the picture goes."""
    spans: list[Span] = []
    since_us: int | None = None
    for at, lane, on in witness.lanes:
        if lane != name or at > end_us:
            continue
        if on and since_us is None:
            since_us = at
        elif not on and since_us is not None:
            spans.append((since_us, at))
            since_us = None
    if since_us is not None:
        spans.append((since_us, None))
    return [(since, until) for since, until in spans if until is None or until >= begin_us]
