"""The demo's lab: thirteen members, six trainings, three tariffs and machines, and a tray of badges.

Made with the hub's own domain functions, so that the demo shows what a lab could have typed in. Genuine
badges get their keys as the desk would give them: each badge's own, never the site's (`card_tray`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.clock import SystemClock
from interlock.core.model import BadgeUse, Needs
from interlock.sim.card_tray import KEY_VERSION, CardBox, CardKind, Made, machines_key_of, slot_of
from interlock.sim.clocks import VirtualClock

if TYPE_CHECKING:
    from interlock.hub.models import Badge, Member

SAW, LASER, PRINTER = "saw", "laser", "printer"
MACHINES = (SAW, LASER, PRINTER)
"""Ids of the three machines: of their nodes and front panels too."""

FORGIVE_S = 2
"""A real lab forgives a wrong tap of ten seconds; in the demo nobody wants to wait that long for a price."""


@dataclass(frozen=True, slots=True)
class TrayBadge:
    """A card in the demo's tray: its UID, whose it is, what to expect of it, and what it is made of."""

    key: str
    uid: bytes
    holder: str
    story: str
    kind: CardKind = CardKind.UID_ONLY

    @property
    def printed(self) -> str:
        """What the page calls it: its holder, or what it is."""
        return self.holder or ("Copied badge" if self.kind is CardKind.COPY else "Unknown badge")


@dataclass(frozen=True, slots=True)
class Person:
    """A member of the sample lab; `trainings` by id, `expired` those that ended a month ago.

    `supervised` are those they may only use beside a trainer, `teaches` those they are a trainer of.
    """

    name: str
    language: str
    group: str
    trainings: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    supervised: tuple[str, ...] = ()
    teaches: tuple[str, ...] = ()
    payer: str = ""
    technician: bool = False
    suspended: bool = False
    membership_over: bool = False
    badges: tuple[str, ...] = field(default_factory=tuple)
    lost: tuple[str, ...] = ()


_GENUINE, _NTAG424 = bytes.fromhex("0463a9d21c7580"), bytes.fromhex("04e81b6af35c90")
_TRAINER, _TECHNICIAN = bytes.fromhex("042d90b7e61a84"), bytes.fromhex("04b15d0277ce84")

TRAY = (
    TrayBadge("trained", bytes.fromhex("04a2241a5f6180"), "Camille Laurent", "Trained for all"),
    TrayBadge("woodwork", bytes.fromhex("0491b37a2e5c80"), "Oliver Hughes", "Trained for the saw"),
    TrayBadge("laser", bytes.fromhex("04c86d12947e81"), "Inès Moreau", "Trained for the laser"),
    TrayBadge("untrained", bytes.fromhex("8f3bc21d"), "Théo Girard", "Not trained yet"),
    TrayBadge("expired", bytes.fromhex("5a71e40c"), "Grace Walker", "Training expired"),
    TrayBadge("membership-over", bytes.fromhex("04d95e33a07b82"), "Lucas Petit", "Membership over"),
    TrayBadge("suspended", bytes.fromhex("21f4a96e"), "Harry Collins", "Suspended"),
    TrayBadge("lost", bytes.fromhex("043f7c8ae1b583"), "Camille Laurent", "Reported lost"),
    TrayBadge("company", bytes.fromhex("7d02c9b84e51a60f3322"), "Emma Bernard", "Company's badge"),
    TrayBadge("unknown", bytes.fromhex("c4d81f97"), "", "Never seen by the lab"),
    TrayBadge("genuine", _GENUINE, "Amelia Wright", "Genuine: DESFire", CardKind.DESFIRE),
    TrayBadge("copy", _GENUINE, "", "Amelia's number without her key", CardKind.COPY),
    TrayBadge("ntag424", _NTAG424, "Léa Rousseau", "Genuine: NTAG 424", CardKind.NTAG424),
    TrayBadge("trainer", _TRAINER, "Jeanne Roux", "Trainer for the saw", CardKind.DESFIRE),
    TrayBadge("technician", _TECHNICIAN, "Fatou Diallo", "Technician", CardKind.DESFIRE),
    TrayBadge("trainee", bytes.fromhex("047e3a9c51d280"), "Noah Fischer", "Learns the saw"),
)
"""UIDs of 4, 7 and 10 bytes, as the cards people carry have them."""

_ALL = ("safety", "table-saw", "laser-cutter", "printer-3d", "cnc-router", "soldering")

