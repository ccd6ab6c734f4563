"""A freshly written SD card and a real hub over HTTPS: what becomes of the card, and what its result file says."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.config import load_node
from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.node.former_life import set_aside
from interlock.sync.first_boot import RESULT_NAME, Hands, Places, first_boot
from interlock.sync.first_boot_words import FormerNode
from tests.hub.process import HubProcess, make_folder, running
from tests.node.journals import boot, opened
from tests.real.enrolment import Manager
from tests.tidy import REPOSITORY
from tests.waiting import wait_until

pytestmark = pytest.mark.real

CONFIGURED = '#!/bin/sh\necho "$@" >>"$(dirname "$0")/asked"\n'


@dataclass(frozen=True)
class Site:
    """A hub that serves, and whoever sits at its page."""

    hub: HubProcess
    manager: Manager

    def card(self, machine: str = "saw") -> str:
        """The text of the file that the hub's page offers."""
        code = self.manager.code(self.hub.nodes_url, machine, kind="file")
        return f'[enrolment]\nmachine = "{machine}"\ncode = "{code}"\n'


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        folder = make_folder(Path(path) / "lab")
        with running(folder) as hub:
            manager = Manager(folder)
            try:
                yield Site(hub, manager)
            finally:
                manager.leave()


@dataclass
class Pi:
    """A computer of a cloned image: the release, no node.toml, no keys."""

    folder: Path
    shown: list[str] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self.card = self.folder / "boot/interlock.toml"
        self.etc = self.folder / "etc"
        for path in (self.card.parent, self.etc, self.folder / "state/run"):
            path.mkdir(parents=True)
        # Its paths are those of this test; a machine on a Pi has the usual ones.
        wiring = (REPOSITORY / "config/printer.toml").read_text(encoding="utf-8")
        paths = f'state_dir = "{self.folder}/state"\nkeys_file = "{self.etc}/node.json"\n'
        sync = f'credentials_file = "{self.etc}/sync.json"\n'
        (self.card.parent / "node.toml").write_text(f"{wiring}\n[paths]\n{paths}\n[sync]\n{sync}")
        self.places = Places(self.card, self.etc / "node.toml", REPOSITORY / "config")

    @property
    def said(self) -> str:
        """The file that a person reads."""
        path = self.card.with_name(RESULT_NAME)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    @property
    def secrets(self) -> set[str]:
        return {path.name for path in self.etc.glob("*.json")}

    def node(self) -> tuple[str, str]:
        """Which node it has become, and its bearer token."""
        keys = read_node_keys(self.etc / "node.json")
        return keys.node, read_hub_access(self.etc / "sync.json").credential

    def boot(self, site: Site, machine: str = "saw", *, cut: bool = False) -> int:
        """Its first boot, with somebody who clicks; `cut`: the plug is pulled before the code is wiped."""

        def show(words: tuple[str, ...], name: str) -> None:
            self.shown.append(" ".join(words))
            assert self.shown[-1] in self.said
            assert site.manager.words(machine) == self.shown[-1]
            site.manager.ask("confirm", machine)

        def prepare() -> FormerNode | None:
            if cut:
                raise KeyboardInterrupt
            was = set_aside(self.folder / "state", read_node_keys(self.etc / "node.json"))
            return None if was is None else FormerNode(was.node, str(was.folder), was.unsent)

        def start() -> str:
            self.started += 1
            return ""

        return first_boot(self.places, SystemClock(), Hands(show, prepare, start))


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    return Pi(tmp_path / "pi")


def test_a_card_makes_a_node_shows_its_words_wipes_its_code_and_says_so_in_two_languages(
    site: Site, pi: Pi
) -> None:
    text = site.card()
    pi.card.write_text(text)
    assert pi.boot(site) == 0
    assert pi.secrets == {"node.json", "sync.json"}
    assert [name for name, _, counts in site.manager.nodes() if counts] == [pi.node()[0]]
    assert pi.card.read_text() == text.replace(text.split('"')[3], "used")
    assert "saw-2 : tout est prêt." not in pi.said
    assert "tout est prêt" in pi.said
    assert "all is ready" in pi.said
    assert pi.node()[1] not in pi.said
    assert load_node(pi.places.config).machine.name == "3D printer"
    assert pi.started == 1
    # The next boots find a code that has served.
    before = pi.said, pi.node()
    assert pi.boot(site) == 0
    assert (pi.said, pi.node(), pi.started) == (*before, 1)


