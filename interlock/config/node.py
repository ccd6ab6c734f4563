"""A node's TOML file in, one frozen `NodeConfig` out; or a ConfigError that says what to do.

Everything a file may say stands in `KEYS`, once: path, unit, default, bounds and the reason for
them. `check-config`, the documentation and the parser read the same table. An unknown key, a key
without its unit, a wrong type, a value out of bounds and a wiring that could power a machine by
itself are all refused.

Wiring and safety minimums belong to this file alone; the hub may only tighten (2-machine.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from interlock.config.keys import REQUIRED, Key, Values, choice, flag, number, read_toml, text
from interlock.core.model import Assurance, BadgeUse, Rules
from interlock.errors import ConfigError

# --------------------------------------------------------------------------------- what a file says


@dataclass(frozen=True, slots=True)
class MachineConfig:
    """The machine and what its owner demands of people."""

    name: str
    hazardous: bool
    cannot_move_by_itself: bool
    badge_use: str
    min_assurance: str
    restart_protection: str
    enforcement: str


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """The output that energises the contactor's coil, and the one that keeps a charge pump alive."""

    pin: int
    active_high: bool
    dynamic_enable_pin: int | None


@dataclass(frozen=True, slots=True)
class InputConfig:
    """One contact to ground (pull up) or to 3.3 V (pull down); `normally` is its rest position."""

    pin: int
    pull: str
    normally: str
    supply_sense: bool = False


@dataclass(frozen=True, slots=True)
class InputsConfig:
    """Every declared input; None means that the machine has none."""

    stop_button: InputConfig | None = None
    broken_button: InputConfig | None = None
    emergency_stop: InputConfig | None = None
    mirror_contact: InputConfig | None = None
    machine_switch: InputConfig | None = None
    current_sensor: InputConfig | None = None


@dataclass(frozen=True, slots=True)
class PanelConfig:
    """Lamp, buzzer and the screen's language until a badge brings its own."""

    language: str
    lamp_red_pin: int | None
    lamp_green_pin: int | None
    lamp_blue_pin: int | None
    buzzer_pin: int | None


@dataclass(frozen=True, slots=True)
class TimesConfig:
    """Every duration of the machine; the table below has the reasons."""

    progress_s: int
    grace_s: int
    warning_s: int
    idle_timeout_s: int | None
    close_time_ms: int
    open_time_ms: int
    start_deadline_ms: int
    notice_s: int
    max_offline_s: int
    refusal_window_s: int
    powered_save_s: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """Which badge reader hangs on which bus, and how it is polled."""

    kind: str
    spi_bus: int
    spi_device: int
    spi_speed_hz: int
    reset_pin: int
    arrival_gap_ms: int
    polls_per_s: int


