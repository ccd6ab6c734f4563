"""What can go wrong in the demo: a wish of the panel page in, real signals and pulled cables out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from interlock.clock import Clock
from interlock.protocol.control import Op
from interlock.sim.demo_machines import MachineFolder
from interlock.sim.network import Cable
from interlock.sim.node import boot_id_of, switch_on
from interlock.sim.panel_server import MachineFaults
from interlock.sim.processes import ServiceManager
from interlock.sim.supervised import Phase, Unit
from interlock.sync.node_link import NodeClient

HUB = "hub"

_WORDS = {
    Phase.STOPPED: "off",
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.ABORTING: "frozen",
    Phase.STOPPING: "starting",
    Phase.KILLED: "killed",
    Phase.RESTARTING: "killed",
}


@dataclass
class MachineParts:
    """The processes and the line of one machine, and what was done to them."""

    folder: MachineFolder
    node: Unit
    sync: Unit
    cable: Cable
    frozen_pid: int | None = None
    power_cut: bool = False
    old_card: bool = False
    boot_id: str = ""


class DemoFaults:
    """Implements `panel_server.Faults` on the demo's service manager; safe to call from any thread."""

    def __init__(
        self, manager: ServiceManager, machines: Mapping[str, MachineParts], hub: Unit, clock: Clock
    ) -> None:
        self._manager = manager
        self._machines = machines
        self._hub = hub
        self._clock = clock

    def unplug(self, machine: str, on: bool) -> None:
        """The machine's network cable is out, without a word to anybody, or in again."""
        cable = self._machines[machine].cable
        if on:
            cable.unplug(silent=True)
        else:
            cable.plug()

    def cut_power(self, machine: str, on: bool) -> None:
        """Node and sync are gone in mid-instruction; with power back the Pi boots anew."""
        parts = self._machines[machine]
        if on:
            parts.power_cut = True
            self._manager.cut(parts.node.name, parts.sync.name)
        else:
            parts.boot_id = switch_on(parts.folder.world, self._clock)
            self._manager.start(parts.node)
            self._manager.start(parts.sync)
            parts.power_cut = False

    def copy_cards(self) -> None:
        """Of each machine's SD card there is a copy, as it is now: what a thief, or a careful person, has."""
        for parts in self._machines.values():
            # The image of a Pi that runs: what a power cut at this instant would leave.
            self._manager.freeze(parts.node.name)
            try:
                shutil.rmtree(parts.folder.other_card, ignore_errors=True)
                no_sockets = shutil.ignore_patterns("*.sock")
                shutil.copytree(parts.folder.state, parts.folder.other_card, ignore=no_sockets)
            finally:
                self._manager.thaw(parts.node.name)

    def old_card(self, machine: str, on: bool) -> None:
        """The copy is in the Pi, or the card it was made of; its power is cut meanwhile."""
        parts = self._machines[machine]
        if parts.old_card == on:
            return
        out = parts.folder.other_card.with_name("card-in-hand")
        parts.folder.state.rename(out)
        parts.folder.other_card.rename(parts.folder.state)
        out.rename(parts.folder.other_card)
        parts.old_card = on

    def kill_node(self, machine: str) -> None:
        """The node gets SIGKILL; it is restarted after a second."""
        self._manager.kill(self._machines[machine].node.name)

    def freeze_node(self, machine: str, on: bool) -> None:
        """The node gets SIGSTOP, or SIGCONT; the watchdog does not wait long for the latter."""
        parts = self._machines[machine]
        if on:
            parts.frozen_pid = self._manager.report(parts.node.name).pid
            self._manager.freeze(parts.node.name)
        else:
            parts.frozen_pid = None
            self._manager.thaw(parts.node.name)

    def clear_faults(self, machine: str) -> None:
        """What `interlock node clear-faults` does on a Pi."""
        client = NodeClient(self._machines[machine].folder.control_socket, self._clock)
        client.ask(Op.CLEAR_FAULTS, by="demo")

    def stop_hub(self, on: bool) -> None:
        """The hub is stopped, or started again."""
        if on:
            self._manager.stop(HUB)
        else:
            self._manager.start(self._hub)

    def hub_runs(self) -> bool:
        """Whether the hub answers."""
        return self._manager.report(HUB).phase is Phase.RUNNING

    def of_machine(self, machine: str) -> MachineFaults:
        """What is wrong with `machine` now."""
        parts = self._machines[machine]
        report = self._manager.report(parts.node.name)
        # A pid that the watchdog has ended since is not frozen any more.
        frozen = parts.frozen_pid is not None and report.pid == parts.frozen_pid
        word = "frozen" if frozen and report.phase is Phase.RUNNING else _WORDS[report.phase]
        return MachineFaults(
            unplugged=not parts.cable.plugged,
            power_cut=parts.power_cut,
            frozen=frozen,
            old_card=parts.old_card,
            node=word,
            boot_id=parts.boot_id or boot_id_of(parts.folder.world),
        )
