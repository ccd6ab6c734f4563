"""A node's file is strict: what it may say, what it is told when it is wrong, what it becomes."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlock import config
from interlock.config import KEYS
from interlock.config.keys import REQUIRED, Key
from interlock.config.table import LISTS
from interlock.core.model import Assurance, BadgeUse, Enforcement, Interlock, Rules
from interlock.errors import ConfigError

pytestmark = pytest.mark.fast

CONFIG_DIR = Path(__file__).parent.parent / "config"
EXAMPLE = CONFIG_DIR / "node.example.toml"
PROFILES = sorted(path for path in CONFIG_DIR.glob("*.toml") if "hub" not in path.name)

NOT_BESIDE_THE_DEFAULT_READER = "reader.device"
"""The example has it in a comment: an mfrc522 takes none."""

SMALLEST: dict[str, Any] = {
    "machine": {"name": "Drill", "restart_protection": "no_volt_release"},
    "relay": {"pin": 17},
    "inputs": {"stop_button": {"pin": 5}},
}


def document(**changes: Any) -> dict[str, Any]:
    """The smallest file that may be run, with `table__key=value` changed; None takes a key or table away.

    A key of a repeated table is that of its first one.
    """
    made = copy.deepcopy(SMALLEST)
    for path, value in changes.items():
        *tables, key = path.split("__")
        table = made
        for name in tables:
            table = table.setdefault(name, [{}] if name in LISTS else {})
            table = table[0] if isinstance(table, list) else table
        if value is None:
            table.pop(key)
        else:
            table[key] = value
    return made


def refused(**changes: Any) -> ConfigError:
    """The error that these changes earn."""
    with pytest.raises(ConfigError) as caught:
        config.parse_node(document(**changes))
    return caught.value


def place(key: Key) -> str:
    """Where an error about the first such key says that it stands."""
    table, _, name = key.path.partition(".")
    return f"{table}[1].{name}" if table in LISTS else key.path


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_every_file_in_the_config_folder_can_be_run(path: Path) -> None:
    config.load_node(path)


def test_the_example_names_every_key_with_its_default() -> None:
    given = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    for key in KEYS:
        if key.path == NOT_BESIDE_THE_DEFAULT_READER:
            continue
        value: Any = given
        for part in key.path.split("."):
            if isinstance(value, list):
                value = next(table for table in value if part in table)
            assert part in value, f"{key.path} is missing in {EXAMPLE.name}"
            value = value[part]
        if key.default not in (None, REQUIRED):
            assert value == key.default, key.path


def test_the_example_states_the_bounds_of_every_number() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for key in KEYS:
        if key.kind is int and not key.path.endswith("pin"):
            name = key.path.rsplit(".", 1)[1]
            said = [line for line in lines if re.match(rf"{name} = ", line)]
            bounds = f"{key.low}-{key.high}"
            assert any(bounds in line for line in said), f"{name}: {bounds}"
    assert any(line.startswith("# device = ") for line in lines)


def test_every_key_has_a_reason_and_a_default_within_its_bounds() -> None:
    for key in KEYS:
        assert key.reason
        if isinstance(key.default, int) and key.kind is int:
            assert key.low <= key.default <= key.high, key.path


def test_the_smallest_file_gets_every_default_of_the_design() -> None:
    times = config.parse_node(SMALLEST).times
    assert (times.progress_s, times.grace_s, times.warning_s) == (60, 10, 60)
    assert (times.idle_timeout_s, times.close_time_ms, times.open_time_ms) == (900, 200, 500)
    assert (times.start_deadline_ms, times.refusal_window_s) == (2_000, 60)
    assert times.max_offline_s == 7 * 86_400


def test_a_hazardous_machine_trusts_its_cache_for_72_hours_only() -> None:
    assert config.parse_node(document(machine__hazardous=True)).times.max_offline_s == 72 * 3_600


def test_the_owner_may_choose_another_offline_time_up_to_30_days() -> None:
    chosen = document(machine__hazardous=True, times__max_offline_s=86_400)
    assert config.parse_node(chosen).times.max_offline_s == 86_400
    assert refused(times__max_offline_s=31 * 86_400).where == "times.max_offline_s"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.path)
def test_no_key_takes_a_value_of_another_type(key: Key) -> None:
    wrong: dict[type, list[Any]] = {int: ["5", 5.0, True], bool: [1, "true"], str: [5, True]}
    for value in wrong[key.kind]:
        error = refused(**{key.path.replace(".", "__"): value})
        assert error.where == place(key)
        assert error.remedy == key.expected


@pytest.mark.parametrize("key", [k for k in KEYS if k.kind is int], ids=lambda key: key.path)
def test_no_number_leaves_its_bounds(key: Key) -> None:
    for value in (key.low - 1, key.high + 1):
        error = refused(**{key.path.replace(".", "__"): value})
        assert (error.where, error.remedy) == (place(key), key.expected)


@pytest.mark.parametrize("key", [k for k in KEYS if k.choices], ids=lambda key: key.path)
def test_no_choice_takes_an_unknown_word(key: Key) -> None:
    error = refused(**{key.path.replace(".", "__"): "perhaps"})
    assert error.where == place(key)
    assert all(word in error.remedy for word in key.choices)


SAID_BY_THE_SMALLEST = ("machine.name", "machine.restart_protection", "relay.pin")


@pytest.mark.parametrize("path", SAID_BY_THE_SMALLEST)
def test_what_must_be_said_is_missed_by_name(path: str) -> None:
    assert refused(**{path.replace(".", "__"): None}).where == path


def test_an_input_needs_its_pin_and_an_interlock_its_name() -> None:
    required = {key.path for key in KEYS if key.default == REQUIRED}
    inputs = {path for path in required if path.startswith("inputs.")}
    assert required == {*SAID_BY_THE_SMALLEST, *inputs, "interlocks.name"}
    assert refused(inputs__bypass_key__pull="up").where == "inputs.bypass_key.pin"
    assert refused(interlocks__pin=23).where == "interlocks[1].name"


def test_an_unknown_key_is_answered_with_the_nearest_one() -> None:
    error = refused(times__idle_timeot_s=600)
    assert error.where == "times.idle_timeot_s"
    assert error.remedy == "The nearest known key is times.idle_timeout_s"


def test_an_unknown_table_is_answered_with_the_nearest_one() -> None:
    error = refused(imputs__stop_button__pin=5)
    assert (error.where, error.remedy) == ("imputs", "The nearest known key is inputs")


def test_a_key_without_its_unit_is_told_which_to_write() -> None:
    error = refused(times__progress=60)
    assert (error.what, error.remedy) == ("the unit is missing", "Write times.progress_s")


def test_a_table_written_as_a_value_is_refused() -> None:
    assert refused(relay=17).where == "relay"


def test_the_idle_timeout_may_be_off_and_the_grace_may_not() -> None:
    assert config.parse_node(document(times__idle_timeout_s="off")).times.idle_timeout_s is None
    assert refused(times__grace_s="off").where == "times.grace_s"


@pytest.mark.parametrize("pin", range(9))
def test_a_relay_on_a_pin_that_is_pulled_up_at_boot_is_refused(pin: int) -> None:
    error = refused(relay__pin=pin)
    assert error.where == "relay.pin"
    assert "pulled up" in error.what


@pytest.mark.parametrize("pin", [9, 10, 11, 25])
def test_the_readers_pins_belong_to_nobody_else(pin: int) -> None:
    assert refused(relay__pin=pin).where == "relay.pin"
    assert refused(inputs__stop_button__pin=pin).where == "inputs.stop_button.pin"


def test_two_signals_on_one_pin_are_refused_naming_both() -> None:
    error = refused(panel__buzzer_pin=17)
    assert error.where == "panel.buzzer_pin"
    assert "relay.pin" in error.what


def test_a_moved_reset_pin_frees_25_and_takes_its_own() -> None:
    config.parse_node(document(relay__pin=25, reader__reset_pin=24))
    assert refused(relay__pin=24, reader__reset_pin=24).where == "relay.pin"


def test_each_restart_protection_needs_what_makes_it_true() -> None:
    for chosen in ("mirror_contact", "stop_status", "none"):
        error = refused(machine__restart_protection=chosen)
        assert error.where == "machine.restart_protection"
    for chosen in ("no_volt_release", "self_holding"):
        config.parse_node(document(machine__restart_protection=chosen))
    config.parse_node(
        document(machine__restart_protection="mirror_contact", inputs__mirror_contact__pin=13)
    )
    config.parse_node(
        document(machine__restart_protection="none", machine__cannot_move_by_itself=True)
    )


def test_a_stop_status_without_supply_sense_protects_nothing() -> None:
    without = {"machine__restart_protection": "stop_status", "inputs__emergency_stop__pin": 12}
    assert "supply_sense" in refused(**without).remedy
    config.parse_node(document(**without, inputs__emergency_stop__supply_sense=True))


@pytest.mark.parametrize("name", ["emergency_stop", "mirror_contact"])
def test_a_proof_is_a_contact_closed_at_rest(name: str) -> None:
    error = refused(**{f"inputs__{name}__pin": 12, f"inputs__{name}__normally": "open"})
    assert error.where == f"inputs.{name}.normally"


def test_warning_only_is_refused_on_a_hazardous_machine() -> None:
    error = refused(machine__enforcement="warn_only", machine__hazardous=True)
    assert error.where == "machine.enforcement"
    assert "hazardous" in error.what


def test_a_state_folder_too_deep_for_a_unix_socket_is_refused() -> None:
    assert refused(paths__state_dir="/tmp/" + "x" * 90).where == "paths.state_dir"


def test_a_file_that_is_missing_or_no_toml_is_refused_by_its_path(tmp_path: Path) -> None:
    for content in (None, b"[machine", b"name = '\xff'"):
        path = tmp_path / "node.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            config.load_node(path)
        assert caught.value.where == str(path)


def test_what_may_be_run_but_is_unwise_is_said() -> None:
    assert config.warnings(config.load_node(CONFIG_DIR / "table-saw.toml")) == []
    unwise = {
        "relay__active_high": (False, "clicks on"),
        "relay__pin": (14, "serial console"),
        "relay__extraction_pin": (4, "extraction runs meanwhile"),
        "times__progress_s": (10, "SD card"),
        "machine__hazardous": (True, "dynamic_enable_pin"),
    }
    for path, (value, words) in unwise.items():
        found = config.warnings(config.parse_node(document(**{path: value})))
        assert any(words in text for text in found), path


def test_the_digest_changes_with_every_key_that_changes() -> None:
    plain = config.digest(config.parse_node(SMALLEST))
    assert plain == config.digest(config.parse_node(document()))
    changed = {"machine__name": "Lathe", "times__grace_s": 11, "inputs__stop_button__pin": 6}
    for path, value in changed.items():
        assert config.digest(config.parse_node(document(**{path: value}))) != plain, path


def test_a_tapped_machine_that_only_its_reader_could_end_is_refused() -> None:
    sensed = {"inputs__stop_button": None, "inputs__current_sensor__pin": 26}
    config.parse_node(document(**sensed))
    held: dict[str, Any] = {"inputs__stop_button": None, "machine__badge_use": "hold"}
    config.parse_node(document(**held))
    unattended = {"machine__long_jobs": True, "inputs__long_job_button__pin": 6}
    assert refused(**held, **unattended).where == "inputs.stop_button", "a long job's badge left"
    for changes, why in (
        ({"inputs__stop_button": None}, "current sensor"),
        ({**sensed, "times__idle_timeout_s": "off"}, "idle timeout"),
    ):
        error = refused(**changes)
        assert error.where == "inputs.stop_button"
        assert why in error.what
        assert "[inputs.stop_button]" in error.remedy


def interlock(name: str, **more: Any) -> dict[str, Any]:
    """One [[interlocks]] of a file, with a pin unless it is remote."""
    return {"name": name, **({} if "remote" in more else {"pin": 23}), **more}


def test_a_hazardous_machine_asks_for_badges_that_cannot_be_cloned_unless_it_says_otherwise() -> (
    None
):
    assert config.parse_node(SMALLEST).machine.min_assurance == "uid"
    assert config.parse_node(document(machine__hazardous=True)).machine.min_assurance == "aes"
    said = config.parse_node(document(machine__hazardous=True, machine__min_assurance="uid"))
    assert said.machine.min_assurance == "uid"
    assert any("cloned" in text for text in config.warnings(said))
    assert config.to_rules(said).min_assurance is Assurance.UID


def test_a_reader_that_types_a_number_proves_no_badge() -> None:
    typed = {"reader__kind": "usb_keyboard", "reader__device": "/dev/input/event3"}
    config.parse_node(document(**typed))
    for how in ({"machine__min_assurance": "aes"}, {"machine__hazardous": True}):
        error = refused(**typed, **how)
        assert error.where == "machine.min_assurance"
        assert "write uid" in error.remedy


def test_a_reader_on_a_port_says_which_and_one_on_spi_says_none() -> None:
    for kind in ("pn532", "usb_keyboard"):
        assert refused(reader__kind=kind).where == "reader.device"
    assert refused(reader__device="/dev/serial0").where == "reader.device"
    config.parse_node(document(reader__kind="pcsc"))
    config.parse_node(document(reader__kind="pn532", reader__device="/dev/serial0"))


def test_a_reader_that_is_not_on_spi_frees_its_pins() -> None:
    config.parse_node(document(reader__kind="pcsc", inputs__stop_button__pin=10))
    assert refused(inputs__stop_button__pin=10).where == "inputs.stop_button.pin"


def test_warning_only_is_let_through_where_nobody_can_be_hurt_and_is_warned_about() -> None:
    trial = config.parse_node(document(machine__enforcement="warn_only"))
    assert config.to_rules(trial).enforcement is Enforcement.WARN_ONLY
    assert any("warn_only" in text for text in config.warnings(trial))


def test_a_long_job_needs_the_button_that_declares_it() -> None:
    assert refused(machine__long_jobs=True).where == "machine.long_jobs"
    config.parse_node(document(machine__long_jobs=True, inputs__long_job_button__pin=13))


def test_a_switch_that_stays_on_is_no_self_holding_circuit() -> None:
    error = refused(machine__restart_protection="self_holding", inputs__machine_switch__pin=19)
    assert error.where == "machine.restart_protection"
    assert "machine_switch" in error.remedy


def test_interlocks_keep_their_order_and_become_rules() -> None:
    lid = interlock("Lid", permit_after_ms=100, trip_after_ms=50)
    flow = interlock("Air flow", pin=24, needs_extraction=True)
    far = interlock("Chiller", remote="cellar/Chiller")
    parsed = config.parse_node(document(relay__extraction_pin=22, interlocks=[lid, flow, far]))
    assert config.to_rules(parsed).interlocks == (
        Interlock("Lid", 100, 50),
        Interlock("Air flow", needs_extraction=True),
        Interlock("Chiller", remote=True),
    )
    assert [one.contact and one.contact.pin for one in parsed.interlocks] == [23, 24, None]
    assert dict(config.pins_in_use(parsed))["interlocks[2].pin"] == 24


@pytest.mark.parametrize(
    ("interlocks", "where"),
    [
        ([interlock("Lid"), interlock("Lid", pin=24)], "interlocks[2].name"),
        ([interlock("Lid"), interlock("Door")], "interlocks[2].pin"),
        ([interlock("A name of seventeen")], "interlocks[1].name"),
        ([interlock("Lid\n")], "interlocks[1].name"),
        ([{"name": "Lid"}], "interlocks[1]"),
        ([{"name": "Lid", "pin": 23, "remote": "a/b"}], "interlocks[1]"),
        ([interlock("Lid", remote="cellar")], "interlocks[1].remote"),
        ([interlock("Lid", remote="cellar/")], "interlocks[1].remote"),
        ([interlock("Lid", remote="a/b", needs_extraction=True)], "interlocks[1].remote"),
        ([interlock("Lid", needs_extraction=True)], "interlocks[1].needs_extraction"),
        ([interlock("Fire", stops_extraction=True)], "interlocks[1].stops_extraction"),
        ([interlock("Lid", trip_after_s=1)], "interlocks[1].trip_after_s"),
        ([interlock("Lid", trip_after=1)], "interlocks[1].trip_after"),
        ([interlock(f"n{n}", pin=n) for n in range(9)], "interlocks"),
        ({"name": "Lid", "pin": 23}, "interlocks"),
        (["Lid"], "interlocks"),
    ],
)
def test_an_interlock_that_makes_no_sense_is_refused(interlocks: Any, where: str) -> None:
    assert refused(interlocks=interlocks).where == where


def test_an_interlock_cannot_both_wait_for_the_extraction_and_stop_it() -> None:
    both = interlock("Fire", needs_extraction=True, stops_extraction=True)
    error = refused(relay__extraction_pin=22, interlocks=[both])
    assert error.where == "interlocks[1].stops_extraction"


def test_a_broken_wire_that_reads_as_all_well_is_warned_about() -> None:
    parsed = config.parse_node(document(interlocks=[interlock("Lid", normally="open")]))
    assert any("'Lid'" in text for text in config.warnings(parsed))


def test_extraction_times_need_an_extraction() -> None:
    for path in ("times__pre_run_s", "times__run_on_s"):
        assert refused(**{path: 5}).where == path.replace("__", ".")
        config.parse_node(document(relay__extraction_pin=22, **{path: 5}))


def test_the_kind_of_current_sensing_and_the_dry_contact_agree() -> None:
    contact = {"inputs__current_sensor__pin": 26}
    assert config.parse_node(SMALLEST).current.kind == "none"
    assert config.parse_node(document(**contact)).current.kind == "dry_contact"
    for kind in ("none", "ads1115", "mcp3008"):
        assert refused(**contact, current__kind=kind).where == "current.kind"
    assert refused(current__kind="dry_contact").where == "current.kind"


def test_converters_have_their_channels_chip_selects_and_pins() -> None:
    assert refused(current__kind="ads1115", current__channel=4).where == "current.channel"
    assert refused(current__kind="mcp3008", current__spi_device=0).where == "current.spi_device"
    config.parse_node(document(current__kind="mcp3008", current__channel=7))
    on_i2c = {"current__kind": "ads1115", "inputs__stop_button__pin": 3}
    assert refused(**on_i2c).where == "inputs.stop_button.pin"
    on_spi = {"reader__kind": "pcsc", "current__kind": "mcp3008", "inputs__stop_button__pin": 9}
    assert refused(**on_spi).where == "inputs.stop_button.pin"


def test_thresholds_come_in_pairs_with_room_between_them() -> None:
    assert refused(current__busy_above_ma=900).where == "current"
    same = {"current__busy_above_ma": 900, "current__idle_below_ma": 900}
    assert refused(**same).where == "current.idle_below_ma"
    unsaid = config.parse_node(document(current__kind="ads1115"))
    assert any("commission" in text for text in config.warnings(unsaid))


def test_an_unexpected_start_needs_a_sensor_and_time_after_the_inrush() -> None:
    assert refused(times__unexpected_start_ms=1_000).where == "times.unexpected_start_ms"
    watched = {"inputs__current_sensor__pin": 26, "times__unexpected_start_ms": 1_000}
    assert refused(**watched, times__inrush_ms=1_000).where == "times.inrush_ms"
    rules = config.to_rules(config.parse_node(document(**watched, times__inrush_ms=400)))
    assert (rules.unexpected_start_ms, rules.inrush_ms) == (1_000, 400)
    assert config.to_rules(config.parse_node(SMALLEST)).unexpected_start_ms is None


def test_each_screen_has_its_usual_address_and_the_sizes_that_are_sold() -> None:
    oled = config.parse_node(document(screen__kind="oled")).screen
    lcd = config.parse_node(document(screen__kind="lcd")).screen
    large = config.parse_node(document(screen__kind="lcd", screen__columns=20)).screen
    assert (oled.i2c_address, oled.columns, oled.lines) == (0x3C, 21, 4)
    assert (lcd.i2c_address, lcd.columns, lcd.lines) == (0x27, 16, 2)
    assert (large.columns, large.lines) == (20, 4)
    assert refused(screen__kind="oled", screen__columns=16).where == "screen.columns"
    assert refused(screen__kind="lcd", screen__columns=18).where == "screen.columns"
    shared = {"screen__kind": "lcd", "screen__i2c_address": 72, "current__kind": "ads1115"}
    assert refused(**shared).where == "screen.i2c_address"


def test_the_rules_are_those_of_the_file() -> None:
    chosen = document(machine__badge_use="hold", times__idle_timeout_s="off")
    rules = config.to_rules(config.parse_node(chosen))
    assert (rules.badge_use, rules.min_assurance) == (BadgeUse.HOLD, Assurance.UID)
    assert rules.idle_timeout_s is None
    assert rules.demands.trainings == ()


def test_every_rule_that_has_a_key_of_its_name_takes_it_from_there() -> None:
    chosen: dict[str, Any] = {
        "second_wait_s": 7,
        "supervise_s": 61,
        "pre_run_s": 3,
        "run_on_s": 4,
        "coast_down_s": 5,
        "unexpected_start_ms": 1_234,
        "inrush_ms": 321,
        "progress_s": 61,
        "grace_s": 11,
        "warning_s": 62,
        "idle_timeout_s": 901,
        "close_time_ms": 201,
        "open_time_ms": 501,
        "start_deadline_ms": 2_001,
        "notice_s": 7,
        "max_offline_s": 86_400,
    }
    durations = {name for name in Rules.__slots__ if name.endswith(("_s", "_ms"))}
    assert durations == {*chosen, "hang_ms"}
    wires = {"relay__extraction_pin": 22, "inputs__current_sensor__pin": 26}
    times = {f"times__{name}": value for name, value in chosen.items()}
    parsed = config.parse_node(document(**wires, **times, machine__second_person=True))
    rules = config.to_rules(parsed)
    assert {name: getattr(rules, name) for name in chosen} == chosen
    assert (rules.second_person, rules.long_jobs) == (True, False)
