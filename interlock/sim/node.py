"""The node of `interlock sim node`: the real process with pins, reader bus, clock and boot of a world.

The very function that `interlock node run` calls gets another gpiozero factory, a `spidev` that ends in
the world, and a clock that began when the virtual Pi was switched on. Nothing else differs.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from interlock.clock import Clock, SystemClock
from interlock.config import NodeConfig
from interlock.errors import ConfigError
from interlock.sim.pin_factory import WorldFactory
from interlock.sim.pin_port import SocketPort
from interlock.sim.spi_client import install_spidev
from interlock.sim.world_process import PINS_SOCKET, SPI_SOCKET

BOOT_FILE = "boot"
"""In the world's folder: boot id and the moment of power-on, as the demo's electrician wrote them."""


class PiClock:
    """The clocks of a virtual Pi: boot time counts from its power-on, whoever runs on it."""

    def __init__(self, boot_file: Path, computer: Clock | None = None) -> None:
        self._computer = computer or SystemClock()
        try:
            boot_id, powered_on_ms = boot_file.read_text(encoding="ascii").split()
            self._powered_on_ms = int(powered_on_ms)
        except (OSError, ValueError) as error:
            raise ConfigError(
                "this Pi was never switched on", where=str(boot_file), remedy="Start the demo anew"
            ) from error
        self._boot_id = boot_id

    @property
    def boot_id(self) -> str:
        """The id of the virtual boot."""
        return self._boot_id

    def boot_ms(self) -> int:
        """Milliseconds since the virtual power-on."""
        return self._computer.boot_ms() - self._powered_on_ms

    def wall_ms(self) -> int:
        """The computer's own wall time."""
        return self._computer.wall_ms()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        self._computer.sleep(seconds)


def switch_on(world: Path, clock: Clock) -> str:
    """The Pi of the world in the folder `world` begins a new boot now; its boot id, which is new."""
    boot_id = secrets.token_hex(16)
    (world / BOOT_FILE).write_text(f"{boot_id} {clock.boot_ms()}\n", encoding="ascii")
    return boot_id


def boot_id_of(world: Path) -> str:
    """The boot id of the Pi of this world. Raises ConfigError when it was never switched on."""
    return PiClock(world / BOOT_FILE).boot_id


def run_simulated_node(config: NodeConfig, world: Path) -> int:
    """Run the node of `config` in the world whose sockets stand in the folder `world`; exit code."""
    from interlock.node.service import run_node

    # Underneath the unmodified library: whoever imports spidev gets a bus that ends in the world.
    install_spidev(world / SPI_SOCKET)
    return run_node(
        config,
        pins=lambda _: WorldFactory(SocketPort(world / PINS_SOCKET)),
        clock=PiClock(world / BOOT_FILE),
    )
