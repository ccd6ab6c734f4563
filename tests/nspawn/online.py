"""A bare Debian in, booted with this computer's network; a hub, then a node, installed from PyPI and Debian out.

    sudo .venv/bin/python -m tests.nspawn.online        INTERLOCK_SUITE=trixie for Debian 13

By hand, for it needs the network and minutes of it: the suite installs from a release's tarball (test_life). What
is installed is the last commit. Debian's packages are the real ones, but for python3-lgpio, which only Raspberry Pi
OS has and an empty one stands for; every library of PyPI is held to requirements.lock by its hash. A developer's
machine has mirrors and certificates of its own; they are lent, so that install.sh need not know of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import click

from interlock.clock import perf_us
from tests.nspawn.debian import (
    OWNER_S,
    RASPI_CONFIG,
    STUBS_SOURCE,
    Computer,
    make_stubs,
    unpack_into,
    why_not,
)
from tests.waiting import wait_until

TREE = Path(__file__).parents[2]
LENT = (*("PIP_CERT", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "PIP_INDEX_URL"), "SSL_CERT_FILE")
ACTIVE_S_MAX = 60
HUB = "http://hub.lab.example:8080"

LIBRARIES = (
    "import lgpio, spidev, smbus2, PIL, luma.oled; print(lgpio, spidev, smbus2, PIL, luma.oled)"
)


def make_computer(folder: Path, *, is_pi: bool) -> Path:
    """A bare Debian in `folder` with the last commit in /srv/interlock."""
    root = folder / "root"
    root.mkdir()
    unpack_into(root)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    if Path("/etc/pip.conf").exists():
        shutil.copy("/etc/pip.conf", root / "etc/pip.conf")
    for path in sorted(Path("/etc/apt/apt.conf.d").glob("99*")):
        shutil.copy(path, root / "etc/apt/apt.conf.d")
    if is_pi:
        (root / "boot/firmware").mkdir(parents=True)
        (root / "boot/firmware/config.txt").write_text(OWNER_S)
        (root / "etc/rpi-issue").write_text("Raspberry Pi reference (a container)\n")
        (root / "usr/bin/raspi-config").write_text(RASPI_CONFIG)
        (root / "usr/bin/raspi-config").chmod(0o755)
        make_stubs(folder / "debs", root / "srv/debs")
        (root / "etc/apt/sources.list.d/stubs.list").write_text(STUBS_SOURCE)
    (root / "srv/interlock").mkdir()
    archive = subprocess.run(
        ["git", "-C", str(TREE), "archive", "HEAD"], check=True, capture_output=True
    )
    subprocess.run(["tar", "-C", root / "srv/interlock", "-x"], input=archive.stdout, check=True)
    return root


def install(computer: Computer, *words: str) -> None:
    """install.sh with these words; all it says, and how long it took."""
    began_us = perf_us()
    lent = [f"{name}={os.environ[name]}" for name in LENT if name in os.environ]
    done = computer.run("env", *lent, "/srv/interlock/install.sh", *words, ok=False)
    click.echo(done.stdout + done.stderr)
    click.echo(
        f"=== {' '.join(words)}: exit {done.returncode}, {(perf_us() - began_us) / 1e6:.0f} s"
    )
    assert done.returncode == 0


def is_active(computer: Computer, unit: str) -> None:
    """systemd says so, and of nothing that it failed."""
    wait_until(lambda: computer.show(unit, "ActiveState") == "active", ACTIVE_S_MAX, f"{unit} runs")
    click.echo(f"{unit}: active, {computer.show(unit, 'StatusText')}")
    failed = computer.run("systemctl", "--failed", "--plain", "--no-legend").stdout
    assert "interlock" not in failed, failed


def hub(folder: Path) -> None:
    """The whole hub: installed, active, its door answers, installed again without a change."""
    with_network(make_computer(folder, is_pi=False), look_at_the_hub)


def look_at_the_hub(computer: Computer) -> None:
    install(computer, "hub", "--unattended", "--url", HUB)
    is_active(computer, "interlock-hub.service")
    click.echo(computer.run("interlock", "hub", "doctor", ok=False).stdout)
    install(computer, "hub", "--unattended", "--url", HUB)
    install(computer, "doctor")


def node(folder: Path) -> None:
    """A node on a computer that looks like a Pi: Debian's own lgpio and spidev, beside the lock."""
    with_network(make_computer(folder, is_pi=True), look_at_the_node)


def look_at_the_node(computer: Computer) -> None:
    install(computer, "node", "--unattended", "--no-overlay")
    click.echo(computer.run("/opt/interlock/current/venv/bin/python", "-c", LIBRARIES).stdout)
    click.echo(computer.run("/opt/interlock/current/venv/bin/pip", "list").stdout)
    install(computer, "doctor")


def with_network(root: Path, look: object) -> None:
    """`look` at the computer, which is switched off in the end."""
    computer = Computer(root, root.parent, network=True)
    computer.switch_on()
    try:
        assert callable(look)
        look(computer)
    finally:
        computer.switch_off()


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(["hub", "node"]))
def main(what: tuple[str, ...]) -> None:
    """Rehearse WHAT (both without a word)."""
    if why := why_not():
        raise click.UsageError(why)
    for one in what or ("hub", "node"):
        with tempfile.TemporaryDirectory(prefix="il-online-", dir="/var/tmp") as name:
            {"hub": hub, "node": node}[one](Path(name))


if __name__ == "__main__":
    main()