def test_the_same_card_with_a_new_code_keeps_its_old_journal_and_counts_what_was_never_sent(
    site: Site, pi: Pi
) -> None:
    pi.card.write_text(site.card())
    assert pi.boot(site) == 0
    was, _ = pi.node()
    journal = opened(pi.folder / "state", keys=read_node_keys(pi.etc / "node.json"))
    journal.append([boot(), boot(), boot()])
    journal.close(clean=True)
    (pi.folder / "state/auth-1.1.db").write_text("rights of the node that was")
    pi.card.write_text(site.card())
    assert pi.boot(site) == 0
    assert pi.node()[0] != was
    kept = pi.folder / f"state/before-{was}"
    assert sorted(path.name for path in kept.iterdir())[:2] == ["auth-1.1.db", "journal.db"]
    assert not list((pi.folder / "state").glob("journal.db*"))
    assert (
        f"It was node {was} before; its journal is kept: {kept} (records never sent: 3)" in pi.said
    )
    assert (
        f"Elle était le nœud {was} ; son journal est gardé : {kept} (jamais envoyés : 3)" in pi.said
    )
    # The new node begins at once, where the old file would have refused it.
    opened(pi.folder / "state", keys=read_node_keys(pi.etc / "node.json")).close()


def test_a_plug_pulled_before_the_code_was_wiped_makes_no_second_node(site: Site, pi: Pi) -> None:
    pi.card.write_text(site.card())
    with pytest.raises(KeyboardInterrupt):
        pi.boot(site, cut=True)
    node, words = pi.node(), list(pi.shown)
    assert pi.started == 0
    assert pi.boot(site) == 0
    assert (pi.node(), pi.shown, pi.started) == (node, words, 1)
    assert 'code = "used"' in pi.card.read_text()


def test_copies_of_one_image_become_the_nodes_of_their_own_cards(
    site: Site, tmp_path: Path
) -> None:
    nodes = {}
    for machine in ("saw", "laser"):
        one = Pi(tmp_path / machine)
        one.card.write_text(site.card(machine))
        assert one.boot(site, machine) == 0
        nodes[machine] = one.node()
    (first, first_token), (second, second_token) = nodes["saw"], nodes["laser"]
    assert first.startswith("saw")
    assert second.startswith("laser")
    assert first_token != second_token


def test_a_code_that_is_over_says_what_to_do_and_the_next_file_works(site: Site, pi: Pi) -> None:
    pi.card.write_text(site.card())
    site.manager.ask("expire", "saw")
    assert pi.boot(site) == 1
    assert "Échec : le hub n'accepte plus ce code." in pi.said
    assert "Téléchargez un nouveau interlock.toml" in pi.said
    assert "the time of this code is over" in pi.said
    assert pi.secrets <= {"first-boot.json"}
    pi.card.write_text(site.card())
    assert pi.boot(site) == 0
    assert "tout est prêt" in pi.said


def test_the_command_configures_the_computer_and_says_why_the_machine_did_not_start(
    site: Site, pi: Pi
) -> None:
    pi.card.write_text(site.card())
    script = pi.folder / "installer/install.sh"
    script.parent.mkdir()
    script.write_text(CONFIGURED + "echo 'No config.txt at all' >&2\nexit 1\n")
    command = [
        "firstboot",
        "--card",
        pi.card,
        "--config",
        pi.places.config,
        "--installer",
        script.parent,
    ]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "interlock", "node", *map(str, command)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: "six mots" in pi.said, 30.0, "six words in the file")
    assert site.manager.words() in pi.said
    site.manager.ask("confirm", "saw")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert site.manager.words() in told
    assert (script.parent / "asked").read_text() == "configure --unattended\n"
    assert "la machine n'a pas démarré : No config.txt at all" in pi.said
    assert "The machine stays without power." in pi.said
    assert pi.secrets == {"node.json", "sync.json"}
