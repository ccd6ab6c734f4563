"""The command line: arguments in, results on stdout, talk on stderr, exit code 0, 1, 2 or 3.

    0 done · 1 something failed · 2 wrong command line · 3 wrong configuration

The composition root: each command imports what it needs when it runs, so that `interlock node run`
loads neither Django nor requests on a Pi.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from interlock import __version__
from interlock.errors import ConfigError, InterlockError

if TYPE_CHECKING:
    from interlock.sync.node_link import NodeClient

EXIT_FAULT, EXIT_CONFIGURATION = 1, 3

NODE_CONFIG = Path("/etc/interlock/node.toml")
NODE_KEYS = Path("/etc/interlock/node.json")
HUB_DIRECTORY = Path("/var/lib/interlock-hub")

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
"""journald adds time, host and process by itself."""


def main() -> None:
    """What the shell runs."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line; every InterlockError is one line on stderr."""
    try:
        code = interlock.main(list(arguments), prog_name="interlock", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return EXIT_FAULT
    except ConfigError as error:
        click.echo(f"Configuration: {_one_line(error)}", err=True)
        return EXIT_CONFIGURATION
    except InterlockError as error:
        click.echo(f"Error: {_one_line(error)}", err=True)
        return EXIT_FAULT
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT
    return code if isinstance(code, int) else 0


def _one_line(error: InterlockError) -> str:
    return " ".join(str(error).split())


class _Command(click.Command):
    """A command whose help ends with the examples of its docstring, as they were written."""

    def format_help_text(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        text, _, examples = (self.help or "").partition("Example:")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(" ".join(text.split()))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text("Example:")
            with formatter.indentation():
                for line in examples.strip().splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


class _Group(click.Group):
    """Groups of groups and of commands with examples."""

    command_class = _Command
    group_class = type


@click.group(cls=_Group, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="interlock")
def interlock() -> None:
    """Access control and metering for the machines of a fab lab."""


@interlock.group()
def node() -> None:
    """The process at the machine, and what it says of itself."""


@interlock.group()
def sync() -> None:
    """The network process beside a node."""


@interlock.group()
def hub() -> None:
    """The lab's hub: members, trainings, usage, prices."""


@interlock.group()
def journal() -> None:
    """What a node recorded."""


@interlock.group()
def sim() -> None:
    """The virtual world: everything but the hardware is real."""


_file = click.Path(path_type=Path, dir_okay=False)
_folder = click.Path(path_type=Path, file_okay=False)
_config = click.option(
    "--config", type=_file, default=NODE_CONFIG, show_default=True, help="The node's TOML file."
)
_hub_dir = click.option(
    "--dir",
    "directory",
    type=_folder,
    default=HUB_DIRECTORY,
    show_default=True,
    help="The hub's folder.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_hub_url = click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The address people and nodes reach the hub by.",
)
_port = click.IntRange(0, 65_535)
_day = click.DateTime(["%Y-%m-%d"])
_socket = click.option(
    "--socket", "socket_path", type=_file, help="The control socket of a running node."
)


@interlock.command()
@click.option("--keep", is_flag=True, help="Continue the lab of the last demo.")
@click.option("--port", type=_port, default=8000, show_default=True, help="0: any free one.")
@click.option("--dir", "directory", type=_folder, help="Where the lab is kept.")
def demo(keep: bool, port: int, directory: Path | None) -> None:
    """A whole lab on this computer: a hub, three machines and their front panels. Ctrl-C ends it.

    Example: interlock demo --keep
    """
    from interlock.sim.demo import run_demo

    run_demo(directory=directory, port=port, keep=keep, say=_talk, show=click.echo)


@node.command("run")
@_config
def node_run(config: Path) -> int:
    """Run the machine's process until SIGTERM.

    Example: interlock node run --config /etc/interlock/node.toml
    """
    from interlock.config import load_node
    from interlock.node.service import run_node

    return run_node(load_node(config))


@node.command("check-config")
@_config
def node_check_config(config: Path) -> None:
    """Check a node's TOML file and say what it means.

    Example: interlock node check-config --config node.toml
    """
    from interlock.config import digest, load_node, warnings

    loaded = load_node(config)
    for warning in warnings(loaded):
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"{config}: good. Machine {loaded.machine.name}, digest {digest(loaded)[:16]}")


@node.command("status")
@_config
@_socket
@_json
def node_status(config: Path, socket_path: Path | None, as_json: bool) -> None:
    """What a running node says of itself.

    Example: interlock node status --json
    """
    from interlock.protocol.control import Op

    answer = _node_at(socket_path, config).ask(Op.STATUS)
    del answer["v"], answer["ok"]
    _print(answer, as_json)


@sync.command("run")
@_config
def sync_run(config: Path) -> int:
    """Carry records to the hub and rights to the node until SIGTERM.

    Example: interlock sync run --config /etc/interlock/node.toml
    """
    _log()
    from random import SystemRandom

    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.sync.service import run_sync, settings_of

    return run_sync(settings_of(load_node(config)), SystemClock(), SystemRandom())


@hub.command("init")
@_hub_dir
@click.option("--name", default="Fab lab", show_default=True, help="What people call the lab.")
@click.option("--time-zone", default="Europe/Paris", show_default=True)
@click.option("--language", type=click.Choice(["en", "fr"]), default="fr", show_default=True)
@_hub_url
def hub_init(directory: Path, name: str, time_zone: str, language: str, url: str) -> None:
    """Make a hub: keys, database, lab. Prints a link that makes you its owner, once.

    Example: interlock hub init --dir /var/lib/interlock-hub --name "Le Labo"
    """
    from interlock.hub import commands
    from interlock.hub.directory import HubConfig

    _talk(f"Making a hub in {directory} …")
    commands.init(directory, HubConfig(name, time_zone, language))
    click.echo(commands.first_owner_link(directory, url))
    _talk(f"Start it (interlock hub run --dir {directory}), then open this link within a day.")


@hub.command("run")
@_hub_dir
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option("--port", type=_port, default=8080, show_default=True, help="0: any free one.")
def hub_run(directory: Path, host: str, port: int) -> None:
    """Serve the hub until SIGTERM and print its address.

    Example: interlock hub run --dir /var/lib/interlock-hub --port 8080
    """
    _log()
    from interlock.hub import commands

    commands.run(
        directory, host=host, port=port, on_ready=lambda address: click.echo(f"hub: {address}")
    )


@hub.command("add-node")
@click.argument("machine")
@_hub_dir
@click.option("--out", type=_folder, required=True, help="Where the two secret files go.")
@_hub_url
def hub_add_node(machine: str, directory: Path, out: Path, url: str) -> None:
    """Enrol a node for MACHINE (its id) and print the paths of its two secret files.

    Example: interlock hub add-node table-saw --out /media/usb
    """
    from interlock.hub import commands

    for path in commands.add_node(directory, machine, out, url):
        click.echo(path)


@hub.command("import")
@click.argument("file", type=_file)
@_hub_dir
@click.option("--partial", is_flag=True, help="Take the good lines although others are bad.")
def hub_import(file: Path, directory: Path, partial: bool) -> int:
    """Add the members in FILE, a CSV as Excel or LibreOffice writes it: all of them or none.

    Example: interlock hub import members.csv --partial
    """
    from interlock.hub import commands

    with _progress("Importing") as progress:
        imported = commands.import_members(directory, file, partial=partial, progress=progress)
    for line in imported.bad:
        _talk(f"{file}, line {line.number}: {line.reason}")
    click.echo(f"{imported.created} of {imported.total} members imported")
    if imported.bad and not partial:
        _talk("Nothing was imported. Correct the lines above, or take the others with --partial.")
    return EXIT_FAULT if imported.bad else 0


@hub.group("export")
def hub_export() -> None:
    """Data for spreadsheets."""


@hub_export.command("sessions")
@_hub_dir
@click.option("--out", type=_file, help="The CSV file; stdout unless given.")
@click.option("--since", type=_day, help="First day, YYYY-MM-DD.")
@click.option("--until", type=_day, help="Last day, YYYY-MM-DD.")
@click.option("--decimal-comma", is_flag=True, help="12,50 instead of 12.50.")
def hub_export_sessions(
    directory: Path,
    out: Path | None,
    since: datetime | None,
    until: datetime | None,
    decimal_comma: bool,
) -> None:
    """Every ended session with its seconds and its price, as CSV.

    Example: interlock hub export sessions --since 2026-01-01 --out sessions.csv
    """
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.exporting import Filter

    wanted = Filter(since.date() if since else None, until.date() if until else None, decimal_comma)
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        target = out or Path(folder) / "sessions.csv"
        count = commands.export_sessions(directory, target, wanted)
        if out is None:
            sys.stdout.buffer.write(target.read_bytes())
    _talk(f"{count} sessions")


@journal.command("show")
@click.argument("export", type=_file, required=False)
@_socket
@click.option("--json", "as_json", is_flag=True, help="Print the records themselves: an EXPORT.")
def journal_show(export: Path | None, socket_path: Path | None, as_json: bool) -> None:
    """The records of EXPORT, or of the live node at --socket, one line each.

    Example: interlock journal show export.jsonl
    interlock journal show --socket control.sock --json > export.jsonl
    """
    from interlock.node.export import show_export

    with _records(export, socket_path) as path:
        if as_json:
            sys.stdout.buffer.write(path.read_bytes())
            return
        for line in show_export(path):
            click.echo(line)


@journal.command("verify")
@click.argument("export", type=_file, required=False)
@_socket
@click.option(
    "--keys", type=_file, default=NODE_KEYS, show_default=True, help="The node's NODE.node.json."
)
@_json
def journal_verify(export: Path | None, socket_path: Path | None, keys: Path, as_json: bool) -> int:
    """Whether no record of EXPORT, or of the live node, was altered, moved or left out.

    Example: interlock journal verify export.jsonl --keys saw.node.json
    """
    from interlock.config.secret_files import read_node_keys
    from interlock.node.export import verify_export

    with _records(export, socket_path) as path:
        verdict = verify_export(path, read_node_keys(keys).chain_key)
    for broken in verdict.breaks:
        _talk(str(broken))
    head = verdict.head
    answer = {
        "whole": verdict.is_whole,
        "records": verdict.count,
        "erased": verdict.erased,
        "breaks": verdict.break_count,
        "declared_lost": list(verdict.declared),
        "head": f"{head.epoch}.{head.seq}" if head else None,
        "hash": head.hash.hex() if head else None,
    }
    _print(answer, as_json)
    return 0 if verdict.is_whole else EXIT_FAULT


@contextlib.contextmanager
def _records(export: Path | None, socket_path: Path | None) -> Iterator[Path]:
    """The export that was named, or a fresh one of the live node."""
    if (export is None) == (socket_path is None):
        raise click.UsageError("Name an EXPORT, or a live node with --socket.")
    if export is not None:
        yield export
        return
    from interlock.node.export import write_export

    node = _node_at(socket_path, NODE_CONFIG)
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        path = Path(folder) / "export.jsonl"
        with path.open("wb") as target, _progress("Reading the journal") as progress:
            write_export(node.journal(progress), target)
        yield path


@sim.command("world")
@_config
@click.option("--dir", "directory", type=_folder, required=True, help="Where its sockets appear.")
@click.option(
    "--strict-gpiod/--no-strict-gpiod",
    default=True,
    show_default=True,
    help="What the kernel does with the pins of a process that dies.",
)
def sim_world(config: Path, directory: Path, strict_gpiod: bool) -> None:
    """Be the surroundings of one node: reader chip, pins, contactor, motor and mains.

    Example: interlock sim world --config node.toml --dir /tmp/saw
    """
    _log()
    from interlock.config import load_node
    from interlock.sim.world_process import run_world

    run_world(load_node(config), directory, strict_gpiod=strict_gpiod)


@sim.command("node")
@_config
@click.option("--world", type=_folder, required=True, help="The folder of its world's sockets.")
def sim_node(config: Path, world: Path) -> int:
    """Be the real node process of a virtual Pi: other pins, reader bus and clock, nothing else.

    Example: interlock sim node --config node.toml --world /tmp/saw
    """
    from interlock.config import load_node
    from interlock.sim.node import run_simulated_node

    return run_simulated_node(load_node(config), world)


def _talk(text: str) -> None:
    click.echo(text, err=True)


@contextlib.contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, moved by (done, total); silent where nobody watches."""
    with click.progressbar(
        length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def move(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield move


def _node_at(socket_path: Path | None, config: Path) -> NodeClient:
    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.sync.node_link import NodeClient

    return NodeClient(socket_path or load_node(config).paths.socket, SystemClock())


def _print(values: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False, indent=2))
        return
    for name, value in _flat(values):
        click.echo(f"{name:24} {'-' if value is None else value}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            rows.append((prefix + name, text if text != "" else None))
    return rows


def _log() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
