"""Everything a node's file may say, once: path, unit, default, bounds and the reason for them.

`check-config`, the documentation and the parser read this table. A key of `[[interlocks]]` stands
here once and may be said once per interlock.
"""

from __future__ import annotations

from typing import Any, Final

from interlock.config.keys import OFF, REQUIRED, Key, choice, flag, number, text

PIN_MAX: Final = 27
"""The 40-pin header carries GPIO 0-27."""

PROGRESS_S: Final = 60
"""One record a minute while a session is open: far below 50 MB of SD card a day."""

INTERLOCKS_MAX: Final = 8
"""A limit on everything: more pins than that are not left on the header."""

NAME_CHARS_MAX: Final = 16
"""An interlock's name stands on a line of the smallest screen."""

I2C_ADDRESS_MIN: Final = 0x08
I2C_ADDRESS_MAX: Final = 0x77
"""The I2C specification (UM10204, 3.1.12) keeps the addresses outside for itself."""


def _pin(path: str, reason: str, default: Any = None) -> Key:
    return number(path, default, 0, PIN_MAX, reason)


# What each contact does at rest, the first being the default. The two that prove something are closed
# at rest and nothing else: a broken wire must read as "stop" and "not released", never as "all well".
INPUTS: Final = {
    "stop_button": ("open closed", "ends the session and opens the relay at once; no badge needed"),
    "broken_button": ("open closed", 'locks the machine out as "broken"; no badge needed'),
    "long_job_button": ("open closed", 'declares a long job; a trainer\'s "yes" to a training'),
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
    "bypass_key": ("open closed", "a contact of the bypass key: the use it gives is logged"),
}

_MACHINE = (
    text("machine.name", REQUIRED, "what log and hub call the machine"),
    flag("machine.hazardous", False, "can hurt somebody: rights go stale after 72 h offline"),
    flag("machine.cannot_move_by_itself", False, "true only where power alone starts nothing"),
    choice("machine.badge_use", "tap", "tap hold", "tap on and off, or a badge that stays"),
    choice("machine.min_assurance", None, "uid aes", "uid is clonable; aes where hazardous"),
    choice(
        "machine.restart_protection",
        REQUIRED,
        "no_volt_release mirror_contact stop_status self_holding none",
        "what keeps the machine still when power returns while the coil is driven",
    ),
    choice(
        "machine.enforcement",
        "enforce",
        "enforce warn_only",
        "warn_only lets people in who would be refused, and records it",
    ),
    flag("machine.second_person", False, "nobody works here without a second member present"),
    flag("machine.long_jobs", False, "a member may declare a job that runs on without them"),
)

_WIRES = (
    _pin("relay.pin", "16, 17, 22, 23, 26 and 27 are free on every Pi", REQUIRED),
    flag("relay.active_high", True, "an active-low relay clicks on while the node starts"),
    _pin("relay.dynamic_enable_pin", "toggled every tick; drops the coil when the node hangs"),
    _pin("relay.extraction_pin", "a relay of its own for extraction or cooling"),
    *(
        key
        for name, (rest, reason) in INPUTS.items()
        for key in (
            _pin(f"inputs.{name}.pin", reason, REQUIRED),
            choice(f"inputs.{name}.pull", "up", "up down", "up: the contact closes to ground"),
            choice(f"inputs.{name}.normally", rest.split()[0], rest, "the contact at rest"),
        )
    ),
    flag("inputs.emergency_stop.supply_sense", False, "it also opens when the supply is cut"),
    text("interlocks.name", REQUIRED, "the screen names it when it stops somebody", NAME_CHARS_MAX),
    _pin("interlocks.pin", "a contact that stops the machine when it leaves its rest"),
    choice("interlocks.pull", "up", "up down", "up: the contact closes to ground"),
    choice("interlocks.normally", "closed", "closed open", "the contact while all is well"),
    text("interlocks.remote", None, '"node/name": an interlock that another node tells of'),
    number("interlocks.permit_after_ms", 500, 0, 10_000, "closed for so long without a break"),
    number("interlocks.trip_after_ms", 0, 0, 5_000, "open for so long trips: air flow flutters"),
    flag("interlocks.needs_extraction", False, "it only closes while the extraction runs"),
    flag("interlocks.stops_extraction", False, "a fire contact: it stops the extraction too"),
)

