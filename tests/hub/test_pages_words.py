"""Amounts, durations and codes to the words people read, in both languages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from itertools import chain
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from interlock.core.model import BadgeUse, Ending, Fault, Level, Reason, Refusal
from interlock.hub.models import AlarmKind, Line, LiveState
from interlock.hub.pages import formats, prices, tiles, words
from interlock.hub.pricing import Terms, Use, price
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 7, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "codes"),
    [
        (words.REASONS, Reason),
        (words.ENDINGS, Ending),
        (words.FAULTS, Fault),
        (words.LEVELS, Level),
        (words.BADGE_USES, BadgeUse),
    ],
)
def test_every_code_has_words_in_both_languages(
    table: dict[Enum, words.Words], codes: type[Enum]
) -> None:
    assert set(table) == set(codes)
    for code, text in table.items():
        with translation.override("en"):
            english = str(text)
        with translation.override("fr"):
            french = str(text)
        assert english != french, code
        assert english
        assert french


def test_every_state_of_a_machine_has_a_word_and_no_two_share_one() -> None:
    assert set(tiles._STATE_OF_LIVE) == set(LiveState)
    for language in ("en", "fr"):
        with translation.override(language):
            said = [str(text) for text in tiles.STATE_WORDS.values()]
        assert len(set(said)) == len(said)


def test_every_alarm_has_french_words() -> None:
    with translation.override("fr"):
        french = {str(kind.label) for kind in AlarmKind}
    with translation.override("en"):
        assert french.isdisjoint({str(kind.label) for kind in AlarmKind})


@pytest.mark.parametrize(
    ("cents", "english", "french"),
    [
        (0, "€0.00", "0,00\u00a0€"),
        (5, "€0.05", "0,05\u00a0€"),
        (1250, "€12.50", "12,50\u00a0€"),
        (123_456_789, "€1,234,567.89", "1\u202f234\u202f567,89\u00a0€"),
        (-80, "\u2212€0.80", "\u22120,80\u00a0€"),
        (-100_000, "\u2212€1,000.00", "\u22121\u202f000,00\u00a0€"),
    ],
)
def test_euros_are_written_as_each_language_writes_them(
    cents: int, english: str, french: str
) -> None:
    with translation.override("en"):
        assert formats.euros(cents) == english
    with translation.override("fr"):
        assert formats.euros(cents) == french


@pytest.mark.parametrize(
    ("seconds", "short", "exact"),
    [
        (0, "0 s", "0 s"),
        (59, "59 s", "59 s"),
        (60, "1 min", "1 min"),
        (252, "4 min 12 s", "4 min 12 s"),
        (599, "9 min 59 s", "9 min 59 s"),
        (3_599, "59 min", "59 min 59 s"),
        (3_600, "1 h 00", "1 h"),
        (3_900, "1 h 05", "1 h 5 min"),
        (98_712, "27 h 25", "27 h 25 min 12 s"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: int, short: str, exact: str) -> None:
    assert formats.duration(seconds).replace("\u00a0", " ") == short
    assert formats.exact_duration(seconds).replace("\u00a0", " ") == exact


def test_times_are_those_of_the_lab_in_summer_and_winter() -> None:
    winter = datetime(2026, 1, 15, 10, 0, tzinfo=UTC)
    assert formats.time_of_day(NOON, PARIS) == "12:00"
    assert formats.time_of_day(winter, PARIS) == "11:00"
    # 23:30 UTC is already tomorrow in Paris.
    late = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    assert formats.moment(late, PARIS, NOON) == "01:30"
    assert formats.moment(late, ZoneInfo("UTC"), NOON).endswith("2026, 23:30")


def test_dates_follow_the_language() -> None:
    with translation.override("en"):
        assert formats.day(NOON, PARIS) == "1\u00a0Jul\u00a02026"
    with translation.override("fr"):
        assert formats.day(NOON, PARIS) == "1er\u00a0juil.\u00a02026"
        august = datetime(2026, 8, 21, tzinfo=UTC)
        assert formats.day(august, PARIS) == "21\u00a0août\u00a02026"


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (0, "just now", "à l’instant"),
        (61, "1 minute ago", "il y a 1 minute"),
        (7_200, "2 hours ago", "il y a 2 heures"),
        (90_000, "1 day ago", "il y a 1 jour"),
        (259_200, "3 days ago", "il y a 3 jours"),
    ],
)
def test_how_long_ago_something_was(seconds: int, english: str, french: str) -> None:
    with translation.override("en"):
        assert formats.ago(seconds) == english
    with translation.override("fr"):
        assert formats.ago(seconds) == french


def test_a_refusal_names_the_training_it_speaks_of() -> None:
    missing = Refusal(Reason.NOT_TRAINED, training="saw-basics")
    with translation.override("en"):
        assert words.refusal(missing, "Table saw") == "Still to do: the training “Table saw”."
        assert "saw-basics" in words.refusal(missing, None)


EVERYTHING = Terms(
    tariff=1,
    busy_only=True,
    cents_per_hour=2_400,
    unit_s=900,
    setup_cents=200,
    minimum_cents=1_200,
    free_s=60,
    daily_cap_cents=1_500,
    forgive_s=10,
)


def use(seq: int, seconds: int, terms: Terms | None) -> Use:
    return Use(seq, "saw", 1, seq, NOON.date(), seconds * 1_000, seconds * 1_000, terms)


STEP_KIND = re.compile(r'(?:Step\(|"kind":)\s*"([a-z_]+)"')
HUB_SOURCES = [
    path.read_text(encoding="utf-8") for path in (REPOSITORY / "interlock" / "hub").rglob("*.py")
]
"""Where steps are made; "workshop" is a kind of activity, not of step."""


def receipts(uses: list[Use]) -> list[tuple[int, list[prices.PriceStep]]]:
    """What pricing itself computes, stored as lines store it, said as pages say it."""
    return [
        (line.cents, prices.price_steps(Line(steps=[step.to_json() for step in line.steps])))
        for line in price(uses)
    ]


ALL_KINDS = [
    use(1, 5, EVERYTHING),
    use(2, 700, EVERYTHING),
    use(3, 3_000, EVERYTHING),
    use(4, 30, EVERYTHING),
    use(5, 700, None),
    use(6, 700, Terms(tariff=2, cents_per_hour=600, unit_s=60)),
]


def test_pricing_knows_no_step_that_has_no_words() -> None:
    priced = {step.kind for line in price(ALL_KINDS) for step in line.steps}
    written = set(chain.from_iterable(STEP_KIND.findall(source) for source in HUB_SOURCES)) - {""}
    assert priced <= set(prices._WORDS)
    assert written <= {*prices._WORDS, "workshop"}, "a step that no page can explain"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_lines_of_a_receipt_add_up_to_its_price(language: str) -> None:
    with translation.override(language):
        for cents, steps in receipts(ALL_KINDS):
            amounts = [step.amount for step in steps if step.amount]
            digits = [
                amount.translate({ord(one): None for one in "€ \u00a0,."}) for amount in amounts
            ]
            assert sum(int(one.replace("\u2212", "-")) for one in digits) == cents


def test_a_receipt_says_every_step_in_words() -> None:
    with translation.override("en"):
        [(_cents, steps)] = receipts([use(1, 700, EVERYTHING)])
        said = [(step.words.replace("\u00a0", " "), step.amount) for step in steps]
    assert said == [
        ("The machine worked for 11 min 40 s of the 11 min 40 s it was enabled.", ""),
        ("Free at the beginning: 1 min. What counts is 10 min 40 s.", ""),
        ("Every started 15 min is counted in full: 15 min.", ""),
        ("15 min at €24.00 an hour", "€6.00"),
        ("Setup fee, once a session", "€2.00"),
        ("A session costs at least €12.00.", "€4.00"),
    ]


def test_a_receipt_reads_as_french() -> None:
    with translation.override("fr"):
        [(_cents, steps)] = receipts([use(1, 700, Terms(tariff=1, cents_per_hour=600, unit_s=60))])
        said = [step.words.replace("\u00a0", " ") for step in steps]
    assert said == [
        "La machine a été autorisée pendant 11 min 40 s.",
        "Toute minute entamée est comptée en entier : 12 min.",
        "12 min à 6,00 € l’heure",
    ]