PEOPLE = (
    Person("Camille Laurent", "fr", "resident", _ALL, badges=("trained",), lost=("lost",)),
    Person("Oliver Hughes", "en", "standard", ("safety", "table-saw"), badges=("woodwork",)),
    Person("Inès Moreau", "fr", "student", ("safety", "laser-cutter"), badges=("laser",)),
    Person("Théo Girard", "fr", "standard", badges=("untrained",)),
    Person("Grace Walker", "en", "standard", ("safety",), ("table-saw",), badges=("expired",)),
    Person(
        "Lucas Petit", "fr", "standard", _ALL, membership_over=True, badges=("membership-over",)
    ),
    Person("Harry Collins", "en", "student", _ALL, suspended=True, badges=("suspended",)),
    Person("Fatou Diallo", "fr", "staff", _ALL, technician=True, badges=("technician",)),
    Person("Jeanne Roux", "fr", "staff", _ALL, teaches=("table-saw",), badges=("trainer",)),
    Person("Emma Bernard", "fr", "company", _ALL, payer="Atelier Bernard", badges=("company",)),
    Person(
        "Noah Fischer",
        "en",
        "company",
        ("safety", "printer-3d"),
        supervised=("table-saw",),
        payer="Atelier Bernard",
        badges=("trainee",),
    ),
    Person("Léa Rousseau", "fr", "student", ("safety", "printer-3d"), badges=("ntag424",)),
    Person("Amelia Wright", "en", "resident", _ALL, badges=("genuine",)),
)

_WORDS = {
    "en": {
        "lab": "Sample lab",
        SAW: "Table saw",
        LASER: "Laser cutter",
        PRINTER: "3D printer",
        "wood": "Woodworking",
        "light": "Laser",
        "print": "3D printing",
        "safety": "Workshop safety",
        "table-saw": "Table saw",
        "laser-cutter": "Laser cutter",
        "printer-3d": "3D printer",
        "cnc-router": "CNC router",
        "soldering": "Soldering",
        "standard": "Standard",
        "resident": "Resident",
        "student": "Student",
        "company": "Company",
        "staff": "Staff",
    },
    "fr": {
        "lab": "Lab de démonstration",
        SAW: "Scie à format",
        LASER: "Découpeuse laser",
        PRINTER: "Imprimante 3D",
        "wood": "Bois",
        "light": "Laser",
        "print": "Impression 3D",
        "safety": "Sécurité en atelier",
        "table-saw": "Scie à format",
        "laser-cutter": "Découpe laser",
        "printer-3d": "Impression 3D",
        "cnc-router": "Fraiseuse numérique",
        "soldering": "Soudure",
        "standard": "Standard",
        "resident": "Résident",
        "student": "Étudiant",
        "company": "Entreprise",
        "staff": "Équipe",
    },
}


def tray() -> tuple[TrayBadge, ...]:
    """The named badges of the demo, in the order of the tray."""
    return TRAY


def card_box() -> CardBox:
    """The physical cards of the tray, for one virtual world."""
    return CardBox(tuple(Made((one.printed, one.key), one.uid, one.kind) for one in TRAY))


def sample_lab(directory: Path, language: str = "en") -> None:
    """A hub with the sample lab lives in `directory`. Raises ConfigError when a hub lived there."""
    from interlock.hub import commands
    from interlock.hub.directory import HubConfig

    name = _WORDS[language]["lab"]
    commands.init(directory, HubConfig(name=name, time_zone="Europe/Paris", language=language))
    _Furnisher(language).furnish()


