"""A list of members as CSV to members, badges and trainings of a lab: all of it, or none.

Every line that cannot be taken is named with its reason.
"""

from __future__ import annotations

import contextlib
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import days, old_ids
from interlock.hub.directory import LANGUAGES
from interlock.hub.domain import limits
from interlock.hub.domain.badges import check_uid, record_enrol_again
from interlock.hub.domain.members import assign_badge, create_member
from interlock.hub.domain.trainings import grant_training
from interlock.hub.models import Badge, Group, Lab, Member, Payer, Training
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.spreadsheets import BadLine, Line, read_lines
from interlock.protocol.tags import badge_tag

T = TypeVar("T")

LINES_AT_ONCE_MAX = 500
"""One transaction of lines with e-mail, badge and training: 3.9 s of processor measured on a machine
of two cores. All the hub's other writes wait for it, records of the nodes among them."""
LINES_AT_ONCE_PARTIAL = 25
"""A fifth of a second, after which whoever waits for the writer gets it."""
PROGRESS_EVERY = 20
"""Lines between two reports: a bar that moves, not a terminal that scrolls."""

COLUMNS = {
    "name": ("name", "nom", "nomcomplet", "fullname", "member", "adherent", "membre"),
    "email": ("email", "mail", "courriel", "adressemail", "adresseemail"),
    "language": ("language", "langue", "lang"),
    "group": ("group", "groupe", "tarif"),
    "payer": ("payer", "payeur", "organisation", "organization", "structure"),
    "until": ("until", "memberuntil", "expires", "jusquau", "fin", "finadhesion", "echeance"),
    "badge": ("badge", "uid", "badgeuid", "carte"),
    "old_id": old_ids.COLUMN,
    "trainings": ("trainings", "training", "formations", "formation", "habilitations"),
}
"""Every heading that is understood, without accents, case, spaces and signs."""

