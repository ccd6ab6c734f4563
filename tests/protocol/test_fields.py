"""One spelling for every value: what reads alike but is spelt otherwise is refused, and never comes out shorter."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.core.model import BadgeState
from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields

pytestmark = pytest.mark.fast


@pytest.mark.parametrize(
    "value",
    [
        "abc",
        "ab  ",
        "  ab",
        "a b ",
        "ABCD",
        "abcD",
        "zzzz",
        "\u0661\u0661ab",
        "ab\ncd",
        b"ab",
        1234,
        None,
        ["ab", "cd"],
    ],
)
def test_two_bytes_have_one_spelling(value: Any) -> None:
    """`bytes.fromhex` skips blanks: "ab  " would be a key of one byte where two were asked for."""
    with pytest.raises(ProtocolError, match="key must be 2 bytes in lower-case hexadecimal"):
        fields.octets({"key": value}, "key", 2)
    assert fields.octets({"key": "abcd"}, "key", 2) == b"\xab\xcd"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_a_message_is_utf_8_and_nothing_else(encoding: str) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        canonical.loads('{"v":1}'.encode(encoding), where="test")


@pytest.mark.parametrize(
    ("value", "low", "high", "passes"),
    [
        (0, 0, 5, True),
        (5, 0, 5, True),
        (-1, 0, 5, False),
        (6, 0, 5, False),
        (True, 0, 5, False),
        ("3", 0, 5, False),
        (3.0, 0, 5, False),
        (None, 0, 5, False),
        (fields.INT_MAX, 0, fields.INT_MAX, True),
        (fields.INT_MAX + 1, 0, fields.INT_MAX, False),
    ],
)
def test_a_whole_number_is_within_its_bounds(value: Any, low: int, high: int, passes: bool) -> None:
    if passes:
        assert fields.integer({"n": value}, "n", low=low, high=high) == value
        return
    with pytest.raises(ProtocolError, match=f"n must be an integer from {low} to {high}"):
        fields.integer({"n": value}, "n", low=low, high=high)


def test_a_number_in_the_journal_fits_sqlite() -> None:
    assert fields.INT_MAX == 2**63 - 1
    assert fields.integer({"n": 2**63 - 1}, "n") == 2**63 - 1
    assert fields.integer({"n": 0}, "n") == 0
    for outside in (2**63, -1):
        with pytest.raises(ProtocolError):
            fields.integer({"n": outside}, "n")


def test_a_text_is_no_longer_than_its_column() -> None:
    assert fields.text({"t": "x" * 512}, "t") == "x" * 512
    assert fields.text({"t": "xyz"}, "t", length_max=3) == "xyz"
    for value, most in (("x" * 513, 512), ("wxyz", 3), (3, 512), (None, 512), (b"x", 512)):
        with pytest.raises(ProtocolError, match=f"t must be text of at most {most} characters"):
            fields.text({"t": value}, "t", length_max=most)


def test_null_and_absent_are_none_where_a_field_may_be_missing() -> None:
    for source in ({}, {"a": None}):
        assert fields.optional_text(source, "a") is None
        assert fields.optional_integer(source, "a") is None
    assert fields.optional_text({"a": "b"}, "a") == "b"
    assert fields.optional_integer({"a": 0}, "a") == 0
    with pytest.raises(ProtocolError):
        fields.optional_text({"a": 1}, "a")
    with pytest.raises(ProtocolError):
        fields.optional_integer({"a": "1"}, "a")


def test_a_flag_is_true_or_false_and_absent_is_its_default() -> None:
    assert fields.flag({"f": True}, "f") is True
    assert fields.flag({"f": False}, "f", default=True) is False
    assert fields.flag({}, "f") is False
    assert fields.flag({}, "f", default=True) is True
    for value in (1, 0, "true", None):
        with pytest.raises(ProtocolError, match=f"f must be true or false, not {value!r}"):
            fields.flag({"f": value}, "f")


def test_a_choice_names_what_is_known() -> None:
    assert fields.choice({"b": "blocked"}, "b", BadgeState) is BadgeState.BLOCKED
    assert fields.choice({}, "b", BadgeState, BadgeState.ACTIVE) is BadgeState.ACTIVE
    others: list[Any] = ["BLOCKED", None, 1, [], {}]
    for value in others:
        with pytest.raises(ProtocolError, match=r"b must be one of .*blocked.*, not "):
            fields.choice({"b": value}, "b", BadgeState)


def test_a_list_of_objects_holds_objects_only_and_not_too_many() -> None:
    assert fields.objects({"l": [{}, {"a": 1}]}, "l", length_max=2) == [{}, {"a": 1}]
    many: list[Any] = [None, {}, "[]", [{}, {}, {}]]
    for value in many:
        with pytest.raises(ProtocolError, match="l must be a list of at most 2 objects"):
            fields.objects({"l": value}, "l", length_max=2)
    with pytest.raises(ProtocolError, match="l must hold objects only"):
        fields.objects({"l": [{}, None]}, "l", length_max=2)


def test_a_field_that_nobody_reads_is_a_mistake() -> None:
    fields.no_more_than({"a": 1}, frozenset("ab"))
    with pytest.raises(ProtocolError, match="unknown field 'c'"):
        fields.no_more_than({"a": 1, "d": 2, "c": 3}, frozenset("ab"))
