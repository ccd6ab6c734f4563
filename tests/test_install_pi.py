"""install.sh below a folder: a Pi's files go in as stubs, and what a whole Pi would get comes out.

`--root DIR` rehearses the whole installation, with everything real but apt-get, raspi-config and the two
commands that make users, which are stubs below DIR and write down how they were called. Nothing is started
there; tests/nspawn does that.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_install import PYPROJECT, give_libraries, install
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.real

BACKEND = '''\
"""A build backend that needs nothing: the stand-in package as a wheel."""
import os
import zipfile

DIST = "interlock_fablab-0.dist-info"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "interlock_fablab-0-py3-none-any.whl"
    extras = "".join(f"Provides-Extra: {e}\\n" for e in ("sync", "hub", "readers"))
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for folder, _, files in os.walk("interlock"):
            for file in files:
                if file.endswith(".py"):
                    wheel.write(os.path.join(folder, file))
        wheel.writestr(
            f"{DIST}/METADATA",
            f"Metadata-Version: 2.1\\nName: interlock-fablab\\nVersion: 0\\n{extras}",
        )
        wheel.writestr(
            f"{DIST}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        )
        wheel.writestr(f"{DIST}/entry_points.txt", "[console_scripts]\\ninterlock = interlock:main\\n")
        wheel.writestr(f"{DIST}/RECORD", "")
    return name
'''

PROGRAM = """\
import sys

__version__ = "0"


def main():
    words = sys.argv[1:]
    if words == ["--version"]:
        print("interlock, version", __version__)
    elif words[:2] == ["node", "units"] and "--modules" not in words:
        print("[Service]\\nDeviceAllow=/dev/spidev0.0 rw\\nDeviceAllow=/dev/i2c-1 rw")
    elif words[:2] == ["node", "units"]:
        print("i2c-dev")
