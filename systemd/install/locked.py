"""requirements.lock and the names of extras go in, the lines of it that those need come out: `pip install
--require-hashes --no-deps -r` them, and nothing else is installed.

    python3 systemd/install/locked.py sync readers >needed.txt
    python3 systemd/install/locked.py --alone build >builder.txt    (without what Interlock itself needs)

Runs before anything of ours is installed, under Debian's own Python: standard library only. What needs what is in the
lock itself, in its comments `# via`.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

Lock = dict[str, tuple[str, set[str]]]
"""Name to its lines in the lock, and to the names of those that asked for it."""


def main(words: list[str]) -> None:
    """What the command line runs. Exits with a sentence when an extra is unknown or not locked."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [word for word in words if word != "--alone"]
    if len(extras) < len(words):
        project["dependencies"] = []
    lock = read((ROOT / "requirements.lock").read_text("utf-8"))
    try:
        sys.stdout.write("".join(lock[name][0] for name in needed(project, lock, extras)))
    except KeyError as error:
        sys.exit(f"requirements.lock or pyproject.toml does not have {error}. Is {ROOT} whole?")


def needed(project: dict[str, object], lock: Lock, extras: list[str]) -> list[str]:
    """The libraries that the project with those extras comes to, in the order of their names. Raises KeyError."""
    optional = project.get("optional-dependencies", {})
    assert isinstance(optional, dict)
    base = project.get("dependencies", [])
    assert isinstance(base, list)
    roots = {_name(line) for line in [*base, *(line for one in extras for line in optional[one])]}
    waiting, found = list(roots), set[str]()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [name for name, (_, askers) in lock.items() if one in askers]
    missing = found - set(lock)
    if missing:
        raise KeyError(min(missing))
    return sorted(found)


def read(text: str) -> Lock:
    """A lock as `uv pip compile --generate-hashes` writes it."""
    found = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]:
        comments = [line.strip(" #") for line in block.splitlines() if line.lstrip()[:1] == "#"]
        lines = "".join(f"{line}\n" for line in block.splitlines() if line.lstrip()[:1] != "#")
        askers = {_name(word) for word in " ".join(comments).removeprefix("via").split()}
        found[_name(block)] = (lines, askers)
    return found


def _name(line: str) -> str:
    """The library's name at the beginning of a requirement, as PyPI compares it."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


if __name__ == "__main__":
    main(sys.argv[1:])
