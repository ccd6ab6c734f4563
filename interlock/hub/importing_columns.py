"""The headings of somebody's list go in; what each column most likely holds comes out.

HelloAsso's export of a membership form, as several programs on GitHub that read it agree (2023 to 2026; no
public specification was found): CSV, semicolons, UTF-8 with BOM, days as 09/10/2025 21:59, then the form's
own questions as further columns. The heading of such a file:

    Référence commande;Date de la commande;Statut de la commande;Nom adhérent;Prénom adhérent;
    Nom payeur;Prénom payeur;Email payeur;Raison sociale;Moyen de paiement;Tarif;Montant tarif;
    Code Promo;Montant code promo;…

Sure: the names of those columns and "Validé" for an order that counts. Less sure: that they never change,
which is why every guess is shown and can be changed on screen. The payer's e-mail is all HelloAsso has by
itself; a form that asks members for their own has one more column, which is preferred here.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from interlock.hub import old_ids
from interlock.hub.spreadsheets import plain


class Field(StrEnum):
    """What a column can hold."""

    NAME = "name"
    LAST_NAME = "last_name"
    FIRST_NAME = "first_name"
    EMAIL = "email"
    GROUP = "group"
    JOINED = "joined"
    UNTIL = "until"
    PAYER = "payer"
    LANGUAGE = "language"
    TRAININGS = "trainings"
    BADGE = "badge"
    OLD_ID = "old_id"
    STATE = "state"


WORDS: dict[Field, str | Promise] = {
    Field.NAME: _("First and last name"),
    Field.LAST_NAME: _("Last name"),
    Field.FIRST_NAME: _("First name"),
    Field.EMAIL: _("E-mail"),
    Field.GROUP: _("Group"),
    Field.JOINED: _("Member since"),
    Field.UNTIL: _("Member until"),
    Field.PAYER: _("Payer"),
    Field.LANGUAGE: _("Language"),
    Field.TRAININGS: _("Trainings"),
    Field.BADGE: _("Badge (UID)"),
    Field.OLD_ID: _("Badge (old number)"),
    Field.STATE: _("Whether the order counts"),
}

ALIASES: dict[Field, tuple[str, ...]] = {
    Field.NAME: (
        *("name", "nomcomplet", "fullname", "member", "adherent", "membre", "nometprenom"),
        *("nomprenom", "prenomnom", "prenometnom"),
    ),
    Field.LAST_NAME: ("lastname", "surname", "familyname", "nomdefamille", "nomadherent"),
    Field.FIRST_NAME: ("firstname", "givenname", "prenom", "prenomadherent"),
    Field.EMAIL: (
        *("email", "mail", "courriel", "adressemail", "adresseemail", "adressecourriel"),
        *("emailadherent", "emaildeladherent", "adressemaildeladherent", "adressemailadherent"),
        *("mailadherent", "emailaddress", "emailacheteur", "emailpayeur"),
    ),
    Field.GROUP: ("group", "groupe", "tarif", "formule", "typedadhesion", "category", "categorie"),
    Field.JOINED: (
        *("since", "joined", "membersince", "dateadhesion", "datedadhesion", "adhesion"),
        *("datedinscription", "dateinscription", "datedelacommande", "datecommande", "date"),
    ),
    Field.UNTIL: (
        *("until", "memberuntil", "expires", "jusquau", "fin", "finadhesion", "echeance"),
        *("datedefin", "findadhesion", "datefin", "findevalidite", "expiration"),
    ),
    Field.PAYER: ("payer", "payeur", "organisation", "organization", "structure", "raisonsociale"),
    Field.LANGUAGE: ("language", "langue", "lang"),
    Field.TRAININGS: ("trainings", "training", "formations", "formation", "habilitations"),
    Field.BADGE: ("badge", "uid", "badgeuid", "carte"),
    Field.OLD_ID: old_ids.COLUMN,
    Field.STATE: ("statutdelacommande", "statutcommande", "orderstatus"),
}
"""Every heading that is understood, without accents, case, spaces and signs; the likelier ones first."""

HELLOASSO = frozenset({"nomadherent", "prenomadherent", "emailpayeur"})
"""The headings by which its export is known."""

_ONE_NAME = frozenset({"nom"})
"""Alone it is the whole name; beside a first name, the last name."""

VALID_STATES = frozenset({"", "valide", "validee", "paye", "payee", "processed", "valid", "ok"})
"""What an order is called that counts; HelloAsso writes Validé."""


def is_helloasso(heading: Sequence[str]) -> bool:
    """Whether this is its export."""
    return {plain(cell) for cell in heading} >= HELLOASSO


def guess(heading: Sequence[str]) -> tuple[Field | None, ...]:
    """The likeliest field of each column, each field once; None for a column nobody needs."""
    words = [plain(cell) for cell in heading]
    chosen: list[Field | None] = [None] * len(words)
    for field, aliases in ALIASES.items():
        wanted = [alias for alias in aliases if alias in words]
        if wanted:
            chosen[words.index(wanted[0])] = field
    lone = next((place for place, word in enumerate(words) if word in _ONE_NAME), None)
    if lone is not None and Field.LAST_NAME not in chosen:
        first = Field.FIRST_NAME in chosen
        if first:
            chosen[lone] = Field.LAST_NAME
        elif Field.NAME not in chosen:
            chosen[lone] = Field.NAME
    if Field.NAME in chosen and Field.LAST_NAME in chosen:
        chosen[chosen.index(Field.NAME)] = None
    return tuple(chosen)


def names_people(columns: Sequence[Field | None]) -> bool:
    """Whether these columns say who somebody is."""
    return Field.NAME in columns or Field.LAST_NAME in columns
