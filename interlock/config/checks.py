"""A parsed node's file in; the rules that no single key can know, as errors and as warnings.

A wiring that could power a machine by itself is refused; what may be run but should be thought
about again is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Final

from interlock.config.sections import InputConfig, InterlockConfig, NodeConfig, PathsConfig
from interlock.config.table import PROGRESS_S
from interlock.core.model import BadgeUse
from interlock.errors import ConfigError

PINS_PULLED_UP_AT_BOOT: Final = range(9)
"""BCM2835 ARM Peripherals, table 6-31: GPIO 0-8 come out of reset with their pull-up on."""
PINS_OF_THE_SERIAL_CONSOLE: Final = (14, 15)
PINS_OF_I2C: Final = (2, 3)
PINS_OF_SPI: Final = range(7, 12)
"""SPI0: CE1, CE0, MISO, MOSI, SCLK."""
SOCKET_PATH_BYTES_MAX: Final = 107
"""sockaddr_un.sun_path is 108 bytes with its terminating zero (unix(7))."""
ADS1115_CHANNELS: Final = 4
READERS_WITHOUT_AES: Final = ("usb_keyboard",)
"""It types a number; nothing can be asked of the badge behind it."""
READERS_WITH_A_DEVICE: Final = ("pn532", "usb_keyboard")
"""Nobody can guess which serial port or which keyboard it is."""
CURRENT_BY_I2C: Final = "ads1115"
CURRENT_BY_SPI: Final = "mcp3008"


def check(config: NodeConfig) -> None:
    """The file may be run with. Raises ConfigError: what is wrong, where, and what to write."""
    _check_pins(config)
    _check_restart_protection(config)
    _check_ways_out(config)
    _check_people(config)
    _check_assurance(config)
    _check_reader(config)
    _check_interlocks(config)
    _check_extraction(config)
    _check_current(config)
    _check_screen(config)
    _check_socket_path(config.paths)


def warnings(config: NodeConfig, say: Callable[[str], str] = str) -> list[str]:
    """What `check-config` says about a file that may be run but should be thought about again, as `say` puts it:
    English, or another language of the catalogue."""
    about = (_warnings_about_wiring, _warnings_about_guards, _warnings_about_people)
    found = [warning for ask in about for warning in ask(config)]
    return [say(text) % values for text, values in found]


def pins_in_use(config: NodeConfig) -> Iterator[tuple[str, int]]:
    """Every key that names a pin of ours, and the pin; the reader's own pins are not among them."""
    yield "relay.pin", config.relay.pin
    optional = {
        "relay.dynamic_enable_pin": config.relay.dynamic_enable_pin,
        "relay.extraction_pin": config.relay.extraction_pin,
        "panel.lamp_red_pin": config.panel.lamp_red_pin,
        "panel.lamp_green_pin": config.panel.lamp_green_pin,
        "panel.lamp_blue_pin": config.panel.lamp_blue_pin,
        "panel.buzzer_pin": config.panel.buzzer_pin,
    }
    for field in fields(config.inputs):
        declared: InputConfig | None = getattr(config.inputs, field.name)
        if declared is not None:
            optional[f"inputs.{field.name}.pin"] = declared.pin
    for number, interlock in enumerate(config.interlocks, 1):
        if interlock.contact is not None:
            optional[f"interlocks[{number}].pin"] = interlock.contact.pin
    for path, pin in optional.items():
        if pin is not None:
            yield path, pin


# ----------------------------------------------------------------------------------------- warnings


def N_(msgid: str) -> str:  # noqa: N802 - the mark that pybabel looks for
    """`msgid` itself; the mark under which the catalogue finds it."""
    return msgid


_Warning = tuple[str, dict[str, Any]]
"""An English msgid of the catalogue, and what stands in it."""

_FREE_PINS = "16, 17, 22, 23, 26, 27"


