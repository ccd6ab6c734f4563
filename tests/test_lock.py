"""requirements.lock is whole and of today: everything that pyproject.toml asks for, at one version, with hashes; and
what install.sh takes from it for a node, a hub and the demo is whole too."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.release import MFRC522, MFRC522_SHA256, lock_of

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parent.parent
_IMPORT = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
EXTRAS = ("sync", "hub", "readers", "desk", "build")


def locked() -> dict[str, tuple[Version, int]]:
    """Name to version and number of hashes."""
    found = lock_of((ROOT / "requirements.lock").read_text("utf-8"))
    return {name: (Version(version), len(hashes)) for (name, version), hashes in found.items()}


def asked(*words: str) -> list[Requirement]:
    """What pyproject.toml asks for, of those extras; of all when there is none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in words or EXTRAS for line in extras[name])]
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


FROM_DEBIAN = {"luma", "PIL", "smbus2", "mfrc522"}
"""On a Pi these come otherwise (pyproject.toml says how), and whoever imports them can do without."""


def imported() -> dict[str, str]:
    """Each word that a line of the program imports from, or that looks so, and one file with such a line."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "interlock").rglob("*.py")):
        for name in _IMPORT.findall(path.read_text("utf-8")):
            found.setdefault(name, str(path.relative_to(ROOT)))
    return found


def test_whatever_the_program_imports_is_installed_with_it() -> None:
    there, words, owners = set(locked()), imported(), packages_distributions()
    assert {"django", "requests", "gpiozero"} <= set(words) & set(owners)
    missing = {
        name: words[name]
        for name in set(words) & set(owners) - {"interlock", *FROM_DEBIAN}
        if not there & {canonicalize_name(owner) for owner in owners[name]}
    }
    assert missing == {}, "pyproject.toml and requirements.lock do not name it"


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


def taken(*words: str) -> str:
    """What install.sh would hand to pip."""
    done = subprocess.run(
        [sys.executable, ROOT / "systemd/install/locked.py", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [("sync", "readers"), ("hub",), ("sync", "hub", "build")],
    ids=["a node", "a hub", "the demo"],
)
def test_what_is_taken_from_it_is_all_that_this_needs_and_no_more(words: tuple[str, ...]) -> None:
    mine, whole = lock_of(taken(*words)), lock_of((ROOT / "requirements.lock").read_text("utf-8"))
    assert mine.items() <= whole.items(), "version or hashes were lost on the way"
    names, extras = {name for name, _version in mine}, asked(*words)
    assert set(needed(extras, here=True)) - names == set()
    assert names - set(needed(extras, here=False)) == set()


def test_a_node_gets_no_web_server_and_no_machine_a_builder() -> None:
    assert not {"django", "pytest", "hatchling"} & {name for name, _ in lock_of(taken("sync"))}
    builder = {name for name, _ in lock_of(taken("--alone", "build"))}
    assert "hatchling" in builder
    assert not {"cryptography", "click"} & builder


def test_the_one_library_beside_the_lock_has_the_same_hash_wherever_it_is_named() -> None:
    said = (ROOT / "install.sh").read_text("utf-8")
    assert f"\nMFRC522={MFRC522}\n" in said
    assert f"\nMFRC522_SHA256={MFRC522_SHA256}\n" in said
