"""The documents are true: what they name exists, and what exists is named."""

from __future__ import annotations

import gettext
import re
import subprocess
from pathlib import Path

import click
import pytest

from interlock.core.model import Reason
from interlock.node.panel import DOMAIN, LOCALE_DIR
from interlock.node.words import REASONS
from tests.tidy import REPOSITORY, repository_sources

pytestmark = pytest.mark.fast

DOCS = REPOSITORY / "docs"
REASONS_PAGE = "docs/reasons.md"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
INSTALL_LINE = re.compile(r"^\./install\.sh (.+?)(?:\s+#.*)?$", re.MULTILINE)
BLANK = re.compile(r"____")


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def reasons_of(page: str) -> dict[str, list[str]]:
    """Code → its four cells, for each row of the table in docs/reasons.md."""
    rows = (line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `"))
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}


def missing_reasons(page: str) -> set[str]:
    """Codes without a complete row, and rows without a code."""
    complete = {code for code, cells in reasons_of(page).items() if len(cells) == 4 and all(cells)}
    return complete ^ {reason.value for reason in Reason}


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of `page` that lead nowhere; the web is not asked."""
    return [
        target
        for target in LINK.findall(text)
        if "://" not in target and not (page.parent / target).exists()
    ]


def unnamed_headings(text: str) -> list[str]:
    """The headings a decision lacks."""
    return [name for name in ("Context", "Choice", "Consequences") if f"\n## {name}\n" not in text]


def test_every_reason_stands_in_the_table_in_both_languages() -> None:
    assert missing_reasons(text_of(REASONS_PAGE)) == set()


def test_the_table_shows_the_words_that_the_screen_shows() -> None:
    french = gettext.translation(DOMAIN, LOCALE_DIR, ["fr"])
    shown = {
        code: (cells[0], cells[2]) for code, cells in reasons_of(text_of(REASONS_PAGE)).items()
    }
    expected = {
        reason.value: (words.replace("\n", " / "), french.gettext(words).replace("\n", " / "))
        for reason, words in REASONS.items()
    }
    assert shown == expected


def test_a_reason_that_is_not_documented_is_noticed() -> None:
    page = text_of(REASONS_PAGE)
    without = "\n".join(line for line in page.splitlines() if "`NO_CREDIT`" not in line)
    assert missing_reasons(without) == {"NO_CREDIT"}
    assert missing_reasons(page + "\n| `GONE` | a | b | c | d |") == {"GONE"}
    assert missing_reasons(page.replace("No credit left / Top it up", "")) == {"NO_CREDIT"}


def test_the_reasons_that_are_not_given_yet_are_named_as_such() -> None:
    given = {
        code
        for room in ("core", "node")
        for path in (REPOSITORY / "interlock" / room).glob("*.py")
        if path.name not in ("model.py", "words.py")
        for code in re.findall(r"Reason\.([A-Z_]+)", path.read_text(encoding="utf-8"))
    }
    assert given, "the search looks in the wrong place"
    before_the_table = text_of(REASONS_PAGE).split("| Code", 1)[0]
    named = set(re.findall(r"`([A-Z_]+)`", before_the_table))
    assert named == {reason.value for reason in Reason} - given


def test_every_decision_has_its_three_headings_and_its_number() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    assert len(decisions) >= 5
    for position, page in enumerate(decisions, start=1):
        text = page.read_text(encoding="utf-8")
        assert unnamed_headings(text) == [], page.name
        assert page.name.startswith(f"{position:04}-"), "a number is missing or twice there"
        assert text.startswith(f"# {position:04} · ")


def test_a_decision_without_consequences_is_noticed() -> None:
    assert unnamed_headings("# 0009\n\n## Context\n\n## Choice\n") == ["Consequences"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_of_a_document_leads_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_noticed() -> None:
    text = "[a](docs/nowhere.md) ![b](docs/reasons.md) [c](https://nowhere.invalid/)"
    assert broken_links(REPOSITORY / "README.md", text) == ["docs/nowhere.md"]


def documents_named_in(source: str) -> set[str]:
    """Every docs/… file that a comment, docstring or message sends its reader to."""
    return set(re.findall(r"\bdocs/[\w/.-]+\.(?:md|svg|png)\b", source))


def test_every_document_that_the_code_names_exists() -> None:
    texts = {source.path: source.text for source in repository_sources() if source.in_package}
    texts |= {name: text_of(name) for name in ("install.sh", "pyproject.toml")}
    named = {name: path for path, text in texts.items() for name in documents_named_in(text)}
    missing = {name: where for name, where in named.items() if not (REPOSITORY / name).exists()}
    assert missing == {}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_install_commands_of_a_document_are_understood(name: str) -> None:
    commands = INSTALL_LINE.findall(text_of(name))
    assert commands
    for command in commands:
        told = subprocess.run(
            ["./install.sh", "--dry-run", "--force", *command.split()],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, f"./install.sh {command}: {told.stderr}"


def unknown_commands(text: str) -> list[str]:
    """Every `interlock NOUN VERB` of `text` that the command line does not have."""
    unknown = []
    for words in re.findall(r"`interlock ((?:[a-z-]+ ?)+)", text):
        known: click.Command = interlock_cli()
        for word in words.split():
            if not isinstance(known, click.Group):
                break
            if word not in known.commands:
                unknown.append(f"interlock {words}")
                break
            known = known.commands[word]
    return unknown


def interlock_cli() -> click.Command:
    """The whole tree of commands; imported here, so that the other tests do not need it."""
    from interlock.cli import interlock

    return interlock


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_of_a_document_exists(page: Path) -> None:
    assert unknown_commands(page.read_text(encoding="utf-8")) == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    text = "`interlock demo --keep`, `interlock hub fly`, `interlock-sync`, `interlock paint`"
    assert unknown_commands(text) == ["interlock hub fly", "interlock paint"]


def test_the_readme_names_both_commands_and_says_first_what_it_is_not() -> None:
    readme = text_of("README.md")
    assert {c.split()[0] for c in INSTALL_LINE.findall(readme)} >= {"demo", "test"}
    not_safe, see_it = readme.index("It is not a safety device"), readme.index("## See it")
    assert not_safe < see_it


def test_the_readme_claims_no_hardware_while_the_checklist_has_blanks() -> None:
    blanks = len(BLANK.findall(text_of("docs/first-light.md")))
    says_not_run = "has not yet been run on hardware" in text_of("README.md")
    assert says_not_run == (blanks > 0)


def test_the_two_checklists_ask_the_same_things() -> None:
    english, french = text_of("docs/first-light.md"), text_of("docs/first-light.fr.md")
    shape = re.compile(r"^(- \[[ x]\]|## \w|\| [^|]+\|)", re.MULTILINE)
    marks = [[mark[:6] for mark in shape.findall(text)] for text in (english, french)]
    assert len(marks[0]) > 40
    assert [m[:4] for m in marks[0] if m[0] != "|"] == [m[:4] for m in marks[1] if m[0] != "|"]
    assert english.count("____") == french.count("____")


def test_every_folder_the_readme_names_exists() -> None:
    rows = [line for line in text_of("README.md").splitlines() if line.startswith(("| `", "| ["))]
    folders = [name for row in rows for name in re.findall(r"`([\w/]+/)`", row.split("|")[1])]
    assert len(folders) >= 8
    missing = [name for name in folders if not (REPOSITORY / name).is_dir()]
    assert missing == []


def test_the_changelog_has_an_entry_for_what_is_not_released() -> None:
    unreleased = text_of("CHANGELOG.md").split("## [Unreleased]", 1)[1].split("\n## ", 1)[0]
    assert "\n- " in unreleased
