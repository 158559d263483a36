"""The bounded reader and writer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.errors import InvalidOperation
from lichen.wire.reader import Reader, Writer


def reader(data: bytes) -> Reader:
    return Reader(data, "a thing", InvalidOperation)


@given(st.integers(1, 8), st.data())
def test_numbers_survive_big_endian(width: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 256**width - 1))
    written = Writer().number(number, width).done()
    assert written == number.to_bytes(width, "big")
    assert reader(written).number(width) == number


def test_numbers_that_do_not_fit_are_the_callers_mistake() -> None:
    for number in (-1, 256):
        with pytest.raises(ValueError, match="does not fit"):
            Writer().number(number, 1)
    with pytest.raises(ValueError, match="32 bytes"):
        Writer().raw(b"short", 32)


def test_reading_past_the_end_raises_the_chosen_error_and_takes_nothing() -> None:
    short = reader(b"abc")
    for length in (4, 2**40, -1):
        with pytest.raises(InvalidOperation, match="a thing is cut short"):
            short.take(length)
    assert short.take(3) == b"abc"
    assert short.left == 0
    assert short.offset == 3


def test_what_is_left_over_is_refused() -> None:
    with pytest.raises(InvalidOperation, match="1 bytes after its end"):
        reader(b"x").end()
    reader(b"").end()


def test_counts_are_bounded_before_anything_is_read() -> None:
    with pytest.raises(InvalidOperation, match="has 3 parents, not 0 to 2"):
        reader(b"\x03" + bytes(96)).ids(1, 0, 2, "parents")
    with pytest.raises(InvalidOperation, match="bytes of earlier"):
        reader(b"\xff\xff").blob(2, 10, "earlier")


def test_ids_must_be_sorted_and_differ() -> None:
    low, high = b"a" * 32, b"b" * 32
    assert reader(Writer().ids([low, high], 1).done()).ids(1, 1, 2, "ids") == (low, high)
    for wrong in ([high, low], [low, low]):
        with pytest.raises(InvalidOperation, match="sorted"):
            reader(Writer().ids(wrong, 1).done()).ids(1, 1, 2, "ids")


def test_a_fixed_field_must_be_what_it_is() -> None:
    with pytest.raises(InvalidOperation, match="another magic"):
        reader(b"abcd").expect(b"abce", "magic")


@given(st.binary(max_size=100))
def test_blobs_survive(data: bytes) -> None:
    assert reader(Writer().blob(data, 2).done()).blob(2, 100, "data") == data
