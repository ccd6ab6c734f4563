"""config/hub.example.toml against the code: every key, its default, its bounds, and a reason beside it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from interlock.errors import ConfigError
from interlock.hub.directory import (
    _KNOWN,
    KEPT_MAX,
    NAME_LENGTH_MAX,
    PORT_MAX,
    HubConfig,
    read_config,
)
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

EXAMPLE = REPOSITORY / "config" / "hub.example.toml"
BOUNDS = {
    "name": f"1-{NAME_LENGTH_MAX} ",
    "port": f"1-{PORT_MAX};",
    "daily": f"1-{KEPT_MAX};",
    "weekly": f"0-{KEPT_MAX};",
}


def test_the_example_can_be_run_and_is_all_defaults() -> None:
    assert read_config(EXAMPLE) == HubConfig("Fab lab")


def test_the_example_names_every_key_and_no_other() -> None:
    given = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert {table: tuple(keys) for table, keys in given.items()} == _KNOWN


def test_each_key_has_its_bounds_and_a_reason_on_its_line() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for table in _KNOWN.values():
        for key in table:
            (line,) = (one for one in lines if one.startswith(f"{key} = "))
            _, _, comment = line.partition("#")
            assert len(comment.split()) >= 4, key
            assert BOUNDS.get(key, "") in f"{comment} ", key


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("port = 8443", "port = 0"),
        ("port = 8443", f"port = {PORT_MAX + 1}"),
        ("daily = 7", "daily = 0"),
        ("daily = 7", f"daily = {KEPT_MAX + 1}"),
        ("weekly = 4", "weekly = -1"),
        ('name = "Fab lab"', 'name = ""'),
        ('name = "Fab lab"', f'name = "{"x" * (NAME_LENGTH_MAX + 1)}"'),
        ('language = "fr"', 'language = "de"'),
    ],
)
def test_the_bounds_it_states_are_those_of_the_code(tmp_path: Path, line: str, wrong: str) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count(line) == 1
    changed = tmp_path / "hub.toml"
    changed.write_text(text.replace(line, wrong), encoding="utf-8")
    with pytest.raises(ConfigError):
        read_config(changed)
