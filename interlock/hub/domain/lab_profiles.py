"""The six kinds of lab, as files that travel with the package, to groups, trainings, tariffs and machine rules.

A profile is where a lab begins, nothing that it has to stay: what is there already is left alone, nothing is
ever deleted, and applying one a second time changes nothing. The files are strict: a key nobody reads, a
training nobody knows, a language that is missing is an error with its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from interlock.core.model import BadgeUse
from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.directory import LANGUAGES
from interlock.hub.domain.labs import create_group
from interlock.hub.domain.machines import HouseRules, create_machine, set_rules
from interlock.hub.domain.tariffs import Prices, create_tariff, set_prices
from interlock.hub.domain.trainings import create_training
from interlock.hub.models import Basis, Group, Lab, Machine, Rounding, Tariff, Topic, Training
from interlock.hub.permissions import Actor, Permission, require

T = TypeVar("T")

FOLDER = "interlock.hub.profiles"
NAMES = ("digital-mediation", "third-place", "fablab", "university", "workshop", "training-centre")
"""In the order they are offered: from the most open to the most professional."""

EMPHASES = (
    *("hours", "people", "new_people", "trainings", "training_hours", "activities", "occupancy"),
    *("organisations", "sponsored", "volunteering", "availability", "grants", "refusals"),
)
"""What a report can show first, by the names of 5-hub.md, "Reports for funders"."""


class Kind(StrEnum):
    """What a machine is: enough to begin with the right rules."""

    SAW = "saw"
    LASER = "laser"
    PRINTER = "printer"
    MILL = "mill"
    LATHE = "lathe"
    CUTTER = "cutter"
    OTHER = "other"


KIND_WORDS: dict[Kind, str | Promise] = {
    Kind.SAW: _("Saw"),
    Kind.LASER: _("Laser cutter"),
    Kind.PRINTER: _("3D printer"),
    Kind.MILL: _("CNC mill"),
    Kind.LATHE: _("Lathe"),
    Kind.CUTTER: _("Vinyl cutter or plotter"),
    Kind.OTHER: _("Another machine"),
}

BADGE_USES = {Kind.LASER: BadgeUse.HOLD}
"""A laser is never left alone: its badge stays in the slot (config/laser-cutter.toml)."""


@dataclass(frozen=True, slots=True)
class TrainingTerms:
    """A training of a profile; its `prerequisite` stands before it in the file."""

    slug: str
    name: Mapping[str, str]
    duration_min: int | None
    validity_days: int | None
    lapse_days: int | None
    prerequisite: str | None


@dataclass(frozen=True, slots=True)
class TariffTerms:
    """A tariff of a profile: for everybody, and for the groups that pay otherwise."""

    slug: str
    name: Mapping[str, str]
    prices: Prices
    by_group: Mapping[str, Prices]


@dataclass(frozen=True, slots=True)
class MachineTerms:
    """What a machine of one kind asks for and costs."""

    trainings: tuple[str, ...]
    tariff: str
    rules: HouseRules


@dataclass(frozen=True, slots=True)
class LabProfile:
    """One kind of lab, read and checked."""

    slug: str
    name: Mapping[str, str]
    about: Mapping[str, str]
    season_ends: str
    asks_consent: bool
    report_emphasis: tuple[str, ...]
    groups: tuple[tuple[str, Mapping[str, str]], ...]
    trainings: tuple[TrainingTerms, ...]
    tariffs: tuple[TariffTerms, ...]
    machines: Mapping[Kind, MachineTerms]

    def terms_of(self, kind: Kind) -> MachineTerms:
        """What a machine of that kind asks for: its own line, or the one for others."""
        return self.machines.get(kind) or self.machines[Kind.OTHER]


@cache
def profile(slug: str) -> LabProfile:
    """The profile of that name. Raises ConfigError: there is none, or its file is not right."""
    if slug not in NAMES:
        raise ConfigError("there is no such profile", where=slug)
    text = resources.files(FOLDER).joinpath(f"{slug}.toml").read_text("utf-8")
    return read_profile(slug, text)


@transaction.atomic
def apply_profile(actor: Actor, lab: Lab, slug: str) -> int:
    """The lab has what the profile brings, in its own language; returns how many things were made.

    What it has already, by its id, stays as it is. Raises ConfigError.
    """
    require(actor, lab, Permission.EDIT_LAB)
    chosen = profile(slug)
    made = _add_groups(actor, lab, chosen) + _add_trainings(actor, lab, chosen)
    made += _add_tariffs(actor, lab, chosen)
    if lab.profile != slug:
        before, lab.profile = lab.profile, slug
        lab.report_emphasis = list(chosen.report_emphasis)
        lab.season_ends = lab.season_ends or chosen.season_ends
        lab.asks_consent = lab.asks_consent or chosen.asks_consent
        lab.save(update_fields=["profile", "report_emphasis", "season_ends", "asks_consent"])
        log_deed(
            actor,
            lab,
            Topic.OTHER,
            "profile_applied",
            lab.slug,
            before={"profile": before},
            after={"profile": slug},
        )
    return made


@transaction.atomic
def add_machine(actor: Actor, lab: Lab, slug: str, name: str, kind: Kind) -> Machine:
    """A machine with the rules that the lab's profile has for its kind; without a profile, none.
    Raises ConfigError."""
    badge_use = BADGE_USES.get(kind, BadgeUse.TAP)
    if not lab.profile:
        return create_machine(actor, lab, slug, name, badge_use=badge_use)
    terms = profile(lab.profile).terms_of(kind)
    machine = create_machine(
        actor,
        lab,
        slug,
        name,
        badge_use=badge_use,
        trainings=list(Training.objects.filter(lab=lab, slug__in=terms.trainings)),
        tariff=Tariff.objects.filter(lab=lab, slug=terms.tariff).first(),
    )
    # Opening hours are written later: until then the machine would never start.
    rules = terms.rules if lab.hours else _without_hours(terms.rules)
    if rules != HouseRules():
        set_rules(actor, machine, rules)
    return machine


def read_profile(slug: str, text: str) -> LabProfile:
    """The profile that a file's text says. Raises ConfigError with the place of what is wrong."""
    try:
        said = _Keys(tomllib.loads(text), slug)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", where=slug) from error
    groups = tuple((_slug(one), one.words("name")) for one in said.tables("groups"))
    trainings = tuple(_training(one) for one in said.tables("trainings"))
    tariffs = tuple(
        _tariff(one, {slug for slug, _words in groups}) for one in said.tables("tariffs")
    )
    read = LabProfile(
        slug=slug,
        name=said.words("name"),
        about=said.words("about"),
        season_ends=said.take("season_ends", str, ""),
        asks_consent=said.take("asks_consent", bool, False),
        report_emphasis=tuple(said.take("report_emphasis", list)),
        groups=groups,
        trainings=trainings,
        tariffs=tariffs,
        machines=_machines(said, trainings, tariffs),
    )
    said.done()
    _check(read)
    return read


