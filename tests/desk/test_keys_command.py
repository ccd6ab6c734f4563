"""`interlock desk keys …` and what the desk says in French, as typed at a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock import cli
from interlock.desk import paper, settings, site_keys

pytestmark = pytest.mark.real

SITE_ID = "my-lab.org"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "desk.toml"
    document = {"hub": {"url": "http://127.0.0.1:1"}, "cards": {"site_id": SITE_ID}}
    path.write_text(settings.to_toml(document))
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o600)
    return path


def typed(
    config: Path, *arguments: str, lines: str = "", language: str = "en"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interlock", "desk", *arguments, "--config", str(config)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "LANGUAGE": language},
    )


def held(config: Path) -> site_keys.SiteKeys:
    return site_keys.load(config.parent / "site-keys.json", SITE_ID)


def test_a_key_goes_from_the_desk_to_paper_and_from_paper_to_another_desk(config: Path) -> None:
    made = typed(config, "keys", "init")
    assert made.returncode == 0
    first = made.stdout.splitlines()[-1]
    assert paper.read(first) == (1, held(config).generations[1])
    assert held(config).generations[1].hex() not in made.stderr.lower()
    second = typed(config, "keys", "new").stdout.splitlines()[-1]
    keys = held(config)
    assert sorted(keys.generations) == [1, 2]

    slip = second[:5] + ("0" if second[5] != "0" else "1") + second[6:]
    checked = typed(config, "keys", "check", lines=f"{first}\n{slip}\n{second}\n")
    assert checked.returncode == 0
    assert "mistyped" in checked.stderr
    assert typed(config, "keys", "check", lines=f"{first}\n\n").returncode == 1

    (config.parent / "site-keys.json").unlink()
    restored = typed(config, "keys", "restore", lines=f"{second}\n{first}\n\n")
    assert restored.returncode == 0
    assert held(config) == keys
    assert typed(config, "keys", "restore", lines="\n").returncode == 1


def test_a_site_key_that_is_there_is_never_made_anew(config: Path) -> None:
    typed(config, "keys", "init")
    before = held(config)
    again = typed(config, "keys", "init")
    assert again.returncode == 3
    assert "exists already" in again.stderr
    assert held(config) == before


def test_another_labs_paper_is_refused(config: Path) -> None:
    typed(config, "keys", "init")
    before = held(config)
    other = paper.written(1, bytes(range(16)))
    assert typed(config, "keys", "restore", lines=f"{other}\n\n").returncode == 1
    assert held(config) == before


@pytest.mark.parametrize(
    ("language", "says"),
    [("en", "the hub does not answer"), ("fr", "le hub ne répond pas")],
)
def test_the_desk_speaks_the_language_of_who_sits_there(
    language: str, says: str, config: Path
) -> None:
    (config.parent / "old.csv").write_text("member;old_id\nAda;1\n")
    told = typed(config, "import-old", str(config.parent / "old.csv"), language=language)
    assert told.returncode == 1
    assert says in told.stderr


def test_without_a_site_key_no_card_is_touched(config: Path) -> None:
    told = typed(config, "personalise")
    assert told.returncode == 3
    assert "site-keys.json" in told.stderr


def test_a_desk_without_the_desfire_library_says_how_to_install_it(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "desfire", None)
    monkeypatch.delitem(sys.modules, "interlock.cli.desk_desfire", raising=False)
    assert cli.run(["desk", "personalise", "--config", str(config)]) == 3
    assert "pip install python-desfire" in capsys.readouterr().err
