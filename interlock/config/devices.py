"""A node's configuration in, what its service may open out: systemd's device lines and kernel modules.

`DevicePolicy=closed` in systemd/interlock-node.service opens nothing; the drop-in made here opens what
the file names, and no more. Which devices are there does not matter: a rule for one that is missing
opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from interlock.config.sections import NodeConfig

GPIO_CHIPS = "char-gpiochip"
"""The whole class: a chip is found by its label, and its number differs from Pi to Pi and boot to boot."""

INPUT_DEVICES = "char-input"
"""A keyboard's number changes whenever it is plugged in, so its class is opened, for reading."""

MODULES_OF_CLASS = {"char-ttyUSB": "usbserial", "char-ttyACM": "cdc_acm"}
"""A class is known to the kernel only when its module is loaded; a service learns of it at its start."""

I2C_MODULE = "i2c-dev"

SERIAL = re.compile(r"/dev/(tty(?:USB|ACM|AMA|S))\d+")


def drop_in(config: NodeConfig) -> str:
    """The text of interlock-node.service.d/devices.conf."""
    lines = "\n".join(f"DeviceAllow={device}" for device in devices(config))
    return (
        "# Made from node.toml by `interlock node units`; install.sh makes it anew.\n"
        f"[Service]\n{lines}\n"
    )


def modules(config: NodeConfig) -> list[str]:
    """The kernel modules without which a device that the file names would not be there at the start."""
    named = [device.split()[0] for device in devices(config)]
    found = {MODULES_OF_CLASS[name] for name in named if name in MODULES_OF_CLASS}
    if any(name.startswith("/dev/i2c-") for name in named):
        found.add(I2C_MODULE)
    return sorted(found)


def devices(config: NodeConfig) -> list[str]:
    """Each device or class with what may be done to it, as DeviceAllow= takes it; sorted, none twice."""
    return sorted({f"{GPIO_CHIPS} rw", *_reader(config), *_current(config), *_screen(config)})


def _reader(config: NodeConfig) -> Iterator[str]:
    reader = config.reader
    if reader.kind == "mfrc522":
        yield f"/dev/spidev{reader.spi_bus}.{reader.spi_device} rw"
    elif reader.kind == "usb_keyboard":
        yield f"{INPUT_DEVICES} r"
    elif reader.kind == "pn532":
        named = SERIAL.fullmatch(reader.device or "")
        # A link such as /dev/serial/by-id/… may lead to any adapter.
        classes = [f"char-{named[1]}"] if named else [*MODULES_OF_CLASS, "char-ttyAMA", "char-ttyS"]
        yield from (f"{one} rw" for one in classes)


def _current(config: NodeConfig) -> Iterator[str]:
    current = config.current
    if current.kind == "ads1115":
        yield f"/dev/i2c-{current.i2c_bus} rw"
    elif current.kind == "mcp3008":
        yield f"/dev/spidev{current.spi_bus}.{current.spi_device} rw"


def _screen(config: NodeConfig) -> Iterator[str]:
    if config.screen.kind != "none":
        yield f"/dev/i2c-{config.screen.i2c_bus} rw"
