"""The sample lab's tray of badges in, what the panel page offers and says about each out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.sim.lab import TRAY
from interlock.sim.panel_server import BadgeOffer


@dataclass(frozen=True, slots=True)
class _Story:
    """What to expect of a badge: its colour on the page, and why, by language."""

    mood: str
    hint: Mapping[str, str]


_STORIES = {
    "trained": _Story("good", {"en": "Trained for everything", "fr": "Formée à tout"}),
    "woodwork": _Story("limited", {"en": "Trained for the saw", "fr": "Formé à la scie"}),
    "laser": _Story("limited", {"en": "Trained for the laser", "fr": "Formée au laser"}),
    "untrained": _Story("bad", {"en": "Not trained yet", "fr": "Pas encore formé"}),
    "expired": _Story("bad", {"en": "Training expired", "fr": "Formation expirée"}),
    "membership-over": _Story("bad", {"en": "Membership over", "fr": "Adhésion terminée"}),
    "suspended": _Story("bad", {"en": "Suspended", "fr": "Suspendu"}),
    "lost": _Story("bad", {"en": "Reported lost", "fr": "Déclaré perdu"}),
    "technician": _Story("good", {"en": "Technician", "fr": "Technicienne"}),
    "company": _Story("good", {"en": "A company's badge", "fr": "Badge d'entreprise"}),
    "unknown": _Story("unknown", {"en": "Never seen by the lab", "fr": "Jamais vu par le lab"}),
    "genuine": _Story("good", {"en": "Genuine: DESFire", "fr": "Authentique : DESFire"}),
    "copy": _Story(
        "unknown", {"en": "Amelia’s number, no key", "fr": "Le numéro d’Amelia, sans clé"}
    ),
    "ntag424": _Story("limited", {"en": "Genuine: NTAG 424", "fr": "Authentique : NTAG 424"}),
}
_PLAIN = _Story("limited", {"en": "A badge", "fr": "Un badge"})

TWO_AT_ONCE = ("trained", "untrained")
"""Two cards stuck together in one wallet: whose would the session be?"""


def offers() -> tuple[BadgeOffer, ...]:
    """The tray of the page: every badge of the sample lab, and two at once."""
    uids = {badge.key: badge.uid.hex() for badge in TRAY}
    singles = tuple(
        BadgeOffer(
            badge.printed,
            (badge.uid.hex(),),
            _STORIES.get(badge.key, _PLAIN).mood,
            _STORIES.get(badge.key, _PLAIN).hint,
        )
        for badge in TRAY
    )
    both = {"en": "Two badges in one wallet", "fr": "Deux badges dans un portefeuille"}
    return (
        *singles,
        BadgeOffer("Two at once", tuple(uids[key] for key in TWO_AT_ONCE), "several", both),
    )
