"""Names that nobody in particular bears: a generator goes in, a different one each time comes out."""

from __future__ import annotations

import random
import unicodedata

_FIRST = """
Adèle Adrien Aïcha Alexandre Alice Amandine Amir Anaïs Antoine Arthur Aurélie Axel Baptiste Bastien Benoît
Bérénice Camille Caroline Cécile Céline Chloé Claire Clément Coralie Cyril Damien Daniel David Delphine Diane
Élise Éloïse Emma Enzo Étienne Eva Fabien Fanny Fatima Félix Florian Gabriel Gaël Hugo Ibrahim Inès Isabelle
Jade Jeanne Joël Jules Julie Julien Karim Khadija Laura Laurent Léa Léon Lina Loïc Louis Louise Lucas Lucie
Maëlys Malik Manon Margaux Marie Marius Mathilde Maxime Mehdi Mélanie Mia Mila Moussa Nadia Nathan Nina Noé
Noémie Nolwenn Olivier Pauline Paul Pierre Quentin Rachel Raphaël Rémi Romane Sacha Salomé Samira Samuel Sarah
Simon Sofia Solène Sophie Tess Théo Thomas Tom Valentin Victor Violette Yann Yasmine Youssef Zoé
""".split()

_LAST = """
Adam Andre Arnaud Aubert Bailly Barbier Barre Baudry Benali Benoit Berger Bernard Berthier Bertrand Besson
Blanc Blanchard Bonnet Boucher Bouvier Boyer Brun Brunet Caron Carpentier Chevalier Clement Colin Collet Cordier
Da Silva Daniel David Delmas Denis Deschamps Diallo Diarra Dubois Dufour Dumas Dumont Dupont Dupuis Durand
Fabre Faure Fernandez Fleury Fontaine Fournier Francois Gaillard Garcia Garnier Gautier Gerard Girard Giraud
Guerin Guillaume Haddad Henry Hubert Huet Jacquet Jean Joly Keita Lacroix Lambert Laurent Le Goff Lebrun Leclerc
Lefebvre Legrand Lemaire Lemoine Leroy Lopez Lucas Maillard Marchand Marie Martin Martinez Masson Mathieu Menard
Mercier Meunier Meyer Michel Moreau Morel Morin Moulin Muller Nguyen Nicolas Noel Olivier Perret Perrin Petit
Philippe Picard Pierre Poirier Pons Renard Renaud Rey Richard Riviere Robert Robin Roche Roger Rolland Rousseau
Roussel Roux Roy Sanchez Schmitt Simon Thomas Tran Traore Vasseur Vidal Vincent Weber
""".split()

_FIRMS = "Atelier Studio Menuiserie Agence Coopérative Bureau Maison Fabrique".split()
_ASSOCIATIONS = "Collège Lycée Compagnie Régie Collectif Jardins Maison Ressourcerie".split()
_OF = """
du Canal des Lilas de la Gare du Moulin des Tanneurs de l’Écluse du Faubourg des Halles du Pont de la Source
""".strip()
_PLACES = [f"{one.strip()}" for one in _OF.replace(" d", "|d").split("|")]


class Names:
    """Names that differ from each other and from those that are taken."""

    def __init__(self, chance: random.Random, taken: set[str]) -> None:
        self._taken = set(taken)
        self._people = [f"{first} {last}" for first in _FIRST for last in _LAST]
        chance.shuffle(self._people)

    def person(self) -> str:
        """Somebody's name."""
        return self._new(self._people)

    def organisation(self, chance: random.Random, *, company: bool) -> str:
        """The name of a company, or of an association or school."""
        kinds = _FIRMS if company else _ASSOCIATIONS
        return self._numbered(f"{chance.choice(kinds)} {chance.choice(_PLACES)}")

    def _new(self, pool: list[str]) -> str:
        while pool:
            name = pool.pop()
            if name not in self._taken:
                self._taken.add(name)
                return name
        return self._numbered("Camille Martin")

    def _numbered(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem} {number}"
        self._taken.add(name)
        return name


def address(name: str, number: int) -> str:
    """An e-mail address that leads nowhere (RFC 2606)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return f"{'.'.join(plain.split())}.{number}@example.org"