@dataclass(frozen=True, slots=True)
class PathsConfig:
    """Where the node keeps its files."""

    state_dir: Path
    keys_file: Path

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.state_dir / "run" / "control.sock"

    @property
    def spool_dir(self) -> Path:
        """Where sync leaves signed snapshots."""
        return self.state_dir / "spool"

    @property
    def journal(self) -> Path:
        """The journal's database."""
        return self.state_dir / "journal.db"


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """`user` may ask everything on the control socket, besides the node's own user and root."""

    user: str
    credentials_file: Path
    retry_s_max: int


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node, as its TOML file describes it."""

    machine: MachineConfig
    relay: RelayConfig
    inputs: InputsConfig
    panel: PanelConfig
    times: TimesConfig
    reader: ReaderConfig
    paths: PathsConfig
    sync: SyncConfig


# ---------------------------------------------------------------------------------------- the table

PINS_PULLED_UP_AT_BOOT: Final = range(9)
"""BCM2835 ARM Peripherals, table 6-31: GPIO 0-8 come out of reset with their pull-up on."""
PINS_OF_THE_SERIAL_CONSOLE: Final = (14, 15)
PINS_OF_SPI: Final = range(7, 12)
"""SPI0: CE1, CE0, MISO, MOSI, SCLK."""
SOCKET_PATH_BYTES_MAX: Final = 107
"""sockaddr_un.sun_path is 108 bytes with its terminating zero (unix(7))."""
PIN_MAX: Final = 27
"""The 40-pin header carries GPIO 0-27."""
PROGRESS_S: Final = 60
"""One record a minute while a session is open: far below 50 MB of SD card a day."""
HANG_MS: Final = 240
"""Twelve ticks late: below the hold time of any monostable at the dynamic enable, so that it never recloses unasked."""
MAX_OFFLINE_S: Final = 7 * 86_400
MAX_OFFLINE_HAZARDOUS_S: Final = 72 * 3_600


def _pin(path: str, reason: str, default: Any = None) -> Key:
    return number(path, default, 0, PIN_MAX, reason)


# What each contact does at rest, the first being the default. The two that prove something are closed
# at rest and nothing else: a broken wire must read as "stop" and "not released", never as "all well".
_INPUTS = {
    "stop_button": ("open closed", "ends the session and opens the relay at once; no badge needed"),
    "broken_button": ("open closed", 'locks the machine out as "broken"; no badge needed'),
    "emergency_stop": ("closed", "an auxiliary contact of the hard-wired stop chain, only read"),
    "mirror_contact": ("closed", "the contactor's mirror contact (IEC 60947-4-1 annex F)"),
    "machine_switch": (
        "open closed",
        "the machine's own switch: the relay never closes while it is on",
    ),
    "current_sensor": (
        "open closed",
        "a current switch with a dry contact: closed while the motor runs",
    ),
}

KEYS: Final[tuple[Key, ...]] = (
    text("machine.name", REQUIRED, "what log and hub call the machine"),
    flag("machine.hazardous", False, "can hurt somebody: rights go stale after 72 h offline"),
    flag("machine.cannot_move_by_itself", False, "true only where power alone starts nothing"),
    choice("machine.badge_use", "tap", "tap hold", "tap on and off, or a badge that stays"),
    choice("machine.min_assurance", "uid", "uid aes", "aes is kept for readers that can prove it"),
    choice(
        "machine.restart_protection",
        REQUIRED,
        "no_volt_release mirror_contact stop_status self_holding none",
        "what keeps the machine still when power returns while the coil is driven",
    ),
    choice("machine.enforcement", "enforce", "enforce warn_only", "see 2-machine.md"),
    _pin("relay.pin", "16, 17, 22, 23, 26 and 27 are free on every Pi", REQUIRED),
    flag("relay.active_high", True, "an active-low relay clicks on while the node starts"),
    _pin("relay.dynamic_enable_pin", "toggled every tick; drops the coil when the node hangs"),
    *(
        key
        for name, (rest, reason) in _INPUTS.items()
        for key in (
            _pin(f"inputs.{name}.pin", reason, REQUIRED),
            choice(f"inputs.{name}.pull", "up", "up down", "up: the contact closes to ground"),
            choice(f"inputs.{name}.normally", rest.split()[0], rest, "the contact at rest"),
        )
    ),
    flag("inputs.emergency_stop.supply_sense", False, "it also opens when the supply is cut"),
    choice("panel.language", "en", "en fr", "until a badge brings its owner's language"),
    _pin("panel.lamp_red_pin", "RGB lamp"),
    _pin("panel.lamp_green_pin", "RGB lamp"),
    _pin("panel.lamp_blue_pin", "RGB lamp"),
    _pin("panel.buzzer_pin", "an active buzzer: level, not tone"),
    number("times.progress_s", PROGRESS_S, 1, 300, "the most a power cut takes off a bill"),
    number("times.grace_s", 10, 0, 300, "hold: how long a badge may slip out of its slot"),
    number("times.warning_s", 60, 5, 600, "no planned cut of a busy machine comes sooner"),
    number("times.idle_timeout_s", 900, 30, 86_400, "idle this long: warned, then off", off=True),
    number("times.close_time_ms", 200, 50, 2_000, "contactors close within 50 ms; four times that"),
    number("times.open_time_ms", 500, 50, 2_000, "contactors with a suppressed coil open slowly"),
    number("times.start_deadline_ms", 2_000, 100, 5_000, "a start not on the disk by then is void"),
    number("times.notice_s", 6, 1, 60, "how long a refusal stays on the screen: two lines read"),
    number("times.max_offline_s", None, 1, 30 * 86_400, "7 days, 72 h where hazardous, at most 30"),
    number("times.refusal_window_s", 60, 1, 3_600, "equal refusals within it are one record"),
    number("times.powered_save_s", 600, 1, 600, "powered time lost by a power cut, at most"),
    number("times.silence_ms", 2_000, 200, 2_000, "a worker silent for longer counts as dead"),
    choice("reader.kind", "mfrc522", "mfrc522", "the badge reader's chip"),
    number("reader.spi_bus", 0, 0, 6, "/dev/spidevBUS.DEVICE"),
    number("reader.spi_device", 0, 0, 1, "chip select"),
    number("reader.spi_speed_hz", 1_000_000, 100_000, 10_000_000, "the chip takes 10 Mbit/s"),
    _pin("reader.reset_pin", "24 and 25 are the usual interrupt and reset of these boards", 25),
    number("reader.arrival_gap_ms", 300, 200, 2_000, "an arrival needs a field empty for so long"),
    number("reader.polls_per_s", 20, 5, 50, "above 50 SPI is never idle; below 5 people notice"),
    text("paths.state_dir", "/var/lib/interlock", "journal, cache, spool and socket"),
    text("paths.keys_file", "/etc/interlock/node.json", "what `interlock hub add-node` wrote"),
    text("sync.user", "interlock-sync", "who may pull records and hand in snapshots"),
    text("sync.credentials_file", "/etc/interlock/sync.json", "by `interlock hub add-node`, too"),
    number("sync.retry_s_max", 60, 1, 60, "a hub that comes back is seen within so long"),
)  # fmt: skip

_PATHS: Final = frozenset(key.path for key in KEYS)

# --------------------------------------------------------------------------------- public functions


def load_node(path: Path) -> NodeConfig:
    """The node that `path` describes. Raises ConfigError: unreadable, or not to be run with."""
    return parse_node(read_toml(path))


def parse_node(document: Mapping[str, Any]) -> NodeConfig:
    """The node that a parsed TOML document describes. Raises ConfigError."""
    values = Values(document, KEYS)
    config = NodeConfig(
        machine=_section(MachineConfig, "machine", values),
        relay=_section(RelayConfig, "relay", values),
        inputs=InputsConfig(
            **{
                name: _section(InputConfig, f"inputs.{name}", values)
                for name in _INPUTS
                if values.says_anything_in(f"inputs.{name}")
            }
        ),
        panel=_section(PanelConfig, "panel", values),
        times=_times(values),
        reader=_section(ReaderConfig, "reader", values),
        paths=PathsConfig(
            Path(values.value("paths.state_dir")), Path(values.value("paths.keys_file"))
        ),
        sync=SyncConfig(
            values.value("sync.user"),
            Path(values.value("sync.credentials_file")),
            values.value("sync.retry_s_max"),
        ),
    )
    _check_pins(config)
    _check_restart_protection(config)
    _check_ways_out(config)
    _check_enforcement(config.machine)
    _check_assurance(config.machine)
    _check_socket_path(config.paths)
    return config


def warnings(config: NodeConfig) -> list[str]:
    """What `check-config` says about a file that may be run but should be thought about again."""
    found = []
    if not config.relay.active_high:
        found.append(
            "relay.active_high = false: the relay clicks on for a moment whenever the node starts; "
            "use an active-high board"
        )
    if config.relay.pin in PINS_OF_THE_SERIAL_CONSOLE:
        found.append(
            f"relay.pin = {config.relay.pin} is driven by the serial console while the Pi boots; "
            "choose 16, 17, 22, 23, 26 or 27"
        )
    if config.times.progress_s < PROGRESS_S:
        found.append(
            f"times.progress_s = {config.times.progress_s}: more than one write a minute wears "
            "the SD card; 60 is enough for a bill"
        )
    if config.machine.hazardous and config.relay.dynamic_enable_pin is None:
        found.append(
            "a hazardous machine without relay.dynamic_enable_pin: nothing outside the Pi drops "
            "the coil when its software hangs"
        )
    if config.machine.hazardous and config.inputs.emergency_stop is None:
        found.append(
            "a hazardous machine without inputs.emergency_stop: the stop chain still works, but a "
            "session goes on being counted while it is open"
        )
    if config.inputs.stop_button is None:
        found.append("no inputs.stop_button: only a badge ends a session before its time")
    return found


def digest(config: NodeConfig) -> str:
    """64 hexadecimal digits that change when anything the file says changes."""
    text = json.dumps(asdict(config), sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=32).hexdigest()


def to_rules(config: NodeConfig) -> Rules:
    """What the core decides by; trainings come with the snapshot."""
    times = config.times
    return Rules(
        badge_use=BadgeUse(config.machine.badge_use),
        min_assurance=Assurance[config.machine.min_assurance.upper()],
        max_offline_s=times.max_offline_s,
        progress_s=times.progress_s,
        grace_s=times.grace_s,
        warning_s=times.warning_s,
        idle_timeout_s=times.idle_timeout_s,
        start_deadline_ms=times.start_deadline_ms,
        close_time_ms=times.close_time_ms,
        open_time_ms=times.open_time_ms,
        notice_s=times.notice_s,
        hang_ms=None if config.relay.dynamic_enable_pin is None else HANG_MS,
    )


def pins_in_use(config: NodeConfig) -> Iterator[tuple[str, int]]:
    """Every key that names a pin of ours, and the pin; the reader's own pins are not among them."""
    yield "relay.pin", config.relay.pin
    optional = {
        "relay.dynamic_enable_pin": config.relay.dynamic_enable_pin,
        "panel.lamp_red_pin": config.panel.lamp_red_pin,
        "panel.lamp_green_pin": config.panel.lamp_green_pin,
        "panel.lamp_blue_pin": config.panel.lamp_blue_pin,
        "panel.buzzer_pin": config.panel.buzzer_pin,
    }
    for name in _INPUTS:
        declared: InputConfig | None = getattr(config.inputs, name)
        if declared is not None:
            optional[f"inputs.{name}.pin"] = declared.pin
    for path, pin in optional.items():
        if pin is not None:
            yield path, pin


