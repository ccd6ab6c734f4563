"""A drawing and a language in, what to buy and which terminals to join out, as Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.drawings.netlist import netlist
from tests.drawings.source import Drawing

HEADS = {
    "en": (("Part", "What it is"), ("Wire", "Joins")),
    "fr": (("Repère", "Désignation"), ("Fil", "Relie")),
}
MARK = re.compile(r"(<!-- (parts|wires): ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a page wants a list: everything between the two comments is ours."""


def filled(page: str, drawings: dict[str, Drawing], language: str) -> str:
    """`page` with every list between its comments made new."""

    def made(match: re.Match[str]) -> str:
        head, which, name, end = match.groups()
        lines = (parts_table if which == "parts" else wires_table)(drawings[name], language)
        return "\n".join((head.rstrip("\n"), *lines, end))

    return MARK.sub(made, page)


def parts_table(drawing: Drawing, language: str) -> Iterator[str]:
    """Every part of the drawing with its whole description."""
    yield from _head(HEADS[language][0])
    for name in sorted(drawing.parts, key=_natural):
        yield f"| **{name}** | {drawing.parts[name].legend(language)} |"
    yield ""


def wires_table(drawing: Drawing, language: str) -> Iterator[str]:
    """Every net, numbered where it has no name, with all its terminals."""
    yield from _head(HEADS[language][1])
    nets = netlist(drawing).terminals
    number = 0
    for net in sorted(nets, key=_order):
        name = _SPOKEN.get(net, net)
        if not re.fullmatch(r"GPIO\d+|L\d?|N|PE", net) and net not in _SPOKEN:
            number += 1
            name = str(number)
        joined = " · ".join(sorted(nets[net], key=_natural))
        yield f"| {name} | {joined} |"
    yield ""


_SPOKEN = {"24V": "24 V", "0V": "0 V", "5V": "5 V", "3V3": "3.3 V"}
_RANKS = (r"L\d?|N|PE", r"(L\d?|N)[/~].*", r"24V|0V|5V|3V3", r"GPIO\d+", r".*")


def _order(net: str) -> tuple[int, tuple[str, int, str]]:
    rank = next(i for i, pattern in enumerate(_RANKS) if re.fullmatch(pattern, net))
    return rank, _natural(net)


def _natural(name: str) -> tuple[str, int, str]:
    """KA2 before KA10, S0:11 before S0:21."""
    match = re.fullmatch(r"(\D*)(\d*).*", name)
    assert match is not None
    return match[1], int(match[2] or 0), name


def _head(words: tuple[str, str]) -> Iterator[str]:
    yield ""
    yield f"| {words[0]} | {words[1]} |"
    yield "|---|---|"
