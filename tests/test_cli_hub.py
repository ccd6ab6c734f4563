"""`interlock hub …` on a real hub's folder: what it prints, what it leaves behind, its exit codes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.sim.lab import sample_lab
from tests.test_cli import shell

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def hub() -> Iterator[Path]:
    """A hub with the sample lab; made by another process, since Django works on one hub only."""
    import multiprocessing

    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        path = Path(folder) / "hub"
        maker = multiprocessing.get_context("spawn").Process(target=sample_lab, args=(path,))
        maker.start()
        maker.join()
        assert maker.exitcode == 0
        yield path


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        yield Path(path)


def test_a_hub_is_made_once_and_prints_only_the_owners_link(folder: Path) -> None:
    made = shell("hub", "init", "--dir", str(folder / "hub"), "--url", "http://hub.lab:1234")
    assert made.returncode == 0
    assert made.stdout.startswith("http://hub.lab:1234/welcome/")
    assert made.stdout.count("\n") == 1
    again = shell("hub", "init", "--dir", str(folder / "hub"))
    assert again.returncode == 3
    assert again.stdout == ""


def test_adding_a_node_prints_two_files_that_only_their_owner_reads(
    hub: Path, folder: Path
) -> None:
    at = ("--dir", str(hub), "--out", str(folder), "--url", "http://127.0.0.1:1")
    done = shell("hub", "add-node", "saw", *at)
    assert done.returncode == 0
    keys, access = (Path(line) for line in done.stdout.splitlines())
    assert read_node_keys(keys).node == read_hub_access(access).node == "saw"
    assert read_hub_access(access).hub_url == "http://127.0.0.1:1"
    assert [path.stat().st_mode & 0o777 for path in (keys, access)] == [0o600, 0o600]


def test_a_node_for_no_machine_names_the_machines_there_are(hub: Path, folder: Path) -> None:
    done = shell("hub", "add-node", "lathe", "--dir", str(hub), "--out", str(folder))
    assert done.returncode == 3
    assert "laser" in done.stderr


def test_an_import_with_a_bad_line_imports_nothing_and_names_the_line(
    hub: Path, folder: Path
) -> None:
    list_ = folder / "members.csv"
    list_.write_text("name;email;group\nAda;ada@lab.fr;standard\nBob;not an address;standard\n")
    refused = shell("hub", "import", str(list_), "--dir", str(hub))
    assert refused.returncode == 1
    assert "line 3" in refused.stderr
    assert refused.stdout == "0 of 2 members imported\n"
    taken = shell("hub", "import", str(list_), "--dir", str(hub), "--partial")
    assert taken.returncode == 1
    assert taken.stdout == "1 of 2 members imported\n"


def test_the_export_goes_to_stdout_unless_a_file_is_named(hub: Path, folder: Path) -> None:
    printed = shell("hub", "export", "sessions", "--dir", str(hub))
    assert printed.returncode == 0
    written = shell(
        "hub", "export", "sessions", "--dir", str(hub), "--out", str(folder / "sessions.csv")
    )
    assert written.stdout == ""
    assert (folder / "sessions.csv").read_text("utf-8").count(";") > 10
    assert printed.stdout.count(";") == (folder / "sessions.csv").read_text("utf-8").count(";")


def test_a_date_that_is_none_is_a_wrong_command_line(hub: Path) -> None:
    assert shell("hub", "export", "sessions", "--dir", str(hub), "--since", "soon").returncode == 2
