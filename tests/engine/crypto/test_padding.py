"""Padmé, as in its paper."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.padding import LEAST_BYTES, padded_length

lengths = st.integers(LEAST_BYTES, 2**40)


def as_in_the_paper(length: int) -> int:
    """Algorithm 1 of Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs"."""
    exponent = math.floor(math.log2(length))
    size = math.floor(math.log2(exponent)) + 1
    last_bits = int(exponent - size)
    mask = (1 << last_bits) - 1
    return (length + mask) & ~mask


@given(st.integers(LEAST_BYTES, 2**24))
def test_lengths_are_those_of_the_paper(length: int) -> None:
    assert padded_length(length) == as_in_the_paper(length)


@pytest.mark.parametrize(
    ("length", "padded"),
    [(0, 32), (1, 32), (32, 32), (33, 36), (120, 120), (121, 128), (200, 208), (1_000, 1_024), (1_025, 1_088)],
)
def test_some_lengths(length: int, padded: int) -> None:
    assert padded_length(length) == padded


@given(lengths)
def test_the_cost_is_at_most_an_eighth(length: int) -> None:
    assert length <= padded_length(length) <= length * 1.12 + 1


@given(lengths, st.integers(0, 1_000))
def test_longer_is_never_padded_to_less(length: int, more: int) -> None:
    assert padded_length(length) <= padded_length(length + more)


@given(lengths)
def test_a_padded_length_stays_as_it_is(length: int) -> None:
    assert padded_length(padded_length(length)) == padded_length(length)


def test_lengths_up_to_a_mebibyte_become_few() -> None:
    seen = {padded_length(length) for length in range(0, 2**20, 7)}
    assert len(seen) < 300
