"""An SD card's first boot without hub, network, wiring or sense in its file: what the person reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.config import load_node
from interlock.errors import ConfigError
from interlock.protocol.enrolment import EnrolmentCode
from interlock.sync.card_file import read_card_file
from interlock.sync.first_boot import READY_FILES, RESULT_NAME, RETRY_S, Hands, Places, first_boot
from interlock.sync.first_boot_words import with_machine
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

CODE = EnrolmentCode("127.0.0.1", 1, bytes(32), bytes(16)).to_text()
"""Nobody listens at port 1."""


class TiredClock:
    """Nothing moves but by sleeping, and after three naps it is over."""

    boot_id = "b"

    def __init__(self) -> None:
        self.naps: list[float] = []

    def boot_ms(self) -> int:
        return 0

    def wall_ms(self) -> int:
        return 0

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if len(self.naps) == 3:
            raise KeyboardInterrupt


def places(folder: Path, card: str) -> Places:
    """A computer with that card and no configuration."""
    (folder / "etc").mkdir()
    (folder / "interlock.toml").write_text(card, encoding="utf-8")
    return Places(folder / "interlock.toml", folder / "etc/node.toml", REPOSITORY / "config")


def result(found: Places) -> str:
    return found.card.with_name(RESULT_NAME).read_text(encoding="utf-8")


def card(code: str = CODE, more: str = "") -> str:
    return f'[enrolment]\nmachine = "saw"\ncode = "{code}"\n{more}'


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("nonsense", "this is not TOML"),
        (card("IL1:NONSENSE"), "this is not an enrolment code"),
        (card(), "nobody has said which pins this machine has"),
        (card(more='[computer]\nprofile = "drill"\n'), "Write one of: saw, laser, printer"),
    ],
    ids=["no TOML", "no code", "no wiring", "an unknown profile"],
)
def test_a_card_that_cannot_serve_says_why_and_what_to_do_in_both_languages(
    tmp_path: Path, text: str, english: str
) -> None:
    found = places(tmp_path, text)
    assert first_boot(found, TiredClock(), Hands()) == 1
    said = result(found)
    assert english in said
    assert "Échec" in said
    assert said.index("À faire : ") < said.index("To do: ")
    assert not list((tmp_path / "etc").glob("*.json"))


def test_without_a_network_it_tries_for_ever_and_says_what_to_check(tmp_path: Path) -> None:
    profile = f'\n[paths]\nkeys_file = "{tmp_path}/etc/node.json"\nstate_dir = "{tmp_path}"\n'
    own = (REPOSITORY / "config/printer.toml").read_text() + profile
    found = places(tmp_path, card())
    (tmp_path / "node.toml").write_text(
        f'{own}\n[sync]\ncredentials_file = "{tmp_path}/etc/sync.json"\n'
    )
    clock = TiredClock()
    with pytest.raises(KeyboardInterrupt):
        first_boot(found, clock, Hands())
    assert clock.naps == [RETRY_S] * 3
    assert "réessaie sans fin" in result(found)
    assert "https://127.0.0.1:1" in result(found)
    assert 'code = "used"' not in found.card.read_text()
    assert not (tmp_path / "etc/node.json").exists()


@pytest.mark.parametrize("profile", sorted(READY_FILES))
def test_a_ready_machine_gets_the_card_s_name_and_language_and_can_be_run(
    tmp_path: Path, profile: str
) -> None:
    ready = (REPOSITORY / "config" / READY_FILES[profile]).read_text(encoding="utf-8")
    made = tmp_path / "node.toml"
    made.write_text(with_machine(ready, 'saw "2"\\', "fr"), encoding="utf-8")
    loaded = load_node(made)
    assert (loaded.machine.name, loaded.panel.language) == ("saw 2", "fr")


def test_a_card_says_which_machine_it_is_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "interlock.toml"
    path.write_text(card(more='[computer]\nprofile = "laser"\nlanguage = "fr"\n'))
    read = read_card_file(path)
    assert (read.machine, read.profile, read.language) == ("saw", "laser", "fr")
    assert read.hostname == ""
    path.write_text(card(more='[computer]\nhostname = "table-saw"\n'))
    assert read_card_file(path).hostname == "table-saw"
    for wrong in ('"-saw"', '"saw;reboot"', '"Saw"', '"saw-"', f'"{"s" * 64}"', "7", '"saw\\n"'):
        path.write_text(card(more=f"[computer]\nhostname = {wrong}\n"))
        with pytest.raises(ConfigError, match=r"computer\.hostname is"):
            read_card_file(path)
    path.write_text(card(more='[computer]\nlanguage = "de"\n'))
    with pytest.raises(ConfigError, match="language is 'de'"):
        read_card_file(path)


def test_the_hub_s_file_offers_the_ready_machines_in_lines_that_only_lack_their_marks(
    tmp_path: Path,
) -> None:
    source = (REPOSITORY / "interlock/hub/pages/nodes/enrolling.py").read_text(encoding="utf-8")
    offered = [
        line.strip()
        for line in source.splitlines()
        if line.strip().startswith(("'# ", '"# [', "f'# hostname"))
    ]
    lines = "\n".join(
        line.removeprefix("f").strip("'\"").removesuffix("\\n").removeprefix("# ")
        for line in offered
    )
    lines = lines.replace("{_label(machine.slug)}", "table-saw")
    path = tmp_path / "interlock.toml"
    path.write_text(card(more=lines), encoding="utf-8")
    read = read_card_file(path)
    assert (read.profile, read.language, read.hostname) == ("saw", "fr", "table-saw")
