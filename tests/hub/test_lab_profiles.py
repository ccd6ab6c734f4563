"""The six kinds of lab: each file is right, each makes a lab that works, and none takes anything away."""

from __future__ import annotations

import pytest

from interlock.errors import ConfigError
from interlock.hub.directory import HubConfig
from interlock.hub.domain import lab_profiles, labs, trainings
from interlock.hub.domain.lab_profiles import Kind
from interlock.hub.models import ChangeLog, Group, Lab, Machine, Tariff, TariffVersion, Training
from tests.hub.lab import console

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def new_lab(language: str = "fr") -> Lab:
    return labs.create_lab(
        console(), "lab", HubConfig(name="Un labo", time_zone="Europe/Paris", language=language)
    )


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("slug", lab_profiles.NAMES)
def test_each_profile_makes_a_lab_with_all_it_names_in_its_language(
    slug: str, language: str
) -> None:
    lab, chosen = new_lab(language), lab_profiles.profile(slug)
    made = lab_profiles.apply_profile(console(), lab, slug)
    assert made == len(chosen.groups) + len(chosen.trainings) + len(chosen.tariffs)
    assert dict(Group.objects.values_list("slug", "name")) == {
        one: words[language] for one, words in chosen.groups
    }
    assert {
        (t.slug, t.name, t.prerequisite.slug if t.prerequisite else None)
        for t in Training.objects.all()
    } == {(one.slug, one.name[language], one.prerequisite) for one in chosen.trainings}
    prices = {
        (one.tariff.slug, one.group.slug if one.group else None): one.cents_per_hour
        for one in TariffVersion.objects.all()
    }
    assert prices == {
        (one.slug, group): terms.cents_per_hour
        for one in chosen.tariffs
        for group, terms in ({None: one.prices} | dict(one.by_group)).items()
    }
    lab.refresh_from_db()
    assert (lab.profile, tuple(lab.report_emphasis)) == (slug, chosen.report_emphasis)


@pytest.mark.parametrize("slug", lab_profiles.NAMES)
def test_every_kind_of_machine_starts_with_the_rules_of_its_profile(slug: str) -> None:
    lab = new_lab()
    lab_profiles.apply_profile(console(), lab, slug)
    for kind in Kind:
        lab_profiles.add_machine(console(), lab, kind.value, kind.value, kind)
        terms = lab_profiles.profile(slug).terms_of(kind)
        machine = Machine.objects.get(slug=kind.value)
        asked = set(machine.trainings.values_list("slug", flat=True))
        assert asked == set(terms.trainings), kind
        assert machine.tariff is not None
        assert machine.tariff.slug == terms.tariff
        assert machine.second_person is terms.rules.second_person
        # No hours are written yet: a machine that kept to them would never start.
        assert machine.within_hours is False
    assert Machine.objects.get(slug="laser").badge_use == "hold"
    assert Machine.objects.get(slug="saw").badge_use == "tap"


def test_applying_a_profile_twice_changes_nothing() -> None:
    lab = new_lab()
    lab_profiles.apply_profile(console(), lab, "fablab")
    before = ChangeLog.objects.count()
    assert lab_profiles.apply_profile(console(), lab, "fablab") == 0
    assert ChangeLog.objects.count() == before


def test_a_profile_adds_to_what_is_there_and_takes_nothing_away() -> None:
    lab = new_lab()
    own = trainings.create_training(console(), lab, "safety", "Notre accueil", validity_days=10)
    labs.create_group(console(), lab, "friends", "Les amis")
    lab_profiles.apply_profile(console(), lab, "fablab")
    lab_profiles.apply_profile(console(), lab, "university")
    own.refresh_from_db()
    assert (own.name, own.validity_days) == ("Notre accueil", 10)
    assert Training.objects.get(slug="table-saw").prerequisite == own
    # Two profiles that both know a table saw do not make two of them.
    assert Training.objects.filter(slug="table-saw").count() == 1
    assert {"friends", "volunteer", "doctoral"} <= set(Group.objects.values_list("slug", flat=True))
    assert Tariff.objects.filter(slug__in=["wood", "internal"]).count() == 2
    lab.refresh_from_db()
    assert (lab.profile, lab.season_ends) == ("university", "08-31")


GOOD = """
name = { en = "A", fr = "A" }
about = { en = "B", fr = "B" }
report_emphasis = ["hours"]
[[groups]]
slug = "all"
name = { en = "C", fr = "C" }
[[trainings]]
slug = "one"
name = { en = "D", fr = "D" }
[[tariffs]]
slug = "t"
name = { en = "E", fr = "E" }
cents_per_hour = 100
[machines.other]
trainings = ["one"]
tariff = "t"
"""


def test_the_smallest_profile_is_read() -> None:
    assert lab_profiles.read_profile("x", GOOD).terms_of(Kind.SAW).trainings == ("one",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('fr = "C"', 'de = "C"', "en, fr"),
        ('slug = "one"', 'slug = "one"\ncolour = "red"', "nobody reads"),
        ('trainings = ["one"]', 'trainings = ["two"]', "nobody knows"),
        ("machines.other", "machines.saw", "machines.other"),
        ('["hours"]', '["colours"]', "report_emphasis"),
        ('slug = "one"', 'slug = "one"\nprerequisite = "later"', "stand before it"),
        ("cents_per_hour = 100", "cents_per_hour = true", "must be int"),
        ("cents_per_hour = 100", "groups = { none = { cents_per_hour = 1 } }", "no such group"),
    ],
)
def test_a_profile_that_is_not_right_says_where(old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        lab_profiles.read_profile("x", GOOD.replace(old, new))


def test_hub_toml_no_longer_renames_a_lab_that_was_described_on_its_pages() -> None:
    lab = new_lab()
    config = HubConfig(name="Of hub.toml", time_zone="Europe/Paris", language="fr")
    labs.apply_config(console(), lab, config)
    assert lab.name == "Of hub.toml"
    labs.describe_lab(console(), lab, "Le vrai nom", "fr", "Indian/Reunion")
    labs.apply_config(console(), lab, config)
    lab.refresh_from_db()
    assert (lab.name, lab.time_zone) == ("Le vrai nom", "Indian/Reunion")
