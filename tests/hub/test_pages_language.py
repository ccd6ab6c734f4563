"""French is complete, compiled and true to its English; pages say which language they are in."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from babel.messages.catalog import Message
from babel.messages.mofile import read_mo
from django.test import Client
from django.urls import reverse

from tests.hub import catalogue
from tests.hub.page_lab import page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PLACEHOLDER = re.compile(r"%\((\w+)\)([a-z])")


def texts(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def french() -> list[Message]:
    return [message for message in catalogue.read_french() if message.id]


def test_the_catalogue_holds_exactly_the_messages_in_use() -> None:
    used = {message.id for message in catalogue.messages_in_use() if message.id}
    assert len(used) > 200, "the extraction looks at the wrong folder"
    known = {message.id for message in french()}
    assert known - used == set(), "no page says these any more: python -m tests.hub.catalogue"
    assert used - known == set(), "to translate: python -m tests.hub.catalogue"


def test_every_message_has_french_words_that_nobody_doubts() -> None:
    bare = [m.id for m in french() if not m.string or not all(texts(m.string))]
    fuzzy = [m.id for m in french() if m.fuzzy]
    assert (bare, fuzzy) == ([], [])


def test_french_keeps_every_placeholder() -> None:
    wrong = []
    for message in french():
        wanted = [set(PLACEHOLDER.findall(one)) for one in texts(message.id)]
        given = [set(PLACEHOLDER.findall(one)) for one in texts(message.string)]
        # A singular may leave the number out where English does: "every day".
        if any(one not in (wanted[-1], wanted[0]) for one in given) or given[-1] != wanted[-1]:
            wrong.append(message.id)
    assert wrong == []


def test_french_typography_never_breaks_before_its_punctuation() -> None:
    loose = re.compile(r"« | »|[ ][:;?!](?!\w)")
    assert [m.string for m in french() if any(loose.search(t) for t in texts(m.string))] == []


def test_french_uses_the_typographic_apostrophe() -> None:
    assert [m.string for m in french() if any("'" in t for t in texts(m.string))] == []


def test_the_compiled_catalogue_says_what_its_source_says() -> None:
    with catalogue.FRENCH.with_suffix(".mo").open("rb") as built:
        # Babel reads the context of a compiled message as bytes.
        compiled = {
            (str(m.context or b"", "utf-8"), *texts(m.id)): texts(m.string)  # type: ignore[arg-type]
            for m in read_mo(built)
            if m.id
        }
    source = {(m.context or "", *texts(m.id)): texts(m.string) for m in french()}
    assert compiled == source, "python -m tests.hub.catalogue"


class _Lang(HTMLParser):
    lang: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            self.lang = dict(attrs).get("lang")


def language_of(page: bytes) -> str | None:
    parser = _Lang()
    parser.feed(page.decode())
    return parser.lang


@pytest.mark.parametrize("name", ["board", "members", "machines", "sessions", "me"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_page_says_the_language_it_is_in(name: str, language: str) -> None:
    answer = page_lab().client("owner", language).get(reverse(name), follow=True)
    assert language_of(answer.content) == language
    assert answer["Content-Language"] == language


def test_the_switch_changes_the_language_of_every_page_that_follows() -> None:
    client = page_lab().client("owner", "en")
    assert "Members" in client.get("/members/").content.decode()
    answer = client.post(reverse("set_language"), {"language": "fr", "next": "/members/?q=a"})
    assert answer["Location"] == "/members/?q=a"
    assert "Membres" in client.get("/members/").content.decode()
    assert language_of(client.get("/machines/").content) == "fr"


def test_the_door_can_be_read_in_both_languages_before_anybody_signs_in() -> None:
    page_lab()
    for language, title in (("en", "Sign in"), ("fr", "Se connecter")):
        page = Client(headers={"accept-language": language}).get(reverse("login")).content.decode()
        assert f"<h1>{title}</h1>" in page


def test_the_language_switch_leads_nowhere_else() -> None:
    client = page_lab().client("owner")
    answer = client.post(
        reverse("set_language"), {"language": "fr", "next": "https://evil.example/"}
    )
    assert answer["Location"] == "/"
