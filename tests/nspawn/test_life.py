"""An installation's whole life on a booted Debian: born, hung, upgraded, broken, cut off, taken back, removed.

The units, systemd, users, packages' installation and the hub are real. The node is the real service under its
real unit, with two lines replaced by a drop-in: pins and reader, of the node and of its safe state, end in a world
outside the container, whose relay is watched all the time. One test: each step needs the one before. Times go to
stdout and are kept in `/var/tmp/interlock-nspawn/times-SUITE.json`; docs/install.md quotes them.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from interlock import __version__
from interlock.clock import SystemClock
from interlock.errors import LinkError
from interlock.protocol.control import Op
from interlock.sim.demo_machines import PRINTER
from interlock.sim.lab import TRAY
from interlock.sync.node_link import NodeClient
from tests.nspawn.debian import CACHE, OWNER_S, SUITE, SUITES, Computer, make_pi, why_not
from tests.nspawn.surroundings import Surroundings
from tests.release import bill_of, gather, pack, wheel_of
from tests.tidy import REPOSITORY
from tests.waiting import wait_until

pytestmark = pytest.mark.root

NODE_TOML = f"""{PRINTER.wiring}
progress_s = 2

[sync]
retry_s_max = 2
"""
SIMULATED = {
    "ExecStart": "/opt/interlock/current/venv/bin/interlock sim node --config /etc/interlock/node.toml"
    " --world /srv/world",
    "ExecStopPost": "/opt/interlock/current/venv/bin/python /srv/safe_state.py",
}
"""What the unit runs, with its pins in the world: replaced where the unit has it, so that a unit without its
ExecStopPost has none here either."""
SAFE_STATE = """
from pathlib import Path
from interlock.config import load_node
from interlock.node.service import safe_state
from interlock.sim.pin_factory import world_factory
safe_state(load_node(Path("/etc/interlock/node.toml")), world_factory(Path("/srv/world")))
"""
PROGRAM, PYTHON = (f"/opt/interlock/current/venv/bin/{name}" for name in ("interlock", "python"))
AS_HUB = ("setpriv", "--reuid=interlock-hub", "--regid=interlock-hub", "--clear-groups")
FURNISH = """
from pathlib import Path
from interlock.sim.lab import sample_lab
sample_lab(Path("/var/lib/interlock-hub"))
"""
OPEN_HUB = """
from pathlib import Path
from interlock.hub import commands
commands.open_hub(Path("/var/lib/interlock-hub"))
from interlock.clock import SystemClock
from interlock.hub.domain import enrolment
from interlock.hub.models import Enrolment, Machine
from interlock.hub.permissions import Actor
actor = Actor(SystemClock(), label="fab manager")
"""
MAKE_CODE = f"""{OPEN_HUB}
machine = Machine.objects.get(slug="{PRINTER.id}")
print(enrolment.open_enrolment(actor, machine, "file", "127.0.0.1", 8443).code.to_text())
"""
CONFIRM = f"""{OPEN_HUB}
waiting = Enrolment.objects.get(machine__slug="{PRINTER.id}", ended_at=None, confirmed_at=None)
print(waiting.words)
enrolment.confirm(actor, waiting)
"""
BADGE = next(one for one in TRAY if one.key == "trained")
NODE, SYNC, HUB = "interlock-node.service", "interlock-sync.service", "interlock-hub.service"
FIRST_BOOT = "interlock-firstboot.service"
HEALTHY = {"certificates", "database", "jobs", "keys", "machines", "people"}
TIMERS = ("interlock-hub-jobs.timer", "interlock-backup.timer")
OPEN_MS_MAX = 10_000
"""WatchdogSec=2, TimeoutAbortSec=1, and the start of the safe state's Python on two shared cores."""
SETTLE_S = 90
"""Sync offers a list that the node did not take again after a minute."""
ARRIVAL_S = 2.0
"""The tap before lasted 0.6 s, and the reader wants 0.3 s of an empty field before an arrival."""
HOSTNAME = "printer-1"
PUBLIC = "http://hub.labo.example:8080"
NEXT, BROKEN = "0.2.0", "0.3.0"


