"""A Pi's files and what systemd says in, findings out: everything around the node that must be as installed.

What lets go of the relay when things die is looked at here, from the kernel outwards: strict_gpiod, the hardware
watchdog, systemd's own watchdog and the unit's walls (2-machine.md, "What kills the relay").
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from interlock import __version__
from interlock.config import NodeConfig
from interlock.findings import Finding, Say, Verdict
from interlock.node.cache import cache_files
from interlock.node.pins import driver_trouble
from interlock.node.words import N_

WATCHDOG_S_MAX = 15
"""The hardware watchdog of every Pi counts to 15 s (BCM2835: 16 s, rounded down); more never fires."""

FREE_BYTES_MIN = 200_000_000
"""A full journal of 1,000,000 records needs about 1 GB; below this the card fills within weeks."""

UNIT = "interlock-node.service"
WALLS = {
    "WatchdogUSec": "2s",
    "PrivateNetwork": "yes",
    "RestrictAddressFamilies": "AF_UNIX",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "DevicePolicy": "closed",
}
"""What `systemctl show` says of the unit as it was installed (systemd/interlock-node.service)."""

COMMAND_S_MAX = 10.0

PERSIST = (
    "sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs",
    "sys/module/pinctrl_rp1/parameters/persist_gpio_outputs",
)
"""The kernel's own word on strict_gpiod: "N" lets a pin go when its owner dies (raspberrypi/linux #6117, #6150);
the second is the Pi 5's."""

BOOT_CONFIGS = ("boot/firmware/config.txt", "boot/config.txt")
STRICT_LINE = re.compile(r"^\s*dtparam=(?:[^#\n]*,)?strict_gpiod\b", re.MULTILINE)
SWITCHED_ON = N_("Run sudo ./install.sh node, which switches it on, then restart the Pi")

Run = Callable[[Sequence[str]], str | None]
"""A command to its standard output; None when there is no such command or it failed."""


@dataclass(frozen=True, slots=True)
class Pi:
    """Where to look: `root` is / on a Pi; `run` asks systemd."""

    root: Path
    run: Run

    def read(self, name: str) -> str | None:
        """The text of a file below the root, None when it cannot be read."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return None


def run_command(command: Sequence[str]) -> str | None:
    """What `command` prints, or None."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_S_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def examine_pi(pi: Pi, config: NodeConfig, say: Say) -> Iterator[Finding]:
    """Everything that can be seen of the Pi itself, whether its node runs or not."""
    yield _versions(pi, say)
    yield _gpio(say)
    yield _strict_gpiod(pi, say)
    yield _hardware_watchdog(pi, say)
    yield from _unit(pi, say)
    yield _disk(config, say)
    yield from _databases(config, say)


