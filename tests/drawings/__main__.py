"""The text sources of docs/wiring in, their pictures in both languages beside them: `python -m tests.drawings`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.drawings.rules import breaches
from tests.drawings.sheet import svg
from tests.drawings.source import SOURCES, all_drawings
from tests.drawings.text import LANGUAGES


def pictures() -> dict[Path, str]:
    """Path → SVG, of every drawing in every language; English has no ending of its own."""
    return {
        SOURCES / f"{drawing.name}{'' if language == 'en' else f'.{language}'}.svg": svg(
            drawing, language
        )
        for drawing in all_drawings()
        for language in LANGUAGES
    }


def main() -> int:
    """Draw everything; 1 when a circuit breaks a rule, and then nothing is drawn."""
    found = [f"{drawing.name}: {text}" for drawing in all_drawings() for text in breaches(drawing)]
    if found:
        sys.stderr.write("\n".join(found) + "\n")
        return 1
    for path, picture in pictures().items():
        path.write_text(picture, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
