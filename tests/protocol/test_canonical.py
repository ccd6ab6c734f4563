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


def test_sixteen_levels_are_read_and_one_more_is_not() -> None:
    """Python's own parser would follow a hostile one into its stack."""

    def nested(levels: int) -> dict[str, Any]:
        value: Any = None
        for _ in range(levels - 2):
            value = [value]
        return {"a": value}

    deepest = nested(canonical.DEPTH_MAX)
    assert canonical.loads(canonical.dumps(deepest), where="test") == deepest
    with pytest.raises(ProtocolError, match="nested too deep"):
        canonical.dumps(nested(canonical.DEPTH_MAX + 1))
    with pytest.raises(ProtocolError, match="test: the message is nested too deep"):
        canonical.loads(json.dumps(nested(canonical.DEPTH_MAX + 1)).encode(), where="test")


def test_the_largest_frame_is_read_and_one_byte_more_is_not() -> None:
    frame = b'{"a":"' + b"x" * (canonical.FRAME_BYTES_MAX - 8) + b'"}'
    assert len(canonical.loads(frame, where="test")["a"]) == canonical.FRAME_BYTES_MAX - 8
    for bytes_max in (canonical.FRAME_BYTES_MAX - 1, 8):
        with pytest.raises(ProtocolError, match=f"larger than {bytes_max}"):
            canonical.loads(frame, where="test", bytes_max=bytes_max)


@pytest.mark.parametrize("line", [b'{"a":1}', b'{"a": 1}\n', b'{"b":1,"a":1}\n', b'{"a":1}\n\n'])
def test_a_line_that_is_spelt_otherwise_is_not_the_line_that_was_signed(line: bytes) -> None:
    assert canonical.loads_exact(b'{"a":1}\n', where="test") == {"a": 1}
    with pytest.raises(ProtocolError, match="cut short, or not in its canonical form"):
        canonical.loads_exact(line, where="test")


def test_a_plain_value_alone_has_a_canonical_form_too() -> None:
    assert [canonical.dumps(one) for one in (7, None, True)] == [b"7", b"null", b"true"]