_SENSES = (
    choice(
        "current.kind",
        None,
        "none dry_contact ads1115 mcp3008",
        "what tells busy from idle; dry_contact where inputs.current_sensor stands",
    ),
    number("current.channel", 0, 0, 7, "the converter's input; an ADS1115 has 0-3"),
    number("current.i2c_bus", 1, 0, 31, "/dev/i2c-BUS of the ADS1115"),
    number("current.i2c_address", 72, 72, 75, "0x48-0x4B: where the ADS1115's ADDR pin goes"),
    number("current.spi_bus", 0, 0, 6, "/dev/spidevBUS.DEVICE of the MCP3008"),
    number("current.spi_device", 1, 0, 1, "chip select; the badge reader has the other"),
    number("current.reference_mv", 3_300, 2_700, 5_000, "the supply that the clamp's bias halves"),
    number("current.clamp_ma_per_v", 30_000, 100, 1_000_000, "an SCT-013-030: 30 A give 1 V"),
    number("current.busy_above_ma", None, 1, 1_000_000, "working; else learned at commissioning"),
    number("current.idle_below_ma", None, 1, 1_000_000, "not working; below busy_above_ma"),
    choice("panel.language", "en", "en fr", "until a badge brings its owner's language"),
    _pin("panel.lamp_red_pin", "RGB lamp"),
    _pin("panel.lamp_green_pin", "RGB lamp"),
    _pin("panel.lamp_blue_pin", "RGB lamp"),
    _pin("panel.buzzer_pin", "an active buzzer: level, not tone"),
    choice("screen.kind", "none", "none oled lcd", "SSD1306, or HD44780 behind a PCF8574"),
    number("screen.i2c_bus", 1, 0, 31, "/dev/i2c-BUS"),
    number(
        "screen.i2c_address", None, I2C_ADDRESS_MIN, I2C_ADDRESS_MAX, "60 (0x3C) oled, 39 lcd"
    ),
    number("screen.columns", None, 16, 21, "21 on an oled, 16 or 20 on an lcd; above 16 it has four lines"),
)  # fmt: skip

_TIMES = (
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
    number("times.second_wait_s", 30, 1, 300, "a first badge waits so long for the other person"),
    number("times.supervise_s", 1_800, 5, 14_400, "a trainer confirms again after so long"),
    number("times.pre_run_s", 0, 0, 120, "extraction before the power: a duct fills in seconds"),
    number("times.run_on_s", 0, 0, 1_800, "extraction or cooling after the power is off"),
    number("times.coast_down_s", 0, 0, 600, "how long the tool still turns: the screen says so"),
    number(
        "times.unexpected_start_ms", OFF, 100, 10_000, "busy so soon: nobody started it", off=True
    ),
    number("times.inrush_ms", 200, 0, 2_000, "current of closing that is charging, not work"),
)  # fmt: skip

_REST = (
    choice("reader.kind", "mfrc522", "mfrc522 pn532 pcsc usb_keyboard", "the badge reader"),
    text("reader.device", None, "serial port, PC/SC name or input device; not for mfrc522"),
    choice(
        "reader.id_form",
        "decimal",
        "decimal decimal-reversed hex hex-reversed",
        "how a usb_keyboard types ids; `interlock reader test` shows every form",
    ),
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

KEYS: Final[tuple[Key, ...]] = (*_MACHINE, *_WIRES, *_SENSES, *_TIMES, *_REST)

LISTS: Final = {"interlocks": INTERLOCKS_MAX}
"""The tables that a file may repeat ([[interlocks]]), and how often."""