# -------------------------------------------------------------------------------- one section


def _section(of: type[Any], table: str, values: Values) -> Any:
    """The dataclass `of`, each field read from the key of the same name, where there is one."""
    return of(
        **{
            field.name: values.value(f"{table}.{field.name}")
            for field in fields(of)
            if f"{table}.{field.name}" in _PATHS
        }
    )


def _times(values: Values) -> TimesConfig:
    hazardous = values.value("machine.hazardous")
    max_offline_s = MAX_OFFLINE_HAZARDOUS_S if hazardous else MAX_OFFLINE_S
    named = {field.name: values.value(f"times.{field.name}") for field in fields(TimesConfig)}
    named["max_offline_s"] = values.value("times.max_offline_s", max_offline_s)
    return TimesConfig(**named)


# -------------------------------------------------------------------------------- rules across keys


def _check_pins(config: NodeConfig) -> None:
    if config.relay.pin in PINS_PULLED_UP_AT_BOOT:
        raise ConfigError(
            f"pin {config.relay.pin} is pulled up while the Pi boots: the relay would close",
            where="relay.pin",
            remedy="Use 16, 17, 22, 23, 26 or 27",
        )
    owners = dict.fromkeys(PINS_OF_SPI, "the reader's SPI bus")
    owners[config.reader.reset_pin] = "reader.reset_pin"
    for path, pin in pins_in_use(config):
        if pin in owners:
            raise ConfigError(
                f"pin {pin} already belongs to {owners[pin]}",
                where=path,
                remedy="Give every signal a pin of its own",
            )
        owners[pin] = path


