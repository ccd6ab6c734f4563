"""One change at the hub to 500 nodes that refuse: real connections, real signatures, one hub process.

The changes are made by another process than the hub's, as a command or a job would. A protocol client has
refused when it has verified and applied the signed list; a real node (world, node and sync as in the demo) when
it decides by it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests

from interlock.clock import SystemClock, perf_us
from interlock.errors import LinkError
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.demo_machines import MachineFolder
from interlock.sync.links import NO_VERSION
from tests.bench.row import Row, percentile, percentiles
from tests.hub.process import _IN_HUB, LOGIN, HubFolder, HubProcess, make_folder
from tests.real.lab import Lab
from tests.waiting import wait_until

CLIENTS = 500
MEMBERS = 500
TRAININGS = 20
REAL_NODES = 3
PROCESSES = 2
CHANGES = 10
REST_S = 2.0
"""Between two changes: what one of them left to do is over."""

LOOK_S = 0.01
"""How often a real node is asked what it decides by: its answer is late by that much at most."""
CHANGE_S_MAX = 60.0
READY_S_MAX = 300.0
PAGE_PAUSE_S = 0.1

MAKE = """
import json
from django.db import transaction
folder = Path(sys.argv[1])
clients, members_, kinds, url = json.loads(sys.argv[2])
from interlock.config.secret_files import write_hub_access, write_node_keys
lab = Lab.objects.get()
with transaction.atomic():
    known = [trainings.create_training(actor, lab, f"t{n}", f"Training {n}") for n in range(kinds)]
    for n in range(members_):
        member = members.create_member(actor, lab, f"Member {n}")
        members.assign_badge(actor, member, (0x04 << 48 | n).to_bytes(7))
        for step in range(3):
            trainings.grant_training(actor, member, known[(n + step * 7) % kinds])
    for n in range(clients):
        machine = machines.create_machine(actor, lab, f"m{n}", f"M {n}", trainings=[known[n % kinds]])
        enrolled = nodes.enrol_node(actor, machine, url)
        keys, access = folder / f"{n}.node.json", folder / f"{n}.sync.json"
        write_node_keys(keys, enrolled.keys)
        write_hub_access(access, enrolled.access)
"""

CHANGE = """
import json
from interlock.clock import perf_us
clock = SystemClock()
for line in sys.stdin:
    number = int(line)
    member = Member.objects.get(name=f"Member {number}")
    began_us = perf_us()
    if number % 3 == 0:
        members.block_badge(actor, Badge.objects.get(member=member), BadgeCondition.LOST)
    elif number % 3 == 1:
        members.suspend_member(actor, member, "bench")
    else:
        members.change_member(actor, member, until_at=actor.now())
    print(json.dumps([began_us, perf_us()]), flush=True)
"""


GIVE_NOTHING_ON_CREDIT = """
Payer.objects.filter(members__name="Member 100").update(prepays=True)
"""
"""The job finds that this member's account allows nothing any more."""


