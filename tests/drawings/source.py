"""A drawing's TOML file in, its parts, circuits and notes out; anything misspelt is an error.

Circuits are written the way an electrician reads them, from left to right:

    24V S0:11-12 [ KA1:13-14 KA2:13-14 | S9:13-14 ] [ KM1:A1-A2 | V1:K-A ] 0V

A word without a colon is a net with a name (a rail, a pin of the Pi). `PART:a-b` is what lies between
two terminals of a part. Brackets hold branches side by side. Terminal numbers mean what EN 50005 says
they mean: ..1-..2 is normally closed, ..3-..4 normally open, A1-A2 a coil.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.drawings.text import LANGUAGES
from tests.tidy import REPOSITORY

SOURCES: Final = REPOSITORY / "docs" / "wiring"
COMMON: Final = SOURCES / "common.toml"
"""Parts that several drawings use, in the same words."""


class SourceError(ValueError):
    """The text of a drawing does not make sense; says which words."""


@dataclass(frozen=True)
class Part:
    """One thing to buy or to find at the machine.

    `words` has per language what stands in the drawing and, after it, what only the legend says. `wires`
    are terminals tied to a named net, `keys` the keys of the node's file that such a terminal belongs to.
    """

    id: str
    kind: str
    words: Mapping[str, tuple[str, str]]
    wires: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    hold_ms: tuple[int, int] | None = None
    class_ii: bool = False

    def label(self, language: str) -> str:
        """The few words beside the symbol."""
        return self.words[language][0]

    def legend(self, language: str) -> str:
        """What the legend says."""
        return ", ".join(words for words in self.words[language] if words)


@dataclass(frozen=True)
class Element:
    """What lies between terminals `a` and `b` of `part`."""

    part: str
    a: str
    b: str


@dataclass(frozen=True)
class Series:
    """One after the other."""

    items: tuple[Element | Parallel, ...]


@dataclass(frozen=True)
class Parallel:
    """Side by side, between the same two nets."""

    branches: tuple[Series, ...]


@dataclass(frozen=True)
class Rung:
    """A circuit from net or terminal `left` to net or terminal `right`; `key` as in the node's file, `words` where the
    part's own label says too little.
    """

    left: str
    body: Series
    right: str
    key: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One level of the power circuit: `does` says what, `parts` to whom, `over` through which fuse."""

    does: str
    parts: tuple[str, ...]
    over: str | None = None
    on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Everything that one sheet shows."""

    name: str
    config: Path
    adds: Mapping[str, Any]
    complete: bool
    title: Mapping[str, str]
    mains: Mapping[str, str]
    parts: Mapping[str, Part]
    conductors: tuple[str, ...]
    stages: tuple[Stage, ...]
    machine: tuple[str, ...]
    feed: Rung | None
    ladder: tuple[Rung, ...]
    inputs: tuple[Rung, ...]
    outputs: tuple[Rung, ...]
    shunts: tuple[Rung, ...]
    modules: tuple[str, ...]
    modules_left: tuple[str, ...]
    notes: Mapping[str, tuple[str, ...]]

    def part(self, name: str) -> Part:
        """The part of that name. Raises SourceError."""
        if name not in self.parts:
            raise SourceError(f"{self.name}: {name!r} is wired but stands in no [parts]")
        return self.parts[name]


KINDS: Final = frozenset(
    """inlet isolator breaker contactor emergency_stop key push_button stop_button switch nvr
    limit_switch flow_switch fire_contact clamp screen current_switch relay sense_relay fuse diode snubber resistor opto
    monostable supply converter motor fan laser socket reader lamp buzzer pi terminals""".split()
)

# --------------------------------------------------------------------------------- public functions


def load(path: Path) -> Drawing:
    """The drawing that `path` describes. Raises SourceError."""
    return parse(path.stem, path.read_text(encoding="utf-8"))


def all_drawings() -> list[Drawing]:
    """Every drawing of docs/wiring, by name."""
    return [load(path) for path in sorted(SOURCES.glob("*.toml")) if path != COMMON]


def parse(name: str, text: str) -> Drawing:
    """The drawing called `name` that `text` describes. Raises SourceError."""
    document = tomllib.loads(text)
    known = (set(Drawing.__annotations__) | {"use"}) - {"name"}
    if unknown := set(document) - known:
        raise SourceError(f"{name}: unknown {', '.join(sorted(unknown))}")
    return Drawing(
        name=name,
        config=REPOSITORY / document["config"],
        adds=document.get("adds", {}),
        complete=document.get("complete", True),
        title=_in_both(name, document["title"]),
        mains=_in_both(name, document["mains"]),
        parts={key: _part(name, key, table) for key, table in _tables(name, document).items()},
        conductors=tuple(document["conductors"].split()),
        stages=tuple(_stage(name, words.split()) for words in document["stages"]),
        machine=tuple(document.get("machine", "").split()),
        feed=rung(document["feed"]) if "feed" in document else None,
        ladder=tuple(rung(words) for words in document["ladder"]),
        inputs=_keyed(document["inputs"]),
        outputs=_keyed(document["outputs"]),
        shunts=tuple(rung(words) for words in document.get("shunts", ())),
        modules=tuple(document["modules"].split()),
        modules_left=tuple(document.get("modules_left", "").split()),
        notes={key: tuple(lines) for key, lines in _in_both(name, document["notes"]).items()},
    )


def rung(words: str, key: str = "", label: Mapping[str, str] | None = None) -> Rung:
    """The circuit that `words` write out. Raises SourceError."""
    tokens = re.sub(r"([\[\]|])", r" \1 ", words).split()
    if len(tokens) < 2:
        raise SourceError(f"{words!r}: a circuit has two ends")
    body, rest = _series(tokens[1:-1])
    if rest:
        raise SourceError(f"{words!r}: {rest[0]!r} is one too many")
    return Rung(tokens[0], body, tokens[-1], key, label or {})


# -------------------------------------------------------------------------------------------- parts


def _series(tokens: list[str]) -> tuple[Series, list[str]]:
    items: list[Element | Parallel] = []
    while tokens and tokens[0] not in "|]":
        word, tokens = tokens[0], tokens[1:]
        if word == "[":
            branches, tokens = _branches(tokens)
            items.append(Parallel(tuple(branches)))
        else:
            items.append(_element(word))
    return Series(tuple(items)), tokens


def _branches(tokens: list[str]) -> tuple[list[Series], list[str]]:
    branches = []
    while True:
        branch, tokens = _series(tokens)
        branches.append(branch)
        if not tokens:
            raise SourceError("a bracket is not closed")
        end, tokens = tokens[0], tokens[1:]
        if end == "]":
            return branches, tokens


def _element(word: str) -> Element:
    match = re.fullmatch(r"(\w+):(\w+)-(\w+)", word)
    if match is None:
        raise SourceError(f"{word!r} is not PART:terminal-terminal")
    return Element(*match.groups())


def _stage(name: str, words: list[str]) -> Stage:
    does, *rest = words
    if does not in {"inlet", "poles", "ring", "load", "tap", "fan"}:
        raise SourceError(f"{name}: no stage {does!r}")
    over: str | None = None
    on: tuple[str, ...] = ()
    if "on" in rest:
        place = rest.index("on")
        rest, on = rest[:place], tuple(rest[place + 1 :])
    if "by" in rest:
        place = rest.index("by")
        rest, over = rest[:place], rest[place + 1]
    return Stage(does, tuple(rest), over, on)


def _keyed(tables: Iterable[Mapping[str, str]]) -> tuple[Rung, ...]:
    return tuple(
        rung(table["wire"], table["key"], {k: table[k] for k in LANGUAGES if k in table})
        for table in tables
    )


def _tables(name: str, document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The common parts that the drawing uses, then its own; an own one may not repeat a common one."""
    common = tomllib.loads(COMMON.read_text(encoding="utf-8"))
    tables: dict[str, Mapping[str, Any]] = {}
    for key in document.get("use", "").split():
        if key not in common:
            raise SourceError(f"{name}: {key} stands not in {COMMON.name}")
        tables[key] = common[key]
    own: dict[str, Mapping[str, Any]] = document.get("parts", {})
    if twice := tables.keys() & own.keys():
        raise SourceError(f"{name}: {', '.join(sorted(twice))} is there twice")
    return tables | own


def _part(name: str, key: str, table: Mapping[str, Any]) -> Part:
    if table["kind"] not in KINDS:
        raise SourceError(f"{name}: {key} is a {table['kind']!r}, which is none of the kinds")
    hold = table.get("hold_ms")
    words = {}
    for language, text in _in_both(f"{name}: {key}", {k: table[k] for k in LANGUAGES}).items():
        label, _, more = text.partition("|")
        words[language] = (label.strip(), more.strip())
    return Part(
        id=key,
        kind=table["kind"],
        words=words,
        wires=dict(table.get("wires", {})),
        keys=dict(table.get("keys", {})),
        hold_ms=None if hold is None else (hold[0], hold[1]),
        class_ii=table.get("class_ii", False),
    )


def _in_both(name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
    if set(table) != set(LANGUAGES) or not all(table.values()):
        raise SourceError(f"{name}: must be said in {' and '.join(LANGUAGES)}")
    return table
