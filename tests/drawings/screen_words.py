"""A page with tables of codes in, the same page with the words that the screen shows today out."""

from __future__ import annotations

import gettext
import re

from interlock.node import words
from interlock.node.panel import DOMAIN, LOCALE_DIR

ROW = re.compile(r"^(\|(?: [^|]+ \| [^|]+ \|)?) `(\w+)` \| [^|]+ \|", re.MULTILINE)
"""A row of docs/faults.md: perhaps lamp and buzzer, then a code, then what the screen says."""


def screen_words(msgid: str, language: str) -> str:
    """What the screen shows for `msgid`, on one line; a number or a name is "…"."""
    text = msgid
    if language != "en":
        text = gettext.translation(DOMAIN, LOCALE_DIR, [language]).gettext(msgid)
    return re.sub(r"%\(\w+\)[ds]", "…", text).replace("\n", " / ")


def renewed(page: str, language: str) -> str:
    """`page` with the screen's own words beside each code that the screen has words for."""
    known = {
        code.value: msgid
        for table in (words.MESSAGES, words.FAULTS, words.REASONS)
        for code, msgid in table.items()
    }

    def row(match: re.Match[str]) -> str:
        head, code = match.groups()
        if code not in known:
            return match[0]
        return f"{head} `{code}` | {screen_words(known[code], language)} |"

    return ROW.sub(row, page)