class Life:
    """One computer, its surroundings, its releases, and what each step took."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = SystemClock()
        self.times: dict[str, float] = {}
        self.folder = folder
        with self.took("(make release tarballs)"):
            self._make_releases()
        with self.took("(make a Debian)"):
            self.root = make_pi(folder)
        self._unpack_everything()
        world = folder / "world"
        world.mkdir()
        (folder / "node.toml").write_text(NODE_TOML)
        self.world = Surroundings(folder / "node.toml", world)
        stack.callback(self.world.end)
        self.computer = Computer(self.root, world)
        stack.callback(self.computer.switch_off)
        self.node = NodeClient(self.root / "var/lib/interlock/run/control.sock", self.clock)

    @contextmanager
    def took(self, what: str) -> Iterator[None]:
        """`what` is timed."""
        began_ms = self.clock.boot_ms()
        yield
        self.times[what] = round((self.clock.boot_ms() - began_ms) / 1_000, 1)
        print(f"{self.times[what]:7.1f} s  {what}", flush=True)  # noqa: T201

    def _make_releases(self) -> None:
        wheels = self.folder / "wheels"
        ours = gather(wheels, platform.machine(), (SUITES[SUITE],))
        for version in (__version__, NEXT, BROKEN):
            if version != __version__:
                ours.unlink()
                ours = self._wheel_of(version, wheels)
            bill = self.folder / "bill.json"
            bill.write_text(json.dumps(bill_of(wheels)))
            pack(wheels, bill, self.folder / f"{version}.tar.gz")

    def _wheel_of(self, version: str, wheels: Path) -> Path:
        """The wheel of another version of us; BROKEN passes every trial, and its node exits when it runs."""
        checkout = self.folder / f"checkout-{version}"
        checkout.mkdir()
        for name in ("interlock", "pyproject.toml", "README.md", "LICENSE"):
            whole = REPOSITORY / name
            (shutil.copytree if whole.is_dir() else shutil.copy)(whole, checkout / name)
        init = checkout / "interlock/__init__.py"
        init.write_text(init.read_text().replace(f'"{__version__}"', f'"{version}"'))
        if version == BROKEN:
            service = checkout / "interlock/node/service.py"
            service.write_text(f"{service.read_text()}\n\ndef run_node(*_, **__):\n    return 1\n")
        return wheel_of(checkout, wheels)

    def _unpack_everything(self) -> None:
        for tarball in self.folder.glob("*.tar.gz"):
            shutil.copy(tarball, self.root / "srv")
        first = self.root / "srv/first"
        first.mkdir()
        whole = str(self.folder / f"{__version__}.tar.gz")
        command = ["tar", "-C", str(first), "--strip-components=1", "-xf", whole]
        subprocess.run(command, check=True)
        drop_in = self.root / f"etc/systemd/system/{NODE}.d/simulated.conf"
        drop_in.parent.mkdir(parents=True)
        unit = (REPOSITORY / "systemd" / NODE).read_text()
        lines = [f"{key}=\n{key}={its}\n" for key, its in SIMULATED.items() if f"\n{key}=" in unit]
        drop_in.write_text("".join(["[Service]\n", *lines]))
        (self.root / "srv/safe_state.py").write_text(SAFE_STATE)

    # ------------------------------------------------------------------------------------ what is done

    def install(self, *words: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """install.sh of the first release, without a terminal."""
        done = self.computer.run("/srv/first/install.sh", *words, ok=False)
        assert not ok or done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}{self.log()}"
        return done

    def upgrade_to(self, version: str) -> list[str]:
        """The words of an upgrade."""
        return ["upgrade", "--offline", f"/srv/{version}.tar.gz"]

    def log(self) -> str:
        """What happened in there."""
        said = self.computer.run(
            "journalctl", "--no-pager", "-n", "60", "-u", "interlock-*", ok=False
        )
        return said.stdout

    def work(self) -> None:
        """A member taps, and the relay is closed."""
        wait_until(lambda: self.status("state") == "locked", SETTLE_S, "the machine is free")
        self._tap()
        wait_until(lambda: self.world.relay, SETTLE_S, "the relay closes for a trained member")

    def stop_work(self) -> None:
        """The member taps off."""
        self._tap()
        wait_until(lambda: not self.world.relay, SETTLE_S, "the relay opens")
        wait_until(lambda: self.status("session_open") is False, SETTLE_S, "the session ends")

    def _tap(self) -> None:
        """One arrival: the field was empty for long enough before."""
        self.clock.sleep(ARRIVAL_S)
        self.world.do("tap", uid=BADGE.uid.hex(), label=BADGE.printed)

    def good_of_the_hub(self) -> set[str]:
        """What `interlock hub doctor` finds good in there."""
        told = self.computer.run(*AS_HUB, PROGRAM, "hub", "doctor", "--json", ok=False)
        return {one["name"] for one in json.loads(told.stdout) if one["verdict"] == "good"}

    def status(self, name: str) -> object:
        """One fact of the running node; None while it does not answer."""
        try:
            return self.node.ask(Op.STATUS).get(name)
        except LinkError:
            return None

    def releases(self) -> tuple[str, set[str]]:
        """The current release, and every whole one."""
        home = self.root / "opt/interlock"
        whole = {path.parent.name for path in home.glob("releases/*/RELEASE")}
        return (home / "current").readlink().name, whole

    def wait_running(self, version: str) -> None:
        """The node of that version answers."""
        wait_until(
            lambda: self.status("software") == version, SETTLE_S, f"the node of {version} answers"
        )


@pytest.fixture
def life() -> Iterator[Life]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="il-", dir="/var/tmp"))
        )
        folder.chmod(0o755)
        yield Life(folder, stack)


def test_an_installation_is_born_hung_upgraded_broken_cut_off_taken_back_and_removed(
    life: Life,
) -> None:
    with life.took("boot"):
        life.computer.switch_on()
    for step in (
        the_hub_is_installed, the_node_is_installed_and_waits, the_card_s_first_boot_makes_it_the_machine_s_node,
        a_member_works_and_nobody_upgrades_under_their_hands,
        a_hung_node_opens_the_relay_and_is_started_again, a_killed_node_leaves_no_closed_relay_behind,
        an_upgrade_is_proved,
        a_power_cut_while_pip_works_leaves_a_good_release, a_power_cut_before_the_proof_is_settled_at_boot,
        a_broken_release_is_taken_back_by_itself, rollback_goes_one_back,
        uninstall_leaves_configuration_and_data,
    ):  # fmt: skip
        try:
            with life.took(step.__name__.replace("_", " ")):
                step(life)
        except AssertionError:
            print(life.log())  # noqa: T201
            raise
    life.times["load at the end"] = os.getloadavg()[0]
    (CACHE / f"times-{SUITE}.json").write_text(json.dumps(life.times, indent=1) + "\n")


def the_hub_is_installed(life: Life) -> None:
    told = life.install("hub", "--lang", "fr", "--url", PUBLIC)
    assert f"Le hub est en marche à {PUBLIC} ; ouvrez ce lien dans la journée" in told.stdout
    assert f'url = "{PUBLIC}"\n' in (life.root / "var/lib/interlock-hub/hub.toml").read_text()
    assert life.computer.show(HUB, "ActiveState") == "active"
    # The lab that this hub serves from now on has members and machines.
    life.computer.run("systemctl", "stop", HUB)
    life.computer.run("find", "/var/lib/interlock-hub", "-mindepth", "1", "-delete")
    life.computer.run(*AS_HUB, PYTHON, "-c", FURNISH)
    life.computer.run("systemctl", "start", HUB)
    for timer in TIMERS:
        assert life.computer.show(timer, "ActiveState") == "active"
    life.computer.run("systemctl", "start", "interlock-hub-jobs.service")
    assert life.computer.show("interlock-hub-jobs.service", "Result") == "success"
    wait_until(lambda: life.good_of_the_hub() >= HEALTHY, SETTLE_S, "its doctor finds it well")


def the_node_is_installed_and_waits(life: Life) -> None:
    told = life.install("node")
    assert "does not know its machine yet" in told.stdout
    assert life.computer.show(NODE, "ActiveState") == "inactive"
    assert life.computer.show(FIRST_BOOT, "UnitFileState") == "enabled"


def the_card_s_first_boot_makes_it_the_machine_s_node(life: Life) -> None:
    made = life.computer.run(*AS_HUB, PYTHON, "-c", MAKE_CODE).stdout.strip()
    partition = life.root / "boot/firmware"
    card = f'[enrolment]\nmachine = "{PRINTER.id}"\ncode = "{made}"\n[computer]\nhostname = "{HOSTNAME}"\n'
    (partition / "node.toml").write_text(NODE_TOML)
    (partition / "interlock.toml").write_text(card)
    # Somebody made the card's boot settings anew after the installation: they want the block, and a restart.
    (partition / "config.txt").write_text(OWNER_S)
    result = partition / "interlock-result.txt"
    life.computer.run("systemctl", "start", FIRST_BOOT)
    wait_until(lambda: result.exists() and "six mots" in result.read_text(), SETTLE_S, "six words")
    words = life.computer.run(*AS_HUB, PYTHON, "-c", CONFIRM).stdout.strip()
    assert words in result.read_text()
    wait_until(lambda: "tout est prêt" in result.read_text(), SETTLE_S, "all is ready")
    assert "all is ready" in result.read_text()
    assert (partition / "interlock.toml").read_text() == card.replace(made, "used")
    life.computer.has_gone_to_restart()
    life.world.power_on()
    life.computer.switch_on()
    assert "dtparam=strict_gpiod\n" in (partition / "config.txt").read_text()
    wait_until(lambda: life.computer.show(FIRST_BOOT, "ActiveState") == "inactive", SETTLE_S, "end")
    assert life.computer.show(FIRST_BOOT, "Result") == "success"
    life.wait_running(__version__)
    for unit in (NODE, SYNC, HUB):
        assert life.computer.show(unit, "ActiveState") == "active"
    secret = "setpriv --reuid=interlock-sync --regid=interlock-sync --clear-groups cat /etc/interlock/node.json"
    assert life.computer.run(*secret.split(), ok=False).returncode != 0
    again = life.install("node")
    assert "Installing" not in again.stdout


def a_member_works_and_nobody_upgrades_under_their_hands(life: Life) -> None:
    # The rights came from the hub through sync, its credential and the spool, as their own users.
    wait_until(lambda: (life.status("cache") or {}).get("version"), SETTLE_S, "the rights arrive")  # type: ignore[attr-defined] # JSON
    life.work()
    refused = life.install(*life.upgrade_to(NEXT), ok=False)
    assert refused.returncode == 1
    assert "Somebody is using the machine" in refused.stderr
    assert life.world.relay
    assert not (life.root / "opt/interlock/releases" / NEXT).exists()


def a_hung_node_opens_the_relay_and_is_started_again(life: Life) -> None:
    _the_relay_opens_before_the_next_start(life, "STOP")
    assert life.computer.show(NODE, "NRestarts") == "1"


def a_killed_node_leaves_no_closed_relay_behind(life: Life) -> None:
    life.work()
    _the_relay_opens_before_the_next_start(life, "KILL")
    assert life.computer.show(NODE, "NRestarts") == "2"


def _the_relay_opens_before_the_next_start(life: Life, signal: str) -> None:
    """The kernel leaves a dead process's relay closed (Surroundings): only the unit's ExecStopPost opens it."""
    wait_until(lambda: life.world.history[-1][1], SETTLE_S, "whoever watches saw the relay close")
    seen = len(life.world.history)
    began_ms = life.clock.boot_ms()
    life.computer.run("systemctl", "kill", "--kill-whom=main", f"--signal={signal}", NODE)
    wait_until(lambda: len(life.world.history) > seen, SETTLE_S, "the relay opens")
    opened_ms, relay = life.world.history[seen]
    assert not relay
    assert opened_ms - began_ms <= OPEN_MS_MAX
    life.times[f"relay open after SIG{signal}"] = (opened_ms - began_ms) / 1_000
    wait_until(lambda: life.status("session_open") is False, SETTLE_S, "the node is back")
    # The same clock: this computer was not suspended, and RestartSec=1 lies between the two.
    started_ms = int(life.computer.show(NODE, "ExecMainStartTimestampMonotonic")) / 1_000
    assert opened_ms < started_ms, "the next node opened it, not the safe state"
    assert life.world.history[seen:] == [(opened_ms, False)]


def an_upgrade_is_proved(life: Life) -> None:
    told = life.install(*life.upgrade_to(NEXT))
    assert f"Interlock {NEXT} runs" in told.stdout
    current, whole = life.releases()
    assert current == NEXT
    assert len(whole) == 2
    life.wait_running(NEXT)
    life.work()
    life.stop_work()


def a_power_cut_while_pip_works_leaves_a_good_release(life: Life) -> None:
    installer = life.computer.start("/srv/first/install.sh", *life.upgrade_to(BROKEN))
    half = life.root / f"opt/interlock/releases/{BROKEN}/venv/lib"
    wait_until(lambda: list(half.glob("python3*/site-packages/cryptography*")), 120, "pip works")
    life.computer.pull_the_plug()
    installer.wait()
    assert BROKEN not in life.releases()[1]
    life.world.power_on()
    life.computer.switch_on()
    life.wait_running(NEXT)


def a_power_cut_before_the_proof_is_settled_at_boot(life: Life) -> None:
    installer = life.computer.start("/srv/first/install.sh", *life.upgrade_to(BROKEN))
    unconfirmed = life.root / "opt/interlock/unconfirmed"
    wait_until(unconfirmed.exists, 180, "the broken release is switched to")
    wait_until(lambda: life.releases()[0] == BROKEN, 5, "the link points at it")
    life.computer.pull_the_plug()
    installer.wait()
    life.world.power_on()
    life.computer.switch_on()
    wait_until(lambda: life.releases()[0] == NEXT, 150, "it is taken back")
    life.wait_running(NEXT)
    wait_until(lambda: not unconfirmed.exists(), SETTLE_S, "it is settled")


def a_broken_release_is_taken_back_by_itself(life: Life) -> None:
    before = life.releases()[0]
    told = life.install(*life.upgrade_to(BROKEN), ok=False)
    assert told.returncode == 1
    assert f"going back to {before}" in told.stderr
    assert f"Interlock {before} works again" in told.stderr
    current, whole = life.releases()
    assert current == before
    assert BROKEN not in whole
    life.wait_running(before)


def rollback_goes_one_back(life: Life) -> None:
    current, whole = life.releases()
    (before,) = whole - {current}
    life.install("rollback")
    assert life.releases() == (before, {NEXT, before})
    life.wait_running(__version__)
    life.work()
    life.stop_work()


def uninstall_leaves_configuration_and_data(life: Life) -> None:
    assert life.computer.run("uname", "-n").stdout.strip() == HOSTNAME
    life.install("uninstall")
    left = {
        str(path.relative_to(life.root))
        for top in ("etc", "opt", "var/lib")
        for path in (life.root / top).rglob("*interlock*")
    }
    assert not (life.root / "opt/interlock").exists()
    assert {path for path in left if not path.startswith("var/lib/interlock")} == {
        "etc/interlock", f"etc/systemd/system/{NODE}.d",
    }  # fmt: skip
    assert {path.name for path in (life.root / "etc/interlock").iterdir()} == {
        "node.toml", "node.json", "sync.json",
    }  # fmt: skip
    assert (life.root / "var/lib/interlock/journal.db").exists()
    assert (life.root / "var/lib/interlock-hub/hub.toml").exists()
    assert (life.root / "boot/firmware/config.txt").read_text() == OWNER_S
    assert not life.world.relay
