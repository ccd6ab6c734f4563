"""A list of people to members, badges and trainings of a lab: looked at line by line first, then all or none.

Looking takes no lock and changes nothing; taking looks again under the writer's lock, because somebody may
have been quicker, and then writes everything at once (domain.intake).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.domain import limits
from interlock.hub.domain.intake import Newcomer, Renewal, take_in
from interlock.hub.domain.labs import create_group
from interlock.hub.importing_columns import Field, guess, names_people
from interlock.hub.importing_lines import Checked, Choices, Desk, Kind, Outcome
from interlock.hub.models import Group, Lab, Member, MemberImport
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.spreadsheets import BadLine, Sheet, plain, read_file, read_sheet

LINES_AT_ONCE_PARTIAL = 250
"""A quarter of a second, after which whoever waits for the writer gets it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would become of a whole list."""

    outcomes: tuple[Outcome, ...]
    new_groups: tuple[str, ...]

    def count(self, kind: Kind) -> int:
        """How many lines end so."""
        return sum(one.kind is kind for one in self.outcomes)

    @property
    def bad(self) -> tuple[BadLine, ...]:
        """The lines that cannot be taken."""
        return tuple(
            BadLine(one.number, one.words) for one in self.outcomes if one.kind is Kind.BAD
        )


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: members made, lines refused, lines read, members changed."""

    created: int
    bad: tuple[BadLine, ...]
    total: int
    updated: int = 0
    source: MemberImport | None = None


def look(
    lab: Lab, sheet: Sheet, columns: Sequence[Field | None], choices: Choices, today: date
) -> Plan:
    """What would become of each line; changes nothing and asks the database a few times in all."""
    desk = Desk(lab, columns, choices, today)
    checked = desk.check_all(sheet.rows)
    outcomes = [one.outcome if isinstance(one, Checked) else one for one in checked]
    return Plan(tuple(outcomes), tuple(desk.new_groups))


@transaction.atomic
def take(
    actor: Actor,
    lab: Lab,
    sheet: Sheet,
    columns: Sequence[Field | None],
    choices: Choices,
    *,
    file_name: str,
    leave_out_bad: bool = False,
) -> Imported:
    """Everybody on the list is a member as `look` said, or, with a bad line, nobody; with `leave_out_bad`
    the others. Raises ConfigError when somebody was quicker."""
    require(actor, lab, Permission.EDIT_MEMBERS)
    desk = Desk(lab, columns, choices, actor.now().date())
    checked = desk.check_all(sheet.rows)
    good = [one for one in checked if isinstance(one, Checked)]
    bad = tuple(
        BadLine(one.number, one.words)
        for one in checked
        if isinstance(one, Outcome) and one.kind is Kind.BAD
    )
    if (bad and not leave_out_bad) or not good:
        return Imported(0, bad, len(sheet.rows))
    groups = desk.groups | _made(actor, lab, desk.new_groups)
    newcomers = [_newcomer(one, groups) for one in good if one.known is None]
    renewals = [_renewal(one, groups, one.known) for one in good if one.known is not None]
    source = MemberImport.objects.create(
        lab=lab,
        user=actor.user,
        file_name=file_name[:100],
        done_at=actor.now(),
        created=len(newcomers),
        updated=len(renewals),
    )
    take_in(actor, lab, newcomers, renewals, source)
    return Imported(len(newcomers), bad, len(sheet.rows), len(renewals), source)


def import_members(
    actor: Actor,
    lab: Lab,
    path: Path,
    *,
    partial: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """The file's members are in the lab; with bad lines only if `partial`, and then the good ones, a few at
    a time.

    Raises ConfigError when the file itself cannot be read: missing, too large, without a heading.
    """
    require(actor, lab, Permission.EDIT_MEMBERS)
    sheet = read_sheet(read_file(path), str(path))
    columns = _strict_columns(sheet.heading, path)
    choices = Choices()
    plan = look(lab, sheet, columns, choices, actor.now().date())
    total = len(sheet.rows)
    if plan.bad and not partial:
        return Imported(0, plan.bad, total)
    refused = {line.number: line for line in plan.bad}
    good = [row for row in sheet.rows if row.number not in refused]
    at_once = LINES_AT_ONCE_PARTIAL if partial else max(len(good), 1)
    created = 0
    for first in range(0, len(good), at_once):
        some = replace(sheet, rows=tuple(good[first : first + at_once]))
        done = take(actor, lab, some, columns, choices, file_name=path.name, leave_out_bad=partial)
        created += done.created
        refused |= {line.number: line for line in done.bad}
        progress(min(first + at_once, len(good)), len(good))
    return Imported(created, tuple(refused[number] for number in sorted(refused)), total)


def _strict_columns(heading: Sequence[str], path: Path) -> tuple[Field | None, ...]:
    """The columns of a file that no person looks at: every one has to be understood, and once."""
    columns = guess(heading)
    if not names_people(columns):
        raise ConfigError(
            _("its first line does not name the columns"),
            where=str(path),
            remedy=_("Begin it with: %(columns)s (only name is required)")
            % {"columns": ";".join(Field)},
        )
    for cell, chosen in zip(heading, columns, strict=True):
        if not cell.strip() or chosen is not None:
            continue
        alone = guess([cell])[0]
        if alone is not None:
            raise ConfigError(
                _("two columns are called %(name)s") % {"name": alone.value}, where=str(path)
            )
        raise ConfigError(
            _("nobody reads the column %(name)s") % {"name": repr(cell)},
            where=str(path),
            remedy=_("Rename or remove it; known are: %(columns)s") % {"columns": ", ".join(Field)},
        )
    return columns


def _made(actor: Actor, lab: Lab, names: Mapping[str, str]) -> dict[str, Group]:
    made = {}
    taken = set(Group.objects.filter(lab=lab).values_list("slug", flat=True))
    for key, name in names.items():
        stem = slugify(name)[: limits.SLUG_LENGTH_MAX - 4] or "group"
        slug = next(
            one for one in (stem, *(f"{stem}-{n}" for n in range(2, 1_000))) if one not in taken
        )
        taken.add(slug)
        made[key] = create_group(actor, lab, slug, name[: limits.NAME_LENGTH_MAX])
    return made


def _newcomer(one: Checked, groups: Mapping[str, Group]) -> Newcomer:
    return Newcomer(
        name=one.outcome.name,
        email=one.outcome.email,
        language=one.language,
        group=groups.get(plain(one.outcome.group)),
        payer=one.payer,
        joined_on=one.joined_on,
        until_at=one.outcome.until_at,
        tag=one.tag,
        enrol_again=one.enrol_again,
        trainings=one.trainings,
    )


def _renewal(one: Checked, groups: Mapping[str, Group], member: Member) -> Renewal:
    """A list never shortens a membership that is longer already."""
    until_at, now = one.outcome.until_at, member.until_at
    if until_at is not None and (now is None or now >= until_at):
        until_at = None
    return Renewal(
        member=member,
        email="" if member.email else one.outcome.email,
        language=one.language,
        group=groups.get(plain(one.outcome.group)),
        payer=one.payer,
        until_at=until_at,
    )
