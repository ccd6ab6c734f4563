"""What names somebody to every row of every table that says it: by key, or somewhere in its words.

The tables are walked by their models, so that one that is added tomorrow is searched too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from interlock.hub.models import Lab, Member, Payer, Role, RoleName, User

NAME_LENGTH_MIN = 4
"""A shorter name is part of too many words to be searched for."""

WORDY = (models.CharField, models.TextField, models.JSONField)

KEPT = frozenset({"Statement", "Payer", "User"})
"""Whom a lab billed, under the name it billed them: kept for ten years. And colleagues who still log in; a
login that is the member's alone goes as a row (domain.erasure)."""

Model = type[models.Model]


@dataclass(frozen=True, slots=True)
class Needles:
    """What somebody is found by: opaque words (public id, badge tags), and the words people use."""

    opaque: tuple[str, ...]
    spoken: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them."""
        return (*self.opaque, *self.spoken)

    def found_in(self, text: str) -> bool:
        """Whether `text` names them: an opaque word anywhere, a name as a whole word."""
        return self._pattern().search(text) is not None

    def cut_from(self, text: str, instead: str) -> str:
        """`text` with `instead` wherever it named them."""
        return self._pattern().sub(instead, text)

    def _pattern(self) -> re.Pattern[str]:
        opaque = [re.escape(word) for word in self.opaque]
        spoken = [rf"(?<!\w){re.escape(word)}(?!\w)" for word in self.spoken]
        return re.compile("|".join([*opaque, *spoken]) or r"(?!)", re.IGNORECASE)


def needles_of(member: Member) -> Needles:
    """By what `member` is found: id, badges' tags, e-mail address and name, the login's too."""
    tags = [bytes(tag).hex() for tag in member.badges.values_list("tag", flat=True)]
    users = own_logins(member)
    spoken = {member.name, member.email, *(u.email for u in users), *(u.name for u in users)}
    long_enough = sorted(word for word in spoken if len(word) >= NAME_LENGTH_MIN)
    return Needles((member.public_id, *tags), tuple(long_enough))


def tables() -> list[Model]:
    """Every table of the hub."""
    return list(apps.get_app_config("hub").get_models(include_auto_created=True))


def keys_to(target: Model) -> Iterator[tuple[Model, models.ForeignKey[Any, Any]]]:
    """Every table that points at `target`, and by which field."""
    for table in tables():
        for field in table._meta.get_fields():
            if isinstance(field, models.ForeignKey) and field.related_model is target:
                yield table, field


def words_of(table: Model) -> list[models.Field[Any, Any]]:
    """The fields of `table` that hold words."""
    return [field for field in table._meta.concrete_fields if isinstance(field, WORDY)]


def rows_that_say(table: Model, needles: Needles) -> Iterator[models.Model]:
    """The rows of `table` in whose words somebody is named, whole."""
    fields = words_of(table)
    if not fields or not needles.all:
        return
    columns = {f"said_{field.name}": Cast(field.name, TextField()) for field in fields}
    wanted = Q()
    for column in columns:
        for word in needles.all:
            for spelled in {word, json.dumps(word)[1:-1]}:
                wanted |= Q(**{f"{column}__icontains": spelled})
    for row in table._default_manager.annotate(**columns).filter(wanted).iterator(chunk_size=500):
        if any(needles.found_in(text_of(row, field)) for field in fields):
            yield row


def text_of(row: models.Model, field: models.Field[Any, Any]) -> str:
    """What a field of `row` says, as text."""
    value = getattr(row, field.attname)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def in_lab(row: models.Model, lab: Lab) -> bool:
    """Whether `row` is of `lab`, or of no lab."""
    return getattr(row, "lab_id", lab.pk) == lab.pk


def own_payers(member: Member) -> list[Payer]:
    """The payers that are this person and nobody else."""
    mine = Payer.objects.filter(pk=member.payer_id or 0, kind=Payer.Kind.PERSON)
    return [payer for payer in mine if not payer.members.exclude(pk=member.pk).exists()]


def own_logins(member: Member) -> list[User]:
    """The logins that are this member's alone: with no role but "member", here or in another lab."""
    users = User.objects.filter(roles__member=member).distinct()
    others = Role.objects.exclude(member=member, name=RoleName.MEMBER)
    return [user for user in users if not others.filter(user=user).exists()]
