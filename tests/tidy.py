"""The house rules a compiler would enforce: the source of a file goes in, its breaches come out.

The table of rooms is the one of 1-architecture.md ("Import rules"). Every rule reads the syntax
tree, so an import hidden in a function or behind `importlib.import_module` counts like any other.
`test_tidy.py` runs the rules over the repository, and plants a breach of each to see it caught.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parent.parent

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

# The standard library without I/O, clock or randomness.
PURE_STDLIB = frozenset(
    """__future__ abc base64 binascii bisect collections copy dataclasses datetime decimal enum
    fractions functools hashlib heapq hmac itertools json math numbers operator re string struct
    textwrap types typing unicodedata zlib""".split()
)
# What could open a network socket, or drags in something that could. `socket` itself is needed
# for AF_UNIX and has a rule of its own (NETWORK_NAMES).
NETWORK_MODULES = frozenset(
    """aiohttp asyncio django ftplib http httpx imaplib poplib requests smtplib ssl telnetlib urllib
    urllib3 uvicorn xmlrpc""".split()
)
NETWORK_NAMES = frozenset(
    """AF_INET AF_INET6 AF_PACKET create_connection create_server getaddrinfo gethostbyname
    TCPServer UDPServer HTTPServer""".split()
)
HARDWARE = frozenset(
    "PIL RPi evdev gpiozero lgpio luma mfrc522 serial smartcard smbus smbus2 spidev".split()
)
# Slow to import: only where the schema is worked on, never on the path of a badge.
LAZY_ON_THE_PI = HARDWARE | {"sqlite_utils"}


@dataclass(frozen=True)
class Room:
    """What the files of one folder (or one top-level module) may import."""

    inside: frozenset[str]
    outside: frozenset[str] = frozenset()
    only_pure: bool = False
    no_network: bool = False
    everything: bool = False


def _room(inside: str = "", outside: str = "", **flags: bool) -> Room:
    return Room(frozenset(inside.split()), frozenset(outside.split()), **flags)


_NODE_OUTSIDE = " ".join(sorted(LAZY_ON_THE_PI)) + " click cryptography"
_HUB_OUTSIDE = (
    "argon2 asgiref click cryptography django fpdf ninja openpyxl psycopg pydantic segno sqlite_utils uvicorn "
    "whitenoise xlsxwriter icalendar recurring_ical_events pyotp prometheus_client"
)

# Own files are always allowed; a name stands for everything below it.
ROOMS: dict[str, Room] = {
    "__init__": _room(only_pure=True),
    "errors": _room(only_pure=True),
    "clock": _room("errors", no_network=True),
    "findings": _room(only_pure=True),
    "config": _room("core protocol errors", no_network=True),
    "core": _room(only_pure=True),
    "protocol": _room("core.model errors", "cryptography", only_pure=True),
    "cards": _room("core.model errors", "cryptography", only_pure=True),
    "readers": _room("core protocol cards config clock errors", _NODE_OUTSIDE, no_network=True),
    "node": _room(
        "core protocol cards readers config clock errors findings", _NODE_OUTSIDE, no_network=True
    ),
    "sync": _room("core.model protocol config clock errors", "click requests urllib3"),
    "hub": _room("clock core protocol config errors findings", _HUB_OUTSIDE),
    "desk": _room(
        "core.model protocol cards readers config clock errors", "click cryptography requests"
    ),
    "sim": _room(everything=True),
    "cli": _room(everything=True),
    "__main__": _room(everything=True),
}

TIME_OWNER = "interlock/clock.py"
BANNED_CALLS = {
    "datetime.datetime.now": "take a Clock and use clock.wall_ms()",
    "datetime.datetime.today": "take a Clock and use clock.wall_ms()",
    "datetime.datetime.utcnow": "take a Clock and use clock.wall_ms()",
    "datetime.date.today": "take a Clock and the lab's time zone",
    "os.system": "use subprocess.run with a list",
    "eval": "parse what is expected, never run it",
    "exec": "parse what is expected, never run it",
}
BANNED_MODULES = {
    "unittest.mock": "use a real part, or a fake that passes the contract test of the real one",
    "pickle": "use canonical JSON: pickle runs what it reads",
}
BANNED_TIME = {
    "time.time": "take a Clock and use clock.wall_ms()",
    "time.sleep": "take a Clock and use clock.sleep(), or tests.waiting.wait_until",
}
EMPTY_NAMES = frozenset(
    "data handler handlers helper helpers info manager managers misc util utils".split()
)


@dataclass(frozen=True)
class Import:
    """One imported module: its full dotted name, and when it happens.

    `at_import`: importing the file imports it. `for_types`: it never happens, only mypy reads it.
    """

    name: str
    line: int
    at_import: bool
    for_types: bool


@dataclass
class Source:
    """One parsed file; `path` is relative to the repository, with slashes."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    imports: list[Import] = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text, self.path)
        self.imports = list(_imports(self.tree, at_import=True))

    @property
    def module(self) -> str:
        """The dotted name: interlock/core/model.py is interlock.core.model."""
        parts = list(PurePosixPath(self.path).with_suffix("").parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

    @property
    def in_package(self) -> bool:
        """True for what is shipped, false for the tests."""
        return self.path.startswith("interlock/")

    @property
    def room(self) -> str:
        """The folder below interlock/, or the name of a module that stands directly in it."""
        return PurePosixPath(self.path).with_suffix("").parts[1]

    def breach(self, line: int, text: str) -> str:
        """A breach as `path:line: text`, the way editors jump to it."""
        return f"{self.path}:{line}: {text}"


def breaches(sources: Iterable[Source]) -> list[str]:
    """Every breach of every rule in `sources`, taken as one repository."""
    everything = list(sources)
    found = [text for source in everything for rule in FILE_RULES for text in rule(source)]
    return found + list(hardware_is_driven_from_one_lazy_file(everything))


def repository_sources() -> list[Source]:
    """The package and its tests as they stand; generated migrations are not ours to shape."""
    paths = [*REPOSITORY.glob("interlock/**/*.py"), *REPOSITORY.glob("tests/**/*.py")]
    return [
        Source(path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(paths)
        if "migrations" not in path.parts
    ]


# ------------------------------------------------------------------------------- rules of one file


def rooms_import_only_what_they_may(source: Source) -> Iterator[str]:
    """The table of 1-architecture.md, for the package; tests may import everything."""
    if not source.in_package:
        return
    room = ROOMS.get(source.room)
    if room is None:
        yield source.breach(1, f"{source.room!r} is no room of the house: add it to tests/tidy.py")
        return
    for imported in source.imports:
        reason = _forbidden(source.room, room, imported.name)
        if reason:
            yield source.breach(imported.line, f"{source.room} may not import {reason}")


def only_cli_and_tests_import_sim(source: Source) -> Iterator[str]:
    """Product code that knows the virtual world could be made to pretend."""
    if not source.in_package or source.room in ("cli", "sim"):
        return
    for imported in source.imports:
        if _is_below(imported.name, "interlock.sim"):
            yield source.breach(imported.line, "nobody imports sim but cli and tests")


def the_node_names_no_network(source: Source) -> Iterator[str]:
    """AF_UNIX is the only address family on the machine's process."""
    if not source.in_package or not ROOMS.get(source.room, Room(frozenset())).no_network:
        return
    for node in ast.walk(source.tree):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        if name in NETWORK_NAMES:
            yield source.breach(_line(node), f"{name}: {source.room} opens AF_UNIX sockets only")
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name in NETWORK_NAMES:
                    yield source.breach(node.lineno, f"{alias.name}: AF_UNIX sockets only")


def files_and_functions_stay_small(source: Source) -> Iterator[str]:
    """A file that cannot be read in one sitting is two files."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield source.breach(1, f"{lines} lines, at most {FILE_LINES_MAX}: split the file")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                text = f"{node.name}() has {length} lines, at most {FUNCTION_LINES_MAX}"
                yield source.breach(node.lineno, text)


def modules_open_with_one_line_that_says_what_flows(source: Source) -> Iterator[str]:
    """The first line of the docstring is a sentence; an empty file has nothing to say."""
    if not source.text.strip():
        return
    first = (ast.get_docstring(source.tree) or "").split("\n", 1)[0].strip()
    if len(first.split()) < 3:
        yield source.breach(1, "the module's first line must say what flows in and out")


def nothing_banned_is_called(source: Source) -> Iterator[str]:
    """Clocks, mocks and pickles: each has one replacement, named in the message."""
    banned = dict(BANNED_CALLS)
    if source.path != TIME_OWNER:
        banned |= BANNED_TIME
    aliases = _aliases(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _resolved(node, aliases)
            if name in banned:
                yield source.breach(node.lineno, f"{name}: {banned[name]}")
    for imported in source.imports:
        for module, remedy in BANNED_MODULES.items():
            if _is_below(imported.name, module):
                yield source.breach(imported.line, f"{module}: {remedy}")


def only_the_clock_imports_time(source: Source) -> Iterator[str]:
    """Whoever imports `time` does not take a Clock, and cannot run under virtual time."""
    if not source.in_package or source.path == TIME_OWNER:
        return
    for imported in source.imports:
        if _is_below(imported.name, "time"):
            text = f"only {TIME_OWNER} imports time: take a Clock, or perf_us() to measure"
            yield source.breach(imported.line, text)


def only_the_command_line_prints(source: Source) -> Iterator[str]:
    """Results go to stdout through the command line; talk goes through logging."""
    if not source.in_package or source.room == "cli":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            yield source.breach(node.lineno, "print() outside cli: return it, or log it")


def names_say_something(source: Source) -> Iterator[str]:
    """A file called utils collects what nobody thought about."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        words = set(part.split("_"))
        if source.in_package and words & EMPTY_NAMES:
            yield source.breach(1, f"{part!r} names nothing: say what the file is about")


def dynamic_imports_can_be_read(source: Source) -> Iterator[str]:
    """An import whose name is computed escapes every rule above, so only the cli may have one."""
    if not source.in_package or source.room in ("cli", "sim"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _is_dynamic_import(node) and not _literal(node):
            yield source.breach(node.lineno, "an import whose name is computed cannot be checked")


FILE_RULES = (
    rooms_import_only_what_they_may,
    only_cli_and_tests_import_sim,
    the_node_names_no_network,
    files_and_functions_stay_small,
    modules_open_with_one_line_that_says_what_flows,
    nothing_banned_is_called,
    only_the_clock_imports_time,
    only_the_command_line_prints,
    names_say_something,
    dynamic_imports_can_be_read,
)

# -------------------------------------------------------------------------- rules across the files


def hardware_is_driven_from_one_lazy_file(sources: Iterable[Source]) -> Iterator[str]:
    """Each hardware library has one file, and the package imports without any of them.

    Lazily means: inside a function, or at the top of a file that nobody imports at its own top.
    Naming a type for mypy drives nothing. The simulator stands for the hardware: it is free.
    """
    package = [s for s in sources if s.in_package and s.room not in ("sim", "cli")]
    eager = {i.name for s in package for i in s.imports if i.at_import}
    drivers: dict[str, str] = {}
    for source in package:
        for imported in source.imports:
            library = imported.name.split(".")[0]
            if library in LAZY_ON_THE_PI and imported.at_import and source.room != "hub":
                importers = {name for name in eager if _is_below(name, source.module)}
                if importers:
                    text = f"{library} at the top of a file that others import at their top"
                    yield source.breach(imported.line, text)
            if imported.for_types or library not in HARDWARE:
                continue
            if drivers.setdefault(library, source.path) != source.path:
                text = f"{library} already has its file, {drivers[library]}"
                yield source.breach(imported.line, text)


# ---------------------------------------------------------------------------- reading the tree


def _imports(node: ast.AST, at_import: bool, for_types: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in _imported_names(child):
            yield Import(name, _line(child), at_import, for_types)
        runs_now = not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from _imports(child, at_import and runs_now and not guarded, for_types or guarded)


def _imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        # `from a import b` may name a module or a thing inside one; the longer name serves both.
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _is_dynamic_import(node) and _literal(node):
        yield _literal(node)


def _forbidden(room_name: str, room: Room, name: str) -> str:
    """Why `room` may not import `name`, or nothing."""
    if name.startswith("."):
        return f"{name}: write the absolute name"
    top = name.split(".")[0]
    if top == "interlock":
        target = name.removeprefix("interlock").lstrip(".")
        allowed = {room_name, "__version__"} | room.inside
        if room.everything or any(_is_below(target, one) for one in allowed):
            return ""
        return f"{name} (allowed: {', '.join(sorted(allowed)) or 'nothing'})"
    if room.no_network and top in NETWORK_MODULES:
        return f"{top}: it can reach a network"
    if top in sys.stdlib_module_names:
        return f"{top}: it is not pure" if room.only_pure and top not in PURE_STDLIB else ""
    if room.everything or top in room.outside:
        return ""
    return f"{top}: not a dependency of this room"


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name → full dotted name, for every import of the file."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _resolved(node: ast.Attribute | ast.Name, aliases: dict[str, str]) -> str:
    parts: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        parts.append(current.attr)
        current = current.value
    if not isinstance(current, ast.Name):
        return ""
    return ".".join([aliases.get(current.id, current.id), *reversed(parts)])


def _is_dynamic_import(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("import_module", "__import__")


def _literal(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    return ""


def _is_below(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 1)
