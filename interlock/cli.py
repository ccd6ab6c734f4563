"""The command line: arguments in, results on stdout, talk on stderr, exit code 0, 1, 2 or 3.

    0 done · 1 something failed · 2 wrong command line · 3 wrong configuration

The composition root: each command imports what it needs when it runs, so that `interlock node run`
loads neither Django nor requests on a Pi.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from interlock import __version__
from interlock.errors import ConfigError, InterlockError

EXIT_FAULT, EXIT_CONFIGURATION = 1, 3

NODE_CONFIG = Path("/etc/interlock/node.toml")
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
_socket = click.option(
    "--socket", "socket_path", type=_file, help="The control socket of a running node."
)


# --------------------------------------------------------------------------------------------- demo


@interlock.command()
@click.option("--keep", is_flag=True, help="Continue the lab of the last demo.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True)
@click.option("--dir", "directory", type=_folder, help="Where the lab is kept.")
def demo(keep: bool, port: int, directory: Path | None) -> None:
    """A whole lab on this computer: a hub, three machines and their front panels. Ctrl-C ends it.

    Example: interlock demo --keep
    """
    from interlock.sim.demo import run_demo

    run_demo(directory=directory, port=port, keep=keep, say=click.echo)


# --------------------------------------------------------------------------------------------- node


@node.command("run")
@_config
def node_run(config: Path) -> int:
    """Run the machine's process until SIGTERM.

    Example: interlock node run --config /etc/interlock/node.toml
    """
    _log()
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


# --------------------------------------------------------------------------------------------- sync


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
    from interlock.protocol.credentials import read_hub_access
    from interlock.sync.service import SyncSettings, run_sync

    loaded = load_node(config)
    settings = SyncSettings(
        control_socket=loaded.paths.socket,
        spool=loaded.paths.spool_dir,
        access=read_hub_access(loaded.sync.credentials_file),
        retry_ms_max=loaded.sync.retry_s_max * 1_000,
    )
    return run_sync(settings, SystemClock(), SystemRandom())


# ---------------------------------------------------------------------------------------------- hub


@hub.command("run")
@_hub_dir
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True)
def hub_run(directory: Path, host: str, port: int) -> None:
    """Serve the hub until SIGTERM. Port 0 takes a free one; the address is printed.

    Example: interlock hub run --dir /var/lib/interlock-hub --port 8000
    """
    _log()
    from interlock.hub import commands

    commands.run(directory, host=host, port=port)


# ------------------------------------------------------------------------------------------ journal


# ---------------------------------------------------------------------------------------------- sim


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


# ------------------------------------------------------------------------------------------ shared


def _node_at(socket_path: Path | None, config: Path) -> Any:
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
