"""Words and numbers that people give, refused here when a column, a list of rights or a calendar cannot
hold them: SQLite keeps to no length of its own, and a node refuses a whole list for one bad value.
"""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.directory import LANGUAGES

PERSON_LENGTH_MAX = 150
"""Names of members and payers, as their columns hold them."""
NAME_LENGTH_MAX = 100
"""Names of things: machines, trainings, groups, tariffs."""
LABEL_LENGTH_MAX = 64
"""What is written on a badge's ring."""
SLUG_LENGTH_MAX = 64
"""What protocol.snapshots reads of a lab, a node or a training."""
NODE_NUMBER_LENGTH = 4
"""Room for "-999" behind a machine's slug: its nodes are called after it."""
DAYS_MAX = 36_500
"""A hundred years: longer than anybody practises, short enough for every calendar."""
DAY_S = 86_400
"""No limit a day is longer than the day."""
OFFLINE_S_MAX = 30 * 86_400
"""The hard cap of 2-machine.md: no list of rights is believed for longer without the hub."""

_SLUG = re.compile(r"[A-Za-z0-9_-]+")


def check_name(name: str, where: str, length_max: int = NAME_LENGTH_MAX) -> None:
    """Return when `name` says something and fits. Raises ConfigError."""
    if not 0 < len(name.strip()) <= length_max:
        raise ConfigError(
            _("must have 1 to %(most)d characters") % {"most": length_max}, where=where
        )


def check_slug(slug: str, length_max: int = SLUG_LENGTH_MAX) -> None:
    """Return when `slug` can name something in addresses, records and lists. Raises ConfigError."""
    if len(slug) > length_max or not _SLUG.fullmatch(slug):
        raise ConfigError(
            _("must have 1 to %(most)d of a to z, 0 to 9, - and _") % {"most": length_max},
            where=slug[:length_max] or "slug",
        )


def check_language(language: str) -> None:
    """Return when the hub and the machines speak it. Raises ConfigError."""
    if language not in LANGUAGES:
        raise ConfigError(
            _("must be one of %(languages)s") % {"languages": ", ".join(LANGUAGES)},
            where="language",
        )


def check_number(value: int | None, most: int, where: str) -> None:
    """Return for None and for 1 to `most`. Raises ConfigError."""
    if value is not None and not 1 <= value <= most:
        raise ConfigError(
            _("must lie between %(least)d and %(most)d") % {"least": 1, "most": most}, where=where
        )