class _Keys:
    """A table of the file; every key has to be taken by somebody."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self._left, self.where = dict(values), where

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        value = self._left.pop(key, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(f"must be {kind.__name__}", where=f"{self.where}: {key}")
        return value

    def number(self, key: str) -> int | None:
        return self.take(key, int) if key in self._left else None

    def words(self, key: str) -> Mapping[str, str]:
        said = self.take(key, dict)
        if set(said) != set(LANGUAGES) or not all(said.values()):
            raise ConfigError(
                f"must be said in {', '.join(LANGUAGES)}", where=f"{self.where}: {key}"
            )
        return {language: str(word) for language, word in said.items()}

    def tables(self, key: str) -> list[_Keys]:
        return [
            _Keys(one, f"{self.where}: {key}[{number}]")
            for number, one in enumerate(self.take(key, list))
        ]

    def named(self, key: str) -> dict[str, _Keys]:
        return {
            name: _Keys(one, f"{self.where}: {key}.{name}")
            for name, one in self.take(key, dict, {}).items()
        }

    def done(self) -> None:
        if self._left:
            raise ConfigError(f"nobody reads {sorted(self._left)}", where=self.where)


def _slug(keys: _Keys) -> str:
    return keys.take("slug", str)


def _training(keys: _Keys) -> TrainingTerms:
    read = TrainingTerms(
        slug=_slug(keys),
        name=keys.words("name"),
        duration_min=keys.number("duration_min"),
        validity_days=keys.number("validity_days"),
        lapse_days=keys.number("lapse_days"),
        prerequisite=keys.take("prerequisite", str, "") or None,
    )
    keys.done()
    return read


def _tariff(keys: _Keys, groups: set[str]) -> TariffTerms:
    slug, name = _slug(keys), keys.words("name")
    by_group = keys.named("groups")
    if set(by_group) - groups:
        raise ConfigError(f"no such group: {sorted(set(by_group) - groups)}", where=keys.where)
    return TariffTerms(
        slug=slug,
        name=name,
        prices=_prices(keys),
        by_group={group: _prices(one) for group, one in by_group.items()},
    )


def _prices(keys: _Keys) -> Prices:
    prices = Prices(
        cents_per_hour=keys.take("cents_per_hour", int),
        basis=Basis(keys.take("basis", str, Basis.ENABLED.value)),
        rounding=Rounding(keys.take("rounding", str, Rounding.EXACT.value)),
        rounding_min=keys.take("rounding_min", int, 1),
        setup_cents=keys.take("setup_cents", int, 0),
        minimum_cents=keys.take("minimum_cents", int, 0),
        free_s=60 * keys.take("free_min", int, 0),
        daily_cap_cents=keys.number("daily_cap_cents"),
    )
    keys.done()
    return prices


def _machines(
    said: _Keys, trainings: tuple[TrainingTerms, ...], tariffs: tuple[TariffTerms, ...]
) -> Mapping[Kind, MachineTerms]:
    known = {one.slug for one in trainings}
    prices = {one.slug for one in tariffs}
    read = {}
    for name, keys in said.named("machines").items():
        minutes = keys.number("daily_limit_min")
        terms = MachineTerms(
            trainings=tuple(keys.take("trainings", list)),
            tariff=keys.take("tariff", str),
            rules=HouseRules(
                second_person=keys.take("second_person", bool, False),
                within_hours=keys.take("within_hours", bool, False),
                daily_limit_s=None if minutes is None else 60 * minutes,
            ),
        )
        keys.done()
        if (
            name not in list(Kind)
            or not set(terms.trainings) <= known
            or terms.tariff not in prices
        ):
            raise ConfigError("names a kind, training or tariff nobody knows", where=keys.where)
        read[Kind(name)] = terms
    return read


def _check(read: LabProfile) -> None:
    if Kind.OTHER not in read.machines:
        raise ConfigError("needs machines.other", where=read.slug)
    if not set(read.report_emphasis) <= set(EMPHASES):
        raise ConfigError(
            f"must be of {', '.join(EMPHASES)}", where=f"{read.slug}: report_emphasis"
        )
    seen: set[str] = set()
    for one in read.trainings:
        if one.prerequisite is not None and one.prerequisite not in seen:
            raise ConfigError("its prerequisite must stand before it", where=one.slug)
        seen.add(one.slug)


def _without_hours(rules: HouseRules) -> HouseRules:
    return HouseRules(second_person=rules.second_person, daily_limit_s=rules.daily_limit_s)


def _add_groups(actor: Actor, lab: Lab, chosen: LabProfile) -> int:
    words = dict(chosen.groups)
    return _add(
        Group.objects.filter(lab=lab).values_list("slug", flat=True),
        words,
        lambda slug: create_group(actor, lab, slug, words[slug][lab.language]),
    )


def _add_trainings(actor: Actor, lab: Lab, chosen: LabProfile) -> int:
    terms = {one.slug: one for one in chosen.trainings}

    def create(slug: str) -> None:
        one = terms[slug]
        create_training(
            actor,
            lab,
            slug,
            one.name[lab.language],
            validity_days=one.validity_days,
            lapse_days=one.lapse_days,
            duration_min=one.duration_min,
            prerequisite=Training.objects.filter(lab=lab, slug=one.prerequisite).first(),
        )

    return _add(Training.objects.filter(lab=lab).values_list("slug", flat=True), terms, create)


def _add_tariffs(actor: Actor, lab: Lab, chosen: LabProfile) -> int:
    terms = {one.slug: one for one in chosen.tariffs}
    groups = {group.slug: group for group in Group.objects.filter(lab=lab)}

    def create(slug: str) -> None:
        one = terms[slug]
        tariff = create_tariff(actor, lab, slug, one.name[lab.language], one.prices)
        for group, prices in one.by_group.items():
            set_prices(actor, tariff, prices, group=groups[group])

    return _add(Tariff.objects.filter(lab=lab).values_list("slug", flat=True), terms, create)


def _add(there: Any, wanted: Mapping[str, object], create: Callable[[str], object]) -> int:
    known = set(there)
    missing = [slug for slug in wanted if slug not in known]
    for slug in missing:
        create(slug)
    return len(missing)
