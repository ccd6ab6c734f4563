"""The node of `interlock sim node` on a Pi whose wall clock says whatever a file says, at every look.

The file `wall` in the world's folder holds milliseconds to add to the computer's own clock, or `1970` for a
clock that began there at power-on. Arguments: node.toml, the world's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from interlock.config import load_node
from interlock.node.service import run_node
from interlock.sim.node import BOOT_FILE, PiClock
from interlock.sim.pin_factory import world_factory
from interlock.sim.spi_client import install_spidev
from interlock.sim.world_process import SPI_SOCKET

WALL_FILE = "wall"
IN_1970 = "1970"


class WrongClock(PiClock):
    """Its wall time jumps when the file is replaced; its monotonic time never does."""

    def __init__(self, world: Path) -> None:
        super().__init__(world / BOOT_FILE)
        self._wall_file = world / WALL_FILE

    def wall_ms(self) -> int:
        """What this Pi believes."""
        said = self._wall_file.read_text(encoding="ascii")
        return self.boot_ms() if said == IN_1970 else super().wall_ms() + int(said)


def main() -> int:
    """Run the node until SIGTERM; its exit code."""
    config, world = load_node(Path(sys.argv[1])), Path(sys.argv[2])
    install_spidev(world / SPI_SOCKET)
    return run_node(config, pins=lambda _: world_factory(world), clock=WrongClock(world))


if __name__ == "__main__":
    sys.exit(main())
