"""A member goes in; a row of every table that points at them comes out: made from the models, so none is missed."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import Any

from django.db import models

from interlock.hub import traces
from interlock.hub.models import Lab, Member

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
_numbers = itertools.count(1)

MADE_BY_HAND: dict[str, dict[str, Any]] = {
    "MailSwitch": {"user": None},
    "Role": {"name": "trainer"},
}
"""What a row needs that its fields do not say: check constraints."""


def one_of_each(lab: Lab, member: Member) -> list[models.Model]:
    """A row for every key to Member that any table has."""
    rows = []
    for table, field in traces.keys_to(Member):
        given: dict[str, Any] = {**MADE_BY_HAND.get(table.__name__, {}), field.name: member}
        rows.append(row_of(table, lab, given))
    return rows


def row_of(table: type[models.Model], lab: Lab, given: dict[str, Any]) -> models.Model:
    """One row of `table`; whatever must not be empty is filled with something that fits."""
    values = dict(given)
    for field in table._meta.concrete_fields:
        if field.name in values or field.primary_key or field.has_default() or field.null:
            continue
        values[field.name] = _value(field, lab)
    return table._default_manager.create(**values)


def _value(field: Any, lab: Lab) -> Any:
    number = next(_numbers)
    if isinstance(field, models.ForeignKey):
        if field.related_model is Lab:
            return lab
        return row_of(field.related_model, lab, {})
    if field.choices:
        return field.choices[0][0]
    if isinstance(field, models.EmailField):
        return f"somebody{number}@example.org"
    if isinstance(field, models.CharField | models.TextField):
        return f"t{number}"[: field.max_length or 40]
    if isinstance(field, models.BinaryField):
        return number.to_bytes(16, "big")
    if isinstance(field, models.BooleanField):
        return False
    if isinstance(field, models.IntegerField):
        return number
    if isinstance(field, models.DateTimeField):
        return AT
    if isinstance(field, models.DateField):
        return date(2026, 11, 2)
    if isinstance(field, models.JSONField):
        return []
    raise AssertionError(f"no value for {field}: add one to tests/hub/everywhere.py")
