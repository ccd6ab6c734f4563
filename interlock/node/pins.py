"""Relay, extraction, enable, lamp and buzzer levels into a Pi's GPIO, levels of declared inputs out.

Whoever makes the pins names the gpiozero Factory: never gpiozero's own choice, whose silent
fall-back and GPIOZERO_PIN_FACTORY would let safety code pretend (1-architecture.md). The relay is
claimed first and off, and let go first. Inputs are levels, sampled; an edge only wakes the loop
earlier.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.config import InputConfig, NodeConfig
from interlock.core.model import Inputs
from interlock.errors import PinError
from interlock.node.panel import Light

if TYPE_CHECKING:
    from gpiozero.pins import Factory

CHIP_LABELS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""The label of the 40-pin header's chip: Pi 0-3, Pi 4, Pi 5. Its number is another on every
kernel.
"""

GET_CHIPINFO_IOCTL = 0x8044B401
"""GPIO_GET_CHIPINFO_IOCTL of linux/gpio.h: _IOR(0xB4, 0x01, struct gpiochip_info)."""

CHIPINFO = struct.Struct("=32s32sI")
"""struct gpiochip_info: name, label, number of lines."""


class MachinePins:
    """Every pin of one machine, claimed until `close()`. All methods belong to the loop's thread."""

    def __init__(
        self,
        config: NodeConfig,
        factory: Factory,
        wake: Callable[[], None] = lambda: None,
        busy: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """The relay is off and every pin is claimed. Raises PinError, having let go of all of
        them.

        `busy` is the last verdict of a current sensor that hangs on no pin; it must not block.
        """
        self._factory = factory
        self._wake = wake
        self._busy = busy
        self._outputs: dict[str, Any] = {}
        self._levels: dict[str, bool] = {}
        self._contacts: dict[str, _Contact] = {}
        self._interlocks = tuple(
            None if one.contact is None else f"interlock {one.name}" for one in config.interlocks
        )
        try:
            self._claim_output("relay", config.relay.pin, config.relay.active_high)
            self._claim_output("dynamic enable", config.relay.dynamic_enable_pin)
            self._claim_output("extraction", config.relay.extraction_pin)
            panel = config.panel
            self._claim_output("lamp red", panel.lamp_red_pin)
            self._claim_output("lamp green", panel.lamp_green_pin)
            self._claim_output("lamp blue", panel.lamp_blue_pin)
            self._claim_output("buzzer", panel.buzzer_pin)
            for name in SIGNALS:
                declared: InputConfig | None = getattr(config.inputs, name)
                if declared is not None:
                    self._claim_input(name, declared)
            for label, one in zip(self._interlocks, config.interlocks, strict=True):
                if label is not None and one.contact is not None:
                    self._claim_input(label, one.contact)
        except PinError:
            self.close()
            raise

    def relay(self, on: bool) -> None:
        """The coil is energised, or not. Raises PinError."""
        self._write("relay", on)
        if not on:
            self._write("dynamic enable", False)

    def extraction(self, on: bool) -> None:
        """Extraction or cooling runs, or not. Raises PinError."""
        self._write("extraction", on)

    def toggle_enable(self) -> None:
        """The dynamic enable shows the other level: the loop lives. Raises PinError."""
        self._write("dynamic enable", not self._levels.get("dynamic enable", False))

    def show(self, light: Light, sounding: bool) -> None:
        """Lamp and buzzer show this; only what changed is written. Raises PinError."""
        for name, level in zip(("lamp red", "lamp green", "lamp blue"), light, strict=True):
            self._write(name, level)
        self._write("buzzer", sounding)

    def sample(self) -> Inputs:
        """Every declared input as it is now; None for the others. Raises PinError."""
        at_rest = {name: contact.is_at_rest() for name, contact in self._contacts.items()}
        return Inputs(
            stop_pressed=at_rest.get("stop_button") is False,
            broken_pressed=at_rest.get("broken_button") is False,
            emergency_stop_closed=at_rest.get("emergency_stop"),
            mirror_closed=at_rest.get("mirror_contact"),
            machine_switch_on=_not(at_rest.get("machine_switch")),
            busy=_not(at_rest["current_sensor"]) if "current_sensor" in at_rest else self._busy(),
            bypass_on=_not(at_rest.get("bypass_key")),
            long_job_pressed=at_rest.get("long_job_button") is False,
            interlocks_closed=tuple(
                None if name is None else at_rest[name] for name in self._interlocks
            ),
        )

    def close(self) -> None:
        """Relay off, everything off, every pin let go; harmless when called again.

        A driver that raises what no driver should is heard of once every other pin was let go.
        """
        outputs, self._outputs = self._outputs, {}
        contacts, self._contacts = self._contacts, {}
        with ExitStack() as stack:
            # A stack undoes backwards: the relay, claimed first, is off and let go before the rest.
            for contact in contacts.values():
                stack.callback(_let_go, contact.device.close)
            for device in reversed(outputs.values()):
                stack.callback(_let_go, device.close)
                stack.callback(_let_go, device.off)

    def _claim_output(self, name: str, pin: int | None, active_high: bool = True) -> None:
        if pin is None:
            return
        from gpiozero import OutputDevice

        with _translated(name, pin):
            self._outputs[name] = OutputDevice(
                pin, active_high=active_high, initial_value=False, pin_factory=self._factory
            )
        self._levels[name] = False

    def _claim_input(self, name: str, declared: InputConfig) -> None:
        from gpiozero import InputDevice

        with _translated(name, declared.pin):
            device = InputDevice(
                declared.pin, pull_up=declared.pull == "up", pin_factory=self._factory
            )
            self._contacts[name] = _Contact(name, device, declared.normally == "closed")
            device.pin.edges = "both"
            device.pin.when_changed = self._edge

    def _edge(self, *_: object) -> None:
        self._wake()

    def _write(self, name: str, on: bool) -> None:
        device = self._outputs.get(name)
        if device is None or self._levels[name] is on:
            return
        with _translated(name):
            device.value = on
        self._levels[name] = on


SIGNALS = (
    "emergency_stop",
    "stop_button",
    "broken_button",
    "long_job_button",
    "mirror_contact",
    "machine_switch",
    "current_sensor",
    "bypass_key",
)


class _Contact:
    """One input: gpiozero calls it active when its contact conducts, whichever way it is pulled."""

    def __init__(self, name: str, device: Any, closed_at_rest: bool) -> None:
        self.device = device
        self._name = name
        self._closed_at_rest = closed_at_rest

    def is_at_rest(self) -> bool:
        """Whether the contact is as it is when nobody touches it. Raises PinError."""
        with _translated(self._name):
            return bool(self.device.is_active) is self._closed_at_rest


def gpio_factory(state_dir: Path) -> Factory:
    """The Pi's own pins through lgpio, which may write its notify file into `state_dir`. Raises
    PinError.
    """
    # lgpio reads LG_WD when it is imported, and otherwise litters its working directory.
    os.environ["LG_WD"] = str(state_dir)
    remedy = "Install Debian's python3-lgpio (see docs/install), then run: interlock doctor"
    try:
        from gpiozero.pins.lgpio import LGPIOFactory
    except (ImportError, AttributeError) as error:
        # AttributeError: PyPI's lgpio 0.0.0.2, an empty package that pip takes on Python 3.13.
        raise PinError("lgpio is missing or empty", where="GPIO", remedy=remedy) from error
    with _translated("GPIO"):
        return LGPIOFactory(chip=chip_number())


def driver_trouble() -> str | None:
    """Why gpiozero could not drive a Pi's pins with what is installed here; None when it could."""
    import importlib

    try:
        lgpio = importlib.import_module("lgpio")
        importlib.import_module("gpiozero.pins.lgpio")
    except (ImportError, AttributeError) as error:
        return str(error)
    # PyPI's lgpio 0.0.0.2 lets itself be imported and holds nothing.
    return None if hasattr(lgpio, "gpiochip_open") else "the installed lgpio is an empty package"


def chip_number(chips: Path = Path("/dev"), label_of: Callable[[Path], str] | None = None) -> int:
    """The number of the GPIO chip behind the 40-pin header, found by its label. Raises PinError."""
    read_label = label_of or _label
    seen = []
    for path in sorted(chips.glob("gpiochip*")):
        label = read_label(path)
        if label in CHIP_LABELS:
            return int(path.name.removeprefix("gpiochip"))
        seen.append(f"{path.name} ({label})")
    raise PinError(
        f"no GPIO chip of a Raspberry Pi among: {', '.join(seen) or 'none'}",
        where=str(chips),
        remedy="Run this on a Raspberry Pi, as a member of the group gpio",
    )


def _label(path: Path) -> str:
    import fcntl

    try:
        with path.open("rb") as chip:
            answer = fcntl.ioctl(chip, GET_CHIPINFO_IOCTL, bytes(CHIPINFO.size))
    except OSError as error:
        raise PinError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    label: bytes = CHIPINFO.unpack(answer)[1]
    return label.split(b"\0")[0].decode("ascii", "replace")


def _let_go(step: Callable[[], None]) -> None:
    try:
        with _translated("close"):
            step()
    except PinError:
        # A dead pin must not keep the others claimed; process exit frees it too.
        return


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


@contextmanager
def _translated(signal: str, pin: int | None = None) -> Iterator[None]:
    from gpiozero import GPIOZeroError

    where = signal if pin is None else f"{signal} on pin {pin}"
    try:
        yield
    except (GPIOZeroError, OSError, *_lgpio_errors()) as error:
        raise PinError(
            str(error) or type(error).__name__,
            where=where,
            remedy="Is another program using the pin? See: interlock doctor",
        ) from error


def _lgpio_errors() -> tuple[type[Exception], ...]:
    """lgpio raises its own class; it exists only once LGPIOFactory imported lgpio."""
    import sys

    lgpio = sys.modules.get("lgpio")
    error = getattr(lgpio, "error", None)
    return (error,) if isinstance(error, type) and issubclass(error, Exception) else ()
