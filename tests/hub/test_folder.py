"""The hub's folder and its commands: strict settings, guarded secrets, the sample lab."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from interlock.errors import ConfigError
from interlock.hub import commands
from interlock.hub.directory import HubConfig, HubDirectory, read_config
from interlock.sim.lab import MACHINES, PEOPLE, TRAY
from tests.hub.process import HubFolder, make_folder

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "lab")


@pytest.mark.parametrize(
    "config",
    [
        HubConfig(name="Lab"),
        HubConfig(name='L\'"a\\b" é\t', time_zone="America/Cayenne", language="en", hosts=("hub",)),
    ],
)
def test_a_written_configuration_reads_back_the_same(config: HubConfig, tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(config.to_toml(), encoding="utf-8")
    assert read_config(tmp_path / "hub.toml") == config


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("", "lab.name: is missing"),
        ("[lab", "not TOML"),
        ("[lab]\nname = 3", "lab.name: must be text"),
        ('[lab]\nname = " "', "1 to 100"),
        ('[lab]\nname = "x"\ntimezone = "Europe/Paris"', "Did you mean lab.time_zone"),
        ('[lab]\nname = "x"\ntime_zone = "Paris"', "no time zone"),
        ('[lab]\nname = "x"\ntime_zone = "../../etc/passwd"', "no time zone"),
        ('[lab]\nname = "x"\nlanguage = "de"', "one of en, fr"),
        ('[lob]\nname = "x"', "Did you mean lab"),
        ('lab = "x"', "must be a table"),
        ('[lab]\nname = "x"\n[hub]\nhosts = "x"', "list of texts"),
        ('[lab]\nname = "x"\n[hub]\nport = 1', "hub.port"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(toml: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_text(toml, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(says)):
        read_config(path)


def test_keys_are_their_owners_alone_and_refused_otherwise(tmp_path: Path) -> None:
    hub = HubDirectory(tmp_path / "hub")
    hub.create(HubConfig(name="Lab"))
    for path in hub.keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(hub.path.stat().st_mode) == 0o700
    assert len(hub.badge_key()) == 32
    (hub.keys / "badge.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        hub.badge_key()
    (hub.keys / "signing.key").write_text("short", encoding="ascii")
    with pytest.raises(ConfigError, match="back-up"):
        hub.signing_key()


def test_a_folder_with_a_hub_is_never_overwritten(folder: HubFolder) -> None:
    before = (folder.path / "keys" / "signing.key").read_bytes()
    with pytest.raises(ConfigError, match="lives in this folder already"):
        HubDirectory(folder.path).create(HubConfig(name="Other"))
    assert (folder.path / "keys" / "signing.key").read_bytes() == before


def test_a_command_on_a_folder_without_a_hub_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="interlock hub init"):
        commands.open_hub(tmp_path)


def test_one_process_works_on_one_hub(folder: HubFolder) -> None:
    with pytest.raises(ConfigError, match="one process for each hub"):
        commands.open_hub(folder.path)


def test_the_sample_lab_is_what_the_demo_promises(folder: HubFolder) -> None:
    assert len(PEOPLE) == 13
    assert folder.count(
        "[Member.objects.count(), Training.objects.count(), Tariff.objects.count(), "
        "Badge.objects.count()]"
    ) == [13, 6, 3, len({one.uid for one in TRAY}) - 1]
    assert folder.count("sorted(m.slug for m in Machine.objects.all())") == sorted(MACHINES)


def test_the_trays_badges_are_what_their_names_say(folder: HubFolder) -> None:
    """Asked of the same core that decides at the machine."""
    code = """
import json
from interlock.core import policy
from interlock.core.model import *
from interlock.hub.demands import demands_of, hours_of
from interlock.hub.snapshots import entries_of
from interlock.sim.lab import TRAY
from interlock.protocol.tags import badge_tag
from django.conf import settings
machine = Machine.objects.get(slug="saw")
demands = demands_of(machine, hours_of(machine.lab), SystemClock().wall_ms() // 1_000)
entries = {e.tag: e for e in entries_of(machine.lab, frozenset(demands.trainings))[0]}
now = Now(1_000_000, SystemClock().wall_ms() // 1_000, True)
verdicts = {}
for badge in TRAY:
    tag = badge_tag(settings.HUB.badge_key(), badge.uid)
    rules = Rules(demands=demands)
    verdict = policy.decide(entries.get(tag), rules, now, Cache((1, 1), 0), Assurance.UID)
    verdicts[badge.key] = getattr(verdict, "reason", "granted")
print(json.dumps(verdicts))
"""
    assert json.loads(folder.run(code)) == {
        "trained": "granted",
        "woodwork": "granted",
        "laser": "NOT_TRAINED",
        "untrained": "NOT_TRAINED",
        "expired": "TRAINING_EXPIRED",
        "membership-over": "MEMBERSHIP_EXPIRED",
        "suspended": "MEMBER_SUSPENDED",
        "lost": "BADGE_BLOCKED",
        "technician": "granted",
        "company": "granted",
        "unknown": "UNKNOWN_BADGE",
        "genuine": "granted",
        # The rules see its number alone; whether it knows its key the node finds out before it asks them.
        "copy": "granted",
        "ntag424": "NOT_TRAINED",
        "trainer": "granted",
        "trainee": "NEEDS_SUPERVISOR",
    }


def test_add_node_writes_both_secrets_or_adds_no_node(folder: HubFolder, tmp_path: Path) -> None:
    code = (
        "from interlock.errors import ConfigError\n"
        "try: commands.add_node(Path(sys.argv[1]), 'printer', Path('{out}'))\n"
        "except ConfigError as error: print(error)\n"
    )
    half = tmp_path / "half"
    half.mkdir()
    (half / "printer.sync.json").symlink_to("a disk that is gone")
    assert "cannot be written" in folder.run(code.replace("{out}", str(half)))
    assert [path.name for path in half.iterdir()] == ["printer.sync.json"]
    (tmp_path / "printer.sync.json").write_text("{}", encoding="ascii")
    assert "exists already" in folder.run(code.replace("{out}", str(tmp_path)))
    assert folder.count("Node.objects.filter(slug='printer').count()") == 0
    assert folder.run(code.replace("{out}", str(tmp_path / "new"))) == ""
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["printer.node.json", "printer.sync.json"]
    assert "serves this machine already" in folder.run(code.replace("{out}", str(tmp_path / "x")))
    unknown = folder.run(code.replace("'printer'", "'prnter'"))
    assert unknown.endswith("laser, printer, saw")


def test_a_changed_name_in_hub_toml_is_the_labs_name_at_the_next_start(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "hub")
    path = folder.path / "hub.toml"
    path.write_text(path.read_text("utf-8").replace("Sample lab", "Le Labo"), encoding="utf-8")
    folder.run(
        "labs.apply_config(actor, Lab.objects.get(), settings_of())".replace(
            "settings_of()", "__import__('django.conf').conf.settings.HUB.config()"
        )
    )
    assert folder.count("Lab.objects.get().name") == "Le Labo"


def test_what_a_process_of_the_hub_writes_is_for_its_own_user(folder: HubFolder) -> None:
    """Also beside the hub's own folder, also when the shell that started it has no umask."""
    written = folder.run(
        "out = Path(sys.argv[1]) / 'note'\n"
        "out.write_text('Ada was here')\n"
        "print(oct(out.stat().st_mode & 0o777))"
    )
    assert written == "0o600"
