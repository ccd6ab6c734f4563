"""The kinds of machines an invented lab has: how they are used, what they ask for, what they cost."""

from __future__ import annotations

from dataclasses import dataclass

from interlock.core.model import BadgeUse
from interlock.hub.domain.tariffs import Prices
from interlock.hub.models import Basis, Rounding


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of machine. `popularity` is relative; a session lasts `median_min`, and the machine works
    `busy_share` of it."""

    slug: str
    names: tuple[str, str]
    training: str
    tariff: str
    popularity: float
    median_min: float
    busy_share: float
    badge_use: BadgeUse = BadgeUse.TAP
    has_current_sensor: bool = True


KINDS: tuple[Kind, ...] = (
    Kind(
        "laser",
        ("Laser cutter", "Découpeuse laser"),
        "laser-cutter",
        "light",
        3.2,
        34,
        0.62,
        BadgeUse.HOLD,
    ),
    Kind("printer", ("3D printer", "Imprimante 3D"), "printer-3d", "print", 2.6, 95, 0.9),
    Kind("saw", ("Table saw", "Scie à format"), "table-saw", "wood", 1.4, 22, 0.35),
    Kind("cnc", ("CNC router", "Fraiseuse numérique"), "cnc-router", "wood", 1.3, 70, 0.7),
    Kind("bandsaw", ("Band saw", "Scie à ruban"), "table-saw", "wood", 0.9, 16, 0.4),
    Kind(
        "vinyl",
        ("Vinyl cutter", "Découpeuse vinyle"),
        "soldering",
        "print",
        1.0,
        25,
        0.5,
        has_current_sensor=False,
    ),
    Kind("drill", ("Pillar drill", "Perceuse à colonne"), "safety", "wood", 0.8, 12, 0.3),
    Kind("lathe", ("Metal lathe", "Tour à métaux"), "cnc-router", "wood", 0.6, 65, 0.55),
    Kind(
        "embroidery",
        ("Embroidery machine", "Brodeuse numérique"),
        "soldering",
        "print",
        0.7,
        55,
        0.75,
    ),
    Kind(
        "solder",
        ("Soldering station", "Poste de soudure"),
        "soldering",
        "print",
        0.9,
        48,
        0.8,
        has_current_sensor=False,
    ),
)
"""The first three are the demo's own; more machines take the kinds in turn."""

TRAININGS: dict[str, tuple[str, str]] = {
    "safety": ("Workshop safety", "Sécurité en atelier"),
    "table-saw": ("Table saw", "Scie à format"),
    "laser-cutter": ("Laser cutter", "Découpe laser"),
    "printer-3d": ("3D printer", "Impression 3D"),
    "cnc-router": ("CNC router", "Fraiseuse numérique"),
    "soldering": ("Soldering", "Soudure"),
}

TRAINING_MIN = {"safety": 60, "table-saw": 180, "laser-cutter": 150, "cnc-router": 240}
"""How long a course takes; the others take TRAINING_MIN_USUAL."""
TRAINING_MIN_USUAL = 120

GROUPS: dict[str, tuple[str, str, float]] = {
    "standard": ("Standard", "Standard", 0.46),
    "student": ("Student", "Étudiant", 0.22),
    "resident": ("Resident", "Résident", 0.06),
    "company": ("Company", "Entreprise", 0.12),
    "association": ("Association", "Association", 0.07),
    "volunteer": ("Volunteer", "Bénévole", 0.05),
    "staff": ("Staff", "Équipe", 0.02),
}
"""By id: names, and which share of the members is of it."""

ORGANISED = ("company", "association")
"""Groups whose members' organisations pay."""

TARIFFS: dict[str, tuple[str, str, Prices]] = {
    "wood": (
        "Woodworking",
        "Bois",
        Prices(cents_per_hour=1_200, basis=Basis.BUSY, forgive_s=10),
    ),
    "light": (
        "Laser",
        "Laser",
        Prices(
            cents_per_hour=3_000,
            basis=Basis.BUSY,
            rounding=Rounding.MINUTE,
            setup_cents=100,
            minimum_cents=200,
            forgive_s=10,
        ),
    ),
    "print": (
        "3D printing",
        "Impression 3D",
        Prices(cents_per_hour=150, free_s=300, daily_cap_cents=1_200, forgive_s=10),
    ),
}

GRANTS = (
    ("Région, fabriques de territoire", "FT-2023-118"),
    ("Fondation Orange, FabLabs solidaires", "FO-8841"),
    ("", ""),
)
"""Who paid for machines, in turn; the lab bought the others itself."""
