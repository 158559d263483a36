"""What lies inside a ciphertext: compressed, padded, bounded."""

from __future__ import annotations

import tracemalloc
import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.crypto.padding import padded_length
from lichen.crypto.plaintext import BODY_BYTES, DEFLATED, RAW, body_bytes, pack_changes, pad, unpack_changes, unpad
from lichen.errors import ChangeTooLarge, InvalidChangeSet, ProtocolError

changes = st.lists(st.binary(max_size=400), max_size=20)


def deflated(body: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(body) + compressor.flush()


@given(changes)
def test_changes_survive(given_changes: list[bytes]) -> None:
    plaintext = pack_changes(given_changes)
    assert unpack_changes(plaintext) == given_changes
    assert padded_length(len(plaintext)) == len(plaintext)
    assert len(plaintext) <= padded_length(5 + body_bytes(given_changes))


def test_changes_are_deflated_together_when_that_is_smaller() -> None:
    repeating = [b"the same words again and again" * 3] * 50
    assert len(pack_changes(repeating)) < body_bytes(repeating) / 10
    assert unpack_changes(pack_changes(repeating)) == repeating
    noise = [Random(1).randbytes(1_000)]
    assert pack_changes(noise)[0] == RAW


def test_as_much_as_may_be_is_carried_and_no_more() -> None:
    largest = Random(2).randbytes(BODY_BYTES - body_bytes([b""]))
    plaintext = pack_changes([largest])
    assert len(plaintext) == DEFAULT_LIMITS.set_plaintext_bytes
    assert unpack_changes(plaintext) == [largest]
    with pytest.raises(ChangeTooLarge):
        pack_changes([largest + b"x"])


def test_as_many_changes_as_may_be_are_carried_and_no_more() -> None:
    many = [b""] * DEFAULT_LIMITS.set_changes
    assert unpack_changes(pack_changes(many)) == many
    with pytest.raises(ChangeTooLarge):
        pack_changes([*many, b""])
    with pytest.raises(InvalidChangeSet):
        unpack_changes(pad(RAW, (4_097).to_bytes(2, "big") + bytes(4 * 4_097)))


@pytest.mark.parametrize("size", [BODY_BYTES + 1, 64 * 1024 * 1024])
def test_a_bomb_is_refused_within_bounded_memory(size: int) -> None:
    bomb = pad(DEFLATED, deflated(bytes(size)))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidChangeSet, match="too much"):
            unpack_changes(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * BODY_BYTES


def test_a_body_of_many_tiny_changes_is_refused_before_they_are_made() -> None:
    with pytest.raises(InvalidChangeSet):
        unpack_changes(pad(RAW, b"\xff\xff" + bytes(40)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\x00\x01",
        b"\x00\x01\x00\x00\x00",
        b"\x00\x01\x00\x00\x00\x02a",
        b"\x00\x01\xff\xff\xff\xffa",
        b"\x00\x00a",
        b"\x00\x01\x00\x00\x00\x01ab",
    ],
)
def test_a_body_that_is_not_exactly_its_changes_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidChangeSet):
        unpack_changes(pad(RAW, body))
    with pytest.raises(InvalidChangeSet):
        unpack_changes(pad(DEFLATED, deflated(body)))


def test_a_stream_that_is_cut_or_has_more_after_its_end_is_refused() -> None:
    stream = deflated(b"\x00\x01" + (100).to_bytes(4, "big") + b"a" * 100)
    assert unpack_changes(pad(DEFLATED, stream)) == [b"a" * 100]
    for broken in (stream[:-1], stream + b"x", stream + stream, b"\xff" * 50, b""):
        with pytest.raises(InvalidChangeSet):
            unpack_changes(pad(DEFLATED, broken))


def test_padding_must_be_exactly_what_it_is() -> None:
    plaintext = pad(RAW, b"payload")
    assert unpad(plaintext, ProtocolError) == (RAW, b"payload")
    for broken in (plaintext + b"\0", plaintext[:-1], plaintext[:-1] + b"\1", pad(RAW, b"p" * 90)[:32], b"", b"\0\0"):
        with pytest.raises(ProtocolError):
            unpad(broken, ProtocolError)
    with pytest.raises(InvalidChangeSet, match="unknown flag 2"):
        unpack_changes(pad(2, b"\x00\x00"))


@given(st.binary(max_size=200), st.sampled_from([RAW, DEFLATED]))
def test_noise_raises_only_the_documented_error(noise: bytes, flag: int) -> None:
    for plaintext in (noise, pad(flag, noise)):
        try:
            unpack_changes(plaintext)
        except InvalidChangeSet:
            continue
