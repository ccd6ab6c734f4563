"""Badges of members who are there already, as a list with their numbers: looked at first, then all or none.

For labs that come from another system: `member;old_id;label` or `member;badge;label`. The same list
twice gives nothing twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import old_ids
from interlock.hub.domain import badges, limits
from interlock.hub.domain.members import assign_badge
from interlock.hub.models import Badge, Lab, Member
from interlock.hub.old_ids import OldId
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.spreadsheets import BadLine, read_lines
from interlock.protocol.tags import badge_tag

LINES_AT_ONCE_MAX = 500
"""As importing.LINES_AT_ONCE_MAX: all the hub's other writes wait for one transaction."""
LINES_AT_ONCE_PARTIAL = 25
COLUMNS = {
    "member": ("member", "membre", "name", "nom", "email", "mail", "courriel", "adherent"),
    "old_id": old_ids.COLUMN,
    "badge": ("badge", "uid", "badgeuid", "carte"),
    "label": ("label", "etiquette", "libelle"),
}


@dataclass(frozen=True, slots=True)
class BadgeLine:
    """One line as somebody wrote it: a member (id, e-mail or name) and one number of a badge."""

    number: int
    member: str
    old_id: str = ""
    uid: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class ImportedBadges:
    """What became of the lines: badges given, members who need theirs enrolled again, lines whose badge
    was the member's before, and lines refused."""

    given: int
    enrol_again: int
    unchanged: int
    bad: tuple[BadLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Checked:
    number: int
    member: Member
    old: OldId
    label: str


class _Undo(Exception):
    """Leaves the transaction without keeping anything."""


def lines_of(path: Path) -> list[BadgeLine]:
    """The lines of a CSV. Raises ConfigError when it cannot be read."""
    read = read_lines(path, COLUMNS, "member")
    return [
        BadgeLine(
            line.number,
            line.values["member"],
            line.values["old_id"],
            line.values["badge"],
            line.values["label"],
        )
        for line in read
    ]


def import_badges(
    actor: Actor,
    lab: Lab,
    lines: list[BadgeLine],
    *,
    dry_run: bool = False,
    partial: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportedBadges:
    """The badges are their members'; with bad lines only if `partial`, and then the good ones.

    `dry_run` says what would become of the lines, and changes nothing. Raises ConfigError when there
    are too many lines to be taken all at once.
    """
    require(actor, lab, Permission.EDIT_BADGES)
    desk = _Desk(actor, lab)
    good = [checked for line in lines if (checked := desk.check(line)) is not None]
    if dry_run:
        desk.count(good)
    elif partial:
        for first in range(0, len(good), LINES_AT_ONCE_PARTIAL):
            with transaction.atomic():
                desk.take_all(good[first : first + LINES_AT_ONCE_PARTIAL])
            progress(min(first + LINES_AT_ONCE_PARTIAL, len(good)), len(good))
    elif not desk.bad:
        _refuse_too_many(len(good))
        with contextlib.suppress(_Undo), transaction.atomic():
            desk.take_all(good)
            if desk.bad:
                raise _Undo
        progress(len(good), len(good))
    kept = dry_run or partial or not desk.bad
    bad = tuple(sorted(desk.bad, key=lambda one: one.number))
    return ImportedBadges(
        given=desk.given if kept else 0,
        enrol_again=desk.enrol_again if kept else 0,
        unchanged=desk.unchanged,
        bad=bad,
        total=len(lines),
    )


def _refuse_too_many(count: int) -> None:
    if count > LINES_AT_ONCE_MAX:
        raise ConfigError(
            _("its %(count)d lines are good, but no more than %(limit)d can be taken all at once")
            % {"count": count, "limit": LINES_AT_ONCE_MAX},
            remedy=_("Split the file, or import it with --partial, which takes a few at a time"),
        )


class _Desk:
    """Checks one line after the other, then takes the good ones."""

    def __init__(self, actor: Actor, lab: Lab) -> None:
        self._actor, self._lab = actor, lab
        self._key = settings.HUB.badge_key()
        self._members = _by_word(Member.objects.filter(lab=lab))
        owned = Badge.objects.filter(lab=lab).select_related("member")
        self._owners = {bytes(badge.tag): badge.member for badge in owned}
        self._seen: dict[bytes, int] = {}
        self.bad: list[BadLine] = []
        self.given = self.enrol_again = self.unchanged = 0

    def check(self, line: BadgeLine) -> _Checked | None:
        """What the line asks for; None when it is among the bad ones, or asks for what is so already."""
        try:
            return self._checked(line)
        except ConfigError as error:
            self.bad.append(BadLine(line.number, str(error)))
            return None

    def count(self, lines: Iterable[_Checked]) -> None:
        """As if the lines had been taken."""
        for line in lines:
            if line.old.uid is None:
                self.enrol_again += 1
            else:
                self.given += 1

    def take_all(self, lines: list[_Checked]) -> None:
        """Each line's badge is given, or the line is among the bad ones and left no trace."""
        for line in lines:
            try:
                with transaction.atomic():
                    self._take(line)
            except ConfigError as error:
                self.bad.append(BadLine(line.number, str(error)))
            else:
                self.count([line])

    def _take(self, line: _Checked) -> None:
        if line.old.uid is None:
            badges.record_enrol_again(self._actor, line.member, line.old.head, line.label)
        else:
            assign_badge(self._actor, line.member, line.old.uid, line.label)

    def _checked(self, line: BadgeLine) -> _Checked | None:
        member = self._member(line.member)
        old = _number(line)
        if line.label.strip():
            limits.check_name(line.label, "label", limits.LABEL_LENGTH_MAX)
        if old.uid is None:
            tag = badges.placeholder_tag(member, old.head)
        else:
            badges.check_uid(old.uid)
            tag = badge_tag(self._key, old.uid)
        first = self._seen.setdefault(tag, line.number)
        if first != line.number:
            raise ConfigError(
                _("%(value)s is in line %(number)d already")
                % {"value": line.old_id or line.uid, "number": first}
            )
        owner = self._owners.get(tag)
        if owner is not None and owner.pk != member.pk:
            raise ConfigError(_("this badge belongs to %(name)s") % {"name": owner.name})
        if owner is not None:
            self.unchanged += 1
            return None
        return _Checked(line.number, member, old, line.label.strip())

    def _member(self, word: str) -> Member:
        found = self._members.get(word.strip().casefold(), [])
        if len(found) == 1:
            return found[0]
        if not found:
            raise ConfigError(
                _("there is no %(name)s") % {"name": word or "—"},
                where="member",
                remedy=_("Write the e-mail or the whole name, as the hub's list of members has it"),
            )
        raise ConfigError(
            _("%(count)d members are called %(name)s") % {"count": len(found), "name": word},
            where="member",
            remedy=_("Write the e-mail instead"),
        )


def _number(line: BadgeLine) -> OldId:
    if bool(line.old_id) == bool(line.uid):
        raise ConfigError(_("give the badge or its old id, one of the two"), where="old_id")
    if line.old_id:
        return old_ids.read(line.old_id)
    uid = old_ids.read_uid(line.uid)
    return OldId(uid, uid)


def _by_word(members: Iterable[Member]) -> dict[str, list[Member]]:
    """Members by everything a list may call them: id, e-mail, name."""
    words: dict[str, list[Member]] = {}
    for member in members:
        for word in {member.public_id, member.email.casefold(), member.name.casefold()} - {""}:
            words.setdefault(word, []).append(member)
    return words
