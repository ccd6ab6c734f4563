"""An English sentence goes in, the same in the language of whoever sits at the desk comes out."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

DOMAIN = "interlock"
LOCALE_DIR = Path(__file__).parent.parent / "locale"


def _(text: str) -> str:
    """`text` as the environment's language has it (LANGUAGE, LC_ALL, LC_MESSAGES, LANG)."""
    return catalogue().gettext(text)


def language() -> str:
    """The two letters of that language, for the hub's sentences."""
    return str(catalogue().info().get("language", "en"))[:2]


@cache
def catalogue() -> gettext.NullTranslations:
    """The environment is asked once per process; English where there is no translation."""
    return gettext.translation(DOMAIN, LOCALE_DIR, fallback=True)
