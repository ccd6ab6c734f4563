"""One Pi of the full stack: the machine of the quick speed, with a card, a network and two processes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from interlock.config.sections import InterlockConfig
from interlock.sim.simulator.full.card import FullShell, Mirror, MirroredJournal, SdCard
from interlock.sim.simulator.full.hub import RealHub
from interlock.sim.simulator.full.net import Wire
from interlock.sim.simulator.full.next_door import RealNextDoor, waiting_for
from interlock.sim.simulator.full.node import Box, FullLife
from interlock.sim.simulator.full.sync import Sync, SyncParts
from interlock.sim.simulator.life import Life
from interlock.sim.simulator.next_door import Neighbour
from interlock.sim.simulator.pi import KERNEL_BOOT_US, RESTART_US, Parts, Pi
from interlock.sim.simulator.schedule import Schedule

SYNC_LOAD_US = 900_000
LATE_US = 20_000_000
"""What an answer and a question at the control socket take at the most."""
SETTLED_US = 90_000_000
"""Two exchanges that were at their longest pauses, one after the other, have both come round."""


@dataclass(frozen=True)
class FullParts:
    """What a run is made of; tests put broken ones in their places."""

    machine: Parts = field(default_factory=lambda: Parts(platter=Mirror))
    journal: type[MirroredJournal] = MirroredJournal
    sync: SyncParts = field(default_factory=SyncParts)


class FullPi(Pi):
    """One machine of the run."""

    def __init__(
        self,
        node: int,
        seed: int,
        hub: RealHub,
        schedule: Schedule,
        parts: FullParts,
        folder: Path,
    ) -> None:
        self.next_door: RealNextDoor | None = None
        self._declared: tuple[InterlockConfig, ...] = ()
        super().__init__(node, seed, hub, schedule, parts.machine)
        self._sync_parts = parts.sync
        self.witness.hearsay.settled_us = SETTLED_US
        self.witness.hearsay.doubt_us = LATE_US
        self._chance_of_sync = Random(f"sync {seed} {node}")
        mirror = self.card.platter
        assert isinstance(mirror, Mirror)
        self.mirror = mirror
        chance = Random(f"card {seed} {node}")
        self.box = Box(
            sd=SdCard(node, folder, chance, mirror),
            keys=hub.enrolled[node].keys,
            hub=hub,
            node=node,
            journal=parts.journal,
        )
        self.wire = Wire(node, hub, schedule, Random(f"wire {seed} {node}"), lambda: self.card.link)
        self._access = hub.enrolled[node].access
        self.sync: Sync | None = None
        self.unwell_us = 0
        """When anything last stood between this node and the hub."""
        self.checked_us: tuple[int, int] | None = None
        self.swaps = 0
        self._copy = self.box.sd.image()
        self.original: FullPi | None = None
        """Whose card may be copied into this Pi: the first machine's."""
        self._at(SYNC_LOAD_US, self._start_sync)
        for name in ("network", "hub"):
            self.witness.lane(name, True)

    @property
    def is_well(self) -> bool:
        """Whether news of the hub can reach the reader now."""
        life = self.life
        alive = life is not None and not life.is_paused and self.sync is not None
        return alive and self.wire.is_well and self.card.disk.manner == "ok"

    def heal(self) -> None:
        """The network is as it should be."""
        self._net("ok")
        self._link("up")

    def stop(self) -> None:
        """The run is over: no thread and no open file is left."""
        self._end_sync()
        self._buried()
        if self.next_door is not None:
            self.next_door.end()

    def look_next_door(self) -> None:
        """Whether anything stands between the contact at the other machine and this node now."""
        if self.next_door is not None:
            is_well, now_us = self.is_well and self.next_door.is_well, self._schedule.now_us
            self.witness.hearsay.way_changed(is_well=is_well, repeats=False, now_us=now_us)

    def mend(self) -> None:
        self.heal()
        super().mend()

    # ------------------------------------------------------------------------- what befalls it

    def _net(self, manner: str) -> None:
        self.wire.manner = manner
        self.witness.lane("network", self.wire.manner == "ok" and self.card.link)

    def _link(self, value: str) -> None:
        super()._link(value)
        self._net(self.wire.manner)

    def _sync(self, value: str) -> None:
        """kill -9 of the network process; systemd starts it anew."""
        if self.sync is not None:
            self._end_sync()
            self._at(RESTART_US + SYNC_LOAD_US, self._start_sync)

    def _sdcard(self, what: str) -> None:
        """`copy`: somebody keeps an image of the card. `old`: that image is put in. `twin`: a copy of the first
        machine's card is put in here, and both go on at once."""
        if self._powered:
            self._power_cut("pi")
        if what == "copy":
            self._copy = self.box.sd.image()
            return
        if what == "twin":
            self._become_twin()
        self.box.sd.put_back(self._copy)
        self.swaps += 1
        self.box.swapped = True
        witness = self.witness
        # What the witness knew of the card that was in here is true of no card any more.
        witness.durable.clear()
        witness.versions.clear()
        witness.closed_for.clear()
        witness.told_us = witness.confirmed_us = None
        witness.aged_us = 0

    def _become_twin(self) -> None:
        original = self.original
        assert original is not None
        original._power_cut("pi")
        self._copy, self._access = original.box.sd.image(), original._access
        self.box.keys, self.box.node = original.box.keys, original.box.node
        self.wire.identity = self.witness.identity = original.box.node
        # Its wires and its own settings are those of before; what the hub asks is asked of the other machine.
        self.fit = self.witness.fit = replace(self.fit, house=original.fit.house)

    def _disk(self, manner: str) -> None:
        self.box.sd.manner = manner
        super()._disk(manner)

    def _power_cut(self, value: str) -> None:
        if self._powered:
            self._end_sync()
        self._dies_with_its_power()
        super()._power_cut(value)

    def _kernel_hang(self, value: str) -> None:
        if self.life is not None and not self.life.is_paused:
            self._end_sync()
        super()._kernel_hang(value)

    def _reset(self) -> None:
        self._dies_with_its_power()
        super()._reset()

    def _dies_with_its_power(self) -> None:
        if self.life is not None and isinstance(self.life.shell, FullShell):
            self.life.shell.has_power = False

    # ---------------------------------------------------------------------------------- inside

    def _new_neighbour(self, seed: int, parts: Parts) -> Neighbour:
        node, hub = self.card.node, self._office
        assert isinstance(hub, RealHub)
        enrolled = hub.next_door[node]
        chance = Random(f"words {seed} {node}")
        self.next_door = RealNextDoor(self._schedule, node, chance, enrolled.access, hub)
        self._declared = waiting_for(enrolled.node.slug)
        return self.next_door

    def _way_changed(self, *, repeats: bool = False) -> None:
        """The judge looks after every act."""

    def _new_life(self) -> Life:
        return FullLife(self.box, self.card, self._owners, self._exited)

    def _boot(self) -> None:
        super()._boot()
        self._at(KERNEL_BOOT_US + SYNC_LOAD_US, self._start_sync)

    def _start_sync(self) -> None:
        if self.sync is None and self._powered:
            self.witness.lane("sync", True)
            self.sync = Sync(
                access=self._access,
                wire=self.wire,
                door=self._asked,
                spool=self.box.sd.spool,
                clock=self.card.clock,
                schedule=self._schedule,
                chance=self._chance_of_sync,
                node=self.card.node,
                parts=self._sync_parts,
                declared=self._declared,
            )

    def _end_sync(self) -> None:
        sync, self.sync = self.sync, None
        if sync is not None:
            self.witness.lane("sync", False)
            sync.end()

    def _asked(self, line: bytes) -> bytes | None:
        life = self.life
        if life is None or life.is_dead:
            return None
        assert isinstance(life, FullLife)
        return b"" if life.is_paused else life.asked(line)
