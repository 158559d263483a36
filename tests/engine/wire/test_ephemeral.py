"""Ephemeral messages: round trips, and refusal of everything that is not exactly one."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.crypto.sealing import seal_ephemeral
from lichen.errors import ProtocolError
from lichen.ids import DocId, Session, SpaceId
from lichen.testing.strategies import ALICE, BOB, ephemerals, verifies
from lichen.wire.ephemeral import TO_ALL, Ephemeral, EphemeralKind


def sealed(payload: bytes = b"cursor at 5") -> Ephemeral:
    return seal_ephemeral(
        kind=EphemeralKind.PRESENCE,
        space=SpaceId(b"s" * 32),
        doc=DocId(b"d" * 16),
        session=Session(b"n" * 16),
        counter=3,
        to=TO_ALL,
        payload=payload,
        epoch_key=b"k" * 32,
        signer=ALICE,
        random=b"r" * 32,
    )


@given(ephemerals())
def test_a_message_survives_the_wire(message: Ephemeral) -> None:
    decoded = Ephemeral.decode(message.encode())
    assert decoded == message
    assert verifies(decoded.author, decoded.signed_message, decoded.signature)


def test_each_length_but_its_own_is_refused() -> None:
    encoded = sealed().encode()
    for length in range(len(encoded)):
        with pytest.raises(ProtocolError):
            Ephemeral.decode(encoded[:length])
    for extra in range(1, 200):
        with pytest.raises(ProtocolError):
            Ephemeral.decode(encoded + bytes(extra))


def test_a_flipped_bit_in_any_byte_is_refused_or_breaks_the_signature() -> None:
    encoded = sealed().encode()
    for at in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[at] ^= 1 << bit
            try:
                decoded = Ephemeral.decode(bytes(flipped))
            except ProtocolError:
                continue
            assert not verifies(decoded.author, decoded.signed_message, decoded.signature), at


def test_a_message_as_large_as_may_be_is_accepted_and_no_larger() -> None:
    largest = sealed(bytes(14 * 1024))
    assert len(largest.encode()) <= DEFAULT_LIMITS.ephemeral_bytes
    assert Ephemeral.decode(largest.encode()) == largest
    too_large = dataclasses.replace(largest, ciphertext=bytes(DEFAULT_LIMITS.ephemeral_bytes))
    with pytest.raises(ProtocolError, match="too long"):
        Ephemeral.decode(too_large.encode())


def test_a_ciphertext_too_short_to_hold_anything_is_refused() -> None:
    short = dataclasses.replace(sealed(), ciphertext=bytes(47))
    with pytest.raises(ProtocolError):
        Ephemeral.decode(short.encode())


@pytest.mark.parametrize("fields", [{"space": b""}, {"salt": bytes(25)}, {"counter": -1}, {"counter": 2**64}])
def test_a_message_with_a_field_that_does_not_fit_is_not_written(fields: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        dataclasses.replace(sealed(), **fields).encode()  # type: ignore[arg-type]


@given(ephemerals(), st.data())
def test_garbled_bytes_raise_only_the_documented_error(message: Ephemeral, data: st.DataObject) -> None:
    garbled = bytearray(message.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(garbled) - 1))
        garbled[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(ProtocolError):
        Ephemeral.decode(bytes(garbled))


def test_a_message_taken_over_by_another_author_does_not_verify() -> None:
    taken = dataclasses.replace(sealed(), author=BOB.public)
    assert not verifies(taken.author, taken.signed_message, taken.signature)
