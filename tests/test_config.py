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
from interlock.core.model import Assurance, BadgeUse
from interlock.errors import ConfigError

pytestmark = pytest.mark.fast

CONFIG_DIR = Path(__file__).parent.parent / "config"
EXAMPLE = CONFIG_DIR / "node.example.toml"
PROFILES = sorted(path for path in CONFIG_DIR.glob("*.toml") if "hub" not in path.name)

SMALLEST: dict[str, Any] = {
    "machine": {"name": "Drill", "restart_protection": "no_volt_release"},
    "relay": {"pin": 17},
    "inputs": {"stop_button": {"pin": 5}},
}


def document(**changes: Any) -> dict[str, Any]:
    """The smallest file that may be run, with `table__key=value` changed; None takes a key or table away."""
    made = copy.deepcopy(SMALLEST)
    for path, value in changes.items():
        *tables, key = path.split("__")
        table = made
        for name in tables:
            table = table.setdefault(name, {})
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


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_every_file_in_the_config_folder_can_be_run(path: Path) -> None:
    config.load_node(path)


def test_the_example_names_every_key_with_its_default() -> None:
    given = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    for key in KEYS:
        value: Any = given
        for part in key.path.split("."):
            assert part in value, f"{key.path} is missing in {EXAMPLE.name}"
            value = value[part]
        if key.default not in (None, REQUIRED):
            assert value == key.default, key.path


def test_the_example_states_the_bounds_of_every_number() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for key in KEYS:
        if key.kind is int and not key.path.endswith("pin"):
            name = key.path.rsplit(".", 1)[1]
            line = next(line for line in lines if re.match(rf"{name} = ", line))
            assert f"{key.low}-{key.high}" in line, f"{name}: {key.low}-{key.high}"


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
        assert error.where == key.path
        assert error.remedy == key.expected


@pytest.mark.parametrize("key", [k for k in KEYS if k.kind is int], ids=lambda key: key.path)
def test_no_number_leaves_its_bounds(key: Key) -> None:
    for value in (key.low - 1, key.high + 1):
        error = refused(**{key.path.replace(".", "__"): value})
        assert (error.where, error.remedy) == (key.path, key.expected)


@pytest.mark.parametrize("key", [k for k in KEYS if k.choices], ids=lambda key: key.path)
def test_no_choice_takes_an_unknown_word(key: Key) -> None:
    error = refused(**{key.path.replace(".", "__"): "perhaps"})
    assert error.where == key.path
    assert all(word in error.remedy for word in key.choices)


@pytest.mark.parametrize("key", [k for k in KEYS if k.default == REQUIRED and ".pin" not in k.path])
def test_what_must_be_said_is_missed_by_name(key: Key) -> None:
    assert refused(**{key.path.replace(".", "__"): None}).where == key.path


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
    config.parse_node(document(inputs__stop_button=None, machine__badge_use="hold"))
    for changes, why in (
        ({"inputs__stop_button": None}, "current sensor"),
        ({**sensed, "times__idle_timeout_s": "off"}, "idle timeout"),
    ):
        error = refused(**changes)
        assert error.where == "inputs.stop_button"
        assert why in error.what
        assert "[inputs.stop_button]" in error.remedy


def test_aes_is_refused_while_no_reader_can_prove_it() -> None:
    error = refused(machine__min_assurance="aes")
    assert (error.where, error.remedy) == ("machine.min_assurance", "Write uid")
    assert "no reader" in error.what


def test_the_rules_are_those_of_the_file() -> None:
    chosen = document(machine__badge_use="hold", times__idle_timeout_s="off")
    rules = config.to_rules(config.parse_node(chosen))
    assert (rules.badge_use, rules.min_assurance) == (BadgeUse.HOLD, Assurance.UID)
    assert rules.idle_timeout_s is None
    assert rules.demands.trainings == ()
