"""What may befall a machine, as lines of text: a plan is made of them, shrunk by leaving some out, and kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from interlock.errors import ConfigError


class Kind(StrEnum):
    """What happens; the value beside it says with what. The last four befall the full stack only."""

    LAY = "lay"
    LIFT = "lift"
    PRESS = "press"
    RELEASE = "release"
    EMERGENCY = "emergency"
    BYPASS = "bypass"
    INTERLOCK = "interlock"
    WELD = "weld"
    STICK = "stick"
    FAN = "fan"
    MAINS = "mains"
    KILL = "kill"
    STOP = "stop"
    TERMINATE = "terminate"
    KERNEL_HANG = "kernel_hang"
    POWER_CUT = "power_cut"
    DISK = "disk"
    READER = "reader"
    WALL = "wall"
    LINK = "link"
    HUB = "hub"
    COMMAND = "command"
    NEXT_DOOR = "next_door"
    HEARSAY = "hearsay"
    NET = "net"
    SYNC = "sync"
    SDCARD = "sdcard"
    OFFICE = "office"


FAULTS = frozenset(
    {
        *(Kind.WELD, Kind.STICK, Kind.FAN, Kind.MAINS, Kind.KILL, Kind.STOP, Kind.KERNEL_HANG),
        *(Kind.POWER_CUT, Kind.DISK, Kind.READER, Kind.WALL, Kind.LINK, Kind.TERMINATE),
    }
)
"""What breaks, as against what people and operators do: S13 compares a run with one that lacks them."""

ELSEWHERE = frozenset({Kind.HEARSAY})
"""What breaks between another machine's contact and the node that waits for it."""

OUTSIDE = frozenset({Kind.NET, Kind.SYNC, Kind.SDCARD, Kind.OFFICE})
"""What breaks, or is broken by people, around the nodes of the full stack."""


@dataclass(frozen=True, slots=True, order=True)
class Happening:
    """At `at_ms` of the run, at machine `node`: `kind` with `value`."""

    at_ms: int
    node: int
    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        return f"{self.at_ms} {self.node} {self.kind.value} {self.value}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run: everything random in it comes from `seed` and from these happenings."""

    seed: int
    nodes: int
    end_ms: int
    happenings: tuple[Happening, ...]

    def to_text(self) -> str:
        """One line for the run and one for each happening."""
        lines = [f"seed {self.seed} nodes {self.nodes} end_ms {self.end_ms}"]
        return "\n".join([*lines, *(str(one) for one in self.happenings)]) + "\n"


def plan_from_text(lines: Iterable[str]) -> Plan:
    """The plan that `to_text` wrote. Raises ConfigError."""
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    try:
        head = dict(zip(rows[0][::2], rows[0][1::2], strict=True))
        happenings = tuple(
            Happening(int(row[0]), int(row[1]), Kind(row[2]), " ".join(row[3:])) for row in rows[1:]
        )
        return Plan(int(head["seed"]), int(head["nodes"]), int(head["end_ms"]), happenings)
    except (IndexError, KeyError, ValueError) as error:
        raise ConfigError(
            "it is no plan of the simulator",
            where="plan",
            remedy="Use a plan.txt that `interlock sim run` wrote",
        ) from error
