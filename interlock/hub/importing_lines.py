"""One line of a list of people after the other goes in; what it asks for, or what is wrong with it, comes out.

Nothing is written here: everything that is known of the lab is read once, a few queries in all.
"""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum

from django.conf import settings
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import days, old_ids
from interlock.hub.domain import limits
from interlock.hub.domain.badges import check_uid
from interlock.hub.importing_cells import (
    called,
    cased,
    day_of,
    email_of,
    language_of,
    named,
    names_in,
    season_end,
    year_after,
)
from interlock.hub.importing_columns import VALID_STATES, Field
from interlock.hub.models import Badge, Group, Lab, Member, Payer, Training
from interlock.hub.spreadsheets import Row, plain
from interlock.protocol.tags import badge_tag


class Known(StrEnum):
    """What becomes of a line about somebody who is a member already."""

    REFUSE = "refuse"
    UPDATE = "update"
    SKIP = "skip"


class Until(StrEnum):
    """How long they are members where the list does not say."""

    ALWAYS = "always"
    YEAR = "year"
    SEASON = "season"


MAKE, NONE = "make", "none"
"""Choices for a group that the lab does not have, besides the slug of one that it has."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person at the screen has chosen. The defaults are the command line's: whatever is not plain
    is a bad line."""

    known: Known = Known.REFUSE
    repeats: bool = False
    """True: a person who stands there twice counts once, and people who share an e-mail are taken."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """By plain name: MAKE, NONE or the slug of a group."""
    makes_groups: bool = False
    """True: groups that `groups` does not name are made."""
    until: Until = Until.ALWAYS
    season_ends: str = "08-31"
    """MM-DD."""


class Kind(StrEnum):
    """What becomes of a line."""

    BAD = "bad"
    SKIPPED = "skipped"
    CHANGED = "changed"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line, and what would become of it: `words` say why it is bad or left out, or what to know."""

    number: int
    kind: Kind
    name: str
    email: str = ""
    group: str = ""
    until_at: datetime | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A line whose every cell is understood."""

    outcome: Outcome
    joined_on: date | None
    language: str
    payer: Payer | None
    tag: bytes | None
    enrol_again: bytes | None
    trainings: tuple[Training, ...]
    known: Member | None


class Desk:
    """Looks at one line after the other, and remembers who was in which."""

    def __init__(
        self, lab: Lab, columns: Sequence[Field | None], choices: Choices, today: date
    ) -> None:
        self._lab, self._choices, self._today = lab, choices, today
        self._zone = zoneinfo.ZoneInfo(lab.time_zone)
        self._places = {name: place for place, name in enumerate(columns) if name is not None}
        self._width = len(columns)
        known = list(Group.objects.filter(lab=lab))
        self.groups = {plain(g.slug): g for g in known} | {plain(g.name): g for g in known}
        self._payers = {p.name.casefold(): p for p in Payer.objects.filter(lab=lab)}
        self._trainings = {
            t.slug: t for t in Training.objects.filter(lab=lab).select_related("prerequisite")
        }
        self._trainings |= {t.name.casefold(): t for t in self._trainings.values()}
        self._by_email: dict[str, Member] = {}
        self._by_name: dict[str, list[Member]] = defaultdict(list)
        for member in Member.objects.filter(lab=lab).select_related("group", "payer"):
            self._by_name[plain(member.name)].append(member)
            if member.email:
                self._by_email[member.email.casefold()] = member
        self._tags = {
            bytes(tag): name
            for tag, name in Badge.objects.filter(lab=lab).values_list("tag", "member__name")
        }
        self._key = settings.HUB.badge_key()
        self._people: dict[str, tuple[int, str]] = {}
        self._badges: dict[str, int] = {}
        self.new_groups: dict[str, str] = {}

    def check_all(self, rows: Sequence[Row]) -> list[Checked | Outcome]:
        """What the lines ask for, or why they are left out, in their order."""
        newest = self._newest(rows) if self._choices.repeats else {}
        return [self._check(row, newest) for row in rows]

    def _check(self, row: Row, newest: Mapping[tuple[str, str], int]) -> Checked | Outcome:
        values = self._values(row)
        name = values[Field.NAME]
        shown = Outcome(row.number, Kind.BAD, name, values[Field.EMAIL], values[Field.GROUP])
        try:
            if any(row.cells[self._width :]):
                raise ConfigError(_("it has more cells than the heading"))
            return self._checked(values, shown, newest)
        except LeftOut as left_out:
            return replace(shown, kind=Kind.SKIPPED, words=str(left_out))
        except ConfigError as error:
            return replace(shown, words=_said(error))

    def _checked(
        self,
        values: Mapping[Field, str],
        shown: Outcome,
        newest: Mapping[tuple[str, str], int],
    ) -> Checked:
        if plain(values[Field.STATE]) not in VALID_STATES:
            raise LeftOut(_("the order does not count: %(state)s") % {"state": values[Field.STATE]})
        if not shown.name:
            raise ConfigError(_("a member needs a name"), where="name")
        limits.check_name(shown.name, "name", limits.PERSON_LENGTH_MAX)
        email = email_of(shown.email)
        last = newest.get((plain(shown.name), email.casefold()), shown.number)
        if last != shown.number:
            raise LeftOut(_("the same person is in line %(number)d") % {"number": last})
        notes: list[str] = []
        email = self._own_email(shown, email, notes)
        known = self._known(values, shown.name, email, notes)
        tag, enrol_again = self._badge(values[Field.BADGE], values[Field.OLD_ID], shown.number)
        joined_on = day_of(values[Field.JOINED], "joined")
        trainings = self._asked_trainings(values[Field.TRAININGS])
        if known is not None and (tag or enrol_again or trainings):
            raise ConfigError(
                _("%(name)s is here already: a list gives badges and trainings to new members only")
                % {"name": known.name}
            )
        outcome = replace(
            shown,
            kind=Kind.NEW if known is None else Kind.CHANGED,
            email=email,
            group=self._group(values[Field.GROUP]),
            until_at=self._end(values[Field.UNTIL], joined_on),
            words=" · ".join(notes),
        )
        return Checked(
            outcome=outcome,
            joined_on=joined_on,
            language=language_of(values[Field.LANGUAGE]),
            payer=named(self._payers, values[Field.PAYER], "payer")
            if not self._choices.repeats
            else self._payers.get(values[Field.PAYER].casefold()),
            tag=tag,
            enrol_again=enrol_again,
            trainings=trainings,
            known=known,
        )

    def _values(self, row: Row) -> dict[Field, str]:
        values = dict.fromkeys(Field, "")
        for name, place in self._places.items():
            if place < len(row.cells):
                values[name] = row.cells[place].strip()
        if not values[Field.NAME]:
            parts = (values[Field.FIRST_NAME], values[Field.LAST_NAME])
            values[Field.NAME] = " ".join(cased(part) for part in parts if part)
        return values

    def _newest(self, rows: Sequence[Row]) -> dict[tuple[str, str], int]:
        """For each person the line that counts: the last they joined by, else the first."""
        best: dict[tuple[str, str], tuple[date, int]] = {}
        for row in rows:
            values = self._values(row)
            if plain(values[Field.STATE]) not in VALID_STATES or not values[Field.NAME]:
                continue
            who = (plain(values[Field.NAME]), values[Field.EMAIL].casefold())
            try:
                joined = day_of(values[Field.JOINED], "joined") or date.min
            except ConfigError:
                joined = date.min
            if who not in best or joined > best[who][0]:
                best[who] = (joined, row.number)
        return {who: number for who, (_joined, number) in best.items()}

    def _own_email(self, shown: Outcome, email: str, notes: list[str]) -> str:
        """The e-mail they keep: of several people who share one, the first has it. Strictly: nobody."""
        key = email.casefold() or plain(shown.name)
        first, name = self._people.setdefault(key, (shown.number, shown.name))
        if first == shown.number:
            return email
        if not self._choices.repeats:
            raise ConfigError(
                _("%(value)s is in line %(number)d already")
                % {"value": shown.name, "number": first}
            )
        notes.append(
            _("shares the e-mail of %(name)s (line %(number)d): comes without one")
            % {"name": name, "number": first}
        )
        return ""

    def _known(
        self, values: Mapping[Field, str], name: str, email: str, notes: list[str]
    ) -> Member | None:
        """The member this line is about, None for somebody new."""
        strict = self._choices.known is Known.REFUSE
        found = self._by_email.get(email.casefold()) if email else None
        if found is not None and strict:
            raise ConfigError(_("a member with this e-mail exists already"), where=email)
        if found is not None and plain(found.name) != plain(name):
            raise ConfigError(
                _("this e-mail belongs to %(name)s, who is a member already")
                % {"name": found.name},
                where=email,
                remedy=_("Correct the name or the e-mail in your list"),
            )
        namesakes = self._by_name.get(plain(name), [])
        if found is None and namesakes and not strict:
            nameless = [one for one in namesakes if not (email and one.email)]
            if len(nameless) > 1:
                raise ConfigError(
                    _("%(count)d members are called %(name)s")
                    % {"count": len(nameless), "name": name},
                    remedy=_("Give an e-mail that one of them has"),
                )
            found = nameless[0] if nameless else None
            if found is None:
                notes.append(_("a namesake is a member already, with another e-mail"))
        has_badge = bool(values[Field.BADGE] or values[Field.OLD_ID])
        if found is None and strict and namesakes and not (email or has_badge):
            raise ConfigError(
                _("%(name)s exists already") % {"name": name},
                where="name",
                remedy=_("Give an e-mail, if this is somebody else"),
            )
        if found is not None and self._choices.known is Known.SKIP:
            raise LeftOut(_("is a member already"))
        if found is not None:
            notes.append(_("is a member already"))
        return found

    def _badge(self, text: str, old_id: str, number: int) -> tuple[bytes | None, bytes | None]:
        """The tag of the line's badge, or the head of one that has to be enrolled again."""
        if text and old_id:
            raise ConfigError(_("give the badge or its old id, not both"), where="old_id")
        written = text or old_id
        if not written:
            return None, None
        first = self._badges.setdefault(plain(written), number)
        if first != number:
            raise ConfigError(
                _("%(value)s is in line %(number)d already") % {"value": written, "number": first}
            )
        if old_id:
            old = old_ids.read(old_id)
            if old.uid is None:
                return None, old.head
            return self._free_tag(old.uid, old_id), None
        return self._free_tag(old_ids.read_uid(text), text), None

    def _free_tag(self, uid: bytes, text: str) -> bytes:
        check_uid(uid)
        tag = badge_tag(self._key, uid)
        if tag in self._tags:
            raise ConfigError(
                _("this badge belongs to %(name)s") % {"name": self._tags[tag]}, where=text
            )
        return tag

    def _asked_trainings(self, cell: str) -> tuple[Training, ...]:
        """The trainings of the line, each after what has to come before it."""
        asked = [called(self._trainings, name, "trainings") for name in names_in(cell)]
        for training in asked:
            if training.prerequisite is not None and training.prerequisite not in asked:
                raise ConfigError(
                    _("“%(first)s” has to come before “%(training)s”")
                    % {"first": training.prerequisite.name, "training": training.name},
                    where="trainings",
                )
        return tuple(dict.fromkeys(asked))

    def _group(self, name: str) -> str:
        """The name of the group they come to: one of the lab's, one to be made, or none."""
        key = plain(name)
        if not key:
            return ""
        if key in self.groups:
            return self.groups[key].name
        chosen = self._choices.groups.get(key, MAKE if self._choices.makes_groups else "")
        if chosen == NONE:
            self.new_groups.pop(key, None)
            return ""
        if chosen == MAKE:
            limits.check_name(name, "group")
            self.new_groups.setdefault(key, name)
            return name
        other = self.groups.get(plain(chosen))
        if other is not None:
            return other.name
        return called(self.groups, name, "group").name

    def _end(self, text: str, joined_on: date | None) -> datetime | None:
        """The end of that day in the lab; where the list says none, as was chosen."""
        if text:
            day = day_of(text, "until")
        elif self._choices.until is Until.ALWAYS:
            day = None
        elif self._choices.until is Until.YEAR:
            day = year_after(joined_on or self._today)
        else:
            day = season_end(joined_on or self._today, self._choices.season_ends)
        return None if day is None else days.last_moment_of(day, self._zone)


def _said(error: ConfigError) -> str:
    """What is wrong and what to do; the place is the line it stands beside."""
    return ". ".join(part for part in (str(error.what), str(error.remedy or "")) if part)


class LeftOut(Exception):
    """The line is fine, and nothing is to be done about it."""