def _warnings_about_wiring(config: NodeConfig) -> Iterator[_Warning]:
    relay = config.relay
    if not relay.active_high:
        yield (
            N_(
                "relay.active_high = false: the relay clicks on for a moment whenever the node starts; "
                "use an active-high board"
            ),
            {},
        )
    if relay.pin in PINS_OF_THE_SERIAL_CONSOLE:
        yield (
            N_(
                "relay.pin = %(pin)d is driven by the serial console while the Pi boots; "
                "choose one of %(free)s"
            ),
            {"pin": relay.pin, "free": _FREE_PINS},
        )
    if relay.extraction_pin in PINS_PULLED_UP_AT_BOOT:
        yield (
            N_(
                "relay.extraction_pin = %(pin)d is pulled up while the Pi boots: the extraction runs "
                "meanwhile; choose one of %(free)s"
            ),
            {"pin": relay.extraction_pin, "free": _FREE_PINS},
        )
    if config.times.progress_s < PROGRESS_S:
        yield (
            N_(
                "times.progress_s = %(seconds)d: more than one write a minute wears the SD card; "
                "60 is enough for a bill"
            ),
            {"seconds": config.times.progress_s},
        )
    if config.inputs.stop_button is None:
        yield N_("no inputs.stop_button: only a badge ends a session before its time"), {}
    for number, interlock in enumerate(config.interlocks, 1):
        if interlock.contact is not None and interlock.contact.normally == "open":
            yield (
                N_(
                    "interlocks[%(number)d].normally = open: a broken wire of '%(name)s' reads as all "
                    "well; use a contact that is closed while all is well"
                ),
                {"number": number, "name": interlock.name},
            )


def _warnings_about_guards(config: NodeConfig) -> Iterator[_Warning]:
    relay, hazardous = config.relay, config.machine.hazardous
    if hazardous and relay.dynamic_enable_pin is None:
        yield (
            N_(
                "a hazardous machine without relay.dynamic_enable_pin: nothing outside the Pi drops "
                "the coil when its software hangs"
            ),
            {},
        )
    if hazardous and config.inputs.emergency_stop is None:
        yield (
            N_(
                "a hazardous machine without inputs.emergency_stop: the stop chain still works, but a "
                "session goes on being counted while it is open"
            ),
            {},
        )


def _warnings_about_people(config: NodeConfig) -> Iterator[_Warning]:
    machine, current = config.machine, config.current
    if machine.hazardous and machine.min_assurance == "uid":
        yield (
            N_(
                "machine.min_assurance = uid on a hazardous machine: such a badge can be cloned; "
                "give members secure badges and write aes"
            ),
            {},
        )
    if machine.enforcement == "warn_only":
        yield (
            N_(
                "machine.enforcement = warn_only: everybody may work, refusals are only recorded; "
                "write enforce when the trial is over"
            ),
            {},
        )
    if current.kind in (CURRENT_BY_I2C, CURRENT_BY_SPI) and current.busy_above_ma is None:
        yield (
            N_(
                "current.busy_above_ma and idle_below_ma are not said: busy stays unknown until "
                "`interlock commission` has learned them"
            ),
            {},
        )


# ---------------------------------------------------------------------------------- pins and wires


def _check_pins(config: NodeConfig) -> None:
    if config.relay.pin in PINS_PULLED_UP_AT_BOOT:
        raise ConfigError(
            f"pin {config.relay.pin} is pulled up while the Pi boots: the relay would close",
            where="relay.pin",
            remedy="Use 16, 17, 22, 23, 26 or 27",
        )
    owners = dict(_pins_of_buses(config))
    for path, pin in pins_in_use(config):
        if pin in owners:
            raise ConfigError(
                f"pin {pin} already belongs to {owners[pin]}",
                where=path,
                remedy="Give every signal a pin of its own",
            )
        owners[pin] = path


def _pins_of_buses(config: NodeConfig) -> Iterator[tuple[int, str]]:
    if config.current.kind == CURRENT_BY_SPI:
        yield from dict.fromkeys(PINS_OF_SPI, "the SPI bus of the MCP3008").items()
    if config.reader.kind == "mfrc522":
        yield from dict.fromkeys(PINS_OF_SPI, "the reader's SPI bus").items()
        yield config.reader.reset_pin, "reader.reset_pin"
    if config.current.kind == CURRENT_BY_I2C or config.screen.kind != "none":
        yield from dict.fromkeys(PINS_OF_I2C, "the I2C bus").items()


def _check_restart_protection(config: NodeConfig) -> None:
    inputs, chosen = config.inputs, config.machine.restart_protection
    missing = {
        "mirror_contact": "declare [inputs.mirror_contact]" if not inputs.mirror_contact else "",
        "stop_status": (
            ""
            if inputs.emergency_stop and inputs.emergency_stop.supply_sense
            else "declare [inputs.emergency_stop] with supply_sense = true"
        ),
        # A switch that stays where it was put starts the machine whenever power returns: exactly
        # what a self-holding circuit is there to prevent.
        "self_holding": (
            "choose another protection, or take [inputs.machine_switch] away"
            if inputs.machine_switch
            else ""
        ),
        "none": (
            ""
            if config.machine.cannot_move_by_itself
            else "choose a protection, or set machine.cannot_move_by_itself = true where that is so"
        ),
    }.get(chosen, "")
    if missing:
        raise ConfigError(
            f"{chosen!r} does not keep the machine still when power returns",
            where="machine.restart_protection",
            remedy=missing[0].upper() + missing[1:],
        )


