"""requirements.lock is whole and of today: everything that pyproject.toml asks for, at one version, with hashes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.release import lock_of

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("sync", "hub", "readers", "desk")


def locked() -> dict[str, tuple[Version, int]]:
    """Name to version and number of hashes."""
    found = lock_of((ROOT / "requirements.lock").read_text("utf-8"))
    return {name: (Version(version), len(hashes)) for (name, version), hashes in found.items()}


def asked() -> list[Requirement]:
    """What pyproject.toml asks for, of those extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in EXTRAS for line in extras[name])]
    return [Requirement(line) for line in lines]


def needed(roots: list[Requirement], *, here: bool) -> Iterator[str]:
    """Every package that follows from `roots`: what this computer needs, or what any might."""
    waiting, seen = list(roots), set()
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if (name, frozenset(one.extras)) in seen:
            continue
        seen.add((name, frozenset(one.extras)))
        yield name
        try:
            lines = requires(one.name) or []
        except PackageNotFoundError:
            continue  # for another kind of computer
        for next_one in map(Requirement, lines):
            wanted = [{"extra": extra} for extra in one.extras] or [{"extra": ""}]
            marker = next_one.marker
            is_extra = marker is not None and "extra" in str(marker)
            applies = marker is None or any(marker.evaluate(extra) for extra in wanted)
            if applies or (not here and not is_extra):
                waiting.append(next_one)


def test_every_line_is_one_version_with_its_hashes() -> None:
    assert len(locked()) >= 20
    assert [name for name, (_version, hashes) in locked().items() if not hashes] == []


def test_what_pyproject_asks_for_is_locked_at_a_version_that_it_allows() -> None:
    there = locked()
    wrong = [
        str(one)
        for one in asked()
        if canonicalize_name(one.name) not in there
        or not one.specifier.contains(there[canonicalize_name(one.name)][0])
    ]
    assert wrong == [], "make it anew: the head of requirements.lock says how"


def test_what_follows_from_it_is_locked_too_and_nothing_else_is() -> None:
    there = set(locked())
    assert set(needed(asked(), here=True)) - there == set()
    assert there - set(needed(asked(), here=False)) == set()