class Changes:
    """A process of its own that changes the hub's database, as a command does."""

    def __init__(self, folder: HubFolder) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_HUB + CHANGE, str(folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def make(self, number: int) -> int:
        """The microsecond at which change `number` was asked for; it is committed now."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(number, file=self._process.stdin, flush=True)
        began_us, _ = json.loads(self._process.stdout.readline())
        return int(began_us)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Clients:
    """Processes full of protocol clients, and all they said."""

    def __init__(
        self, folder: Path, count: int, processes: int = PROCESSES, first: int = 0
    ) -> None:
        """`count` clients, with the files of that name from `first` on."""
        self.count = count
        self.said: list[dict[str, Any]] = []
        self._processes = []
        self._listeners = []
        for number in range(processes):
            nodes = folder / f"clients-{number}.jsonl"
            mine = range(first + number, first + count, processes)
            files = (
                {"keys": f"{folder}/{n}.node.json", "access": f"{folder}/{n}.sync.json"}
                for n in mine
            )
            nodes.write_text("".join(json.dumps(one) + "\n" for one in files))
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.fan_clients", str(nodes)],
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)
            listener = threading.Thread(target=self._listen, args=(number, process), daemon=True)
            listener.start()
            self._listeners.append(listener)

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                # One that was killed may have been in the middle of a line.
                if line.endswith("\n"):
                    self.said.append({**json.loads(line), "process": number})

    def wait(self, did: str, since_us: int, deadline_s: float) -> list[dict[str, Any]]:
        """What each client first said of that kind after `since_us`, once all have."""

        def everybody() -> list[dict[str, Any]] | None:
            first: dict[tuple[int, int], dict[str, Any]] = {}
            for one in list(self.said):
                if one["did"] == did and one["at_us"] >= since_us:
                    first.setdefault((one["process"], one["client"]), one)
            if any(process.poll() is not None for process in self._processes):
                raise AssertionError("a client process ended")
            return list(first.values()) if len(first) == self.count else None

        return wait_until(everybody, deadline_s, f"{self.count} clients that {did}")

    def cpu_ms(self) -> float:
        """What they have computed so far: on machines of their own, they would take none of the hub's."""
        return sum(cpu_ms_of(process.pid) for process in self._processes)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for listener in self._listeners:
            listener.join()


def lab_with(path: Path, clients: int, members: int, trainings: int) -> HubFolder:
    """A lab of that size; its nodes' files stand beside the hub's folder."""
    folder = make_folder(path / "hub")
    sizes = json.dumps([clients, members, trainings, "http://127.0.0.1:1"])
    code = _IN_HUB.replace("sys.argv[1]", "sys.argv[3]") + MAKE
    subprocess.run(
        [sys.executable, "-c", code, str(path), sizes, str(folder.path)], check=True, timeout=300
    )
    return folder


def point_at(path: Path, clients: int, url: str) -> None:
    """The nodes' files name the hub's real address."""
    for number in range(clients):
        file = path / f"{number}.sync.json"
        access = json.loads(file.read_text())
        access["hub_url"] = url
        file.write_text(json.dumps(access))


class RealNodes:
    """World, node and sync of some machines, as the demo runs them, at the hub that is measured."""

    def __init__(self, path: Path, count: int, url: str) -> None:
        self._labs = [self._lab(path, number, url) for number in range(count)]

    def _lab(self, path: Path, number: int, url: str) -> Lab:
        root = Path(tempfile.mkdtemp(prefix="il-node-"))
        machine = MachineFolder(root / "machine")
        machine.path.mkdir()
        shutil.copy(path / f"{number}.node.json", machine.node_keys)
        shutil.copy(path / f"{number}.sync.json", machine.sync_access)
        return Lab(root, hub_url=url)

    def start(self) -> None:
        """Each decides by a list of the hub."""
        for lab in self._labs:
            lab.__enter__().start(hub=False)
        wait_until(lambda: NO_VERSION not in self.versions(), READY_S_MAX, "first lists")

    def versions(self) -> list[SnapshotVersion]:
        """What each decides by."""
        return [_version(lab) for lab in self._labs]

    def decided(self, before: list[SnapshotVersion], found: list[int]) -> None:
        """`found` gets the microsecond at which each is seen to decide by a newer list, once all do."""
        clock, left = SystemClock(), dict(enumerate(before))
        end_us = perf_us() + int(CHANGE_S_MAX * 1e6)
        while left and perf_us() < end_us:
            for number, old in list(left.items()):
                if _version(self._labs[number]) > old:
                    found.append(perf_us())
                    del left[number]
            clock.sleep(LOOK_S)

    def close(self) -> None:
        """Nothing of them runs."""
        for lab in self._labs:
            # It would tell a test's reader what happened.
            with contextlib.redirect_stdout(io.StringIO()):
                lab.end()
            shutil.rmtree(lab.root, ignore_errors=True)


def _version(lab: Lab) -> SnapshotVersion:
    try:
        return lab.client.installed().version
    except LinkError:
        return NO_VERSION


@dataclass
class Seen:
    """Of every change so far: how late it counted at each client and node, in how many bytes."""

    clients_ms: list[float] = field(default_factory=list)
    nodes_ms: list[float] = field(default_factory=list)
    bytes_max: int = 0
    whole: int = 0
    hub_ms: float = 0.0
    own_ms: float = 0.0
    """What the clients computed, on the hub's cores."""

    def watch(self, hub: HubProcess, clients: Clients, nodes: RealNodes, make: Any) -> None:
        """`make` changes something and returns when it began; all of them refuse when this returns."""
        before, found = nodes.versions(), list[int]()
        looking = threading.Thread(target=nodes.decided, args=(before, found))
        looking.start()
        cpu_ms, own_ms = cpu_ms_of(hub.pid), clients.cpu_ms()
        began_us = make()
        applied = clients.wait("applied", began_us, CHANGE_S_MAX)
        looking.join()
        if len(found) != len(before):
            raise AssertionError(f"{len(before) - len(found)} real nodes did not hear of a change")
        self.hub_ms += cpu_ms_of(hub.pid) - cpu_ms
        self.own_ms += clients.cpu_ms() - own_ms
        self.clients_ms += [(one["at_us"] - began_us) / 1_000 for one in applied]
        self.nodes_ms += [(at_us - began_us) / 1_000 for at_us in found]
        self.bytes_max = max(self.bytes_max, *(one["bytes"] for one in applied))
        self.whole = max(one["whole"] for one in applied)


def cpu_ms_of(pid: int) -> float:
    """What the process has computed so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000 / os.sysconf("SC_CLK_TCK")


def load() -> str:
    """How busy the machine was beside it."""
    return f"load average {os.getloadavg()[0]:.1f}"


def by_command(folder: HubFolder, *arguments: str) -> Any:
    """A change by `interlock hub …`; it began when its process was started, Python's own start included."""

    def make() -> int:
        began_us = perf_us()
        command = [sys.executable, "-m", "interlock", "hub", *arguments]
        subprocess.run(
            [*command, "--dir", str(folder.path)], check=True, capture_output=True, timeout=60
        )
        return began_us

    return make


def rows() -> Iterator[Row]:
    """A change to everybody, however it is made; and everybody back at once after a restart."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        path = Path(name)
        everybody = CLIENTS + REAL_NODES
        folder = lab_with(path, everybody, MEMBERS, TRAININGS)
        folder.run(GIVE_NOTHING_ON_CREDIT)
        cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", "owner"))}
        hub = HubProcess(folder)
        point_at(path, everybody, hub.url)
        clients = Clients(path, CLIENTS, first=REAL_NODES)
        nodes = RealNodes(path, REAL_NODES, hub.url)
        changes = Changes(folder)
        try:
            nodes.start()
            clients.wait("ready", 0, READY_S_MAX)
            seen = Seen()
            for number in range(CHANGES):
                SystemClock().sleep(REST_S)
                seen.watch(hub, clients, nodes, partial(changes.make, number))
            yield from _told(seen)
            yield _told_by_others(folder, path, hub, clients, nodes)
            nodes.close()
            yield _back_again(folder, hub, clients, cookies)
        finally:
            changes.close()
            nodes.close()
            clients.close()
            hub.stop()


def refused_ms(count: int) -> list[float]:
    """How late each of `count` protocol clients alone refused, for every change."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        path = Path(name)
        folder = lab_with(path, count, MEMBERS, TRAININGS)
        hub = HubProcess(folder)
        point_at(path, count, hub.url)
        clients = Clients(path, count)
        changes = Changes(folder)
        seen = Seen()
        try:
            clients.wait("ready", 0, READY_S_MAX)
            for number in range(CHANGES):
                SystemClock().sleep(REST_S)
                seen.watch(hub, clients, RealNodes(path, 0, hub.url), partial(changes.make, number))
        finally:
            changes.close()
            clients.close()
            hub.stop()
    return seen.clients_ms


def _told(seen: Seen) -> Iterator[Row]:
    whole = "" if seen.whole == 1 else f"; some needed the whole list {seen.whole - 1} times"
    shared = (
        f"hub, clients and nodes share the cores of this machine ({load()}); {MEMBERS} members, "
        f"{TRAININGS} kinds of list, loopback without TLS; made by another process"
    )
    yield Row(
        what=f"a change at the hub → each of {CLIENTS} protocol clients refuses",
        figures=(
            percentiles(seen.clients_ms, digits=0)
            + f"; {seen.hub_ms / CHANGES / CLIENTS:.2f} ms of the hub's CPU a client, "
            + f"{seen.own_ms / CHANGES / CLIENTS:.2f} ms of its own{whole}"
        ),
        target="p50 ≤ 0.5 s, p99 ≤ 2 s, one hub process",
        leaves_out=shared,
    )
    yield Row(
        what=f"… and each of {REAL_NODES} real nodes beside them decides by it",
        figures=percentiles(seen.nodes_ms, digits=0),
        target="p50 ≤ 0.5 s, p99 ≤ 2 s, one hub process",
        leaves_out=shared,
    )
    yield Row(
        what="… bytes for one change to one client",
        figures=f"{seen.bytes_max:,} at most, head and body",
        target="≤ 2 kB",
        leaves_out="TCP's and TLS's own",
    )


def _told_by_others(
    folder: HubFolder, path: Path, hub: HubProcess, clients: Clients, nodes: RealNodes
) -> Row:
    badges = path / "badges.csv"
    badges.write_text("member,badge\nMember 101,04FFFFFFFFFF01\n")
    said = []
    for what in (("import-badges", str(badges)), ("jobs", "--only", "credit")):
        seen = Seen()
        seen.watch(hub, clients, nodes, by_command(folder, *what))
        said.append(
            f"`interlock hub {what[0]}`: clients {percentiles(seen.clients_ms, digits=0)}, "
            f"nodes max {max(seen.nodes_ms):.0f} ms"
        )
    return Row(
        what="… by a command and by a job, from the start of their process",
        figures="; ".join(said),
        target="no later than by another process, but for the command's own start",
        leaves_out=f"one change each; the command's Python has to start first ({load()})",
    )


def _back_again(
    folder: HubFolder, hub: HubProcess, clients: Clients, cookies: dict[str, str]
) -> Row:
    port = int(hub.url.rsplit(":", 1)[1])
    hub.kill()
    again = HubProcess(folder, port)
    up_us = perf_us()
    pages_ms: list[float] = []
    over = threading.Event()

    def look() -> None:
        while True:
            began_us = perf_us()
            requests.get(again.url + "/", cookies=cookies, timeout=60).raise_for_status()
            pages_ms.append((perf_us() - began_us) / 1_000)
            if over.wait(PAGE_PAUSE_S):
                return

    reader = threading.Thread(target=look)
    reader.start()
    try:
        greeted = clients.wait("greeted", up_us, READY_S_MAX)
    finally:
        over.set()
        reader.join()
        cpu_ms = cpu_ms_of(again.pid)
        again.stop()
    took_ms = [one["took_us"] / 1_000 for one in greeted]
    all_s = (max(one["at_us"] for one in greeted) - up_us) / 1e6
    return Row(
        what=f"{CLIENTS} nodes come back after the hub was killed and started again",
        figures=(
            f"all greeted within {all_s:.1f} s; a greeting {percentiles(took_ms, digits=0)}; "
            f"pages p50 {percentile(pages_ms, 50):.0f} ms, p95 {percentile(pages_ms, 95):.0f} ms"
        ),
        target="not drowned: pages go on, nobody needs a second attempt",
        leaves_out=(
            f"full jitter of 1–60 s as sync has it, {cpu_ms / CLIENTS:.1f} ms of the hub's CPU a node, its start "
            f"and the pages included ({load()}); no records waited in the nodes"
        ),
    )
