"""install.sh hub and the address that people type: chosen by whoever installs, refused in words, written and said.

The functions of systemd/install/ run in a real bash, at a real terminal where one is asked; hub.toml is what
`interlock hub init` writes. The whole is in tests/nspawn.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.hub.directory import HubConfig, check_config, read_config
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.real

SCRIPT = """
set -Eeuo pipefail
ROOT={repository} TARGET='' EXIT_USAGE=2 UI_LANGUAGE={language} UNATTENDED=no DRY_RUN=no PUBLIC_URL='{url}'
say() {{ printf '%s\\n' "$*"; }}
complain() {{ printf '%s\\n' "$*" >&2; }}
t() {{ if [[ $UI_LANGUAGE == fr ]]; then printf '%s' "$2"; else printf '%s' "$1"; fi; }}
hostname() {{ if [[ ${{1:-}} == -I ]]; then echo '192.168.7.8 fe80::1'; else echo Atelier; fi; }}
source "$ROOT/systemd/install/system.sh"
source "$ROOT/systemd/install/release.sh"
source "$ROOT/systemd/install/commands.sh"
HUB_DIR={folder} AVAHI={folder}/avahi-daemon
choose_public_url
echo "chosen: $HUB_URL"
"""


def choose(
    folder: Path, url: str = "", answers: str | None = None, language: str = "en"
) -> subprocess.CompletedProcess[str]:
    """What `install.sh hub` settles on; `answers` are typed at a terminal, None: there is none."""
    script = SCRIPT.format(repository=REPOSITORY, folder=folder, url=url, language=language)
    hands, terminal = pty.openpty()
    try:
        if answers is not None:
            os.write(hands, answers.encode())
        return subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL if answers is None else terminal,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(hands)
        os.close(terminal)


GOOD = {
    "http://hub.lab.example:8080": "http://hub.lab.example:8080",
    "https://Hub.Lab.example/": "https://hub.lab.example",
    "fablab": "http://fablab:8080",
    "192.168.1.10:9000": "http://192.168.1.10:9000",
    "http://[fd00::1]:8080": "http://[fd00::1]:8080",
}


@pytest.mark.parametrize("url", GOOD)
def test_an_address_is_taken_completed_and_one_that_the_hub_accepts(
    tmp_path: Path, url: str
) -> None:
    chosen = choose(tmp_path, url)
    assert (chosen.stdout, chosen.stderr) == (f"chosen: {GOOD[url]}\n", "")
    check_config(HubConfig("Lab", url=GOOD[url]), where="hub.toml")


@pytest.mark.parametrize(
    "url",
    ["ftp://hub", "http://", "http://hub/lab", "http://a b", "hub:0", "hub:65536", "http://me@hub", "-x", 'a"b'],
)  # fmt: skip
def test_what_is_no_address_is_refused_before_anything_is_installed(
    tmp_path: Path, url: str
) -> None:
    refused = choose(tmp_path, url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"'{url}'" in refused.stderr
    assert "write one like http://" in refused.stderr or "from 1 to 65535" in refused.stderr


def test_without_a_terminal_it_is_this_computer_s_name_and_nobody_is_asked(tmp_path: Path) -> None:
    assert choose(tmp_path).stdout == "chosen: http://atelier:8080\n"
    (tmp_path / "avahi-daemon").touch(mode=0o755)
    assert choose(tmp_path).stdout == "chosen: http://atelier.local:8080\n"


def test_at_a_terminal_it_is_asked_until_it_is_one(tmp_path: Path) -> None:
    asked = choose(tmp_path, answers="mon hub\nhub.labo.example\n", language="fr")
    assert asked.stdout.count("Adresse [http://atelier:8080] ") == 2
    assert "Que tape-t-on pour ouvrir le hub" in asked.stdout
    assert "« mon hub » n'est pas une adresse" in asked.stderr
    assert asked.stdout.endswith("chosen: http://hub.labo.example:8080\n")
    kept = choose(tmp_path, answers="\n")
    assert kept.stdout.endswith("chosen: http://atelier:8080\n")


def test_a_hub_that_is_there_keeps_its_own_and_says_where_it_is_changed(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(HubConfig("Lab", url="https://hub.lab.example").to_toml())
    assert choose(tmp_path, answers="").stdout == "chosen: https://hub.lab.example\n"
    other = choose(tmp_path, "http://other:8080")
    assert other.stdout == "chosen: https://hub.lab.example\n"
    assert f"change url in {tmp_path}/hub.toml" in other.stderr
    (tmp_path / "hub.toml").write_text(HubConfig("Lab").to_toml())
    assert choose(tmp_path).stdout == "chosen: http://192.168.7.8:8080\n"


def test_the_hub_is_made_with_that_address_and_its_link_begins_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    done = subprocess.run(
        [sys.executable, "-m", "interlock", "hub", "init", "--dir", folder, "--url", "http://fablab:8080"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://fablab:8080/")
    config = read_config(folder / "hub.toml")
    assert config.url == "http://fablab:8080"
    assert "fablab" in config.names()
