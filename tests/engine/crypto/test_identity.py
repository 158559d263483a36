"""A device's keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.identity import PRIVATE_BYTES, Identity
from lichen.crypto.signing import is_acceptable_key, verify
from lichen.errors import LichenError, StoreDamaged
from lichen.ids import MemberId, SpaceId
from lichen.wire.keys import is_acceptable_x25519

privates = st.binary(min_size=PRIVATE_BYTES, max_size=PRIVATE_BYTES)
SPACE, MEMBER = SpaceId(b"s" * 32), MemberId(b"m" * 16)


@given(privates)
def test_an_identity_comes_back_from_the_store_as_it_was(private: bytes) -> None:
    identity = Identity.generate(private)
    again = Identity.from_bytes(identity.to_bytes())
    assert (again.device, again.sealing_key, again.static_key) == (
        identity.device,
        identity.sealing_key,
        identity.static_key,
    )
    assert again.to_bytes() == identity.to_bytes()


@given(privates)
def test_its_three_keys_are_independent_and_acceptable(private: bytes) -> None:
    identity = Identity(private)
    assert is_acceptable_key(identity.device)
    assert is_acceptable_x25519(identity.sealing_key)
    assert is_acceptable_x25519(identity.static_key)
    for at, (key, other) in enumerate([("device", "signer"), ("sealing_key", ""), ("static_key", "")]):
        changed = bytearray(private)
        changed[32 * at + 5] ^= 0x40
        twin = Identity(bytes(changed))
        names = {"device", "sealing_key", "static_key"}
        assert getattr(twin, key) != getattr(identity, key), other
        assert all(getattr(twin, name) == getattr(identity, name) for name in names - {key})


def test_the_private_keys_stand_in_the_order_that_is_documented() -> None:
    private = bytes(range(96))
    identity = Identity(private)
    assert identity.sealing_private.private_bytes_raw() == private[32:64]
    assert identity.static_key == X25519PrivateKey.from_private_bytes(private[64:]).public_key().public_bytes_raw()


def test_its_record_is_signed_for_one_member_of_one_space() -> None:
    identity = Identity(bytes(range(96)))
    record = identity.record(SPACE, MEMBER)
    assert (record.key, record.sealing_key, record.static_key) == (
        identity.device,
        identity.sealing_key,
        identity.static_key,
    )
    assert verify(record.key, record.signed_message(SPACE, MEMBER), record.signature)
    for space, member in ((SpaceId(b"t" * 32), MEMBER), (SPACE, MemberId(b"n" * 16))):
        assert not verify(record.key, record.signed_message(space, member), record.signature)


@given(st.one_of(st.binary(max_size=120), privates.map(lambda p: b"lid2" + p), privates.map(lambda p: b"lid1" + p[1:])))
def test_what_is_no_identity_is_a_damaged_store(data: bytes) -> None:
    with pytest.raises(StoreDamaged) as caught:
        Identity.from_bytes(data)
    assert isinstance(caught.value, LichenError)
    assert caught.value.hint


@pytest.mark.parametrize("length", [0, 32, 95, 97])
def test_other_lengths_are_the_callers_mistake(length: int) -> None:
    with pytest.raises(ValueError, match="96"):
        Identity(bytes(length))


def test_it_does_not_show_its_private_keys() -> None:
    identity = Identity(b"\x5a" * 96)
    for shown in (repr(identity), str(identity), repr(identity.signer)):
        assert "5a5a" not in shown
        assert "ZZ" not in shown
    assert identity.device.hex()[:12] in repr(identity)