"""

CALLED = """#!/bin/sh
echo "$(basename "$0") $*" >>"{calls}"
{then}
"""

CMDLINE_TXT = "console=serial0,115200 root=PARTUUID=1-02 rootwait\n"
FSTAB = "PARTUUID=1-02 / ext4 defaults,noatime 0 1\n"
DATA_PARTITION = "LABEL=interlock /var/lib/interlock ext4 noatime,nofail 0 2\n"
CONFIG_TXT = "# the owner's own lines\n[pi4]\narm_boost=1\n"


class Pi:
    """A folder that looks like a fresh Raspberry Pi OS, and a checkout beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "pi"
        self.checkout = folder / "checkout"
        self.calls = folder / "calls"
        self._make_checkout(folder)
        for name, text in {
            "etc/os-release": "ID=debian\nVERSION_ID=12\n",
            "etc/rpi-issue": "Raspberry Pi reference 2026\n",
            "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
            "etc/group": "root:x:0:\nspi:x:990:\n",
            "boot/firmware/config.txt": CONFIG_TXT,
            "boot/firmware/cmdline.txt": CMDLINE_TXT,
            "etc/fstab": FSTAB,
            "usr/lib/python3/dist-packages/spidev.so": "",
        }.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        debian = self.root / "usr/lib/python3/dist-packages"
        passwd, group = self.root / "etc/passwd", self.root / "etc/group"
        self._stub(folder, "apt-get", f"mkdir -p {debian}/smbus2 {debian}/PIL {debian}/luma/oled "
                   f"{debian}/luma/lcd; touch {debian}/lgpio.py")  # fmt: skip
        self._stub(
            folder,
            "raspi-config",
            f"""case "$2" in
            get_spi) test -e {folder}/spi && echo 0 || echo 1 ;;
            do_spi) touch {folder}/spi ;;
            enable_overlayfs) sed -i 's/^/overlayroot=tmpfs /' {self.root}/boot/firmware/cmdline.txt ;;
            esac""",
        )
        # The numbers are those of the line they stand in: nobody else on this computer has them.
        self._stub(folder, "groupadd", 'for name; do :; done\n'
                   f'echo "$name:x:$((990 + $(wc -l <{group}))):" >>{group}')  # fmt: skip
        self._stub(folder, "useradd", 'for name; do :; done\n'
                   f'gid=$(sed -n "s/^$name:x:\\([0-9]*\\):.*/\\1/p" {group})\n'
                   f'echo "$name:x:$gid:$gid::/:/bin/false" >>{passwd}')  # fmt: skip
        self._path = f"{folder}/stubs:{os.environ['PATH']}"

    def _make_checkout(self, folder: Path) -> None:
        self.checkout.mkdir(parents=True)
        shutil.copy(REPOSITORY / "install.sh", self.checkout)
        for name in ("systemd", "config"):
            shutil.copytree(REPOSITORY / name, self.checkout / name)
        (self.checkout / "pyproject.toml").write_text(PYPROJECT + "# a Pi's\n")
        (self.checkout / "backend.py").write_text(BACKEND)
        self.write_program()
        for name in ("node", "sync"):
            package = self.checkout / "interlock" / name
            package.mkdir()
            (package / "__init__.py").write_text("")
            (package / "service.py").write_text("")
        give_libraries(self.checkout)

    def write_program(self, change: str = "") -> None:
        """The checkout's program, with `change` at its end: another source, the same version."""
        path = self.checkout / "interlock" / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM + change)

    def _stub(self, folder: Path, name: str, then: str) -> None:
        path = folder / "stubs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(CALLED.format(calls=self.calls, then=then))
        path.chmod(0o755)

    def install(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`install.sh --root` of this Pi."""
        return install(
            self.checkout, "--root", str(self.root), "--unattended", *arguments, PATH=self._path
        )

    def told(self) -> list[str]:
        """What the stubs were called with so far; forgotten afterwards."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return lines

    def tree(self) -> dict[str, tuple[int, int, int, str]]:
        """Every file with mode, owner, group and content, but the log of the installer."""
        return {
            str(path.relative_to(self.root)): (status.st_mode, status.st_uid, status.st_gid, _content(path))
            for path in sorted(self.root.rglob("*"))
            if "__pycache__" not in path.parts and path.name != "interlock-install.log"
            for status in [path.lstat()]
        }  # fmt: skip

    def give_configuration(self) -> str:
        """A USB stick with what a machine needs; its folder."""
        stick = self.root.parent / "stick"
        stick.mkdir()
        for name in ("node.toml", "saw.node.json", "saw.sync.json"):
            (stick / name).write_text(f"{name}\n")
        return str(stick)


def _content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    """A fresh one: nothing was installed yet."""
    return Pi(tmp_path)


@dataclass(frozen=True)
class First:
    """A Pi after its first `install.sh node`, and what was said and asked then. To build a release costs seconds."""

    pi: Pi
    said: str
    asked: list[str]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    made = Pi(tmp_path_factory.mktemp("first"))
    done = made.install("node")
    assert done.returncode == 0, done.stdout + done.stderr
    return First(made, done.stdout, made.told())


@pytest.fixture
def waiting(first: First, tmp_path: Path) -> Pi:
    """A copy of the first one, with stubs and a checkout of its own: installed, without its machine's files."""
    copy = Pi(tmp_path)
    shutil.rmtree(copy.root)
    shutil.copytree(first.pi.root, copy.root, symlinks=True)
    return copy


@pytest.fixture(scope="module")
def installed(first: First, tmp_path_factory: pytest.TempPathFactory) -> Pi:
    """A copy of it, told which machine it is; tests only look at it or run it again."""
    copy = Pi(tmp_path_factory.mktemp("installed"))
    shutil.rmtree(copy.root)
    shutil.copytree(first.pi.root, copy.root, symlinks=True)
    done = copy.install("node", "--from", copy.give_configuration())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Installing" not in done.stdout
    return copy


def test_the_second_run_changes_nothing(installed: Pi) -> None:
    before = installed.tree()
    installed.told()
    again = installed.install("node")
    assert (again.returncode, again.stderr) == (0, "")
    assert installed.tree() == before
    assert installed.told() == ["raspi-config nonint get_spi"]


def test_every_folder_and_secret_has_its_owner_and_mode(installed: Pi) -> None:
    names = {
        int(line.split(":")[2]): line.split(":")[0]
        for line in (installed.root / "etc/group").read_text().splitlines()
    }
    modes = {}
    for name in (
        "etc/interlock", "etc/interlock/node.toml", "etc/interlock/node.json", "etc/interlock/sync.json",
        "var/lib/interlock", "var/lib/interlock/spool", "var/lib/interlock/run",
    ):  # fmt: skip
        status = (installed.root / name).stat()
        owner = f"{names[status.st_uid]}:{names[status.st_gid]}" if os.geteuid() == 0 else ""
        modes[name] = f"{status.st_mode & 0o7777:04o} {owner}".strip()
    want = {
        "etc/interlock": "0750 root:interlock",
        "etc/interlock/node.toml": "0640 root:interlock",
        "etc/interlock/node.json": "0640 root:interlock",
        "etc/interlock/sync.json": "0640 root:interlock-sync",
        "var/lib/interlock": "0711 interlock:interlock",
        "var/lib/interlock/spool": "2770 interlock:interlock-sync",
        "var/lib/interlock/run": "0711 interlock:interlock",
    }
    if os.geteuid() != 0:
        want = {name: text.split()[0] for name, text in want.items()}
    assert modes == want


def test_the_owner_s_lines_of_config_txt_stay_and_ours_stand_in_one_block(installed: Pi) -> None:
    text = (installed.root / "boot/firmware/config.txt").read_text()
    assert text == CONFIG_TXT + (
        "# BEGIN Interlock (install.sh writes these lines, its uninstall removes them)\n"
        "[all]\ndtparam=spi=on\ndtparam=strict_gpiod\ndtparam=watchdog=on\ndtparam=i2c_arm=on\n"
        "# END Interlock\n"
    )


def test_the_pi_gets_units_watchdog_volatile_log_and_just_the_devices_it_names(
    installed: Pi,
) -> None:
    etc = installed.root / "etc"
    for unit in (
        "interlock-node.service", "interlock-sync.service", "interlock-firstboot.service",
        "interlock-rollback.service",
    ):  # fmt: skip
        assert (etc / "systemd/system" / unit).read_text() == (
            REPOSITORY / "systemd" / unit
        ).read_text()
        assert (etc / "systemd/system/multi-user.target.wants" / unit).is_symlink()
    assert not (etc / "systemd/system/interlock-hub.service").exists()
    assert "RuntimeWatchdogSec=15\n" in (etc / "systemd/system.conf.d/interlock.conf").read_text()
    assert "Storage=volatile\n" in (etc / "systemd/journald.conf.d/interlock.conf").read_text()
    assert (
        "/dev/i2c-1 rw"
        in (etc / "systemd/system/interlock-node.service.d/devices.conf").read_text()
    )
    assert (etc / "modules-load.d/interlock.conf").read_text() == "i2c-dev\n"


def test_debian_s_lgpio_is_asked_for_and_mfrc522_comes_without_rpi_gpio(first: First) -> None:
    pi = first.pi
    asked = [line for line in first.asked if line.startswith("apt-get")]
    assert len(asked) == 1
    assert asked[0].endswith(
        "install -y --no-install-recommends python3-lgpio python3-smbus2 python3-pil "
        "python3-luma.oled python3-luma.lcd"
    )
    site = next((pi.root / "opt/interlock/current/venv/lib").glob("python3*/site-packages"))
    assert (site / "mfrc522-0.0.7.dist-info").exists()
    assert not list(site.glob("RPi*"))
    settings = (pi.root / "opt/interlock/current/venv/pyvenv.cfg").read_text()
    assert "include-system-site-packages = true" in settings


@pytest.mark.parametrize(
    ("language", "words"), [("en", "does not know its machine yet"), ("fr", "ne connaît pas encore")]
)  # fmt: skip
def test_the_last_words_say_what_to_do_next_in_the_person_s_language(
    waiting: Pi, language: str, words: str
) -> None:
    done = waiting.install("--lang", language, "node")
    assert done.returncode == 0, done.stderr
    assert words in done.stdout.splitlines()[-3]
    assert "interlock.toml" in done.stdout.splitlines()[-2]
    assert "/boot/firmware" in done.stdout.splitlines()[-2]


def test_a_dry_run_names_every_step_and_changes_nothing(pi: Pi) -> None:
    before = pi.tree()
    done = pi.install("--dry-run", "node")
    assert done.returncode == 0, done.stderr
    assert pi.tree() == before
    for step in (
        "Installing Debian packages" if os.geteuid() == 0 else "sudo apt-get install",
        "Making the user interlock-sync",
        f"would make: {pi.root}/var/lib/interlock/spool (2770 interlock:interlock-sync)",
        "Installing Interlock 0 and its libraries",
        f"would write: {pi.root}/boot/firmware/config.txt",
        "would enable: interlock-node.service",
        f"would switch: {pi.root}/opt/interlock/current to 0",
    ):
        assert step in done.stdout
    assert [line for line in pi.told() if "get_spi" not in line] == []


def releases(pi: Pi) -> tuple[set[str], str, str]:
    """The releases there are, the one before, and the current one."""
    home = pi.root / "opt/interlock"
    links = [
        os.readlink(home / n) if (home / n).is_symlink() else "" for n in ("previous", "current")
    ]
    return {path.name for path in (home / "releases").iterdir()}, *(Path(one).name for one in links)  # type: ignore[return-value] # two links


def test_two_releases_are_kept_and_rollback_goes_back_and_forth(waiting: Pi) -> None:
    pi = waiting
    assert releases(pi) == ({"0"}, "", "0")
    pi.write_program("# second\n")
    assert pi.install("upgrade").returncode == 0
    kept, before, second = releases(pi)
    assert (kept, before) == ({"0", second}, "0")
    assert second.startswith("0-")
    pi.write_program("# third\n")
    assert pi.install("upgrade").returncode == 0
    kept, before, third = releases(pi)
    assert (kept, before) == ({second, third}, second)
    assert pi.install("rollback").returncode == 0
    assert releases(pi) == ({second, third}, third, second)
    assert pi.install("rollback").returncode == 0
    assert releases(pi) == ({second, third}, second, third)


def test_a_release_that_fails_its_trial_is_never_switched_to(waiting: Pi) -> None:
    pi = waiting
    (pi.checkout / "interlock/node/service.py").write_text("raise ImportError('planted')\n")
    failed = pi.install("upgrade")
    assert failed.returncode == 1
    assert "failed while: Trying the new release before anything uses it" in failed.stderr
    assert "ImportError: planted" in failed.stderr
    assert "What to do: Nothing was changed" in failed.stderr
    assert releases(pi)[2] == "0"
    (pi.checkout / "interlock/node/service.py").write_text("# mended\n")
    assert pi.install("upgrade").returncode == 0
    kept, before, now = releases(pi)
    assert (kept, before) == ({"0", now}, "0")


def test_half_a_release_is_not_taken_for_one(pi: Pi) -> None:
    half = pi.root / "opt/interlock/releases/0/venv/bin"
    half.mkdir(parents=True)
    (half / "interlock").write_text("half")
    done = pi.install("node")
    assert done.returncode == 0, done.stderr
    assert "Clearing what an interrupted run left" in done.stdout
    assert (pi.root / "opt/interlock/current/RELEASE").exists()


def test_uninstall_leaves_configuration_and_data_only(waiting: Pi, tmp_path: Path) -> None:
    pi, fresh = waiting, set(Pi(tmp_path / "fresh").tree())
    assert pi.install("node", "--from", pi.give_configuration()).returncode == 0
    (pi.root / "var/lib/interlock/journal.db").write_text("worth money")
    assert pi.install("uninstall").returncode == 0
    left = {name for name in set(pi.tree()) - fresh if not (pi.root / name).is_dir()}
    assert left == {
        "etc/interlock/node.toml", "etc/interlock/node.json", "etc/interlock/sync.json",
        "var/lib/interlock/journal.db", "run/interlock-install.lock",
        "usr/lib/python3/dist-packages/lgpio.py",
    }  # fmt: skip
    assert (pi.root / "boot/firmware/config.txt").read_text() == CONFIG_TXT


def test_what_is_no_pi_is_refused_and_force_goes_on(waiting: Pi) -> None:
    pi = waiting
    (pi.root / "etc/rpi-issue").unlink()
    told = pi.install("node")
    assert (told.returncode, told.stdout) == (1, "")
    assert "this computer is not a Raspberry Pi" in told.stderr
    forced = pi.install("--force", "node")
    assert forced.returncode == 0, forced.stderr
    assert "Going on although" in forced.stderr


def test_a_card_fit_to_be_copied_has_no_identity_and_a_node_s_card_is_refused(waiting: Pi) -> None:
    pi = waiting
    key = pi.root / "etc/ssh/ssh_host_ed25519_key"
    key.parent.mkdir()
    key.write_text("secret")
    machine_id = pi.root / "etc/machine-id"
    machine_id.write_text("0123\n")
    node = pi.root / "etc/interlock/node.json"
    node.write_text("{}")
    refused = pi.install("image")
    assert refused.returncode == 2
    assert "copies of it would all be the same node. Nothing was changed." in refused.stderr
    assert (key.exists(), machine_id.read_text()) == (True, "0123\n")
    node.unlink()
    assert pi.install("image").returncode == 0
    assert (key.exists(), machine_id.read_text()) == (False, "")


def test_the_first_boot_s_ready_machines_come_with_the_release_and_are_configured(
    waiting: Pi,
) -> None:
    pi = waiting
    ready = pi.root / "opt/interlock/current/installer/config"
    assert {"table-saw.toml", "laser-cutter.toml", "printer.toml"} <= {
        p.name for p in ready.iterdir()
    }
    boot = pi.root / "boot/firmware/config.txt"
    assert "i2c_arm" not in boot.read_text()
    for name in ("node.toml", "node.json", "sync.json"):
        (pi.root / "etc/interlock" / name).write_text("made by the first boot")
    (pi.root / "etc/hostname").write_text("raspberrypi\n")
    hosts = pi.root / "etc/hosts"
    hosts.write_text("127.0.0.1\tlocalhost\n127.0.1.1\t\traspberrypi\n")
    done = pi.install("configure", "--hostname", "saw-2")
    assert (done.returncode, done.stderr) == (0, "")
    assert (pi.root / "etc/hostname").read_text() == "saw-2\n"
    assert hosts.read_text() == "127.0.0.1\tlocalhost\n127.0.1.1\tsaw-2\n"
    assert "dtparam=i2c_arm=on\n" in boot.read_text()
    assert (
        "/dev/i2c-1"
        in (pi.root / "etc/systemd/system/interlock-node.service.d/devices.conf").read_text()
    )


@pytest.mark.parametrize("command", ["upgrade", "rollback", "doctor", "image", "configure"])
def test_what_is_not_installed_is_said(pi: Pi, command: str) -> None:
    told = pi.install(command)
    assert (told.returncode, told.stdout) == (2, "")
    assert (
        "Interlock is not installed here. What to do: sudo ./install.sh node, or hub."
        in told.stderr
    )
