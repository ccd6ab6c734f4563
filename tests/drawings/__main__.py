"""Sources of docs/wiring and the screen's words in, pictures, lists and tables out: `python -m tests.drawings`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.drawings.lists import filled
from tests.drawings.rules import breaches
from tests.drawings.screen_words import renewed
from tests.drawings.sheet import svg
from tests.drawings.source import SOURCES, all_drawings
from tests.drawings.text import LANGUAGES

DOCS = SOURCES.parent


def pictures() -> dict[Path, str]:
    """Path → SVG, of every drawing in every language."""
    return {
        SOURCES / f"{drawing.name}{_ending(language)}.svg": svg(drawing, language)
        for drawing in all_drawings()
        for language in LANGUAGES
    }


def pages() -> dict[Path, str]:
    """Path → text, of the pages that repeat what stands elsewhere, made new."""
    drawings = {drawing.name: drawing for drawing in all_drawings()}
    made = {}
    for language in LANGUAGES:
        wiring, faults = (DOCS / f"{name}{_ending(language)}.md" for name in ("wiring", "faults"))
        made[wiring] = filled(wiring.read_text(encoding="utf-8"), drawings, language)
        made[faults] = renewed(faults.read_text(encoding="utf-8"), language)
    return made


def _ending(language: str) -> str:
    """English has none of its own."""
    return "" if language == "en" else f".{language}"


def main() -> int:
    """Draw everything; 1 when a circuit breaks a rule, and then nothing is drawn."""
    found = [f"{drawing.name}: {text}" for drawing in all_drawings() for text in breaches(drawing)]
    if found:
        sys.stderr.write("\n".join(found) + "\n")
        return 1
    for path, text in {**pictures(), **pages()}.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
