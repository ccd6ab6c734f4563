"""Secret files: nobody else may read them, nothing overwrites them, and what is wrong is said."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from interlock.config.secret_files import (
    read_hub_access,
    read_node_keys,
    write_hub_access,
    write_node_keys,
)
from interlock.errors import ConfigError
from interlock.protocol.credentials import HubAccess, NodeKeys

pytestmark = pytest.mark.fast

KEYS = NodeKeys("lab", "saw", 1, b"c" * 32, b"b" * 32, b"h" * 32, b"d" * 32)
ACCESS = HubAccess("lab", "saw", "http://127.0.0.1:8000", "ab" * 16)


def test_both_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_node_keys(tmp_path / "node.json", KEYS)
    write_hub_access(tmp_path / "sync.json", ACCESS)
    assert read_node_keys(tmp_path / "node.json") == KEYS
    assert read_hub_access(tmp_path / "sync.json") == ACCESS


def test_a_written_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    write_node_keys(tmp_path / "node.json", KEYS)
    assert stat.S_IMODE((tmp_path / "node.json").stat().st_mode) == 0o600


def test_an_existing_secret_is_never_overwritten(tmp_path: Path) -> None:
    write_node_keys(tmp_path / "node.json", KEYS)
    before = (tmp_path / "node.json").read_bytes()
    with pytest.raises(ConfigError, match="remove the old file first"):
        write_node_keys(tmp_path / "node.json", KEYS)
    assert (tmp_path / "node.json").read_bytes() == before


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o644, 0o602])
def test_a_secret_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sync.json"
    write_hub_access(path, ACCESS)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        read_hub_access(path)


def test_the_mode_of_an_installed_pi_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "sync.json"
    write_hub_access(path, ACCESS)
    path.chmod(0o640)
    assert read_hub_access(path) == ACCESS


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"not json", b'{"v":2}', b"\xff", b"x" * 70_000]
)
def test_a_malformed_secret_says_where_and_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"node\.json.*add-node"):
        read_node_keys(path)


def test_a_missing_secret_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.json.*add-node"):
        read_node_keys(tmp_path / "node.json")
