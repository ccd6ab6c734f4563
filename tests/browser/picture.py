"""The real demo goes in, in the middle of things; the picture of the README comes out.

    python -m tests.browser.picture      writes docs/demo.png

A trainee saws beside a trainer, the laser cuts with its air moving, and somebody holds a badge to the
printer that the lab has never seen.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.browser.visitor import Station, browsing
from tests.sim.demos import RunningDemo

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "demo.png"
SIZE = {"width": 1440, "height": 1150}
INRUSH_OVER_MS = 600
"""The instruments show what a running motor draws, and the fan has come up to speed."""


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        demo = RunningDemo(Path(folder))
        try:
            with browsing() as context:
                page = context.new_page()
                page.set_viewport_size(SIZE)  # type: ignore[arg-type] # a mapping of its two keys
                page.goto(demo.panel)
                _live(page)
                shot = page.screenshot()
        finally:
            demo.end()
    Image.open(io.BytesIO(shot)).convert("RGB").save(PICTURE, optimize=True)


def _live(page: Page) -> None:
    saw, laser, printer = (Station(page, name) for name in ("saw", "laser", "printer"))
    laser.lay("Amelia Wright")
    saw.lay("Noah Fischer")
    saw.shows("Trainer badge?")
    saw.lay("Jeanne Roux")
    laser.coil("on")
    laser.push("machine_start")
    saw.coil("on")
    saw.push("machine_start")
    saw.shows("Supervised")
    laser.shows("In use")
    printer.lay("Unknown badge")
    printer.shows("Code")
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(INRUSH_OVER_MS)
    printer.lamp("yellow")


if __name__ == "__main__":
    main()
