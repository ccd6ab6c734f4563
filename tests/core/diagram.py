"""The transition table to docs/machine-states.md: `python -m tests.core.diagram` writes it anew."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from interlock.core.outcomes import ignore
from interlock.core.states import State
from interlock.core.table import EVENTS, TABLE

PAGE = Path(__file__).parents[2] / "docs" / "machine-states.md"

HEAD = """# The machine's states

Generated from `interlock/core/table.py` by `python -m tests.core.diagram`; a test fails when it is out of date.
The relay is closed in ENABLED and ENDING and nowhere else. In UNMETERED the bypass key powers the machine past us.

"""


def page() -> str:
    """The whole page: a diagram (Mermaid) and the full table."""
    return HEAD + _diagram() + "\n" + _table()


def _diagram() -> str:
    edges = sorted(
        (at.name, to.name, event.__name__)
        for (at, event), rule in TABLE.items()
        for to in rule.to
        if to is not at
    )
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> LOCKED"]
    for (at, to), group in groupby(edges, key=lambda edge: edge[:2]):
        lines.append(f"    {at} --> {to}: {', '.join(event for _, _, event in group)}")
    return "\n".join([*lines, "```", ""])


def _table() -> str:
    lines = [
        "| event | " + " | ".join(state.name for state in State) + " |",
        "|---|" + "---|" * len(State),
    ]
    for event in EVENTS:
        cells = [_cell(state, event) for state in State]
        lines.append(f"| {event.__name__} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(state: State, event: type) -> str:
    rule = TABLE[state, event]
    if rule.follow is ignore:
        return "·"
    words = rule.follow.__name__.replace("_", " ")
    away = sorted(to.name for to in rule.to if to is not state)
    return words + (f" → {', '.join(away)}" if away else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
