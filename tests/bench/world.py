"""The virtual wires: transfers, writes and levels between two processes go in, their latencies out.

They belong to the demo, not to a Pi: there the same calls end in the kernel. They stand in the table so
that a figure measured on the demo can be read without them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import gpiozero

from interlock.clock import perf_us
from interlock.sim.pin_factory import WorldFactory, world_factory
from interlock.sim.spi_client import SpiDev
from tests.bench.row import Row, percentiles
from tests.sim.worlds import RELAY, STOP, WorldProcess, world_process

READ_VERSION = [0x37 << 1 | 0x80, 0]
TRANSFERS = 5_000
WRITES = 5_000
PRESSES = 200


def rows() -> Iterator[Row]:
    """Every row of this file."""
    with world_process() as world:
        yield spi_transfer(world)
        factory = world_factory(world.directory)
        yield pin_write(factory)
        yield button_to_node(world, factory)
        factory.close()


def spi_transfer(world: WorldProcess) -> Row:
    """One register read of the chip model in the world process."""
    spi = SpiDev(world.directory / "spi.sock")
    spi.open(0, 0)
    took_us = []
    for _ in range(TRANSFERS):
        began_us = perf_us()
        spi.xfer2(READ_VERSION)
        took_us.append(perf_us() - began_us)
    spi.close()
    return Row(
        "virtual SPI transfer, 2 bytes, node process → world process → node process",
        percentiles(took_us, "µs", 0),
        "none: a Pi needs 30–60 µs for the real one",
        "one reader alone; three worlds share the cores in the demo",
    )


def pin_write(factory: WorldFactory) -> Row:
    """A gpiozero output written: what the node's loop pays for it."""
    relay = gpiozero.OutputDevice(RELAY, pin_factory=factory)
    took_us = []
    for turn in range(WRITES):
        began_us = perf_us()
        relay.value = turn % 2
        took_us.append(perf_us() - began_us)
    relay.close()
    return Row(
        "virtual pin write, as the loop sees it",
        percentiles(took_us, "µs", 0),
        "none",
        "posted without waiting: the world's own time to act on it is not in it",
    )


def button_to_node(world: WorldProcess, factory: WorldFactory) -> Row:
    """A button pressed in the world until gpiozero in the node calls back."""
    button = gpiozero.DigitalInputDevice(STOP, pull_up=True, pin_factory=factory)
    told = threading.Event()
    button.when_activated = told.set
    took_ms = []
    for _ in range(PRESSES):
        told.clear()
        began_us = perf_us()
        world.ask("press", button="stop")
        told.wait(5)
        took_ms.append((perf_us() - began_us) / 1_000)
        world.ask("let_go", button="stop")
    button.close()
    return Row(
        "virtual button pressed → edge in the node",
        percentiles(took_ms),
        "none",
        "the request to press it, over the world's own socket, is included",
    )
