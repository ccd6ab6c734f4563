"""What people type about money and time, and what whole cents and seconds it is."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from interlock.hub.pages.billing.fields import EurosField, HoursField, MinutesField, PercentField

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    ("typed", "cents"),
    [
        ("12", 1_200),
        ("12,50", 1_250),
        ("12.5", 1_250),
        ("1 234,56", 123_456),
        ("1\u202f234,56 €", 123_456),
        ("€12.50", 1_250),
        ("0", 0),
        ("0,01", 1),
    ],
)
def test_euros_are_read_as_people_write_them(typed: str, cents: int) -> None:
    assert EurosField().clean(typed) == cents


@pytest.mark.parametrize("typed", ["douze", "1,2,3", "-5", "1.234", "1e3", "NaN", "9" * 40, "--1"])
def test_what_is_no_amount_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        EurosField().clean(typed)


def test_below_zero_is_read_only_where_it_makes_sense() -> None:
    assert EurosField(least=None).clean("-15") == -1_500
    assert EurosField(least=None).clean("−15,5") == -1_550


def test_an_empty_field_is_nothing_and_not_zero() -> None:
    assert EurosField(required=False).clean("") is None
    assert MinutesField(required=False).clean("  ") is None
    with pytest.raises(ValidationError):
        EurosField().clean("")


@pytest.mark.parametrize(
    ("field", "typed", "value"),
    [
        (MinutesField(), "0,5", 30),
        (MinutesField(), "90", 5_400),
        (HoursField(), "1,5", 5_400),
        (PercentField(), "5,5", 550),
        (PercentField(), "20", 2_000),
    ],
    ids=["half a minute", "minutes", "hours", "5,5 %", "20 %"],
)
def test_minutes_hours_and_percent_become_whole_numbers(
    field: EurosField, typed: str, value: int
) -> None:
    assert field.clean(typed) == value


@given(st.integers(0, 10_000_000), st.sampled_from(["en", "fr"]))
def test_what_a_field_shows_it_reads_again_as_the_same(cents: int, language: str) -> None:
    with translation.override(language):
        field = EurosField()
        assert field.clean(field.prepare_value(cents)) == cents


@given(st.integers(0, 10_000), st.sampled_from(["en", "fr"]))
def test_whole_minutes_survive_a_form(minutes: int, language: str) -> None:
    with translation.override(language):
        field = MinutesField()
        assert field.clean(field.prepare_value(minutes * 60)) == minutes * 60
