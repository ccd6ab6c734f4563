"""A page in the hands of a test goes in; the pictures of the fab manager's guide come out, or are checked.

    INTERLOCK_GUIDE_PICTURES=1 pytest tests/browser/test_tasks_*.py tests/browser/test_every_page.py -k task

draws docs/guide/pictures anew. Without the variable a picture must be there and its guide page must show it, so
that no step of a task is without its picture and no picture without its step.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
VARIABLE = "INTERLOCK_GUIDE_PICTURES"
COLOURS = 128
"""Text keeps its smooth edges; a page of the hub stays far below PICTURE_BYTES_MAX."""
PICTURE_BYTES_MAX = 120_000
"""The whole guide stays a few megabytes of the repository."""
RING = (214, 69, 32)
RING_PX = 3
ROOM_PX = 5
"""Between what is pressed and the ring around it."""

LANGUAGES = ("en", "fr")


def picture(page: Page, name: str, pressed: Locator | None = None) -> None:
    """The picture `name` ("task-03-…") of this page stands in the guide, a ring around what is pressed next."""
    if pressed is not None:
        pressed.wait_for()
    # By a locator: a page that is on its way is waited for.
    language = str(page.locator("html").get_attribute("lang"))[:2]
    if os.environ.get(VARIABLE):
        _draw(page, picture_file(language, name), pressed)
        return
    assert picture_file(language, name).exists(), f"{name}: draw it with {VARIABLE}=1"
    number = name.split("-")[1]
    assert f"{name}.png" in guide_page(language, int(number)).read_text(encoding="utf-8"), (
        f"the guide's page of task {number} does not show {name}"
    )


def picture_file(language: str, name: str) -> Path:
    """Where that picture is."""
    return GUIDE / "pictures" / language / f"{name}.png"


def guide_page(language: str, task: int) -> Path:
    """The guide's page of that task: one, called after its number."""
    folder = GUIDE if language == "en" else GUIDE / language
    (found,) = folder.glob(f"{task:02}-*.md")
    return found


def _draw(page: Page, target: Path, pressed: Locator | None) -> None:
    page.wait_for_load_state()
    if pressed is not None:
        pressed.scroll_into_view_if_needed()
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    box = pressed.bounding_box() if pressed is not None else None
    if box is not None:
        left, top = box["x"] - ROOM_PX, box["y"] - ROOM_PX
        right, bottom = left + box["width"] + 2 * ROOM_PX, top + box["height"] + 2 * ROOM_PX
        draw = ImageDraw.Draw(image)
        draw.rounded_rectangle((left, top, right, bottom), 8, outline=RING, width=RING_PX)
    target.parent.mkdir(parents=True, exist_ok=True)
    few = image.quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(target, optimize=True)
