"""How many persons stand behind each figure goes in; which figures must not be shown comes out.

Fewer than FEWEST persons are a group in which somebody can be recognised. Hiding one figure of a table
whose total is shown hides nothing: the difference tells it. So a second one is hidden with it (complementary
suppression), and a third, until what is missing stands for FEWEST persons at least and for two figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FEWEST = 5
"""What French public statistics ask for at least, and the CNIL with them."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """The keys that are not shown, and whether the total is not either."""

    keys: frozenset[str]
    total: bool


def hidden(persons: Mapping[str, int], in_all: int | None = None) -> Hidden:
    """What to hide of a table with `persons` behind each key, `in_all` behind the total (where one person
    is behind several keys, that is fewer than their sum). Nobody is no group: a nought is shown."""
    there = {key: number for key, number in persons.items() if number > 0}
    few = {key for key, number in there.items() if number < FEWEST}
    whole = sum(there.values()) if in_all is None else in_all
    if 0 < whole < FEWEST:
        return Hidden(frozenset(there), total=True)
    for key, _ in sorted(there.items(), key=lambda item: (item[1], item[0])):
        if not few or (len(few) > 1 and sum(there[one] for one in few) >= FEWEST):
            break
        few.add(key)
    # Nothing is left to hide it behind: the total would tell.
    bare = bool(few) and (len(few) < 2 or sum(there[one] for one in few) < FEWEST)
    return Hidden(frozenset(few), total=bare)