def _check_ways_out(config: NodeConfig) -> None:
    """A tapped session, or a long job whose badge left, outlives its reader: something else must be able to end it."""
    machine = config.machine
    outlives = machine.badge_use == BadgeUse.TAP.value or machine.long_jobs
    if not outlives or config.inputs.stop_button is not None:
        return
    why = ""
    if config.current.kind == "none":
        why = "without a current sensor nobody knows that the machine is idle"
    elif config.times.idle_timeout_s is None:
        why = "no idle timeout ends it"
    if why:
        raise ConfigError(
            f"is missing: if the reader dies, nothing can end a tapped session or a long job ({why})",
            where="inputs.stop_button",
            remedy="Declare [inputs.stop_button] with its pin",
        )


def _check_interlocks(config: NodeConfig) -> None:
    names = set()
    for number, interlock in enumerate(config.interlocks, 1):
        table = f"interlocks[{number}]"
        if not interlock.name.isprintable() or interlock.name != interlock.name.strip():
            raise ConfigError(
                "is no name that a screen can show",
                where=f"{table}.name",
                remedy="Write one short word, for example Lid",
            )
        if interlock.name in names:
            raise ConfigError(
                f"{interlock.name!r} stands there twice",
                where=f"{table}.name",
                remedy="Give every interlock a name of its own",
            )
        names.add(interlock.name)
        _check_interlock(interlock, table)


def _check_interlock(interlock: InterlockConfig, table: str) -> None:
    remote = interlock.remote
    if (interlock.contact is None) is (remote is None):
        raise ConfigError(
            f"{interlock.name!r} needs either a pin or a remote, and not both",
            where=table,
            remedy='Write pin = 23, or remote = "node/name"',
        )
    if remote is not None and (remote.count("/") != 1 or not all(remote.split("/"))):
        raise ConfigError(
            f"{remote!r} names no interlock of another node",
            where=f"{table}.remote",
            remedy='Write "node/name", for example "extraction/Air flow"',
        )
    if remote is not None and (interlock.needs_extraction or interlock.stops_extraction):
        raise ConfigError(
            "an interlock of another node only blocks starts: it cannot steer the extraction",
            where=f"{table}.remote",
            remedy="Take needs_extraction and stops_extraction away",
        )
    if interlock.needs_extraction and interlock.stops_extraction:
        raise ConfigError(
            "it cannot both wait for the extraction and stop it",
            where=f"{table}.stops_extraction",
            remedy="Keep one of needs_extraction and stops_extraction",
        )


def _check_extraction(config: NodeConfig) -> None:
    if config.relay.extraction_pin is not None:
        return
    times = config.times
    asked = {
        "times.pre_run_s": times.pre_run_s > 0,
        "times.run_on_s": times.run_on_s > 0,
        **{
            f"interlocks[{number}].{name}": getattr(interlock, name)
            for number, interlock in enumerate(config.interlocks, 1)
            for name in ("needs_extraction", "stops_extraction")
        },
    }
    for path, is_asked in asked.items():
        if is_asked:
            raise ConfigError(
                "there is no extraction to run", where=path, remedy="Write relay.extraction_pin"
            )


# --------------------------------------------------------------------------------- people and badges


def _check_people(config: NodeConfig) -> None:
    machine = config.machine
    if machine.enforcement == "warn_only" and machine.hazardous:
        raise ConfigError(
            "'warn_only' is refused: a hazardous machine is never open to all",
            where="machine.enforcement",
            remedy="Write enforce",
        )
    if machine.long_jobs and config.inputs.long_job_button is None:
        raise ConfigError(
            "nobody could declare a long job",
            where="machine.long_jobs",
            remedy="Declare [inputs.long_job_button] with its pin",
        )


def _check_assurance(config: NodeConfig) -> None:
    kind = config.reader.kind
    if config.machine.min_assurance == "aes" and kind in READERS_WITHOUT_AES:
        raise ConfigError(
            f"'aes' (the default where hazardous) is refused: a {kind} reader can prove no badge",
            where="machine.min_assurance",
            remedy="Choose another reader.kind, or write uid and know that such badges are clonable",
        )


