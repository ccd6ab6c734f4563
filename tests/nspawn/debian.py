"""A Debian's files in, a booted computer with its own systemd out; it is switched off, or its plug is pulled.

Device policy is not enforced in a container; everything else of systemd is real: Type=notify, watchdogs, system
call filters, name spaces, users. It has no network but its own loopback.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.waiting import wait_until

SUITE = os.environ.get("INTERLOCK_SUITE", "bookworm")
"""Which Debian: `INTERLOCK_SUITE=trixie` tries 13, by hand; it takes as long again."""
SUITES = {"bookworm": "3.11", "trixie": "3.13"}
"""Which Python each of them has."""
PACKAGES = "python3,python3-venv,systemd,systemd-sysv,dbus,passwd,ca-certificates"

CACHE = Path("/var/tmp/interlock-nspawn")
"""The files of the bare Debian stay here from one run to the next (250 MB)."""

MAKE_S_MAX, BOOT_S_MAX, END_S_MAX, RUN_S_MAX = 400, 150, 120, 900
RESTARTS = 133
"""What systemd-nspawn --keep-unit ends with when its computer restarts: the boot is its caller's."""

STUBS = {
    "python3-lgpio": {
        "lgpio.py": "def gpiochip_open(number):\n    raise OSError('no GPIO here')\n"
    },
    "python3-spidev": {"spidev.py": "class SpiDev:\n    pass\n"},
    "python3-smbus2": {"smbus2/__init__.py": ""},
    "python3-pil": {"PIL/__init__.py": ""},
    "python3-luma.oled": {"luma/oled/__init__.py": ""},
    "python3-luma.lcd": {"luma/lcd/__init__.py": ""},
}
"""Raspberry Pi OS has these packages, plain Debian lacks some: apt finds empty ones in a folder. A real one, where
there is a network, is newer than version 0."""

STUBS_SOURCE = "deb [trusted=yes] file:/srv/debs ./\n"

OWNER_S = "# the owner's own\n"
"""What config.txt said before anything of ours."""

RASPI_CONFIG = '#!/bin/sh\ntest "$2" = get_spi && echo 0\nexit 0\n'


def why_not() -> str:
    """Why no Debian can be booted here; empty where one can."""
    if SUITE not in SUITES:
        return f"INTERLOCK_SUITE is {SUITE!r}; known are {', '.join(SUITES)}"
    if os.geteuid() != 0:
        return "booting a Debian needs root"
    missing = [n for n in ("mmdebstrap", "systemd-nspawn", "dpkg-deb") if shutil.which(n) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    inside = subprocess.run(
        ["systemd-detect-virt", "--container"], capture_output=True, text=True, check=False
    )
    if inside.stdout.strip() == "systemd-nspawn":
        return "systemd-nspawn does not boot a Debian inside another one"
    probe = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no container in this container: {probe.stderr.strip()}" if probe.returncode else ""


def make_pi(folder: Path) -> Path:
    """A bare Debian in `folder` that looks like a Raspberry Pi to the installer, and finds packages offline."""
    root = folder / "root"
    root.mkdir()
    unpack_into(root)
    for name, text in {
        "etc/rpi-issue": "Raspberry Pi reference (a container)\n",
        "boot/firmware/config.txt": OWNER_S,
        "etc/apt/sources.list": STUBS_SOURCE,
        "usr/bin/raspi-config": RASPI_CONFIG,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/bin/raspi-config").chmod(0o755)
    shutil.rmtree(root / "etc/apt/sources.list.d", ignore_errors=True)
    shutil.rmtree(root / "etc/apt/apt.conf.d", ignore_errors=True)
    make_stubs(folder / "debs", root / "srv/debs")
    return root


def unpack_into(root: Path) -> None:
    """A bare Debian's files, as mmdebstrap made them."""
    subprocess.run(["tar", "-C", root, "-xf", _tarball()], check=True)


class Computer:
    """The Debian in `root`: off, or booted. `network`: it shares this computer's, so apt and pip reach theirs."""

    def __init__(self, root: Path, world: Path, *, network: bool = False) -> None:
        self.root = root
        self._world = world
        self._network = ["--resolv-conf=bind-host"] if network else ["--private-network"]
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def switch_on(self) -> None:
        """It has booted: systemd says so."""
        with (self.root.parent / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--directory", self.root, "--register=no", "--keep-unit",
                 *self._network, "--rlimit=MEMLOCK=infinity", f"--bind={self._world}:/srv/world", "--boot"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")

        def booted() -> bool:
            found = children.read_text().split()
            self._init = int(found[0]) if found else 0
            if not self._init:
                return False
            state = self._enter("systemctl", "is-system-running")
            return state.stdout.strip() in ("running", "degraded")

        wait_until(booted, BOOT_S_MAX, "the Debian has booted")

    def has_gone_to_restart(self) -> None:
        """It shut itself down in order to boot again, and is off; `switch_on` is the boot."""
        assert self._nspawn is not None
        assert self._nspawn.wait(END_S_MAX) == RESTARTS
        self._nspawn = None

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """`command` as root in there; its output. Raises AssertionError when it fails and `ok`."""
        done = self._enter(*command)
        assert not ok or done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """`command` runs in there."""
        return subprocess.Popen(
            self._entered(*command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", f"--property={name}", "--value", unit).stdout.strip()

    def pull_the_plug(self) -> None:
        """Nothing is stopped, nothing is saved: its kernel's power is off (reboot(2))."""
        self._enter("systemctl", "--force", "--force", "poweroff")
        self._gone()

    def switch_off(self) -> None:
        """It was shut down as one does; harmless when it is off."""
        if self._nspawn is not None:
            self._enter("systemctl", "poweroff")
            self._gone()

    def _gone(self) -> None:
        # Through its init, never by killing nspawn, which would leave everything in there running.
        assert self._nspawn is not None
        self._nspawn.wait(END_S_MAX)
        self._nspawn = None

    def _entered(self, *command: str) -> list[str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "--target", str(self._init), "--mount", "--uts", "--ipc", "--net", "--pid",
                "--root", "--wd", "env", "-i", f"PATH={path}", "HOME=/root", "LANG=C.UTF-8",
                *command]  # fmt: skip

    def _enter(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._entered(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_S_MAX, check=False,
        )  # fmt: skip


def _tarball() -> Path:
    """The bare Debian, made once."""
    CACHE.mkdir(mode=0o700, exist_ok=True)
    assert CACHE.stat().st_uid == 0, f"{CACHE} is somebody else's"
    key = hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    tarball = CACHE / f"{SUITE}-{key}.tar"
    if not tarball.exists():
        fresh = tarball.with_suffix(".new.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, fresh],
            check=True, timeout=MAKE_S_MAX,
        )  # fmt: skip
        fresh.rename(tarball)
    return tarball


def make_stubs(scratch: Path, target: Path) -> None:
    """The stubs as .deb files with the index that apt reads."""
    target.mkdir(parents=True)
    index = ""
    for name, files in STUBS.items():
        tree = scratch / name
        for path, text in files.items():
            place = tree / "usr/lib/python3/dist-packages" / path
            place.parent.mkdir(parents=True)
            place.write_text(text)
        said = (
            f"Package: {name}\nVersion: 0\nArchitecture: all\nMaintainer: Interlock <i@example.org>\n"
            "Description: an empty stand-in\n"
        )
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(said)
        deb = target / f"{name}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True
        )
        content = deb.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        index += f"{said}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}\n\n"
    (target / "Packages").write_text(index)
