"""The sample lab's tray of badges in, what the panel page offers and says about each out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.sim.card_tray import CardKind
from interlock.sim.lab import TRAY
from interlock.sim.panel_server import BadgeOffer


@dataclass(frozen=True, slots=True)
class _Story:
    """What to expect of a badge: where it lies in the tray, its colour, and why, by language."""

    group: str
    mood: str
    hint: Mapping[str, str]


_STORIES = {
    "trained": _Story("plain", "good", {"en": "Trained for everything", "fr": "Formée à tout"}),
    "woodwork": _Story("plain", "limited", {"en": "Trained for the saw", "fr": "Formé à la scie"}),
    "laser": _Story("plain", "limited", {"en": "Trained for the laser", "fr": "Formée au laser"}),
    "company": _Story("plain", "good", {"en": "A company’s badge", "fr": "Badge d’entreprise"}),
    "genuine": _Story(
        "secure", "good", {"en": "Opens all three", "fr": "Ouvre les trois machines"}
    ),
    "ntag424": _Story(
        "secure", "limited", {"en": "Trained for the printer", "fr": "Formée à l’imprimante"}
    ),
    "trainer": _Story(
        "secure", "good", {"en": "Trainer for the saw", "fr": "Formatrice à la scie"}
    ),
    "technician": _Story(
        "secure", "good", {"en": "Technician, clears faults", "fr": "Technicienne"}
    ),
    "trainee": _Story(
        "learning", "limited", {"en": "Saw with a trainer only", "fr": "Scie : avec formatrice"}
    ),
    "untrained": _Story("learning", "bad", {"en": "Not trained yet", "fr": "Pas encore formé"}),
    "expired": _Story("refused", "bad", {"en": "Training expired", "fr": "Formation expirée"}),
    "membership-over": _Story(
        "refused", "bad", {"en": "Membership over", "fr": "Adhésion terminée"}
    ),
    "suspended": _Story("refused", "bad", {"en": "Suspended", "fr": "Suspendu"}),
    "lost": _Story("refused", "bad", {"en": "Reported lost", "fr": "Déclaré perdu"}),
    "unknown": _Story(
        "strange", "unknown", {"en": "Never seen by the lab", "fr": "Jamais vu par le lab"}
    ),
    "copy": _Story(
        "strange", "unknown", {"en": "Amelia’s number, no key", "fr": "Numéro copié, sans clé"}
    ),
}
"""In the order of the tray. Groups are those of tray.js: what lies together is one lesson."""

_MADE_OF = {CardKind.DESFIRE: "DESFire", CardKind.NTAG424: "NTAG 424", CardKind.COPY: "DESFire"}
"""What is printed small on a card that can do more than tell its number."""

TWO_AT_ONCE = ("trained", "untrained")
"""Two cards stuck together in one wallet: whose would the session be?"""


def offers() -> tuple[BadgeOffer, ...]:
    """The tray of the page: every badge of the sample lab by group, and two at once."""
    singles = [
        BadgeOffer(
            badge.printed,
            (badge.uid.hex(),),
            _STORIES[badge.key].mood,
            _STORIES[badge.key].hint,
            _STORIES[badge.key].group,
            _MADE_OF.get(badge.kind, ""),
        )
        for badge in sorted(TRAY, key=lambda one: list(_STORIES).index(one.key))
    ]
    uids = {badge.key: badge.uid.hex() for badge in TRAY}
    both = {"en": "Two badges in one wallet", "fr": "Deux badges collés"}
    two = BadgeOffer(
        "Two at once", tuple(uids[key] for key in TWO_AT_ONCE), "several", both, "strange"
    )
    return (*singles, two)
