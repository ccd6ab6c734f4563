"""`interlock journal …` over a live node and over its export: what is shown, and what is proved."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.config.secret_files import write_node_keys
from interlock.protocol.credentials import NodeKeys
from tests.sync import servers
from tests.sync.served import KeyedNode
from tests.test_cli import shell

pytestmark = pytest.mark.real

KEYS = NodeKeys("lab-1", "saw", 1, bytes(range(32)), bytes(32), bytes(32), b"d" * 32)
COUNT = 130
"""More than three pages of the model node."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        write_node_keys(Path(path) / "saw.node.json", KEYS)
        yield Path(path)


@pytest.fixture
def node() -> KeyedNode:
    node = KeyedNode(keys=KEYS)
    node.write(COUNT)
    return node


@pytest.fixture
def live(folder: Path, node: KeyedNode) -> Iterator[str]:
    with servers.unix_server(folder / "control.sock", node.serve) as path:
        yield str(path)


@pytest.fixture
def export(folder: Path, live: str) -> Path:
    done = shell("journal", "show", "--socket", live, "--json")
    assert done.returncode == 0
    path = folder / "export.jsonl"
    path.write_text(done.stdout, encoding="utf-8")
    return path


def verified(*arguments: str, folder: Path) -> tuple[int, dict[str, object], str]:
    keys = str(folder / "saw.node.json")
    done = shell("journal", "verify", *arguments, "--keys", keys, "--json")
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_live_node_shows_every_record_one_a_line(live: str) -> None:
    done = shell("journal", "show", "--socket", live)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"1.{n}" for n in range(1, COUNT + 1)]
    assert all("UNKNOWN_BADGE" in line for line in lines)


def test_an_export_shows_what_the_live_node_shows(live: str, export: Path) -> None:
    assert shell("journal", "show", str(export)).stdout == (
        shell("journal", "show", "--socket", live).stdout
    )


def test_an_untouched_export_and_its_node_prove_the_same_whole_chain(
    folder: Path, live: str, export: Path, node: KeyedNode
) -> None:
    code, verdict, _ = verified(str(export), folder=folder)
    assert (code, verdict["whole"], verdict["records"]) == (0, True, COUNT)
    assert verdict["hash"] == node.head.hash.hex()
    assert verified("--socket", live, folder=folder)[1] == verdict


def test_a_record_that_was_bent_or_taken_out_is_found_and_named(folder: Path, export: Path) -> None:
    lines = export.read_text("utf-8").splitlines(keepends=True)
    export.write_text("".join([*lines[:7], lines[7].replace('"count":1', '"count":2'), *lines[8:]]))
    code, verdict, said = verified(str(export), folder=folder)
    assert (code, verdict["whole"], verdict["breaks"]) == (1, False, 1)
    assert "record 1.8" in said
    export.write_text("".join(lines[:7] + lines[8:]))
    code, _, said = verified(str(export), folder=folder)
    assert code == 1
    assert "1.8" in said


def test_another_nodes_keys_prove_nothing(folder: Path, export: Path) -> None:
    other = NodeKeys("lab-1", "saw", 1, bytes(32), bytes(32), bytes(32), b"d" * 32)
    (folder / "saw.node.json").unlink()
    write_node_keys(folder / "saw.node.json", other)
    assert verified(str(export), folder=folder)[0] == 1


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_naming_no_export_or_two_sources_is_a_wrong_command_line(verb: str) -> None:
    assert shell("journal", verb).returncode == 2
    assert shell("journal", verb, "x.jsonl", "--socket", "y.sock").returncode == 2


def test_a_missing_export_is_a_fault_in_one_line() -> None:
    done = shell("journal", "show", "/nonexistent/export.jsonl")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
