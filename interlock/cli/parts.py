"""What every command shares: help with examples, options with one meaning, talk, progress and printing."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from interlock.sync.node_link import NodeClient

EXIT_FAULT, EXIT_CONFIGURATION = 1, 3

NODE_CONFIG = Path("/etc/interlock/node.toml")
NODE_KEYS = Path("/etc/interlock/node.json")
HUB_DIRECTORY = Path("/var/lib/interlock-hub")

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
"""journald adds time, host and process by itself."""


class Command(click.Command):
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


class Group(click.Group):
    """Groups of groups and of commands with examples."""

    command_class = Command
    group_class = type


FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
config_option = click.option(
    "--config", type=FILE, default=NODE_CONFIG, show_default=True, help="The node's TOML file."
)
hub_dir_option = click.option(
    "--dir",
    "directory",
    type=FOLDER,
    default=HUB_DIRECTORY,
    show_default=True,
    help="The hub's folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
hub_url_option = click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The address people and nodes reach the hub by.",
)
PORT = click.IntRange(0, 65_535)
DAY = click.DateTime(["%Y-%m-%d"])
socket_option = click.option(
    "--socket", "socket_path", type=FILE, help="The control socket of a running node."
)


def talk(text: str) -> None:
    """One sentence for the person at the terminal; never a result."""
    click.echo(text, err=True)


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, moved by (done, total); silent where nobody watches."""
    with click.progressbar(
        length=1, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def move(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield move


def node_at(socket_path: Path | None, config: Path) -> NodeClient:
    """A client of the node at `socket_path`, else of the one that `config` describes."""
    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.sync.node_link import NodeClient

    return NodeClient(socket_path or load_node(config).paths.socket, SystemClock())


def print_values(values: Mapping[str, Any], as_json: bool) -> None:
    """A result on stdout: JSON, or one aligned line for each value."""
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


def log() -> None:
    """Log lines go to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
