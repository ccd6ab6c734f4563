"""The command line as the shell sees it: exit codes, what goes to stdout, what to stderr, and help."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from interlock import cli
from interlock.errors import ConfigError, LinkError
from interlock.protocol import control
from tests.sync import servers
from tests.sync.test_node_link import answering

pytestmark = pytest.mark.real

NO_CONFIG = ("--config", "/nonexistent/node.toml")


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands(cli.interlock))


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        yield Path(path)


def shell(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interlock", *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        **options,
    )


def test_the_commands_are_those_of_the_issue() -> None:
    assert set(ALL) >= {
        ("demo",),
        ("node", "run"),
        ("node", "check-config"),
        ("node", "status"),
        ("sim", "node"),
        ("sim", "world"),
        ("sync", "run"),
        ("hub", "init"),
        ("hub", "run"),
        ("hub", "add-node"),
        ("hub", "import"),
        ("hub", "export", "sessions"),
        ("journal", "show"),
        ("journal", "verify"),
    }


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_help_has_an_example_that_begins_with_its_own_command(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    example = shown.partition("Example:")[2].strip().splitlines()[0]
    assert example.startswith(f"interlock {' '.join(path)}")
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_option_is_long(path: tuple[str, ...]) -> None:
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert all(name.startswith("--") for name in parameter.opts)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("node", "nonsense"),
        ("node", "run", "--nonsense"),
        ("hub", "run", "--port", "x"),
        ("sim", "world"),
        (),
    ],
)
def test_a_wrong_command_line_is_exit_code_two(arguments: tuple[str, ...]) -> None:
    assert cli.run(list(arguments)) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("node", "run", *NO_CONFIG),
        ("node", "check-config", *NO_CONFIG),
        ("sync", "run", *NO_CONFIG),
        ("sim", "node", *NO_CONFIG, "--world", "/nonexistent"),
        ("hub", "run", "--dir", "/nonexistent"),
        ("hub", "add-node", "saw", "--dir", "/nonexistent", "--out", "/nonexistent"),
    ],
)
def test_a_missing_configuration_is_exit_code_three_and_one_line(
    arguments: tuple[str, ...],
) -> None:
    done = shell(*arguments)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "/nonexistent" in done.stderr


def test_a_fault_is_exit_code_one_and_one_line_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["node", "status", "--socket", "/nonexistent/control.sock"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "interlock node run" in shown.err


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("no", where="a.b"), 3), (LinkError("no\nreally"), 1)]
)
def test_an_error_is_never_more_than_one_line(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli.interlock, "main", fail)
    assert cli.run([]) == code
    assert capsys.readouterr().err.count("\n") == 1


def test_a_programming_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.interlock, "main", fail)
    with pytest.raises(ZeroDivisionError):
        cli.run([])


LOADED = """
import sys
from interlock import cli
code = cli.run(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True
    )
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == "3"
    return set(modules)


def test_a_node_loads_neither_the_hubs_nor_the_networks_libraries() -> None:
    modules = loaded_by("node", "run", *NO_CONFIG)
    assert "interlock" in modules
    assert not modules & {"django", "requests", "urllib3", "uvicorn", "ninja", "sqlite_utils"}


def test_sync_loads_requests_and_nothing_of_hub_or_hardware() -> None:
    modules = loaded_by("sync", "run", *NO_CONFIG)
    assert "requests" in modules
    assert not modules & {"django", "gpiozero", "spidev", "uvicorn"}


NODE_TOML = """
[machine]
name = "Saw"
badge_use = "hold"
restart_protection = "no_volt_release"
[relay]
pin = 17
"""


def test_a_good_file_is_called_good_and_its_warnings_go_to_stderr(folder: Path) -> None:
    (folder / "node.toml").write_text(NODE_TOML)
    done = shell("node", "check-config", "--config", str(folder / "node.toml"))
    assert done.returncode == 0
    assert "good. Machine Saw" in done.stdout
    assert "Warning: no inputs.stop_button" in done.stderr


def test_a_bad_file_names_the_key(folder: Path) -> None:
    (folder / "node.toml").write_text(NODE_TOML.replace("pin = 17", "pin = 2"))
    done = shell("node", "check-config", "--config", str(folder / "node.toml"))
    assert done.returncode == 3
    assert "relay.pin" in done.stderr
    assert done.stdout == ""


STATUS = {"machine": "Saw", "relay_on": False, "faults": [], "cache": {"version": [1, 4]}}


def status_of(folder: Path, *options: str) -> str:
    line = json.dumps(control.answer(**STATUS)).encode() + b"\n"
    with servers.unix_server(folder / "control.sock", answering(line)) as path:
        done = shell("node", "status", "--socket", str(path), *options)
    assert done.returncode == 0
    return done.stdout


def test_status_as_json_is_the_nodes_answer(folder: Path) -> None:
    assert json.loads(status_of(folder, "--json")) == STATUS


def test_status_for_people_is_one_fact_a_line(folder: Path) -> None:
    lines = [line.split(maxsplit=1) for line in status_of(folder).splitlines()]
    assert lines == [
        ["machine", "Saw"],
        ["relay_on", "False"],
        ["faults", "-"],
        ["cache.version", "1, 4"],
    ]


def test_output_that_nobody_reads_to_its_end_is_no_traceback(folder: Path) -> None:
    many = dict.fromkeys((f"fact-{n}" for n in range(1_400)), "x" * 30)
    line = json.dumps(control.answer(**many)).encode() + b"\n"
    with servers.unix_server(folder / "control.sock", answering(line)) as path:
        process = subprocess.Popen(
            [sys.executable, "-m", "interlock", "node", "status", "--socket", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(6) == b"fact-0"
            process.stdout.close()
            assert process.stderr.read() == b""
