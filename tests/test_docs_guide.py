"""The fab manager's guide is whole: ten tasks in two languages, each with its budget, its pictures and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.budgets import BUDGETS
from tests.browser.guide import GUIDE, LANGUAGES, PICTURE_BYTES_MAX, guide_page, picture_file

pytestmark = pytest.mark.fast

PICTURE = re.compile(r"/(task-(\d\d)-[a-z-]+)\.png\)")
CLICKS = {
    "en": re.compile(r"^\*\*At most (\d+) clicks\.\*\*$", re.MULTILINE),
    "fr": re.compile(r"^\*\*(\d+) clics au plus\.\*\*$", re.MULTILINE),
}
CASES = [(language, task) for language in LANGUAGES for task in sorted(BUDGETS)]
TESTS = sorted((Path(__file__).parent / "browser").glob("test_*.py"))


def shown_on(text: str) -> list[str]:
    """The pictures of a page, in their order."""
    return [name for name, _task in PICTURE.findall(text)]


def clicks_told(language: str, text: str) -> list[int]:
    """The numbers of clicks that a page promises."""
    return [int(number) for number in CLICKS[language].findall(text)]


def page_of(language: str, task: int) -> str:
    return guide_page(language, task).read_text(encoding="utf-8")


def drawn_by_tests() -> set[str]:
    """Every picture that a test draws or checks."""
    texts = "".join(path.read_text(encoding="utf-8") for path in TESTS)
    return set(re.findall(r'"(task-\d\d-[a-z-]+)"', texts))


@pytest.mark.parametrize(("language", "task"), CASES)
def test_a_page_of_the_guide_promises_the_clicks_that_are_counted(language: str, task: int) -> None:
    assert clicks_told(language, page_of(language, task)) == [BUDGETS[task]]


@pytest.mark.parametrize(("language", "task"), CASES)
def test_a_page_of_the_guide_shows_pictures_of_its_own_task(language: str, task: int) -> None:
    text = page_of(language, task)
    assert {int(number) for _name, number in PICTURE.findall(text)} == {task}
    assert all(f"/{language}/{name}.png" in text for name in shown_on(text))


@pytest.mark.parametrize("task", sorted(BUDGETS))
def test_both_languages_have_the_same_steps_pictures_and_troubles(task: int) -> None:
    english, french = page_of("en", task), page_of("fr", task)
    assert guide_page("en", task).name == guide_page("fr", task).name
    assert shown_on(english) == shown_on(french)
    for line in (r"^\d+\. ", r"^- \*\*", r"^## "):
        counts = [len(re.findall(line, text, re.MULTILINE)) for text in (english, french)]
        assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_shows_every_picture_that_the_tests_draw_and_no_other(language: str) -> None:
    shown = {name for task in BUDGETS for name in shown_on(page_of(language, task))}
    kept = {path.stem for path in picture_file(language, "any").parent.glob("*.png")}
    assert shown == kept == drawn_by_tests()


@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_are_small(language: str) -> None:
    folder = picture_file(language, "any").parent
    heavy = [one.name for one in folder.iterdir() if one.stat().st_size > PICTURE_BYTES_MAX]
    assert heavy == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_index_names_every_page_and_its_clicks(language: str) -> None:
    index = guide_page(language, 1).with_name("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[[^\]]+\]\((.+?)\) \| (\d+) \|$", index, re.MULTILINE)
    assert [(int(task), name, int(clicks)) for task, name, clicks in rows] == [
        (task, guide_page(language, task).name, BUDGETS[task]) for task in sorted(BUDGETS)
    ]


def test_a_wrong_number_and_a_foreign_picture_are_noticed() -> None:
    page = page_of("en", 3).replace("At most 6", "At most 5")
    assert clicks_told("en", page) != [BUDGETS[3]]
    assert shown_on("![](pictures/en/task-03-member.png)") == ["task-03-member"]
    assert GUIDE.is_dir()
