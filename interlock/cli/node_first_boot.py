"""`interlock node firstboot`: a freshly written SD card becomes a machine's node, and what it was before is kept."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import FILE, FOLDER, Command, config_option, log, node_at, talk
from interlock.errors import ConfigError, DeviceError, LinkError

if TYPE_CHECKING:
    from interlock.node.displays import Display
    from interlock.sync.first_boot_words import FormerNode

CARD_FILE = Path("/boot/firmware/interlock.toml")
INSTALLER = Path("/opt/interlock/current/installer")
SERVICES = ("interlock-node.service", "interlock-sync.service")
RUNNING_SYSTEMD = Path("/run/systemd/system")
"""Where sd_booted(3) looks."""
BEGINNING = 4
"""Letters that tell two words of a list apart (BIP-39); three times that and two spaces fit 16 columns."""
START_S_MAX = 180
"""The health gate of the installer is a minute; a Zero 2 W under its first load takes a few times that."""


@click.command("firstboot", cls=Command)
@config_option
@click.option(
    "--card", type=FILE, default=CARD_FILE, show_default=True, help="The file of the hub's page."
)
@click.option("--installer", type=FOLDER, default=INSTALLER, hidden=True)
def node_first_boot(config: Path, card: Path, installer: Path) -> int:
    """Make this computer the node of the machine that its SD card's interlock.toml names, and start it.

    What interlock-firstboot.service runs at every boot with such a file. Tries until there is a network; what happened
    stands in interlock-result.txt beside the file, in French and English. A code that has served does nothing.

    Example: interlock node firstboot --card /boot/firmware/interlock.toml
    """
    log()
    from interlock.clock import SystemClock
    from interlock.sync.first_boot import Hands, Places, first_boot

    screen = _Screen(config)
    try:
        return first_boot(
            Places(card, config, installer / "config"),
            SystemClock(),
            Hands(screen.show, lambda: _former(config), lambda: _started(installer, card)),
        )
    finally:
        screen.close()


def require_stopped(config: Path) -> None:
    """Return when no node runs here. Raises ConfigError: its journal would be taken from under its hands."""
    from interlock.protocol.control import Op

    if not config.exists():
        return
    try:
        node_at(None, config).ask(Op.STATUS)
    except LinkError:
        return
    raise ConfigError(
        "the node of this computer runs, perhaps with somebody at the machine",
        where=str(config),
        remedy="When the machine is free: sudo systemctl stop interlock-node interlock-sync. Then again",
    )


def former_life(config: Path, keys_file: Path) -> FormerNode | None:
    """The journal of another node is set aside; whose it was and where it lies now. Raises StoreError."""
    from interlock.config import load_node
    from interlock.config.secret_files import read_node_keys
    from interlock.node.former_life import set_aside
    from interlock.sync.first_boot_words import FormerNode

    if not config.exists():
        return None
    was = set_aside(load_node(config).paths.state_dir, read_node_keys(keys_file))
    return None if was is None else FormerNode(was.node, str(was.folder), was.unsent)


def _former(config: Path) -> FormerNode | None:
    from interlock.config import load_node

    if RUNNING_SYSTEMD.exists():
        # The card has become another node under a node that runs: its relay opens, its journal is closed.
        subprocess.run(["systemctl", "stop", *SERVICES], check=False, capture_output=True)
    require_stopped(config)
    return former_life(config, load_node(config).paths.keys_file)


def _started(installer: Path, card: Path) -> str:
    """The computer has its name and its configuration, and its services run; else why not."""
    from interlock.sync.card_file import read_card_file

    script = installer / "install.sh"
    named = read_card_file(card).hostname
    try:
        done = subprocess.run(
            [
                "/bin/bash",
                script,
                "configure",
                "--unattended",
                *(["--hostname", named] if named else []),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{script}: {error}"
    for line in (done.stdout + done.stderr).splitlines():
        talk(line)
    last = done.stderr.strip().splitlines()[-1:] or ["?"]
    return "" if done.returncode == 0 else last[0]


class _Screen:
    """The machine's screen, if it has one that listens: six words on it until the node takes it over."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._display: Display | None = None

    def show(self, words: Sequence[str], machine: str) -> None:
        """`words` on the screen, on the console and in the log; a screen that is missing stops nothing."""
        from interlock.config import load_node
        from interlock.node.displays import display_of

        talk(f"{machine}: {' '.join(words)}")
        try:
            screen = load_node(self._config).screen
            if screen.kind == "none":
                return
            self._display = self._display or display_of(screen)
            self._display.wake()
            self._display.show(lines_of(words, screen.columns, screen.lines))
        except DeviceError as error:
            talk(str(error))

    def close(self) -> None:
        """It is dark, and free for the node."""
        if self._display is not None:
            self._display.close()


def lines_of(words: Sequence[str], columns: int, lines_max: int) -> list[str]:
    """The words on a screen, in their order; where they do not all fit, the beginning of each.

    No two words of a list begin with the same letters (protocol.words), so nothing is lost for whoever compares.
    """
    whole = _flowed(words, columns)
    if len(whole) <= lines_max:
        return whole
    return _flowed([word[:BEGINNING] for word in words], columns)


def _flowed(words: Sequence[str], columns: int) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
