"""Canonical JSON has one spelling for every value, and refuses what could have two."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ProtocolError
from interlock.protocol import canonical

pytestmark = pytest.mark.fast

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)


@given(OBJECTS)
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert canonical.loads(canonical.dumps(value), where="test") == value


@given(OBJECTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_show(value: dict[str, Any], rng: Any) -> None:
    keys = list(value)
    rng.shuffle(keys)
    assert canonical.dumps({key: value[key] for key in keys}) == canonical.dumps(value)


@given(OBJECTS)
def test_there_is_no_space_and_no_escape_that_utf_8_does_not_need(value: dict[str, Any]) -> None:
    again = json.loads(canonical.dumps(value))
    spelt = json.dumps(again, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical.dumps(value) == spelt.encode()


@given(OBJECTS, OBJECTS)
def test_two_values_share_bytes_only_when_they_are_equal(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    # Compared as JSON text, where True is not 1.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical.dumps(one) == canonical.dumps(other)) is same


@pytest.mark.parametrize(
    "value",
    [1.0, math.nan, {"a": [1, 2.5]}, {1: "a"}, b"bytes", {"a": {"set"}}, {"a": "\ud800"}, object],
    ids=repr,
)
def test_a_value_without_one_spelling_is_refused(value: Any) -> None:
    with pytest.raises(ProtocolError):
        canonical.dumps(value)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"a":1}' + b" " * canonical.FRAME_BYTES_MAX,
    ],
    ids=lambda frame: repr(frame[:16]),
)
def test_a_frame_that_is_no_plain_object_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError, match="test"):
        canonical.loads(frame, where="test")


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_raises_anything_else(frame: bytes) -> None:
    try:
        value = canonical.loads(frame, where="test")
    except ProtocolError:
        return
    assert isinstance(value, dict)
