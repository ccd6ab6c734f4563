"""What became of an SD card's first boot, in sentences for whoever puts it into a laptop: French, then English."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.errors import InterlockError
from interlock.sync.enrolling import EnrolmentEnded

RULE = "-" * 60


@dataclass(frozen=True, slots=True)
class FormerNode:
    """Which node this card was, where its journal is kept, and how many records no hub has (None: unknown)."""

    node: str
    folder: str
    unsent: int | None


def looking(machine: str) -> str:
    """The hub is being looked for."""
    return _both(
        f"{machine} : cet ordinateur cherche le hub.",
        "Rien à faire. Si ce texte est encore là dans cinq minutes : branchez le câble réseau, vérifiez que le hub "
        "est allumé.",
        f"{machine}: this computer is looking for the hub.",
        "Nothing to do. If this still stands here in five minutes: plug the network cable in, see that the hub is on.",
    )


def unreached(machine: str, error: InterlockError) -> str:
    """It was not reached, and is tried again for ever."""
    return _both(
        f"{machine} : le hub ne répond pas ({error.where}). Cet ordinateur réessaie sans fin.",
        "Vérifiez le câble réseau, que le hub est allumé, et que l'adresse ci-dessus est la sienne. Si elle a changé : "
        "écrivez la nouvelle dans hub.toml ([nodes] address), puis téléchargez un nouveau interlock.toml.",
        f"{machine}: {error.what} ({error.where}). This computer tries again for ever.",
        "Check the network cable, that the hub is on, and that the address above is its own. If it has changed: write "
        "the new one into hub.toml ([nodes] address), then download a new interlock.toml.",
    )


def waiting(machine: str, words: Sequence[str]) -> str:
    """Six words wait for a person's click."""
    shown = "    " + " ".join(words)
    return _both(
        f"{machine} : le hub est trouvé. Comparez ces six mots avec ceux de sa page, puis cliquez :\n\n{shown}",
        "Page du hub : « Ordinateurs des machines ». Si un mot diffère, refusez : quelqu'un d'autre a pris le code.",
        f"{machine}: the hub is found. Compare these six words with those on its page, then click:\n\n{shown}",
        "On the hub: “Computers at machines”. If one word differs, refuse: somebody else took the code.",
    )


def started(machine: str, former: FormerNode | None) -> str:
    """Enrolled; the machine is being started."""
    french, english = _former(former)
    return _both(
        f"{machine} : cet ordinateur est enregistré et démarre la machine.{french}",
        "Si ce texte est encore là dans deux minutes, éteignez et rallumez.",
        f"{machine}: this computer is enrolled and starts the machine.{english}",
        "If this still stands here in two minutes, switch it off and on again.",
    )


def done(machine: str, former: FormerNode | None, trouble: str) -> str:
    """The last word: it works, or why it does not."""
    french, english = _former(former)
    if trouble:
        return _both(
            f"{machine} : cet ordinateur est enregistré, mais la machine n'a pas démarré : {trouble}",
            "Lancez : sudo /opt/interlock/current/installer/install.sh doctor. La machine reste sans courant.",
            f"{machine}: this computer is enrolled, but the machine did not start: {trouble}",
            "Run: sudo /opt/interlock/current/installer/install.sh doctor. The machine stays without power.",
        )
    return _both(
        f"{machine} : tout est prêt.{french}",
        "Essayez avec un badge. Le code de interlock.toml est effacé : les deux fichiers peuvent rester ou partir.",
        f"{machine}: all is ready.{english}",
        "Try it with a badge. The code in interlock.toml is wiped: both files may stay or go.",
    )


def failed(error: InterlockError) -> str:
    """It ended; only a person can go on."""
    over = isinstance(error, EnrolmentEnded)
    french = (
        "le hub n'accepte plus ce code."
        if over
        else f"cette carte ne peut pas servir telle quelle ({error.where})."
    )
    remedy = error.remedy or "Make the file again on the hub's page “Computers at machines”"
    return _both(
        f"Échec : {french}",
        "Téléchargez un nouveau interlock.toml sur la page du hub « Ordinateurs des machines », mettez-le à la place "
        "de celui-ci et rallumez. Si c'est le câblage qui manque : ajoutez à interlock.toml, sous [computer], la ligne "
        'profile = "saw", "laser" ou "printer", ou posez à côté le node.toml de la machine. Le détail est en anglais '
        "ci-dessous.",
        f"Failed: {error}",
        f"{remedy.rstrip('.')}. Then switch the computer on again.",
    )


def with_machine(text: str, machine: str, language: str) -> str:
    """A ready node.toml with the machine's own name, and the language of its screen where the card names one."""
    quoted = '"' + machine.replace("\\", "").replace('"', "") + '"'
    text = re.sub(r'^(name *= *)".*?"', lambda found: found[1] + quoted, text, count=1, flags=re.M)
    if language:
        text = re.sub(r'^(language *= *)".*?"', rf'\g<1>"{language}"', text, count=1, flags=re.M)
    return text


def _former(kept: FormerNode | None) -> tuple[str, str]:
    """A sentence on each language's own about the node that this card was; nothing where it was none."""
    if kept is None:
        return "", ""
    french = "nombre inconnu" if kept.unsent is None else str(kept.unsent)
    english = "unknown" if kept.unsent is None else str(kept.unsent)
    return (
        f" Elle était le nœud {kept.node} ; son journal est gardé : {kept.folder} (jamais envoyés : {french}).",
        f" It was node {kept.node} before; its journal is kept: {kept.folder} (records never sent: {english}).",
    )


def _both(french: str, french_next: str, english: str, english_next: str) -> str:
    return (
        f"Interlock\n{RULE}\n\n{french}\n\nÀ faire : {french_next}\n\n{RULE}\n\n"
        f"{english}\n\nTo do: {english_next}\n"
    )