def _check_restart_protection(config: NodeConfig) -> None:
    inputs, chosen = config.inputs, config.machine.restart_protection
    missing = {
        "mirror_contact": "declare [inputs.mirror_contact]" if not inputs.mirror_contact else "",
        "stop_status": (
            ""
            if inputs.emergency_stop and inputs.emergency_stop.supply_sense
            else "declare [inputs.emergency_stop] with supply_sense = true"
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
    """A tapped session outlives its reader: something else must be able to end it, whoever is there."""
    if config.machine.badge_use != BadgeUse.TAP.value or config.inputs.stop_button is not None:
        return
    why = ""
    if config.inputs.current_sensor is None:
        why = "without a current sensor nobody knows that the machine is idle"
    elif config.times.idle_timeout_s is None:
        why = "no idle timeout ends it"
    if why:
        raise ConfigError(
            f"is missing: if the reader dies, nothing can end a tapped session ({why})",
            where="inputs.stop_button",
            remedy="Declare [inputs.stop_button] with its pin",
        )


def _check_enforcement(machine: MachineConfig) -> None:
    if machine.enforcement == "warn_only":
        why = "a hazardous machine is never open to all"
        if not machine.hazardous:
            why = "this version always enforces"
        raise ConfigError(
            f"'warn_only' is refused: {why}", where="machine.enforcement", remedy="Write enforce"
        )


def _check_assurance(machine: MachineConfig) -> None:
    if machine.min_assurance == "aes":
        raise ConfigError(
            "'aes' is refused: no reader of this version can prove it, so every badge would be",
            where="machine.min_assurance",
            remedy="Write uid",
        )


def _check_socket_path(paths: PathsConfig) -> None:
    length = len(str(paths.socket).encode())
    if length > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            f"its control socket's path has {length} bytes; Unix allows {SOCKET_PATH_BYTES_MAX}",
            where="paths.state_dir",
            remedy="Choose a shorter folder",
        )