class _Furnisher:
    """Fills an empty lab; Django is set up when it is made."""

    def __init__(self, language: str) -> None:
        from django.db import transaction

        from interlock.hub.commands import the_lab
        from interlock.hub.permissions import Actor

        self._words = _WORDS[language]
        self._lab = the_lab()
        self._actor = Actor(SystemClock(), label="demo")
        self._atomic = transaction.atomic

    def furnish(self) -> None:
        """Everything of the sample lab exists, or nothing."""
        with self._atomic():
            self._make_trainings()
            self._make_prices()
            self._make_machines()
            for person in PEOPLE:
                self._make(person)

    def _make_trainings(self) -> None:
        from interlock.hub.domain.trainings import create_training

        self._trainings = {
            slug: create_training(self._actor, self._lab, slug, self._words[slug]) for slug in _ALL
        }

    def _make_prices(self) -> None:
        from interlock.hub.domain.labs import create_group
        from interlock.hub.domain.tariffs import Prices, create_tariff, set_prices
        from interlock.hub.models import Basis, Rounding

        groups = ("standard", "resident", "student", "company", "staff")
        self._groups = {
            slug: create_group(self._actor, self._lab, slug, self._words[slug]) for slug in groups
        }
        everybody = {
            "wood": Prices(cents_per_hour=1_200, basis=Basis.BUSY, forgive_s=FORGIVE_S),
            "light": Prices(
                cents_per_hour=3_000,
                basis=Basis.BUSY,
                rounding=Rounding.MINUTE,
                setup_cents=100,
                minimum_cents=200,
                forgive_s=FORGIVE_S,
            ),
            "print": Prices(
                cents_per_hour=150, free_s=300, daily_cap_cents=1_200, forgive_s=FORGIVE_S
            ),
        }
        self._tariffs = {
            slug: create_tariff(self._actor, self._lab, slug, self._words[slug], prices)
            for slug, prices in everybody.items()
        }
        cheaper = Prices(cents_per_hour=600, basis=Basis.BUSY, forgive_s=FORGIVE_S)
        set_prices(self._actor, self._tariffs["wood"], cheaper, group=self._groups["student"])
        dearer = Prices(
            cents_per_hour=6_000,
            basis=Basis.BUSY,
            rounding=Rounding.MINUTES,
            rounding_min=15,
            setup_cents=500,
            forgive_s=FORGIVE_S,
        )
        set_prices(self._actor, self._tariffs["light"], dearer, group=self._groups["company"])

    def _make_machines(self) -> None:
        from interlock.hub.domain.machines import create_machine

        asked = {
            SAW: (("safety", "table-saw"), "wood", BadgeUse.TAP, True),
            LASER: (("safety", "laser-cutter"), "light", BadgeUse.HOLD, True),
            PRINTER: (("printer-3d",), "print", BadgeUse.TAP, False),
        }
        for slug, (trainings, tariff, use, sensor) in asked.items():
            create_machine(
                self._actor,
                self._lab,
                slug,
                self._words[slug],
                badge_use=use,
                trainings=[self._trainings[name] for name in trainings],
                needs=Needs.ALL,
                has_current_sensor=sensor,
                tariff=self._tariffs[tariff],
            )

    def _make(self, person: Person) -> None:
        from interlock.hub.domain import labs, members
        from interlock.hub.models import BadgeCondition, Payer, PayerKind

        payer = Payer.objects.filter(lab=self._lab, name=person.payer).first()
        if person.payer and payer is None:
            payer = labs.create_payer(self._actor, self._lab, person.payer, PayerKind.ORGANISATION)
        now = self._actor.now()
        member = members.create_member(
            self._actor,
            self._lab,
            person.name,
            language=person.language,
            group=self._groups[person.group],
            payer=payer,
            until_at=now + timedelta(days=-10 if person.membership_over else 300),
            technician=person.technician,
        )
        self._train(member, person)
        in_tray = {badge.key: badge for badge in TRAY}
        for key in (*person.badges, *person.lost):
            badge = members.assign_badge(self._actor, member, in_tray[key].uid, key)
            self._make_genuine(badge, in_tray[key])
            if key in person.lost:
                members.block_badge(self._actor, badge, BadgeCondition.LOST, "left on the bus")
        if person.suspended:
            members.suspend_member(self._actor, member, "ran the saw without its guard")

    def _make_genuine(self, badge: Badge, card: TrayBadge) -> None:
        """The hub knows the key the card was given, if it was given one."""
        from interlock.hub.domain.badges import set_card_key

        slot, key = slot_of(card.kind), machines_key_of(card.uid, card.kind)
        if slot is not None and key is not None:
            set_card_key(self._actor, badge, slot, key, KEY_VERSION)

    def _train(self, member: Member, person: Person) -> None:
        from interlock.hub.domain.trainings import grant_training
        from interlock.hub.models import Authorisation
        from interlock.hub.permissions import Actor

        levels = {
            Authorisation.Level.ALONE: person.trainings,
            Authorisation.Level.SUPERVISED: person.supervised,
            Authorisation.Level.TRAINER: person.teaches,
        }
        for level, slugs in levels.items():
            for slug in slugs:
                grant_training(self._actor, member, self._trainings[slug], level)
        # Granted two months ago for a month: the history a real lab would have.
        past = Actor(VirtualClock(wall_ms=SystemClock().wall_ms() - 60 * 86_400_000), label="demo")
        for slug in person.expired:
            until_at = past.now() + timedelta(days=30)
            grant_training(past, member, self._trainings[slug], until_at=until_at)