DATE_FORMATS = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d/%m/%y")
"""ISO, and what French spreadsheets write: the day first."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: members made, lines refused, lines read."""

    created: int
    bad: tuple[BadLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Checked:
    """A line whose every cell is understood: what the domain functions will be asked."""

    number: int
    name: str
    member: dict[str, Any]
    uid: bytes | None
    enrol_again: bytes | None
    trainings: list[Training]


class _Undo(Exception):
    """Leaves the transaction without keeping anything."""


def import_members(
    actor: Actor,
    lab: Lab,
    path: Path,
    *,
    partial: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """The file's members are in the lab; with bad lines only if `partial`, and then the good ones.

    Everything that can be checked is checked before anything is written: nodes and people wait for
    the hub's one writer. Raises ConfigError when the file itself cannot be read (missing, too large,
    without a heading), or is too long to be taken all at once.
    """
    require(actor, lab, Permission.EDIT_MEMBERS)
    lines = list(read_lines(path, COLUMNS, "name"))
    desk = _Desk(actor, lab)
    good = [checked for line in lines if (checked := desk.check(line)) is not None]
    if partial:
        for first in range(0, len(good), LINES_AT_ONCE_PARTIAL):
            with transaction.atomic():
                desk.take_all(good[first : first + LINES_AT_ONCE_PARTIAL], len(good), progress)
    elif not desk.bad:
        _refuse_too_many(len(good), path)
        with contextlib.suppress(_Undo), transaction.atomic():
            desk.take_all(good, len(good), progress)
            if desk.bad:
                raise _Undo
    created = desk.created if partial or not desk.bad else 0
    return Imported(created, tuple(sorted(desk.bad, key=lambda bad: bad.number)), len(lines))


def _refuse_too_many(count: int, path: Path) -> None:
    if count > LINES_AT_ONCE_MAX:
        raise ConfigError(
            _("its %(count)d lines are good, but no more than %(limit)d can be taken all at once")
            % {"count": count, "limit": LINES_AT_ONCE_MAX},
            where=str(path),
            remedy=_("Split the file, or import it with --partial, which takes a few at a time"),
        )


class _Desk:
    """Checks one line after the other, and remembers who was in which; then takes the good ones."""

    def __init__(self, actor: Actor, lab: Lab) -> None:
        self._actor, self._lab = actor, lab
        self._groups = {g.slug: g for g in Group.objects.filter(lab=lab)}
        self._groups |= {g.name.casefold(): g for g in self._groups.values()}
        self._payers = {p.name.casefold(): p for p in Payer.objects.filter(lab=lab)}
        self._trainings = {t.slug: t for t in Training.objects.filter(lab=lab)}
        self._trainings |= {t.name.casefold(): t for t in self._trainings.values()}
        people = Member.objects.filter(lab=lab).values_list("name", "email")
        self._names = {name.casefold() for name, _email in people}
        self._emails = {email.casefold() for _name, email in people if email}
        self._tags = {
            bytes(tag): name
            for tag, name in Badge.objects.filter(lab=lab).values_list("tag", "member__name")
        }
        self._seen: dict[tuple[str, str], int] = {}
        self._done = 0
        self.bad: list[BadLine] = []
        self.created = 0

    def check(self, line: Line) -> _Checked | None:
        """What the line asks for; None when it is now among the bad ones."""
        try:
            return self._checked(line)
        except ConfigError as error:
            self.bad.append(BadLine(line.number, str(error)))
            return None

    def take_all(
        self, lines: list[_Checked], total: int, progress: Callable[[int, int], None]
    ) -> None:
        """Each line's member exists, or the line is among the bad ones and left no trace."""
        for line in lines:
            self._take(line)
            self._done += 1
            if self._done % PROGRESS_EVERY == 0 or self._done == total:
                progress(self._done, total)

    def _checked(self, line: Line) -> _Checked:
        values = line.values
        if line.surplus:
            raise ConfigError(_("it has more cells than the heading"))
        if not values["name"]:
            raise ConfigError(_("a member needs a name"), where="name")
        limits.check_name(values["name"], "name", limits.PERSON_LENGTH_MAX)
        self._refuse_repeats(line)
        self._refuse_known(values)
        uid, enrol_again = self._badge(values["badge"], values["old_id"])
        return _Checked(
            number=line.number,
            name=values["name"],
            member={
                "email": _email(values["email"]),
                "language": _language(values["language"]),
                "group": _named(self._groups, values["group"], "group"),
                "payer": _named(self._payers, values["payer"], "payer"),
                "until_at": self._end(values["until"]),
            },
            uid=uid,
            enrol_again=enrol_again,
            trainings=[
                _known(self._trainings, name, "trainings") for name in _list(values["trainings"])
            ],
        )

    def _take(self, line: _Checked) -> None:
        """The domain asks everything once more: somebody may have been quicker."""
        try:
            with transaction.atomic():
                member = create_member(self._actor, self._lab, line.name, **line.member)
                if line.uid is not None:
                    assign_badge(self._actor, member, line.uid)
                if line.enrol_again is not None:
                    record_enrol_again(self._actor, member, line.enrol_again)
                for training in line.trainings:
                    grant_training(self._actor, member, training)
        except ConfigError as error:
            self.bad.append(BadLine(line.number, str(error)))
        else:
            self.created += 1

    def _refuse_repeats(self, line: Line) -> None:
        """People are told apart by e-mail, else by name; badges by UID."""
        who = line.values["email"].casefold() or line.values["name"].casefold()
        badge = line.values["badge"] or line.values["old_id"]
        keys = {("person", who), ("badge", re.sub(r"\W", "", badge).casefold())}
        for kind, value in sorted(keys):
            first = self._seen.setdefault((kind, value), line.number)
            if value and first != line.number:
                raise ConfigError(
                    _("%(value)s is in line %(number)d already")
                    % {"value": line.values["name"] if kind == "person" else value, "number": first}
                )

    def _refuse_known(self, values: dict[str, str]) -> None:
        """The same list twice adds nobody twice; a namesake is told apart by an e-mail or a badge."""
        if values["email"]:
            if values["email"].casefold() in self._emails:
                raise ConfigError(
                    _("a member with this e-mail exists already"), where=values["email"]
                )
        elif not (values["badge"] or values["old_id"]) and values["name"].casefold() in self._names:
            raise ConfigError(
                _("%(name)s exists already") % {"name": values["name"]},
                where="name",
                remedy=_("Give an e-mail, if this is somebody else"),
            )

    def _badge(self, text: str, old_id: str) -> tuple[bytes | None, bytes | None]:
        """The line's UID, or the head of one that has to be enrolled again."""
        if text and old_id:
            raise ConfigError(_("give the badge or its old id, not both"), where="old_id")
        if old_id:
            old = old_ids.read(old_id)
            if old.uid is None:
                return None, old.head
            return self._free_uid(old.uid, old_id), None
        return (self._free_uid(old_ids.read_uid(text), text) if text else None), None

    def _free_uid(self, uid: bytes, text: str) -> bytes:
        check_uid(uid)
        owner = self._tags.get(badge_tag(settings.HUB.badge_key(), uid))
        if owner is not None:
            raise ConfigError(_("this badge belongs to %(name)s") % {"name": owner}, where=text)
        return uid

    def _end(self, text: str) -> datetime | None:
        """The end of that day in the lab."""
        if not text:
            return None
        for form in DATE_FORMATS:
            try:
                day = datetime.strptime(text, form).replace(tzinfo=UTC).date()
            except ValueError:
                continue
            return days.last_moment_of(day, zoneinfo.ZoneInfo(self._lab.time_zone))
        raise ConfigError(
            _("%(text)s is not a date") % {"text": text},
            where="until",
            remedy=_("Write it like 2027-12-31 or 31/12/2027"),
        )


def _named(known: dict[str, T], name: str, where: str) -> T | None:
    """What is called `name`, None for an empty cell. Raises ConfigError: nothing is."""
    return _known(known, name, where) if name else None


def _known(known: dict[str, T], name: str, where: str) -> T:
    found = known.get(name) or known.get(name.casefold())
    if found is None:
        raise ConfigError(
            _("there is no %(name)s") % {"name": name},
            where=where,
            remedy=_("Make it first, or correct its name"),
        )
    return found


def _list(cell: str) -> list[str]:
    return [name.strip() for name in re.split(r"[|,/+]", cell) if name.strip()]


def _email(text: str) -> str:
    if text:
        try:
            validate_email(text)
        except ValidationError as error:
            raise ConfigError(
                _("%(text)s is not an e-mail address") % {"text": text}, where="email"
            ) from error
    return text


def _language(text: str) -> str:
    language = text.casefold()[:2]
    if language and language not in LANGUAGES:
        raise ConfigError(
            _("%(text)s is no language of the hub") % {"text": text}, where="language"
        )
    return language
