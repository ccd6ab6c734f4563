"""`interlock journal …`: what a node recorded, read, verified and decided again."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from interlock.cli.parts import (
    EXIT_FAULT,
    FILE,
    NODE_CONFIG,
    NODE_KEYS,
    Group,
    json_option,
    node_at,
    print_values,
    progress,
    socket_option,
    talk,
)


@click.group(cls=Group)
def journal() -> None:
    """What a node recorded."""


@journal.command("show")
@click.argument("export", type=FILE, required=False)
@socket_option
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
@click.argument("export", type=FILE, required=False)
@socket_option
@click.option(
    "--keys", type=FILE, default=NODE_KEYS, show_default=True, help="The node's NODE.node.json."
)
@json_option
def journal_verify(export: Path | None, socket_path: Path | None, keys: Path, as_json: bool) -> int:
    """Whether no record of EXPORT, of the live node, or of a stopped node's journal.db was altered, moved or left
    out.

    Example: interlock journal verify export.jsonl --keys saw.node.json
    interlock journal verify /var/lib/interlock/journal.db
    """
    from interlock.config.secret_files import read_node_keys
    from interlock.node.export import verify_export
    from interlock.node.journal_verifying import is_journal

    if export is not None and socket_path is None and is_journal(export):
        return _verify_file(export, keys, as_json)
    with _records(export, socket_path) as path:
        verdict = verify_export(path, read_node_keys(keys).chain_key)
    for broken in verdict.breaks:
        talk(str(broken))
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
    print_values(answer, as_json)
    return 0 if verdict.is_whole else EXIT_FAULT


def _verify_file(path: Path, keys: Path, as_json: bool) -> int:
    from interlock.config.secret_files import read_node_keys
    from interlock.node.journal_verifying import verify_journal

    with progress("Verifying") as move:
        found = verify_journal(path, read_node_keys(keys), move)
    for fault in found.faults:
        talk(fault)
    head = found.head
    answer = {
        "whole": found.is_whole,
        "records": found.records,
        "erased": found.erased,
        "breaks": len(found.faults),
        "epochs": found.epochs,
        "declared_lost": found.lost,
        "head": f"{head.epoch}.{head.seq}" if head else None,
        "hash": head.hash.hex() if head else None,
    }
    print_values(answer, as_json)
    return 0 if found.is_whole else EXIT_FAULT


@journal.command("replay")
@click.argument("export", type=FILE, required=False)
@socket_option
@json_option
def journal_replay(export: Path | None, socket_path: Path | None, as_json: bool) -> int:
    """Whether every decision in EXPORT, or of the live node, is made again from its evidence.

    Example: interlock journal replay export.jsonl
    """
    from interlock.node.replay import replay_export

    with _records(export, socket_path) as path:
        found = replay_export(path)
    for difference in found.differences:
        talk(str(difference))
    answer = {
        "agrees": f"{found.agreed} of {found.decided}",
        "first_difference": str(found.differences[0]) if found.differences else None,
        "without_evidence": found.skipped,
    }
    print_values(answer, as_json)
    return 0 if found.agreed == found.decided else EXIT_FAULT


@contextlib.contextmanager
def _records(export: Path | None, socket_path: Path | None) -> Iterator[Path]:
    """The export that was named, or a fresh one of the live node."""
    if (export is None) == (socket_path is None):
        raise click.UsageError("Name an EXPORT, or a live node with --socket.")
    if export is not None:
        yield export
        return
    from interlock.node.export import write_export

    node = node_at(socket_path, NODE_CONFIG)
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        path = Path(folder) / "export.jsonl"
        with path.open("wb") as target, progress("Reading the journal") as move:
            write_export(node.journal(move), target)
        yield path
