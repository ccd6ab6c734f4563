"""The node of `interlock sim node` on a Pi without a battery clock: each of its boots begins in 1970.

Arguments: node.toml, the world's folder.
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


class ClockOf1970(PiClock):
    """Wall time counts from the epoch at every boot."""

    def wall_ms(self) -> int:
        """Milliseconds since the virtual power-on."""
        return self.boot_ms()


def main() -> int:
    """Run the node until SIGTERM; its exit code."""
    config, world = load_node(Path(sys.argv[1])), Path(sys.argv[2])
    install_spidev(world / SPI_SOCKET)
    return run_node(
        config, pins=lambda _: world_factory(world), clock=ClockOf1970(world / BOOT_FILE)
    )


if __name__ == "__main__":
    sys.exit(main())
