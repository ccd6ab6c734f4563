"""Good messages go in, messages close to good ones come out: bytes bent, fields changed, lines moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from hypothesis import strategies as st

NASTY: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    10**400,
    1.5,
    "",
    " ",
    "é",
    "\x00",
    "\ud800",
    "x" * 65,
    "x" * 600,
    "0x10",
    "1",
    "²",
    "ab  ",
    "AB",
    "__proto__",
    "any",
    "en",
    "../../etc/passwd",
    "'; DROP TABLE entries; --",
    [],
    {},
    [[]],
    [None],
    [0, 0],
    [1, 7],
    [1, 2, 3],
    [[1, 2]] * 70,
    {"kind": "snapshot"},
    {"removed": "00" * 16},
)
"""What has broken parsers before: bounds, other types, hexadecimal with blanks, digits that are none, other scripts."""

DEEP = b"[" * 3_000 + b"]" * 3_000
PIECES = (
    b"\n",
    b"\r\n",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"-",
    b"1e9",
    b"9" * 50,
    b"9" * 5_000,
    b"0x" + b"f" * 5_000,
    b"null",
    b"true",
    b"NaN",
    b'"\\ud800"',
    b"\\u0000",
    b'"v":2,',
    DEEP,
)
SEEDED = st.integers(0, 2**32 - 1).map(Random)
"""Hypothesis draws where a bend begins; what follows is drawn from there, quickly."""


def bent_bytes(good: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of `good` with a few bytes flipped, cut off, repeated, or pieces of other things put in."""
    return st.builds(_bend_bytes, st.sampled_from(list(good)), SEEDED, st.integers(1, 4))


def bent_values(good: Sequence[Any]) -> st.SearchStrategy[Any]:
    """One of `good` (JSON values) with one to four of its parts changed, taken away, doubled or added."""
    return st.builds(_bend_value, st.sampled_from(list(good)), SEEDED, st.integers(1, 4))


def bent_lines(
    good: Sequence[bytes], spell: Callable[[Any], bytes] = lambda value: spelled(value)
) -> st.SearchStrategy[bytes]:
    """One of `good` (lines of JSON) with a value in one line changed, or lines moved, repeated, left out."""
    return st.builds(
        lambda content, draw, times: _bend_lines(content, draw, times, spell),
        st.sampled_from(list(good)),
        SEEDED,
        st.integers(1, 3),
    )


def spelled(value: Any) -> bytes:
    """JSON as our own code would spell it, also of what it would refuse to spell."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _bend_bytes(good: bytes, draw: Random, times: int) -> bytes:
    content = bytearray(good)
    for _ in range(times):
        place = draw.randrange(len(content) + 1)
        match draw.randrange(6):
            case 0 | 1 if place < len(content):
                content[place] ^= 1 << draw.randrange(8)
            case 2:
                del content[place:]
            case 3:
                content[place:place] = draw.choice(PIECES)
            case 4:
                until = min(len(content), place + draw.randrange(1, 40))
                content[place:place] = content[place:until]
            case _:
                del content[place : place + draw.randrange(1, 9)]
    return bytes(content)


def _bend_lines(content: bytes, draw: Random, times: int, spell: Callable[[Any], bytes]) -> bytes:
    lines = content.splitlines(keepends=True)
    for _ in range(times):
        place = draw.randrange(len(lines))
        match draw.randrange(6):
            case 0 if len(lines) > 1:
                del lines[place]
            case 1:
                lines.insert(draw.randrange(len(lines) + 1), lines[place])
            case _:
                try:
                    value = json.loads(lines[place])
                except ValueError:
                    continue
                lines[place] = spell(_bend_value(value, draw, 1)) + b"\n"
    return b"".join(lines)


def _bend_value(good: Any, draw: Random, times: int) -> Any:
    whole = json.loads(json.dumps({"whole": good}))
    for _ in range(times):
        places = list(_places(whole))
        inside, key = draw.choice(places)
        match draw.randrange(8):
            case 0 if inside is not whole:
                del inside[key]
            case 1 if isinstance(inside, list):
                inside.insert(key, inside[key])
            case 1 if inside is not whole:
                inside[draw.choice(("surplus", "", "kind", "v", "text"))] = deepcopy(
                    draw.choice(NASTY)
                )
            case 2:
                source, other = draw.choice(places)
                inside[key] = deepcopy(source[other]) if source is not whole else None
            case 3 if isinstance(inside[key], int) and not isinstance(inside[key], bool):
                inside[key] += draw.choice((-1, 1, 256, 2**40, -(2**40)))
            case 4 if isinstance(inside[key], str) and inside[key]:
                text = inside[key]
                at = draw.randrange(len(text))
                inside[key] = (
                    text[:at] + draw.choice(("", " ", "é", "0", "g", text)) + text[at + 1 :]
                )
            case _:
                inside[key] = deepcopy(draw.choice(NASTY))
    return whole["whole"]


def _places(value: Any) -> Any:
    """Every (container, key) inside `value`, outermost first."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])