def _versions(pi: Pi, say: Say) -> Finding:
    system = re.search(r'^PRETTY_NAME="?([^"\n]+)', pi.read("etc/os-release") or "", re.MULTILINE)
    seen = {
        "software": __version__,
        "model": pi.read("proc/device-tree/model") or platform.machine(),
        "system": system[1] if system else platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    what = say(
        N_("Interlock %(software)s on %(model)s, %(system)s, Linux %(kernel)s, Python %(python)s, SQLite %(sqlite)s")
    )  # fmt: skip
    return Finding("versions", Verdict.GOOD, what % seen)


def _gpio(say: Say) -> Finding:
    why = driver_trouble()
    if why is not None:
        what = say(N_("gpiozero has no lgpio to drive the pins with: %(why)s")) % {"why": why}
        remedy = N_("Install it: apt install python3-lgpio; the package on PyPI is empty for 3.13")
        return Finding("gpio", Verdict.BAD, what, say(remedy))
    return Finding("gpio", Verdict.GOOD, say(N_("The pins are driven by gpiozero through lgpio")))


def _strict_gpiod(pi: Pi, say: Say) -> Finding:
    kernel = [word for name in PERSIST if (word := pi.read(name)) is not None]
    written = any(STRICT_LINE.search(pi.read(name) or "") for name in BOOT_CONFIGS)
    if "N" in kernel and "Y" not in kernel:
        return Finding("strict_gpiod", Verdict.GOOD, say(N_("A pin is let go when the node dies")))
    if not kernel:
        return Finding(
            "strict_gpiod",
            Verdict.UNKNOWN,
            say(N_("This kernel does not say whether it lets go of the relay's pin")),
            say(N_("On a Raspberry Pi: update its kernel, then look again")),
        )
    remedy = (
        say(N_("It is in config.txt already: restart the Pi"))
        if written
        else say(SWITCHED_ON)
    )  # fmt: skip
    what = say(N_("The kernel keeps the relay closed when the node is killed"))
    return Finding("strict_gpiod", Verdict.BAD, what, remedy)


def _hardware_watchdog(pi: Pi, say: Say) -> Finding:
    name, remedy = (
        "hardware watchdog",
        say(SWITCHED_ON),
    )
    if not (pi.root / "dev/watchdog").exists():
        return Finding(name, Verdict.BAD, say(N_("There is no hardware watchdog")), remedy)
    usec = pi.run(["systemctl", "show", "--property=RuntimeWatchdogUSec", "--value"])
    if usec is None:
        return Finding(name, Verdict.UNKNOWN, say(N_("systemd does not say whether it feeds it")))
    seconds = _seconds(usec)
    if seconds is None or not 0 < seconds <= WATCHDOG_S_MAX:
        seen = {"seen": usec, "limit": WATCHDOG_S_MAX}
        what = say(N_("systemd feeds the hardware watchdog every %(seen)s, not within %(limit)d s"))
        return Finding(name, Verdict.BAD, what % seen, remedy)
    what = say(N_("A hung kernel is reset after %(s)d s"))
    return Finding(name, Verdict.GOOD, what % {"s": seconds})


def _seconds(usec: str) -> int | None:
    """systemd's "15s", "1min" or "0" in whole seconds; None for anything else ("infinity")."""
    match = re.fullmatch(r"(\d+)(s|min)?", usec)
    if match is None:
        return None
    return int(match[1]) * (60 if match[2] == "min" else 1)


def _unit(pi: Pi, say: Say) -> Iterator[Finding]:
    asked = [f"--property={name}" for name in (*WALLS, "LoadState", "NRestarts")]
    told = pi.run(["systemctl", "show", *asked, UNIT])
    if told is None:
        yield Finding("unit", Verdict.UNKNOWN, say(N_("systemd does not answer here")))
        return
    shown = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    if shown.get("LoadState") != "loaded":
        yield Finding(
            "unit",
            Verdict.BAD,
            say(N_("The node is no service of this computer: nothing restarts it")),
            say(N_("Install it: sudo ./install.sh node")),
        )
        return
    lowered = sorted(name for name, value in WALLS.items() if shown.get(name) != value)
    if lowered:
        what = say(N_("The service's walls were lowered: %(names)s")) % {
            "names": ", ".join(lowered)
        }
        remedy = say(N_("Look for a drop-in: systemctl cat interlock-node"))
        yield Finding("unit", Verdict.BAD, what, remedy)
    else:
        yield Finding("unit", Verdict.GOOD, say(N_("The service is walled in as installed")))
    restarts = int(shown.get("NRestarts") or 0)
    if restarts:
        what = say(N_("systemd restarted the node %(count)d times since the boot"))
        remedy = say(N_("See why: journalctl -u interlock-node -b"))
        yield Finding("restarts", Verdict.CARE, what % {"count": restarts}, remedy)


def _disk(config: NodeConfig, say: Say) -> Finding:
    try:
        found = os.statvfs(config.paths.state_dir)
    except OSError as error:
        what = say(N_("%(path)s cannot be looked at: %(why)s"))
        why = {"path": str(config.paths.state_dir), "why": str(error.strerror)}
        return Finding(
            "disk",
            Verdict.BAD,
            what % why,
            say(N_("Make the folder, for the node's user: paths.state_dir")),
        )
    if found.f_flag & os.ST_RDONLY:
        what = say(N_("The disk is read-only: nobody can start"))
        remedy = say(N_("A dying SD card does this: replace it"))
        return Finding("disk", Verdict.BAD, what, remedy)
    free = found.f_bavail * found.f_frsize
    seen = {"mb": free // 1_000_000}
    if free < FREE_BYTES_MIN:
        remedy = say(N_("Delete what is not Interlock's, or use a larger card"))
        return Finding("disk", Verdict.BAD, say(N_("Only %(mb)d MB are free")) % seen, remedy)
    return Finding("disk", Verdict.GOOD, say(N_("%(mb)d MB are free")) % seen)


def _databases(config: NodeConfig, say: Say) -> Iterator[Finding]:
    """The newest list of badges is written once and can be read beside a running node; the journal cannot."""
    try:
        caches = cache_files(config.paths.state_dir)[:1]
    except OSError:
        return
    for path in caches:
        trouble = _damage(path)
        if trouble:
            what = say(N_("The list of badges is damaged: %(why)s")) % {"why": trouble}
            yield Finding("database", Verdict.BAD, what, say(N_("The hub's next one replaces it")))
        else:
            yield Finding("database", Verdict.GOOD, say(N_("The list of badges is whole")))


def _damage(path: Path) -> str:
    """What SQLite finds wrong with an immutable file; empty when nothing."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            (word,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if word == "ok" else str(word)
