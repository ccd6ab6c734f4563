"""A contact at another machine in, its node's real words to the hub out; whoever waits for it asks with its own sync.

That machine has no core and no journal here: of its node there is what looks at the contact and tells the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from interlock.config.sections import InputConfig, InterlockConfig
from interlock.protocol.credentials import HubAccess
from interlock.sim.simulator.full.hub import RealHub
from interlock.sim.simulator.full.net import VirtualHubClient, Wire
from interlock.sim.simulator.full.sync import Stepping
from interlock.sim.simulator.life import PiClock
from interlock.sim.simulator.next_door import NEXT_DOOR
from interlock.sim.simulator.schedule import Schedule
from interlock.sync.backoff import Backoff
from interlock.sync.links import No
from interlock.sync.neighbours import Neighbours

DOOR = "door"
"""What that machine calls it."""
MANNERS = {"late": "slow", "again": "doubling"}
"""What happens to values at the quick speed happens to that node's requests here."""


def waiting_for(node: str) -> tuple[InterlockConfig, ...]:
    """What node.toml says of the interlock at another node."""
    return (_declared(NEXT_DOOR, None, f"{node}/{DOOR}"),)


def next_door_of(node: int) -> int:
    """Under which number the hub of a run knows the other machine's node."""
    return -1 - node


class RealNextDoor:
    """The contact, and the exchange of its node."""

    def __init__(
        self, schedule: Schedule, node: int, chance: Random, access: HubAccess, hub: RealHub
    ) -> None:
        self.wire = Wire(node, hub, schedule, chance, lambda: not self._is_away)
        self.wire.identity = next_door_of(node)
        self._is_closed, self._is_away = True, False
        self._hub = VirtualHubClient(access, self.wire)
        contact = InputConfig(23, pull="up", normally="closed")
        exchange = Neighbours(
            node=self,
            hub=self._hub,
            declared=(_declared(DOOR, contact, None),),
            clock=PiClock(schedule),
            backoff=Backoff(chance),
        )
        self._stepping = Stepping(exchange, schedule, node)
        self._hub.fiber = self._stepping.fiber

    @property
    def manner(self) -> str:
        """What befalls its requests."""
        return self.wire.manner

    @property
    def is_well(self) -> bool:
        """Whether its newest word reaches the hub: a word that comes once more is in nobody's way."""
        return self.wire.manner in ("ok", "doubling") and not self._is_away

    def move(self, closed: bool) -> None:
        """Somebody opens or closes it."""
        self._is_closed = closed

    def behave(self, manner: str) -> None:
        """`away` and `back`, or what befalls its requests."""
        if manner in ("away", "back"):
            self._is_away = manner == "away"
        else:
            self.wire.manner = MANNERS.get(manner, manner)

    def end(self) -> None:
        """The run is over."""
        self._stepping.fiber.end()
        self._hub.close()

    # ----------------------------------------------------------------- what its node would answer

    def contacts(self) -> Sequence[bool | None]:
        """The level of the contact now."""
        return (self._is_closed,)

    def interlock(self, name: str, closed: bool | None, age_ms: int) -> No | None:
        """It waits for nobody."""
        raise AssertionError(f"nobody there waits for {name}")


def _declared(name: str, contact: InputConfig | None, remote: str | None) -> InterlockConfig:
    return InterlockConfig(
        name=name,
        contact=contact,
        remote=remote,
        permit_after_ms=200,
        trip_after_ms=0,
        needs_extraction=False,
        stops_extraction=False,
    )
