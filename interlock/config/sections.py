"""What a node's file says, as frozen dataclasses: one per section, in the file's own words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    second_person: bool
    long_jobs: bool


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """The contactor's coil, what keeps a charge pump alive, and the extraction's own relay."""

    pin: int
    active_high: bool
    dynamic_enable_pin: int | None
    extraction_pin: int | None


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
    long_job_button: InputConfig | None = None
    emergency_stop: InputConfig | None = None
    mirror_contact: InputConfig | None = None
    machine_switch: InputConfig | None = None
    current_sensor: InputConfig | None = None
    bypass_key: InputConfig | None = None


@dataclass(frozen=True, slots=True)
class InterlockConfig:
    """A named condition of the machine: a contact of ours, or one another node tells of (`remote`).

    `contact` rests as it does while all is well; it is None exactly where `remote` is "node/name".
    """

    name: str
    contact: InputConfig | None
    remote: str | None
    permit_after_ms: int
    trip_after_ms: int
    needs_extraction: bool
    stops_extraction: bool


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    """How busy is told from idle: `kind` is none, dry_contact, ads1115 or mcp3008.

    Both thresholds are None until the file or `interlock commission` says them.
    """

    kind: str
    channel: int
    i2c_bus: int
    i2c_address: int
    spi_bus: int
    spi_device: int
    reference_mv: int
    clamp_ma_per_v: int
    busy_above_ma: int | None
    idle_below_ma: int | None


@dataclass(frozen=True, slots=True)
class PanelConfig:
    """Lamp, buzzer and the screen's language until a badge brings its own."""

    language: str
    lamp_red_pin: int | None
    lamp_green_pin: int | None
    lamp_blue_pin: int | None
    buzzer_pin: int | None


@dataclass(frozen=True, slots=True)
class ScreenConfig:
    """The screen beside the lamp: `kind` is none, oled (SSD1306) or lcd (HD44780 with a PCF8574).

    `lines` follows from `columns`.
    """

    kind: str
    i2c_bus: int
    i2c_address: int
    columns: int
    lines: int


@dataclass(frozen=True, slots=True)
class TimesConfig:
    """Every duration of the machine; the table has the reasons."""

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
    second_wait_s: int
    supervise_s: int
    pre_run_s: int
    run_on_s: int
    coast_down_s: int
    unexpected_start_ms: int | None
    inrush_ms: int


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """Which badge reader hangs on which bus, and how it is polled."""

    kind: str
    device: str | None
    id_form: str
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

    @property
    def learned(self) -> Path:
        """What `interlock commission` learned at this machine."""
        return self.state_dir / "commissioning.json"


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
    interlocks: tuple[InterlockConfig, ...]
    current: CurrentConfig
    panel: PanelConfig
    screen: ScreenConfig
    times: TimesConfig
    reader: ReaderConfig
    paths: PathsConfig
    sync: SyncConfig