def _check_reader(config: NodeConfig) -> None:
    if config.reader.kind == "usb_keyboard" and config.machine.badge_use == BadgeUse.HOLD:
        raise ConfigError(
            "a keyboard reader tells when a badge comes, never whether it still lies there",
            where="machine.badge_use",
            remedy='Write badge_use = "tap", or use another reader: a held badge needs one that looks',
        )
    if config.reader.kind in READERS_WITH_A_DEVICE and config.reader.device is None:
        raise ConfigError(
            f"is missing: which port or input device the {config.reader.kind} is",
            where="reader.device",
            remedy="Write its path, for example /dev/serial0 or /dev/input/by-id/usb-…-event-kbd",
        )
    if config.reader.kind == "mfrc522" and config.reader.device is not None:
        raise ConfigError(
            "an mfrc522 hangs on the SPI bus",
            where="reader.device",
            remedy="Take it away and write reader.spi_bus and reader.spi_device",
        )


# --------------------------------------------------------------------------------- current and screen


def _check_current(config: NodeConfig) -> None:
    current, times, sensor = config.current, config.times, config.inputs.current_sensor
    if (current.kind == "dry_contact") is not (sensor is not None):
        raise ConfigError(
            f"{current.kind!r} and [inputs.current_sensor] contradict each other",
            where="current.kind",
            remedy="Declare [inputs.current_sensor] for dry_contact, and for nothing else",
        )
    if current.kind == CURRENT_BY_I2C and current.channel >= ADS1115_CHANNELS:
        raise ConfigError(
            f"an ADS1115 has no channel {current.channel}",
            where="current.channel",
            remedy="Write 0, 1, 2 or 3",
        )
    if current.kind == CURRENT_BY_SPI and (current.spi_bus, current.spi_device) == (
        (config.reader.spi_bus, config.reader.spi_device) if config.reader.kind == "mfrc522" else ()
    ):
        raise ConfigError(
            "the badge reader has this chip select",
            where="current.spi_device",
            remedy="Give the MCP3008 the other one",
        )
    _check_thresholds(current.busy_above_ma, current.idle_below_ma)
    if times.unexpected_start_ms is None:
        return
    if current.kind == "none":
        raise ConfigError(
            "without a current sensor nobody sees the machine start",
            where="times.unexpected_start_ms",
            remedy='Declare a current sensor, or write "off"',
        )
    if times.inrush_ms >= times.unexpected_start_ms:
        raise ConfigError(
            "the inrush hides the whole time in which a start is looked for",
            where="times.inrush_ms",
            remedy=f"Write less than times.unexpected_start_ms = {times.unexpected_start_ms}",
        )


def _check_thresholds(busy_above_ma: int | None, idle_below_ma: int | None) -> None:
    if (busy_above_ma is None) is not (idle_below_ma is None):
        raise ConfigError(
            "one threshold without the other",
            where="current",
            remedy="Write both busy_above_ma and idle_below_ma, or neither and learn them",
        )
    if busy_above_ma is not None and idle_below_ma is not None and idle_below_ma >= busy_above_ma:
        raise ConfigError(
            f"{idle_below_ma} is not below busy_above_ma = {busy_above_ma}",
            where="current.idle_below_ma",
            remedy="Leave room between them: a machine on the edge must not flutter",
        )


def _check_screen(config: NodeConfig) -> None:
    screen, current = config.screen, config.current
    sizes = {"oled": (21,), "lcd": (16, 20)}.get(screen.kind)
    if sizes is not None and screen.columns not in sizes:
        raise ConfigError(
            f"there is no {screen.kind} of {screen.columns} columns",
            where="screen.columns",
            remedy="Write " + " or ".join(map(str, sizes)),
        )
    taken = current.kind == CURRENT_BY_I2C and current.i2c_bus == screen.i2c_bus
    if screen.kind != "none" and taken and current.i2c_address == screen.i2c_address:
        raise ConfigError(
            "the ADS1115 has this address",
            where="screen.i2c_address",
            remedy="Give each device on the bus its own",
        )


def _check_socket_path(paths: PathsConfig) -> None:
    length = len(str(paths.socket).encode())
    if length > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            f"its control socket's path has {length} bytes; Unix allows {SOCKET_PATH_BYTES_MAX}",
            where="paths.state_dir",
            remedy="Choose a shorter folder",
        )
